/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as the answers of a Vault: the first byte picks the operation or login, then
 * come answers, each a status byte, two bytes of length, and a body. Whatever they hold,
 * an operation ends within its steps, and what it took keeps the contract: names in
 * order, a version, a leaf list that its own check takes, a credential fit for a header.
 * Nothing stays behind.
 */
#include "agent/base/secret.h"
#include "mk/backend.h"
#include "mk/own.h"

#include <stdlib.h>

#define STEPS_MAX 9u

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct input {
	const uint8_t *p;
	size_t n;
};

static const long statuses[] = { 200, 200, 200, 404, 403, 400, 204, 301, 429, 472, 500, 501, 503 };
static const enum mk_err errors[] = { MK_TIMEOUT, MK_BACKEND, MK_TOO_LARGE, MK_NOT_READY, MK_NO_MEMORY, MK_NOT_FOUND, MK_DENIED };

static uint8_t byte(struct input *in)
{
	if (in->n == 0)
		return 0;
	in->n--;
	return *in->p++;
}

static struct mk_res answer(struct input *in, const struct mk_req *req)
{
	const uint8_t kind = byte(in);
	size_t len = byte(in);
	len = len << 8 | byte(in);
	len = len < in->n ? len : in->n;
	len = len < req->max ? len : req->max;
	struct mk_res res = { .body = mk_span(in->p, len) };
	if (kind >= 0xf0)
		res = (struct mk_res){ .err = errors[kind % MK_COUNT(errors)] };
	else if (req->kind == MK_REQ_HTTP)
		res.status = statuses[kind % MK_COUNT(statuses)];
	in->p += len;
	in->n -= len;
	return res;
}

static void check_request(const struct mk_req *req, bool writes_nothing)
{
	mk_assert(req->kind == MK_REQ_FILE || req->once || req->method == MK_HTTP_GET || req->method == MK_HTTP_LIST || writes_nothing);
	mk_assert(req->kind == MK_REQ_FILE ? req->path[0] == '/' && req->private_file : req->url[0] == 'h' && req->n_headers > 0);
	for (const char *c = req->kind == MK_REQ_HTTP ? req->url : ""; *c; c++)
		mk_assert(*c > ' ' && *c <= '~');
}

static struct mk_conf_backend conf_of(uint8_t pick)
{
	struct mk_conf_backend c = { .type = "vault", .address = "https://h:8200", .mount = "kv/m", .path = "a b/p-{connection}",
				     .kv = pick & 1 ? 1 : 2,
				     .auth = { .mount = "m", .role = "r", .token_file = "/t", .role_id_file = "/r", .secret_id_file = "/s",
					       .jwt_file = "/j", .wrapped = (pick & 2) != 0 } };
	return c;
}

static void check_op(const struct mk_op *op, enum mk_step s)
{
	if (s != MK_STEP_DONE) {
		mk_assert(!op->leaves && (s == MK_STEP_LOGIN || op->err != MK_OK));
		return;
	}
	if (op->verb == MK_VERB_GET)
		mk_assert(op->meta.version[0] && op->meta.n_tags <= MK_TAGS_MAX && mk_leaves_check(mk_secret_span(op->leaves)) == MK_OK);
	for (size_t i = 1; i < op->n_listed; i++)
		mk_assert(strcmp(op->listed[i - 1].name.s, op->listed[i].name.s) < 0);
	mk_assert(op->n_listed <= MK_LIST_PAGE_MAX && (op->n_listed == 0 || strcmp(op->listed[0].name.s, op->name.s) > 0));
}

static void run_op(uint8_t pick, struct input *in)
{
	static const struct {
		enum mk_verb verb;
		bool previous, pending;
		char expect[2];
	} asks[16] = {
		{ .verb = MK_VERB_GET }, { .verb = MK_VERB_GET, .previous = true }, { .verb = MK_VERB_LIST }, { .verb = MK_VERB_HEALTH },
		{ .verb = MK_VERB_PUT }, { .verb = MK_VERB_PUT, .expect = "3" }, { .verb = MK_VERB_PROMOTE },
		{ .verb = MK_VERB_PROMOTE, .expect = "3" }, { .verb = MK_VERB_DISCARD }, { .verb = MK_VERB_DISABLE },
		{ .verb = MK_VERB_DISABLE, .expect = "3" }, { .verb = MK_VERB_ENABLE }, { .verb = MK_VERB_GET, .pending = true },
		{ .verb = MK_VERB_ENABLE, .expect = "3" }, { .verb = MK_VERB_GET }, { .verb = MK_VERB_LIST },
	};
	static const uint8_t leaf[] = "\x02\x00/a\x01\x01\x00\x00\x00x";
	const uint8_t ask = pick >> 2 & 15;
	static struct mk_listed listed[MK_LIST_PAGE_MAX];
	const struct mk_backend *b = mk_backend_of("vault");
	const struct mk_conf_backend conf = conf_of(pick);
	mk_auto(mk_secret_freep) struct mk_secret *credential = NULL, *value = NULL;
	mk_auto(mk_freep) void *keep = calloc(1, b->keep_size), *state = calloc(1, b->state_size);
	mk_assert(keep && state && mk_secret_copy(mk_span_of("s.token"), &credential) == MK_OK);
	mk_assert(mk_secret_copy(mk_span(leaf, sizeof leaf - 1), &value) == MK_OK);
	struct mk_op op = { .verb = asks[ask].verb, .conf = &conf, .keep = keep, .credential = credential, .name = { "acme" },
			    .previous = asks[ask].previous, .pending = asks[ask].pending, .value = value, .listed = listed, .state = state };
	memcpy(op.expect, asks[ask].expect, sizeof asks[ask].expect);
	struct mk_res res = { .err = MK_OK };
	enum mk_step s = MK_STEP_SEND;
	for (unsigned i = 0; s == MK_STEP_SEND; i++) {
		struct mk_req req = { 0 };
		mk_assert(i < STEPS_MAX);
		s = b->step(&op, i == 0 ? NULL : &res, &req);
		if (s != MK_STEP_SEND)
			break;
		check_request(&req, false);
		res = answer(in, &req);
	}
	check_op(&op, s);
	mk_secret_free(op.leaves);
	b->done(&op);
	b->forget(keep);
}

static void check_login(const struct mk_login_op *op, enum mk_step s)
{
	mk_assert(s != MK_STEP_LOGIN && (s == MK_STEP_DONE || (op->err != MK_OK && !op->credential)));
	mk_assert(s != MK_STEP_DONE || op->renew == !op->credential);
	mk_assert(op->ttl_ms >= 0 && (s == MK_STEP_FAIL || !op->alarm));
	const struct mk_span c = op->credential ? mk_secret_span(op->credential) : mk_span("", 0);
	mk_assert(!op->credential || c.n > 0);
	for (size_t i = 0; i < c.n; i++)
		mk_assert(c.p[i] > ' ' && c.p[i] <= '~');
}

static void run_login(uint8_t pick, struct input *in)
{
	const struct mk_login *m = mk_logins[(pick & 0x7f) % 5];
	const struct mk_conf_backend conf = conf_of(pick >> 3);
	mk_auto(mk_secret_freep) struct mk_secret *old = NULL;
	mk_auto(mk_freep) void *keep = calloc(1, m->keep_size + 1), *state = calloc(1, m->state_size);
	mk_assert(keep && state && mk_secret_copy(mk_span_of("s.old"), &old) == MK_OK);
	struct mk_login_op op = { .conf = &conf, .renew = (pick & 0x40) != 0, .old = old, .keep = keep, .state = state };
	struct mk_res res = { .err = MK_OK };
	enum mk_step s = MK_STEP_SEND;
	for (unsigned i = 0; s == MK_STEP_SEND; i++) {
		struct mk_req req = { 0 };
		mk_assert(i < STEPS_MAX);
		s = m->step(&op, i == 0 ? NULL : &res, &req);
		if (s != MK_STEP_SEND)
			break;
		check_request(&req, true);
		res = answer(in, &req);
	}
	check_login(&op, s);
	m->done(&op);
	mk_secret_free(op.credential);
	if (m->forget)
		m->forget(keep);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static bool ready;
	bool locked;
	if (!ready)
		mk_assert(mk_secret_arena_init(16, 4, &locked) == MK_OK);
	ready = true;
	struct input in = { p, n };
	const uint8_t pick = byte(&in);
	if (pick & 0x80)
		run_login(pick, &in);
	else
		run_op(pick, &in);
	mk_assert(mk_secret_in_use() == 0);
	return 0;
}
