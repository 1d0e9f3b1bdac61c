/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests to Vault and OpenBao, and what their statuses mean, as the documented HTTP API
 * has them. Texts say what is wrong and what to do.
 */
#include "backends/vault.h"

#include "mk/own.h"

const char mk_vault_wrong_answer[] = "the store's answer is not what was asked for: check address, mount and kv";
const char mk_vault_no_memory[] = "no memory";

struct mk_url mk_vault_url(const struct mk_conf_backend *conf, char buf[MK_URL_TEXT_MAX])
{
	struct mk_url u = mk_url_of(buf, MK_URL_TEXT_MAX, conf->address);
	mk_url_path(&u, "v1");
	return u;
}

static void header(struct mk_req *out, const char *name, const char *value, const struct mk_secret *secret)
{
	mk_assert(out->n_headers < MK_REQ_HEADERS_MAX);
	out->headers[out->n_headers++] = (struct mk_req_header){ name, value, secret };
}

void mk_vault_request(const struct mk_conf_backend *conf, const char *url, const struct mk_secret *credential, struct mk_req *out)
{
	*out = (struct mk_req){ .kind = MK_REQ_HTTP, .method = MK_HTTP_GET, .url = url, .max = MK_VAULT_ANSWER_MAX };
	header(out, "X-Vault-Request", "true", NULL);
	if (conf->ns[0])
		header(out, "X-Vault-Namespace", conf->ns, NULL);
	if (credential)
		header(out, "X-Vault-Token", "", credential);
}

enum mk_err mk_vault_no_answer(enum mk_err transport, const char **ret_fault)
{
	*ret_fault = NULL;
	if (transport == MK_TOO_LARGE) {
		*ret_fault = "the store's answer is larger than 80 KiB";
		return MK_BACKEND;
	}
	if (transport == MK_NO_MEMORY) {
		*ret_fault = mk_vault_no_memory;
		return MK_NO_MEMORY;
	}
	return transport == MK_TIMEOUT || transport == MK_NOT_READY ? transport : MK_BACKEND;
}

struct row {
	long from, to;
	const char *text;
};

static const char *look_up(const struct row *rows, size_t n, long status)
{
	for (size_t i = 0; i < n; i++)
		if (status >= rows[i].from && status <= rows[i].to)
			return rows[i].text;
	return "the store's answer has a status that its API does not: check address";
}

const char *mk_vault_status_fault(long status)
{
	static const struct row rows[] = {
		{ 200, 299, mk_vault_wrong_answer },
		{ 300, 399, "the store redirects, which is not followed: configure the address of the node that answers" },
		{ 400, 400, "the store refuses the request (400): check mount, path, kv and namespace" },
		{ 403, 403, "the store refuses the credential (403): check its policies there, and auth" },
		{ 404, 404, "the store has no such engine or login method there (404): check address, namespace, mount and kv" },
		{ 412, 412, "the store is not yet as new as what it wrote (412): it is asked again later" },
		{ 429, 429, "the store refuses for now (429): raise its quota, or lower rate" },
		{ 472, 473, "the store is a standby that does not answer this (472, 473): configure the address of the active node" },
		{ 503, 503, "the store is sealed or down for maintenance (503): unseal it" },
		{ 500, 599, "the store fails (5xx): look at its log" },
	};
	return look_up(rows, MK_COUNT(rows), status);
}

bool mk_vault_healthy(long status, const char **ret_fault)
{
	static const struct row rows[] = {
		{ 472, 472, "the store is a disaster recovery secondary, which serves nothing: configure the address of the primary" },
		{ 501, 501, "the store is not initialised: initialise it" },
		{ 503, 503, "the store is sealed: unseal it" },
		{ 300, 399, "the store redirects, which is not followed: configure the address of the node that answers" },
	};
	if (status == 200 || status == 429 || status == 473) /* active, standby, performance standby */
		return true;
	*ret_fault = look_up(rows, MK_COUNT(rows), status);
	return false;
}
