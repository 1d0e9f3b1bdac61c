/* SPDX-License-Identifier: Apache-2.0
 *
 * One child: started, configured, asked whether it is there, ended. What it sends that
 * is against the table costs it its life. Restarts wait longer and longer until one of
 * them has lived for a while.
 */
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/supervisor/sup.h"
#include "mk/own.h"

#include <signal.h>
#include <sys/wait.h>

#define BACK_OFF_FIRST_MS 100
#define BACK_OFF_MAX_MS   5000
#define LIVED_MS          10000 /* long enough to start afresh with waiting */
#define UNANSWERED_MAX    2     /* at the third round without an answer it is taken for dead: 9 s */
#define START_MAX_MS      30000
#define GONE_MAX_MS       1000    /* from the end of its link to its own */

static void ended_if_so(struct mk_kid *k);

void mk_kid_kill(struct mk_kid *k, const char *why)
{
	if (k->pid == 0)
		return;
	mk_log(MK_WARN, "child_killed", MK_KV_S("child", mk_role_word(k->role)), MK_KV_N("pid", k->pid), MK_KV_S("why", why));
	kill(k->pid, SIGKILL);
}

void mk_kid_leave(struct mk_kid *k, int64_t in_ms)
{
	const bool can_read = k->state == MK_KID_READY && !k->feed.running;
	k->state = MK_KID_LEAVING;
	mk_timer_set(k->timer, in_ms);
	if (!can_read || mk_say_number(k, MK_MSG_DRAIN, 0, -1) != MK_OK)
		mk_kid_kill(k, "it cannot be asked to finish");
}

/* ---- what it says ---- */

/* Once to each configuration, and when all of it was sent. */
static bool may_answer(const struct mk_kid *k, uint32_t generation)
{
	return !k->feed.running && !k->feed.answered && generation == k->feed.plan.generation;
}

static enum mk_err on_ready(struct mk_kid *k, const struct mk_frame *f)
{
	MK_TRY(mk_msg_ready_read(f->body, &k->report));
	if (!may_answer(k, k->report.generation))
		return MK_BAD_REQUEST;
	k->feed.answered = true;
	if (k->state == MK_KID_STARTING)
		k->state = MK_KID_READY;
	mk_sup_ready(k);
	return MK_OK;
}

static enum mk_err on_refused(struct mk_kid *k, const struct mk_frame *f)
{
	struct mk_msg_result m;
	MK_TRY(mk_msg_result_read(f->body, &m));
	if (!may_answer(k, m.n) || m.err == MK_OK)
		return MK_BAD_REQUEST;
	k->feed.answered = true;
	mk_sup_refused(k, &m);
	return MK_OK;
}

static enum mk_err on_pong(struct mk_kid *k, const struct mk_frame *f)
{
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(f->body, &m));
	if (m.n == 0 || m.n > k->ping)
		return MK_BAD_REQUEST;
	if (m.n == k->ping) /* an older answer says nothing of now */
		k->unanswered = 0;
	return MK_OK;
}

static enum mk_err on_health(struct mk_kid *k, const struct mk_frame *f)
{
	struct mk_msg_health m;
	MK_TRY(mk_msg_health_read(f->body, &m));
	k->sup->reasons = m.reasons;
	mk_sup_health(k->sup);
	mk_reload_waiting(k->sup); /* one that came before the start was done */
	return MK_OK;
}

static enum mk_err on_peer_broke(struct mk_kid *k, const struct mk_frame *f)
{
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(f->body, &m));
	if (k->sup->linked && m.n == k->sup->peers) /* else another one was linked meanwhile */
		mk_kid_kill(k->sup->linked, "it broke the rules on its link to the broker, or left it");
	return MK_OK;
}

static enum mk_err on_reload(struct mk_kid *k, const struct mk_frame *f)
{
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(f->body, &m));
	mk_reload(k->sup, true, m.n);
	return MK_OK;
}

static enum mk_err on_page_wanted(struct mk_kid *k, const struct mk_frame *f)
{
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(f->body, &m));
	return mk_page_send(k, m.n);
}

static enum mk_err on_frame(void *arg, struct mk_frame *f)
{
	static enum mk_err (*const handlers[MK_MSG_COUNT])(struct mk_kid *, const struct mk_frame *) = {
		[MK_MSG_READY] = on_ready,   [MK_MSG_REFUSED] = on_refused, [MK_MSG_PONG] = on_pong,
		[MK_MSG_HEALTH] = on_health, [MK_MSG_RELOAD] = on_reload,   [MK_MSG_PEER_BROKE] = on_peer_broke,
		[MK_MSG_PAGE_WANTED] = on_page_wanted,
	};
	struct mk_kid *k = arg;
	return handlers[f->type] ? handlers[f->type](k, f) : MK_BAD_REQUEST;
}

/* ---- its end ---- */

static void on_gone(void *arg, enum mk_err e, enum mk_msg at)
{
	struct mk_kid *k = arg;
	if (e != MK_OK)
		mk_log(MK_ERROR, "link_dropped", MK_KV_S("child", mk_role_word(k->role)), MK_KV_N("pid", k->pid),
		       MK_KV_S("message", at < MK_MSG_COUNT ? mk_msgs[at].name : "none"), MK_KV_S("err", mk_err_word(e)));
	k->link = mk_link_free(k->link);
	if (e != MK_OK)
		mk_kid_kill(k, "its link was dropped");
	else if (k->pid)
		mk_timer_set(k->timer, GONE_MAX_MS); /* it is ending by itself, or is dead and not reaped yet */
	ended_if_so(k);
}

static void on_room(void *arg)
{
	struct mk_kid *k = arg;
	if (k->feed.running && mk_feed_pump(k) != MK_OK)
		mk_kid_kill(k, "its configuration could not be sent");
}

static void log_end(const struct mk_kid *k, int status)
{
	const bool signalled = WIFSIGNALED(status);
	const bool wanted = k->state == MK_KID_LEAVING;
	mk_log(wanted ? MK_INFO : MK_ERROR, "child_ended", MK_KV_S("child", mk_role_word(k->role)), MK_KV_N("pid", k->pid),
	       MK_KV_N("status", signalled ? -1 : WEXITSTATUS(status)), MK_KV_N("signal", signalled ? WTERMSIG(status) : 0));
}

static struct mk_kid *kid_of(struct mk_sup *s, pid_t pid)
{
	for (size_t i = 0; i < MK_KIDS_MAX; i++)
		if (s->kids[i].pid == pid)
			return &s->kids[i];
	return NULL;
}

void mk_kids_reap(struct mk_sup *s)
{
	pid_t pid;
	int status = 0;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct mk_kid *k = kid_of(s, pid);
		if (!k)
			continue; /* as a container's process 1 it is given the orphans of others */
		log_end(k, status);
		k->pid = 0;
		ended_if_so(k);
	}
}

static void wait_to_start_again(struct mk_kid *k)
{
	if (mk_boot_ms() - k->since_boot_ms >= LIVED_MS)
		k->back_off_ms = 0;
	mk_timer_set(k->timer, k->back_off_ms);
	k->back_off_ms = k->back_off_ms ? k->back_off_ms * 2 : BACK_OFF_FIRST_MS;
	if (k->back_off_ms > BACK_OFF_MAX_MS)
		k->back_off_ms = BACK_OFF_MAX_MS;
}

static void ended_if_so(struct mk_kid *k)
{
	if (k->pid != 0 || k->link || k->state == MK_KID_DOWN)
		return;
	const bool again = k->state != MK_KID_LEAVING;
	k->state = MK_KID_DOWN;
	k->feed.running = false;
	if (k == k->sup->linked)
		k->sup->linked = NULL; /* what is said of it must not meet the one that follows */
	mk_timer_set(k->timer, -1);
	if (again && k->sup->started && !k->sup->draining && k != k->sup->spare) {
		k->restarts++;
		wait_to_start_again(k);
	}
	mk_sup_ended(k);
}

/* ---- its start ---- */

static mk_must start(struct mk_kid *k, const struct mk_plan *plan, struct mk_why *why)
{
	mk_fd ours = -1, theirs = -1;
	k->since_boot_ms = mk_boot_ms(); /* also of a start that fails: the next one waits longer */
	if (mk_link_pair(&ours, &theirs) != MK_OK)
		return mk_why_set(why, MK_SYSTEM, "no link could be made: is the limit of open files too low?");
	MK_TRY(mk_spawn(&k->sup->exes, k->role, theirs, &k->pid, why));
	k->state = MK_KID_STARTING;
	k->since_wall_ms = mk_wall_ms();
	k->ping = 0;
	k->unanswered = 0;
	k->report = (struct mk_msg_ready){ 0 };
	if (k->role == MK_ROLE_BROKER) {
		k->sup->reasons = 1u << MK_REASON_BROKER; /* until it says otherwise */
		k->sup->peers = 0;
	}
	mk_log(MK_INFO, "child_started", MK_KV_S("child", mk_role_word(k->role)), MK_KV_N("pid", k->pid));
	const enum mk_err e = mk_link_new(k->sup->loop, ours, MK_ROLE_SUPERVISOR, k->role, on_frame, on_gone, k, &k->link);
	if (e != MK_OK)
		return mk_why_set(why, e, "no link could be watched");
	ours = -1;
	mk_link_on_room(k->link, on_room);
	if (mk_feed_start(k, plan, true) != MK_OK)
		mk_kid_kill(k, "its configuration could not be sent");
	return MK_OK;
}

enum mk_err mk_kid_start(struct mk_kid *k, const struct mk_plan *plan)
{
	struct mk_why why = { 0 };
	const enum mk_err e = start(k, plan, &why);
	if (e == MK_OK)
		return MK_OK;
	mk_log_why(MK_ERROR, "child_not_started", e, &why);
	mk_kid_kill(k, "it has no link");
	if (k->pid == 0 && k->sup->started && k != k->sup->spare)
		wait_to_start_again(k);
	return e;
}

/* ---- is it there? ---- */

static void ping(struct mk_kid *k)
{
	if (k->state == MK_KID_STARTING && mk_boot_ms() - k->since_boot_ms > START_MAX_MS)
		mk_kid_kill(k, "it did not become ready");
	if (k->state != MK_KID_READY)
		return;
	if (k->unanswered >= UNANSWERED_MAX) {
		mk_kid_kill(k, "it does not answer");
		k->unanswered++;
		return;
	}
	k->unanswered++;
	if (k->link && mk_say_number(k, MK_MSG_PING, ++k->ping, -1) != MK_OK) /* without one, its timer ends it */
		mk_kid_kill(k, "it does not read");
}

void mk_kids_ping(struct mk_sup *s)
{
	for (size_t i = 0; i < MK_KIDS_MAX; i++)
		ping(&s->kids[i]);
}

bool mk_kids_any_overdue(const struct mk_sup *s)
{
	for (size_t i = 0; i < MK_KIDS_MAX; i++)
		if (s->kids[i].state == MK_KID_READY && s->kids[i].unanswered > UNANSWERED_MAX + 1)
			return true; /* killed, and not even that helped */
	return false;
}

bool mk_kid_serves(const struct mk_kid *k)
{
	return k->state == MK_KID_READY && k->link;
}

bool mk_kids_all_ready(const struct mk_sup *s)
{
	return mk_kid_serves(s->broker) && mk_kid_serves(s->fetcher) && (!s->conf->reporter_on || mk_kid_serves(s->reporter));
}
