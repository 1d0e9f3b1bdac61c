/* SPDX-License-Identifier: Apache-2.0
 *
 * How a segment ends: its last whole record, and what stands behind it. Only reads.
 */
#ifndef MK_AUDIT_TAIL_H
#define MK_AUDIT_TAIL_H

#include "agent/audit/line.h"
#include "mk/err.h"

struct mk_tail {
	bool found;          /* `last` is a record */
	struct mk_line last; /* borrows `buf` */
	size_t n;            /* its bytes in `buf` */
	bool damaged;        /* whole lines behind it that are no records, or a tail too long to be a torn one */
	uint64_t state;      /* the newest generation of the durable state that a record names; 0: none */
	uint64_t torn;       /* bytes behind the last newline */
	uint8_t torn_hash[MK_CHAIN_MAC]; /* unkeyed BLAKE2b-256 of them */
	uint8_t buf[MK_RECORD_MAX];
};

mk_must mk_tail_read(int fd, uint64_t size, struct mk_tail *ret);
/* The newest `state` in the file, looked for backwards as far as 64 MiB; 0: there is none. */
mk_must mk_tail_state(int fd, uint64_t size, uint64_t *ret);
/* Seq of the first record; 0: the file does not begin with one. */
mk_must mk_tail_first(int fd, uint64_t *ret_seq);

#endif
