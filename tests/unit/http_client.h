/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side of http_world.h: a world that begins and ends, connections, and
 * reading while the loop runs.
 */
#ifndef MK_TEST_HTTP_CLIENT_H
#define MK_TEST_HTTP_CLIENT_H

#include "http_world.h"
#include "pump.h"

#include <errno.h>

#define TEXT_MAX 400000

static inline void run_ms(int64_t ms)
{
	mk_timer_set(world_t, ms);
	assert_int_equal(mk_loop_run(world_b->loop), MK_OK); /* one round at least: who serves is this thread */
}

static inline int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* blocking: it must be made otherwise */
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	unlink(path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 1024), 0);
	return fd;
}

static inline int connect_to(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static inline int connect_as(uid_t uid)
{
	const int fd = connect_to(world_path);
	world_b->uid = uid;
	run_ms(3);
	return fd;
}

static inline void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* Reads what comes until there was nothing for a while or the peer closed; true in *closed then. */
static inline const char *hear(int fd, bool *closed)
{
	static char text[TEXT_MAX];
	size_t n = 0;
	unsigned quiet = 0;
	bool end = false;
	while (quiet < 8 && !end) {
		run_ms(1);
		const ssize_t got = recv(fd, text + n, sizeof text - 1 - n, MSG_DONTWAIT);
		end = got == 0 || (got < 0 && errno != EAGAIN);
		quiet = got > 0 ? 0 : quiet + 1;
		n += got > 0 ? (size_t)got : 0;
	}
	text[n] = '\0';
	if (closed)
		*closed = end;
	return text;
}

/* One request on a connection of its own. */
static inline const char *ask(const char *request, bool *closed)
{
	const int fd = connect_as(1000);
	say(fd, request);
	const char *text = hear(fd, closed);
	close(fd);
	run_ms(5);
	return text;
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: a\r\n\r\n"

static inline int status_of(const char *text)
{
	int status = 0;
	assert_int_equal(sscanf(text, "HTTP/1.1 %d ", &status), 1);
	return status;
}

static inline const char *body_of(const char *text)
{
	const char *at = strstr(text, "\r\n\r\n");
	return at ? at + 4 : "";
}

static inline unsigned count_of(const char *text, const char *what)
{
	unsigned n = 0;
	for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what))
		n++;
	return n;
}

static inline int world_begin(void **state)
{
	const struct mk_word api = { "api" }, admin = { "admin" };
	char path[100];
	(void)state;
	snprintf(world_dir, sizeof world_dir, "/tmp/mk-http-XXXXXX");
	assert_non_null(mkdtemp(world_dir));
	snprintf(world_path, sizeof world_path, "%s/api.sock", world_dir);
	snprintf(path, sizeof path, "%s/admin.sock", world_dir);
	world_b = calloc(1, sizeof *world_b);
	assert_non_null(world_b);
	world_b->environment = (struct mk_word){ "testing" };
	/* times that a slow machine does not reach: a test of one sets its own */
	world_b->limits = (struct mk_conf_limits){ .connections = 200, .connections_per_uid = 50, .head_timeout_ms = 60000,
						   .write_timeout_ms = 60000, .idle_timeout_ms = 60000, .waiters_per_uid = 8 };
	assert_int_equal(mk_loop_new(&world_b->loop), MK_OK);
	world_t = stop_timer(world_b->loop);
	assert_int_equal(mk_http_new(world_b, &world_h), MK_OK);
	assert_int_equal(mk_http_listen(world_h, &api, listen_at(world_path)), MK_OK);
	assert_int_equal(mk_http_listen(world_h, &admin, listen_at(path)), MK_OK);
	run_ms(2);
	return 0;
}

static inline int world_end(void **state)
{
	char path[100];
	(void)state;
	world_h = mk_http_free(world_h);
	assert_int_equal(mk_secret_in_use(), 0);
	world_t = mk_timer_free(world_t);
	mk_loop_free(world_b->loop);
	snprintf(path, sizeof path, "%s/admin.sock", world_dir);
	unlink(path);
	unlink(world_path);
	rmdir(world_dir);
	free(world_b);
	return 0;
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, world_begin, world_end)

static inline int arena(void **state)
{
	bool locked = false;
	(void)state;
	return mk_secret_arena_init(64, 16, &locked) == MK_OK ? 0 : 1;
}

#endif
