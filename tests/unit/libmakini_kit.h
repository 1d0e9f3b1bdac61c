/* SPDX-License-Identifier: Apache-2.0
 *
 * A broker for libmakini's tests: one thread that speaks makini/wire.h on a real socket, with a real sealed page. A connection's
 * name ends in a digit, the index of its word, and its token says under which value of that word it was handed out. A test may
 * change any answer on its way out (`mangle`), hold answers back, hang up, or be a new broker.
 */
#ifndef LIBMAKINI_KIT_H
#define LIBMAKINI_KIT_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "makini/client.h"
#include "makini/wire.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define FAKE_SEALS (F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define FAKE_CONNS 32
#define HOUR_NS    3600000000000LL

struct fake;

struct fake_frame {
	uint8_t type;
	size_t n;
	unsigned fds;
	int fd[8]; /* the broker's own */
	bool dup;  /* each twice */
	unsigned char bytes[WIRE_ANSWER_MAX + 64];
};

struct fake_conn {
	int fd;
	bool watches;
};

struct fake {
	char dir[64], socket[96], at[108];
	int listener, memfd, wake[2];
	pthread_t thread;
	pthread_mutex_t lock; /* all below; page words are atomics */
	struct wire_page *page;
	struct fake_conn conn[FAKE_CONNS];
	/* what it answers */
	unsigned status, hello_status, watch_status;
	uint32_t retry_after_s;
	size_t token_size;
	int64_t good_for_ns;
	bool stale;
	int hang_up;  /* so many asks are answered by closing */
	int silent;   /* so many are not answered at all */
	int delay_ms; /* before each answer to GET */
	bool hold;    /* no answer to GET is sent while it is set */
	void (*before)(struct fake *, const char *name);         /* before the word is read */
	void (*mangle)(struct fake *, struct fake_frame *);
	void (*after)(struct fake *, const char *name);          /* after the answer was made, before it is sent */
	/* what it saw */
	unsigned gets, hellos, watches, connections;
	char last[MAKINI_NAME_MAX + 1];
};

static inline int64_t fake_now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline int fake_memfd(size_t size, int seals, const struct wire_page *with, struct wire_page **ret)
{
	const int fd = memfd_create("makini-page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_true(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
	struct wire_page *page = mmap(NULL, WIRE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(page != MAP_FAILED);
	if (with && size >= sizeof *with)
		memcpy(page, with, sizeof *with);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	if (ret)
		*ret = page;
	else
		munmap(page, WIRE_PAGE);
	return fd;
}

static inline void fake_new_page(struct fake *f)
{
	struct wire_page fresh = { .magic = WIRE_PAGE_MAGIC, .version = WIRE_VERSION, .words = 10, .ahead_ms = 3600000 };
	fresh.valid_until = (uint64_t)(fake_now(CLOCK_BOOTTIME) + HOUR_NS);
	for (unsigned i = 0; i < 10; i++)
		fresh.word[i] = 1;
	f->memfd = fake_memfd(WIRE_PAGE, FAKE_SEALS, &fresh, &f->page);
}

static inline unsigned fake_word_of(const char *name)
{
	const size_t n = strlen(name);
	return n ? (unsigned)(name[n - 1] - '0') % 10 : 0;
}

static inline uint64_t fake_word(struct fake *f, const char *name)
{
	return __atomic_load_n(&f->page->word[fake_word_of(name)], __ATOMIC_SEQ_CST);
}

static inline void fake_put(struct fake_frame *o, const void *p, size_t n)
{
	if (n)
		memcpy(o->bytes + o->n, p, n);
	o->n += n;
}

static inline void fake_number(struct fake_frame *o, uint64_t v, unsigned size)
{
	for (unsigned i = 0; i < size; i++, v >>= 8)
		o->bytes[o->n++] = (unsigned char)v;
}

static inline void fake_text(struct fake_frame *o, const char *s)
{
	fake_number(o, strlen(s), 1);
	fake_put(o, s, strlen(s));
}

/* The token of a name under a word's value: "tok-NAME-VALUE-" and then its filling. */
static inline size_t fake_token(const char *name, uint64_t word, size_t size, char *buf)
{
	char head[128];
	const int n = snprintf(head, sizeof head, "tok-%s-%" PRIu64 "-", name, word);
	memset(buf, 'x', size);
	memcpy(buf, head, (size_t)n < size ? (size_t)n : size);
	return size;
}

static inline void fake_get(struct fake *f, struct fake_frame *o, const char *name)
{
	static char token[MAKINI_TOKEN_MAX];
	const uint64_t word = fake_word(f, name);
	char version[24];
	snprintf(version, sizeof version, "%" PRIu64, word);
	fake_number(o, fake_word_of(name), 4);
	fake_number(o, word, 8);
	fake_number(o, (uint64_t)(fake_now(CLOCK_BOOTTIME) + f->good_for_ns), 8);
	fake_number(o, (uint64_t)1893456000000, 8);
	fake_number(o, 7, 4);
	fake_number(o, f->stale ? WIRE_STALE : 0, 1);
	fake_text(o, version);
	fake_text(o, "bearer");
	fake_number(o, f->token_size, 2);
	fake_put(o, token, fake_token(name, word, f->token_size, token));
}

static inline void fake_answer(struct fake *f, struct fake_frame *o, const char *name)
{
	if (o->type == WIRE_HELLO) {
		fake_number(o, 10, 4);
		fake_text(o, "production");
		o->fd[o->fds++] = f->memfd;
	}
	if (o->type == WIRE_GET)
		fake_get(f, o, name);
}

static inline void fake_send(int fd, const struct fake_frame *o)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(8 * sizeof(int))];
	} control;
	memset(&control, 0, sizeof control);
	union {
		const unsigned char *read;
		void *any;
	} p = { o->bytes };
	struct iovec part = { p.any, o->n };
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
	if (o->fds) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(o->fds * sizeof(int));
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(o->fds * sizeof(int));
		memcpy(CMSG_DATA(&control.head), o->fd, o->fds * sizeof(int));
	}
	if (sendmsg(fd, &msg, MSG_NOSIGNAL) < 0)
		(void)errno; /* it left */
}

static inline void fake_sleep_ms(int ms)
{
	struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
	while (nanosleep(&t, &t) != 0)
		;
}

static inline unsigned fake_seen(struct fake *f, uint8_t type)
{
	f->hellos += type == WIRE_HELLO;
	f->gets += type == WIRE_GET;
	f->watches += type == WIRE_WATCH;
	return type == WIRE_HELLO ? f->hello_status : type == WIRE_WATCH ? f->watch_status : f->status;
}

/* With the lock held, but for the delay. False: hang up. */
static inline bool fake_serve(struct fake *f, struct fake_conn *c, const unsigned char *ask, size_t n)
{
	static struct fake_frame o;
	char name[MAKINI_NAME_MAX + 1] = "";
	o.type = ask[1];
	o.n = o.fds = 0;
	o.dup = false;
	if (o.type == WIRE_GET && n > 9)
		memcpy(name, ask + 9, ask[8]);
	memcpy(f->last, name, sizeof name);
	const unsigned status = fake_seen(f, o.type);
	if (f->hang_up > 0)
		return f->hang_up-- == 0;
	if (f->silent > 0)
		return f->silent-- != 0;
	if (f->before)
		f->before(f, name);
	fake_number(&o, WIRE_VERSION, 1);
	fake_number(&o, o.type, 1);
	fake_number(&o, status, 2);
	fake_put(&o, ask + 4, 4);
	if (status)
		fake_number(&o, f->retry_after_s, 4);
	else
		fake_answer(f, &o, name);
	c->watches |= o.type == WIRE_WATCH && !status;
	if (f->mangle)
		f->mangle(f, &o);
	if (f->after)
		f->after(f, name);
	if (f->delay_ms && o.type == WIRE_GET) {
		const int ms = f->delay_ms;
		pthread_mutex_unlock(&f->lock);
		fake_sleep_ms(ms);
		pthread_mutex_lock(&f->lock);
	}
	while (f->hold && o.type == WIRE_GET) {
		pthread_mutex_unlock(&f->lock);
		fake_sleep_ms(1);
		pthread_mutex_lock(&f->lock);
	}
	fake_send(c->fd, &o);
	return true;
}

static inline void fake_drop(struct fake_conn *c)
{
	close(c->fd);
	*c = (struct fake_conn){ .fd = -1 };
}

static inline void fake_accept(struct fake *f)
{
	const int fd = accept4(f->listener, NULL, NULL, SOCK_CLOEXEC);
	for (unsigned i = 0; fd >= 0 && i < FAKE_CONNS; i++)
		if (f->conn[i].fd < 0) {
			f->conn[i] = (struct fake_conn){ .fd = fd };
			f->connections++;
			return;
		}
	if (fd >= 0)
		close(fd);
}

static inline void fake_read(struct fake *f, struct fake_conn *c)
{
	unsigned char ask[WIRE_ASK_MAX];
	const ssize_t n = recv(c->fd, ask, sizeof ask, MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	const bool right = n >= 8 && ask[0] == WIRE_VERSION && ask[2] == 0 && ask[3] == 0 && (ask[1] == WIRE_GET ? n > 9 && n == 9 + ask[8] : n == 8);
	if (!right || !fake_serve(f, c, ask, (size_t)n))
		fake_drop(c);
}

static inline void *fake_run(void *arg)
{
	struct fake *f = arg;
	for (;;) {
		struct pollfd p[2 + FAKE_CONNS] = { { .fd = f->wake[0], .events = POLLIN }, { .fd = f->listener, .events = POLLIN } };
		pthread_mutex_lock(&f->lock);
		for (unsigned i = 0; i < FAKE_CONNS; i++)
			p[2 + i] = (struct pollfd){ .fd = f->conn[i].fd, .events = POLLIN };
		pthread_mutex_unlock(&f->lock);
		if (poll(p, 2 + FAKE_CONNS, 20) < 0 && errno != EINTR)
			return NULL;
		if (p[0].revents)
			return NULL;
		pthread_mutex_lock(&f->lock);
		for (unsigned i = 0; i < FAKE_CONNS; i++)
			if (p[2 + i].revents && f->conn[i].fd == p[2 + i].fd)
				fake_read(f, &f->conn[i]);
		if (p[1].revents)
			fake_accept(f);
		pthread_mutex_unlock(&f->lock);
	}
}

static inline void fake_listen(struct fake *f)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	f->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	memcpy(at.sun_path, f->at, strlen(f->at) + 1);
	assert_int_equal(bind(f->listener, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(f->listener, 64), 0);
}

static inline void fake_start(struct fake *f)
{
	memset(f, 0, sizeof *f);
	snprintf(f->dir, sizeof f->dir, "/tmp/mk-client-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->socket, sizeof f->socket, "%s/api.sock", f->dir);
	snprintf(f->at, sizeof f->at, "%s/api.client.sock", f->dir);
	f->token_size = 500;
	f->good_for_ns = HOUR_NS;
	for (unsigned i = 0; i < FAKE_CONNS; i++)
		f->conn[i].fd = -1;
	pthread_mutex_init(&f->lock, NULL);
	assert_int_equal(pipe2(f->wake, O_CLOEXEC), 0);
	fake_new_page(f);
	fake_listen(f);
	assert_int_equal(pthread_create(&f->thread, NULL, fake_run, f), 0);
}

static inline void fake_hang_up_all(struct fake *f)
{
	for (unsigned i = 0; i < FAKE_CONNS; i++)
		if (f->conn[i].fd >= 0)
			fake_drop(&f->conn[i]);
}

static inline void fake_stop(struct fake *f)
{
	assert_int_equal(write(f->wake[1], "x", 1), 1);
	pthread_join(f->thread, NULL);
	fake_hang_up_all(f);
	munmap(f->page, WIRE_PAGE);
	close(f->memfd);
	close(f->listener);
	close(f->wake[0]);
	close(f->wake[1]);
	unlink(f->at);
	rmdir(f->dir);
	pthread_mutex_destroy(&f->lock);
}

/* The broker ended and another took the listening socket over. */
static inline void fake_restart(struct fake *f)
{
	pthread_mutex_lock(&f->lock);
	fake_hang_up_all(f);
	munmap(f->page, WIRE_PAGE);
	close(f->memfd);
	fake_new_page(f);
	pthread_mutex_unlock(&f->lock);
}

/* An act, as a broker does it: the word, then the watchers. */
static inline void fake_move(struct fake *f, const char *name)
{
	struct fake_frame o = { .n = 0 };
	fake_number(&o, WIRE_VERSION, 1);
	fake_number(&o, WIRE_CHANGED, 1);
	fake_number(&o, 0, 6);
	__atomic_fetch_add(&f->page->word[fake_word_of(name)], 1, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&f->lock);
	for (unsigned i = 0; i < FAKE_CONNS; i++)
		if (f->conn[i].watches)
			fake_send(f->conn[i].fd, &o);
	pthread_mutex_unlock(&f->lock);
}

#define FAKE_SET(f, field, value)                   \
	do {                                        \
		pthread_mutex_lock(&(f)->lock);     \
		(f)->field = (value);               \
		pthread_mutex_unlock(&(f)->lock);   \
	} while (0)

static inline unsigned fake_saw(struct fake *f, const unsigned *what)
{
	pthread_mutex_lock(&f->lock);
	const unsigned n = *what;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static inline makini *fake_open(struct fake *f, int timeout_ms)
{
	const struct makini_options o = { .size = sizeof o, .socket = f->socket, .timeout_ms = timeout_ms };
	makini *m = NULL;
	assert_int_equal(makini_open(&o, &m), 0);
	assert_non_null(m);
	return m;
}

/* The value of the word under which the token was handed out; it is whole and this name's. */
static inline uint64_t fake_check(const char *name, const char *token, size_t n)
{
	static _Thread_local char want[MAKINI_TOKEN_MAX];
	char head[128];
	uint64_t word = 0;
	const int at = snprintf(head, sizeof head, "tok-%s-", name);
	assert_true(n > (size_t)at && memcmp(token, head, (size_t)at) == 0);
	for (size_t i = (size_t)at; i < n && token[i] >= '0' && token[i] <= '9'; i++)
		word = word * 10 + (uint64_t)(token[i] - '0');
	fake_token(name, word, n, want);
	assert_memory_equal(token, want, n);
	return word;
}

/* A get that must do; what fake_check says. */
static inline uint64_t fake_got(makini *m, const char *name, struct makini_info *ret_info)
{
	static _Thread_local char buf[MAKINI_TOKEN_MAX + 1];
	struct makini_info info;
	assert_int_equal(makini_get(m, name, buf, sizeof buf, &info), 0);
	assert_int_equal(buf[info.size], 0);
	if (ret_info)
		*ret_info = info;
	return fake_check(name, buf, info.size);
}

#endif
