/* SPDX-License-Identifier: Apache-2.0
 *
 * The sockets that the supervisor makes: they take over or refuse a place, and go with their
 * listener.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "supervisor_kit.h"

#include "agent/supervisor/notify.h"
#include "mk/own.h"

#include <dirent.h>
#include <fcntl.h>

static struct mk_conf_listener *conf_listener(struct mk_conf_listener *l, const char *name, mode_t mode)
{
	char file[64];
	*l = (struct mk_conf_listener){ .mode = mode, .gid = (gid_t)-1 };
	assert_int_equal(mk_word_of(mk_span_of(name), &l->name), MK_OK);
	snprintf(file, sizeof file, "%s.sock", name);
	at(l->path, file);
	return l;
}

static bool there(const char *name)
{
	char path[MK_SOCKET_PATH_MAX];
	struct stat st;
	at(path, name);
	return lstat(path, &st) == 0;
}

static bool can_connect(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	at(a.sun_path, name);
	mk_fd fd = socket(AF_UNIX, (strstr(name, ".client.") ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC, 0);
	return connect(fd, (const struct sockaddr *)&a, sizeof a) == 0;
}

static unsigned entries(void)
{
	DIR *d = opendir(home);
	unsigned n = 0;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static const struct mk_listeners none = { NULL, 0 };

static void a_socket_has_its_mode_and_is_gone_after_close(void **state)
{
	struct mk_conf_listener l[2];
	const struct mk_conf c = { .listeners = l, .n_listeners = 2 };
	struct mk_listeners s;
	struct mk_why why = { 0 };
	(void)state;
	conf_listener(&l[0], "api", 0666);
	conf_listener(&l[1], "sync", 0600);
	const unsigned before = entries();
	assert_int_equal(mk_listeners_open(&c, &none, &s, &why), MK_OK);
	assert_int_equal(entries(), before + 4); /* no temporary name is left */
	assert_int_equal(stat_of("api.sock").st_mode, S_IFSOCK | 0666);
	assert_int_equal(stat_of("sync.sock").st_mode, S_IFSOCK | 0600);
	assert_true(can_connect("api.sock"));
	mk_listeners_close(&s, NULL);
	assert_int_equal(entries(), before);
}

static void beside_each_listener_of_services_stands_libmakinis_with_the_same_access(void **state)
{
	struct mk_conf_listener l[3];
	const struct mk_conf c = { .listeners = l, .n_listeners = 3 };
	struct mk_listeners s;
	struct mk_why why = { 0 };
	(void)state;
	conf_listener(&l[0], "admin", 0600);
	conf_listener(&l[1], "sync", 0640);
	conf_listener(&l[2], "credential", 0600);
	const unsigned before = entries();
	assert_int_equal(mk_listeners_open(&c, &none, &s, &why), MK_OK);
	assert_int_equal(entries(), before + 4);
	assert_int_equal(s.n, 4);
	assert_true(s.l[3].client && mk_word_eq(&s.l[3].conf.name, &l[1].name) && s.l[3].conf.gid == l[1].gid);
	assert_int_equal(stat_of("sync.client.sock").st_mode, S_IFSOCK | 0640);
	assert_true(can_connect("sync.client.sock"));
	mk_listeners_close(&s, NULL);
	assert_int_equal(entries(), before);
}

static void a_failure_of_libmakinis_socket_takes_all_back(void **state)
{
	struct mk_conf_listener l;
	const struct mk_conf c = { .listeners = &l, .n_listeners = 1 };
	struct mk_listeners s = none;
	struct mk_why why = { 0 };
	char path[MK_SOCKET_PATH_MAX];
	(void)state;
	conf_listener(&l, "sync", 0600);
	at(path, "sync.client.sock");
	mk_close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(mk_listeners_open(&c, &none, &s, &why), MK_CONFLICT);
	assert_non_null(strstr(why.text, path));
	assert_false(there("sync.sock"));
	assert_int_equal(unlink(path), 0);
}

static void a_socket_that_was_left_is_taken_over(void **state)
{
	struct mk_conf_listener l;
	const struct mk_conf c = { .listeners = &l, .n_listeners = 1 };
	struct mk_listeners first, second;
	struct mk_why why = { 0 };
	(void)state;
	conf_listener(&l, "api", 0666);
	assert_int_equal(mk_listeners_open(&c, &none, &first, &why), MK_OK);
	const ino_t old = stat_of("api.sock").st_ino;
	assert_int_equal(mk_listeners_open(&c, &none, &second, &why), MK_OK);
	assert_int_not_equal(stat_of("api.sock").st_ino, old);
	mk_listeners_close(&first, NULL); /* it is not the first one's any more */
	assert_true(there("api.sock") && can_connect("api.sock"));
	mk_listeners_close(&second, NULL);
	assert_false(there("api.sock"));
}

static void make_file(const char *path)
{
	mk_close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}
static void make_dir(const char *path)
{
	assert_int_equal(mkdir(path, 0700), 0);
}

static void make_fifo(const char *path)
{
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void what_is_not_a_socket_of_ours_is_left_alone(void **state)
{
	void (*const makers[])(const char *) = { make_file, make_dir, make_link, make_fifo };
	struct mk_conf_listener l[2];
	const struct mk_conf c = { .listeners = l, .n_listeners = 2 };
	(void)state;
	conf_listener(&l[0], "first", 0666);
	conf_listener(&l[1], "api", 0666);
	for (size_t i = 0; i < MK_COUNT(makers); i++) {
		struct mk_listeners s = none;
		struct mk_why why = { 0 };
		makers[i](l[1].path);
		const struct stat before = stat_of("api.sock");
		assert_int_equal(mk_listeners_open(&c, &none, &s, &why), MK_CONFLICT);
		assert_non_null(strstr(why.text, l[1].path));
		assert_int_equal(stat_of("api.sock").st_ino, before.st_ino);
		assert_false(there("first.sock")); /* what was made before is taken back */
		assert_int_equal(s.n, 0);
		assert_int_equal(remove(l[1].path), 0);
	}
}

static void a_foreign_socket_is_left_alone(void **state)
{
	struct mk_conf_listener l;
	const struct mk_conf c = { .listeners = &l, .n_listeners = 1 };
	struct mk_listeners s;
	struct mk_why why = { 0 };
	(void)state;
	if (geteuid() != 0)
		skip();
	conf_listener(&l, "api", 0666);
	assert_int_equal(mknod(l.path, S_IFSOCK | 0666, 0), 0);
	assert_int_equal(chown(l.path, 12345, 12345), 0);
	assert_int_equal(mk_listeners_open(&c, &none, &s, &why), MK_CONFLICT);
	assert_int_equal(remove(l.path), 0);
}

static void a_reload_shares_sockets_and_can_be_taken_back(void **state)
{
	struct mk_conf_listener before_l[2], after_l[2];
	const struct mk_conf before = { .listeners = before_l, .n_listeners = 2 };
	const struct mk_conf after = { .listeners = after_l, .n_listeners = 2 };
	struct mk_listeners old, new;
	struct mk_why why = { 0 };
	(void)state;
	conf_listener(&before_l[0], "api", 0666);
	conf_listener(&before_l[1], "old", 0600);
	conf_listener(&after_l[0], "api", 0660);
	conf_listener(&after_l[1], "new", 0600);
	assert_int_equal(mk_listeners_open(&before, &none, &old, &why), MK_OK);
	const ino_t api = stat_of("api.sock").st_ino;

	assert_int_equal(mk_listeners_open(&after, &old, &new, &why), MK_OK);
	assert_int_equal(stat_of("api.sock").st_ino, api);
	assert_true(there("old.sock") && there("new.sock"));
	mk_listeners_close(&new, &old); /* refused: as before */
	assert_false(there("new.sock"));
	assert_int_equal(stat_of("api.sock").st_mode, S_IFSOCK | 0666);
	assert_true(can_connect("api.sock") && can_connect("old.sock"));

	assert_int_equal(mk_listeners_open(&after, &old, &new, &why), MK_OK);
	mk_listeners_close(&old, &new); /* taken */
	assert_false(there("old.sock"));
	assert_int_equal(stat_of("api.sock").st_ino, api);
	assert_int_equal(stat_of("api.sock").st_mode, S_IFSOCK | 0660);
	assert_int_equal(stat_of("api.client.sock").st_mode, S_IFSOCK | 0660);
	assert_true(can_connect("api.sock") && can_connect("new.sock") && can_connect("new.client.sock"));
	assert_false(there("old.client.sock"));
	mk_listeners_close(&new, NULL);
}

static void a_group_that_is_taken_away_loses_the_socket(void **state)
{
	struct mk_conf_listener before_l, after_l;
	const struct mk_conf before = { .listeners = &before_l, .n_listeners = 1 };
	const struct mk_conf after = { .listeners = &after_l, .n_listeners = 1 };
	struct mk_listeners old, new;
	struct mk_why why = { 0 };
	(void)state;
	if (geteuid() != 0)
		skip();
	conf_listener(&before_l, "api", 0660);
	conf_listener(&after_l, "api", 0660);
	before_l.gid = 12345;
	assert_int_equal(mk_listeners_open(&before, &none, &old, &why), MK_OK);
	assert_int_equal(stat_of("api.sock").st_gid, 12345);
	assert_int_equal(mk_listeners_open(&after, &old, &new, &why), MK_OK);
	assert_int_equal(stat_of("api.sock").st_gid, getegid());
	mk_listeners_close(&new, &old); /* refused: as before */
	assert_int_equal(stat_of("api.sock").st_gid, 12345);
	assert_int_equal(mk_listeners_open(&after, &old, &new, &why), MK_OK);
	mk_listeners_close(&old, &new); /* taken */
	assert_int_equal(stat_of("api.sock").st_gid, getegid());

	assert_int_equal(mk_listeners_open(&before, &new, &old, &why), MK_OK);
	mk_listeners_close(&old, &new); /* a group that was given by a refused reload is gone, too */
	assert_int_equal(stat_of("api.sock").st_gid, getegid());
	mk_listeners_close(&new, NULL);
}

static void a_socket_that_someone_removed_is_made_anew(void **state)
{
	struct mk_conf_listener l;
	const struct mk_conf c = { .listeners = &l, .n_listeners = 1 };
	struct mk_listeners old, new;
	struct mk_why why = { 0 };
	(void)state;
	conf_listener(&l, "api", 0666);
	assert_int_equal(mk_listeners_open(&c, &none, &old, &why), MK_OK);
	assert_int_equal(unlink(l.path), 0);
	assert_int_equal(mk_listeners_open(&c, &old, &new, &why), MK_OK);
	assert_true(can_connect("api.sock"));
	mk_listeners_close(&new, &old); /* refused: nothing that nobody listens at is left */
	assert_false(there("api.sock"));
	assert_int_equal(mk_listeners_open(&c, &old, &new, &why), MK_OK);
	mk_listeners_close(&old, &new);
	assert_true(can_connect("api.sock"));
	mk_listeners_close(&new, NULL);
	assert_false(there("api.sock"));
}

static void a_taken_tcp_address_is_named_with_its_key(void **state)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_storage a = { 0 };
	socklen_t n = sizeof in;
	struct mk_why why = { 0 };
	mk_fd first = -1, second = -1;
	(void)state;
	memcpy(&a, &in, sizeof in);
	assert_int_equal(mk_tcp_listen(&a, &first, &why), MK_OK);
	assert_int_equal(getsockname(first, (struct sockaddr *)&in, &n), 0);
	memcpy(&a, &in, sizeof in);
	assert_int_equal(mk_tcp_listen(&a, &second, &why), MK_CONFLICT);
	assert_non_null(strstr(why.text, "reporter.listen"));
	assert_non_null(strstr(why.text, "127.0.0.1:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_socket_has_its_mode_and_is_gone_after_close),
		cmocka_unit_test(beside_each_listener_of_services_stands_libmakinis_with_the_same_access),
		cmocka_unit_test(a_failure_of_libmakinis_socket_takes_all_back),
		cmocka_unit_test(a_socket_that_was_left_is_taken_over),
		cmocka_unit_test(what_is_not_a_socket_of_ours_is_left_alone),
		cmocka_unit_test(a_foreign_socket_is_left_alone),
		cmocka_unit_test(a_reload_shares_sockets_and_can_be_taken_back),
		cmocka_unit_test(a_group_that_is_taken_away_loses_the_socket),
		cmocka_unit_test(a_socket_that_someone_removed_is_made_anew),
		cmocka_unit_test(a_taken_tcp_address_is_named_with_its_key),
	};
	return cmocka_run_group_tests_name("supervisor sockets", tests, make_home, remove_home);
}
