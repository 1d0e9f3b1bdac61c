/* SPDX-License-Identifier: Apache-2.0
 *
 * A good token is not verified again on its connection for a minute, unless the policy or
 * the keys change. The last keys that came stay good for a day when the API server does
 * not answer: it cannot be told then which of them it has taken back.
 */
#include "agent/broker/bearer.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/now.h"
#include "agent/token/jwks.h"
#include "agent/token/token.h"
#include "mk/own.h"

#include <sodium.h>
#include <stdlib.h>

#define SEEN_MS     (60 * 1000)
#define ASK_MS      (30 * 1000)             /* between questions for keys that a token names */
#define STALE_MS    (60 * 60 * 1000)        /* an alarm: nobody has confirmed the keys */
#define MISSING_MS  (60 * 1000)             /* an alarm: there have been none yet */
#define KEEP_MS     (24 * 60 * 60 * 1000)
#define HASH_BYTES  32u

struct mk_bearer {
	struct mk_msg_kubernetes conf; /* its jwks borrows text */
	uint8_t *text;                 /* owned: of a file, until it is judged */
	struct mk_token_keys *keys;    /* owned; NULL: none */
	uint32_t number;               /* of the keys */
	int64_t came_ms, came_wall_ms; /* when the keys came, or this was put in force; boot and wall clock */
	int64_t asked_ms;              /* boot clock; 0: never */
	enum mk_err last;              /* of the last answer for keys */
	bool alarmed;
};

struct mk_bearer_seen {
	uint8_t hash[HASH_BYTES];
	uint32_t generation, number;   /* of the policy and the keys by which it was good */
	int64_t until_ms;              /* boot clock */
	struct mk_account account;
};

/* ---- the configuration's ---- */

struct mk_bearer *mk_bearer_free(struct mk_bearer *t)
{
	if (t) {
		free(t->text);
		mk_token_keys_free(t->keys);
		free(t);
	}
	return NULL;
}

enum mk_err mk_bearer_new(const struct mk_msg_kubernetes *m, struct mk_bearer **ret)
{
	struct mk_bearer *t = calloc(1, sizeof *t);
	uint8_t *text = malloc(m->jwks.n ? m->jwks.n : 1);
	if (!t || !text) {
		free(t);
		free(text);
		return MK_NO_MEMORY;
	}
	if (m->jwks.n)
		memcpy(text, m->jwks.p, m->jwks.n);
	t->conf = *m;
	t->conf.jwks = mk_span(text, m->jwks.n);
	t->text = text;
	t->came_wall_ms = MK_TIME_NONE;
	*ret = t;
	return MK_OK;
}

static bool fetched(const struct mk_bearer *t)
{
	return t->conf.address[0] != '\0';
}

enum mk_err mk_bearer_judge(struct mk_bearer *t, struct mk_why *why)
{
	struct mk_jwks set;
	const char *fault = "one of its keys is none";
	if (fetched(t))
		return MK_OK;
	enum mk_err e = mk_jwks_parse(t->conf.jwks, &set, &fault);
	if (e == MK_OK)
		e = mk_token_keys_new(&set, &t->keys);
	t->conf.jwks = mk_span(NULL, 0);
	free(MK_TAKE(t->text));
	if (e != MK_OK)
		return mk_why_set(why, e, "kubernetes.jwks_file: %s", fault ? fault : "one of its keys is none");
	t->came_wall_ms = mk_wall_ms();
	return MK_OK;
}

static bool same_source(const struct mk_bearer *a, const struct mk_bearer *b)
{
	return fetched(a) && strcmp(a->conf.address, b->conf.address) == 0 && strcmp(a->conf.issuer, b->conf.issuer) == 0;
}

static void keep(struct mk_bearer *next, struct mk_bearer *old)
{
	next->keys = MK_TAKE(old->keys);
	next->came_ms = old->came_ms;
	next->came_wall_ms = old->came_wall_ms;
	next->asked_ms = old->asked_ms;
	next->last = old->last;
	next->alarmed = old->alarmed;
}

void mk_bearer_swap(struct mk_broker *b, struct mk_bearer *next)
{
	struct mk_bearer *old = b->bearer;
	b->bearer = next;
	if (next) {
		next->number = old ? old->number + 1 : 1;
		next->came_ms = mk_boot_ms();
		if (old && same_source(next, old))
			keep(next, old);
	}
	if (old && old->alarmed && !(next && next->alarmed))
		mk_alarm_clear(b, MK_ALARM_TOKEN_KEYS_STALE, "");
	mk_bearer_free(old);
}

/* ---- keys ---- */

static void take_keys(struct mk_broker *b, struct mk_token_keys *keys)
{
	struct mk_bearer *t = b->bearer;
	mk_token_keys_free(t->keys);
	t->keys = keys;
	t->number++;
	t->came_ms = mk_boot_ms();
	t->came_wall_ms = mk_wall_ms();
	if (t->alarmed)
		mk_alarm_clear(b, MK_ALARM_TOKEN_KEYS_STALE, "");
	t->alarmed = false;
}

enum mk_err mk_bearer_keys(struct mk_broker *b, struct mk_span body)
{
	struct mk_msg_keys m;
	struct mk_token_keys *keys = NULL;
	MK_TRY(mk_msg_keys_read(body, &m));
	struct mk_bearer *t = b->bearer;
	if (!t || !fetched(t))
		return MK_OK; /* of a configuration before this one */
	t->last = m.err == MK_OK ? mk_token_keys_new(&m.set, &keys) : m.err;
	if (t->last == MK_OK)
		take_keys(b, keys);
	else if (m.err == MK_OK)
		mk_log(MK_WARN, "token_keys_unusable", MK_KV_S("remedy", "one of the API server's keys is none: look at its /openid/v1/jwks"));
	return MK_OK;
}

/* A token names a key that is not known, or there are none: perhaps there are new ones. */
static void ask(struct mk_broker *b)
{
	struct mk_bearer *t = b->bearer;
	const int64_t now = mk_boot_ms();
	uint8_t buf[16];
	size_t n = 0;
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	if (!fetched(t) || !b->fetcher || (t->asked_ms != 0 && now - t->asked_ms < ASK_MS))
		return;
	t->asked_ms = now;
	mk_msg_number_write(&w, &(struct mk_msg_number){ .n = t->number });
	if (mk_wr_end(&w, &n) == MK_OK)
		mk_ignore(mk_link_send(b->fetcher, MK_MSG_KEYS_WANTED, mk_span(buf, n), -1), "it is asked again, and asks by itself");
}

void mk_bearer_tick(struct mk_broker *b)
{
	struct mk_bearer *t = b->bearer;
	if (!t || !fetched(t))
		return;
	const int64_t age = mk_boot_ms() - t->came_ms;
	if (age < (t->keys ? STALE_MS : MISSING_MS))
		return;
	if (!t->alarmed)
		mk_alarm_raise(b, MK_ALARM_TOKEN_KEYS_STALE, "");
	t->alarmed = true;
	if (t->keys && age >= KEEP_MS) {
		t->keys = mk_token_keys_free(t->keys);
		t->number++;
	}
}

void mk_bearer_status(const struct mk_broker *b, struct mk_keys_status *ret)
{
	const struct mk_bearer *t = b->bearer;
	*ret = (struct mk_keys_status){ .on = t != NULL, .fetched_ms = MK_TIME_NONE, .last_error = "" };
	if (!t)
		return;
	ret->from = fetched(t) ? "api_server" : "file";
	ret->keys = (uint32_t)mk_token_keys_count(t->keys);
	ret->fetched_ms = t->came_wall_ms;
	ret->last_error = t->last == MK_OK ? "" : mk_err_word(t->last);
}

/* ---- a request ---- */

struct mk_bearer_seen *mk_bearer_seen_free(struct mk_bearer_seen *seen)
{
	free(seen);
	return NULL;
}

void mk_bearer_drop(struct mk_caller *c)
{
	if (c->evidence.account.ns[0])
		c->generation = 0; /* the next request is not that account's: who it is of is looked up again */
	c->evidence.account = (struct mk_account){ .ns = "" };
	c->account_fault = NULL;
}

/* RFC 6750, 2.1: "Bearer", whatever its case, one blank or more, the token. */
static struct mk_span token_of(struct mk_span h)
{
	static const char scheme[] = "bearer ";
	size_t i = 0;
	for (; scheme[i]; i++)
		if (i >= h.n || (h.p[i] | 0x20) != scheme[i])
			return mk_span(NULL, 0);
	while (i < h.n && h.p[i] == ' ')
		i++;
	return mk_span(h.p + i, h.n - i);
}

static bool is_seen(const struct mk_broker *b, const struct mk_bearer_seen *s, const uint8_t hash[HASH_BYTES])
{
	return s && s->generation == b->generation && s->number == b->bearer->number && mk_boot_ms() < s->until_ms &&
	       sodium_memcmp(s->hash, hash, HASH_BYTES) == 0;
}

/* Remembering is not needed: without memory the next request is verified again. */
static void remember(const struct mk_broker *b, const struct mk_token_who *who, const uint8_t hash[HASH_BYTES],
		     struct mk_bearer_seen **seen)
{
	if (!*seen)
		*seen = calloc(1, sizeof **seen);
	if (!*seen)
		return;
	const int64_t left = who->expires_ms + MK_TOKEN_SKEW_MS - mk_now_ms(b);
	**seen = (struct mk_bearer_seen){ .generation = b->generation, .number = b->bearer->number, .account = who->account,
					  .until_ms = mk_boot_ms() + (left < SEEN_MS ? left : SEEN_MS) };
	memcpy((*seen)->hash, hash, HASH_BYTES);
}

static void take(struct mk_caller *c, const struct mk_account *account)
{
	c->evidence.account = *account;
	c->generation = 0;
}

static mk_must look(struct mk_broker *b, struct mk_caller *c, struct mk_span jwt, struct mk_bearer_seen **seen)
{
	const struct mk_bearer *t = b->bearer;
	const struct mk_token_want want = { .issuer = t->conf.issuer, .audience = t->conf.audience, .pod_uid = t->conf.pod_uid };
	struct mk_token_who who = { .expires_ms = 0 };
	uint8_t hash[HASH_BYTES];
	crypto_generichash(hash, sizeof hash, jwt.p, jwt.n, NULL, 0);
	if (is_seen(b, *seen, hash)) {
		take(c, &(*seen)->account);
		return MK_OK;
	}
	const enum mk_token_verdict v = mk_token_check(t->keys, jwt, &want, mk_now_ms(b), &who);
	if (v == MK_TOKEN_UNKNOWN_KEY)
		ask(b);
	if (v != MK_TOKEN_GOOD) {
		c->account_fault = mk_jwt_word(v);
		return MK_UNAUTHENTICATED;
	}
	remember(b, &who, hash, seen);
	take(c, &who.account);
	return MK_OK;
}

enum mk_err mk_bearer_take(struct mk_broker *b, struct mk_caller *c, struct mk_span header, struct mk_bearer_seen **seen)
{
	mk_bearer_drop(c);
	if (!b->policy || !mk_policy_wants_account(b->policy, &c->evidence, &b->nobody))
		return MK_OK;
	const struct mk_span jwt = token_of(header);
	if (jwt.n == 0 || !b->bearer) {
		c->account_fault = "no_token";
		return MK_UNAUTHENTICATED;
	}
	if (!b->bearer->keys) {
		ask(b);
		return MK_NOT_READY;
	}
	return look(b, c, jwt, seen);
}
