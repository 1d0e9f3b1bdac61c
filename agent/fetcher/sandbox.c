/* SPDX-License-Identifier: Apache-2.0
 *
 * What a locked fetcher may still do: read below the directories of its own files, talk
 * on the links it holds, wait, and end. No socket, no other file, no signal, no program.
 * Only where a store that is a file is writable: replace files in that file's directory.
 * Only where a store is on the network: make TCP connections and ask name servers, in
 * threads (glibc's resolver waits). The lists are what strace showed (the `local` backend
 * with key file and passphrase, all errors, reload, drain; TLS to a name and to an
 * address), and what glibc may take instead on another machine.
 */
#include "agent/base/file.h"
#include "agent/fetcher/fetcher.h"
#include "agent/fetcher/sandbox.h"
#include "mk/own.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <signal.h>
#include <sys/syscall.h>

#define FILES_PER_BACKEND 10
#define KEYS_FILES 2

/* Not on every architecture: passed over. */
#ifndef SYS_poll
#define SYS_poll -1
#define SYS_access -1
#endif
#ifndef SYS_renameat
#define SYS_renameat -1
#endif

#define ANY(nr) { (nr), MK_CALL_ANY, 0, 0, 0 }

#define BASE \
	/* links */ \
	ANY(SYS_recvmsg), ANY(SYS_sendmsg), ANY(SYS_close), \
	/* the loop */ \
	ANY(SYS_epoll_wait), ANY(SYS_epoll_pwait), ANY(SYS_epoll_ctl), ANY(SYS_clock_gettime), \
	/* files below the given directories: mk_file_open, mk_file_read; openat where a filter of systemd's takes the other away */ \
	ANY(SYS_openat2), ANY(SYS_openat), ANY(SYS_read), ANY(SYS_fstat), ANY(SYS_newfstatat), ANY(SYS_fstatfs), ANY(SYS_geteuid), \
	/* the log on standard error */ \
	ANY(SYS_write), \
	/* memory: malloc, the arena's cold slots, Argon2id; lock-down refuses PROT_EXEC */ \
	ANY(SYS_mmap), ANY(SYS_mremap), ANY(SYS_mprotect), \
	/* libsodium and glibc's malloc */ \
	ANY(SYS_getrandom), ANY(SYS_futex)

/* Only where a store that is a file is writable: it is locked, written beside, and renamed (mk_held_replace). */
#define WRITES \
	ANY(SYS_flock), ANY(SYS_fchmod), ANY(SYS_fchown), ANY(SYS_fsync), ANY(SYS_renameat), ANY(SYS_renameat2), ANY(SYS_unlinkat)

#define ARG(nr, n, number) { (nr), MK_CALL_EQ, (n), 0xffffffff, (number) }
/* What glibc's pthread_create asks for, and nothing else. */
#define A_THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | \
		  CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

#define HTTP \
	/* out: TCP, name servers, and the pair by which the resolver's thread wakes the loop. Of the last two families no \
	 * socket comes, but an errno (inet_only): name services try them */ \
	ARG(SYS_socket, 0, AF_INET), ARG(SYS_socket, 0, AF_INET6), ARG(SYS_socket, 0, AF_UNIX), ARG(SYS_socket, 0, AF_NETLINK), \
	ARG(SYS_socketpair, 0, AF_UNIX), \
	ANY(SYS_connect), ANY(SYS_sendto), ANY(SYS_sendmmsg), ANY(SYS_recvfrom), ANY(SYS_getsockopt), ANY(SYS_setsockopt), \
	ANY(SYS_getpeername), ANY(SYS_getsockname), ANY(SYS_shutdown), ANY(SYS_poll), ANY(SYS_ppoll), \
	ARG(SYS_fcntl, 1, F_GETFD), ARG(SYS_fcntl, 1, F_SETFD), ARG(SYS_fcntl, 1, F_GETFL), ARG(SYS_fcntl, 1, F_SETFL), \
	/* the resolver's thread */ \
	ARG(SYS_clone, 0, A_THREAD), ANY(SYS_set_robust_list), ANY(SYS_rseq), \
	ARG(SYS_rt_sigaction, 0, 32), ARG(SYS_rt_sigaction, 0, 33), /* glibc's own signals */ \
	ARG(SYS_rt_sigaction, 0, SIGPIPE),                          /* libcurl, while it closes connections that rest */ \
	/* files of libraries: name services and certificates, where Landlock lets them */ \
	ANY(SYS_lseek), ANY(SYS_pread64), ANY(SYS_uname), ANY(SYS_getuid)

static const struct mk_call_rule allowed[] = { BASE };
static const struct mk_call_rule allowed_writes[] = { BASE, WRITES };
static const struct mk_call_rule allowed_http[] = { BASE, HTTP };
static const struct mk_call_rule allowed_http_writes[] = { BASE, HTTP, WRITES };

/* Libraries that merely probe get an error instead of an end. */
static const struct mk_call_refusal refused[] = {
	{ SYS_readlinkat, EACCES },
	{ SYS_ioctl, ENOTTY },
};

static const struct mk_call_refusal refused_http[] = {
	{ SYS_readlinkat, EACCES },
	{ SYS_ioctl, ENOTTY },
	{ SYS_access, EACCES },
	{ SYS_getdents64, EACCES },
	{ SYS_bind, EACCES },
};

#define FILES_ONLY .refuse = refused, .n_refuse = MK_COUNT(refused)
#define WITH_HTTP  .refuse = refused_http, .n_refuse = MK_COUNT(refused_http), .inet_only = true

/* By: is a store on the network; is a file to be written? */
static const struct mk_role_calls calls[2][2] = {
	{ { .allow = allowed, .n_allow = MK_COUNT(allowed), FILES_ONLY },
	  { .allow = allowed_writes, .n_allow = MK_COUNT(allowed_writes), FILES_ONLY } },
	{ { .allow = allowed_http, .n_allow = MK_COUNT(allowed_http), WITH_HTTP },
	  { .allow = allowed_http_writes, .n_allow = MK_COUNT(allowed_http_writes), WITH_HTTP } },
};

const struct mk_role_calls *mk_fetcher_calls(void)
{
	return &calls[false][false];
}

const struct mk_role_calls *mk_fetcher_http_calls(void)
{
	return &calls[true][false];
}

const struct mk_role_calls *mk_fetcher_calls_of(bool http, bool writes)
{
	return &calls[http][writes];
}

/* Where libraries read at each connection: authorities, and whom to ask for a name. resolv.conf and its kin are
 * replaced by others at any time, so their directories are named. */
static const char *const trust_dirs[] = { "/etc/ssl", "/etc/pki", "/usr/lib/ssl", "/usr/share/ca-certificates" };
static const char *const name_dirs[] = { "/etc", "/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf" };

#define DIRS_MAX (MK_BACKENDS_MAX * FILES_PER_BACKEND + KEYS_FILES + MK_COUNT(trust_dirs) + MK_COUNT(name_dirs) + 1)

struct dirs {
	char path[DIRS_MAX][MK_PATH_MAX];
	bool optional[DIRS_MAX], written[DIRS_MAX];
	size_t n;
	bool http, writes;
};

static size_t dirs_find(const struct dirs *d, const char *dir)
{
	size_t i = 0;
	while (i < d->n && strcmp(d->path[i], dir) != 0)
		i++;
	return i;
}

static bool dirs_have(const struct dirs *d, const char *dir)
{
	return dirs_find(d, dir) < d->n;
}

static bool dirs_write(const struct dirs *d, const char *dir)
{
	const size_t i = dirs_find(d, dir);
	return i < d->n && d->written[i];
}

static mk_must dirs_add(struct dirs *d, const char *file)
{
	char dir[MK_PATH_MAX];
	MK_TRY(mk_path_dir(file, dir, sizeof dir));
	if (!dirs_have(d, dir))
		memcpy(d->path[d->n++], dir, sizeof dir);
	return MK_OK;
}

static mk_must dirs_to_write(struct dirs *d, const char *file)
{
	char dir[MK_PATH_MAX];
	MK_TRY(dirs_add(d, file));
	MK_TRY(mk_path_dir(file, dir, sizeof dir));
	d->written[dirs_find(d, dir)] = true;
	d->writes = true;
	return MK_OK;
}

static void dirs_add_others(struct dirs *d, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (dirs_have(d, names[i]))
			continue;
		d->optional[d->n] = true;
		strncpy(d->path[d->n++], names[i], MK_PATH_MAX - 1);
	}
}

/* Is the host of an address a name? Where that cannot be told: yes. */
static bool has_name(const char *url)
{
	char host[64] = "";
	struct in_addr v4;
	const char *p = strstr(url, "://");
	const size_t n = p ? strcspn(p + 3, ":/") : 0;
	if (!p || n >= sizeof host)
		return url[0] != '\0';
	memcpy(host, p + 3, n);
	return host[0] != '[' && strcmp(host, "localhost") != 0 && inet_pton(AF_INET, host, &v4) != 1;
}

static mk_must dirs_of_backend(const struct mk_conf_backend *b, struct dirs *d)
{
	const struct mk_conf_auth *a = &b->auth;
	const char *const files[FILES_PER_BACKEND] = {
		b->file, b->key_file, b->passphrase_file, b->ca_file, a->token_file, a->role_id_file, a->secret_id_file,
		a->jwt_file, a->cert_file, a->cert_key_file,
	};
	for (size_t i = 0; i < FILES_PER_BACKEND; i++)
		if (files[i][0])
			MK_TRY(dirs_add(d, files[i]));
	if (b->writable && b->file[0])
		MK_TRY(dirs_to_write(d, b->file));
	d->http |= b->address[0] != '\0';
	if (has_name(b->address) || has_name(b->proxy))
		dirs_add_others(d, name_dirs, MK_COUNT(name_dirs));
	return MK_OK;
}

static mk_must dirs_of_keys(const struct mk_msg_keys_from *from, struct dirs *d)
{
	if (from->ca_file[0])
		MK_TRY(dirs_add(d, from->ca_file));
	MK_TRY(dirs_add(d, from->token_file));
	d->http = true;
	if (has_name(from->address))
		dirs_add_others(d, name_dirs, MK_COUNT(name_dirs));
	return MK_OK;
}

static mk_must dirs_of(const struct mk_fetcher_conf *c, struct dirs *ret)
{
	*ret = (struct dirs){ .n = 0 };
	for (size_t i = 0; i < c->n; i++)
		MK_TRY(dirs_of_backend(&c->instances[i]->conf, ret));
	if (c->keys)
		MK_TRY(dirs_of_keys(mk_keys_from(c->keys), ret));
	if (!ret->http)
		return MK_OK;
	dirs_add_others(ret, trust_dirs, MK_COUNT(trust_dirs));
	return mk_curl_ca_file()[0] ? dirs_add(ret, mk_curl_ca_file()) : MK_OK;
}

bool mk_fetcher_reaches(const struct mk_fetcher_conf *now, const struct mk_fetcher_conf *next)
{
	struct dirs have, want;
	if (dirs_of(now, &have) != MK_OK || dirs_of(next, &want) != MK_OK)
		return false;
	for (size_t i = 0; i < want.n; i++)
		if (!dirs_have(&have, want.path[i]) || want.written[i] != dirs_write(&have, want.path[i]))
			return false;
	for (size_t i = 0; i < have.n; i++)
		if (have.written[i] && !dirs_write(&want, have.path[i]))
			return false; /* a right to write is not kept for later */
	return have.http || !want.http;
}

enum mk_err mk_fetcher_lock(const struct mk_fetcher_conf *c, struct mk_lockdown_report *report, struct mk_why *why)
{
	const uint32_t exceptions = c->begin.exceptions;
	struct dirs d;
	struct mk_path_rule rules[MK_COUNT(d.path)];
	if (dirs_of(c, &d) != MK_OK)
		return mk_why_set(why, MK_TOO_LARGE, "the path of a backend's file is too long");
	/* Reading only; but the directory of a writable store that is a file is written to, too. */
	for (size_t i = 0; i < d.n; i++)
		rules[i] = (struct mk_path_rule){ d.path[i], MK_PATH_READ | (d.written[i] ? MK_PATH_WRITE : 0u), d.optional[i] };
	report->state[MK_GUARD_SECRETMEM] = MK_GUARD_UNUSED; /* a fetcher keeps its credential in the locked arena */
	report->state[MK_GUARD_PEER_PIDFD] = MK_GUARD_UNUSED;
	MK_TRY(mk_lockdown_files(rules, d.n, true, exceptions, report, why));
	MK_TRY(mk_lockdown_calls(mk_fetcher_calls_of(d.http, d.writes), exceptions, report, why));
	return mk_lockdown_check(report, exceptions, why);
}
