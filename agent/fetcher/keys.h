/* SPDX-License-Identifier: Apache-2.0
 *
 * The keys that sign service-account tokens, from the cluster's API server: asked for
 * at the start, every few minutes, and when the broker wants them; parsed here; the last
 * good ones go to each broker that comes. The request carries the pod's own credential,
 * read anew each time.
 */
#ifndef MK_FETCHER_KEYS_H
#define MK_FETCHER_KEYS_H

#include "agent/fetcher/driver.h"
#include "agent/ipc/msgs.h"

struct mk_keys;

/* told: there are keys, or they could not be had; m is borrowed. Also from inside mk_keys_begin and mk_keys_wanted. */
typedef void mk_keys_told_fn(void *arg, const struct mk_msg_keys *m);

mk_must mk_keys_new(const struct mk_msg_keys_from *from, bool in_pod, struct mk_keys **ret);
struct mk_keys *mk_keys_free(struct mk_keys *k); /* NULL is fine */
const struct mk_msg_keys_from *mk_keys_from(const struct mk_keys *k);

mk_must mk_keys_begin(struct mk_keys *k, struct mk_driver *driver, mk_keys_told_fn *told, void *arg);
void mk_keys_wanted(struct mk_keys *k);   /* asks now, if it is not asking already */
void mk_keys_tell(const struct mk_keys *k); /* the last good ones, if any */

#endif
