/* SPDX-License-Identifier: Apache-2.0
 *
 * Wiping that a compiler cannot take for useless.
 */
#include "agent/base/secret.h"

#include <string.h>

#define STACK_BYTES 16384

void mk_wipe(void *p, size_t n)
{
	if (n > 0)
		explicit_bzero(p, n);
}

/* The buffer lies where the functions called before had their variables. */
__attribute__((noinline)) void mk_wipe_stack(void)
{
	uint8_t below[STACK_BYTES];
	explicit_bzero(below, sizeof below);
}
