/* SPDX-License-Identifier: Apache-2.0
 *
 * From a parsed configuration to running children: directories, the instance's lock,
 * sockets, the audit chain's page, executables, lock-down, and only then processes. The
 * lock comes before any socket: who loses it has touched nothing.
 */
#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/supervisor/dirs.h"
#include "agent/supervisor/sandbox.h"
#include "agent/supervisor/sup.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#define TICK_MS 3000
#define WATCHDOG_MIN_MS 10
#define HEAD_SIZE 4096

static void on_signal(void *arg, int signo)
{
	struct mk_sup *s = arg;
	if (signo == SIGCHLD)
		mk_kids_reap(s);
	else if (signo == SIGHUP)
		mk_reload(s, false, 0);
	else
		mk_sup_drain(s);
}

static void on_tick(void *arg)
{
	struct mk_sup *s = arg;
	mk_timer_set(s->tick, TICK_MS);
	mk_kids_ping(s);
	mk_reload_tick(s);
	if (s->owes_ready && !s->draining && s->reload.state == MK_RELOAD_NONE)
		mk_sup_say_ready(s);
}

/* Twice within the time that systemd waits, however short a unit makes it. */
static void on_watchdog(void *arg)
{
	struct mk_sup *s = arg;
	const int64_t half = (int64_t)(s->notify.watchdog_us / 2000);
	mk_timer_set(s->watchdog, half < WATCHDOG_MIN_MS ? WATCHDOG_MIN_MS : half > TICK_MS ? TICK_MS : half);
	if (!mk_kids_any_overdue(s))
		(void)mk_notify(&s->notify, "WATCHDOG=1");
}

static void on_kid_timer(void *arg)
{
	struct mk_kid *k = arg;
	if (k->state == MK_KID_DOWN) {
		const struct mk_plan plan = mk_sup_plan(k->sup);
		mk_ignore(mk_kid_start(k, &plan), "it was logged, and is tried again");
	} else {
		mk_kid_kill(k, "it took too long to finish");
	}
}

static mk_must make_loop(struct mk_sup *s, struct mk_why *why)
{
	static const int signals[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT, 0 };
	bool locked = false; /* what passes here holds no secret: configuration and figures */
	enum mk_err e = mk_secret_arena_init(2, 1, &locked);
	e = e == MK_OK ? mk_loop_new(&s->loop) : e;
	e = e == MK_OK ? mk_loop_signals(s->loop, signals, on_signal, s) : e;
	e = e == MK_OK ? mk_timer_new(s->loop, on_tick, s, &s->tick) : e;
	e = e == MK_OK ? mk_timer_new(s->loop, on_watchdog, s, &s->watchdog) : e;
	for (size_t i = 0; i < MK_KIDS_MAX && e == MK_OK; i++)
		e = mk_timer_new(s->loop, on_kid_timer, &s->kids[i], &s->kids[i].timer);
	return e == MK_OK ? MK_OK : mk_why_set(why, e, "no memory or no descriptors for the loop");
}

static void make_kids(struct mk_sup *s)
{
	static const enum mk_role roles[MK_KIDS_MAX] = { MK_ROLE_BROKER, MK_ROLE_FETCHER, MK_ROLE_REPORTER, MK_ROLE_FETCHER };
	struct mk_kid **const names[MK_KIDS_MAX] = { &s->broker, &s->fetcher, &s->reporter, &s->spare };
	for (size_t i = 0; i < MK_KIDS_MAX; i++) {
		s->kids[i] = (struct mk_kid){ .sup = s, .role = roles[i] };
		*names[i] = &s->kids[i];
	}
}

/* One page that outlives any broker: its size is fixed for good, so that a mapping of it cannot fault. */
static mk_must make_head(struct mk_sup *s, struct mk_why *why)
{
	s->head_fd = memfd_create("makini-audit-head", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (s->head_fd < 0 || ftruncate(s->head_fd, HEAD_SIZE) < 0 ||
	    fcntl(s->head_fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		return mk_why_set(why, MK_SYSTEM, "no page for the head of the audit chain: %s", strerrordesc_np(errno));
	return MK_OK;
}

/* In a pod nobody but this instance has the directories above: an emptyDir is open to all, and only this container's. */
static mk_must need(const struct mk_conf *c, const char *path, mode_t mode, const char *key, struct mk_why *why)
{
	if (c->platform == MK_HOST)
		MK_TRY(mk_dir_stays(path, key, why));
	return mk_dir_need(path, mode, key, why);
}

static mk_must make_places(struct mk_sup *s, struct mk_why *why)
{
	const struct mk_conf *c = s->conf;
	char dir[MK_PATH_MAX];
	MK_TRY(need(c, c->state_dir, 0700, "state_dir", why));
	MK_TRY(mk_dir_lock(c->state_dir, "state_dir", &s->lock_fd, why));
	MK_TRY(need(c, c->runtime_dir, 0711, "runtime_dir", why));
	MK_TRY(mk_dir_lock(c->runtime_dir, "runtime_dir", &s->sockets_lock_fd, why));
	MK_TRY(mk_path_dir(c->audit.file, dir, sizeof dir));
	MK_TRY(need(c, dir, 0700, "audit.file", why));
	if (c->reporter_on)
		MK_TRY(mk_tcp_listen(&c->reporter_addr, &s->tcp_fd, why));
	struct mk_listeners passed = s->listeners;
	MK_TRY(mk_listeners_open(c, &passed, &s->listeners, why));
	mk_listeners_close(&passed, &s->listeners); /* those of systemd live on in the set */
	return MK_OK;
}

/* A name that nobody has goes through all of the host's name services: their modules are loaded now, not at a reload
 * under lock-down. */
static void load_name_services(void)
{
	(void)getpwnam("makini-no-such-user");
	(void)getgrnam("makini-no-such-group");
}

/* Directories of stores that may be written, which need not lie below state_dir. */
static mk_must add_written(const struct mk_conf *c, char dirs[MK_BACKENDS_MAX][MK_PATH_MAX], struct mk_path_rule *rules, size_t *n)
{
	for (size_t i = 0; i < c->n_backends; i++) {
		if (!c->backends[i].writable || !c->backends[i].file[0])
			continue;
		MK_TRY(mk_path_dir(c->backends[i].file, dirs[i], MK_PATH_MAX));
		rules[(*n)++] = (struct mk_path_rule){ dirs[i], MK_PATH_WRITE, true };
	}
	return MK_OK;
}

static mk_must lock_down(struct mk_sup *s, struct mk_why *why)
{
	const struct mk_conf *c = s->conf;
	char audit[MK_PATH_MAX], above[MK_PATH_MAX];
	MK_TRY(mk_path_dir(c->audit.file, audit, sizeof audit));
	MK_TRY(mk_path_dir(audit, above, sizeof above));
	const bool at_root = strcmp(above, "/") == 0; /* a rule for it would be one for everything */
	const struct mk_path_rule always[] = { /* a superset of its children's: domains are inherited */
		{ "/", MK_PATH_READ, false },
		{ s->exes.dir, MK_PATH_EXEC, false },
		{ "/lib", MK_PATH_EXEC, true }, /* where the loader of programs is */
		{ "/lib64", MK_PATH_EXEC, true },
		{ "/usr/lib", MK_PATH_EXEC, true },
		{ "/usr/lib64", MK_PATH_EXEC, true },
		{ c->runtime_dir, MK_PATH_WRITE, false },
		{ c->state_dir, MK_PATH_WRITE, false },
		{ at_root ? audit : above, MK_PATH_WRITE, false }, /* rules name inodes: a log directory made anew must be within reach */
		{ "/dev/null", MK_PATH_WRITE, false },
	};
	char written[MK_BACKENDS_MAX][MK_PATH_MAX];
	struct mk_path_rule rules[MK_COUNT(always) + MK_BACKENDS_MAX];
	size_t n = MK_COUNT(always);
	memcpy(rules, always, sizeof always);
	MK_TRY(add_written(c, written, rules, &n));
	s->guards.state[MK_GUARD_MEMORY_LOCK] = MK_GUARD_UNUSED;
	s->guards.state[MK_GUARD_SECRETMEM] = MK_GUARD_UNUSED;
	s->guards.state[MK_GUARD_PEER_PIDFD] = MK_GUARD_UNUSED;
	MK_TRY(mk_lockdown_files(rules, n, true, c->lockdown_exceptions, &s->guards, why));
	MK_TRY(mk_lockdown_calls(mk_supervisor_calls(), c->lockdown_exceptions, &s->guards, why));
	return mk_lockdown_check(&s->guards, c->lockdown_exceptions, why);
}

static mk_must start_children(struct mk_sup *s, struct mk_why *why)
{
	const struct mk_plan plan = mk_sup_plan(s);
	struct mk_kid *const order[] = { s->broker, s->fetcher, s->reporter };
	for (size_t i = 0; i < MK_COUNT(order); i++)
		if (order[i] != s->reporter || s->conf->reporter_on)
			if (mk_kid_start(order[i], &plan) != MK_OK)
				return mk_why_set(why, MK_SYSTEM, "the %s could not be started", mk_role_word(order[i]->role));
	return MK_OK;
}

enum mk_err mk_sup_start(struct mk_sup *s, struct mk_why *why)
{
	s->started_wall_ms = mk_wall_ms();
	s->generation = s->last_generation = 1;
	make_kids(s);
	MK_TRY(make_loop(s, why));
	MK_TRY(mk_exes_open(&s->exes, why));
	MK_TRY(make_places(s, why));
	MK_TRY(make_head(s, why));
	load_name_services();
	MK_TRY(lock_down(s, why));
	mk_timer_set(s->tick, TICK_MS);
	mk_timer_set(s->watchdog, s->notify.watchdog_us ? 0 : -1);
	return start_children(s, why);
}
