/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the end of a token that makinictl run and render keep, while its agent is away: it is
 * reached by the wall clock or by the boot clock, whichever comes first. An agent that answers once
 * is a child; the clocks stand until they are moved.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/clock.h"
#include "ctl/ctl.h"
#include "ctl/feed.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define START INT64_C(1798761600000) /* 2027-01-01 */
#define LIFE  INT64_C(600000)
#define YEAR  (INT64_C(365) * 86400000)

static const char *const matter[] = { "access_token", NULL };
static int64_t wall, boot;
static struct mk_feed f;
static unsigned changes;

static void changed(void *arg, struct mk_fed *fed)
{
	(void)arg;
	(void)fed;
	changes++;
}

/* Answers one request and goes away. */
static pid_t agent(const char *path, const char *expires)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char body[256], answer[512], request[1024];
	const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(fd, 1), 0);
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid > 0) {
		close(fd);
		return pid;
	}
	snprintf(body, sizeof body, "{\"connection\":\"acme-sap\",\"access_token\":\"tok-x\",\"expires_at\":%s}", expires);
	snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
		 strlen(body), body);
	const int peer = accept(fd, NULL, NULL);
	const bool done = read(peer, request, sizeof request) > 0 && write(peer, answer, strlen(answer)) == (ssize_t)strlen(answer);
	_exit(done ? 0 : 1);
}

static void get(const char *expires)
{
	char dir[] = "/tmp/mk-feed-XXXXXX";
	int rc = 0, code = 0, status = 1;
	wall = START;
	boot = 1000;
	changes = 0;
	assert_non_null(mkdtemp(dir));
	f = (struct mk_feed){ .command = "run", .once = true, .drop_expired = true, .matter = matter, .changed = changed };
	snprintf(f.path, sizeof f.path, "%s/api.sock", dir);
	assert_int_equal(mk_feed_add(&f, "acme-sap", NULL), MK_EXIT_DONE);
	f.multi = curl_multi_init();
	assert_non_null(f.multi);
	const pid_t pid = agent(f.path, expires);
	assert_int_equal(mk_get_begin(&f.get, &f, &f.fed[0]), MK_EXIT_DONE);
	while (!mk_get_turn(&f.get, -1, 1000, &rc))
		;
	assert_int_equal(mk_get_end(&f.get, &f, rc, true, &code), MK_GOT_NEW);
	mk_get_done(&f.get);
	f.fed[0].due = false;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	unlink(f.path);
	rmdir(dir);
}

static bool over(void)
{
	mk_feed_round(&f, -1, 0);
	assert_int_equal(changes, f.fed[0].code == MK_EXIT_GONE);
	return f.fed[0].code == MK_EXIT_GONE && !f.fed[0].leaves;
}

static void it_ends_by_the_wall_clock(void **state)
{
	(void)state;
	get("\"2027-01-01T00:10:00Z\"");
	wall += LIFE - 1;
	assert_false(over()); /* the control */
	wall += 1;
	assert_true(over());
	mk_feed_done(&f);
}

static void a_wall_clock_that_is_set_back_or_stands_prolongs_nothing(void **state)
{
	(void)state;
	for (int64_t back = 0; back <= YEAR; back += YEAR) {
		get("\"2027-01-01T00:10:00Z\"");
		wall -= back;
		boot += LIFE - 1;
		assert_false(over()); /* the control */
		boot += 1;
		assert_true(over());
		mk_feed_done(&f);
	}
}

static void one_without_an_end_ends_by_no_clock(void **state)
{
	(void)state;
	get("null");
	wall += 100 * YEAR;
	boot += 100 * YEAR;
	assert_false(over());
	assert_int_equal(f.fed[0].code, MK_EXIT_DONE);
	mk_feed_done(&f);
}

static int set_up(void **state)
{
	bool locked;
	(void)state;
	mk_clock_fake(&boot, &wall);
	return mk_secret_arena_init(8, 4, &locked) == MK_OK ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	mk_clock_fake(NULL, NULL);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_ends_by_the_wall_clock),
		cmocka_unit_test(a_wall_clock_that_is_set_back_or_stands_prolongs_nothing),
		cmocka_unit_test(one_without_an_end_ends_by_no_clock),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
