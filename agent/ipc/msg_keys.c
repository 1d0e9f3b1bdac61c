/* SPDX-License-Identifier: Apache-2.0
 *
 * Service-account tokens: CONF_KUBERNETES, CONF_KEYS_FROM, KEYS. What is read of KEYS has
 * the form of keys; whether a point lies on its curve is the verifier's to say.
 */
#include "agent/ipc/field.h"
#include "agent/ipc/ipc.h"

static void rd_text(struct mk_rd *r, char *buf, size_t cap)
{
	mk_rd_str(r, buf, cap);
	mk_rd_need(r, r->bad || buf[0] != '\0');
}

void mk_msg_kubernetes_write(struct mk_wr *w, const struct mk_msg_kubernetes *m)
{
	mk_wr_str(w, m->audience);
	mk_wr_str(w, m->issuer);
	mk_wr_str(w, m->pod_uid);
	mk_wr_str(w, m->address);
	mk_wr_var(w, m->jwks);
}

enum mk_err mk_msg_kubernetes_read(struct mk_span body, struct mk_msg_kubernetes *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_kubernetes m = { .address = "" };
	rd_text(&r, m.audience, sizeof m.audience);
	rd_text(&r, m.issuer, sizeof m.issuer);
	rd_text(&r, m.pod_uid, sizeof m.pod_uid);
	mk_rd_str(&r, m.address, sizeof m.address);
	m.jwks = mk_rd_var(&r, MK_JWKS_TEXT_MAX);
	mk_rd_need(&r, (m.address[0] != '\0') == (m.jwks.n == 0));
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

void mk_msg_keys_from_write(struct mk_wr *w, const struct mk_msg_keys_from *m)
{
	mk_wr_str(w, m->address);
	mk_wr_str(w, m->ca_file);
	mk_wr_str(w, m->token_file);
}

enum mk_err mk_msg_keys_from_read(struct mk_span body, struct mk_msg_keys_from *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_keys_from m = { .address = "" };
	rd_text(&r, m.address, sizeof m.address);
	mk_rd_path(&r, m.ca_file, sizeof m.ca_file);
	mk_rd_path(&r, m.token_file, sizeof m.token_file);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

static void wr_key(struct mk_wr *w, const struct mk_jwk *k)
{
	mk_wr_u8(w, (uint8_t)k->type);
	mk_wr_str(w, k->kid);
	if (k->type == MK_JWK_RSA) {
		mk_wr_var(w, mk_span(k->n, k->n_len));
		mk_wr_u32(w, k->e);
	} else {
		mk_wr_bytes(w, mk_span(k->x, sizeof k->x));
		mk_wr_bytes(w, mk_span(k->y, sizeof k->y));
	}
}

static void rd_into(struct mk_rd *r, struct mk_span s, uint8_t *to)
{
	if (!r->bad && s.n > 0)
		memcpy(to, s.p, s.n);
}

static void rd_key(struct mk_rd *r, struct mk_jwk *k)
{
	const uint8_t type = mk_rd_u8(r);
	mk_rd_need(r, type == MK_JWK_RSA || type == MK_JWK_P256);
	k->type = type == MK_JWK_RSA ? MK_JWK_RSA : MK_JWK_P256;
	rd_text(r, k->kid, sizeof k->kid);
	if (k->type == MK_JWK_RSA) {
		const struct mk_span n = mk_rd_var(r, sizeof k->n);
		mk_rd_need(r, n.n >= MK_RSA_LEAST);
		rd_into(r, n, k->n);
		k->n_len = n.n;
		k->e = mk_rd_u32(r);
	} else {
		rd_into(r, mk_rd_bytes(r, sizeof k->x), k->x);
		rd_into(r, mk_rd_bytes(r, sizeof k->y), k->y);
	}
}

void mk_msg_keys_write(struct mk_wr *w, const struct mk_msg_keys *m)
{
	const size_t n = m->err == MK_OK ? m->set.n : 0;
	mk_wr_err(w, m->err);
	mk_wr_u8(w, (uint8_t)n);
	for (size_t i = 0; i < n && i < MK_JWKS_MAX; i++)
		wr_key(w, &m->set.key[i]);
}

enum mk_err mk_msg_keys_read(struct mk_span body, struct mk_msg_keys *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_keys m = { .err = mk_rd_err(&r) };
	const uint8_t n = mk_rd_below(&r, MK_JWKS_MAX + 1);
	mk_rd_need(&r, (m.err == MK_OK) == (n > 0));
	for (uint8_t i = 0; i < n && !r.bad; i++)
		rd_key(&r, &m.set.key[m.set.n++]);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}
