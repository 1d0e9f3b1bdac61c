/* SPDX-License-Identifier: Apache-2.0
 *
 * What follows from a child's becoming ready, refusing or ending: the link between broker
 * and fetcher, the steps of a reload, and what reporter, broker and systemd are told.
 */
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/supervisor/sup.h"
#include "mk/own.h"

#include <stdio.h>
#include <unistd.h>

_Static_assert((size_t)MK_GUARD_COUNT <= MK_GUARDS_MAX, "every guard has a place in READY and ROLE_STATE");
_Static_assert(MK_GUARD_UNUSED + 1 == MK_GUARD_STATES, "every state has a value there");

struct mk_plan mk_sup_plan(const struct mk_sup *s)
{
	return (struct mk_plan){ s->conf, &s->listeners, s->generation };
}

void mk_sup_fail(struct mk_sup *s)
{
	s->exit_code = 1;
	mk_loop_stop(s->loop);
}

/* ---- the link between broker and fetcher ---- */

static mk_must hand_over(struct mk_kid *k, enum mk_role peer, int fd)
{
	struct mk_wr w = mk_say_room();
	mk_msg_peer_write(&w, &(struct mk_msg_peer){ (uint8_t)peer });
	return mk_say(k, MK_MSG_PEER, &w, fd);
}

void mk_sup_peer(struct mk_sup *s, struct mk_kid *fetcher)
{
	mk_fd a = -1, b = -1;
	if (!mk_kid_serves(s->broker) || !mk_kid_serves(fetcher))
		return; /* whoever comes last brings it about */
	s->linked = fetcher;
	s->peers++;
	if (mk_link_pair(&a, &b) != MK_OK || hand_over(s->broker, MK_ROLE_FETCHER, a) != MK_OK)
		mk_kid_kill(s->broker, "it could not be linked to the fetcher");
	else if (hand_over(fetcher, MK_ROLE_BROKER, b) != MK_OK)
		mk_kid_kill(fetcher, "it could not be linked to the broker");
}

/* ---- what is told ---- */

static uint32_t reasons_now(const struct mk_sup *s)
{
	uint32_t r = 0;
	if (!mk_kid_serves(s->broker))
		r |= 1u << MK_REASON_BROKER;
	else
		r |= s->reasons;
	if (!mk_kid_serves(s->fetcher))
		r |= 1u << MK_REASON_FETCHER;
	return s->started ? r : r | 1u << MK_REASON_STARTING;
}

static void status_text(uint32_t reasons, char *out, size_t cap)
{
	size_t n = (size_t)snprintf(out, cap, reasons ? "not ready:" : "ready");
	for (unsigned r = 0; r < MK_REASON_COUNT && n < cap; r++)
		if (reasons & 1u << r)
			n += (size_t)snprintf(out + n, cap - n, " %s", mk_reason_word((enum mk_reason)r));
}

/* What systemd's queue had no room for is said again at the next tick. */
void mk_sup_say_ready(struct mk_sup *s)
{
	s->owes_ready = !mk_notify(&s->notify, "READY=1");
}

/* Once: all roles are ready, and the broker has said that it is linked to the fetcher. Whether a store answers, or
 * the audit log can be written, is health: it may come and go. */
static void start_done(struct mk_sup *s)
{
	if (s->started || !mk_kids_all_ready(s) || (s->reasons & (1u << MK_REASON_BROKER | 1u << MK_REASON_FETCHER)))
		return;
	s->started = true;
	mk_log(MK_INFO, "ready", MK_KV_N("generation", s->generation),
	       MK_KV_S("platform", s->conf->platform == MK_POD ? "pod" : "host"), MK_KV_N("listeners", s->listeners.n), MK_KV_N("services", s->conf->rules.n_services),
	       MK_KV_N("rules", s->conf->rules.n_rules));
	mk_sup_say_ready(s);
}

void mk_sup_health(struct mk_sup *s)
{
	start_done(s);
	const uint32_t reasons = reasons_now(s);
	char text[160];
	status_text(reasons, text, sizeof text);
	(void)mk_notify(&s->notify, "STATUS=%s", text);
	if (!mk_kid_serves(s->reporter))
		return;
	struct mk_wr w = mk_say_room();
	mk_msg_health_write(&w, &(struct mk_msg_health){ reasons });
	mk_ignore(mk_say(s->reporter, MK_MSG_HEALTH_SHOW, &w, -1), "it has gone, and a new one is told");
}

static void say_role(struct mk_sup *s, const struct mk_msg_role *m)
{
	struct mk_wr w = mk_say_room();
	mk_msg_role_write(&w, m);
	mk_ignore(mk_say(s->broker, MK_MSG_ROLE_STATE, &w, -1), "it has gone, and a new one is told");
}

static void say_self(struct mk_sup *s)
{
	struct mk_msg_role m = { .role = MK_ROLE_SUPERVISOR, .pid = (uint32_t)getpid(), .since_ms = s->started_wall_ms };
	memcpy(m.guards, s->guards.state, sizeof s->guards.state);
	m.landlock_abi = s->guards.landlock_abi;
	say_role(s, &m);
}

static void say_kid(struct mk_sup *s, const struct mk_kid *k)
{
	struct mk_msg_role m = {
		.role = (uint8_t)k->role, .pid = (uint32_t)k->pid, .restarts = k->restarts, .since_ms = k->since_wall_ms,
		.landlock_abi = k->report.landlock_abi,
	};
	memcpy(m.guards, k->report.guards, sizeof m.guards);
	say_role(s, &m);
}

void mk_sup_roles(struct mk_sup *s)
{
	if (!mk_kid_serves(s->broker))
		return;
	say_self(s);
	say_kid(s, s->broker);
	say_kid(s, s->fetcher);
	if (s->conf->reporter_on)
		say_kid(s, s->reporter);
}

/* ---- what happens ---- */

static bool in_reload(const struct mk_kid *k, enum mk_reload_state state)
{
	const struct mk_sup *s = k->sup;
	return s->reload.state == state && k == (state == MK_RELOAD_BROKER ? s->broker : s->spare);
}

/* The broker has, or is about to get, a link to the next fetcher: the one before must not take its place. */
static bool next_is_offered(const struct mk_sup *s)
{
	return s->reload.state == MK_RELOAD_BROKER && s->reload.new_fetcher;
}

void mk_sup_ready(struct mk_kid *k)
{
	struct mk_sup *s = k->sup;
	mk_log(MK_INFO, "child_ready", MK_KV_S("child", mk_role_word(k->role)), MK_KV_N("pid", k->pid),
	       MK_KV_N("generation", k->report.generation));
	if (in_reload(k, MK_RELOAD_FETCHER))
		mk_reload_go_on(s);
	else if (in_reload(k, MK_RELOAD_BROKER))
		mk_reload_commit(s);
	else if (k == s->broker || (k == s->fetcher && !next_is_offered(s)))
		mk_sup_peer(s, s->fetcher);
	if (k == s->broker)
		mk_reload_told(s);
	mk_sup_roles(s);
	mk_sup_health(s);
	mk_reload_waiting(s);
}

void mk_sup_fed(struct mk_kid *k)
{
	/* The next fetcher takes over as the broker takes the configuration that it has. */
	if (k == k->sup->broker && next_is_offered(k->sup))
		mk_sup_peer(k->sup, k->sup->spare);
}

void mk_sup_refused(struct mk_kid *k, const struct mk_msg_result *m)
{
	struct mk_sup *s = k->sup;
	if (in_reload(k, MK_RELOAD_FETCHER) || in_reload(k, MK_RELOAD_BROKER)) {
		mk_reload_drop(s, m->err, m->text);
		return;
	}
	mk_log(MK_ERROR, "configuration_refused", MK_KV_S("child", mk_role_word(k->role)), MK_KV_N("generation", m->n),
	       MK_KV_S("err", mk_err_word(m->err)), MK_KV_S("text", m->text));
	mk_kid_kill(k, "it refused its configuration"); /* nothing is in force there: it starts afresh */
}

void mk_sup_ended(struct mk_kid *k)
{
	struct mk_sup *s = k->sup;
	if (s->draining) {
		mk_sup_drain_on(s);
		return;
	}
	if (!s->started) {
		mk_log(MK_ERROR, "start_failed", MK_KV_S("child", mk_role_word(k->role)),
		       MK_KV_S("text", "this role ended before all were ready; the lines above say why"));
		mk_sup_fail(s);
		return;
	}
	if (in_reload(k, MK_RELOAD_FETCHER) || in_reload(k, MK_RELOAD_BROKER))
		mk_reload_drop(s, MK_NOT_READY, "a process ended while it took the new configuration");
	mk_sup_roles(s);
	mk_sup_health(s);
	mk_reload_waiting(s);
}
