/* SPDX-License-Identifier: Apache-2.0
 *
 * One epoll loop per process: descriptors, timers, signals (signalfd). Handlers run to
 * their end, never block, and may add or remove any source, also themselves. The loop
 * owns no descriptor but its own. Signals stay blocked for a child that is forked: unblock
 * them before exec. SIGPIPE and SIGXFSZ (a file limit) are ignored from mk_loop_new on.
 */
#ifndef MK_LOOP_H
#define MK_LOOP_H

#include "mk/err.h"

#include <stdint.h>

struct mk_loop;
struct mk_source; /* a watched descriptor */
struct mk_timer;

typedef void mk_fd_fn(void *arg, uint32_t events); /* EPOLL* bits */
typedef void mk_timer_fn(void *arg);
typedef void mk_signal_fn(void *arg, int signo);

mk_must mk_loop_new(struct mk_loop **ret);
struct mk_loop *mk_loop_free(struct mk_loop *l); /* after its sources and timers; NULL is fine */

mk_must mk_loop_add(struct mk_loop *l, int fd, uint32_t events, mk_fd_fn *fn, void *arg, struct mk_source **ret);
mk_must mk_loop_mod(struct mk_source *s, uint32_t events);
struct mk_source *mk_loop_del(struct mk_source *s); /* NULL is fine; before the descriptor is closed */

/* A timer belongs to its owner; it fires once per setting. */
mk_must mk_timer_new(struct mk_loop *l, mk_timer_fn *fn, void *arg, struct mk_timer **ret);
void mk_timer_set(struct mk_timer *t, int64_t in_ms); /* from now; negative stops it */
bool mk_timer_armed(const struct mk_timer *t);
struct mk_timer *mk_timer_free(struct mk_timer *t);

/* Blocks the signals of the list (0-ended) and delivers them to fn. Once per loop. */
mk_must mk_loop_signals(struct mk_loop *l, const int *signals, mk_signal_fn *fn, void *arg);

/* Called once before each wait, after all handlers of a round. */
void mk_loop_idle(struct mk_loop *l, mk_timer_fn *fn, void *arg);

/* For a loop inside another one (curl_multi_poll): the descriptor to be waited on, the longest wait until a
 * timer is due (ms, -1: none), and one round without waiting. */
int mk_loop_fd(const struct mk_loop *l);
int mk_loop_wait_ms(const struct mk_loop *l);
mk_must mk_loop_turn(struct mk_loop *l);
bool mk_loop_stopped(const struct mk_loop *l);

mk_must mk_loop_run(struct mk_loop *l);  /* until mk_loop_stop */
void mk_loop_stop(struct mk_loop *l);

#endif
