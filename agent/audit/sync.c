/* SPDX-License-Identifier: Apache-2.0
 *
 * The sync thread. All that is shared is atomic: a dirty flag (so that a group costs
 * one wake-up), the next descriptor, the last error. A descriptor whose sync failed is
 * closed and never synced again: the kernel may have marked its pages clean.
 */
#include "agent/audit/sync.h"

#include "mk/own.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define GROUP_MS 20 /* waited for more records; with a slow disk's 10 ms still far below 50 */
#define STACK_SIZE (256u * 1024u)

struct mk_sync {
	pthread_t thread;
	sem_t begun;
	int wake;            /* eventfd */
	atomic_int next;     /* a descriptor handed over, -1: none */
	atomic_int error;
	atomic_bool dirty, stop;
	_Atomic uint64_t count;
};

static bool wait_for_work(struct mk_sync *s)
{
	uint64_t n;
	ssize_t r;
	do
		r = read(s->wake, &n, sizeof n);
	while (r < 0 && errno == EINTR);
	return r == (ssize_t)sizeof n && !atomic_load(&s->stop);
}

static void pause_ms(long ms)
{
	const struct timespec t = { .tv_nsec = ms * 1000000L };
	clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL);
}

static void sync_once(struct mk_sync *s, int *fd)
{
	atomic_store(&s->dirty, false); /* before the sync: what is written meanwhile wakes us again */
	const int next = atomic_exchange(&s->next, -1);
	if (next >= 0) {
		mk_close(*fd);
		*fd = next;
	}
	if (*fd < 0)
		return;
	if (fdatasync(*fd) == 0) {
		atomic_fetch_add(&s->count, 1);
		return;
	}
	atomic_store(&s->error, errno);
	mk_closep(fd);
}

static void *run(void *arg)
{
	struct mk_sync *s = arg;
	int fd = -1;
	sem_post(&s->begun);
	while (wait_for_work(s)) {
		pause_ms(GROUP_MS);
		sync_once(s, &fd);
	}
	mk_close(fd);
	return NULL;
}

static int begin_thread(struct mk_sync *s)
{
	pthread_attr_t attr;
	sigset_t all, before;
	if (pthread_attr_init(&attr) != 0)
		return ENOMEM;
	sigfillset(&all);
	int rc = pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (rc == 0)
		rc = pthread_sigmask(SIG_SETMASK, &all, &before);
	if (rc == 0) {
		rc = pthread_create(&s->thread, &attr, run, s);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
	}
	pthread_attr_destroy(&attr);
	return rc;
}

static void discard(struct mk_sync *s)
{
	mk_close(atomic_load(&s->next));
	mk_close(s->wake);
	sem_destroy(&s->begun);
	free(s);
}

mk_must mk_sync_start(int taken, struct mk_sync **ret)
{
	mk_fd fd = taken;
	struct mk_sync *s = calloc(1, sizeof *s);
	if (!s)
		return MK_NO_MEMORY;
	sem_init(&s->begun, 0, 0);
	atomic_init(&s->next, MK_TAKE_FD(fd));
	s->wake = eventfd(0, EFD_CLOEXEC);
	const int rc = s->wake < 0 ? errno : begin_thread(s);
	if (rc != 0) {
		discard(s);
		errno = rc;
		return MK_SYSTEM;
	}
	while (sem_wait(&s->begun) != 0 && errno == EINTR)
		;
	mk_sync_poke(s); /* what was written before */
	*ret = s;
	return MK_OK;
}

static void wake(struct mk_sync *s)
{
	const uint64_t one = 1;
	ssize_t r;
	do
		r = write(s->wake, &one, sizeof one);
	while (r < 0 && errno == EINTR);
}

void mk_sync_poke(struct mk_sync *s)
{
	if (!atomic_exchange(&s->dirty, true))
		wake(s);
}

void mk_sync_switch(struct mk_sync *s, int fd)
{
	mk_close(atomic_exchange(&s->next, fd));
	mk_sync_poke(s);
}

int mk_sync_error(struct mk_sync *s)
{
	return atomic_load_explicit(&s->error, memory_order_relaxed) == 0 ? 0 : atomic_exchange(&s->error, 0);
}

uint64_t mk_sync_count(const struct mk_sync *s)
{
	return atomic_load(&s->count);
}

struct mk_sync *mk_sync_stop(struct mk_sync *s)
{
	if (!s)
		return NULL;
	atomic_store(&s->stop, true);
	wake(s);
	pthread_join(s->thread, NULL);
	discard(s);
	return NULL;
}
