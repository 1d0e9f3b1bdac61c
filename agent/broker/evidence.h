/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernel says of the peer of an accepted Unix socket. Read from the
 * descriptor itself; no message and no header can carry it. Any call that fails
 * leaves `known` false, and such a caller is nobody. All is taken at accept, once.
 */
#ifndef MK_EVIDENCE_H
#define MK_EVIDENCE_H

#include "policy/policy.h"

/* listener: the name of the listener that accepted fd. */
void mk_evidence_take(int fd, const struct mk_word *listener, struct mk_evidence *ret);

/* The process that connected, as far as it can be told from a later one with its number. */
struct mk_peer {
	bool wanted;      /* somebody asks: the unit counts here, and only while that process lives */
	int pidfd;        /* owned; -1: none */
	pid_t pid;
	uint64_t started; /* without a pidfd: of /proc/PID/stat, in ticks after boot; 0: it was gone */
};
#define MK_PEER_NONE ((struct mk_peer){ .pidfd = -1 })

/* The systemd unit of who connected, into e->unit: its cgroup, read between two looks at whether it lives. It stays ""
 * where that cannot be told for sure. proc_fd: /proc, or -1: nothing can be told. */
void mk_peer_take(int fd, int proc_fd, struct mk_evidence *e, struct mk_peer *ret);
bool mk_peer_alive(const struct mk_peer *p, int proc_fd); /* true where nobody asks */
void mk_peer_done(struct mk_peer *p);

/* Before lock-down. -1: it cannot be opened. */
int mk_proc_open(void);
/* Does it show processes of other users, such as process 1? */
bool mk_proc_shows_others(int proc_fd);
/* Has this kernel SO_PEERPIDFD? Asked of any connected Unix socket. */
bool mk_peer_pidfd_works(int fd);

/* What systemd says of who asks for a credential by the address that it connects from: "\0HEX/unit/UNIT/ID". uid 0 only,
 * as others may bind such addresses too. The unit goes into e->unit, and e->vouched is set. id: all behind the unit's '/'. */
#define MK_CREDENTIAL_ID_MAX 96
mk_must mk_evidence_vouched(int fd, struct mk_evidence *e, char id[MK_CREDENTIAL_ID_MAX + 1]);
/* The same from the address alone. */
mk_must mk_vouched_of(struct mk_span address, char unit[MK_UNIT_MAX + 1], char id[MK_CREDENTIAL_ID_MAX + 1]);

/* The instance's own side of identity. Before lock-down: reads /proc/sys/kernel/overflowuid, 65534 where it cannot. */
void mk_nobody_take(bool in_pod, struct mk_nobody *ret);

#endif
