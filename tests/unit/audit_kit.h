/* SPDX-License-Identifier: Apache-2.0
 *
 * What the audit tests share: a log in a directory of its own, an auditor's key pair,
 * a clock that stands until it is moved, and the verifier over files or memory.
 */
#ifndef AUDIT_KIT_H
#define AUDIT_KIT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "agent/audit/audit.h"
#include "agent/audit/line.h"
#include "agent/audit/verify.h"
#include "agent/base/clock.h"
#include "mk/own.h"

#include <dirent.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define KIT_BYTES_MAX (1u << 20)

struct kit {
	char dir[64], file[96];
	uint8_t pk[32], sk[32];
	struct mk_conf_audit conf;
	struct mk_word env;
	int head;
	int64_t boot, wall;
	struct mk_audit *a;
};

struct kit_verdict {
	struct mk_verify_report r;
	unsigned faults, notes;
	struct mk_finding first; /* fault */
	char all_notes[4096];
};

static inline void kit_new_head(struct kit *k)
{
	if (k->head >= 0)
		close(k->head);
	k->head = memfd_create("head", MFD_CLOEXEC);
	assert_true(k->head >= 0);
	assert_int_equal(ftruncate(k->head, 4096), 0);
}

static inline void kit_init_at(struct kit *k, const char *dir)
{
	memset(k, 0, sizeof *k);
	assert_true(sodium_init() >= 0);
	snprintf(k->dir, sizeof k->dir, "%s", dir);
	snprintf(k->file, sizeof k->file, "%s/audit.jsonl", k->dir);
	uint8_t seed[32] = { 7 }; /* the same key in every run */
	crypto_box_seed_keypair(k->pk, k->sk, seed);
	snprintf(k->conf.file, sizeof k->conf.file, "%s", k->file);
	memcpy(k->conf.recipient, k->pk, 32);
	k->conf.max_size = 1u << 20;
	k->conf.keep = 3;
	strcpy(k->env.s, "production");
	k->head = -1;
	kit_new_head(k);
	k->boot = 1000000;
	k->wall = 1764000000000;
	mk_clock_fake(&k->boot, &k->wall);
}

static inline void kit_init(struct kit *k)
{
	char dir[] = "/tmp/mk-audit-XXXXXX";
	assert_non_null(mkdtemp(dir));
	kit_init_at(k, dir);
}

static inline void kit_pass(struct kit *k, int64_t ms)
{
	k->boot += ms;
	k->wall += ms;
}

static inline void kit_open(struct kit *k)
{
	struct mk_why why = { 0 };
	const enum mk_err e = mk_audit_open(&k->conf, &k->env, k->head, &k->a, &why);
	if (e != MK_OK)
		print_error("%s: %s\n", why.file, why.text);
	assert_int_equal(e, MK_OK);
}

/* A broker that opens the log, does this, and is gone without a word. */
static inline void kit_killed(struct kit *k, void (*what)(struct kit *k))
{
	int status;
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		kit_open(k);
		what(k);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	kit_pass(k, 100);
	assert_int_equal(status, 0);
}

static inline void kit_close(struct kit *k)
{
	k->a = mk_audit_close(k->a);
}

static inline void kit_done(struct kit *k)
{
	kit_close(k);
	close(k->head);
	DIR *d = opendir(k->dir);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	rmdir(k->dir);
	mk_clock_fake(NULL, NULL);
}

/* A kit for each test. */
static inline int kit_setup(void **state)
{
	struct kit *k = calloc(1, sizeof *k);
	assert_non_null(k);
	kit_init(k);
	*state = k;
	return 0;
}

static inline int kit_teardown(void **state)
{
	kit_done(*state);
	free(*state);
	return 0;
}

static inline struct mk_audit_rec kit_grant(const char *connection)
{
	return (struct mk_audit_rec){ .event = "grant", .service = "billing", .listener = "api", .peer = true, .uid = 1001,
				      .gid = 1001, .pid = 4711, .action = "get", .connection = connection, .version = "v1",
				      .state = "current", .reason = "ok", .rule_line = 12 };
}

static inline enum mk_err kit_write(struct kit *k, const char *connection)
{
	const struct mk_audit_rec rec = kit_grant(connection);
	return mk_audit_write(k->a, &rec);
}

static inline size_t kit_read(const char *file, char *buf, size_t cap)
{
	const int fd = open(file, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	const ssize_t n = read(fd, buf, cap);
	assert_true(n >= 0);
	close(fd);
	return (size_t)n;
}

static inline void kit_spill(const char *file, const char *p, size_t n)
{
	const int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, p, n), (ssize_t)n);
	close(fd);
}

static inline void kit_append(const char *file, const char *text)
{
	const int fd = open(file, O_WRONLY | O_APPEND | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static inline void kit_tell(void *arg, const struct mk_finding *f)
{
	struct kit_verdict *v = arg;
	if (f->note) {
		v->notes++;
		strncat(v->all_notes, f->text, sizeof v->all_notes - strlen(v->all_notes) - 1);
	} else if (v->faults++ == 0) {
		v->first = *f;
	}
}

static inline struct mk_verify_conf kit_verify_conf(const struct kit *k, struct kit_verdict *v)
{
	memset(v, 0, sizeof *v);
	return (struct mk_verify_conf){ .auditor_key = k->sk, .now_ms = MK_TIME_NONE, .tell = kit_tell, .arg = v };
}

/* One segment in memory. */
static inline struct kit_verdict kit_verify_bytes(const struct kit *k, const void *p, size_t n)
{
	struct kit_verdict v;
	struct mk_verify *verify = NULL;
	const struct mk_verify_conf conf = kit_verify_conf(k, &v);
	assert_int_equal(mk_verify_new(&conf, &verify), MK_OK);
	mk_verify_file(verify, "memory");
	mk_verify_bytes(verify, mk_span(p, n));
	mk_verify_end(verify, &v.r);
	mk_verify_free(verify);
	return v;
}

/* Files in the order given, to NULL. */
static inline struct kit_verdict kit_verify_files(const struct mk_verify_conf *conf, struct kit_verdict *v,
						  const char *const *files)
{
	static char buf[KIT_BYTES_MAX];
	struct mk_verify *verify = NULL;
	assert_int_equal(mk_verify_new(conf, &verify), MK_OK);
	for (; *files; files++) {
		mk_verify_file(verify, *files);
		mk_verify_bytes(verify, mk_span(buf, kit_read(*files, buf, sizeof buf)));
	}
	mk_verify_end(verify, &v->r);
	mk_verify_free(verify);
	return *v;
}

static inline int kit_by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All of the log: the set-aside segments in order, then the live file. */
static inline struct kit_verdict kit_verify(const struct kit *k)
{
	struct kit_verdict v;
	const struct mk_verify_conf conf = kit_verify_conf(k, &v);
	const char *files[64] = { 0 };
	size_t n = 0;
	DIR *d = opendir(k->dir);
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) && n < 62;) {
		char *path = NULL;
		if (strncmp(e->d_name, "audit.jsonl.", 12) != 0)
			continue;
		assert_true(asprintf(&path, "%s/%s", k->dir, e->d_name) > 0);
		files[n++] = path;
	}
	closedir(d);
	qsort(files, n, sizeof *files, kit_by_name);
	files[n] = k->file;
	const struct kit_verdict result = kit_verify_files(&conf, &v, files);
	for (size_t i = 0; i < n; i++)
		free((void *)(uintptr_t)files[i]);
	return result;
}

static inline void kit_assert_good(const struct kit_verdict *v)
{
	if (v->faults > 0)
		print_error("%s at %s:%lu seq %llu: %s\n", mk_fault_word(v->first.fault), v->first.file, v->first.line,
			    (unsigned long long)v->first.seq, v->first.text);
	assert_int_equal(v->faults, 0);
	assert_true(v->r.records > 0);
	assert_int_equal(v->r.verified, v->r.records);
}

/* How often a text stands in the live file. */
static inline unsigned kit_count(const char *file, const char *text)
{
	static char buf[KIT_BYTES_MAX + 1];
	buf[kit_read(file, buf, KIT_BYTES_MAX)] = '\0';
	unsigned n = 0;
	for (const char *p = buf; (p = strstr(p, text)); p += strlen(text))
		n++;
	return n;
}

static inline struct mk_audit_status kit_status(const struct kit *k)
{
	struct mk_audit_status s;
	mk_audit_status(k->a, &s);
	return s;
}

static inline void three_grants(struct kit *k)
{
	assert_int_equal(kit_write(k, "acme-1"), MK_OK);
	kit_pass(k, 5);
	assert_int_equal(kit_write(k, "acme-2"), MK_OK);
	assert_int_equal(kit_write(k, "acme-3"), MK_OK);
}

/* The loop's tick, so much later. */
static inline void kit_tick(struct kit *k, int64_t ms)
{
	kit_pass(k, ms);
	mk_audit_tick(k->a);
}

/* Closed, and the verifier finds no fault. */
static inline struct kit_verdict kit_good(struct kit *k)
{
	kit_close(k);
	const struct kit_verdict v = kit_verify(k);
	kit_assert_good(&v);
	return v;
}

#endif
