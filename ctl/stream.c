/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream of events over HTTP, by libcurl.
 */
#include "ctl/stream.h"

#include "agent/base/clock.h"
#include "ctl/ctl.h"

#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>

#define SILENCE_MS  45000 /* an agent says something every 15 s */
#define AGAIN_LEAST 250 /* ms before a stream is opened again … */
#define AGAIN_MOST  8000
#define HTTP_OK     200

static size_t take(char *p, size_t size, size_t n, void *arg)
{
	struct mk_stream *s = arg;
	long status = 0;
	curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
	s->heard_ms = mk_boot_ms();
	if (status != HTTP_OK)
		return mk_ctl_take(p, size, n, s->reply.body);
	s->open = s->ever = true;
	s->again_ms = AGAIN_LEAST;
	s->stranger = !mk_sse_take(&s->sse, p, size * n);
	return s->stranger || s->stop ? 0 : size * n;
}

/* At each turn of the multi handle. curl's own measure of a slow transfer takes whole bytes a second: a sign of life is less. */
static int is_silent(void *arg, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
	const struct mk_stream *s = arg;
	(void)down_all;
	(void)down;
	(void)up_all;
	(void)up;
	return mk_boot_ms() - s->heard_ms > SILENCE_MS;
}

int mk_stream_of(struct mk_stream *s, const char *command, const char *const *words, size_t n)
{
	size_t len = (size_t)snprintf(s->url, sizeof s->url, "http://agent/v1/watch");
	s->again_ms = s->again_ms ? s->again_ms : AGAIN_LEAST;
	for (size_t i = 0; i < n; i++) {
		struct mk_name name;
		if (mk_name_of(mk_span_of(words[i]), &name) != MK_OK)
			return mk_ctl_usage(command, "not a connection's name: %s (a-z, 0-9 and single -, 63 at most)", words[i]);
		len += (size_t)snprintf(s->url + len, sizeof s->url - len, "%cconnection=%s", i ? '&' : '?', name.s);
	}
	return MK_EXIT_DONE;
}

static struct curl_slist *headers_of(const struct mk_stream *s)
{
	char line[128];
	struct curl_slist *all = curl_slist_append(NULL, "Accept: text/event-stream"), *more;
	if (!all || !s->sse.last_id[0])
		return all;
	snprintf(line, sizeof line, "Last-Event-ID: %s", s->sse.last_id);
	more = curl_slist_append(all, line);
	return more ? more : all;
}

static void set_up(struct mk_stream *s)
{
	mk_ctl_over(s->curl, s->path);
	curl_easy_setopt(s->curl, CURLOPT_URL, s->url);
	s->heard_ms = mk_boot_ms();
	curl_easy_setopt(s->curl, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(s->curl, CURLOPT_XFERINFOFUNCTION, is_silent);
	curl_easy_setopt(s->curl, CURLOPT_XFERINFODATA, s);
	curl_easy_setopt(s->curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(s->curl, CURLOPT_WRITEDATA, s);
	curl_easy_setopt(s->curl, CURLOPT_HTTPHEADER, s->headers);
}

int mk_stream_open(struct mk_stream *s, void *multi)
{
	s->curl = curl_easy_init();
	s->headers = headers_of(s);
	s->open = false;
	s->status = 0;
	mk_sse_restart(&s->sse);
	if (multi && s->curl && s->headers && mk_secret_new(MK_SECRET_SMALL, &s->reply.body) == MK_OK) {
		set_up(s);
		if (curl_multi_add_handle(multi, s->curl) == CURLM_OK)
			return MK_EXIT_DONE;
	}
	mk_stream_close(s, NULL);
	return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
}

void mk_stream_close(struct mk_stream *s, void *multi)
{
	if (s->curl && multi)
		curl_multi_remove_handle(multi, s->curl);
	if (s->curl)
		curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &s->status);
	curl_easy_cleanup(s->curl);
	curl_slist_free_all(s->headers);
	mk_reply_done(&s->reply);
	s->curl = s->headers = NULL;
	s->open = false;
}

static bool may_get_better(long status)
{
	return status == HTTP_OK || status == 429 || status >= 500;
}

static int judged(struct mk_stream *s, int rc)
{
	long status = 0;
	curl_easy_getinfo(s->curl, CURLINFO_RESPONSE_CODE, &status);
	if (s->stop)
		return MK_EXIT_FAILED;
	if (s->stranger)
		return mk_ctl_stranger();
	if (rc == CURLE_OK && status != HTTP_OK && !(s->ever && may_get_better(status))) {
		s->reply.status = status;
		return mk_ctl_problem(&s->reply, s->json);
	}
	if (!s->ever)
		return rc == CURLE_OK ? mk_ctl_stranger() : mk_ctl_failed(s->curl, rc, s->target, s->path);
	return MK_EXIT_DONE;
}

int mk_stream_over(struct mk_stream *s, void *multi, int rc)
{
	const int code = judged(s, rc);
	mk_stream_close(s, multi);
	return code;
}

int mk_stream_again_ms(struct mk_stream *s)
{
	const int ms = s->again_ms - (int)randombytes_uniform((uint32_t)s->again_ms / 4 + 1);
	s->again_ms = s->again_ms * 2 < AGAIN_MOST ? s->again_ms * 2 : AGAIN_MOST;
	return ms;
}

bool mk_stream_is_first_pause(const struct mk_stream *s)
{
	return s->again_ms == AGAIN_LEAST;
}
