/* SPDX-License-Identifier: Apache-2.0
 *
 * The end: the broker answers what it has begun, then all processes go, then the sockets.
 * Nobody waits longer than DRAIN_MS.
 */
#include "agent/base/log.h"
#include "agent/supervisor/sup.h"
#include "mk/own.h"

#define DRAIN_MS  5000
#define LEAVE_MS  500 /* for those that hold no client */

static bool any_left(const struct mk_sup *s)
{
	for (size_t i = 0; i < MK_KIDS_MAX; i++)
		if (s->kids[i].state != MK_KID_DOWN)
			return true;
	return false;
}

static void leave(struct mk_kid *k, int64_t in_ms)
{
	if (k->state == MK_KID_DOWN)
		mk_timer_set(k->timer, -1);
	else if (k->state != MK_KID_LEAVING)
		mk_kid_leave(k, in_ms);
}

void mk_sup_drain(struct mk_sup *s)
{
	if (s->draining)
		return;
	s->draining = true;
	mk_log(MK_INFO, "draining", MK_KV_N("at_most_ms", DRAIN_MS));
	if (s->reload.state != MK_RELOAD_NONE)
		mk_reload_drop(s, MK_NOT_READY, "the agent was told to end");
	(void)mk_notify(&s->notify, "STOPPING=1\nSTATUS=draining");
	leave(s->broker, DRAIN_MS);
	mk_sup_drain_on(s);
}

void mk_sup_drain_on(struct mk_sup *s)
{
	if (s->broker->state != MK_KID_DOWN)
		return; /* the others serve it to its end */
	leave(s->fetcher, LEAVE_MS);
	leave(s->spare, LEAVE_MS);
	leave(s->reporter, LEAVE_MS);
	if (!any_left(s))
		mk_loop_stop(s->loop);
}

void mk_sup_stop(struct mk_sup *s)
{
	const struct mk_listeners none = { NULL, 0 };
	mk_listeners_close(&s->reload.listeners, &s->listeners);
	mk_listeners_close(&s->listeners, &none);
	for (size_t i = 0; i < MK_KIDS_MAX; i++) {
		s->kids[i].link = mk_link_free(s->kids[i].link);
		s->kids[i].timer = mk_timer_free(s->kids[i].timer);
	}
	s->tick = mk_timer_free(s->tick);
	s->watchdog = mk_timer_free(s->watchdog);
	s->loop = mk_loop_free(s->loop);
	mk_exes_close(&s->exes);
	mk_closep(&s->tcp_fd);
	mk_closep(&s->head_fd);
	mk_closep(&s->sockets_lock_fd);
	mk_closep(&s->lock_fd);
	mk_closep(&s->notify.fd);
	s->reload.conf = mk_conf_free(s->reload.conf);
	s->conf = mk_conf_free(s->conf);
}
