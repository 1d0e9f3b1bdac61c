/* SPDX-License-Identifier: Apache-2.0
 *
 * Claims about the pages that libmakini's clients read: who can write them, which word is whose, and what
 * moves it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "pages_kit.h"

#include "agent/broker/page_seal.h"
#include "agent/broker/tell.h"

/* ---- its memory ---- */

static void what_is_mapped_before_the_seal_can_be_written_and_nothing_else(void **state)
{
	struct wire_page *p = NULL;
	const int fd = memfd(WIRE_PAGE);
	(void)state;
	assert_int_equal(mk_page_seal(fd, &p), MK_OK);
	p->word[7] = 42; /* ours */
	const struct wire_page *seen = mmap(NULL, WIRE_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	assert_true(seen != MAP_FAILED);
	assert_int_equal(seen->word[7], 42);
	assert_int_equal(seen->magic, WIRE_PAGE_MAGIC);
	assert_int_equal(seen->ahead_ms, 3000);
	assert_int_equal(seen->words, WIRE_WORDS);
	assert_true(mmap(NULL, WIRE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 2 * (off_t)WIRE_PAGE), -1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1); /* nobody can take it from us either */
	done(seen);
	assert_int_equal(munmap(p, WIRE_PAGE), 0);
	mk_close(fd);
}

static void what_is_not_one_page_that_can_be_sealed_is_refused(void **state)
{
	struct wire_page *p = NULL;
	int pipes[2];
	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	const int unsealable = memfd_create("test", MFD_CLOEXEC), file = open(fix.dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(ftruncate(unsealable, WIRE_PAGE) == 0 && ftruncate(file, WIRE_PAGE) == 0);
	const int fds[] = { memfd(0), memfd(WIRE_PAGE - 1), memfd(2 * (off_t)WIRE_PAGE), unsealable, file, pipes[0], -1 };
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		assert_int_equal(mk_page_seal(fds[i], &p), MK_SYSTEM);
	assert_null(p);
	for (size_t i = 0; i < MK_COUNT(fds); i++)
		mk_close(fds[i]);
	mk_close(pipes[1]);
}

static void closed_by(uint32_t number)
{
	const int fd = memfd(WIRE_PAGE);
	mk_pages_came(fix.b->pages, number, fd);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void one_that_comes_late_will_do_and_what_was_not_asked_for_is_nobodys(void **state)
{
	struct mk_page *p = mk_pages_of(fix.b->pages, &billing); /* number 1 */
	(void)state;
	closed_by(2);
	advance(1500);
	mk_pages_tick(fix.b); /* asks again */
	assert_int_equal(mk_page_fd(p), -1);
	mk_pages_came(fix.b->pages, 1, memfd(WIRE_PAGE));
	assert_true(mk_page_fd(p) >= 0);
	closed_by(1); /* the answer to the second question */
}

static void without_its_memory_words_can_be_asked_for_and_moved(void **state)
{
	struct mk_page *p = mk_pages_of(fix.b->pages, &billing);
	const struct mk_name n = nth(1);
	(void)state;
	assert_int_equal(mk_page_look(p, &n).value, 0);
	mk_pages_move_all(fix.b);
	mk_pages_move(fix.b, &n);
}

/* ---- words ---- */

static void words_are_given_out_when_they_are_kept_and_stay(void **state)
{
	const struct wire_page *seen;
	struct mk_page *p = page(&billing, 1, &seen);
	const struct mk_name a = nth(1), b = nth(2);
	(void)state;
	assert_int_equal(mk_page_look(p, &a).index, 0);
	assert_int_equal(mk_page_look(p, &b).index, 0); /* what was only asked for takes no word */
	assert_true(mk_page_keep(p, &b));
	assert_int_equal(mk_page_look(p, &a).index, 1);
	assert_true(mk_page_keep(p, &a));
	for (int i = 0; i < 3; i++) {
		assert_true(mk_page_keep(p, &a) && mk_page_keep(p, &b));
		assert_int_equal(mk_page_look(p, &a).index, 1);
		assert_int_equal(mk_page_look(p, &b).index, 0);
	}
	done(seen);
}

static void when_all_are_taken_they_are_shared_and_a_move_moves_all_who_share(void **state)
{
	const struct wire_page *seen;
	struct mk_page *p = page(&billing, 1, &seen);
	unsigned owners[WIRE_WORDS] = { 0 };
	(void)state;
	for (unsigned i = 0; i < MK_PAGE_NAMES_MAX; i++) {
		const struct mk_name n = nth(i);
		const uint32_t index = mk_page_look(p, &n).index;
		assert_in_range(index, 0, WIRE_WORDS - 1);
		assert_true(i >= WIRE_WORDS || index == i);
		owners[index]++;
		assert_true(mk_page_keep(p, &n));
	}
	for (unsigned i = 0; i < WIRE_WORDS; i++)
		assert_in_range(owners[i], 1, 40);
	const struct mk_name last = nth(MK_PAGE_NAMES_MAX - 1), one_more = nth(MK_PAGE_NAMES_MAX);
	const uint32_t shared = mk_page_look(p, &last).index;
	assert_false(mk_page_keep(p, &one_more)); /* no copy of it is to be used again */
	mk_pages_move(fix.b, &last);
	for (unsigned i = 0; i < WIRE_WORDS; i++)
		assert_int_equal(seen->word[i], i == shared);
	assert_int_equal(seen->word[mk_page_look(p, &last).index], mk_page_look(p, &last).value);
	done(seen);
}

static void a_move_is_seen_by_each_service_that_has_it_and_by_no_other_word(void **state)
{
	const struct wire_page *one, *other;
	struct mk_page *p = page(&billing, 1, &one), *q = page(&sync_, 2, &other);
	const struct mk_name a = nth(1), b = nth(2), unknown = nth(3);
	(void)state;
	assert_true(mk_page_keep(p, &a) && mk_page_keep(p, &b) && mk_page_keep(q, &b));
	const uint64_t p_moves = mk_page_moves(p), q_moves = mk_page_moves(q);
	mk_pages_move(fix.b, &a);
	assert_true(one->word[0] == 1 && one->word[1] == 0 && other->word[0] == 0);
	assert_true(mk_page_moves(p) > p_moves && mk_page_moves(q) == q_moves);
	mk_pages_move(fix.b, &b);
	assert_true(one->word[0] == 1 && one->word[1] == 1 && other->word[0] == 1);
	mk_pages_move(fix.b, &unknown);
	assert_true(one->word[2] == 0 && other->word[1] == 0);
	mk_pages_move_all(fix.b);
	for (unsigned i = 0; i < WIRE_WORDS; i++)
		assert_true(one->word[i] >= 1 && other->word[i] >= 1);
	done(one);
	done(other);
}

static void each_kind_of_event_moves_what_it_is_about(void **state)
{
	const struct wire_page *seen;
	struct mk_page *p = page(&billing, 1, &seen);
	const struct mk_name a = nth(1), b = nth(2);
	static const enum mk_told moving[] = { MK_TOLD_ROTATED, MK_TOLD_REVOKED, MK_TOLD_RESTORED };
	uint64_t word = 0;
	(void)state;
	assert_true(mk_page_keep(p, &a) && mk_page_keep(p, &b));
	for (size_t i = 0; i < MK_COUNT(moving); i++) {
		mk_tell_event(fix.b, moving[i], &a, "v");
		assert_true(seen->word[0] > word && seen->word[1] == 0);
		word = seen->word[0];
	}
	mk_tell_event(fix.b, MK_TOLD_EXPIRING, &a, "v");
	assert_int_equal(seen->word[0], word);
	mk_tell_resync(fix.b);
	assert_true(seen->word[0] > word && seen->word[1] > 0);
	word = seen->word[1];
	swap_in(configuration(2, false));
	assert_true(seen->word[1] > word);
	done(seen);
}

/* ---- what a fetch brings ---- */

static void another_version_or_expiry_moves_the_word_and_the_same_again_does_not(void **state)
{
	const struct wire_page *seen;
	struct mk_page *p = page(&billing, 1, &seen);
	const struct mk_name n = name_of("acme-erp");
	const struct {
		const char *version, *token, *expires;
		bool moves;
	} brings[] = {
		{ "v1", "tok-1", "2030-01-01T00:00:00Z", false }, { "v2", "tok-2", "2030-01-01T00:00:00Z", true },
		{ "v2", "tok-2", "2030-01-01T00:00:00Z", false }, { "v2", "tok-2", "2029-01-01T00:00:00Z", true },
		{ "v2", "tok-2", NULL, true },			  { "v2", "tok-2", NULL, false },
	};
	(void)state;
	warm("v1", "tok-1", "2030-01-01T00:00:00Z");
	assert_true(mk_page_keep(p, &n));
	for (size_t i = 0; i < MK_COUNT(brings); i++) {
		const uint64_t word = seen->word[0];
		advance(TTL + 1000);
		warm(brings[i].version, brings[i].token, brings[i].expires);
		assert_int_equal(seen->word[0] > word, brings[i].moves);
	}
	const uint64_t word = seen->word[0];
	struct call k;
	advance(TTL + 1000);
	call_get(&k, BILLING_UID, "acme-erp");
	pump();
	answer_error(MK_NOT_FOUND);
	assert_int_equal(k.err, MK_NOT_FOUND);
	assert_true(seen->word[0] > word);
	done(seen);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, fix_make, fix_drop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CLAIM(what_is_mapped_before_the_seal_can_be_written_and_nothing_else),
		CLAIM(what_is_not_one_page_that_can_be_sealed_is_refused),
		CLAIM(one_that_comes_late_will_do_and_what_was_not_asked_for_is_nobodys),
		CLAIM(without_its_memory_words_can_be_asked_for_and_moved),
		CLAIM(words_are_given_out_when_they_are_kept_and_stay),
		CLAIM(when_all_are_taken_they_are_shared_and_a_move_moves_all_who_share),
		CLAIM(a_move_is_seen_by_each_service_that_has_it_and_by_no_other_word),
		CLAIM(each_kind_of_event_moves_what_it_is_about),
		CLAIM(another_version_or_expiry_moves_the_word_and_the_same_again_does_not),
	};
	return cmocka_run_group_tests_name("pages", tests, fix_group, NULL);
}
