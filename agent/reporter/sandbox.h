/* SPDX-License-Identifier: Apache-2.0
 *
 * The reporter's system calls: it answers on connections that it accepts, and that is
 * all. No socket, no connect, no file.
 */
#ifndef MK_REPORTER_SANDBOX_H
#define MK_REPORTER_SANDBOX_H

#include "agent/base/lock/lockdown.h"

const struct mk_role_calls *mk_reporter_calls(void);

#endif
