/* SPDX-License-Identifier: Apache-2.0
 *
 * The messages about service-account tokens; part of msgs.h, which says how they are
 * written and read.
 */
#ifndef MK_MSG_KEYS_H
#define MK_MSG_KEYS_H

#include "mk/conf.h"
#include "mk/jwk.h"

struct mk_msg_kubernetes { /* CONF_KUBERNETES */
	char audience[128], issuer[256], pod_uid[MK_POD_UID_MAX + 1];
	char address[MK_URL_MAX]; /* of the API server; "" : the keys are in jwks */
	struct mk_span jwks;      /* a key set's text, not parsed yet */
};
struct mk_msg_keys_from { /* CONF_KEYS_FROM */
	char address[MK_URL_MAX], ca_file[MK_PATH_MAX], token_file[MK_PATH_MAX];
};
struct mk_msg_keys { /* KEYS: none where err is not OK */
	enum mk_err err;
	struct mk_jwks set;
};

#endif
