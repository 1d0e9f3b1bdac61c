/* SPDX-License-Identifier: Apache-2.0
 *
 * The fetcher's look for the keys that sign service-account tokens, over a scripted
 * transport: when it asks, with what, and what it tells.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "driver_kit.h"

#include "agent/fetcher/keys.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* the curve's generator as a key */
#define SET "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k\",\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\"," \
	    "\"y\":\"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\"}]}"
#define GOOD { .status = 200, .body = SET }

static struct {
	struct mk_keys *k;
	struct mk_msg_keys_from from;
	unsigned good, failed;
	struct mk_msg_keys last;
	char dir[64];
} fix;

static void told(void *arg, const struct mk_msg_keys *m)
{
	assert_ptr_equal(arg, &fix);
	fix.last = *m;
	fix.good += m->err == MK_OK;
	fix.failed += m->err != MK_OK;
}

static void write_token(const char *text, mode_t mode)
{
	unlink(fix.from.token_file);
	const int fd = open(fix.from.token_file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int begin(void **state)
{
	(void)state;
	memset(&fix, 0, sizeof fix);
	snprintf(fix.dir, sizeof fix.dir, "/tmp/mk-keys-XXXXXX");
	assert_non_null(mkdtemp(fix.dir));
	snprintf(fix.from.address, sizeof fix.from.address, "https://kubernetes.default.svc");
	snprintf(fix.from.token_file, sizeof fix.from.token_file, "%s/token", fix.dir);
	write_token("the-pods-own\n", 0600);
	assert_int_equal(mk_keys_new(&fix.from, false, &fix.k), MK_OK);
	assert_int_equal(mk_keys_begin(fix.k, &kit.driver, told, &fix), MK_OK);
	return 0;
}

static int end(void **state)
{
	(void)state;
	mk_keys_free(fix.k);
	unlink(fix.from.token_file);
	rmdir(fix.dir);
	return 0;
}

static void it_asks_at_the_start_with_the_pods_own_credential(void **state)
{
	(void)state;
	KIT_SCRIPT(GOOD);
	kit_pass(10);
	assert_int_equal(kit.n_calls, 1);
	assert_string_equal(kit.calls[0].url, "https://kubernetes.default.svc/openid/v1/jwks");
	assert_string_equal(kit.calls[0].head, "the-pods-own");
	assert_int_equal(fix.good, 1);
	assert_int_equal(fix.last.set.n, 1);
	assert_string_equal(fix.last.set.key[0].kid, "k");
	assert_int_equal(mk_secret_in_use(), 0);
}

static void it_asks_again_every_few_minutes_and_reads_its_credential_anew(void **state)
{
	(void)state;
	KIT_SCRIPT(GOOD);
	kit_pass(10);
	write_token("renewed", 0600);
	kit_pass(5 * 60 * 1000);
	assert_int_equal(kit.n_calls, 2);
	assert_string_equal(kit.calls[1].head, "renewed");
	kit_pass(60 * 60 * 1000);
	assert_in_range(kit.n_calls, 13, 15);
}

static void it_asks_at_once_when_a_key_is_wanted_but_one_at_a_time(void **state)
{
	(void)state;
	KIT_SCRIPT(GOOD, { .status = 200, .body = SET, .after_ms = 500 });
	kit_pass(10);
	for (unsigned i = 0; i < 5; i++)
		mk_keys_wanted(fix.k);
	kit_pass(100);
	mk_keys_wanted(fix.k);
	kit_pass(1000);
	assert_int_equal(kit.n_calls, 2);
	assert_int_equal(fix.good, 2);
}

static void what_goes_wrong_is_told_and_tried_again_soon(void **state)
{
	static const struct kit_answer wrong[] = {
		{ .status = 403 }, { .status = 404 }, { .status = 200, .body = "{}" }, { .status = 200, .body = "<html>" }, { .status = 302 },
		{ .status = 200, .body = "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"k\",\"k\":\"AAAA\"}]}" }, { .err = MK_TOO_LARGE },
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(wrong); i++) {
		fix.failed = fix.good = 0;
		kit_script(&wrong[i], 1);
		mk_keys_wanted(fix.k);
		kit_pass(1000);
		assert_int_equal(fix.failed, 1);
		assert_int_equal(fix.last.err, MK_BACKEND);
		assert_int_equal(fix.last.set.n, 0);
		kit_pass(20000);
		assert_true(fix.failed >= 2);
		KIT_SCRIPT(GOOD);
		kit_pass(20000);
		assert_int_equal(fix.good, 1);
	}
	assert_int_equal(mk_secret_in_use(), 0);
}

static void without_its_credential_it_asks_nobody(void **state)
{
	(void)state;
	KIT_SCRIPT(GOOD);
	unlink(fix.from.token_file);
	kit_pass(1000);
	write_token("two words", 0600);
	kit_pass(20000);
	write_token("open-to-all", 0644);
	kit_pass(20000);
	assert_int_equal(kit.n_calls, 0);
	assert_true(fix.failed >= 3);
	write_token("the-pods-own", 0600);
	kit_pass(20000);
	assert_int_equal(fix.good, 1);
}

static void the_last_good_keys_are_told_to_who_comes_later(void **state)
{
	(void)state;
	KIT_SCRIPT(GOOD, { .status = 403 });
	mk_keys_tell(fix.k);
	assert_int_equal(fix.good + fix.failed, 0); /* there are none yet */
	kit_pass(10);
	mk_keys_wanted(fix.k);
	kit_pass(1000);
	assert_true(fix.good == 1 && fix.failed == 1);
	mk_keys_tell(fix.k);
	assert_int_equal(fix.good, 2);
	assert_int_equal(fix.last.set.n, 1);
}

static void it_may_end_while_it_asks(void **state)
{
	(void)state;
	KIT_SCRIPT({ .after_ms = NEVER_ANSWERS });
	kit_pass(100);
	assert_int_equal(kit.n_calls, 1);
	fix.k = mk_keys_free(fix.k);
	assert_int_equal(kit.cancelled, 1);
	assert_int_equal(mk_secret_in_use(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_asks_at_the_start_with_the_pods_own_credential, begin, end),
		cmocka_unit_test_setup_teardown(it_asks_again_every_few_minutes_and_reads_its_credential_anew, begin, end),
		cmocka_unit_test_setup_teardown(it_asks_at_once_when_a_key_is_wanted_but_one_at_a_time, begin, end),
		cmocka_unit_test_setup_teardown(what_goes_wrong_is_told_and_tried_again_soon, begin, end),
		cmocka_unit_test_setup_teardown(without_its_credential_it_asks_nobody, begin, end),
		cmocka_unit_test_setup_teardown(the_last_good_keys_are_told_to_who_comes_later, begin, end),
		cmocka_unit_test_setup_teardown(it_may_end_while_it_asks, begin, end),
	};
	return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
