/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks for URLs, one after the other, through the fetcher's own transport, and prints a line of JSON
 * for each: how it ended. For test_transport.py, which plays the servers.
 *     get MAX TIMEOUT_MS [ca=F] [cert=F] [key=F] [proxy=U] [header=SECRET] [body=TEXT] [method=N] [cancel] [apart] URL…
 * apart: each URL as of another backend
 */
#include "agent/base/clock.h"
#include "agent/base/secret.h"
#include "agent/base/units.h"
#include "agent/fetcher/transport_curl.h"
#include "mk/own.h"

#include <stdio.h>
#include <stdlib.h>

static struct {
	struct mk_loop *loop;
	struct mk_transport transport;
	struct mk_conf_backend conf;
	struct mk_req req;
	struct mk_call call;
	struct mk_timer *timer;
	char **next, **end;
	int64_t begun;
	bool cancel, apart;
} g;

static void go_on(void *arg);

static void print(const struct mk_call *c)
{
	uint8_t first = c->res.body.n > 0 ? c->res.body.p[0] : 0;
	printf("{\"err\":\"%s\",\"err_no\":%d,\"status\":%ld,\"bytes\":%zu,\"first\":%u,\"retry_after_ms\":%lld,\"hopeless\":%s,\"ms\":%lld,\"fault\":\"%s\"}\n",
	       mk_err_word(c->res.err), (int)c->res.err, c->res.status, c->res.body.n, first, (long long)c->retry_after_ms, c->hopeless ? "true" : "false",
	       (long long)(mk_boot_ms() - g.begun), c->fault ? c->fault : "");
	fflush(stdout);
}

static void answered(struct mk_call *c)
{
	print(c);
	c->body = mk_secret_free(c->body);
	mk_timer_set(g.timer, 0);
}

static void go_on(void *arg)
{
	(void)arg;
	if (g.cancel && g.call.handle) {
		g.transport.cancel(g.transport.self, &g.call);
		printf("{\"cancelled\":true}\n");
	}
	if (g.next == g.end) {
		mk_loop_stop(g.loop);
		return;
	}
	const int64_t timeout = g.call.timeout_ms;
	g.req.url = *g.next++;
	if (g.apart)
		g.conf.name.s[0]++;
	g.call = (struct mk_call){ .answered = answered, .req = &g.req, .conf = &g.conf, .timeout_ms = timeout, .retry_after_ms = -1 };
	g.begun = mk_boot_ms();
	const enum mk_err e = g.transport.start(g.transport.self, &g.call);
	if (e != MK_OK) {
		g.call.res.err = e;
		answered(&g.call);
	} else if (g.cancel) {
		mk_timer_set(g.timer, 200);
	}
}

static struct mk_secret *secret(const char *text)
{
	struct mk_secret *s = NULL;
	mk_ignore(mk_secret_copy(mk_span_of(text), &s), "then there is none");
	return s;
}

static bool option(const char *a)
{
	const struct {
		const char *key;
		char *to;
	} texts[] = { { "ca=", g.conf.ca_file }, { "cert=", g.conf.auth.cert_file }, { "key=", g.conf.auth.cert_key_file }, { "proxy=", g.conf.proxy } };
	for (size_t i = 0; i < MK_COUNT(texts); i++)
		if (strncmp(a, texts[i].key, strlen(texts[i].key)) == 0)
			return snprintf(texts[i].to, MK_URL_MAX, "%s", a + strlen(texts[i].key)) > 0;
	if (strncmp(a, "header=", 7) == 0)
		g.req.headers[g.req.n_headers++] = (struct mk_req_header){ "X-Vault-Token", "", secret(a + 7) };
	else if (strncmp(a, "body=", 5) == 0)
		g.req.body = secret(a + 5);
	else if (strncmp(a, "method=", 7) == 0)
		g.req.method = (enum mk_method)(a[7] - '0');
	else if (strcmp(a, "cancel") == 0)
		g.cancel = true;
	else if (strcmp(a, "apart") == 0)
		g.apart = true;
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	struct mk_curl *curl = NULL;
	bool locked;
	uint32_t max = 0, timeout = 0;
	if (argc < 4 || mk_u32_of(mk_span_of(argv[1]), &max) != MK_OK || mk_u32_of(mk_span_of(argv[2]), &timeout) != MK_OK)
		return 2;
	if (mk_secret_arena_init(32, 4, &locked) != MK_OK || mk_curl_new(&curl) != MK_OK || mk_loop_new(&g.loop) != MK_OK ||
	    mk_timer_new(g.loop, go_on, NULL, &g.timer) != MK_OK)
		return 1;
	g.conf.name.s[0] = 'a';
	g.req = (struct mk_req){ .kind = MK_REQ_HTTP, .max = max, .method = MK_HTTP_GET };
	g.call.timeout_ms = timeout;
	g.next = argv + 3;
	g.end = argv + argc;
	while (g.next < g.end && option(*g.next))
		g.next++;
	g.transport = mk_curl_transport(curl);
	const unsigned before = mk_secret_in_use();
	mk_timer_set(g.timer, 0);
	const enum mk_err e = mk_curl_run(curl, g.loop);
	const bool leaked = mk_secret_in_use() != before;
	for (size_t i = 0; i < g.req.n_headers; i++)
		mk_secret_free((struct mk_secret *)(uintptr_t)g.req.headers[i].secret);
	mk_secret_free((struct mk_secret *)(uintptr_t)g.req.body);
	mk_timer_free(g.timer);
	mk_curl_free(curl);
	mk_loop_free(g.loop);
	return e != MK_OK || leaked;
}
