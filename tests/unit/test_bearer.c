/* SPDX-License-Identifier: Apache-2.0
 *
 * A request's token at the broker: where it is looked at, how long it counts, and what
 * becomes of the keys. Clocks stand still until they are moved.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "token_kit.h"

#include "agent/base/clock.h"
#include "agent/broker/bearer.h"
#include "agent/broker/core.h"
#include "agent/broker/fetch.h"

#include <stdlib.h>
#include <unistd.h>

#define SYNC 2000u
#define BILLING 2001u
#define HEADER "{\"alg\":\"RS256\",\"kid\":\"k\"}"
#define SECOND 1000
#define HOUR (3600 * SECOND)

static struct {
	struct mk_broker *b;
	struct mk_link *fetcher;
	struct mk_timer *stop;
	struct mk_caller c;
	struct mk_bearer_seen *seen;
	unsigned wanted;
	int64_t boot, wall;
} fix;
static EVP_PKEY *key, *other;
static char jwks[2048];

static size_t allocations; /* until one fails; 0: none does */

/* The linker puts these before libc's, for this test only. */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

static bool fails_now(void)
{
	return allocations > 0 && --allocations == 0;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t n)
{
	return fails_now() ? NULL : __real_malloc(n);
}

static enum mk_err on_frame(void *arg, struct mk_frame *f)
{
	(void)arg;
	fix.wanted += f->type == MK_MSG_KEYS_WANTED;
	return MK_OK;
}

static void on_gone(void *arg, enum mk_err e, enum mk_msg at)
{
	(void)arg;
	(void)e;
	(void)at;
	fix.fetcher = mk_link_free(fix.fetcher);
}

static void stop_now(void *arg)
{
	(void)arg;
	mk_loop_stop(fix.b->loop);
}

static void pump(void)
{
	for (unsigned i = 0; i < 6; i++) {
		mk_timer_set(fix.stop, 0);
		assert_int_equal(mk_loop_run(fix.b->loop), MK_OK);
	}
}

static void set_text(char *to, size_t cap, const char *text)
{
	snprintf(to, cap, "%s", text);
}

/* from_file: the keys are in it; else they are fetched. */
static struct mk_bearer *section(bool from_file, const char *audience, const char *issuer)
{
	struct mk_msg_kubernetes m = { .address = "" };
	struct mk_bearer *t = NULL;
	struct mk_why why = { .text = "" };
	set_text(m.audience, sizeof m.audience, audience);
	set_text(m.issuer, sizeof m.issuer, issuer);
	set_text(m.pod_uid, sizeof m.pod_uid, KIT_POD);
	set_text(m.address, sizeof m.address, from_file ? "" : "https://kubernetes.default.svc");
	m.jwks = from_file ? mk_span_of(jwks) : mk_span(NULL, 0);
	assert_int_equal(mk_bearer_new(&m, &t), MK_OK);
	assert_int_equal(mk_bearer_judge(t, &why), MK_OK);
	return t;
}

static struct mk_policy *make_policy(void)
{
	struct mk_rules r = { .environment = { "production" } };
	struct mk_service sync = { .name = { "sync" }, .line = 1, .identity = { .socket = { "sync" }, .uid = SYNC,
				   .set = MK_EVIDENCE_UID | MK_EVIDENCE_ACCOUNT, .account = { "erp", "sync" } } };
	struct mk_service billing = { .name = { "billing" }, .line = 2,
				      .identity = { .socket = { "sync" }, .uid = BILLING, .set = MK_EVIDENCE_UID } };
	struct mk_policy *p = NULL;
	struct mk_why why = { .text = "" };
	assert_int_equal(mk_rules_add_service(&r, &sync), MK_OK);
	assert_int_equal(mk_rules_add_service(&r, &billing), MK_OK);
	assert_int_equal(mk_policy_new(&r, &p, &why), MK_OK);
	mk_rules_done(&r);
	return p;
}

static int begin(void **state)
{
	int a, b;
	(void)state;
	bool locked;
	memset(&fix, 0, sizeof fix);
	fix.boot = 50 * (int64_t)HOUR;
	fix.wall = KIT_NOW * SECOND;
	mk_clock_fake(&fix.boot, &fix.wall);
	static bool once;
	if (!once)
		assert_int_equal(mk_secret_arena_init(16, 4, &locked), MK_OK);
	once = true;
	assert_int_equal(mk_broker_new(&fix.b), MK_OK);
	fix.b->policy = make_policy();
	fix.b->generation = 1;
	fix.b->in_pod = true;
	fix.b->nobody = (struct mk_nobody){ .own_uid = 1, .overflow_uid = 65534 };
	fix.c = (struct mk_caller){ .evidence = { .known = true, .socket = { "sync" }, .uid = SYNC }, .service = MK_NO_SERVICE };
	assert_int_equal(mk_timer_new(fix.b->loop, stop_now, NULL, &fix.stop), MK_OK);
	assert_int_equal(mk_link_pair(&a, &b), MK_OK);
	assert_int_equal(mk_link_new(fix.b->loop, b, MK_ROLE_FETCHER, MK_ROLE_BROKER, on_frame, on_gone, NULL, &fix.fetcher), MK_OK);
	assert_int_equal(mk_link_new(fix.b->loop, a, MK_ROLE_BROKER, MK_ROLE_FETCHER, on_frame, on_gone, NULL, &fix.b->fetcher), MK_OK);
	return 0;
}

static int end(void **state)
{
	(void)state;
	mk_bearer_seen_free(fix.seen);
	fix.fetcher = mk_link_free(fix.fetcher);
	mk_timer_free(fix.stop);
	mk_broker_free(fix.b);
	mk_clock_fake(NULL, NULL);
	return 0;
}

static int make_keys(void **state)
{
	char k[1500];
	(void)state;
	assert_true(sodium_init() >= 0);
	key = kit_rsa(2048);
	other = kit_rsa(2048);
	kit_jwk_rsa(key, "k", "", k, sizeof k);
	snprintf(jwks, sizeof jwks, "{\"keys\":[%s]}", k);
	return 0;
}

static int drop_keys(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
	return 0;
}

static enum mk_err take(const char *scheme, const char *token)
{
	char header[8300];
	snprintf(header, sizeof header, "%s%s", scheme, token);
	return mk_bearer_take(fix.b, &fix.c, mk_span_of(header), &fix.seen);
}

static const char *good(void)
{
	static struct kit_token t;
	kit_token(key, HEADER, kit_claims(NULL, NULL), &t);
	return t.s;
}

static enum mk_err keys_come(const struct mk_msg_keys *m)
{
	static uint8_t buf[6144];
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	size_t n = 0;
	mk_msg_keys_write(&w, m);
	assert_int_equal(mk_wr_end(&w, &n), MK_OK);
	return mk_bearer_keys(fix.b, mk_span(buf, n));
}

static struct mk_msg_keys the_keys(void)
{
	struct mk_msg_keys m = { .err = MK_OK };
	assert_int_equal(mk_jwks_parse(mk_span_of(jwks), &m.set, NULL), MK_OK);
	return m;
}

static void a_token_makes_the_service_for_one_request(void **state)
{
	(void)state;
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	assert_null(mk_gate_who(fix.b, &fix.c));
	assert_int_equal(take("Bearer ", good()), MK_OK);
	assert_string_equal(mk_gate_who(fix.b, &fix.c)->name.s, "sync");
	mk_bearer_drop(&fix.c);
	assert_null(mk_gate_who(fix.b, &fix.c));
	assert_int_equal(take("Bearer ", good()), MK_OK); /* remembered */
	assert_string_equal(mk_gate_who(fix.b, &fix.c)->name.s, "sync");
	assert_int_equal(take("", ""), MK_UNAUTHENTICATED); /* the next one, without */
	assert_null(mk_gate_who(fix.b, &fix.c));
	assert_string_equal(fix.c.account_fault, "no_token");
}

static void a_token_is_looked_at_only_where_one_is_needed(void **state)
{
	(void)state;
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	fix.c.evidence.uid = BILLING;
	assert_int_equal(take("Bearer ", "nonsense"), MK_OK);
	assert_int_equal(take("Bearer ", good()), MK_OK);
	assert_string_equal(fix.c.evidence.account.ns, "");
	fix.c.evidence.uid = 2002; /* nobody, whatever it brings: 403, not 401 */
	assert_int_equal(take("Bearer ", good()), MK_OK);
	assert_string_equal(fix.c.evidence.account.ns, "");
	fix.c.evidence.uid = 65534;
	assert_int_equal(take("Bearer ", good()), MK_OK);
	assert_null(mk_gate_who(fix.b, &fix.c));
}

static void only_the_bearer_scheme_is_one(void **state)
{
	static const char *const none[] = { "", "Bearer", "Bearer", "Basic ", "Bearers ", " Bearer ", "Bearer\t", "Xearer " };
	static const char *const schemes[] = { "Bearer ", "bearer ", "BEARER ", "Bearer   " };
	(void)state;
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	for (size_t i = 0; i < MK_COUNT(none); i++)
		assert_int_equal(take(none[i], i == 1 ? "" : good()), MK_UNAUTHENTICATED);
	for (size_t i = 0; i < MK_COUNT(schemes); i++)
		assert_int_equal(take(schemes[i], good()), MK_OK);
	assert_int_equal(take("Bearer ", "x"), MK_UNAUTHENTICATED);
	assert_string_equal(fix.c.account_fault, "malformed");
	char *bare = malloc(7); /* so that a look behind its end is seen */
	assert_non_null(bare);
	memcpy(bare, "Bearer ", 7);
	assert_int_equal(mk_bearer_take(fix.b, &fix.c, mk_span(bare, 7), &fix.seen), MK_UNAUTHENTICATED);
	assert_string_equal(fix.c.account_fault, "no_token");
	free(bare);
}

static void what_a_token_proved_ends_with_its_request(void **state)
{
	(void)state;
	fix.c.generation = 5;
	mk_bearer_drop(&fix.c);
	assert_int_equal(fix.c.generation, 5); /* it proved nothing */
	fix.c.evidence.account = (struct mk_account){ "a", "b" };
	fix.c.account_fault = "expired";
	mk_bearer_drop(&fix.c);
	assert_int_equal(fix.c.generation, 0);
	assert_string_equal(fix.c.evidence.account.ns, "");
	assert_null(fix.c.account_fault);
}

static void without_memory_a_section_is_none_and_a_token_is_not_remembered(void **state)
{
	struct mk_msg_kubernetes m = { .audience = KIT_AUDIENCE };
	struct mk_why why = { .text = "" };
	(void)state;
	m.jwks = mk_span_of(jwks);
	for (unsigned i = 1; i <= 2; i++) {
		struct mk_bearer *t = NULL;
		allocations = i;
		assert_int_equal(mk_bearer_new(&m, &t), MK_NO_MEMORY);
		assert_int_equal(allocations, 0);
		assert_null(t);
	}
	struct mk_msg_keys keys = the_keys();
	struct mk_token_keys *k = NULL;
	allocations = 1;
	assert_int_equal(mk_token_keys_new(&keys.set, &k), MK_NO_MEMORY);
	struct mk_bearer *t = NULL;
	assert_int_equal(mk_bearer_new(&m, &t), MK_OK);
	assert_int_equal(mk_bearer_judge(t, &why), MK_OK);
	mk_bearer_free(t);
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	const char *token = good();
	size_t last = 0;
	for (size_t i = 1; !last; i++) { /* whichever fails, it counts or it does not, and nothing breaks */
		mk_bearer_drop(&fix.c);
		fix.seen = mk_bearer_seen_free(fix.seen);
		allocations = i;
		const enum mk_err e = take("Bearer ", token);
		assert_true(e == MK_OK || e == MK_UNAUTHENTICATED);
		last = allocations ? i : 0;
		allocations = 0;
	}
	assert_true(last > 1);
	assert_int_equal(take("Bearer ", token), MK_OK);
}

static void keys_of_a_file_that_are_none_are_refused_with_the_reason(void **state)
{
	static const char *const none[] = { "", "{\"keys\":[]}" };
	struct mk_msg_kubernetes m = { .audience = KIT_AUDIENCE };
	struct mk_why why = { .text = "" };
	(void)state;
	for (size_t i = 0; i < MK_COUNT(none); i++) {
		struct mk_bearer *t = NULL;
		m.jwks = mk_span_of(none[i]);
		assert_int_equal(mk_bearer_new(&m, &t), MK_OK);
		assert_int_equal(mk_bearer_judge(t, &why), MK_BAD_REQUEST);
		assert_non_null(strstr(why.text, i ? "kubernetes.jwks_file: it has no key" : "kubernetes.jwks_file: it is no JSON"));
		mk_bearer_free(t);
	}
}

/* What a connection remembers must never be more than what would be found again. */
static void what_was_seen_counts_no_longer_than_it_would_be_found(void **state)
{
	(void)state;
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(take("Bearer ", good()), MK_OK);
	fix.boot += 59 * SECOND; /* the wall clock went on to its end, and the tolerance */
	fix.wall += 630 * SECOND;
	assert_int_equal(take("Bearer ", good()), MK_OK); /* it jumped: the memory's own minute */
	fix.boot += 1 * SECOND;
	assert_int_equal(take("Bearer ", good()), MK_UNAUTHENTICATED);
	assert_string_equal(fix.c.account_fault, "expired");
	fix.wall -= 5 * SECOND; /* five seconds are left of it */
	assert_int_equal(take("Bearer ", good()), MK_OK);
	fix.boot += 4 * SECOND;
	fix.wall += 6 * SECOND;
	assert_int_equal(take("Bearer ", good()), MK_OK);
	fix.boot += 1 * SECOND;
	assert_int_equal(take("Bearer ", good()), MK_UNAUTHENTICATED);
}

static void a_clock_set_back_brings_no_token_back(void **state)
{
	(void)state;
	mk_wall_begin(&fix.b->wall, fix.wall, fix.boot);
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(take("Bearer ", good()), MK_OK);
	fix.boot += 700 * SECOND;
	fix.wall -= 10 * SECOND; /* it was set back, and stood */
	assert_int_equal(take("Bearer ", good()), MK_UNAUTHENTICATED);
	assert_string_equal(fix.c.account_fault, "expired");
	fix.b->wall = (struct mk_wall){ .begun = false }; /* the control: by the wall clock alone */
	assert_int_equal(take("Bearer ", good()), MK_OK);
}

static void a_reload_forgets_what_was_seen(void **state)
{
	(void)state;
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(take("Bearer ", good()), MK_OK);
	mk_bearer_swap(fix.b, section(true, "another", KIT_ISSUER));
	fix.b->generation++;
	assert_int_equal(take("Bearer ", good()), MK_UNAUTHENTICATED);
	assert_string_equal(fix.c.account_fault, "wrong_audience");
	mk_bearer_swap(fix.b, NULL);
	fix.b->generation++;
	assert_int_equal(take("Bearer ", good()), MK_UNAUTHENTICATED);
}

static void new_keys_forget_what_was_seen(void **state)
{
	char k[1500], text[2048];
	struct mk_msg_keys m = the_keys();
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(take("Bearer ", good()), MK_OK);
	kit_jwk_rsa(other, "k", "", k, sizeof k); /* the old key is taken back */
	snprintf(text, sizeof text, "{\"keys\":[%s]}", k);
	assert_int_equal(mk_jwks_parse(mk_span_of(text), &m.set, NULL), MK_OK);
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(take("Bearer ", good()), MK_UNAUTHENTICATED);
	assert_string_equal(fix.c.account_fault, "wrong_signature");
}

static void before_the_first_keys_it_cannot_be_told(void **state)
{
	const struct mk_msg_keys failed = { .err = MK_BACKEND }, m = the_keys();
	struct mk_keys_status s;
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(take("", ""), MK_UNAUTHENTICATED);
	assert_int_equal(take("Bearer ", good()), MK_NOT_READY);
	assert_int_equal(keys_come(&failed), MK_OK);
	assert_int_equal(take("Bearer ", good()), MK_NOT_READY);
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(take("Bearer ", good()), MK_OK);
	assert_int_equal(keys_come(&failed), MK_OK); /* the last good ones stay */
	assert_int_equal(take("Bearer ", good()), MK_OK);
	mk_bearer_status(fix.b, &s);
	assert_true(s.on && s.keys == 1 && s.fetched_ms == fix.wall);
	assert_string_equal(s.last_error, "backend_error");
}

static void keys_that_are_none_do_not_take_the_place_of_good_ones(void **state)
{
	struct mk_msg_keys m = the_keys();
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(keys_come(&m), MK_OK);
	m.set.key[0].n[m.set.key[0].n_len - 1] &= 0xfe;
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(take("Bearer ", good()), MK_OK);
	assert_int_equal(mk_bearer_keys(fix.b, mk_span_of("garbage")), MK_BAD_REQUEST); /* costs the fetcher its link */
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	m = the_keys();
	m.set.key[0].kid[0] = 'z';
	assert_int_equal(keys_come(&m), MK_OK); /* a fetcher cannot replace the keys of a file */
	assert_int_equal(take("Bearer ", good()), MK_OK);
}

static void an_unknown_key_is_asked_for_once_in_thirty_seconds(void **state)
{
	struct mk_msg_keys m = the_keys();
	struct kit_token t;
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(keys_come(&m), MK_OK);
	kit_token(key, "{\"alg\":\"RS256\",\"kid\":\"new\"}", kit_claims(NULL, NULL), &t);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(take("Bearer ", t.s), MK_UNAUTHENTICATED);
	pump();
	assert_int_equal(fix.wanted, 1);
	fix.boot += 30 * SECOND;
	assert_int_equal(take("Bearer ", t.s), MK_UNAUTHENTICATED);
	pump();
	assert_int_equal(fix.wanted, 2);
	memcpy(m.set.key[0].kid, "new", 4);
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(take("Bearer ", t.s), MK_OK);
}

static void nobody_is_asked_for_the_keys_of_a_file_and_the_first_question_does_not_wait(void **state)
{
	const struct mk_msg_keys m = the_keys();
	struct kit_token t;
	(void)state;
	kit_token(key, "{\"alg\":\"RS256\",\"kid\":\"new\"}", kit_claims(NULL, NULL), &t);
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(take("Bearer ", t.s), MK_UNAUTHENTICATED);
	pump();
	assert_int_equal(fix.wanted, 0);
	fix.boot = 10 * SECOND; /* the machine has just started */
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(keys_come(&m), MK_OK);
	struct mk_link *fetcher = MK_TAKE(fix.b->fetcher); /* it is being started anew */
	assert_int_equal(take("Bearer ", t.s), MK_UNAUTHENTICATED);
	fix.b->fetcher = fetcher;
	assert_int_equal(take("Bearer ", t.s), MK_UNAUTHENTICATED);
	pump();
	assert_int_equal(fix.wanted, 1);
}

/* What the process log says meanwhile. */
static void logged(const struct mk_msg_keys *m, char *text, size_t cap)
{
	FILE *f = tmpfile();
	assert_non_null(f);
	const int kept = dup(2);
	assert_true(kept >= 0 && dup2(fileno(f), 2) == 2);
	const enum mk_err e = keys_come(m);
	assert_int_equal(dup2(kept, 2), 2);
	close(kept);
	assert_int_equal(e, MK_OK);
	rewind(f);
	text[fread(text, 1, cap - 1, f)] = '\0';
	fclose(f);
}

static void keys_of_the_api_server_that_are_none_are_told(void **state)
{
	const struct mk_msg_keys failed = { .err = MK_BACKEND };
	struct mk_msg_keys m = the_keys();
	struct mk_keys_status s;
	char text[2048];
	(void)state;
	mk_bearer_swap(fix.b, NULL);
	mk_bearer_status(fix.b, &s);
	assert_false(s.on);
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	logged(&m, text, sizeof text);
	assert_null(strstr(text, "token_keys_unusable"));
	logged(&failed, text, sizeof text); /* that is the fetcher's to tell */
	assert_null(strstr(text, "token_keys_unusable"));
	m.set.key[0].n[m.set.key[0].n_len - 1] &= 0xfe;
	logged(&m, text, sizeof text);
	assert_non_null(strstr(text, "token_keys_unusable"));
}

static void keys_that_nobody_confirms_raise_an_alarm_and_end_after_a_day(void **state)
{
	const struct mk_msg_keys m = the_keys();
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	mk_bearer_tick(fix.b);
	assert_int_equal(fix.b->alarms.n, 0);
	fix.boot += 61 * SECOND; /* none have come */
	mk_bearer_tick(fix.b);
	assert_int_equal(fix.b->alarms.n, 1);
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(fix.b->alarms.n, 0);
	fix.boot += HOUR - 1;
	mk_bearer_tick(fix.b);
	assert_int_equal(fix.b->alarms.n, 0);
	fix.boot += 1;
	mk_bearer_tick(fix.b);
	mk_bearer_tick(fix.b);
	assert_int_equal(fix.b->alarms.n, 1);
	assert_int_equal(take("Bearer ", good()), MK_OK);
	fix.boot += 23 * (int64_t)HOUR;
	mk_bearer_tick(fix.b);
	assert_int_equal(take("Bearer ", good()), MK_NOT_READY);
	assert_int_equal(keys_come(&m), MK_OK);
	assert_int_equal(fix.b->alarms.n, 0);
	assert_int_equal(take("Bearer ", good()), MK_OK);
}

static void an_alarm_ends_with_the_section_that_raised_it(void **state)
{
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	fix.boot += 61 * SECOND;
	mk_bearer_tick(fix.b);
	assert_int_equal(fix.b->alarms.n, 1);
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER)); /* the same server, which has still not answered */
	assert_int_equal(fix.b->alarms.n, 1);
	mk_bearer_swap(fix.b, section(true, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(fix.b->alarms.n, 0);
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	fix.boot += 61 * SECOND;
	mk_bearer_tick(fix.b);
	assert_int_equal(fix.b->alarms.n, 1);
	mk_bearer_swap(fix.b, NULL);
	assert_int_equal(fix.b->alarms.n, 0);
	mk_bearer_tick(fix.b);
}

static void keys_stay_over_a_reload_where_they_come_from_the_same_server(void **state)
{
	const struct mk_msg_keys m = the_keys();
	(void)state;
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(keys_come(&m), MK_OK);
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, KIT_ISSUER));
	assert_int_equal(take("Bearer ", good()), MK_OK);
	mk_bearer_swap(fix.b, section(false, KIT_AUDIENCE, "https://another"));
	assert_int_equal(take("Bearer ", good()), MK_NOT_READY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_token_makes_the_service_for_one_request, begin, end),
		cmocka_unit_test_setup_teardown(a_token_is_looked_at_only_where_one_is_needed, begin, end),
		cmocka_unit_test_setup_teardown(only_the_bearer_scheme_is_one, begin, end),
		cmocka_unit_test_setup_teardown(what_was_seen_counts_no_longer_than_it_would_be_found, begin, end),
		cmocka_unit_test_setup_teardown(a_clock_set_back_brings_no_token_back, begin, end),
		cmocka_unit_test_setup_teardown(a_reload_forgets_what_was_seen, begin, end),
		cmocka_unit_test_setup_teardown(new_keys_forget_what_was_seen, begin, end),
		cmocka_unit_test_setup_teardown(before_the_first_keys_it_cannot_be_told, begin, end),
		cmocka_unit_test_setup_teardown(keys_that_are_none_do_not_take_the_place_of_good_ones, begin, end),
		cmocka_unit_test_setup_teardown(an_unknown_key_is_asked_for_once_in_thirty_seconds, begin, end),
		cmocka_unit_test_setup_teardown(keys_that_nobody_confirms_raise_an_alarm_and_end_after_a_day, begin, end),
		cmocka_unit_test_setup_teardown(an_alarm_ends_with_the_section_that_raised_it, begin, end),
		cmocka_unit_test_setup_teardown(keys_stay_over_a_reload_where_they_come_from_the_same_server, begin, end),
		cmocka_unit_test_setup_teardown(what_a_token_proved_ends_with_its_request, begin, end),
		cmocka_unit_test_setup_teardown(without_memory_a_section_is_none_and_a_token_is_not_remembered, begin, end),
		cmocka_unit_test_setup_teardown(keys_of_a_file_that_are_none_are_refused_with_the_reason, begin, end),
		cmocka_unit_test_setup_teardown(nobody_is_asked_for_the_keys_of_a_file_and_the_first_question_does_not_wait, begin, end),
		cmocka_unit_test_setup_teardown(keys_of_the_api_server_that_are_none_are_told, begin, end),
	};
	return cmocka_run_group_tests(tests, make_keys, drop_keys);
}
