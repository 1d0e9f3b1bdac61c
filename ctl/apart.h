/* SPDX-License-Identifier: Apache-2.0
 *
 * Are the instances of several configurations apart: no user, directory, secret's path or
 * credential in common? By what the files say and what stands on this host.
 */
#ifndef MK_CTL_APART_H
#define MK_CTL_APART_H

#include "mk/conf.h"

/* Tells each thing that two of them share, with the remedy, on standard error; returns how many. */
unsigned mk_apart_check(struct mk_conf *const confs[], size_t n);

#endif
