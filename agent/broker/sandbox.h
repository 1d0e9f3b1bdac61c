/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's system calls. No socket, connect, bind, listen, execve, fork; files only
 * where Landlock lets it. Docs and tests read the same table.
 */
#ifndef MK_BROKER_SANDBOX_H
#define MK_BROKER_SANDBOX_H

#include "agent/base/lock/lockdown.h"

const struct mk_role_calls *mk_broker_calls(void);

#endif
