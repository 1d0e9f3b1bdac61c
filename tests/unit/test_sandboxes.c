/* SPDX-License-Identifier: Apache-2.0
 *
 * The lists of system calls against each other: filters are inherited and the strictest
 * verdict counts, so the supervisor must allow whatever a child is to be allowed, or is
 * to be refused with an errno instead of being killed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/broker/sandbox.h"
#include "agent/fetcher/sandbox.h"
#include "agent/reporter/sandbox.h"
#include "agent/supervisor/sandbox.h"
#include "mk/own.h"

#include <sys/syscall.h>

static bool wholly_allowed(const struct mk_role_calls *c, int nr)
{
	for (size_t i = 0; i < c->n_allow; i++)
		if (c->allow[i].nr == nr && c->allow[i].test == MK_CALL_ANY)
			return true;
	return false;
}

/* By the same row, or wholly. */
static bool allowed_too(const struct mk_role_calls *c, const struct mk_call_rule *row)
{
	for (size_t i = 0; i < c->n_allow; i++) {
		const struct mk_call_rule *a = &c->allow[i];

		if (a->nr == row->nr && row->test == MK_CALL_EQ && a->test == MK_CALL_EQ && a->arg == row->arg &&
		    a->mask == row->mask && a->value == row->value)
			return true;
	}
	return wholly_allowed(c, row->nr);
}

static bool refused_too(const struct mk_role_calls *c, int nr)
{
	for (size_t i = 0; i < c->n_refuse; i++)
		if (c->refuse[i].nr == nr)
			return true;
	return wholly_allowed(c, nr);
}

static bool named(const struct mk_role_calls *c, int nr)
{
	for (size_t i = 0; i < c->n_allow; i++)
		if (c->allow[i].nr == nr)
			return true;
	return false;
}

/* How many calls of the child the parent would kill it for. */
static unsigned missing(const struct mk_role_calls *parent, const struct mk_role_calls *child, const char *role)
{
	unsigned n = 0;
	for (size_t i = 0; i < child->n_allow; i++)
		if (child->allow[i].nr >= 0 && !allowed_too(parent, &child->allow[i])) {
			print_error("%s: call %d is allowed to it, not to the supervisor\n", role, child->allow[i].nr);
			n++;
		}
	for (size_t i = 0; i < child->n_refuse; i++)
		if (child->refuse[i].nr >= 0 && !refused_too(parent, child->refuse[i].nr)) {
			print_error("%s: call %d is refused to it, but kills under the supervisor's filter\n", role, child->refuse[i].nr);
			n++;
		}
	return n;
}

static const struct mk_role_calls *writing(void)
{
	return mk_fetcher_calls_of(false, true);
}

static const struct mk_role_calls *writing_http(void)
{
	return mk_fetcher_calls_of(true, true);
}

static const struct {
	const char *role;
	const struct mk_role_calls *(*calls)(void);
} children[] = {
	{ "broker", mk_broker_calls }, { "fetcher", mk_fetcher_calls }, { "reporter", mk_reporter_calls },
	{ "fetcher of a store on the network", mk_fetcher_http_calls }, { "fetcher that writes a file", writing },
	{ "fetcher of a store on the network that writes a file", writing_http },
};

static void the_supervisors_list_has_all_of_its_childrens(void **state)
{
	(void)state;
	for (size_t i = 0; i < MK_COUNT(children); i++)
		assert_int_equal(missing(mk_supervisor_calls(), children[i].calls(), children[i].role), 0);
	static const struct mk_call_rule odd[] = { { SYS_ptrace, MK_CALL_ANY, 0, 0, 0 }, { SYS_fcntl, MK_CALL_ANY, 0, 0, 0 } };
	const struct mk_role_calls greedy = { .allow = odd, .n_allow = 2 };
	assert_int_equal(missing(mk_supervisor_calls(), &greedy, "a sample"), 2);
}

static void no_child_can_make_a_process_or_look_into_another(void **state)
{
	static const int never[] = {
		SYS_execve, SYS_execveat, SYS_clone, SYS_clone3, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev,
		SYS_pidfd_getfd, SYS_io_uring_setup, SYS_bpf, SYS_keyctl, SYS_userfaultfd, SYS_kill, SYS_bind, SYS_listen,
		SYS_memfd_create, SYS_socket, SYS_connect, SYS_clone,
	};
	static const int to_a_store[] = { SYS_socket, SYS_connect, SYS_clone }; /* of these, IPv4 and IPv6, and threads alone */
	(void)state;
	for (size_t i = 0; i < MK_COUNT(children); i++)
		for (size_t k = 0; k < MK_COUNT(never); k++) {
			bool may = false;
			for (size_t n = 0; children[i].calls()->inet_only && n < MK_COUNT(to_a_store); n++)
				may |= never[k] == to_a_store[n];
			assert_int_equal(named(children[i].calls(), never[k]), may);
		}
	assert_true(mk_fetcher_http_calls()->inet_only);
	assert_false(wholly_allowed(mk_fetcher_http_calls(), SYS_clone));
	assert_true(named(mk_supervisor_calls(), SYS_execve)); /* the test can see one */
}

static void nobody_can_look_into_another_process(void **state)
{
	static const int never[] = {
		SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_io_uring_setup, SYS_bpf,
		SYS_keyctl, SYS_userfaultfd, SYS_mount, SYS_chroot, SYS_setuid, SYS_init_module, SYS_kexec_load,
	};
	(void)state;
	for (size_t k = 0; k < MK_COUNT(never); k++)
		assert_false(named(mk_supervisor_calls(), never[k]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_supervisors_list_has_all_of_its_childrens),
		cmocka_unit_test(no_child_can_make_a_process_or_look_into_another),
		cmocka_unit_test(nobody_can_look_into_another_process),
	};
	return cmocka_run_group_tests_name("sandboxes", tests, NULL, NULL);
}
