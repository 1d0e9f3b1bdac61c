/* SPDX-License-Identifier: Apache-2.0
 *
 * The filters as libseccomp makes them, against their definition: each program is run
 * by a small interpreter, for random lists and random calls.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/base/lock/filter.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CAP 4096u
#define FIRST_NR 600u /* numbers that no call of every process has */
#define ROWS_MAX 40u
#if defined(__aarch64__)
#define HERE AUDIT_ARCH_AARCH64
#else
#define HERE AUDIT_ARCH_X86_64
#endif
#define ERRNO(e) (SECCOMP_RET_ERRNO | (e))
#define HIGH_BITS 0xabcd00000000ull

struct program {
	struct sock_filter i[CAP];
	size_t n;
};

static uint64_t seed = 0x9e3779b97f4a7c15ull;

static uint64_t any(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

static uint64_t few_bits(void)
{
	return any(4) | any(4) << 31 | any(4) << 62;
}

static void export(scmp_filter_ctx f, struct program *p)
{
	mk_fd fd = memfd_create("program", MFD_CLOEXEC);

	assert_int_equal(seccomp_export_bpf(f, fd), 0);
	const ssize_t n = pread(fd, p->i, sizeof(p->i), 0);
	assert_true(n > 0 && (size_t)n < sizeof(p->i));
	p->n = (size_t)n / sizeof(p->i[0]);
}

static void make(mk_must (*maker)(const struct mk_role_calls *, scmp_filter_ctx *), const struct mk_role_calls *c, struct program *p)
{
	mk_auto(mk_filter_releasep) scmp_filter_ctx f = NULL;

	assert_int_equal(maker(c, &f), MK_OK);
	export(f, p);
}

static bool jumps(const struct sock_filter *i, uint32_t a)
{
	switch (BPF_OP(i->code)) {
	case BPF_JEQ: return a == i->k;
	case BPF_JGT: return a > i->k;
	case BPF_JGE: return a >= i->k;
	default: fail_msg("an instruction that is not known here: %x", i->code);
	}
	return false;
}

static uint32_t run(const struct program *p, const struct seccomp_data *d)
{
	uint32_t a = 0;

	for (size_t at = 0; at < p->n; at++) {
		const struct sock_filter *i = &p->i[at];

		if (BPF_CLASS(i->code) == BPF_RET)
			return i->k;
		if (BPF_CLASS(i->code) == BPF_LD)
			memcpy(&a, (const uint8_t *)d + i->k, sizeof(a));
		else if (i->code == (BPF_ALU | BPF_AND | BPF_K))
			a &= i->k;
		else if (i->code == (BPF_JMP | BPF_JA))
			at += i->k;
		else
			at += jumps(i, a) ? i->jt : i->jf;
	}
	fail_msg("the program runs over its end");
	return 0;
}

static struct mk_call_rule some_row(void)
{
	struct mk_call_rule r = { .nr = (int)(FIRST_NR + any(12)), .test = any(8) ? MK_CALL_EQ : MK_CALL_ANY, .arg = (unsigned)any(6) };

	r.mask = few_bits();
	r.value = few_bits() & r.mask;
	return r;
}

static uint32_t meant(const struct mk_role_calls *c, const struct seccomp_data *d)
{
	for (size_t i = 0; i < c->n_allow; i++) {
		const struct mk_call_rule *a = &c->allow[i];

		if (a->nr == d->nr && (a->test == MK_CALL_ANY || (d->args[a->arg] & a->mask) == a->value))
			return SECCOMP_RET_ALLOW;
	}
	for (size_t i = 0; i < c->n_refuse; i++)
		if (c->refuse[i].nr == d->nr)
			return ERRNO((uint32_t)c->refuse[i].error);
	return SECCOMP_RET_KILL_PROCESS;
}

static void a_list_allows_what_a_row_of_it_fits_refuses_what_it_names_and_kills_else(void **state)
{
	static const struct mk_call_refusal refuse[] = { { FIRST_NR + 12, EPERM }, { FIRST_NR + 13, ENOTTY }, { -1, EPERM } };
	static struct program p;
	unsigned seen[3] = { 0, 0, 0 };

	(void)state;
	for (unsigned round = 0; round < 300; round++) {
		struct mk_call_rule rows[ROWS_MAX];
		const struct mk_role_calls c = { .allow = rows, .n_allow = any(ROWS_MAX), .refuse = refuse, .n_refuse = MK_COUNT(refuse) };

		for (size_t i = 0; i < c.n_allow; i++)
			rows[i] = some_row();
		make(mk_filter_list, &c, &p);
		for (unsigned call = 0; call < 200; call++) {
			struct seccomp_data d = { .nr = (int)(FIRST_NR + any(15)), .arch = HERE };

			for (unsigned a = 0; a < 6; a++)
				d.args[a] = few_bits();
			const uint32_t want = meant(&c, &d);
			assert_int_equal(run(&p, &d), want);
			seen[want == SECCOMP_RET_ALLOW ? 0 : want == SECCOMP_RET_KILL_PROCESS ? 1 : 2]++;
		}
	}
	assert_true(seen[0] > 1000 && seen[1] > 1000 && seen[2] > 1000); /* the control: all were met */
}

static void guards_see_through_bits_that_the_kernel_drops(void **state)
{
	static const struct { struct seccomp_data d; uint32_t role, supervisor; } rows[] = {
		{ { .nr = SYS_prctl, .args = { PR_SET_DUMPABLE, 1 } }, ERRNO(EPERM), ERRNO(EPERM) },
		{ { .nr = SYS_prctl, .args = { HIGH_BITS | PR_SET_DUMPABLE, HIGH_BITS } }, ERRNO(EPERM), ERRNO(EPERM) },
		{ { .nr = SYS_prctl, .args = { PR_SET_DUMPABLE, 0 } }, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW },
		{ { .nr = SYS_clone, .args = { HIGH_BITS | CLONE_NEWUSER | CLONE_VM | 17 } }, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_PROCESS },
		{ { .nr = SYS_clone, .args = { CLONE_NEWNS | CLONE_NEWPID } }, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_PROCESS },
		{ { .nr = SYS_clone, .args = { CLONE_VM | CLONE_VFORK | 17 } }, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW },
		{ { .nr = SYS_clone3 }, ERRNO(ENOSYS), ERRNO(ENOSYS) },
		{ { .nr = SYS_ioctl, .args = { 2, HIGH_BITS | 0x5412 /* TIOCSTI */ } }, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_PROCESS },
		{ { .nr = SYS_ioctl, .args = { 2, 0x5401 /* TCGETS */ } }, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW },
		{ { .nr = SYS_fcntl, .args = { 2, HIGH_BITS | 8 /* F_SETOWN */ } }, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_PROCESS },
		{ { .nr = SYS_mmap, .args = { 0, 0, PROT_READ | PROT_EXEC } }, ERRNO(EACCES), SECCOMP_RET_ALLOW },
		{ { .nr = SYS_mmap, .args = { 0, 0, PROT_READ | PROT_WRITE | PROT_EXEC } }, ERRNO(EACCES), ERRNO(EACCES) },
		{ { .nr = SYS_mprotect, .args = { 0, 0, PROT_READ | PROT_EXEC } }, ERRNO(EACCES), ERRNO(EACCES) },
		{ { .nr = SYS_mprotect, .args = { 0, 0, PROT_READ | PROT_WRITE } }, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW },
		{ { .nr = SYS_kill, .args = { 1 } }, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW },
		{ { .nr = SYS_tgkill, .args = { 1 } }, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_ALLOW },
	};
	const struct mk_role_calls role = { .n_allow = 0 }, supervisor = { .may_signal = true, .may_exec_memory = true };
	static struct program of_role, of_supervisor;

	(void)state;
	make(mk_filter_guards, &role, &of_role);
	make(mk_filter_guards, &supervisor, &of_supervisor);
	for (size_t i = 0; i < MK_COUNT(rows); i++) {
		struct seccomp_data d = rows[i].d;

		d.arch = HERE;
		if (run(&of_role, &d) != rows[i].role || run(&of_supervisor, &d) != rows[i].supervisor)
			print_error("row %zu\n", i);
		assert_int_equal(run(&of_role, &d), rows[i].role);
		assert_int_equal(run(&of_supervisor, &d), rows[i].supervisor);
	}
	const struct seccomp_data own = { .nr = SYS_tgkill, .arch = HERE, .args = { (uint32_t)getpid() } };
	assert_int_equal(run(&of_role, &own), SECCOMP_RET_ALLOW);
}

static void another_machines_calls_kill(void **state)
{
	const struct mk_role_calls none = { .n_allow = 0 };
	static struct program list, guards;

	(void)state;
	make(mk_filter_list, &none, &list);
	make(mk_filter_guards, &none, &guards);
	struct seccomp_data d = { .nr = SYS_getpid, .arch = HERE };
	assert_int_equal(run(&list, &d), SECCOMP_RET_ALLOW);
	assert_int_equal(run(&guards, &d), SECCOMP_RET_ALLOW);
	d.arch = AUDIT_ARCH_I386;
	assert_int_equal(run(&list, &d), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(run(&guards, &d), SECCOMP_RET_KILL_PROCESS);
	d.arch = HERE;
	d.nr |= 0x40000000; /* x32 */
	assert_int_equal(run(&list, &d), SECCOMP_RET_KILL_PROCESS);
#if defined(__x86_64__)
	assert_int_equal(run(&guards, &d), SECCOMP_RET_KILL_PROCESS);
#endif
}

static void what_cannot_be_meant_makes_no_filter(void **state)
{
	static const struct mk_call_rule no_arg = { FIRST_NR, MK_CALL_EQ, 6, 1, 1 }, never_holds = { FIRST_NR, MK_CALL_EQ, 0, 1, 2 },
					 one_value = { FIRST_NR, MK_CALL_EQ, 0, 1, 1 };
	static const struct mk_call_refusal the_rest = { FIRST_NR, EPERM };
	const struct mk_role_calls wrong[] = {
		{ .allow = &no_arg, .n_allow = 1 },
		{ .allow = &never_holds, .n_allow = 1 },
		{ .allow = &one_value, .n_allow = 1, .refuse = &the_rest, .n_refuse = 1 }, /* libseccomp would lose the first */
	};

	(void)state;
	for (size_t i = 0; i < MK_COUNT(wrong); i++) {
		scmp_filter_ctx f = NULL;

		assert_int_equal(mk_filter_list(&wrong[i], &f), MK_BUG);
		assert_null(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_allows_what_a_row_of_it_fits_refuses_what_it_names_and_kills_else),
		cmocka_unit_test(guards_see_through_bits_that_the_kernel_drops),
		cmocka_unit_test(another_machines_calls_kill),
		cmocka_unit_test(what_cannot_be_meant_makes_no_filter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
