/* SPDX-License-Identifier: Apache-2.0
 *
 * Names from outside: a unit from /proc/PID/cgroup, and one from the address that systemd
 * connects from. What only systemd can have made names a unit; nothing else does.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/broker/cgroup.h"
#include "agent/broker/evidence.h"
#include "mk/own.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

static void unit_is(const char *text, const char *want)
{
	char unit[MK_UNIT_MAX + 1];
	memset(unit, 'x', sizeof unit);
	mk_cgroup_unit(mk_span_of(text), unit);
	if (strcmp(unit, want) != 0)
		print_error("%s", text);
	assert_string_equal(unit, want);
}

static void a_system_service_is_told_by_the_first_name_below_the_slices(void **state)
{
	(void)state;
	unit_is("0::/system.slice/billing.service\n", "billing.service");
	unit_is("0::/billing.service\n", "billing.service"); /* Slice=-.slice */
	unit_is("0::/system.slice/system-sync.slice/sync@eu.service\n", "sync@eu.service");
	unit_is("0::/apps.slice/apps-erp.slice/apps-erp-eu.slice/a.service\n", "a.service");
	unit_is("0::/a.slice/x.service\n", "x.service");
	unit_is("0::/a.slice/a-b.slice/x-y.service\n", "x-y.service");
	unit_is("0::/system.slice/_cpu.service\n", "cpu.service"); /* systemd's escape */
	unit_is("0::/system.slice/azAZ09.service\n", "azAZ09.service");
	unit_is("0::/system.slice/a:b-c_d.e\\x2df@g.service\n", "a:b-c_d.e\\x2df@g.service");
	unit_is("12:pids:/x\n3:cpu,cpuacct:/y\n1:name=systemd:/system.slice/billing.service\n", "billing.service");
	unit_is("1:name=systemd:/system.slice/billing.service\n0::/system.slice/billing.service\n", "billing.service");
	unit_is("1:name=systemd:/system.slice/billing.service\n0::/\n", "billing.service"); /* nobody uses that tree */
	unit_is("1:name=systemd:/\n0::/system.slice/billing.service\n", "billing.service");
}

static void below_a_unit_its_owner_names_cgroups_and_it_counts_for_nothing(void **state)
{
	(void)state;
	unit_is("0::/system.slice/evil.service/billing.service\n", "evil.service");
	unit_is("0::/system.slice/evil.service/system.slice/billing.service\n", "evil.service");
	unit_is("0::/user.slice/user-1000.slice/user@1000.service/app.slice/billing.service\n", "user@1000.service");
	unit_is("0::/user.slice/user-1000.slice/user@1000.service/system.slice/billing.service\n", "user@1000.service");
	unit_is("0::/user.slice/user-1000.slice/session-2.scope/system.slice/billing.service\n", "");
	unit_is("0::/machine.slice/machine-guest.scope/payload/system.slice/billing.service\n", "");
	unit_is("0::/init.scope/billing.service\n", "");
	unit_is("0::/docker/0123/system.slice/billing.service\n", "");
	unit_is("0::/../../system.slice/billing.service\n", ""); /* outside of this cgroup namespace */
}

static void what_is_no_such_path_names_no_unit(void **state)
{
	static const char *const none[] = {
		"", "\n", "0::\n", "0::/\n", "0::/system.slice\n", "0::/system.slice/\n", "0::system.slice/billing.service\n",
		"0::/system.slice//billing.service\n", "0:://billing.service\n", "0::/system.slice/.service\n",
		"0::/system.slice/billing.service", /* cut off */
		"0::/system.slice/billing.service (deleted)\n", "0::/system.slice/billing.service/x (deleted)\n",
		"0::/system.slice/billing.service \n", "0::/system.slice/bill ing.service\n", "0::/system.slice/billing.servic\n",
		"0::/system.slice/billing.SERVICE\n", "0::/system.slice/billing.service.d\n", "0::/system.slice/billing.socket\n",
		"0::/system.slice/billing.service\001\n", "0::/system.slice/b\303\274ro.service\n",
		"1::/system.slice/billing.service\n", "0:name=systemd2:/system.slice/billing.service\n",
		"0:cpu:/system.slice/billing.service\n", "5:memory:/system.slice/billing.service\n",
		"0::/.slice/billing.service\n", "0::/-.slice/billing.service\n",
		"0::/a-b.slice/billing.service\n", "0::/a.slice/b-c.slice/billing.service\n",      /* no slices of systemd's */
		"0::/a.slice/a-b-c.slice/billing.service\n", "0::/a.slice/ab.slice/billing.service\n",
		"0::/a.slice/a-.slice/billing.service\n", "0::/a.slice/a.slice/billing.service\n",
		"1:name=systemd:/system.slice/a.service\n0::/system.slice/b.service\n", /* two answers are none */
		"1:name=systemd:/system.slice/a.service\n0::/init.scope\n", "nonsense\n0::/system.slice/a.service\n",
		"0::/abcdef.slice/abcdef-x-y.slice/billing.service\n", "0::/a.slice/a--b.slice/billing.service\n",
		"0:/system.slice/a.service\n", "0::a/billing.service\n", "1:name=systemd:/init.scope\n0::/system.slice/a.service\n",
	};
	(void)state;
	for (size_t i = 0; i < MK_COUNT(none); i++)
		unit_is(none[i], "");
	char unit[MK_UNIT_MAX + 1];
	mk_cgroup_unit(mk_span("0::/system.slice/a.service\0x\n", 29), unit);
	assert_string_equal(unit, "");
	assert_true(mk_unit_is_service(mk_span_of("b.service")));
	assert_false(mk_unit_is_service(mk_span("a\0b.service", 11)));
	assert_false(mk_unit_is_service(mk_span_of("!b.service")));
}

static void a_unit_is_as_long_as_systemd_lets_it_be(void **state)
{
	char text[600], name[MK_UNIT_MAX + 1];
	(void)state;
	memset(name, 'a', sizeof name);
	memcpy(name + MK_UNIT_MAX - 8, ".service", 9);
	snprintf(text, sizeof text, "0::/system.slice/%s\n", name);
	unit_is(text, name);
	snprintf(text, sizeof text, "0::/system.slice/b%s\n", name);
	unit_is(text, "");
}

/* Any one byte more, less or other: never another unit's name, except where a name is just as good a name. */
static void no_single_byte_makes_another_unit_of_a_delegated_path(void **state)
{
	static const char right[] = "0::/system.slice/evil.service/billing.service\n";
	char text[sizeof right + 1], unit[MK_UNIT_MAX + 1];
	(void)state;
	for (size_t at = 0; at < sizeof right - 1; at++)
		for (unsigned c = 0; c < 256; c++) {
			if (c == '/' && at > 16)
				continue; /* the kernel writes no such path for it */
			memcpy(text, right, sizeof right);
			text[at] = (char)c;
			mk_cgroup_unit(mk_span(text, sizeof right - 1), unit);
			assert_string_not_equal(unit, "billing.service");
		}
}

static void made_up_texts_end_and_stay_within_bounds(void **state)
{
	static const char *const parts[] = { "0::", "1:name=systemd:", "/", "system.slice", "a-b.slice", "x.service", "_", "\n",
					     ":", " (deleted)", ".", "..", "-", "user@1.service", "s.scope", "" };
	(void)state;
	srandom(5);
	for (unsigned round = 0; round < 200000; round++) {
		char text[256] = "", unit[MK_UNIT_MAX + 1];
		size_t n = 0;
		for (unsigned i = (unsigned)random() % 12; i > 0; i--) {
			const char *part = parts[(unsigned)random() % MK_COUNT(parts)];
			memcpy(text + n, part, strlen(part));
			n += strlen(part);
		}
		uint8_t *exact = malloc(n ? n : 1); /* so that a look behind its end is seen */
		assert_non_null(exact);
		memcpy(exact, text, n);
		mk_cgroup_unit(mk_span(exact, n), unit);
		assert_true(unit[0] == '\0' || mk_unit_is_service(mk_span_of(unit)));
		free(exact);
	}
}

#define ADDRESS(text) mk_span(text, sizeof(text) - 1)
#define OF_A "/unit/a.service/"

static void systemd_names_unit_and_credential_in_its_address(void **state)
{
	char unit[MK_UNIT_MAX + 1] = "", id[MK_CREDENTIAL_ID_MAX + 1] = "";
	(void)state;
	assert_int_equal(mk_vouched_of(ADDRESS("\0adf9d86b6eda275e/unit/billing.service/acme-sap"), unit, id), MK_OK);
	assert_string_equal(unit, "billing.service");
	assert_string_equal(id, "acme-sap");
	assert_int_equal(mk_vouched_of(ADDRESS("\0f/unit/a@b.service/x/y"), unit, id), MK_OK);
	assert_string_equal(id, "x/y"); /* and no connection's name */
	assert_int_equal(mk_vouched_of(ADDRESS("\0" "0123456789abcdef" OF_A "x"), unit, id), MK_OK); /* a 64-bit number */
	assert_string_equal(id, "x");
}

/* The descriptor that was accepted of a peer that connects from this address; n 0: from none. */
static int accepted(const char *address, size_t n)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX }, from = { .sun_family = AF_UNIX };
	socklen_t at_n = sizeof at.sun_family; /* the kernel chooses one */
	mk_fd listener = socket(AF_UNIX, SOCK_STREAM, 0), peer = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&at, at_n), 0);
	at_n = sizeof at;
	assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &at_n), 0);
	assert_int_equal(listen(listener, 1), 0);
	memcpy(from.sun_path, address, n);
	if (n)
		assert_int_equal(bind(peer, (struct sockaddr *)&from, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)), 0);
	assert_int_equal(connect(peer, (struct sockaddr *)&at, at_n), 0);
	const int fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

/* What the kernel says in place of the truth; the linker puts this before libc's. */
static struct {
	sa_family_t family; /* 0: the true one */
	socklen_t n;
} says;

int __real_getpeername(int fd, struct sockaddr *at, socklen_t *n);
int __wrap_getpeername(int fd, struct sockaddr *at, socklen_t *n);
int __wrap_getpeername(int fd, struct sockaddr *at, socklen_t *n)
{
	const int rc = __real_getpeername(fd, at, n);
	if (says.family)
		at->sa_family = says.family;
	if (says.n)
		*n = says.n;
	return rc;
}

static void a_credentials_name_is_as_long_as_it_may_be(void **state)
{
	char address[200] = "\0f" OF_A, unit[MK_UNIT_MAX + 1] = "", id[MK_CREDENTIAL_ID_MAX + 1] = "";
	const size_t n = sizeof("\0f" OF_A) - 1;
	(void)state;
	memset(address + n, 'x', MK_CREDENTIAL_ID_MAX + 1);
	assert_int_equal(mk_vouched_of(mk_span(address, n + MK_CREDENTIAL_ID_MAX), unit, id), MK_OK);
	assert_int_equal(strlen(id), MK_CREDENTIAL_ID_MAX);
	assert_int_equal(mk_vouched_of(mk_span(address, n + MK_CREDENTIAL_ID_MAX + 1), unit, id), MK_DENIED);
	const size_t all = sizeof((struct sockaddr_un *)NULL)->sun_path; /* of a socket's address */
	struct mk_evidence e = { .known = true };
	mk_fd fd = accepted(address, all);
	assert_int_equal(mk_evidence_vouched(fd, &e, id), MK_OK);
	assert_int_equal(strlen(id), all - n);
	e = (struct mk_evidence){ .known = true };
	says.n = sizeof(struct sockaddr_un) + 1; /* there was more, and it was cut off */
	assert_int_equal(mk_evidence_vouched(fd, &e, id), MK_DENIED);
	says.n = 0;
}

static enum mk_err vouched(const char *address, size_t n, struct mk_evidence *e)
{
	char id[MK_CREDENTIAL_ID_MAX + 1] = "";
	mk_fd fd = accepted(address, n);
	const enum mk_err err = mk_evidence_vouched(fd, e, id);
	assert_int_equal(e->vouched, err == MK_OK);
	assert_string_equal(e->unit, err == MK_OK ? "a.service" : "");
	assert_string_equal(id, err == MK_OK ? "x" : "");
	return err;
}

static void systemd_is_believed_only_as_root_and_by_its_address(void **state)
{
	static const char good[] = "\0" "09af" OF_A "x";
	const struct mk_evidence root = { .known = true, .uid = 0 };
	struct mk_evidence e = root;
	char id[MK_CREDENTIAL_ID_MAX + 1] = "";
	(void)state;
	assert_int_equal(vouched(good, sizeof good - 1, &e), MK_OK);
	e = root;
	e.uid = 1; /* anybody may bind such an address */
	assert_int_equal(vouched(good, sizeof good - 1, &e), MK_DENIED);
	e = root;
	e.known = false;
	assert_int_equal(vouched(good, sizeof good - 1, &e), MK_DENIED);
	e = root;
	assert_int_equal(vouched("", 0, &e), MK_DENIED);
	assert_int_equal(vouched("\0x", 2, &e), MK_DENIED);
	assert_int_equal(mk_evidence_vouched(-1, &e, id), MK_DENIED);
	says.family = AF_INET;
	assert_int_equal(vouched(good, sizeof good - 1, &e), MK_DENIED);
	says.family = 0;
	says.n = sizeof(struct sockaddr_un) + 1; /* it was cut off */
	assert_int_equal(vouched(good, sizeof good - 1, &e), MK_DENIED);
	says.n = 1;
	assert_int_equal(vouched(good, sizeof good - 1, &e), MK_DENIED);
	says.n = 0;
	assert_int_equal(vouched(good, sizeof good - 1, &e), MK_OK); /* the control */
}

static void any_other_address_is_nobodys(void **state)
{
	const struct mk_span wrong[] = {
		ADDRESS(""), ADDRESS("\0"), ADDRESS("\0adf9"), ADDRESS("\0/unit/a.service/x"), ADDRESS("adf9/unit/a.service/x"),
		ADDRESS("/run/adf9/unit/a.service/x"), ADDRESS("\0adf9/unit/"), ADDRESS("\0adf9/unit/a.service"),
		ADDRESS("\0adf9/unit/a.service/"), ADDRESS("\0adf9/unit//x"), ADDRESS("\0adf9/unit/a.socket/x"),
		ADDRESS("\0adf9/unit/.service/x"), ADDRESS("\0adf9/unit/a b.service/x"), ADDRESS("\0ADF9/unit/a.service/x"),
		ADDRESS("\0adf9/user/a.service/x"), ADDRESS("\0adf9//unit/a.service/x"), ADDRESS("\0adf9 /unit/a.service/x"),
		ADDRESS("\0" "0123456789abcdef0/unit/a.service/x"), ADDRESS("\0adf9/unit/a.service/x\0"),
		ADDRESS("\0adf9/unit/a.service\0/x"), ADDRESS("\0adf9/unit/a.service/x\0y"),
	};
	char unit[MK_UNIT_MAX + 1], id[MK_CREDENTIAL_ID_MAX + 1];
	(void)state;
	for (size_t i = 0; i < MK_COUNT(wrong); i++) {
		uint8_t *exact = malloc(wrong[i].n ? wrong[i].n : 1); /* so that a look behind its end is seen */
		assert_non_null(exact);
		memcpy(exact, wrong[i].p, wrong[i].n);
		assert_int_equal(mk_vouched_of(mk_span(exact, wrong[i].n), unit, id), MK_DENIED);
		free(exact);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_system_service_is_told_by_the_first_name_below_the_slices),
		cmocka_unit_test(below_a_unit_its_owner_names_cgroups_and_it_counts_for_nothing),
		cmocka_unit_test(what_is_no_such_path_names_no_unit),
		cmocka_unit_test(a_unit_is_as_long_as_systemd_lets_it_be),
		cmocka_unit_test(no_single_byte_makes_another_unit_of_a_delegated_path),
		cmocka_unit_test(made_up_texts_end_and_stay_within_bounds),
		cmocka_unit_test(systemd_names_unit_and_credential_in_its_address),
		cmocka_unit_test(a_credentials_name_is_as_long_as_it_may_be),
		cmocka_unit_test(systemd_is_believed_only_as_root_and_by_its_address),
		cmocka_unit_test(any_other_address_is_nobodys),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
