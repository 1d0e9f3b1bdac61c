/* SPDX-License-Identifier: Apache-2.0
 *
 * What answers may be anybody. Each answer that is not wholly right, and each page that others could write or cut, is a fault of the
 * agent, leaves the caller's buffer as it was, and costs no descriptor; the next get connects anew.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "libmakini_kit.h"


#include "client/frame.h"
#include "open_fds.h"

static struct fake fake;

static int setup(void **state)
{
	fake_start(&fake);
	*state = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_stop(&fake);
	return 0;
}

/* Where the fields of GET's answer to "acme-1" lie. */
enum { AT_INDEX = 8, AT_FLAGS = 8 + 4 + 8 + 8 + 8 + 4, AT_VERSION, AT_TYPE = AT_VERSION + 2, AT_TOKEN = AT_TYPE + 7 };

static int arg;
static uint8_t only;

#define MANGLE(name, ...)                                            \
	static void name(struct fake *f, struct fake_frame *o)      \
	{                                                           \
		(void)f;                                            \
		if (o->type == only) {                              \
			__VA_ARGS__;                                \
		}                                                   \
	}

MANGLE(cut, o->n -= (size_t)arg)
MANGLE(add, o->n += (size_t)arg)
MANGLE(flip, o->bytes[arg] ^= 0x40)
MANGLE(empty, o->n = 0)
MANGLE(huge, o->n = sizeof o->bytes)
MANGLE(bad_index, o->bytes[AT_INDEX] = 10)
MANGLE(wild_index, memset(o->bytes + AT_INDEX, 0xff, 4))
MANGLE(bad_flags, o->bytes[AT_FLAGS] = 2)
MANGLE(version_too_long, o->bytes[AT_VERSION] = 65)
MANGLE(control_in_version, o->bytes[AT_VERSION + 1] = '\n')
MANGLE(nul_in_type, o->bytes[AT_TYPE + 1] = 0)
MANGLE(type_too_long, o->bytes[AT_TYPE] = 32)
MANGLE(token_too_long, o->bytes[AT_TOKEN] = 0x01; o->bytes[AT_TOKEN + 1] = 0x40; o->n = AT_TOKEN + 2 + 16385)
MANGLE(one_descriptor, o->fd[o->fds++] = f->memfd)
MANGLE(two_descriptors, o->fd[0] = o->fd[1] = f->memfd; o->fds = 2)
MANGLE(eight_descriptors, for (o->fds = 0; o->fds < 8; o->fds++) o->fd[o->fds] = f->memfd)
MANGLE(no_descriptor, o->fds = 0)
MANGLE(no_words, memset(o->bytes + 8, 0, 4))
MANGLE(other_words, o->bytes[8] = 11)
MANGLE(many_words, o->bytes[8] = 0xff; o->bytes[9] = 0xff)
MANGLE(status_and_more, o->bytes[2] = 10)
MANGLE(changed_instead, o->bytes[1] = WIRE_CHANGED)

static void must_fail_at_get(void (*mangle)(struct fake *, struct fake_frame *), int with)
{
	char buf[600];
	struct makini_info info;
	makini *m = fake_open(&fake, 20000);
	const unsigned before = open_fds();
	only = WIRE_GET;
	arg = with;
	memset(buf, 'B', sizeof buf);
	FAKE_SET(&fake, mangle, mangle);
	assert_int_equal(makini_get(m, "acme-1", buf, sizeof buf, &info), mangle == empty ? MAKINI_EAGENT : MAKINI_EPROTOCOL);
	assert_int_equal(info.size, 0);
	for (size_t i = 0; i < sizeof buf; i++)
		assert_int_equal(buf[i], 'B');
	FAKE_SET(&fake, mangle, NULL);
	assert_int_equal(fake_got(m, "acme-1", NULL), 1);
	assert_true(open_fds() <= before + 1 + 1); /* the broker's side of the new connection, and perhaps still of the old one */
	makini_close(m);
}

static void an_answer_to_get_that_is_wrong_in_any_way_is_refused(void **state)
{
	(void)state;
	for (int n = 1; n < 560; n += n < 70 ? 1 : 37)
		must_fail_at_get(cut, n);
	for (int n = 1; n < 64; n *= 2)
		must_fail_at_get(add, n);
	for (int at = 0; at < 8; at++)
		must_fail_at_get(flip, at);
	static void (*const all[])(struct fake *, struct fake_frame *) = {
		empty, huge, bad_index, wild_index, bad_flags, version_too_long, control_in_version, nul_in_type, type_too_long, token_too_long,
		one_descriptor, two_descriptors, eight_descriptors, status_and_more, changed_instead,
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++)
		must_fail_at_get(all[i], 0);
}

static int try_open(void)
{
	const struct makini_options o = { .size = sizeof o, .socket = fake.socket, .timeout_ms = 20000 };
	makini *m = NULL;
	const int rc = makini_open(&o, &m);
	makini_close(m);
	return rc;
}

static void an_answer_to_hello_that_is_wrong_in_any_way_is_refused(void **state)
{
	static void (*const all[])(struct fake *, struct fake_frame *) = { huge, two_descriptors, eight_descriptors, no_descriptor, no_words, other_words, many_words,
		                                                           status_and_more, changed_instead };
	(void)state;
	only = WIRE_HELLO;
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		FAKE_SET(&fake, mangle, all[i]);
		assert_int_equal(try_open(), MAKINI_EPROTOCOL);
	}
	FAKE_SET(&fake, mangle, cut);
	for (arg = 1; arg < 23; arg++)
		assert_int_equal(try_open(), MAKINI_EPROTOCOL);
	FAKE_SET(&fake, mangle, flip);
	for (arg = 0; arg < 13; arg++)
		assert_int_equal(try_open(), MAKINI_EPROTOCOL);
	FAKE_SET(&fake, mangle, NULL);
	assert_int_equal(try_open(), 0);
}

static int with_page(size_t size, int seals, void (*change)(struct wire_page *))
{
	struct wire_page page = *fake.page;
	if (change)
		change(&page);
	pthread_mutex_lock(&fake.lock);
	const int own = fake.memfd;
	fake.memfd = fake_memfd(size, seals, &page, NULL);
	pthread_mutex_unlock(&fake.lock);
	const int rc = try_open();
	pthread_mutex_lock(&fake.lock);
	close(fake.memfd);
	fake.memfd = own;
	pthread_mutex_unlock(&fake.lock);
	return rc;
}

static void other_magic(struct wire_page *p)
{
	p->magic++;
}

static void other_version(struct wire_page *p)
{
	p->version++;
}

static void more_words(struct wire_page *p)
{
	p->words = WIRE_WORDS + 1;
}

static void a_page_that_others_could_change_or_that_is_none_is_refused(void **state)
{
	(void)state;
	assert_int_equal(with_page(WIRE_PAGE, FAKE_SEALS, NULL), 0);
	assert_int_equal(with_page(WIRE_PAGE, FAKE_SEALS & ~F_SEAL_FUTURE_WRITE, NULL), MAKINI_EPROTOCOL);
	assert_int_equal(with_page(WIRE_PAGE, FAKE_SEALS & ~F_SEAL_SHRINK, NULL), MAKINI_EPROTOCOL);
	assert_int_equal(with_page(WIRE_PAGE, FAKE_SEALS & ~F_SEAL_GROW, NULL), MAKINI_EPROTOCOL);
	assert_int_equal(with_page(WIRE_PAGE, FAKE_SEALS & ~F_SEAL_SEAL, NULL), MAKINI_EPROTOCOL);
	assert_int_equal(with_page(WIRE_PAGE, 0, NULL), MAKINI_EPROTOCOL);
	assert_int_equal(with_page(WIRE_PAGE - 1, FAKE_SEALS, NULL), MAKINI_EPROTOCOL);
	assert_int_equal(with_page(0, FAKE_SEALS, NULL), MAKINI_EPROTOCOL);
	assert_int_equal(with_page(2 * WIRE_PAGE, FAKE_SEALS, NULL), MAKINI_EPROTOCOL);
	assert_int_equal(with_page(WIRE_PAGE, FAKE_SEALS, other_magic), MAKINI_EPROTOCOL);
	assert_int_equal(with_page(WIRE_PAGE, FAKE_SEALS, other_version), MAKINI_EPROTOCOL);
	assert_int_equal(with_page(WIRE_PAGE, FAKE_SEALS, more_words), MAKINI_EPROTOCOL);
}

static void a_file_and_a_pipe_are_no_pages(void **state)
{
	(void)state;
	const int own = fake.memfd;
	int ends[2];
	char path[] = "/tmp/mk-client-page-XXXXXX";
	const int file = mkstemp(path);
	assert_true(file >= 0 && pipe2(ends, O_CLOEXEC) == 0);
	unlink(path);
	assert_int_equal(write(file, fake.page, WIRE_PAGE), WIRE_PAGE);
	FAKE_SET(&fake, memfd, file);
	assert_int_equal(try_open(), MAKINI_EPROTOCOL);
	FAKE_SET(&fake, memfd, ends[0]);
	assert_int_equal(try_open(), MAKINI_EPROTOCOL);
	FAKE_SET(&fake, memfd, own);
	close(file);
	close(ends[0]);
	close(ends[1]);
}

static void numbers_are_read_to_their_ends(void **state)
{
	static const unsigned char fields[] = { 1, 2, 0, 0, 9, 0, 0, 0, /**/ 1, 1, 0, 0, /**/ 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, /**/
		                                0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, /**/ 0, 0, 0, 0, 0, 0, 0, 0x80, /**/ 0xfe, 0xff, 0xff, 0xff, /**/
		                                1, 0, 0, 0, 0 };
	struct answer a;
	(void)state;
	assert_int_equal(frame_answer((struct bytes){ fields, sizeof fields }, WIRE_GET, 9, &a), 0);
	assert_int_equal(a.index, 257);
	assert_true(a.word == UINT64_MAX && a.good_until == INT64_MAX && a.expires_ms == INT64_MIN && a.age_s == UINT32_MAX - 1);
	assert_true(a.stale && a.version.n == 0 && a.type.n == 0 && a.value.n == 0);
	unsigned char two_less[sizeof fields];
	memcpy(two_less, fields, sizeof fields);
	memset(two_less + 20, 0xff, 8);
	two_less[20] = 0xfe;
	assert_int_equal(frame_answer((struct bytes){ two_less, sizeof fields }, WIRE_GET, 9, &a), 0);
	assert_true(a.good_until == -2);
}

static int hello_with(uint32_t words)
{
	const unsigned char f[] = { 1, 1, 0, 0, 9, 0, 0, 0, (unsigned char)words, (unsigned char)(words >> 8), 0, 0, 3, 'd', 'e', 'v' };
	struct answer a;
	return frame_answer((struct bytes){ f, sizeof f }, WIRE_HELLO, 9, &a);
}

static int get_with(uint32_t index, size_t version, size_t type, size_t token)
{
	static unsigned char f[WIRE_ANSWER_MAX + 16];
	const unsigned char head[] = { 1, 2, 0, 0, 9, 0, 0, 0, (unsigned char)index, (unsigned char)(index >> 8), 0, 0 };
	struct answer a;
	memset(f, 0, sizeof f);
	memcpy(f, head, sizeof head);
	unsigned char *p = f + AT_VERSION;
	*p++ = (unsigned char)version;
	p = (unsigned char *)memset(p, 'v', version) + version;
	*p++ = (unsigned char)type;
	p = (unsigned char *)memset(p, 't', type) + type;
	*p++ = (unsigned char)token;
	*p++ = (unsigned char)(token >> 8);
	p = (unsigned char *)memset(p, 'T', token) + token;
	return frame_answer((struct bytes){ f, (size_t)(p - f) }, WIRE_GET, 9, &a);
}

static void limits_are_exact(void **state)
{
	(void)state;
	assert_int_equal(hello_with(0), MAKINI_EPROTOCOL);
	assert_int_equal(hello_with(1), 0);
	assert_int_equal(hello_with(WIRE_WORDS), 0);
	assert_int_equal(hello_with(WIRE_WORDS + 1), MAKINI_EPROTOCOL);
	assert_int_equal(get_with(WIRE_WORDS - 1, MAKINI_VERSION_MAX, MAKINI_TYPE_MAX, MAKINI_TOKEN_MAX), 0);
	assert_int_equal(get_with(WIRE_WORDS, 1, 1, 1), MAKINI_EPROTOCOL);
	assert_int_equal(get_with(0, MAKINI_VERSION_MAX + 1, 1, 1), MAKINI_EPROTOCOL);
	assert_int_equal(get_with(0, 1, MAKINI_TYPE_MAX + 1, 1), MAKINI_EPROTOCOL);
	assert_int_equal(get_with(0, 1, 1, MAKINI_TOKEN_MAX + 1), MAKINI_EPROTOCOL);
	assert_int_equal(get_with(0, 0, 0, 0), 0);
}

/* Each part of a good frame, at the end of what may be read at all. */
static void nothing_is_read_beyond_what_came(void **state)
{
	static const unsigned char good[] = { 1, 2, 0, 0, 9, 0, 0, 0, /**/ 1, 1, 0, 0, /**/ 5, 0, 0, 0, 0, 0, 0, 0, /**/ 9, 0, 0, 0, 0, 0, 0, 0, /**/
		                              9, 0, 0, 0, 0, 0, 0, 0, /**/ 7, 0, 0, 0, /**/ 0, /**/ 2, ' ', '~', /**/ 6, 'b', 'e', 'a', 'r', 'e', 'r', /**/
		                              5, 0, 't', 'o', 'k', '-', '1' };
	struct answer a;
	(void)state;
	unsigned char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(p != MAP_FAILED && mprotect(p + 4096, 4096, PROT_NONE) == 0);
	for (size_t n = 0; n <= sizeof good; n++) {
		memcpy(p + 4096 - n, good, n);
		const int rc = frame_answer((struct bytes){ p + 4096 - n, n }, WIRE_GET, 9, &a);
		assert_int_equal(rc, n == sizeof good ? 0 : MAKINI_EPROTOCOL);
	}
	assert_true(a.value.n == 5 && memcmp(a.value.p, "tok-1", 5) == 0 && a.version.n == 2 && a.type.n == 6 && a.word == 5 && !a.stale);
	munmap(p, 8192);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_answer_to_get_that_is_wrong_in_any_way_is_refused),
		CASE(an_answer_to_hello_that_is_wrong_in_any_way_is_refused),
		CASE(a_page_that_others_could_change_or_that_is_none_is_refused),
		CASE(a_file_and_a_pipe_are_no_pages),
		CASE(numbers_are_read_to_their_ends),
		CASE(limits_are_exact),
		CASE(nothing_is_read_beyond_what_came),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
