/* SPDX-License-Identifier: Apache-2.0
 *
 * Destructors for descriptors and for plain heap memory. They keep errno, so that they
 * may run on the way out of a function that failed.
 */
#include "mk/own.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No second try on EINTR: Linux has released the descriptor by then. */
void mk_close(int fd)
{
	const int saved = errno;
	if (fd >= 0)
		close(fd);
	errno = saved;
}

void mk_closep(int *fd)
{
	mk_close(*fd);
	*fd = -1;
}

/* By memcpy, as the variable is a pointer of any type and only its bytes may be looked at. */
void mk_freep(void *p)
{
	void *block;
	memcpy(&block, p, sizeof block);
	free(block);
	block = NULL;
	memcpy(p, &block, sizeof block);
}
