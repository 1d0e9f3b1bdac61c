/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients of libmakini, a thread and a handle each, that get one token over and over beside what the program
 * does otherwise. What began after `returned` was set may not bring it.
 */
#ifndef MK_TEST_PAGES_H
#define MK_TEST_PAGES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct pages_seen {
	uint64_t gets, with_token, repeated; /* repeated: from the library's own memory */
	uint64_t late, late_with_token, other; /* other: neither the token nor that it is revoked */
	size_t refused;                        /* clients that were told so */
	int64_t last_us;                       /* monotonic clock: the last client's first refusal */
};

void pages_begin(size_t n, const char *socket, const char *name, const char *token, const atomic_bool *returned);
uint64_t pages_served(void); /* clients that had the token from their own memory */
size_t pages_refused(void);
void pages_end(struct pages_seen *ret);

#endif
