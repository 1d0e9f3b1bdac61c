/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit log: JSON Lines, one record a line, each chained to the last under a key
 * that moves forward and is wiped. Written by the broker only. No record, no token:
 * a failed write is MK_AUDIT to the caller, nothing is lost or half written, and the
 * log heals by itself when it can be written again.
 *
 * Format, for verifiers in any language: docs/audit-log.md.
 *
 * After lock-down it needs these calls, files only beneath the log's directory (a Landlock rule
 * with MK_PATH_READ | MK_PATH_WRITE on that directory; the thread starts between Landlock and seccomp):
 *   the loop:    write, newfstatat, fstat, fstatfs, pread64, ftruncate, fdatasync, fsync, openat (O_RDWR or
 *                O_RDONLY, O_CREAT with O_EXCL), close, flock, renameat, unlinkat, getrandom, geteuid,
 *                clock_gettime, brk, mmap, munmap (malloc); mprotect on the key's page where there is no
 *                memfd_secret; at the end futex (pthread_join)
 *   the thread:  read, clock_nanosleep, fdatasync, close, futex; at its end rt_sigprocmask, madvise, exit
 */
#ifndef MK_AUDIT_H
#define MK_AUDIT_H

#include "mk/conf.h"
#include "mk/why.h"

struct mk_audit;

/* One record. Borrowed strings, "" or NULL where there is none. No field may hold a secret.
 * Text that is too long is cut; the record always fits. */
struct mk_audit_rec {
	const char *event;      /* "grant" "deny" "list" "admin" "config" "alarm" …: [a-z0-9_]+ */
	const char *service;    /* NULL: nobody */
	const char *listener;
	bool peer;              /* uid, gid and pid are meant */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	const struct mk_account *account; /* of a service-account token; NULL: none */
	const char *action;     /* mk_action_word */
	const char *connection;
	const char *version;
	const char *state;      /* "current", "previous" … */
	const char *reason;     /* mk_err_word, or a code */
	int64_t rule_line;      /* line in policy.conf of the deciding rule; -1 or 0: none */
	uint64_t count;         /* 0 or 1: one; more: coalesced */
	const char *detail;     /* a fixed text of ours, or a digest */
};

/* Opens or goes on with the log: reads its last record, takes over the head page (a mapped
 * memfd of one page that outlives the broker; all zero at first; the descriptor stays the caller's; -1: none),
 * writes the opening record with the first key sealed to the recipient. Before lock-down.
 * An error, with file and remedy in why, is for what a person must change. A disk that is full,
 * read-only or failing is not: the log is then open but not writable, and heals by mk_audit_tick. */
mk_must mk_audit_open(const struct mk_conf_audit *conf, const struct mk_word *environment, int head_fd,
		      struct mk_audit **ret, struct mk_why *why);
/* Writes counted denials and the closing record, syncs, ends the thread, wipes, frees. NULL is fine. */
struct mk_audit *mk_audit_close(struct mk_audit *a);

/* The one helper thread, which only syncs: after Landlock, before seccomp. It has begun when this returns. */
mk_must mk_audit_start_sync(struct mk_audit *a);

/* In a turn the first record looks whether the file is still what it was, for all of them; otherwise each looks. */
void mk_audit_turn(struct mk_audit *a, bool begins);
/* write(2)s one record; the group sync follows within 50 ms. MK_AUDIT: it is not written. */
mk_must mk_audit_write(struct mk_audit *a, const struct mk_audit_rec *rec);
/* The same, and on disk before it returns (administrative acts). After MK_AUDIT the record may stand
 * nevertheless (written, but not known to be on disk): an act that was refused, never one that was not recorded. */
mk_must mk_audit_write_synced(struct mk_audit *a, const struct mk_audit_rec *rec);

/* Denials: the first of a caller in each second is written at once, the others counted
 * and written as one record by mk_audit_tick. MK_AUDIT as above; the denial is counted nevertheless. */
mk_must mk_audit_deny(struct mk_audit *a, const struct mk_audit_rec *rec);

/* Every 250 ms: coalesced denials, the record of each ten seconds, healing, a look at the path. */
void mk_audit_tick(struct mk_audit *a);

/* The generation of the durable state, for the record of each ten seconds, of which one is written at once after each change, and
 * the opening and closing ones; an older one there later shows a rollback. */
void mk_audit_state(struct mk_audit *a, uint64_t generation);

struct mk_audit_status {
	bool writable;         /* the last attempt went well */
	const char *fault;     /* "" or a fixed word: "no_space" "read_only" "denied" "gone" "io" */
	const char *alarm;     /* "" or the code of the log's newest own alarm since start (docs/audit-log.md) */
	uint64_t seq;          /* of the last record */
	char head[65];         /* its mac, hexadecimal */
	uint64_t free_bytes;   /* of the file system, at the last tick; UINT64_MAX: it does not say */
	uint64_t grants, denials; /* written since start */
	uint64_t refused;      /* records that could not be written since start */
	uint64_t state_found;  /* the newest generation of the durable state that the log named when it was opened; 0: none */
	int64_t newest_ms;     /* wall clock, as the log's last record had it when it was opened; MK_TIME_NONE: none */
	bool replaced;         /* "gone" because another directory stands at the path: only a fresh process can use it */
};
void mk_audit_status(const struct mk_audit *a, struct mk_audit_status *ret);

#endif
