/* SPDX-License-Identifier: Apache-2.0
 *
 * What makinictl's administrative commands share.
 */
#ifndef MK_CTL_ACTS_H
#define MK_CTL_ACTS_H

#include "ctl/client.h"

/* "restored": what is so now, or that this is no agent's answer. */
int mk_ctl_restored(const struct json_t *root);
/* A 202: what the second person types. Returns MK_EXIT_DONE. */
int mk_ctl_proposed(const struct mk_target *t, const struct json_t *root);

/* in_store.c, of one connection's part of an answer: a line for each store that was asked; and the code, which is 1 where not
 * every store did it, or where it was asked for and the answer does not say. */
void mk_ctl_stores_show(const struct json_t *one);
int mk_ctl_stores_code(const struct json_t *one, bool asked);

#endif
