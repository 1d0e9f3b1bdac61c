/* SPDX-License-Identifier: Apache-2.0
 *
 * The event loop: level-triggered epoll, timers (timers.h), signals by signalfd. A source
 * that is deleted stays allocated until the end of its round, since an event for it may
 * wait in the same batch; it is then passed over. The only file that touches the
 * disposition of signals: SIGPIPE and SIGXFSZ are ignored, writers look at EPIPE and EFBIG.
 */
#include "agent/base/loop.h"

#include "agent/base/timers.h"
#include "mk/own.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define BATCH  64
#define NAP_MS 1000 /* epoll's own clock stands still in suspend: so late may a timer be after it */

struct mk_source {
	struct mk_loop *loop;
	struct mk_source *next_dead;
	mk_fd_fn *fn;
	void *arg;
	int fd;
	bool dead;
};

struct mk_loop {
	int epoll_fd, signal_fd;
	bool stop;
	struct mk_source *dead;
	struct mk_timers timers;
	struct mk_source *signals;
	mk_signal_fn *on_signal;
	void *signal_arg;
	mk_timer_fn *on_idle;
	void *idle_arg;
};

mk_must mk_loop_new(struct mk_loop **ret)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	struct mk_loop *l = calloc(1, sizeof *l);
	if (!l)
		return MK_NO_MEMORY;
	l->signal_fd = -1;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (l->epoll_fd < 0 || sigaction(SIGPIPE, &ignore, NULL) < 0 || sigaction(SIGXFSZ, &ignore, NULL) < 0) {
		mk_loop_free(l);
		return MK_SYSTEM;
	}
	*ret = l;
	return MK_OK;
}

static void bury(struct mk_loop *l)
{
	while (l->dead) {
		struct mk_source *s = l->dead;
		l->dead = s->next_dead;
		free(s);
	}
}

struct mk_loop *mk_loop_free(struct mk_loop *l)
{
	if (!l)
		return NULL;
	mk_loop_del(l->signals);
	bury(l);
	mk_close(l->signal_fd);
	mk_close(l->epoll_fd);
	mk_timers_done(&l->timers);
	free(l);
	return NULL;
}

mk_must mk_loop_add(struct mk_loop *l, int fd, uint32_t events, mk_fd_fn *fn, void *arg, struct mk_source **ret)
{
	struct mk_source *s = calloc(1, sizeof *s);
	if (!s)
		return MK_NO_MEMORY;
	*s = (struct mk_source){ .loop = l, .fn = fn, .arg = arg, .fd = fd };
	struct epoll_event ev = { .events = events, .data.ptr = s };
	if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0) {
		free(s);
		return MK_SYSTEM;
	}
	*ret = s;
	return MK_OK;
}

mk_must mk_loop_mod(struct mk_source *s, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = s };
	return epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_MOD, s->fd, &ev) < 0 ? MK_SYSTEM : MK_OK;
}

struct mk_source *mk_loop_del(struct mk_source *s)
{
	if (!s || s->dead)
		return NULL;
	const int saved = errno;
	epoll_ctl(s->loop->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	errno = saved;
	s->dead = true;
	s->next_dead = s->loop->dead;
	s->loop->dead = s;
	return NULL;
}

mk_must mk_timer_new(struct mk_loop *l, mk_timer_fn *fn, void *arg, struct mk_timer **ret)
{
	return mk_timers_new(&l->timers, fn, arg, ret);
}

static void on_signal_fd(void *arg, uint32_t events)
{
	struct mk_loop *l = arg;
	struct signalfd_siginfo info;
	(void)events;
	while (!l->stop && read(l->signal_fd, &info, sizeof info) == (ssize_t)sizeof info)
		l->on_signal(l->signal_arg, (int)info.ssi_signo);
}

mk_must mk_loop_signals(struct mk_loop *l, const int *signals, mk_signal_fn *fn, void *arg)
{
	const struct sigaction usual = { .sa_handler = SIG_DFL };
	sigset_t set;
	mk_assert(l->signal_fd < 0);
	sigemptyset(&set);
	for (const int *s = signals; *s; s++)
		sigaddset(&set, *s);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return MK_SYSTEM;
	for (; *signals; signals++) /* who started us may have ignored some: of children nobody waits for, nothing would be heard */
		if (sigaction(*signals, &usual, NULL) < 0)
			return MK_SYSTEM;
	l->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (l->signal_fd < 0)
		return MK_SYSTEM;
	l->on_signal = fn;
	l->signal_arg = arg;
	return mk_loop_add(l, l->signal_fd, EPOLLIN, on_signal_fd, l, &l->signals);
}

void mk_loop_idle(struct mk_loop *l, mk_timer_fn *fn, void *arg)
{
	l->on_idle = fn;
	l->idle_arg = arg;
}

int mk_loop_fd(const struct mk_loop *l)
{
	return l->epoll_fd;
}

int mk_loop_wait_ms(const struct mk_loop *l)
{
	return l->stop ? 0 : mk_timers_nap(&l->timers, NAP_MS);
}

bool mk_loop_stopped(const struct mk_loop *l)
{
	return l->stop;
}

static mk_must round_once(struct mk_loop *l, int wait_ms)
{
	struct epoll_event ev[BATCH];
	const int n = epoll_wait(l->epoll_fd, ev, BATCH, wait_ms);
	if (n < 0 && errno != EINTR)
		return MK_SYSTEM;
	for (int i = 0; i < n && !l->stop; i++) {
		struct mk_source *s = ev[i].data.ptr;
		if (!s->dead)
			s->fn(s->arg, ev[i].events);
	}
	mk_timers_run(&l->timers, &l->stop);
	bury(l);
	return MK_OK;
}

static mk_must turn(struct mk_loop *l, bool may_wait)
{
	if (l->stop)
		return MK_OK;
	if (l->on_idle)
		l->on_idle(l->idle_arg);
	return l->stop ? MK_OK : round_once(l, may_wait ? mk_loop_wait_ms(l) : 0);
}

mk_must mk_loop_turn(struct mk_loop *l)
{
	return turn(l, false);
}

mk_must mk_loop_run(struct mk_loop *l)
{
	while (!l->stop)
		MK_TRY(turn(l, true));
	l->stop = false; /* a stop before the run counts too */
	return MK_OK;
}

void mk_loop_stop(struct mk_loop *l)
{
	l->stop = true;
}
