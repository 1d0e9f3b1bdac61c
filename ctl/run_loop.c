/* SPDX-License-Identifier: Apache-2.0
 *
 * What makinictl run does while its program runs. Both are in one process group, so that a terminal's
 * keys and a shell's job control reach the program as if it ran alone; what the terminal has sent to both is not sent again.
 * Only the program itself is signalled, never what it started.
 */
#include "agent/base/clock.h"
#include "ctl/ctl.h"
#include "ctl/run.h"

#include <errno.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAP         1000
#define PAUSE_LEAST 1000  /* ms between two starts, at least … */
#define PAUSE_MOST  60000
#define CALM        10000 /* ms after which it starts again with the least */
#define BY_SIGNAL   128

void mk_run_changed(void *run, struct mk_fed *f)
{
	struct mk_run *r = run;
	const bool placed = !r->files || mk_run_files_put(r, f);
	if (f->code == MK_EXIT_DONE) {
		r->news = r->news || placed;
		return;
	}
	r->bad_news = true; /* also where its file could not be removed */
	r->bad = f;
	r->bad_code = f->code;
}

/* --- signals */

/* Stops with the child, as its shell expects of a job; goes on when it is continued. */
static void stop_too(struct mk_run *r)
{
	sigset_t stop;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTSTP);
	kill(getpid(), SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &stop, NULL); /* here */
	sigprocmask(SIG_BLOCK, &stop, NULL);
	r->feed.stream.heard_ms = mk_boot_ms(); /* the silence was ours */
}

static bool in_our_group(const struct mk_run *r)
{
	return getpgid(r->child.pid) == getpgrp();
}

static void forward(struct mk_run *r, const struct signalfd_siginfo *s)
{
	const int signo = (int)s->ssi_signo;
	const bool keyboard = s->ssi_code == SI_KERNEL;
	if (signo == SIGTSTP || signo == SIGCONT)
		r->from_terminal = signo == SIGTSTP && keyboard;
	if (signo == SIGTERM)
		r->leaving = true;
	if (signo == SIGTERM || signo == SIGINT || signo == SIGQUIT)
		r->respawn = false; /* one who ends it while it is being restarted means it */
	if (keyboard && signo != SIGHUP && in_our_group(r))
		return; /* a hangup may reach the session's leader alone */
	if ((pid_t)s->ssi_pid != r->child.pid)
		kill(r->child.pid, signo);
}

static void take_signals(struct mk_run *r)
{
	struct signalfd_siginfo s;
	while (read(r->signals, &s, sizeof s) == (ssize_t)sizeof s)
		if (s.ssi_signo != SIGCHLD && s.ssi_signo != SIGPIPE && r->child.pid > 0)
			forward(r, &s);
}

/* --- the program's life */

static void begin(struct mk_run *r)
{
	r->news = r->bad_news = r->respawn = false;
	r->kill_at = 0;
	r->child.born = mk_boot_ms();
	const int rc = mk_child_start(r);
	if (rc == MK_EXIT_DONE)
		return;
	r->over = true;
	r->code = rc;
}

static void ended(struct mk_run *r, const siginfo_t *si)
{
	r->child.pid = 0;
	if (r->respawn) {
		begin(r);
		return;
	}
	r->over = true;
	if (r->code == MK_EXIT_DONE) /* else it was ended for that */
		r->code = si->si_code == CLD_EXITED ? si->si_status : BY_SIGNAL + si->si_status;
}

/* As process 1 of a container it is everybody's parent. */
static void reap(struct mk_run *r)
{
	for (;;) {
		siginfo_t si = { 0 };
		if (waitid(P_ALL, 0, &si, WEXITED | WSTOPPED | WNOHANG) < 0 || si.si_pid == 0)
			return;
		if (si.si_pid != r->child.pid)
			continue;
		if (si.si_code != CLD_STOPPED)
			ended(r, &si);
		else if (r->from_terminal || si.si_status == SIGTSTP || si.si_status == SIGTTIN || si.si_status == SIGTTOU)
			stop_too(r);
	}
}

static void stop(struct mk_run *r, bool respawn)
{
	r->respawn = respawn;
	r->kill_at = mk_boot_ms() + r->grace_ms;
	kill(r->child.pid, SIGTERM);
	kill(r->child.pid, SIGCONT); /* where it is stopped it would not notice */
}

/* --- what is done when tokens change */

static void end_for_good(struct mk_run *r)
{
	r->respawn = false;
	r->code = r->bad_code;
	mk_ctl_fail(MK_EXIT_DONE, "%s is gone: ending %s", r->bad->name.s, r->program);
}

/* One that is restarted again and again lives longer each time; bad news do not wait for that. */
static int64_t restart_at(const struct mk_run *r)
{
	return r->child.born + (r->bad_news ? PAUSE_LEAST : r->pause_ms);
}

static bool may_restart(struct mk_run *r)
{
	const int64_t life = mk_boot_ms() - r->child.born;
	if (life >= CALM)
		r->pause_ms = PAUSE_LEAST;
	if (mk_boot_ms() < restart_at(r))
		return false;
	if (life < CALM)
		r->pause_ms = r->pause_ms * 2 < PAUSE_MOST ? r->pause_ms * 2 : PAUSE_MOST;
	return true;
}

static struct mk_run_action wanted(const struct mk_run *r)
{
	const struct mk_run_action none = { MK_RUN_IGNORE, 0 };
	const struct mk_run_action change = r->news ? r->on_change : none, loss = r->bad_news ? r->on_revoke : none;
	return loss.what >= change.what ? loss : change;
}

static void act(struct mk_run *r)
{
	const struct mk_run_action a = wanted(r);
	const bool both = r->news && r->bad_news;
	if (a.what == MK_RUN_RESTART && !may_restart(r))
		return;
	r->news = r->bad_news = false;
	if (a.what == MK_RUN_END) {
		stop(r, false);
		end_for_good(r);
	} else if (a.what == MK_RUN_RESTART && !r->leaving) {
		stop(r, true);
		mk_ctl_fail(MK_EXIT_DONE, "tokens have changed: restarting %s", r->program);
	} else if (a.what == MK_RUN_SIGNAL) {
		kill(r->child.pid, a.signo);
		if (both && r->on_change.what == MK_RUN_SIGNAL && r->on_change.signo != a.signo)
			kill(r->child.pid, r->on_change.signo);
	}
}

static int nap(const struct mk_run *r)
{
	int64_t until = mk_boot_ms() + NAP;
	const int64_t now = until - NAP;
	if (r->kill_at && r->kill_at < until)
		until = r->kill_at;
	if ((r->news || r->bad_news) && !r->kill_at && restart_at(r) > now && restart_at(r) < until)
		until = restart_at(r);
	return until > now ? (int)(until - now) : 1;
}

int mk_run_loop(struct mk_run *r)
{
	r->pause_ms = PAUSE_LEAST;
	mk_ctl_never_waits = true;
	begin(r);
	while (!r->over) {
		mk_feed_round(&r->feed, r->signals, nap(r));
		take_signals(r);
		if (r->respawn && r->bad_news && r->on_revoke.what == MK_RUN_END) /* it came while the program is being restarted */
			end_for_good(r);
		reap(r);
		if (r->over)
			break;
		if (r->kill_at && mk_boot_ms() >= r->kill_at) {
			kill(r->child.pid, SIGKILL);
			mk_ctl_fail(MK_EXIT_DONE, "%s did not end: killing it", r->program);
			r->kill_at = mk_boot_ms() + r->grace_ms;
		}
		if (!r->kill_at && (r->bad_news || (r->news && mk_feed_is_quiet(&r->feed)))) /* several changes are one; bad news do not wait */
			act(r);
	}
	return r->code;
}
