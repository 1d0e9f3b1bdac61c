/* SPDX-License-Identifier: Apache-2.0
 *
 *     mask61 [--without-landlock] COMMAND [ARGUMENT…]
 *
 * Runs a command that sees a kernel like Debian 12's 6.1: no memfd_secret, no MDWE, no
 * SO_PEERPIDFD, MFD_NOEXEC_SEAL, Landlock of ABI 2 (or none), no call that came later. The masks are a seccomp
 * filter, so they hold for all descendants, whatever they drop or filter themselves.
 * Only the Landlock version needs an answer that is no error: the parent gives it.
 * Ends with the command's status (128 + n for signal n), hands on SIGTERM, SIGHUP and
 * SIGINT; the command is killed when this ends.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define LANDLOCK_ABI     2
#define LANDLOCK_RIGHTS  14    /* of ABI 2: bits 0 to 13 */
#define LANDLOCK_SIZE    8u    /* of its attributes */
#define FIRST_NEWER_CALL 451u  /* cachestat, 6.5 */
#define SO_PEERPIDFD_    77u   /* 6.5 */
#define SO_PASSRIGHTS_   83u   /* 6.16 */
#define PIDFD_GET_INFO_  0xff0bu /* type and number, 6.13 */
#define MFD_NEWER        0x18u /* MFD_NOEXEC_SEAL, MFD_EXEC: 6.3 */
#define EXIT_USAGE       2
#define EXIT_NO_MASK     125
#define EXIT_NO_COMMAND  127

#if defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#define ARCH AUDIT_ARCH_X86_64
#endif

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IS(k, skip) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), 0, (skip))
#define ANSWER(e)   BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (e))
#define RETURN(a)   BPF_STMT(BPF_RET | BPF_K, (a))
#define AND(k)      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (k))

static bool without_landlock;

/* Each line leaves the call's number in the accumulator. */
static struct sock_filter masks[] = {
	LOAD(arch), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0), RETURN(SECCOMP_RET_ALLOW), LOAD(nr),
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_NEWER_CALL, 0, 1), ANSWER(ENOSYS),
	IS(SYS_memfd_secret, 1), ANSWER(ENOSYS),
	IS(SYS_memfd_create, 4), LOAD(args[1]), AND(MFD_NEWER), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), ANSWER(EINVAL), LOAD(nr),
	IS(SYS_landlock_create_ruleset, 1), RETURN(SECCOMP_RET_USER_NOTIF),
	IS(SYS_prctl, 5), LOAD(args[0]), IS(65, 1), ANSWER(EINVAL), IS(66, 1), ANSWER(EINVAL), LOAD(nr), /* MDWE */
	IS(SYS_getsockopt, 5), LOAD(args[1]), IS(SOL_SOCKET, 3), LOAD(args[2]), IS(SO_PEERPIDFD_, 1), ANSWER(ENOPROTOOPT), LOAD(nr),
	IS(SYS_setsockopt, 5), LOAD(args[1]), IS(SOL_SOCKET, 3), LOAD(args[2]), IS(SO_PASSRIGHTS_, 1), ANSWER(ENOPROTOOPT), LOAD(nr),
	IS(SYS_ioctl, 4), LOAD(args[1]), AND(0xffff), IS(PIDFD_GET_INFO_, 1), ANSWER(ENOTTY), LOAD(nr),
	RETURN(SECCOMP_RET_ALLOW),
};

static int mask_self(void)
{
	const struct sock_fprog prog = { sizeof(masks) / sizeof(masks[0]), masks };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1ul, 0ul, 0ul, 0ul) != 0)
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
}

static bool send_fd(int link, int fd)
{
	char byte = 'x', room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(link, &m, 0) == 1;
}

static int receive_fd(int link)
{
	char byte, room[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room) };
	const struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(link, &m, MSG_CMSG_CLOEXEC) == 1 && (c = CMSG_FIRSTHDR(&m)) != NULL)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/* A process that is not dumpable can only be read by root: then its rights are taken on trust. */
static uint64_t rights_asked(const struct seccomp_notif *n)
{
	uint64_t rights = 0;
	const struct iovec here = { &rights, sizeof(rights) };
	struct iovec there = { NULL, sizeof(rights) };

	memcpy(&there.iov_base, &n->data.args[0], sizeof(there.iov_base));
	return process_vm_readv((pid_t)n->pid, &here, 1, &there, 1, 0) == (ssize_t)sizeof(rights) ? rights : 0;
}

/* landlock_create_ruleset(attributes, size, flags) as ABI 2 answers it. */
static void answer(const struct seccomp_notif *n, struct seccomp_notif_resp *r)
{
	const uint64_t attributes = n->data.args[0], size = n->data.args[1];

	if (without_landlock)
		r->error = -EOPNOTSUPP; /* built in, not switched on */
	else if ((uint32_t)n->data.args[2] == 1 && attributes == 0 && size == 0)
		r->val = LANDLOCK_ABI;
	else if (size > LANDLOCK_SIZE)
		r->error = -E2BIG;
	else if (rights_asked(n) >> LANDLOCK_RIGHTS)
		r->error = -EINVAL;
	else
		r->flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
}

static void serve(int listener)
{
	struct seccomp_notif n = { .id = 0 };
	struct seccomp_notif_resp r = { .id = 0 };

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &n) != 0)
		return; /* killed meanwhile */
	r.id = n.id;
	answer(&n, &r);
	(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &r);
}

/* The command's status once it ended, else -1. */
static int on_signal(int signals, pid_t command)
{
	struct signalfd_siginfo si;
	int status;

	if (read(signals, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return -1;
	if (si.ssi_signo != SIGCHLD) {
		(void)kill(command, (int)si.ssi_signo);
		return -1;
	}
	if (waitpid(command, &status, WNOHANG) != command)
		return -1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static int watch(int listener, int signals, pid_t command)
{
	struct pollfd p[] = { { signals, POLLIN, 0 }, { listener, POLLIN, 0 } };
	int status = -1;

	while (status < 0) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents & POLLIN)
			serve(listener);
		if (p[1].revents & (POLLHUP | POLLERR | POLLNVAL))
			p[1].fd = -1; /* nobody is left under the filter */
		if (p[0].revents)
			status = on_signal(signals, command);
	}
	return status;
}

static _Noreturn void become_command(int link, const sigset_t *mask, char **argv)
{
	const int listener = prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0ul, 0ul, 0ul) == 0 ? mask_self() : -1;

	if (listener < 0 || !send_fd(link, listener) || sigprocmask(SIG_SETMASK, mask, NULL) != 0)
		_exit(EXIT_NO_MASK);
	(void)close(listener);
	(void)close(link);
	(void)execvp(argv[0], argv);
	_exit(EXIT_NO_COMMAND);
}

int main(int argc, char **argv)
{
	static const int wanted[] = { SIGCHLD, SIGTERM, SIGHUP, SIGINT };
	sigset_t set, before;
	int link[2];

	without_landlock = argc > 1 && strcmp(argv[1], "--without-landlock") == 0;
	argv += 1 + without_landlock;
	if (argc < 2 + without_landlock)
		return EXIT_USAGE;
	(void)sigemptyset(&set);
	for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++)
		(void)sigaddset(&set, wanted[i]);
	if (sigprocmask(SIG_BLOCK, &set, &before) != 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link) != 0)
		return EXIT_NO_MASK;
	const pid_t command = fork();
	if (command == 0)
		become_command(link[1], &before, argv);
	(void)close(link[1]);
	const int listener = command > 0 ? receive_fd(link[0]) : -1, signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (listener < 0 || signals < 0)
		return EXIT_NO_MASK;
	return watch(listener, signals, command);
}
