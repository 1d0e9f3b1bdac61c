/* SPDX-License-Identifier: Apache-2.0
 *
 * The head page: a shared mapping of a memfd that outlives the broker. Before each
 * write(2) the record's head is `pending`, after it `committed`; so whenever a broker
 * dies, the last line of the file is one of the two, or somebody else was there.
 * A page torn by a kill does no harm: the other of the two is whole.
 */
#ifndef MK_AUDIT_HEAD_H
#define MK_AUDIT_HEAD_H

#include "agent/audit/chain.h"
#include "mk/err.h"

#define MK_HEAD_PAGE 4096

struct mk_head_page {
	uint32_t layout; /* 0: never written */
	uint32_t pad;
	struct mk_head committed, pending;
};

mk_must mk_head_map(int fd, struct mk_head_page **ret); /* fd -1: a private page */
struct mk_head_page *mk_head_unmap(struct mk_head_page *p);

bool mk_head_fresh(const struct mk_head_page *p); /* nothing was ever written */
void mk_head_pending(struct mk_head_page *p, const struct mk_head *h);
void mk_head_commit(struct mk_head_page *p, const struct mk_head *h);

/* The one of the two that is (seq, mac); NULL: neither. */
const struct mk_head *mk_head_find(const struct mk_head_page *p, uint64_t seq, const uint8_t mac[MK_CHAIN_MAC]);
/* The newer of the two: what the log must hold, or nearly held. */
const struct mk_head *mk_head_newest(const struct mk_head_page *p);

#endif
