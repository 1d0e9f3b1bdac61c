/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeps tokens current: the stream first, then the tokens, so that no change falls between. One question
 * at a time; who is due is asked in order.
 */
#include "ctl/feed.h"

#include "agent/base/clock.h"
#include "ctl/ctl.h"

#include <curl/curl.h>
#include <stdio.h>

#define NAP         1000  /* ms: as long as an expiry may go unnoticed */
#define AGAIN_LEAST 1000  /* ms before what gave trouble is asked again … */
#define AGAIN_MOST  30000
#define SMALL_EACH  3u    /* secrets of a connection: held, its news, on its way to a child */
#define LARGE_EACH  2u

int mk_feed_add(struct mk_feed *f, const char *text, struct mk_fed **ret)
{
	struct mk_name name;
	size_t i = 0;
	if (mk_name_of(mk_span_of(text), &name) != MK_OK)
		return mk_ctl_usage(f->command, "not a connection's name: %s (a-z, 0-9 and single -, 63 at most)", text);
	while (i < f->n && !mk_name_eq(&f->fed[i].name, &name))
		i++;
	if (i == MK_STREAM_NAMES)
		return mk_ctl_usage(f->command, "too many connections: %u at most", MK_STREAM_NAMES);
	if (i == f->n)
		f->fed[f->n++] = (struct mk_fed){ .name = name, .code = MK_FED_UNKNOWN, .expires_at = MK_TIME_NONE, .due = true };
	if (ret)
		*ret = &f->fed[i];
	return MK_EXIT_DONE;
}

/* --- what happens */

static void gone(struct mk_feed *f, struct mk_fed *fed, int code)
{
	const bool first = fed->code == MK_FED_UNKNOWN, was = fed->code != MK_EXIT_DONE;
	fed->code = code;
	fed->leaves = mk_secret_free(fed->leaves);
	fed->etag[0] = '\0';
	fed->expires_at = MK_TIME_NONE;
	if (!first && !was)
		f->changed(f->arg, fed);
}

static void told(void *arg, const struct mk_news *news)
{
	struct mk_feed *f = arg;
	for (size_t i = 0; i < f->n; i++) {
		struct mk_fed *fed = &f->fed[i];
		if (news->connection[0] && strcmp(news->connection, fed->name.s) != 0)
			continue;
		fed->due = true;
		if (strcmp(news->kind, "revoked") == 0 && news->connection[0])
			gone(f, fed, MK_EXIT_GONE); /* whatever comes next: it must not be used */
	}
	f->get_at = 0;
}

static void back(struct mk_feed *f)
{
	if (f->lost || f->failing)
		mk_ctl_fail(MK_EXIT_DONE, "the agent answers again");
	f->lost = f->failing = f->refused = false;
	f->get_again_ms = AGAIN_LEAST;
	f->get_at = 0;
}

/* --- the stream */

/* It may not watch: may it get? What is held is asked for at each try: else its revocation would go unnoticed. */
static void stream_refused(struct mk_feed *f)
{
	if (!f->refused)
		mk_ctl_fail(MK_EXIT_DONE, "the agent does not tell changes any more (%ld%s): tokens are asked for every few seconds", f->stream.status,
			    f->stream.status == 403 ? ", the action \"watch\"" : "");
	for (size_t i = 0; i < f->n; i++)
		f->fed[i].due = f->fed[i].due || !f->refused || f->fed[i].code == MK_EXIT_DONE;
	f->refused = true;
	f->get_at = 0;
}

static void stream_ended(struct mk_feed *f, int rc)
{
	const bool first = !f->lost;
	if (!first)
		mk_stream_close(&f->stream, f->multi);
	else if (mk_stream_over(&f->stream, f->multi, rc) == MK_EXIT_DONE)
		mk_ctl_fail(MK_EXIT_DONE, "the agent went away; what it gave stays in use, and it is looked for");
	else
		mk_ctl_fail(MK_EXIT_DONE, "changes are not told any more; what was given stays in use, and it is tried again");
	f->lost = true;
	f->open_at = mk_boot_ms() + mk_stream_again_ms(&f->stream);
	if (f->stream.status >= 400 && f->stream.status < 500 && f->stream.status != 429)
		stream_refused(f);
}

/* Of what is not denied, as one that is denied would be the end of all. */
static int open_again(struct mk_feed *f)
{
	const char *words[MK_STREAM_NAMES];
	size_t n = 0;
	for (size_t i = 0; i < f->n; i++)
		if (f->fed[i].code != MK_EXIT_DENIED)
			words[n++] = f->fed[i].name.s;
	if (n > 0 && mk_stream_of(&f->stream, f->command, words, n) != MK_EXIT_DONE)
		return MK_EXIT_FAILED;
	return mk_stream_open(&f->stream, f->multi);
}

static void turn_stream(struct mk_feed *f)
{
	int running = 0, left = 0;
	if (f->once)
		return;
	if (!f->stream.curl && mk_boot_ms() >= f->open_at && open_again(f) != MK_EXIT_DONE)
		f->open_at = mk_boot_ms() + NAP;
	curl_multi_perform(f->multi, &running);
	const CURLMsg *m = curl_multi_info_read(f->multi, &left);
	if (m && m->msg == CURLMSG_DONE)
		stream_ended(f, (int)m->data.result);
	else if (f->stream.open && f->lost)
		back(f);
}

/* --- the questions */

static void trouble(struct mk_feed *f)
{
	f->failing = true;
	f->get_at = mk_boot_ms() + f->get_again_ms;
	f->get_again_ms = f->get_again_ms * 2 < AGAIN_MOST ? f->get_again_ms * 2 : AGAIN_MOST;
}

static void answered(struct mk_feed *f, int rc)
{
	struct mk_fed *of = f->get.of;
	int code = MK_EXIT_UNAVAILABLE;
	if (of->due) { /* something happened since it was asked: the answer may be from before */
		mk_get_done(&f->get);
		return;
	}
	const enum mk_got got = mk_get_end(&f->get, f, rc, !f->failing && !f->lost, &code);
	mk_get_done(&f->get);
	if (got == MK_GOT_TROUBLE) {
		of->due = true;
		trouble(f);
		return;
	}
	if (f->failing && !f->lost)
		back(f);
	if (got == MK_GOT_GONE)
		gone(f, of, code);
	else if (got == MK_GOT_NEW)
		f->changed(f->arg, of);
}

/* In turn: one that gives trouble does not hold up the others. */
static struct mk_fed *next_due(struct mk_feed *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct mk_fed *fed = &f->fed[(f->turn + i) % f->n];
		if (fed->due)
			return fed;
	}
	return NULL;
}

static void ask(struct mk_feed *f, struct mk_fed *due)
{
	if (mk_get_begin(&f->get, f, due) != MK_EXIT_DONE) {
		trouble(f);
		return;
	}
	due->due = false;
	f->turn = (size_t)(due - f->fed) + 1;
}

static void look_at_expiry(struct mk_feed *f, struct mk_fed *fed)
{
	if (fed->code != MK_EXIT_DONE || fed->expires_at == MK_TIME_NONE || fed->expiry_told)
		return;
	if (mk_wall_ms() < fed->expires_at && mk_boot_ms() < fed->over_at)
		return;
	fed->expiry_told = fed->due = true; /* an agent that is there says what is so now */
	f->get_at = 0;
	if (f->lost || f->failing)
		mk_ctl_fail(MK_EXIT_DONE, "%s: its token has expired, and there is no agent to give another", fed->name.s);
	if (f->drop_expired)
		gone(f, fed, MK_EXIT_GONE);
}

static int nap_of(const struct mk_feed *f, int ms)
{
	const int64_t now = mk_boot_ms();
	int64_t until = now + (ms < NAP ? ms : NAP);
	if (!f->once && !f->stream.curl && f->open_at < until)
		until = f->open_at;
	for (size_t i = 0; i < f->n; i++)
		if (f->fed[i].due && f->get_at < until)
			until = f->get_at;
	return until > now ? (int)(until - now) : 0;
}

void mk_feed_round(struct mk_feed *f, int fd, int ms)
{
	struct curl_waitfd extra = { .fd = fd, .events = CURL_WAIT_POLLIN };
	int rc = 0;
	for (size_t i = 0; i < f->n; i++)
		look_at_expiry(f, &f->fed[i]);
	turn_stream(f);
	struct mk_fed *due = next_due(f);
	if (!f->get.of && due && mk_boot_ms() >= f->get_at)
		ask(f, due);
	if (!f->get.of)
		curl_multi_poll(f->multi, &extra, fd >= 0 ? 1 : 0, nap_of(f, ms), NULL);
	else if (mk_get_turn(&f->get, fd, ms < NAP ? ms : NAP, &rc))
		answered(f, rc);
}

bool mk_feed_is_quiet(const struct mk_feed *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->fed[i].due && !f->failing && !f->lost)
			return false;
	return !f->get.of;
}

/* --- the beginning */

/* Until the stream tells, or its end says why not. */
static int open_stream(struct mk_feed *f)
{
	int running = 1, left = 0;
	int rc = mk_stream_open(&f->stream, f->multi);
	while (rc == MK_EXIT_DONE && !f->stream.open && running > 0) {
		if (curl_multi_perform(f->multi, &running) != CURLM_OK)
			return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
		if (running > 0 && !f->stream.open)
			curl_multi_poll(f->multi, NULL, 0, NAP, NULL);
	}
	if (rc != MK_EXIT_DONE || f->stream.open)
		return rc;
	const CURLMsg *m = curl_multi_info_read(f->multi, &left);
	const CURLcode result = m && m->msg == CURLMSG_DONE ? m->data.result : CURLE_OUT_OF_MEMORY;
	curl_easy_getinfo(f->stream.curl, CURLINFO_RESPONSE_CODE, &f->stream.status);
	if (result == CURLE_OK && f->stream.status == 403) {
		mk_stream_close(&f->stream, f->multi);
		return MK_EXIT_DENIED; /* told with names */
	}
	rc = mk_stream_over(&f->stream, f->multi, (int)result);
	return rc == MK_EXIT_DONE ? mk_ctl_stranger() : rc;
}

static int get_first(struct mk_feed *f, struct mk_fed *fed)
{
	int rc = 0, code = MK_EXIT_UNAVAILABLE;
	if (mk_get_begin(&f->get, f, fed) != MK_EXIT_DONE)
		return MK_EXIT_FAILED;
	while (!mk_get_turn(&f->get, -1, NAP, &rc))
		;
	const enum mk_got got = mk_get_end(&f->get, f, rc, true, &code);
	mk_get_done(&f->get);
	if (got == MK_GOT_TROUBLE)
		return code;
	fed->due = false;
	if (got == MK_GOT_GONE)
		gone(f, fed, code);
	return MK_EXIT_DONE;
}

static int get_all(struct mk_feed *f)
{
	int rc = MK_EXIT_DONE;
	for (size_t i = 0; rc == MK_EXIT_DONE && i < f->n; i++)
		rc = get_first(f, &f->fed[i]);
	return rc;
}

/* A refused stream does not say which name it is. */
static int tell_denied(struct mk_feed *f)
{
	bool all = get_all(f) == MK_EXIT_DONE;
	for (size_t i = 0; i < f->n; i++)
		all = all && f->fed[i].code == MK_EXIT_DONE;
	if (all)
		mk_ctl_fail(MK_EXIT_DENIED, "to be told of changes takes the action \"watch\" on each connection, too (makinictl whoami shows what is allowed)");
	return MK_EXIT_DENIED;
}

int mk_feed_begin(struct mk_feed *f)
{
	const char *words[MK_STREAM_NAMES];
	for (size_t i = 0; i < f->n; i++)
		words[i] = f->fed[i].name.s;
	f->stream.target = &f->target;
	f->stream.path = f->path;
	f->stream.sse.told = told;
	f->stream.sse.arg = f;
	f->get_again_ms = AGAIN_LEAST;
	int rc = mk_stream_of(&f->stream, f->command, words, f->n);
	if (rc == MK_EXIT_DONE)
		rc = mk_ctl_socket(&f->target, f->path);
	if (rc == MK_EXIT_DONE)
		rc = mk_ctl_ready_for(4 + SMALL_EACH * (unsigned)f->n, 3 + LARGE_EACH * (unsigned)f->n, true);
	if (rc == MK_EXIT_DONE && !(f->multi = curl_multi_init()))
		rc = mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
	if (rc == MK_EXIT_DONE && !f->once)
		rc = open_stream(f);
	if (rc == MK_EXIT_DENIED && f->stream.status == 403)
		return tell_denied(f);
	return rc == MK_EXIT_DONE ? get_all(f) : rc;
}

void mk_feed_done(struct mk_feed *f)
{
	mk_get_done(&f->get);
	mk_stream_close(&f->stream, f->multi);
	curl_multi_cleanup(f->multi);
	f->multi = NULL;
	for (size_t i = 0; i < f->n; i++)
		f->fed[i].leaves = mk_secret_free(f->fed[i].leaves);
}
