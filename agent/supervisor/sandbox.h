/* SPDX-License-Identifier: Apache-2.0
 *
 * The supervisor's system calls. Filters are inherited, so the list has all that its
 * children may do as well; a test holds that it does.
 */
#ifndef MK_SUPERVISOR_SANDBOX_H
#define MK_SUPERVISOR_SANDBOX_H

#include "agent/base/lock/lockdown.h"

const struct mk_role_calls *mk_supervisor_calls(void);

#endif
