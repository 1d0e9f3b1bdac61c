/* SPDX-License-Identifier: Apache-2.0
 *
 * libmakini against a broker of the tests' own: what is given again, when it is not, every refusal, time, fork, memory,
 * descriptors, and a broker that comes and goes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "libmakini_kit.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "client/handle.h"

static struct fake fake;

/* Sanitizers make mlock(2) nothing; valgrind has descriptors and limits of its own. */
#ifdef MK_SANITIZED
#define LOCKS false
#else
#define LOCKS true
#endif

static bool under_valgrind(void)
{
	return getenv("MK_VALGRIND") != NULL;
}

static int setup(void **state)
{
	fake_start(&fake);
	*state = fake_open(&fake, 20000);
	return 0;
}

static int teardown(void **state)
{
	makini_close(*state);
	fake_stop(&fake);
	return 0;
}

static unsigned gets(void)
{
	return fake_saw(&fake, &fake.gets);
}

static void a_second_get_is_a_repeat_that_the_broker_does_not_see(void **state)
{
	struct makini_info first, again;
	assert_int_equal(fake_got(*state, "acme-1", &first), 1);
	assert_int_equal(gets(), 1);
	assert_int_equal(first.repeated, 0);
	assert_int_equal(first.size, 500);
	assert_string_equal(first.version, "1");
	assert_string_equal(first.token_type, "bearer");
	assert_true(first.expires_ms == 1893456000000);
	assert_int_equal(first.age_s, 7);
	assert_int_equal(first.retry_after_s, 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(fake_got(*state, "acme-1", &again), 1);
	assert_int_equal(gets(), 1);
	assert_int_equal(again.repeated, 1);
	assert_string_equal(again.version, "1");
}

static void the_next_get_after_a_word_moved_on_asks(void **state)
{
	assert_int_equal(fake_got(*state, "acme-1", NULL), 1);
	assert_int_equal(fake_got(*state, "acme-2", NULL), 1);
	fake_move(&fake, "acme-1");
	assert_int_equal(fake_got(*state, "acme-1", NULL), 2);
	assert_int_equal(fake_got(*state, "acme-2", NULL), 1);
	assert_int_equal(gets(), 3);
}

static unsigned moves_left;

static void move_on(struct fake *f, const char *name)
{
	if (name[0] && moves_left > 0) {
		moves_left--;
		__atomic_fetch_add(&f->page->word[fake_word_of(name)], 1, __ATOMIC_SEQ_CST);
	}
}

static void an_answer_that_is_out_of_date_when_it_comes_is_asked_for_again(void **state)
{
	moves_left = 1;
	FAKE_SET(&fake, after, move_on);
	assert_int_equal(fake_got(*state, "acme-1", NULL), 2);
	assert_int_equal(gets(), 2);
	moves_left = 1000; /* one that never stands still does not keep the caller for ever, and is never repeated */
	fake_got(*state, "acme-2", NULL);
	fake_got(*state, "acme-2", NULL);
	assert_int_equal(gets(), 8);
}

static void each_refusal_of_the_agent_reaches_the_caller(void **state)
{
	static const int all[] = { MAKINI_EINVAL, MAKINI_ENOMEM, MAKINI_ETIMEOUT, MAKINI_EPROTOCOL, MAKINI_EUNAUTHENTICATED, MAKINI_EDENIED,
		                   MAKINI_ENOTFOUND, MAKINI_EREVOKED, MAKINI_EEXPIRED, MAKINI_EDISABLED, MAKINI_ERATE, MAKINI_EBACKEND,
		                   MAKINI_ENOTREADY, MAKINI_EFROZEN, MAKINI_EINTERNAL };
	char buf[600];
	struct makini_info info;
	FAKE_SET(&fake, retry_after_s, 3);
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		FAKE_SET(&fake, status, (unsigned)-all[i]);
		memset(buf, 'B', sizeof buf);
		memset(&info, 'I', sizeof info);
		assert_int_equal(makini_get(*state, "acme-1", buf, sizeof buf, &info), all[i]);
		assert_int_equal(info.retry_after_s, all[i] == MAKINI_ERATE ? 3 : 0);
		assert_int_equal(info.size, 0);
		for (size_t k = 0; k < sizeof buf; k++)
			assert_int_equal(buf[k], 'B');
	}
	assert_int_equal(fake_saw(&fake, &fake.connections), 1);
	FAKE_SET(&fake, status, 0);
	assert_int_equal(fake_got(*state, "acme-1", NULL), 1);
}

static void a_refusal_that_an_agent_cannot_mean_is_a_fault_of_it(void **state)
{
	static const int none[] = { MAKINI_ELOCK, MAKINI_EFORK, MAKINI_ESMALL, MAKINI_EAGENT, -20, -31, -32, -33, -255, -65535 };
	char buf[600];
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		FAKE_SET(&fake, status, (unsigned)-none[i]);
		assert_int_equal(makini_get(*state, "acme-1", buf, sizeof buf, NULL), MAKINI_EPROTOCOL);
	}
}

/* Does a copy hold anything of a token? */
static bool holds(const makini *m)
{
	for (unsigned i = 0; i < m->g->copies; i++) {
		const struct copy *c = &m->g->slab[i / SLAB_COPIES][i % SLAB_COPIES];
		for (size_t k = 0; k < SMALL_MAX; k++)
			if (c->held || c->big || c->small[k])
				return true;
	}
	for (unsigned i = 0; i < LINKS; i++)
		for (size_t k = 0; m->link[i].in && k < m->link[i].in->size; k++)
			if (m->link[i].in->bytes[k])
				return true;
	return false;
}

static void a_refusal_wipes_the_copy(void **state)
{
	char buf[600];
	for (size_t size = 500; size < 3000; size += 2000) {
		FAKE_SET(&fake, token_size, size);
		fake_got(*state, "acme-1", NULL);
		assert_true(holds(*state));
		fake_move(&fake, "acme-1");
		FAKE_SET(&fake, status, (unsigned)-MAKINI_EREVOKED);
		assert_int_equal(makini_get(*state, "acme-1", buf, sizeof buf, NULL), MAKINI_EREVOKED);
		assert_false(holds(*state));
		FAKE_SET(&fake, status, 0);
	}
}

static void a_copy_is_not_used_by_a_clock_that_is_not_the_agents(void **state)
{
	fake_got(*state, "acme-1", NULL);
	fake_got(*state, "acme-1", NULL);
	assert_int_equal(gets(), 1);
	__atomic_store_n(&fake.page->valid_until, (uint64_t)(fake_now(CLOCK_BOOTTIME) + 2 * HOUR_NS), __ATOMIC_SEQ_CST); /* an hour behind */
	fake_got(*state, "acme-1", NULL);
	fake_got(*state, "acme-1", NULL);
	assert_int_equal(gets(), 3);
}

static void a_copy_is_not_used_when_the_page_is_no_longer_valid(void **state)
{
	fake_got(*state, "acme-1", NULL);
	fake_got(*state, "acme-1", NULL);
	assert_int_equal(gets(), 1);
	__atomic_store_n(&fake.page->valid_until, (uint64_t)fake_now(CLOCK_BOOTTIME) + 30000000, __ATOMIC_SEQ_CST);
	fake_sleep_ms(40);
	fake_got(*state, "acme-1", NULL);
	assert_int_equal(gets(), 2);
	__atomic_store_n(&fake.page->valid_until, 0, __ATOMIC_SEQ_CST);
	fake_got(*state, "acme-1", NULL);
	fake_got(*state, "acme-1", NULL);
	assert_int_equal(gets(), 4);
	char buf[600];
	FAKE_SET(&fake, status, (unsigned)-MAKINI_EFROZEN);
	assert_int_equal(makini_get(*state, "acme-1", buf, sizeof buf, NULL), MAKINI_EFROZEN);
}

static void a_copy_is_not_used_after_its_own_end(void **state)
{
	FAKE_SET(&fake, good_for_ns, 200 * 1000000LL);
	const int64_t began = fake_now(CLOCK_BOOTTIME);
	fake_got(*state, "acme-1", NULL);
	while (gets() == 1) { /* the first repeats, then it must ask */
		const int64_t asked = fake_now(CLOCK_BOOTTIME);
		fake_got(*state, "acme-1", NULL);
		assert_true(gets() == 2 || asked < began + 10 * HOUR_NS);
		assert_true(asked < fake_now(CLOCK_BOOTTIME));
	}
	assert_true(fake_now(CLOCK_BOOTTIME) - began >= 200 * 1000000LL);
	FAKE_SET(&fake, good_for_ns, -1);
	fake_move(&fake, "acme-1");
	fake_got(*state, "acme-1", NULL);
	fake_got(*state, "acme-1", NULL);
	assert_int_equal(gets(), 4);
}

static void a_buffer_that_is_too_small_is_left_as_it_is_and_told_the_size(void **state)
{
	struct makini_info info;
	char buf[501];
	for (int i = 0; i < 2; i++) {
		memset(buf, 'B', sizeof buf);
		assert_int_equal(makini_get(*state, "acme-1", buf, 499, &info), MAKINI_ESMALL);
		assert_int_equal(info.size, 500);
		assert_int_equal(buf[0], 'B');
		assert_int_equal(makini_get(*state, "acme-1", NULL, 0, &info), MAKINI_ESMALL);
		assert_int_equal(info.size, 500);
	}
	assert_int_equal(makini_get(*state, "acme-1", buf, 500, &info), 0); /* no room for a NUL, and none is written */
	assert_int_equal(buf[500], 'B');
	fake_check("acme-1", buf, 500);
	assert_int_equal(makini_get(*state, "acme-1", buf, 501, &info), 0);
	assert_int_equal(buf[500], 0);
	assert_int_equal(gets(), 1);
}

static void the_longest_token_and_the_shortest_are_kept_too(void **state)
{
	static const size_t sizes[] = { 14, 791, 792, 793, 4096, 4097, MAKINI_TOKEN_MAX };
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct makini_info info;
		FAKE_SET(&fake, token_size, sizes[i]);
		fake_move(&fake, "acme-1");
		const unsigned before = gets();
		fake_got(*state, "acme-1", NULL);
		fake_got(*state, "acme-1", &info);
		assert_int_equal(info.size, sizes[i]);
		assert_int_equal(gets(), before + 1);
	}
}

static void what_is_no_name_is_refused_without_asking(void **state)
{
	static const char *const bad[] = { "", "-acme", "Acme", "acme--1", "acme_1", "acme/1", "../acme", "acme 1", "acme\n", "acm\xc3\xa9",
		                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", /* 64 */
		                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1" };
	char buf[600];
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(makini_get(*state, bad[i], buf, sizeof buf, NULL), MAKINI_EINVAL);
	assert_int_equal(makini_get(*state, NULL, buf, sizeof buf, NULL), MAKINI_EINVAL);
	assert_int_equal(makini_get(NULL, "acme-1", buf, sizeof buf, NULL), MAKINI_EINVAL);
	assert_int_equal(makini_get(*state, "acme-1", NULL, 5, NULL), MAKINI_EINVAL);
	assert_int_equal(gets(), 0);
	fake_got(*state, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1", NULL); /* 63 */
	assert_int_equal(gets(), 1);
}

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

/* In a child: 0 where all is as it must be. */
static int in_child(makini *m, const struct copy *c, const unsigned char *in)
{
	char buf[600], name[MAKINI_NAME_MAX + 1];
	if (makini_get(m, "acme-1", buf, sizeof buf, NULL) != MAKINI_EFORK)
		return 1;
	if (makini_watch_fd(m) != MAKINI_EFORK || makini_watch_next(m, name) != MAKINI_EFORK)
		return 2;
	for (size_t i = 0; i < sizeof *c; i++)
		if (((const unsigned char *)c)[i])
			return 3;
	for (size_t i = 0; i < WIRE_ANSWER_MAX; i++)
		if (in[i])
			return 4;
	const int fd = m->link[0].fd;
	makini_close(m);
	if (fcntl(fd, F_GETFD) != -1)
		return 5;
	return 0;
}

static void a_child_of_fork_has_no_copies_and_no_use_of_the_handle(void **state)
{
	makini *m = *state;
	int status;
	fake_got(m, "acme-1", NULL);
	assert_true(makini_watch_fd(m) >= 0);
	const struct copy *copy = m->g->slab[0];
	const unsigned char *in = m->link[0].in->bytes;
	memset(m->link[0].in->bytes, 'T', 100);
	assert_true(copy->held);
	const pid_t pid = fork();
	if (pid == 0)
		_exit(in_child(m, copy, in));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	const unsigned before = gets();
	fake_got(m, "acme-1", NULL); /* nothing of it is felt here */
	assert_int_equal(gets(), before);
	fake_move(&fake, "acme-1");
	assert_int_equal(fake_got(m, "acme-1", NULL), 2);
	assert_int_equal(fake_saw(&fake, &fake.connections), 2);
}

static void a_child_opens_a_handle_of_its_own(void **state)
{
	int status;
	fake_got(*state, "acme-1", NULL);
	const pid_t pid = fork();
	if (pid == 0) {
		const struct makini_options o = { .size = sizeof o, .socket = fake.socket };
		char buf[600];
		makini *own = NULL;
		makini_close(*state);
		_exit(makini_open(&o, &own) == 0 && makini_get(own, "acme-1", buf, sizeof buf, NULL) == 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static unsigned long flagged(const void *p, const char *flag)
{
	char line[512];
	unsigned long from, to, found = 0;
	bool here = false;
	FILE *smaps = fopen("/proc/self/smaps", "re");
	while (fgets(line, sizeof line, smaps)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (unsigned long)p >= from && (unsigned long)p < to;
		if (here && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	fclose(smaps);
	return found;
}

static void copies_and_answers_lie_in_locked_memory_that_no_dump_and_no_child_gets(void **state)
{
	makini *m = *state;
	FAKE_SET(&fake, token_size, 2000);
	fake_got(m, "acme-1", NULL);
	const void *const all[] = { m->g, m->g->slab[0], m->g->slab[0]->big->bytes, m->link[0].in->bytes };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		assert_true(!LOCKS || flagged(all[i], " lo"));
		assert_true(flagged(all[i], " dd"));
		assert_true(flagged(all[i], " wf"));
	}
	assert_false(flagged(m, " wf"));
}

/* Each in a process of its own, whose limits are lowered. */
static int under_a_limit(int which, rlim_t limit, int allow_unlocked)
{
	int status;
	const pid_t pid = fork();
	if (pid == 0) {
		const struct makini_options o = { .size = sizeof o, .socket = fake.socket, .allow_unlocked = allow_unlocked };
		const struct rlimit to = { limit, limit };
		char buf[600];
		makini *m = NULL;
		if (setrlimit((__rlimit_resource_t)which, &to) != 0 || (getuid() == 0 && setresuid(65534, 65534, 65534) != 0))
			_exit(100);
		int rc = makini_open(&o, &m);
		if (rc == 0)
			rc = makini_get(m, "acme-1", buf, sizeof buf, NULL);
		makini_close(m);
		_exit(-rc);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void memory_that_cannot_be_locked_is_a_failure_unless_the_caller_lets_it_be(void **state)
{
	(void)state;
	if (!LOCKS)
		return;
	assert_int_equal(chmod(fake.dir, 0755), 0);
	assert_int_equal(chmod(fake.at, 0666), 0);
	assert_int_equal(under_a_limit(RLIMIT_MEMLOCK, 0, 0), MAKINI_ELOCK);
	assert_int_equal(under_a_limit(RLIMIT_MEMLOCK, 30000, 0), MAKINI_ELOCK);
	assert_int_equal(under_a_limit(RLIMIT_MEMLOCK, 0, 1), 0);
	assert_int_equal(under_a_limit(RLIMIT_MEMLOCK, 65536, 0), 0); /* what old systems give */
}

/* More than can be locked, twice: 0 when each came, and the last one that was asked for is repeated. */
static int more_than_can_be_locked(int n, size_t size)
{
	const struct makini_options o = { .size = sizeof o, .socket = fake.socket };
	const struct rlimit to = { 65536, 65536 };
	char buf[MAKINI_TOKEN_MAX + 1], name[16];
	struct makini_info info;
	makini *m = NULL;
	if (setrlimit(RLIMIT_MEMLOCK, &to) != 0 || (getuid() == 0 && setresuid(65534, 65534, 65534) != 0) || makini_open(&o, &m) != 0)
		return 1;
	for (int i = 0; i < 2 * n; i++) {
		snprintf(name, sizeof name, "n%d-1", i % n);
		for (int k = 0; k < 2; k++)
			if (makini_get(m, name, buf, sizeof buf, &info) != 0 || info.size != size || info.repeated != k)
				return 2 + k;
	}
	makini_close(m);
	return 0;
}

static void where_no_more_can_be_locked_the_oldest_make_room(void **state)
{
	static const struct {
		int n;
		size_t size;
	} some[] = { { 10, 3000 }, { 100, 500 } };
	int status;
	(void)state;
	if (!LOCKS)
		return;
	assert_int_equal(chmod(fake.dir, 0755), 0);
	assert_int_equal(chmod(fake.at, 0666), 0);
	for (size_t i = 0; i < 2; i++) {
		const unsigned before = gets();
		FAKE_SET(&fake, token_size, some[i].size);
		const pid_t pid = fork();
		if (pid == 0)
			_exit(more_than_can_be_locked(some[i].n, some[i].size));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(gets(), before + 2 * (unsigned)some[i].n);
	}
}

static void descriptors_that_ran_out_are_said(void **state)
{
	(void)state;
	if (under_valgrind())
		return;
	assert_int_equal(under_a_limit(RLIMIT_NOFILE, 0, 1), MAKINI_ENOMEM);
}

static int without_the_first_three(void)
{
	const struct makini_options o = { .size = sizeof o, .socket = fake.socket };
	makini *m = NULL;
	char buf[600];
	close(0);
	close(1);
	close(2);
	if (makini_open(&o, &m) != 0 || makini_get(m, "acme-1", buf, sizeof buf, NULL) != 0 || makini_watch_fd(m) <= 2)
		return 1;
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			return 2 + fd;
	makini_close(m);
	return 0;
}

static void no_descriptor_takes_the_place_of_standard_output(void **state)
{
	int status;
	(void)state;
	const pid_t pid = fork();
	if (pid == 0)
		_exit(without_the_first_three());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static unsigned descriptors(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void nothing_is_left_of_a_handle(void **state)
{
	unsigned before = 0;
	(void)state;
	for (int i = 0; i < 3; i++, before = before ? before : descriptors()) {
		const unsigned known = fake_saw(&fake, &fake.connections);
		makini *m = fake_open(&fake, 20000);
		assert_true(makini_watch_fd(m) > 2);
		fake_got(m, "acme-1", NULL);
		while (fake_saw(&fake, &fake.connections) < known + 2) /* both are open at its end, too */
			fake_sleep_ms(1);
		makini_close(m);
		pthread_mutex_lock(&fake.lock);
		fake_hang_up_all(&fake); /* it would close them a little later */
		pthread_mutex_unlock(&fake.lock);
	}
	assert_int_equal(descriptors(), before);
}

static void no_descriptor_outlives_exec(void **state)
{
	makini *m = *state;
	assert_true(makini_watch_fd(m) > 2);
	const int all[] = { m->link[0].fd, m->watch.fd, m->watch.timer, m->watch.epoll };
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		assert_int_equal(fcntl(all[i], F_GETFD), FD_CLOEXEC);
}

static void the_copy_least_recently_asked_for_makes_room(void **state)
{
	char name[MAKINI_NAME_MAX + 1];
	for (unsigned i = 0; i < COPIES_MAX; i++) {
		snprintf(name, sizeof name, "n%u-1", i);
		fake_got(*state, name, NULL);
	}
	assert_int_equal(gets(), COPIES_MAX);
	for (unsigned i = 0; i < COPIES_MAX; i++) {
		snprintf(name, sizeof name, "n%u-1", i);
		fake_got(*state, name, NULL);
	}
	assert_int_equal(gets(), COPIES_MAX); /* all are kept */
	fake_got(*state, "n0-1", NULL);
	fake_got(*state, "more-1", NULL); /* n1 goes */
	fake_got(*state, "n0-1", NULL);
	fake_got(*state, "n2-1", NULL);
	assert_int_equal(gets(), COPIES_MAX + 1);
	fake_got(*state, "n1-1", NULL);
	assert_int_equal(gets(), COPIES_MAX + 2);
}

static void what_is_stale_says_so(void **state)
{
	struct makini_info info;
	FAKE_SET(&fake, stale, true);
	fake_got(*state, "acme-1", &info);
	assert_int_equal(info.stale, 1);
	fake_got(*state, "acme-1", &info);
	assert_int_equal(info.stale, 1);
	assert_int_equal(info.repeated, 1);
}

static void no_type(struct fake *f, struct fake_frame *o)
{
	const size_t at = 8 + 4 + 8 + 8 + 8 + 4 + 1 + 2; /* behind a version of one letter */
	(void)f;
	if (o->type == WIRE_GET) {
		memmove(o->bytes + at + 1, o->bytes + at + 7, o->n - at - 7);
		o->bytes[at] = 0;
		o->n -= 6;
	}
}

static void a_token_without_a_type_is_a_bearer(void **state)
{
	struct makini_info info;
	FAKE_SET(&fake, mangle, no_type);
	fake_got(*state, "acme-1", &info);
	assert_string_equal(info.token_type, "bearer");
	fake_got(*state, "acme-1", &info);
	assert_string_equal(info.token_type, "bearer");
}

static void every_failure_has_a_sentence(void **state)
{
	(void)state;
	for (int e = 0; e >= MAKINI_EINTERNAL; e--) {
		assert_non_null(makini_strerror(e));
		assert_string_not_equal(makini_strerror(e), makini_strerror(1));
		for (int other = 0; other > e; other--)
			assert_string_not_equal(makini_strerror(e), makini_strerror(other));
	}
	assert_string_equal(makini_strerror(MAKINI_EINTERNAL - 1), makini_strerror(1));
	assert_string_equal(makini_strerror(INT32_MIN), makini_strerror(INT32_MAX));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_second_get_is_a_repeat_that_the_broker_does_not_see),
		CASE(the_next_get_after_a_word_moved_on_asks),
		CASE(an_answer_that_is_out_of_date_when_it_comes_is_asked_for_again),
		CASE(each_refusal_of_the_agent_reaches_the_caller),
		CASE(a_refusal_that_an_agent_cannot_mean_is_a_fault_of_it),
		CASE(a_refusal_wipes_the_copy),
		CASE(a_copy_is_not_used_by_a_clock_that_is_not_the_agents),
		CASE(a_copy_is_not_used_when_the_page_is_no_longer_valid),
		CASE(a_copy_is_not_used_after_its_own_end),
		CASE(a_buffer_that_is_too_small_is_left_as_it_is_and_told_the_size),
		CASE(the_longest_token_and_the_shortest_are_kept_too),
		CASE(what_is_no_name_is_refused_without_asking),
		CASE(options_that_are_wrong_are_refused),
		CASE(the_socket_comes_from_the_environment_where_nobody_names_it),
		CASE(nobody_who_listens_and_a_stranger_are_told_apart),
		CASE(an_ask_ends_at_its_time_and_its_late_answer_is_nobodys),
		CASE(a_silent_agent_is_a_timeout_at_open_too),
		CASE(a_broken_connection_is_connected_again_once),
		CASE(a_page_that_is_the_same_keeps_the_copies_and_a_new_one_ends_them),
		CASE(a_broker_that_left_is_noticed_when_its_page_runs_out),
		CASE(a_child_of_fork_has_no_copies_and_no_use_of_the_handle),
		CASE(a_child_opens_a_handle_of_its_own),
		CASE(copies_and_answers_lie_in_locked_memory_that_no_dump_and_no_child_gets),
		CASE(memory_that_cannot_be_locked_is_a_failure_unless_the_caller_lets_it_be),
		CASE(where_no_more_can_be_locked_the_oldest_make_room),
		CASE(descriptors_that_ran_out_are_said),
		CASE(no_descriptor_takes_the_place_of_standard_output),
		CASE(nothing_is_left_of_a_handle),
		CASE(no_descriptor_outlives_exec),
		CASE(the_copy_least_recently_asked_for_makes_room),
		CASE(what_is_stale_says_so),
		CASE(a_token_without_a_type_is_a_bearer),
		CASE(every_failure_has_a_sentence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
