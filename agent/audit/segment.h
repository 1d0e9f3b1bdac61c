/* SPDX-License-Identifier: Apache-2.0
 *
 * One log file and its set-aside siblings FILE.<first seq, 20 digits>. Knows where its
 * end must be, so that it sees whoever else wrote, cut, moved or removed it. Never
 * deletes anything but what mk_segment_remove_oldest names, and a new file in which no record stands.
 * Errors are MK_SYSTEM with errno unless said otherwise.
 */
#ifndef MK_AUDIT_SEGMENT_H
#define MK_AUDIT_SEGMENT_H

#include "agent/audit/tail.h"
#include "mk/limits.h"
#include "mk/why.h"

#include <sys/types.h>

#define MK_SEGMENT_NAME_MAX 200 /* leaves room for the suffix */

struct mk_segment {
	int dir, fd;        /* fd -1: no file */
	char path[MK_PATH_MAX];
	const char *name;   /* in path */
	uint64_t size;      /* where its end must be */
	uint64_t first;     /* seq of its first record; 0: none */
	dev_t dev;
	ino_t ino;
	bool torn;          /* a half record could not be taken back */
	uint64_t *old;      /* first seqs of the set-aside segments, ascending; owned */
	size_t n_old;
};

enum mk_segment_state { MK_SEGMENT_OK, MK_SEGMENT_GONE, MK_SEGMENT_FOREIGN, MK_SEGMENT_CUT };

/* Opens the directory and lists the siblings; why for what a person must change. */
mk_must mk_segment_init(struct mk_segment *s, const char *path, struct mk_why *why);
void mk_segment_done(struct mk_segment *s);

/* Opens the file if there is one and reads how it, or else the newest sibling, ends.
 * With why set (errors other than MK_SYSTEM): a file that is not ours to write, or CONFLICT: another writes to it. */
mk_must mk_segment_adopt(struct mk_segment *s, struct mk_tail *ret, struct mk_why *why);

/* One look at the path (0.2 us): is it still this file, and does it end where it must? */
enum mk_segment_state mk_segment_state(const struct mk_segment *s);
bool mk_segment_at_path(const struct mk_segment *s);

/* Does the path of its directory still lead there? A new directory in its place is out of reach after lock-down. */
enum mk_segment_place { MK_PLACE_HERE, MK_PLACE_GONE, MK_PLACE_REPLACED };
enum mk_segment_place mk_segment_place(const struct mk_segment *s);

/* All or nothing. After a failure the file ends where it did, or `torn` is set. */
mk_must mk_segment_append(struct mk_segment *s, const void *p, size_t n, uint64_t seq);
mk_must mk_segment_sync(const struct mk_segment *s);     /* data */
mk_must mk_segment_sync_dir(const struct mk_segment *s); /* names */
/* A descriptor of its own description: the kernel tells a failed sync to each description once. */
mk_must mk_segment_second(const struct mk_segment *s, int *ret_fd);

/* What stands at the path moves out of the way, never over anything. A file that is not ours, or has no
 * first record, is named by `next` and a number behind it. */
mk_must mk_segment_set_aside(struct mk_segment *s, uint64_t next);
/* A new, empty file at the path, which is free. Closes the one before. */
mk_must mk_segment_fresh(struct mk_segment *s);
void mk_segment_drop(struct mk_segment *s);              /* the new file in which no record stands goes away */

mk_must mk_segment_remove_oldest(struct mk_segment *s);

#endif
