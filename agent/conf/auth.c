/* SPDX-License-Identifier: Apache-2.0
 *
 * How the agent logs in to Vault: `method` decides which other keys there are, each method
 * with a table of its own. Credentials stand in files, never here.
 */
#include "agent/conf/store.h"

#include "mk/own.h"

#define GROUP (1u << CONFIG_TYPE_GROUP)
/* A kubelet mounts it below /var/run, which is a link to /run. */
#define SERVICE_ACCOUNT_TOKEN "/run/secrets/kubernetes.io/serviceaccount/token"

enum method { TOKEN, APPROLE, KUBERNETES, JWT, CERT, METHOD_COUNT };
static const char *const methods[] = {
	[TOKEN] = "token", [APPROLE] = "approle", [KUBERNETES] = "kubernetes", [JWT] = "jwt", [CERT] = "cert", NULL
};
_Static_assert(MK_COUNT(methods) == METHOD_COUNT + 1, "each method has its word");

struct auth { /* as written */
	struct mk_conf_auth conf;
	unsigned method;
};

#define AT(field) offsetof(struct auth, conf.field)
#define FITS(field) ((int64_t)sizeof(((struct auth *)NULL)->conf.field) - 1)
#define METHOD_KEY { "method", &mk_kind_choice, offsetof(struct auth, method), .required = true, .more = methods }
#define FILE_KEY(name, must) { #name, &mk_kind_path, AT(name), .required = (must) }
#define CERT_KEYS(must) FILE_KEY(cert_file, must), FILE_KEY(cert_key_file, must)
#define MOUNT_KEY { "mount", &mk_kind_route, AT(mount), .max = FITS(mount) }
#define ROLE_KEY(must) { "role", &mk_kind_label, AT(role), .required = (must), .max = FITS(role) }

static const struct mk_key token_keys[] = { METHOD_KEY, FILE_KEY(token_file, true), CERT_KEYS(false) };
static const struct mk_key approle_keys[] = {
	METHOD_KEY, MOUNT_KEY, FILE_KEY(role_id_file, true), FILE_KEY(secret_id_file, true),
	{ "wrapped", &mk_kind_bool, AT(wrapped), .required = false }, CERT_KEYS(false),
};
static const struct mk_key kubernetes_keys[] = { METHOD_KEY, MOUNT_KEY, ROLE_KEY(true), FILE_KEY(jwt_file, false), CERT_KEYS(false) };
static const struct mk_key jwt_keys[] = { METHOD_KEY, MOUNT_KEY, ROLE_KEY(true), FILE_KEY(jwt_file, true), CERT_KEYS(false) };
static const struct mk_key cert_keys[] = { METHOD_KEY, MOUNT_KEY, ROLE_KEY(false), CERT_KEYS(true) };

static const struct mk_section tables[] = {
	[TOKEN] = MK_SECTION(token_keys), [APPROLE] = MK_SECTION(approle_keys), [KUBERNETES] = MK_SECTION(kubernetes_keys),
	[JWT] = MK_SECTION(jwt_keys), [CERT] = MK_SECTION(cert_keys),
};

static enum mk_err read_auth(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	static const struct mk_key method_key = METHOD_KEY;
	struct auth a = { .method = METHOD_COUNT };
	(void)k;
	MK_TRY(mk_keys_read_one(r, &method_key, s, &a));
	const char *word = methods[a.method];
	memcpy(a.conf.method, word, strlen(word) + 1);
	memcpy(a.conf.mount, word, strlen(word) + 1);
	if (a.method == KUBERNETES)
		memcpy(a.conf.jwt_file, SERVICE_ACCOUNT_TOKEN, sizeof SERVICE_ACCOUNT_TOKEN);
	MK_TRY(mk_keys_read(r, &tables[a.method], s, &a));
	if (!a.conf.cert_file[0] != !a.conf.cert_key_file[0])
		return mk_keys_refuse(r, s, "auth has %s without %s: a client certificate needs both files",
				      a.conf.cert_file[0] ? "cert_file" : "cert_key_file",
				      a.conf.cert_file[0] ? "cert_key_file" : "cert_file");
	memcpy(at, &a.conf, sizeof a.conf);
	return MK_OK;
}

const struct mk_kind mk_kind_vault_auth = { "a group such as { method = \"approle\"; role_id_file = \"…\"; secret_id_file = \"…\"; }", GROUP,
					    read_auth };
