/* SPDX-License-Identifier: Apache-2.0
 *
 * Each thread counts for itself; the sums are made when all have ended.
 */
#include "pages.h"

#include "makini/client.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BURST 200  /* gets from memory … */
#define REST  1000 /* … then so many µs, as two cores are not for these alone */

struct page_client {
	pthread_t thread;
	makini *handle;
	struct pages_seen seen;
	atomic_bool served, refused;
};

static struct {
	const char *name, *token;
	const atomic_bool *returned;
	atomic_bool over;
	struct page_client *clients;
	size_t n;
} p;

static int64_t clock_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void get_once(struct page_client *c)
{
	char buf[4096];
	struct makini_info info;
	struct pages_seen *s = &c->seen;
	const bool late = atomic_load(p.returned);
	const int e = makini_get(c->handle, p.name, buf, sizeof buf, &info);
	const bool token = e == 0 && strcmp(buf, p.token) == 0;
	s->gets++;
	s->with_token += token;
	s->repeated += token && info.repeated;
	s->late += late;
	s->late_with_token += late && e == 0;
	s->other += !token && e != MAKINI_EREVOKED;
	if (token && info.repeated)
		atomic_store(&c->served, true);
	if (e == MAKINI_EREVOKED && !atomic_load(&c->refused)) {
		s->last_us = clock_us();
		atomic_store(&c->refused, true);
	}
}

static void *run(void *arg)
{
	struct page_client *c = arg;
	while (!atomic_load(&p.over)) {
		for (unsigned i = 0; i < BURST && !atomic_load(&c->refused); i++)
			get_once(c);
		if (atomic_load(&c->refused))
			get_once(c);
		usleep(REST);
	}
	return NULL;
}

void pages_begin(size_t n, const char *socket, const char *name, const char *token, const atomic_bool *returned)
{
	const struct makini_options options = { .size = sizeof options, .socket = socket, .allow_unlocked = 1 };
	p.name = name;
	p.token = token;
	p.returned = returned;
	p.n = n;
	p.clients = calloc(n + 1, sizeof *p.clients);
	for (size_t i = 0; p.clients && i < n; i++) {
		const int e = makini_open(&options, &p.clients[i].handle);
		if (e != 0 || pthread_create(&p.clients[i].thread, NULL, run, &p.clients[i]) != 0) {
			fprintf(stderr, "a client of the library cannot begin: %s\n", makini_strerror(e));
			exit(1);
		}
	}
}

uint64_t pages_served(void)
{
	uint64_t n = 0;
	for (size_t i = 0; i < p.n; i++)
		n += atomic_load(&p.clients[i].served);
	return n;
}

size_t pages_refused(void)
{
	size_t n = 0;
	for (size_t i = 0; i < p.n; i++)
		n += atomic_load(&p.clients[i].refused);
	return n;
}

void pages_end(struct pages_seen *ret)
{
	*ret = (struct pages_seen){ .refused = pages_refused() };
	atomic_store(&p.over, true);
	for (size_t i = 0; i < p.n; i++) {
		const struct pages_seen *s = &p.clients[i].seen;
		pthread_join(p.clients[i].thread, NULL);
		makini_close(p.clients[i].handle);
		ret->gets += s->gets;
		ret->with_token += s->with_token;
		ret->repeated += s->repeated;
		ret->late += s->late;
		ret->late_with_token += s->late_with_token;
		ret->other += s->other;
		ret->last_us = s->last_us > ret->last_us ? s->last_us : ret->last_us;
	}
	free(p.clients);
}
