/* SPDX-License-Identifier: Apache-2.0
 *
 * Scope-bound ownership. `mk_auto(f)` calls f with the variable's address when the
 * scope ends; MK_TAKE moves a pointer out, leaving NULL; mk_fd is a descriptor that
 * closes itself. Destructors take NULL and return NULL: `p = mk_x_free(p);`.
 */
#ifndef MK_OWN_H
#define MK_OWN_H

#include <stddef.h>

#define mk_auto(f) __attribute__((cleanup(f)))

#define MK_TAKE(p)                      \
	({                              \
		__auto_type mk_p_ = (p); \
		(p) = NULL;             \
		mk_p_;                  \
	})

#define MK_TAKE_FD(fd)                  \
	({                              \
		const int mk_fd_ = (fd); \
		(fd) = -1;              \
		mk_fd_;                 \
	})

#define MK_COUNT(a) (sizeof(a) / sizeof((a)[0]))

void mk_close(int fd);       /* -1 is fine; keeps errno */
void mk_closep(int *fd);     /* closes and sets -1 */
void mk_freep(void *p);      /* p points to a pointer from malloc/calloc */

#define mk_fd mk_auto(mk_closep) int

#endif
