/* SPDX-License-Identifier: Apache-2.0
 *
 * libmakini against a broker of the tests' own: options, sockets, time, and a broker that comes and
 * goes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "libmakini_fake.h"

static int open_at(const char *path)
{
	const struct makini_options o = { .size = sizeof o, .socket = path, .timeout_ms = 20000 };
	makini *m = NULL;
	const int rc = makini_open(&o, &m);
	assert_true((rc == 0) == (m != NULL));
	makini_close(m);
	return rc;
}

static void options_that_are_wrong_are_refused(void **state)
{
	char path[200];
	makini *m = NULL;
	struct makini_options o = { .size = sizeof o, .socket = fake.socket, .timeout_ms = -1 };
	(void)state;
	assert_int_equal(makini_open(&o, &m), MAKINI_EINVAL);
	o.timeout_ms = 0;
	assert_int_equal(makini_open(&o, NULL), MAKINI_EINVAL);
	o.size = 0;
	assert_int_equal(makini_open(&o, &m), MAKINI_EINVAL);
	struct {
		struct makini_options o;
		int more;
	} later = { .o = { .size = sizeof later, .socket = fake.socket } };
	assert_int_equal(makini_open(&later.o, &m), 0);
	makini_close(m);
	later.more = 1;
	assert_int_equal(makini_open(&later.o, &m), MAKINI_EINVAL);
	assert_null(m);
	static const char *const bad[] = { "", "/", ".sock", "/.sock", "/tmp/.sock", "api.sock", "/tmp/api", "/tmp/api.socket", "/tmp/api.client.sock", "/tmp/api.sock/" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(open_at(bad[i]), MAKINI_EINVAL);
	for (size_t n = 95; n < 120; n++) {
		snprintf(path, sizeof path, "/tmp/%0*d.sock", (int)(n - 10), 0);
		assert_int_equal(open_at(path), n + 7 < sizeof((struct sockaddr_un *)NULL)->sun_path ? MAKINI_EAGENT : MAKINI_EINVAL);
	}
	assert_int_equal(open_at("/tmp/no-such-directory-here/api.sock"), MAKINI_EAGENT);
}

static void the_socket_comes_from_the_environment_where_nobody_names_it(void **state)
{
	makini *m = NULL;
	(void)state;
	unsetenv("MAKINI_AGENT_SOCKET");
	assert_int_equal(makini_open(NULL, &m), MAKINI_EINVAL);
	setenv("MAKINI_AGENT_SOCKET", fake.socket, 1);
	assert_int_equal(makini_open(NULL, &m), 0);
	fake_got(m, "acme-1", NULL);
	makini_close(m);
	unsetenv("MAKINI_AGENT_SOCKET");
	makini_close(NULL);
}

static void nobody_who_listens_and_a_stranger_are_told_apart(void **state)
{
	char path[120];
	(void)state;
	snprintf(path, sizeof path, "%s/old.sock", fake.dir);
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	snprintf(at.sun_path, sizeof at.sun_path, "%s/old.client.sock", fake.dir);
	int s = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	assert_int_equal(bind(s, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(open_at(path), MAKINI_EAGENT); /* bound, nobody listens */
	close(s);
	unlink(at.sun_path);
	s = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(s, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(s, 1), 0);
	assert_int_equal(open_at(path), MAKINI_EPROTOCOL);
	close(s);
	unlink(at.sun_path);
	FAKE_SET(&fake, hello_status, (unsigned)-MAKINI_EDENIED);
	assert_int_equal(open_at(fake.socket), MAKINI_EDENIED);
	FAKE_SET(&fake, hello_status, (unsigned)-MAKINI_EUNAUTHENTICATED);
	assert_int_equal(open_at(fake.socket), MAKINI_EUNAUTHENTICATED);
}

static void an_ask_ends_at_its_time_and_its_late_answer_is_nobodys(void **state)
{
	char buf[600];
	makini *m = *state;
	m->timeout_ms = 150;
	FAKE_SET(&fake, hold, true);
	const int64_t began = fake_now(CLOCK_MONOTONIC);
	assert_int_equal(makini_get(m, "acme-1", buf, sizeof buf, NULL), MAKINI_ETIMEOUT);
	assert_true(fake_now(CLOCK_MONOTONIC) - began >= 150 * 1000000LL);
	FAKE_SET(&fake, hold, false);
	makini *patient = fake_open(&fake, 20000); /* the first answer is sent by then */
	assert_int_equal(fake_got(patient, "acme-2", NULL), 1);
	makini_close(patient);
	m->timeout_ms = 20000;
	for (int i = 0; i < 3; i++)
		fake_got(m, "acme-2", NULL); /* checks whose token it is */
}

static void a_silent_agent_is_a_timeout_at_open_too(void **state)
{
	makini *m = NULL;
	const struct makini_options o = { .size = sizeof o, .socket = fake.socket, .timeout_ms = 50 };
	(void)state;
	FAKE_SET(&fake, silent, 1);
	assert_int_equal(makini_open(&o, &m), MAKINI_ETIMEOUT);
	assert_null(m);
}

static void a_broken_connection_is_connected_again_once(void **state)
{
	char buf[600];
	fake_got(*state, "acme-1", NULL);
	fake_move(&fake, "acme-1");
	FAKE_SET(&fake, hang_up, 1);
	assert_int_equal(fake_got(*state, "acme-1", NULL), 2);
	assert_int_equal(fake_saw(&fake, &fake.connections), 2);
	fake_move(&fake, "acme-1");
	FAKE_SET(&fake, hang_up, 2);
	assert_int_equal(makini_get(*state, "acme-1", buf, sizeof buf, NULL), MAKINI_EAGENT);
	assert_int_equal(fake_got(*state, "acme-1", NULL), 3);
}

static void a_page_that_is_the_same_keeps_the_copies_and_a_new_one_ends_them(void **state)
{
	fake_got(*state, "acme-1", NULL);
	fake_got(*state, "acme-2", NULL);
	FAKE_SET(&fake, hang_up, 1);
	fake_move(&fake, "acme-1");
	fake_got(*state, "acme-1", NULL);
	const unsigned before = gets();
	fake_got(*state, "acme-2", NULL);
	assert_int_equal(gets(), before); /* the broker is the same one */
	fake_restart(&fake);
	fake_got(*state, "acme-2", NULL); /* the old page still says that it is good, and may for seconds */
	assert_int_equal(fake_got(*state, "acme-3", NULL), 1);
	const makini *m = *state; /* that ask brought the new page */
	for (unsigned i = 0; i < 2; i++)
		for (size_t k = 0; k < SMALL_MAX; k++)
			assert_true(!m->g->slab[0][i].held && m->g->slab[0][i].small[k] == 0);
	assert_true(m->g->slab[0][2].held);
	const unsigned after = gets();
	fake_got(*state, "acme-2", NULL);
	assert_int_equal(gets(), after + 1);
}

static void a_broker_that_left_is_noticed_when_its_page_runs_out(void **state)
{
	char buf[600];
	fake_got(*state, "acme-1", NULL);
	__atomic_store_n(&fake.page->valid_until, 1, __ATOMIC_SEQ_CST);
	pthread_mutex_lock(&fake.lock);
	unlink(fake.at);
	fake_hang_up_all(&fake);
	pthread_mutex_unlock(&fake.lock);
	assert_int_equal(makini_get(*state, "acme-1", buf, sizeof buf, NULL), MAKINI_EAGENT);
	assert_false(holds(*state));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(options_that_are_wrong_are_refused),
		CASE(the_socket_comes_from_the_environment_where_nobody_names_it),
		CASE(nobody_who_listens_and_a_stranger_are_told_apart),
		CASE(an_ask_ends_at_its_time_and_its_late_answer_is_nobodys),
		CASE(a_silent_agent_is_a_timeout_at_open_too),
		CASE(a_broken_connection_is_connected_again_once),
		CASE(a_page_that_is_the_same_keeps_the_copies_and_a_new_one_ends_them),
		CASE(a_broker_that_left_is_noticed_when_its_page_runs_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
