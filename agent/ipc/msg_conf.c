/* SPDX-License-Identifier: Apache-2.0
 *
 * The pieces of a configuration that are not the policy: CONF_BEGIN, CONF_LIMITS,
 * CONF_AUDIT, CONF_STORE, CONF_BACKEND, and the plain number of several messages.
 */
#include "agent/ipc/field.h"

void mk_msg_begin_write(struct mk_wr *w, const struct mk_msg_begin *m)
{
	mk_wr_u32(w, m->generation); /* first: the link compares it with the frame's own */
	mk_wr_word(w, &m->environment);
	mk_wr_u8(w, (uint8_t)m->platform);
	mk_wr_u32(w, m->exceptions);
}

enum mk_err mk_msg_begin_read(struct mk_span body, struct mk_msg_begin *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_begin m = { .generation = mk_rd_u32(&r) };
	mk_rd_need(&r, m.generation != 0);
	m.environment = mk_rd_some_word(&r);
	m.platform = (enum mk_platform)mk_rd_below(&r, MK_POD + 1);
	m.exceptions = mk_rd_u32(&r);
	mk_rd_need(&r, m.exceptions >> MK_GUARDS_MAX == 0);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

void mk_msg_number_write(struct mk_wr *w, const struct mk_msg_number *m)
{
	mk_wr_u32(w, m->n);
}

enum mk_err mk_msg_number_read(struct mk_span body, struct mk_msg_number *ret)
{
	struct mk_rd r = mk_rd_of(body);
	const struct mk_msg_number m = { .n = mk_rd_u32(&r) };
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

void mk_msg_limits_write(struct mk_wr *w, const struct mk_msg_limits *m)
{
	mk_wr_i64(w, m->refresh.ttl_ms);
	mk_wr_u8(w, m->refresh.jitter_percent);
	mk_wr_bool(w, m->refresh.prefetch);
	mk_wr_i64(w, m->refresh.serve_stale_ms);
	mk_wr_u32(w, m->limits.connections);
	mk_wr_u32(w, m->limits.connections_per_uid);
	mk_wr_i64(w, m->limits.head_timeout_ms);
	mk_wr_i64(w, m->limits.write_timeout_ms);
	mk_wr_i64(w, m->limits.idle_timeout_ms);
	mk_wr_u32(w, m->limits.waiters_per_uid);
}

enum mk_err mk_msg_limits_read(struct mk_span body, struct mk_msg_limits *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_limits m = { .refresh.ttl_ms = mk_rd_ms(&r) };
	m.refresh.jitter_percent = mk_rd_below(&r, 101);
	m.refresh.prefetch = mk_rd_bool(&r);
	m.refresh.serve_stale_ms = mk_rd_ms(&r);
	m.limits.connections = mk_rd_u32(&r);
	m.limits.connections_per_uid = mk_rd_u32(&r);
	m.limits.head_timeout_ms = mk_rd_ms(&r);
	m.limits.write_timeout_ms = mk_rd_ms(&r);
	m.limits.idle_timeout_ms = mk_rd_ms(&r);
	m.limits.waiters_per_uid = mk_rd_u32(&r);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

void mk_msg_audit_write(struct mk_wr *w, const struct mk_msg_audit *m)
{
	mk_wr_str(w, m->audit.file);
	mk_wr_bytes(w, mk_span(m->audit.recipient, sizeof m->audit.recipient));
	mk_wr_u64(w, m->audit.max_size);
	mk_wr_u32(w, m->audit.keep);
	mk_wr_bytes(w, mk_span(m->policy_digest, sizeof m->policy_digest));
}

static void rd_into(struct mk_rd *r, uint8_t *to, size_t n)
{
	const struct mk_span s = mk_rd_bytes(r, n);
	if (!r->bad && s.n == n)
		memcpy(to, s.p, n);
}

enum mk_err mk_msg_audit_read(struct mk_span body, struct mk_msg_audit *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_audit m = { 0 };
	mk_rd_path(&r, m.audit.file, sizeof m.audit.file);
	mk_rd_need(&r, m.audit.file[0] != '\0');
	rd_into(&r, m.audit.recipient, sizeof m.audit.recipient);
	m.audit.max_size = mk_rd_u64(&r);
	m.audit.keep = mk_rd_u32(&r);
	rd_into(&r, m.policy_digest, sizeof m.policy_digest);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

void mk_msg_state_write(struct mk_wr *w, const struct mk_msg_state *m)
{
	mk_wr_str(w, m->dir);
	mk_wr_u32(w, m->two_person);
	mk_wr_str(w, m->key_file);
	mk_wr_bool(w, m->accept_rollback);
	mk_wr_bool(w, m->accept_clock);
}

enum mk_err mk_msg_state_read(struct mk_span body, struct mk_msg_state *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_state m = { 0 };
	mk_rd_path(&r, m.dir, sizeof m.dir);
	mk_rd_need(&r, m.dir[0] != '\0');
	m.two_person = mk_rd_u32(&r);
	mk_rd_need(&r, m.two_person >> MK_ACTION_COUNT == 0);
	mk_rd_path(&r, m.key_file, sizeof m.key_file);
	m.accept_rollback = mk_rd_bool(&r);
	m.accept_clock = mk_rd_bool(&r);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

void mk_msg_store_write(struct mk_wr *w, const struct mk_msg_store *m)
{
	mk_wr_u8(w, m->index);
	mk_wr_word(w, &m->name);
	mk_wr_str(w, m->type);
	mk_wr_bool(w, m->trust_tags);
	mk_wr_bool(w, m->require_tag);
	mk_wr_bool(w, m->writable);
	mk_wr_u32(w, m->calls_per_hour);
}

enum mk_err mk_msg_store_read(struct mk_span body, struct mk_msg_store *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_store m = { .index = mk_rd_below(&r, MK_BACKENDS_MAX) };
	m.name = mk_rd_some_word(&r);
	mk_rd_str(&r, m.type, sizeof m.type);
	m.trust_tags = mk_rd_bool(&r);
	m.require_tag = mk_rd_bool(&r);
	m.writable = mk_rd_bool(&r);
	m.calls_per_hour = mk_rd_u32(&r);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}

static void wr_auth(struct mk_wr *w, const struct mk_conf_auth *a)
{
	mk_wr_str(w, a->method);
	mk_wr_str(w, a->mount);
	mk_wr_str(w, a->role);
	mk_wr_str(w, a->token_file);
	mk_wr_str(w, a->role_id_file);
	mk_wr_str(w, a->secret_id_file);
	mk_wr_bool(w, a->wrapped);
	mk_wr_str(w, a->jwt_file);
	mk_wr_str(w, a->cert_file);
	mk_wr_str(w, a->cert_key_file);
}

static void rd_auth(struct mk_rd *r, struct mk_conf_auth *ret)
{
	mk_rd_str(r, ret->method, sizeof ret->method);
	mk_rd_str(r, ret->mount, sizeof ret->mount);
	mk_rd_str(r, ret->role, sizeof ret->role);
	mk_rd_path(r, ret->token_file, sizeof ret->token_file);
	mk_rd_path(r, ret->role_id_file, sizeof ret->role_id_file);
	mk_rd_path(r, ret->secret_id_file, sizeof ret->secret_id_file);
	ret->wrapped = mk_rd_bool(r);
	mk_rd_path(r, ret->jwt_file, sizeof ret->jwt_file);
	mk_rd_path(r, ret->cert_file, sizeof ret->cert_file);
	mk_rd_path(r, ret->cert_key_file, sizeof ret->cert_key_file);
}

void mk_msg_backend_write(struct mk_wr *w, const struct mk_msg_backend *m)
{
	const struct mk_conf_backend *b = &m->backend;
	mk_wr_u8(w, m->index);
	mk_wr_word(w, &b->name);
	mk_wr_str(w, b->type);
	mk_wr_str(w, b->file);
	mk_wr_str(w, b->key_file);
	mk_wr_str(w, b->passphrase_file);
	mk_wr_i64(w, b->timeout_ms);
	mk_wr_bool(w, b->trust_tags);
	mk_wr_bool(w, b->writable);
	mk_wr_str(w, b->ca_file);
	mk_wr_str(w, b->proxy);
	mk_wr_u32(w, b->calls_per_hour);
	mk_wr_str(w, b->address);
	mk_wr_str(w, b->ns);
	mk_wr_str(w, b->mount);
	mk_wr_str(w, b->path);
	mk_wr_u8(w, b->kv);
	wr_auth(w, &b->auth);
}

static void rd_http(struct mk_rd *r, struct mk_conf_backend *ret)
{
	mk_rd_path(r, ret->ca_file, sizeof ret->ca_file);
	mk_rd_str(r, ret->proxy, sizeof ret->proxy);
	ret->calls_per_hour = mk_rd_u32(r);
	mk_rd_str(r, ret->address, sizeof ret->address);
	mk_rd_str(r, ret->ns, sizeof ret->ns);
	mk_rd_str(r, ret->mount, sizeof ret->mount);
	mk_rd_str(r, ret->path, sizeof ret->path);
	ret->kv = mk_rd_below(r, 3);
	rd_auth(r, &ret->auth);
}

enum mk_err mk_msg_backend_read(struct mk_span body, struct mk_msg_backend *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_msg_backend m = { .index = mk_rd_below(&r, MK_BACKENDS_MAX) };
	m.backend.name = mk_rd_some_word(&r);
	mk_rd_str(&r, m.backend.type, sizeof m.backend.type);
	mk_rd_path(&r, m.backend.file, sizeof m.backend.file);
	mk_rd_path(&r, m.backend.key_file, sizeof m.backend.key_file);
	mk_rd_path(&r, m.backend.passphrase_file, sizeof m.backend.passphrase_file);
	m.backend.timeout_ms = mk_rd_ms(&r);
	m.backend.trust_tags = mk_rd_bool(&r);
	m.backend.writable = mk_rd_bool(&r);
	rd_http(&r, &m.backend);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	return MK_OK;
}
