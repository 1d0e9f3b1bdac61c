/* SPDX-License-Identifier: Apache-2.0
 *
 * What the supervisor makes in the file system and says to systemd: directories, the
 * instance's lock, notices.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor_kit.h"

#include "agent/supervisor/dirs.h"
#include "agent/supervisor/notify.h"
#include "mk/own.h"

static void a_missing_directory_is_made_with_its_mode(void **state)
{
	char path[MK_SOCKET_PATH_MAX];
	struct mk_why why = { 0 };
	(void)state;
	at(path, "made");
	assert_int_equal(mk_dir_need(path, 0711, "runtime_dir", &why), MK_OK);
	assert_int_equal(stat_of("made").st_mode, S_IFDIR | 0711);
	assert_int_equal(mk_dir_need(path, 0711, "runtime_dir", &why), MK_OK);
	assert_int_equal(chmod(path, 0770), 0);
	assert_int_equal(mk_dir_need(path, 0711, "runtime_dir", &why), MK_DENIED);
	assert_non_null(strstr(why.text, "chmod"));
	assert_int_equal(rmdir(path), 0);
	make_link(path);
	assert_int_not_equal(mk_dir_need(path, 0711, "runtime_dir", &why), MK_OK);
	assert_int_equal(unlink(path), 0);
	at(path, "no/such");
	assert_int_equal(mk_dir_need(path, 0700, "state_dir", &why), MK_SYSTEM);
	assert_non_null(strstr(why.text, "install -d"));
}

static void a_directory_that_anyone_can_swap_is_refused(void **state)
{
	char open_to_all[MK_SOCKET_PATH_MAX], inside[MK_SOCKET_PATH_MAX];
	struct mk_why why = { 0 };
	(void)state;
	at(open_to_all, "all");
	at(inside, "all/run");
	assert_int_equal(mkdir(open_to_all, 0700), 0);
	assert_int_equal(chmod(open_to_all, 0755), 0);
	assert_int_equal(mk_dir_stays(inside, "runtime_dir", &why), MK_OK);
	assert_int_equal(chmod(open_to_all, 01777), 0); /* as /tmp: what is ours there stays ours */
	assert_int_equal(mk_dir_stays(inside, "runtime_dir", &why), MK_OK);
	assert_int_equal(chmod(open_to_all, 0777), 0);
	assert_int_equal(mk_dir_stays(inside, "runtime_dir", &why), MK_DENIED);
	assert_non_null(strstr(why.text, "runtime_dir"));
	assert_non_null(strstr(why.text, "chmod o-w"));
	assert_int_equal(rmdir(open_to_all), 0);
	assert_int_equal(mk_dir_stays(inside, "runtime_dir", &why), MK_SYSTEM);
}

static void a_state_directory_has_one_holder(void **state)
{
	struct mk_why why = { 0 };
	int first = -1, second = -1;
	(void)state;
	assert_int_equal(mk_dir_lock(home, "state_dir", &first, &why), MK_OK);
	assert_int_equal(mk_dir_lock(home, "state_dir", &second, &why), MK_CONFLICT);
	assert_int_equal(second, -1);
	mk_closep(&first);
	assert_int_equal(mk_dir_lock(home, "state_dir", &second, &why), MK_OK);
	mk_closep(&second);
}

static void notices_arrive_by_path_and_by_abstract_name(void **state)
{
	(void)state;
	for (int abstract = 0; abstract < 2; abstract++) {
		struct sockaddr_un a = { .sun_family = AF_UNIX };
		char variable[160], got[64] = "", unset[] = "WATCHDOG_USEC=10000000";
		snprintf(a.sun_path, sizeof a.sun_path, "%s/n%d", home, getpid());
		snprintf(variable, sizeof variable, "NOTIFY_SOCKET=%s%s", abstract ? "@" : "", a.sun_path);
		const socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(a.sun_path) + (abstract ? 1 : 0));
		if (abstract) {
			memmove(a.sun_path + 1, a.sun_path, strlen(a.sun_path) + 1);
			a.sun_path[0] = '\0';
		}
		mk_fd fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(fd, (const struct sockaddr *)&a, len), 0);
		struct mk_notify n;
		char *const environment[] = { unset, variable, NULL };
		mk_notify_open(&n, environment);
		assert_int_equal(n.watchdog_us, 10000000);
		assert_true(mk_notify(&n, "READY=%d", 1));
		assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), 7);
		assert_string_equal(got, "READY=1");
		mk_closep(&n.fd);
		if (!abstract)
			assert_int_equal(unlink(a.sun_path), 0);
	}
}

static void a_notice_that_finds_no_room_is_not_taken_for_said(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char variable[160], got[64];
	struct mk_notify n;
	unsigned said = 0;
	(void)state;
	snprintf(a.sun_path, sizeof a.sun_path, "%s/full", home);
	snprintf(variable, sizeof variable, "NOTIFY_SOCKET=%s", a.sun_path);
	char *const environment[] = { variable, NULL };
	mk_fd fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
	mk_notify_open(&n, environment);
	while (said < 100000 && mk_notify(&n, "READY=1"))
		said++;
	assert_in_range(said, 1, 99999);
	assert_int_equal(recv(fd, got, sizeof got, MSG_DONTWAIT), 7);
	while (recv(fd, got, sizeof got, MSG_DONTWAIT) == 7)
		;
	assert_true(mk_notify(&n, "READY=1"));
	mk_closep(&n.fd);
	assert_int_equal(unlink(a.sun_path), 0);
}

static void without_a_socket_nobody_is_told(void **state)
{
	char wrong[] = "NOTIFY_SOCKET=relative";
	char *const environment[] = { wrong, NULL }, *const empty[] = { NULL };
	struct mk_notify n;
	(void)state;
	mk_notify_open(&n, environment);
	assert_int_equal(n.fd, -1);
	mk_notify_open(&n, empty);
	assert_int_equal(n.fd, -1);
	assert_true(mk_notify(&n, "READY=1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_directory_is_made_with_its_mode),
		cmocka_unit_test(a_directory_that_anyone_can_swap_is_refused),
		cmocka_unit_test(a_state_directory_has_one_holder),
		cmocka_unit_test(notices_arrive_by_path_and_by_abstract_name),
		cmocka_unit_test(a_notice_that_finds_no_room_is_not_taken_for_said),
		cmocka_unit_test(without_a_socket_nobody_is_told),
	};
	return cmocka_run_group_tests_name("supervisor", tests, make_home, remove_home);
}
