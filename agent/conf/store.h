/* SPDX-License-Identifier: Apache-2.0
 *
 * The kinds of values that backends over HTTP have, and how they log in. Private to this
 * folder.
 */
#ifndef MK_CONF_STORE_H
#define MK_CONF_STORE_H

#include "agent/conf/keys.h"
#include "mk/conf.h"

#define MK_STORE_PATH_MAX 255

/* Into the field's type; of the text kinds the key's max is the bytes that fit, without the NUL. */
extern const struct mk_kind mk_kind_store_address; /* char[MK_URL_MAX] */
extern const struct mk_kind mk_kind_proxy;         /* char[MK_URL_MAX] */
extern const struct mk_kind mk_kind_route;         /* char[max + 1] */
extern const struct mk_kind mk_kind_template;      /* char[max + 1], ends in {connection} */
extern const struct mk_kind mk_kind_label;         /* char[max + 1] */
extern const struct mk_kind mk_kind_vault_auth;    /* struct mk_conf_auth */

/* Of an address that its kind has taken. */
bool mk_address_is_loopback(const char *address);

#endif
