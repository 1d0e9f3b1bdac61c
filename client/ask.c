/* SPDX-License-Identifier: Apache-2.0
 *
 * One thread asks over a link at a time, and one name is asked for once at a time: others who want it wait, and look at
 * the copy first. Answers land in locked memory and are wiped there. A link on which anything went wrong is closed, so that a late
 * answer is never taken for the next one's.
 */
#include "client/ask.h"

#include <errno.h>
#include <string.h>

#include "client/clock.h"
#include "client/link.h"
#include "client/memory.h"
#include "client/page.h"
#include "client/table.h"

#define ASKS_MAX 3 /* where the token changed again while its answer was under way */

static int hand_over(const struct wish *w, struct bytes value)
{
	if (value.n > w->size)
		return MAKINI_ESMALL;
	if (value.n > 0)
		memcpy(w->buf, value.p, value.n);
	if (value.n < w->size)
		w->buf[value.n] = '\0';
	return 0;
}

/* With the lock held. */
static bool give_copy(makini *m, const struct wish *w, int *ret_rc)
{
	struct copy *c = table_find(m, &w->name);
	if (!c)
		return false;
	if (!table_good(m, c)) {
		table_drop(m, c);
		return false;
	}
	c->used = ++m->g->asks;
	if (w->info)
		*w->info = c->info;
	*ret_rc = hand_over(w, table_value(c));
	return true;
}

bool ask_copy(makini *m, const struct wish *w, int *ret_rc)
{
	pthread_mutex_lock(&m->g->lock);
	const bool given = give_copy(m, w, ret_rc);
	pthread_mutex_unlock(&m->g->lock);
	return given;
}

static bool is_asked_for(const makini *m, const struct name *name)
{
	for (unsigned i = 0; i < LINKS; i++) {
		const struct name *other = m->link[i].busy ? m->link[i].asks : NULL;
		if (other && other->n == name->n && memcmp(other->s, name->s, name->n) == 0)
			return true;
	}
	return false;
}

/* An idle link with memory for an answer, a connected one where there is any. */
static struct link *idle_link(makini *m)
{
	struct link *found = NULL;
	for (unsigned i = 0; i < LINKS; i++) {
		struct link *l = &m->link[i];
		if (!l->busy && (!found || (l->fd >= 0 && found->fd < 0)))
			found = l;
	}
	if (found && !found->in && memory_new(m, WIRE_ANSWER_MAX, &found->in) != 0)
		return NULL;
	return found;
}

static int wait_turn(makini *m, int64_t deadline)
{
	const struct timespec until = { .tv_sec = deadline / NS_PER_S, .tv_nsec = deadline % NS_PER_S };
	return pthread_cond_timedwait(&m->g->turn, &m->g->lock, &until) == ETIMEDOUT ? MAKINI_ETIMEOUT : 0;
}

/* What makini_watch_next should look for if this ask is refused: any move of the word from here on. */
static void mark_before(makini *m, const struct name *name)
{
	struct copy *c = table_find(m, name);
	if (c && m->page && c->generation == m->generation)
		c->before = __atomic_load_n(&m->page->word[c->index], __ATOMIC_ACQUIRE);
}

/* 0 with a link, or with none where another's ask brought the copy meanwhile, whose result is in *ret_rc. */
static int take_link(makini *m, const struct wish *w, int64_t deadline, struct link **ret, int *ret_rc)
{
	struct link *l = NULL;
	int rc = 0;
	pthread_mutex_lock(&m->g->lock);
	while (rc == 0 && !give_copy(m, w, ret_rc)) {
		if (!is_asked_for(m, &w->name) && (l = idle_link(m))) {
			l->busy = true;
			l->asks = &w->name;
			m->g->asks++;
			mark_before(m, &w->name);
			break;
		}
		rc = wait_turn(m, deadline);
	}
	pthread_mutex_unlock(&m->g->lock);
	*ret = l;
	return rc;
}

static void give_link(makini *m, struct link *l)
{
	pthread_mutex_lock(&m->g->lock);
	l->busy = false;
	l->asks = NULL;
	pthread_cond_broadcast(&m->g->turn);
	pthread_mutex_unlock(&m->g->lock);
}

static int receive(const struct link *l, int64_t deadline, struct packet *ret)
{
	int rc;
	do {
		rc = link_wait(l->fd, deadline);
		if (rc == 0)
			rc = link_receive(l->fd, l->in->bytes, WIRE_ANSWER_MAX, ret);
	} while (rc == LINK_NOTHING);
	return rc;
}

/* One ask and its answer. HELLO's brings a descriptor, which is the caller's then, and no other does. */
static int exchange(struct link *l, enum wire_type type, const struct wish *w, int64_t deadline, struct answer *a, int *ret_fd)
{
	const struct bytes name = { w ? (const unsigned char *)w->name.s : NULL, w ? w->name.n : 0 };
	struct packet in;
	int rc = link_send(l->fd, type, ++l->number, w ? &name : NULL);
	if (rc == 0)
		rc = receive(l, deadline, &in);
	if (rc != 0)
		return rc;
	rc = frame_answer(in.bytes, type, l->number, a);
	if (rc == 0 && (in.fd >= 0) != (type == WIRE_HELLO && a->status == 0))
		rc = MAKINI_EPROTOCOL;
	if (rc != 0)
		link_close(&in.fd);
	*ret_fd = in.fd;
	return rc;
}

static int hello(makini *m, struct link *l, int64_t deadline, struct answer *a)
{
	int page = -1;
	int rc = link_connect(&m->at, deadline, &l->fd);
	if (rc == 0)
		rc = exchange(l, WIRE_HELLO, NULL, deadline, a, &page);
	if (rc == 0)
		rc = a->status;
	if (rc == 0)
		rc = page_adopt(m, page, a->words, &l->generation);
	if (rc == 0)
		l->words = a->words;
	else
		link_end(&l->fd);
	return rc;
}

static bool is_stale(makini *m, const struct link *l)
{
	pthread_mutex_lock(&m->g->lock);
	const bool stale = l->generation != m->generation;
	pthread_mutex_unlock(&m->g->lock);
	return stale;
}

/* Connects where it must, and asks. LINK_LOST: worth one more try. */
static int try_once(makini *m, struct link *l, const struct wish *w, int64_t deadline, struct answer *a)
{
	int none = -1;
	if (l->fd >= 0 && is_stale(m, l))
		link_end(&l->fd);
	int rc = l->fd >= 0 ? 0 : hello(m, l, deadline, a);
	if (rc == 0)
		rc = exchange(l, WIRE_GET, w, deadline, a, &none);
	if (rc == 0 && a->status == 0 && a->index >= l->words)
		rc = MAKINI_EPROTOCOL;
	if (rc != 0)
		link_end(&l->fd);
	return rc;
}

static int try_twice(makini *m, struct link *l, const struct wish *w, int64_t deadline, struct answer *a)
{
	int rc = try_once(m, l, w, deadline, a);
	if (rc == LINK_LOST)
		rc = try_once(m, l, w, deadline, a);
	return rc == LINK_LOST ? MAKINI_EAGENT : rc;
}

/* Refused, or not answered. The name goes on being watched where its word is known. */
static void forget(makini *m, const struct name *name)
{
	pthread_mutex_lock(&m->g->lock);
	struct copy *c = table_find(m, name);
	if (c) {
		table_drop(m, c);
		c->word = c->before;
		c->good_until = INT64_MAX;
		c->told = c->generation != m->generation;
	}
	pthread_mutex_unlock(&m->g->lock);
}

/* Keeps a copy, unless the page is another's by now. False: the token has changed since it was answered. */
static bool keep(makini *m, const struct link *l, const struct name *name, const struct answer *a)
{
	pthread_mutex_lock(&m->g->lock);
	bool current = l->generation == m->generation;
	if (current) {
		table_keep(m, name, a);
		current = __atomic_load_n(&m->page->word[a->index], __ATOMIC_ACQUIRE) == a->word;
	}
	pthread_mutex_unlock(&m->g->lock);
	return current;
}

static int ask_over(makini *m, struct link *l, const struct wish *w, int64_t deadline)
{
	struct answer a = { .status = 0 };
	bool current = false;
	for (unsigned i = 0; i < ASKS_MAX && !current; i++) {
		int rc = try_twice(m, l, w, deadline, &a);
		if (rc == 0)
			rc = a.status;
		if (rc != 0) {
			forget(m, &w->name);
			if (w->info && rc == MAKINI_ERATE)
				w->info->retry_after_s = a.retry_after_s;
			return rc;
		}
		current = keep(m, l, &w->name, &a);
	}
	if (w->info)
		table_info(&a, w->info);
	return hand_over(w, a.value);
}

int ask_agent(makini *m, const struct wish *w)
{
	const int64_t deadline = monotonic_ns() + (int64_t)m->timeout_ms * NS_PER_MS;
	struct link *l = NULL;
	int copied = 0;
	int rc = take_link(m, w, deadline, &l, &copied);
	if (rc != 0 || !l)
		return rc != 0 ? rc : copied;
	rc = ask_over(m, l, w, deadline);
	explicit_bzero(l->in->bytes, WIRE_ANSWER_MAX);
	give_link(m, l);
	return rc;
}

int ask_hello(makini *m)
{
	const int64_t deadline = monotonic_ns() + (int64_t)m->timeout_ms * NS_PER_MS;
	struct answer a = { .status = 0 };
	struct link *l = &m->link[0];
	int rc = memory_new(m, WIRE_ANSWER_MAX, &l->in);
	if (rc == 0)
		rc = hello(m, l, deadline, &a);
	return rc == LINK_LOST ? MAKINI_EAGENT : rc;
}
