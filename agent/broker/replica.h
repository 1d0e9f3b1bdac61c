/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's stores: one backend of the configuration as it knows it, and the watches that tell
 * when a store's file changed. Plain data, in the broker's own arrays (core.h).
 */
#ifndef MK_REPLICA_H
#define MK_REPLICA_H

#include "agent/ipc/msg_endpoint.h"
#include "agent/ipc/msgs.h"

#define MK_WATCHES_MAX 32u

/* One backend as the broker knows it. */
struct mk_replica {
	struct mk_word name;
	char type[16];
	bool trust_tags;      /* its tags may allow; else they only deny */
	bool writable;        /* it may be asked for changes */
	bool require_tag;     /* what it does not tag with this environment is refused */
	uint32_t epoch;       /* moves on when what the store holds may have changed: older tokens are fetched again */
	uint64_t calls;
	bool called;
	enum mk_err last;     /* of the last call; NOT_FOUND and DISABLED are answers of a healthy store */
	int64_t last_ok_ms;   /* wall clock */
	uint32_t calls_per_hour; /* the most; 0: no limit */
	bool told;            /* by the fetcher: how it fares */
	struct mk_msg_endpoint endpoint;
	int64_t told_ms;      /* boot clock */
};

/* An inotify descriptor and the name in its directory that matters. */
struct mk_watch {
	int fd;               /* owned */
	struct mk_source *source;
	uint8_t backend;
	char file[256];
};

#endif
