/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening, getting, closing. Whatever a caller hands in is looked at here, and whether this is the process that
 * opened the handle is asked here before anything else of it is touched.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/ask.h"
#include "client/link.h"
#include "client/memory.h"
#include "client/name.h"
#include "client/page.h"
#include "client/table.h"

#define TIMEOUT_MS 10000

/* A program that was built with a later header has more options; all of those must be unset. */
static int read_options(const struct makini_options *options, struct makini_options *ret)
{
	*ret = (struct makini_options){ .size = sizeof *ret };
	if (!options)
		return 0;
	if (options->size < sizeof *ret)
		return MAKINI_EINVAL;
	for (size_t i = sizeof *ret; i < options->size; i++)
		if (((const unsigned char *)options)[i] != 0)
			return MAKINI_EINVAL;
	*ret = *options;
	return ret->timeout_ms < 0 ? MAKINI_EINVAL : 0;
}

static void init_locks(struct guarded *g)
{
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&g->turn, &monotonic);
	pthread_condattr_destroy(&monotonic);
	pthread_mutex_init(&g->lock, NULL);
	pthread_mutex_init(&g->watching, NULL);
	g->alive = 1;
}

static int fill(makini *m, const struct makini_options *o)
{
	struct map *guarded;
	const char *path = o->socket ? o->socket : secure_getenv("MAKINI_AGENT_SOCKET");
	if (!path)
		return MAKINI_EINVAL;
	int rc = link_address(path, &m->at);
	m->timeout_ms = o->timeout_ms ? o->timeout_ms : TIMEOUT_MS;
	m->unlocked = o->allow_unlocked != 0;
	if (rc == 0)
		rc = memory_new(m, sizeof *m->g, &guarded);
	if (rc != 0)
		return rc;
	m->g = (struct guarded *)(void *)guarded->bytes;
	init_locks(m->g);
	return table_start(m);
}

static makini *blank(void)
{
	makini *m = calloc(1, sizeof *m);
	if (!m)
		return NULL;
	for (unsigned i = 0; i < LINKS; i++)
		m->link[i].fd = -1;
	m->watch.epoll = m->watch.timer = m->watch.fd = -1;
	return m;
}

int makini_open(const struct makini_options *options, makini **ret)
{
	struct makini_options o;
	if (!ret)
		return MAKINI_EINVAL;
	*ret = NULL;
	int rc = read_options(options, &o);
	if (rc != 0)
		return rc;
	makini *m = blank();
	if (!m)
		return MAKINI_ENOMEM;
	rc = fill(m, &o);
	if (rc == 0)
		rc = ask_hello(m);
	if (rc != 0)
		makini_close(m);
	else
		*ret = m;
	return rc;
}

static int check_get(makini *m, const char *connection, const struct wish *w)
{
	if (!m || !connection || (!w->buf && w->size > 0))
		return MAKINI_EINVAL;
	return is_ours(m) ? 0 : MAKINI_EFORK;
}

/* A repeat writes info once, and wholly; all else finds it zeroed. */
int makini_get(makini *m, const char *connection, char *buf, size_t size, struct makini_info *info)
{
	struct wish w = { .buf = buf, .size = size, .info = info };
	int rc = check_get(m, connection, &w);
	if (rc == 0) {
		w.name = name_of(connection);
		if (w.name.n <= MAKINI_NAME_MAX && ask_copy(m, &w, &rc))
			return rc;
	}
	if (info)
		memset(info, 0, sizeof *info);
	if (rc != 0)
		return rc;
	return name_is_good(&w.name) ? ask_agent(m, &w) : MAKINI_EINVAL;
}

void makini_close(makini *m)
{
	if (!m)
		return;
	const bool ours = is_ours(m);
	void (*const end)(int *) = ours ? link_end : link_close; /* a child's end is not its parent's */
	for (unsigned i = 0; i < LINKS; i++)
		end(&m->link[i].fd);
	end(&m->watch.fd);
	link_close(&m->watch.timer);
	link_close(&m->watch.epoll);
	page_unmap(m->page);
	if (ours) {
		pthread_cond_destroy(&m->g->turn);
		pthread_mutex_destroy(&m->g->lock);
		pthread_mutex_destroy(&m->g->watching);
	}
	memory_free_all(m, ours);
	free(m);
}
