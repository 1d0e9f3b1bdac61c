/* SPDX-License-Identifier: Apache-2.0
 *
 * The `kubernetes` login: a role and the service account's token, which a kubelet renews
 * in its file. What differs from `jwt` is the store's side, and the defaults here.
 */
#include "backends/login_common.h"

extern const struct mk_login mk_login_kubernetes;
const struct mk_login mk_login_kubernetes = {
	.name = "kubernetes", .state_size = sizeof(struct mk_login_state), .step = mk_login_by_jwt, .done = mk_login_state_done,
};
