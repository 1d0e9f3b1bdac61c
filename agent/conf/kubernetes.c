/* SPDX-License-Identifier: Apache-2.0
 *
 * The section `kubernetes`: whose service-account tokens count in this pod, and where the
 * keys come from that signed them. Touches no file.
 */
#include "agent/conf/sections.h"
#include "agent/conf/store.h"

#include "mk/own.h"

#define API_SERVER "https://kubernetes.default.svc"
#define MOUNTED "/run/secrets/kubernetes.io/serviceaccount/" /* where a kubelet puts the pod's own credential */

#define AT(field) offsetof(struct mk_conf_kubernetes, field)
#define FITS(field) ((int64_t)sizeof(((struct mk_conf_kubernetes *)NULL)->field) - 1)

/* Of the same struct: what is below `jwks` stands beside the rest. */
static const struct mk_key jwks_keys[] = {
	{ "address", &mk_kind_store_address, AT(address), .required = false },
	{ "ca_file", &mk_kind_path, AT(ca_file), .required = false },
	{ "token_file", &mk_kind_path, AT(token_file), .required = false },
};
static const struct mk_section jwks = MK_SECTION(jwks_keys);

static const struct mk_key kubernetes_keys[] = {
	{ "audience", &mk_kind_label, AT(audience), .required = true, .max = FITS(audience) },
	{ "issuer", &mk_kind_label, AT(issuer), .required = true, .max = FITS(issuer) },
	{ "pod_uid_file", &mk_kind_path, AT(pod_uid_file), .required = true },
	{ "jwks_file", &mk_kind_path, AT(jwks_file), .required = false },
	{ "jwks", &mk_kind_section, 0, .more = &jwks },
};
const struct mk_section mk_kubernetes_section = MK_SECTION(kubernetes_keys);

static void default_to(char *at, size_t cap, const char *text)
{
	if (!at[0])
		memcpy(at, text, strnlen(text, cap - 1) + 1);
}

mk_must mk_kubernetes_check(struct mk_reader *r, const config_setting_t *root, struct mk_conf_kubernetes *k)
{
	const config_setting_t *s = config_setting_get_member(root, "kubernetes");
	if (!s)
		return MK_OK;
	if (!r->in_pod)
		return mk_keys_refuse(r, s, "\"kubernetes\" is for pods: set platform = \"pod\", or remove the section");
	const bool asked = mk_keys_has(s, "jwks");
	if (asked == (k->jwks_file[0] != '\0'))
		return mk_keys_refuse(r, s, "\"kubernetes\" has %s: the keys that sign tokens come from a file that you keep, or from the "
				      "API server", asked ? "both jwks and jwks_file" : "neither jwks nor jwks_file");
	k->on = true;
	if (!asked)
		return MK_OK;
	default_to(k->address, sizeof k->address, API_SERVER);
	default_to(k->ca_file, sizeof k->ca_file, MOUNTED "ca.crt");
	default_to(k->token_file, sizeof k->token_file, MOUNTED "token");
	return MK_OK;
}
