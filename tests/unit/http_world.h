/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP side on a real socket, over a gate that does as the test says. One thread: the
 * test writes, lets the loop run, reads. Defines what gate.h and broker.h declare, so it
 * is included by one file of an executable.
 */
#ifndef MK_TEST_HTTP_WORLD_H
#define MK_TEST_HTTP_WORLD_H

#include "agent/base/clock.h"
#include "agent/broker/bearer.h"
#include "agent/broker/evidence.h"
#include "agent/broker/acts_revoke.h"
#include "agent/broker/in_store.h"
#include "agent/broker/fingerprint.h"
#include "agent/broker/http.h"
#include "agent/broker/tell.h"
#include "mk/own.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct mk_broker {
	struct mk_loop *loop;
	struct mk_conf_limits limits;
	struct mk_word environment;
	uint32_t reasons;
	/* what the gate does */
	enum mk_err err;
	unsigned retry_after;
	struct mk_watcher *watcher; /* the stream that is open */
	uint64_t events;            /* that there are for it */
	int version_byte;           /* of which their versions are made; 0: v */
	bool waits;                 /* a get waits until the test wakes it */
	size_t token_bytes;         /* 0: the token is "secret-token" */
	size_t list_size;
	uid_t uid;                  /* of whoever connects next */
	struct mk_service *service; /* NULL: nobody */
	enum mk_err admin;
	bool wants_token;           /* "Bearer good" is good; without keys where `no_keys` */
	bool no_keys;
	/* what it saw */
	unsigned gets, refused, cancelled, woken;
	enum mk_err last_refused;
	struct mk_waiter *waiting;
	void (*on_get)(void);       /* each time that a get is decided */
	bool in_turn;
	struct mk_waiter *crowd[64]; /* all that wait, while `waits` */
	unsigned n_crowd;
	struct mk_reload *reload;
};

static struct mk_broker *world_b;
static struct mk_http *world_h;
static struct mk_timer *world_t;
static char world_dir[64], world_path[100];

const struct mk_word *mk_broker_environment(const struct mk_broker *b) { return &b->environment; }
struct mk_loop *mk_broker_loop(struct mk_broker *b) { return b->loop; }
const struct mk_conf_limits *mk_broker_limits(const struct mk_broker *b) { return &b->limits; }
uint32_t mk_broker_reasons(const struct mk_broker *b) { return b->reasons; }
const char *mk_state_word(enum mk_state s) { return s == MK_STATE_CURRENT ? "current" : "previous"; }

void mk_broker_status(const struct mk_broker *b, struct mk_broker_status *ret)
{
	*ret = (struct mk_broker_status){ .generation = 7, .started_ms = mk_wall_ms() - 5000, .n_stores = 1 };
	ret->roles[MK_ROLE_BROKER] = (struct mk_msg_role){ .role = MK_ROLE_BROKER, .pid = 42 };
	ret->stores[0] = (struct mk_store_status){ .type = "local", .health = "failing", .last_ok_ms = MK_TIME_NONE, .told = true, .forecast = 12 };
	ret->stores[0].endpoint = (struct mk_msg_endpoint){ .circuit = MK_CIRCUIT_OPEN, .pause_ms = 2001, .err = MK_TIMEOUT, .err_at_ms = 1,
							    .fault = "a \"text\", {with} \\ all", .login = MK_LOGIN_FAILING };
	ret->alarms = (struct mk_alarms){ .items = { { .code = MK_ALARM_AUDIT_UNAVAILABLE, .subject = "of \"it\"", .count = 1 } }, .n = 1 };
	ret->audit = (struct mk_audit_status){ .writable = true, .fault = "" };
	(void)b;
}

mk_must mk_broker_reload(struct mk_broker *b, struct mk_reload *r)
{
	if (b->reload)
		return MK_NOT_READY;
	b->reload = r;
	return MK_OK;
}

void mk_broker_reload_cancel(struct mk_broker *b, struct mk_reload *r)
{
	assert_ptr_equal(b->reload, r);
	b->reload = NULL;
	b->cancelled++;
}

int mk_broker_proc(const struct mk_broker *b)
{
	(void)b;
	return -1;
}

void mk_evidence_take(int fd, const struct mk_word *listener, struct mk_evidence *ret)
{
	assert_true(fd >= 0);
	*ret = (struct mk_evidence){ .known = true, .socket = *listener, .uid = world_b->uid, .gid = 100, .pid = 1 };
}

void mk_waiter_cancel(struct mk_broker *b, struct mk_waiter *w)
{
	assert_ptr_equal(b->waiting, w);
	b->waiting = NULL;
	w->waiting = false;
	b->cancelled++;
}

void mk_answer_done(struct mk_answer *a)
{
	mk_secret_free(a->leaves);
	mk_secret_free(a->room);
	*a = (struct mk_answer){ 0 };
}

mk_must mk_gate_get(struct mk_broker *b, struct mk_caller *c, const struct mk_ask *ask, struct mk_waiter *w,
		    struct mk_answer *ret, unsigned *retry_after_s)
{
	struct mk_answer a = { .version = "v1", .state = ask->previous ? MK_STATE_PREVIOUS : MK_STATE_CURRENT,
			       .cache = ask->waited ? MK_CACHE_MISS : MK_CACHE_HIT, .expires_ms = MK_TIME_NONE, .age_s = 3,
			       .etag = "tag", .token_type = "Bearer" };
	assert_true(c->evidence.known);
	assert_true(b->in_turn);
	b->gets++;
	if (b->on_get)
		b->on_get();
	if (b->waits && !w->fetched) {
		w->waiting = true;
		b->waiting = w;
		assert_true(b->n_crowd < MK_COUNT(b->crowd));
		b->crowd[b->n_crowd++] = w;
		return MK_OK;
	}
	*retry_after_s = b->retry_after;
	if (b->err != MK_OK)
		return b->err;
	a.not_modified = mk_span_is(ask->if_none_match, "\"tag\"");
	const size_t n = b->token_bytes ? b->token_bytes : 12;
	if (!a.not_modified) {
		MK_TRY(mk_secret_new(n, &a.leaves));
		memset(mk_secret_buf(a.leaves), 'x', n);
		memcpy(mk_secret_buf(a.leaves), "secret-token", 12);
		mk_secret_set_len(a.leaves, n);
		a.token = mk_secret_span(a.leaves);
		a.has_token = true;
		if (mk_secret_new(MK_ANSWER_FRAME + n, &a.room) != MK_OK) {
			mk_answer_done(&a);
			return MK_NO_MEMORY;
		}
	}
	*ret = a;
	return MK_OK;
}

void mk_gate_turn(struct mk_broker *b, bool begins)
{
	assert_true(b->in_turn != begins);
	b->in_turn = begins;
}

mk_must mk_gate_list(struct mk_broker *b, struct mk_caller *c, const struct mk_name *after, size_t n,
		     struct mk_waiter *w, struct mk_list_item *items, size_t *ret_n, bool *more, unsigned *retry_after_s)
{
	(void)c;
	(void)after;
	(void)w;
	(void)retry_after_s;
	*ret_n = n < b->list_size ? n : b->list_size;
	*more = n < b->list_size;
	for (size_t i = 0; i < *ret_n; i++) {
		items[i] = (struct mk_list_item){ .state = MK_STATE_CURRENT, .expires_ms = MK_TIME_NONE };
		snprintf(items[i].name.s, sizeof items[i].name.s, "acme-%04zu", i);
	}
	return b->err;
}

/* ---- streams: of what the test adds to `events` ---- */

mk_must mk_gate_watch(struct mk_broker *b, struct mk_caller *c, const struct mk_watch_ask *ask, struct mk_waiter *wait,
		      struct mk_watcher *w, unsigned *retry_after_s)
{
	(void)c;
	(void)ask;
	(void)wait;
	(void)retry_after_s;
	w->at = 1;
	w->open = true;
	b->watcher = w;
	return b->err;
}

void mk_watcher_leave(struct mk_broker *b, struct mk_watcher *w)
{
	if (b->watcher == w)
		b->watcher = NULL;
	w->open = false;
}

bool mk_watcher_next(struct mk_broker *b, struct mk_caller *c, struct mk_watcher *w, struct mk_event *ret)
{
	(void)c;
	if (w->at > b->events)
		return false;
	*ret = (struct mk_event){ .n = w->at++, .kind = MK_TOLD_ROTATED, .name = { "acme-erp" } };
	memset(ret->version, b->version_byte ? b->version_byte : 'v', MK_VERSION_MAX);
	return true;
}

bool mk_watcher_may_stay(struct mk_broker *b, struct mk_caller *c, const struct mk_watcher *w)
{
	(void)c;
	(void)w;
	return b->err == MK_OK;
}

void mk_watcher_id(const struct mk_broker *b, uint64_t n, char out[MK_EVENT_ID_MAX])
{
	(void)b;
	snprintf(out, MK_EVENT_ID_MAX, "life-%llu", (unsigned long long)n);
}

uint64_t mk_watcher_read_up_to(const struct mk_watcher *w)
{
	return w->at - 1;
}

mk_must mk_gate_admin(struct mk_broker *b, struct mk_caller *c, enum mk_action action)
{
	(void)c;
	(void)action;
	return b->admin;
}

struct mk_subject mk_gate_subject(const struct mk_broker *b, const struct mk_name *name)
{
	(void)b;
	return (struct mk_subject){ .name = name };
}

bool mk_gate_would(struct mk_broker *b, struct mk_caller *c, enum mk_action action)
{
	(void)c;
	(void)action;
	return b->admin == MK_OK;
}

void mk_gate_refused(struct mk_broker *b, struct mk_caller *c, enum mk_err why)
{
	(void)c;
	b->refused++;
	b->last_refused = why;
}

mk_must mk_bearer_take(struct mk_broker *b, struct mk_caller *c, struct mk_span header, struct mk_bearer_seen **seen)
{
	(void)seen;
	assert_string_equal(c->evidence.account.ns, ""); /* nothing of the request before */
	if (!b->wants_token)
		return MK_OK;
	if (b->no_keys)
		return MK_NOT_READY;
	if (!mk_span_is(header, "Bearer good")) {
		c->account_fault = header.n ? "wrong_signature" : "no_token";
		return MK_UNAUTHENTICATED;
	}
	c->evidence.account = (struct mk_account){ .ns = "erp", .name = "sync" };
	return MK_OK;
}

void mk_bearer_drop(struct mk_caller *c)
{
	c->evidence.account = (struct mk_account){ .ns = "" };
	c->account_fault = NULL;
}

struct mk_bearer_seen *mk_bearer_seen_free(struct mk_bearer_seen *seen)
{
	assert_null(seen);
	return NULL;
}

const struct mk_service *mk_gate_who(struct mk_broker *b, struct mk_caller *c)
{
	(void)c;
	return b->service;
}

const struct mk_policy *mk_gate_policy(const struct mk_broker *b)
{
	(void)b;
	return NULL;
}

mk_must mk_gate_fingerprints(struct mk_broker *b, struct mk_caller *c, const struct mk_fingerprint_ask *ask,
			     struct mk_fingerprint **ret, size_t *ret_n, unsigned *ret_parts)
{
	(void)c;
	(void)ask;
	*ret = NULL;
	*ret_n = 0;
	*ret_parts = 1;
	return b->admin;
}

/* What administrators do is tested with processes; here it is only there to be linked. */
static const struct mk_frozen thawed_;
const struct mk_frozen *mk_act_frozen(const struct mk_broker *b)
{
	(void)b;
	return &thawed_;
}

mk_must mk_act_freeze(struct mk_broker *b, struct mk_caller *c, const char *reason)
{
	(void)c;
	(void)reason;
	return b->admin;
}

mk_must mk_act_begin(struct mk_broker *b, struct mk_caller *c, const struct mk_act *act, struct mk_proposal *ret, bool *ret_waits)
{
	(void)c;
	(void)act;
	(void)ret;
	*ret_waits = false;
	return b->admin;
}

const char *const mk_revoke_step_words[MK_REVOKED_STEPS] = { "step", "step", "step", "step", "step", "step", "step" };

mk_must mk_act_revoke(struct mk_broker *b, struct mk_caller *c, struct mk_revoke *r)
{
	(void)c;
	for (unsigned s = 0; s < MK_REVOKED_STEPS; s++)
		r->steps[s] = 0;
	return b->admin;
}

mk_must mk_act_restore(struct mk_broker *b, const struct mk_restore *r)
{
	(void)r;
	return b->admin == MK_OK ? MK_NOT_FOUND : b->admin;
}

void mk_restore_text(const struct mk_restore *r, char out[MK_RESTORE_TEXT])
{
	snprintf(out, MK_RESTORE_TEXT, "%s", r->name.s);
}

mk_must mk_restore_of_text(const char *text, struct mk_restore *ret)
{
	(void)text;
	(void)ret;
	return MK_BAD_REQUEST;
}

/* ---- no store is asked ---- */

mk_must mk_in_store_new(struct mk_broker *b, struct mk_caller *c, enum mk_verb verb, const struct mk_name *names, size_t n,
			struct mk_in_store **ret)
{
	(void)b;
	(void)c;
	(void)verb;
	(void)names;
	(void)n;
	(void)ret;
	return MK_NO_MEMORY;
}

bool mk_in_store_begin(struct mk_in_store *j, void (*done)(void *arg), void *arg)
{
	(void)j;
	(void)done;
	(void)arg;
	return true;
}

struct mk_in_store *mk_in_store_free(struct mk_in_store *j)
{
	(void)j;
	return NULL;
}

enum mk_verb mk_in_store_verb(const struct mk_in_store *j)
{
	(void)j;
	return MK_VERB_DISABLE;
}

size_t mk_in_store_stores(const struct mk_in_store *j)
{
	(void)j;
	return 0;
}

const struct mk_word *mk_in_store_store(const struct mk_in_store *j, size_t store)
{
	(void)j;
	(void)store;
	return NULL;
}

const struct mk_stored *mk_in_store_of(const struct mk_in_store *j, size_t name, size_t store)
{
	(void)j;
	(void)name;
	(void)store;
	return NULL;
}

bool mk_in_store_all_done(const struct mk_in_store *j, size_t name)
{
	(void)j;
	(void)name;
	return true;
}

const char *mk_stored_word(enum mk_verb verb, enum mk_stored_outcome o)
{
	(void)verb;
	(void)o;
	return "";
}

void mk_act_revoked(const struct mk_broker *b, struct mk_revoked_status *ret)
{
	(void)b;
	*ret = (struct mk_revoked_status){ 0 };
}

bool mk_gate_clock_in_doubt(const struct mk_broker *b)
{
	(void)b;
	return false;
}

bool mk_gate_might(struct mk_broker *b, struct mk_caller *c, enum mk_action action)
{
	(void)c;
	(void)action;
	return b->admin == MK_OK;
}

mk_must mk_act_thaw(struct mk_broker *b)
{
	return b->admin;
}

mk_must mk_act_approve(struct mk_broker *b, struct mk_caller *c, const char *id, const char *digest, struct mk_proposal *ret,
		       enum mk_approval *ret_why)
{
	(void)c;
	(void)id;
	(void)digest;
	(void)ret;
	(void)ret_why;
	return b->admin == MK_OK ? MK_NOT_FOUND : b->admin;
}

mk_must mk_act_proposals(struct mk_broker *b, struct mk_proposal ret[MK_PROPOSALS_MAX], size_t *ret_n)
{
	(void)b;
	(void)ret;
	*ret_n = 0;
	return MK_OK;
}

#endif
