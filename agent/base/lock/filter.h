/* SPDX-License-Identifier: Apache-2.0
 *
 * A role's two seccomp filters, made with libseccomp and not loaded yet. The kernel asks
 * both at each call and takes the stricter answer, so they need no order between them:
 *   guards  what no role may do, whatever its list says; all else is allowed;
 *   list    what the role may call, and what it is refused with an errno; all else kills.
 * Within one filter no two rules for a call differ in what they answer: of such rules
 * libseccomp lets one replace the others.
 */
#ifndef MK_LOCK_FILTER_H
#define MK_LOCK_FILTER_H

#include "agent/base/lock/lockdown.h"
#include "mk/own.h"

#include <seccomp.h>

/* The caller releases them. NOT_READY, with errno, where the kernel has no such filters; BUG where a list cannot be meant. */
mk_must mk_filter_guards(const struct mk_role_calls *c, scmp_filter_ctx *ret);
mk_must mk_filter_list(const struct mk_role_calls *c, scmp_filter_ctx *ret);

static inline void mk_filter_releasep(scmp_filter_ctx *f)
{
	seccomp_release(*f); /* takes NULL */
}

#endif
