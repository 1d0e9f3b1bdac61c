/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes to KV 2 and KV 1. A pending value is a secret of its own, PATH--pending, which no
 * list of connections names; promoted, it is written as PATH's next version (whose tags
 * stay: they are the secret's, not the version's) and taken away with all it was.
 *
 * put       is PATH's version the expected one?, then PATH--pending, which must not be there (cas 0)
 * promote   both are read, PATH is written where it still is what was read (cas), PATH--pending goes
 * discard   PATH--pending goes, also one that somebody deleted by hand, with its versions: else cas 0 would
 *           not hold again
 * disable   delete/PATH and undelete/PATH of one version
 *
 * That a write failed for its cas is not believed of the answer's words: it is looked up. A promotion whose end
 * is not known may be asked for again: where PATH already has the value, only what is left is done.
 * KV 1 has neither versions nor cas: between the look and the write somebody else's write is lost. Nothing is
 * written twice by itself: each write goes out once.
 */
#include "backends/unflatten.h"
#include "backends/vault_op.h"
#include "agent/base/clock.h"
#include "mk/own.h"

#include <inttypes.h>
#include <stdio.h>

static const char no_pending[] = "the store has no pending version of that name";
static const char no_version[] = "the store has no such name or version";
static const char not_expected[] = "the store's current version is another one by now";
static const char has_pending[] = "the store has a pending version of that name already: promote or discard it first";
static const char no_marks[] = "KV version 1 cannot disable a version: use kv = 2";
static const char bad_value[] = "the value to be put is no secret";
static const char bad_number[] = "KV version 2 keeps integers of 53 bits: write a larger one as a string, or use kv = 1";

static bool kv2(const struct mk_op *op)
{
	return op->conf->kv == 2;
}

/* The value as JSON, with KV 2's envelope, into the operation's body. */
static mk_must value_body(struct mk_op *op, const struct mk_secret *leaves, int64_t cas, const char **ret_fault)
{
	struct mk_vault_op *v = op->state;
	mk_auto(mk_secret_freep) struct mk_secret *whole = NULL;
	size_t n = 0;
	MK_TRY(mk_secret_new(MK_SECRET_LARGE, &whole));
	struct mk_jw w = mk_jw_of(mk_secret_buf(whole), mk_secret_cap(whole));
	if (kv2(op)) {
		mk_jw_open(&w, '{');
		mk_jw_key(&w, "options");
		mk_jw_open(&w, '{');
		mk_jw_knum(&w, "cas", cas);
		mk_jw_close(&w, '}');
		mk_jw_key(&w, "data");
	}
	*ret_fault = bad_value;
	MK_TRY(mk_unflatten(mk_secret_span(leaves), &w));
	if (kv2(op))
		mk_jw_close(&w, '}');
	MK_TRY(mk_jw_end(&w, &n));
	*ret_fault = bad_number;
	MK_TRY(mk_vault_fits(mk_secret_span(leaves), mk_span(mk_secret_buf(whole), n), kv2(op)));
	v->body = mk_secret_free(v->body);
	return mk_secret_copy(mk_span(mk_secret_buf(whole), n), &v->body);
}

static mk_must version_body(struct mk_op *op, int64_t version)
{
	struct mk_vault_op *v = op->state;
	char text[64];
	const int n = snprintf(text, sizeof text, "{\"versions\":[%" PRId64 "]}", version);
	v->body = mk_secret_free(v->body);
	return mk_secret_copy(mk_span(text, (size_t)n), &v->body);
}

/* bad: of BAD_REQUEST. */
static enum mk_step fail_body(struct mk_op *op, enum mk_err e, const char *bad)
{
	if (e == MK_TOO_LARGE)
		return mk_step_fail(op, e, "the secret is larger than 80 KiB as JSON: make it smaller");
	return mk_step_fail(op, e, e == MK_NO_MEMORY ? mk_vault_no_memory : bad);
}

/* As mk_vault_ask, for what changes something. */
static enum mk_step write_out(struct mk_op *op, struct mk_url *u, enum mk_method method, enum mk_vault_at next, struct mk_req *out)
{
	const struct mk_vault_op *v = op->state;
	const enum mk_step s = mk_vault_ask(op, u, next, out);
	out->method = method;
	out->body = method == MK_HTTP_POST ? v->body : NULL;
	out->once = true;
	return s;
}

static enum mk_step ask_for(struct mk_op *op, const char *under, bool pending, enum mk_vault_at next, struct mk_req *out)
{
	struct mk_url u = mk_vault_secret_url(op, under, pending);
	return mk_vault_ask(op, &u, next, out);
}

static enum mk_step write_value(struct mk_op *op, const struct mk_secret *leaves, bool pending, struct mk_req *out)
{
	const struct mk_vault_op *v = op->state;
	const char *fault = bad_value;
	const enum mk_err e = value_body(op, leaves, pending ? 0 : v->current, &fault);
	struct mk_url u = mk_vault_secret_url(op, "data", pending);
	return e == MK_OK ? write_out(op, &u, MK_HTTP_POST, pending ? W_PUT : W_PROMOTED, out) : fail_body(op, e, fault);
}

static enum mk_step drop(struct mk_op *op, struct mk_req *out)
{
	struct mk_url u = mk_vault_secret_url(op, "metadata", true);
	return write_out(op, &u, MK_HTTP_DELETE, W_DROP, out);
}

/* --- answers */

enum kind { GOOD, MISSING, REFUSED, FAULTY };

static enum kind kind_of(const struct mk_res *res)
{
	if (res->status == 200 || res->status == 204)
		return GOOD;
	if (res->status == 404 && mk_vault_says_missing(res->body))
		return MISSING;
	return res->status == 400 ? REFUSED : FAULTY;
}

static enum mk_step fail_status(struct mk_op *op, const struct mk_res *res)
{
	return mk_step_fail(op, MK_BACKEND, mk_vault_status_fault(res->status));
}

/* Which version is current, by PATH's metadata or, with KV 1, by its value. */
static mk_must read_current(struct mk_op *op, struct mk_span body, char version[MK_VERSION_MAX + 1])
{
	mk_auto(mk_secret_freep) struct mk_secret *leaves = NULL;
	struct mk_meta m = { .version = "" };
	struct mk_vault_standing s = { .current = 0 };
	if (kv2(op)) {
		MK_TRY(mk_vault_read_standing(body, 0, &s));
		snprintf(version, MK_VERSION_MAX + 1, "%" PRId64, s.current);
		return MK_OK;
	}
	MK_TRY(mk_vault_read_value(op, body, 0, &m, &leaves));
	memcpy(version, m.version, sizeof m.version);
	return MK_OK;
}

/* KV 2 sees by itself whether something is pending. */
static enum mk_step put(struct mk_op *op, struct mk_req *out)
{
	return kv2(op) ? write_value(op, op->value, true, out) : ask_for(op, "", true, W_FREE, out);
}

static enum mk_step on_expect(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_req *out)
{
	char version[MK_VERSION_MAX + 1] = "";
	const enum mk_err e = kind == GOOD ? read_current(op, res->body, version) : MK_OK;
	if (e != MK_OK)
		return mk_vault_fail_read(op, e);
	return strcmp(version, op->expect) == 0 ? put(op, out) : mk_step_fail(op, MK_CONFLICT, not_expected);
}

static enum mk_step on_free(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_req *out)
{
	(void)res;
	return kind == MISSING ? write_value(op, op->value, true, out) : mk_step_fail(op, MK_CONFLICT, has_pending);
}

static enum mk_step on_put(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_req *out)
{
	if (kind == REFUSED && kv2(op))
		return ask_for(op, "metadata", true, W_PUT_CHECK, out);
	if (kind != GOOD)
		return fail_status(op, res);
	if (!kv2(op))
		return ask_for(op, "", true, W_PUT_READ, out);
	const enum mk_err e = mk_vault_read_written(res->body, &op->meta);
	if (e != MK_OK)
		return mk_vault_fail_read(op, e);
	mk_vault_pending_id(&op->meta);
	return MK_STEP_DONE;
}

static enum mk_step on_put_check(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_req *out)
{
	(void)res, (void)out;
	return kind == GOOD ? mk_step_fail(op, MK_CONFLICT, has_pending) : mk_step_fail(op, MK_BACKEND, mk_vault_status_fault(400));
}

static enum mk_step on_put_read(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_req *out)
{
	(void)out;
	mk_auto(mk_secret_freep) struct mk_secret *leaves = NULL;
	const enum mk_err e = kind == GOOD ? mk_vault_read_value(op, res->body, 0, &op->meta, &leaves) : MK_BAD_REQUEST;
	return e == MK_OK ? MK_STEP_DONE : mk_vault_fail_read(op, e);
}

static enum mk_step on_pending(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_req *out)
{
	struct mk_vault_op *v = op->state;
	if (kind == MISSING)
		return mk_vault_fail_gone(op, res->body, no_pending);
	const enum mk_err e = mk_vault_read_value(op, res->body, 0, &op->meta, &v->pending);
	return e == MK_OK ? ask_for(op, "data", false, W_CURRENT, out) : mk_vault_fail_read(op, e);
}

/* The current version, its number for the cas, and its value where it has one that is served. */
static mk_must take_current(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_meta *ret, struct mk_secret **ret_leaves)
{
	struct mk_vault_op *v = op->state;
	struct mk_vault_gone gone = { .version = 0 };
	if (kind == GOOD) {
		MK_TRY(mk_vault_read_value(op, res->body, 0, ret, ret_leaves));
		return kv2(op) ? mk_vault_number_of(ret->version, &v->current) : MK_OK;
	}
	MK_TRY(mk_vault_read_gone(res->body, &gone));
	v->current = gone.version;
	if (gone.version > 0)
		snprintf(ret->version, sizeof ret->version, "%" PRId64, gone.version);
	return MK_OK;
}

/* Where PATH has the value already, an earlier promotion did that, and its answer or its end got lost. */
static enum mk_step on_current(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_req *out)
{
	struct mk_vault_op *v = op->state;
	mk_auto(mk_secret_freep) struct mk_secret *leaves = NULL;
	struct mk_meta now = { .version = "" };
	const enum mk_err e = take_current(op, res, kind, &now, &leaves);
	if (e != MK_OK)
		return mk_vault_fail_read(op, e);
	const bool as_expected = op->expect[0] && strcmp(op->expect, now.version) == 0;
	if (!as_expected && leaves && mk_secret_same(leaves, v->pending)) {
		op->meta = now;
		return drop(op, out);
	}
	if (op->expect[0] && !as_expected)
		return mk_step_fail(op, MK_CONFLICT, not_expected);
	return write_value(op, v->pending, false, out);
}

static enum mk_step on_promoted(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_req *out)
{
	if (kind == REFUSED && kv2(op))
		return ask_for(op, "metadata", false, W_STALE, out);
	if (kind != GOOD)
		return fail_status(op, res);
	const enum mk_err e = kv2(op) ? mk_vault_read_written(res->body, &op->meta) : MK_OK; /* else meta is the pending one's */
	return e == MK_OK ? drop(op, out) : mk_vault_fail_read(op, e);
}

static enum mk_step on_stale(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_req *out)
{
	(void)out;
	const struct mk_vault_op *v = op->state;
	struct mk_vault_standing s = { .current = 0 };
	const enum mk_err e = kind == GOOD ? mk_vault_read_standing(res->body, 0, &s) : MK_OK;
	if (e != MK_OK)
		return mk_vault_fail_read(op, e);
	return s.current != v->current ? mk_step_fail(op, MK_CONFLICT, not_expected) :
					 mk_step_fail(op, MK_BACKEND, mk_vault_status_fault(400));
}

static enum mk_step on_find(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_req *out)
{
	(void)res;
	return kind == GOOD ? drop(op, out) : mk_step_fail(op, MK_NOT_FOUND, no_pending);
}

static enum mk_step on_done(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_req *out)
{
	(void)op, (void)res, (void)kind, (void)out;
	return MK_STEP_DONE;
}

static enum mk_step on_version(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_req *out)
{
	struct mk_vault_standing s = { .deleted_ms = MK_TIME_NONE };
	int64_t version = 0;
	if (kind == MISSING || (op->expect[0] && mk_vault_number_of(op->expect, &version) != MK_OK))
		return mk_step_fail(op, MK_NOT_FOUND, no_version);
	enum mk_err e = mk_vault_read_standing(res->body, version, &s);
	if (e != MK_OK)
		return mk_vault_fail_read(op, e);
	if (!s.there)
		return mk_step_fail(op, MK_NOT_FOUND, no_version);
	version = version > 0 ? version : s.current;
	const bool off = s.deleted_ms != MK_TIME_NONE && s.deleted_ms <= op->wall_ms;
	op->already = off == (op->verb == MK_VERB_DISABLE); /* asked for all the same: a deletion may be dated ahead */
	snprintf(op->meta.version, sizeof op->meta.version, "%" PRId64, version);
	e = version_body(op, version);
	struct mk_url u = mk_vault_secret_url(op, op->verb == MK_VERB_DISABLE ? "delete" : "undelete", false);
	return e == MK_OK ? write_out(op, &u, MK_HTTP_POST, W_MARKED, out) : fail_body(op, e, bad_value);
}

/* Which answers a state takes; the others fail by their status. */
struct state {
	enum mk_step (*on)(struct mk_op *op, const struct mk_res *res, enum kind kind, struct mk_req *out);
	unsigned takes; /* bits of enum kind */
};
#define TAKES(a, b) (1u << (a) | 1u << (b))

enum mk_step mk_vault_write_on(struct mk_op *op, const struct mk_res *res, struct mk_req *out)
{
	static const struct state states[V_STATES] = {
		[W_EXPECT] = { on_expect, TAKES(GOOD, MISSING) },   [W_FREE] = { on_free, TAKES(GOOD, MISSING) },
		[W_PUT] = { on_put, TAKES(GOOD, REFUSED) },         [W_PUT_CHECK] = { on_put_check, TAKES(GOOD, MISSING) },
		[W_PUT_READ] = { on_put_read, TAKES(GOOD, GOOD) },  [W_PENDING] = { on_pending, TAKES(GOOD, MISSING) },
		[W_CURRENT] = { on_current, TAKES(GOOD, MISSING) }, [W_PROMOTED] = { on_promoted, TAKES(GOOD, REFUSED) },
		[W_STALE] = { on_stale, TAKES(GOOD, MISSING) },     [W_FIND] = { on_find, TAKES(GOOD, MISSING) },
		[W_DROP] = { on_done, TAKES(GOOD, MISSING) },       [W_VERSION] = { on_version, TAKES(GOOD, MISSING) },
		[W_MARKED] = { on_done, TAKES(GOOD, GOOD) },
	};
	const struct mk_vault_op *v = op->state;
	const struct state *s = &states[v->at];
	const enum kind kind = kind_of(res);
	mk_assert(s->on);
	return s->takes & 1u << kind ? s->on(op, res, kind, out) : fail_status(op, res);
}

static enum mk_step begin_put(struct mk_op *op, struct mk_req *out)
{
	if (!op->value)
		return mk_step_fail(op, MK_BUG, bad_value);
	return op->expect[0] ? ask_for(op, "metadata", false, W_EXPECT, out) : put(op, out);
}

enum mk_step mk_vault_write_begin(struct mk_op *op, struct mk_req *out)
{
	if (op->verb == MK_VERB_PUT)
		return begin_put(op, out);
	if (op->verb == MK_VERB_PROMOTE)
		return ask_for(op, "data", true, W_PENDING, out);
	if (op->verb == MK_VERB_DISCARD)
		return ask_for(op, "metadata", true, W_FIND, out);
	if (op->verb != MK_VERB_DISABLE && op->verb != MK_VERB_ENABLE)
		return mk_step_fail(op, MK_BUG, "no such verb");
	return kv2(op) ? ask_for(op, "metadata", false, W_VERSION, out) : mk_step_fail(op, MK_METHOD, no_marks);
}
