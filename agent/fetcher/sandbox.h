/* SPDX-License-Identifier: Apache-2.0
 *
 * The fetcher's system calls, for the test that holds the supervisor's list to be a
 * superset of every child's.
 */
#ifndef MK_FETCHER_SANDBOX_H
#define MK_FETCHER_SANDBOX_H

#include "agent/base/lock/lockdown.h"

#include <stdbool.h>

const struct mk_role_calls *mk_fetcher_calls(void);      /* files only */
const struct mk_role_calls *mk_fetcher_http_calls(void); /* with a store on the network */
const struct mk_role_calls *mk_fetcher_calls_of(bool http, bool writes); /* writes: with a writable store that is a file */

#endif
