/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl watch: what happens to a service's connections, as it happens. A stream that breaks
 * off is opened again, later each time, and goes on where it was; what cannot get better by itself
 * (denied, no such call) ends it.
 */
#include "ctl/watch.h"
#include "ctl/ctl.h"
#include "ctl/stream.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#define NAP         1000 /* ms; less while a command runs, as its end is looked for */
#define NAP_RUNNING 50

struct watch {
	struct mk_target target;
	char path[MK_SOCKET_PATH_MAX + 1];
	bool json;
	struct mk_stream stream; /* its stop: standard output, or the command, is of no use any more */
	struct mk_runner runner;
};

static void print(const struct watch *w, const struct mk_news *n)
{
	if (!w->json) {
		printf("%-9s %s %s\n", n->kind, n->connection[0] ? n->connection : "-", n->version[0] ? n->version : "-");
		return;
	}
	json_t *doc = json_pack("{s:s, s:s?, s:s?}", "event", n->kind, "connection", n->connection[0] ? n->connection : NULL, "version",
				n->version[0] ? n->version : NULL);
	json_dumpf(doc, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(doc);
}

static void told(void *arg, const struct mk_news *news)
{
	struct watch *w = arg;
	mk_runner_add(&w->runner, news);
	if (w->runner.command && !w->json)
		return;
	print(w, news);
	w->stream.stop = w->stream.stop || fflush(stdout) != 0;
}

static bool step(struct watch *w)
{
	w->stream.stop = w->stream.stop || !mk_runner_step(&w->runner);
	return !w->stream.stop;
}

static int nap(const struct watch *w)
{
	return w->runner.pid > 0 ? NAP_RUNNING : NAP;
}

/* Until the stream ends. */
static CURLcode transfer(struct watch *w, CURLM *multi)
{
	int running = 1, left = 0;
	while (running > 0 && step(w)) {
		if (curl_multi_perform(multi, &running) != CURLM_OK)
			return CURLE_OUT_OF_MEMORY;
		if (running > 0 && step(w))
			curl_multi_poll(multi, NULL, 0, nap(w), NULL);
	}
	const CURLMsg *m = curl_multi_info_read(multi, &left);
	return m && m->msg == CURLMSG_DONE ? m->data.result : CURLE_WRITE_ERROR;
}

/* Waits for the next try. */
static void pause_some(struct watch *w)
{
	int left = mk_stream_again_ms(&w->stream);
	while (left > 0 && step(w)) {
		const int ms = left < NAP_RUNNING ? left : NAP_RUNNING;
		usleep((useconds_t)ms * 1000);
		left -= ms;
	}
}

static int once(struct watch *w)
{
	CURLM *multi = curl_multi_init();
	int rc = mk_stream_open(&w->stream, multi);
	if (rc == MK_EXIT_DONE)
		rc = mk_stream_over(&w->stream, multi, (int)transfer(w, multi));
	curl_multi_cleanup(multi);
	return rc;
}

/* What was told is run before the end, also where the last word was that no more may be told. */
static void finish(struct watch *w)
{
	while ((w->runner.pid > 0 || w->runner.n > 0) && step(w))
		usleep(NAP_RUNNING * 1000);
}

static int follow(struct watch *w)
{
	int rc = mk_ctl_socket(&w->target, w->path);
	if (rc == MK_EXIT_DONE)
		rc = mk_ctl_ready(false);
	while (rc == MK_EXIT_DONE && (rc = once(w)) == MK_EXIT_DONE) {
		if (mk_stream_is_first_pause(&w->stream))
			mk_ctl_fail(MK_EXIT_DONE, "the stream ended; connecting again");
		pause_some(w);
	}
	finish(w);
	return rc;
}

int mk_ctl_watch(int argc, char **argv)
{
	static struct watch w = { .target.name = "api" };
	const char *words[MK_STREAM_NAMES];
	size_t n = 0;
	const struct mk_option options[] = {
		{ "--socket", &w.target.socket, NULL }, { "--env", &w.target.env, NULL },
		{ "--exec", &w.runner.command, NULL },  { "--json", NULL, &w.json },
	};
	int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, MK_COUNT(words), &n);
	if (rc == MK_EXIT_DONE && w.runner.command && !w.runner.command[0])
		rc = mk_ctl_usage("watch", "--exec wants a command");
	if (rc == MK_EXIT_DONE)
		rc = mk_stream_of(&w.stream, "watch", words, n);
	w.stream.target = &w.target;
	w.stream.path = w.path;
	w.stream.json = w.json;
	w.stream.sse.told = told;
	w.stream.sse.arg = &w;
	return rc == MK_EXIT_DONE ? follow(&w) : rc;
}
