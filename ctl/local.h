/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of `makinictl local`: the store's files (local_disk.c), what standard input
 * brings (local_input.c), the commands (local.c).
 */
#ifndef MK_CTL_LOCAL_H
#define MK_CTL_LOCAL_H

#include "agent/base/file.h"
#include "backends/local_file.h"
#include "mk/why.h"

struct mk_local_paths {
	const char *file, *key_file, *passphrase_file; /* one of the latter two is NULL */
};

/* A store on disk, opened under its key. */
struct mk_disk {
	const struct mk_local_paths *paths;
	struct mk_held file; /* locked while a change is made */
	uint8_t *bytes;
	struct mk_secret *key;
	struct mk_local *store;
};

/* Makes an empty store, and its key file unless there is a passphrase. CONFLICT where one of them exists. */
mk_must mk_disk_init(const struct mk_local_paths *paths, struct mk_why *why);

/* to_change: waits for others who change this store, and keeps them waiting until mk_disk_done. Zero *ret before. */
mk_must mk_disk_open(const struct mk_local_paths *paths, bool to_change, struct mk_disk *ret, struct mk_why *why);
/* Replaces the file in one step; owner and mode stay. */
mk_must mk_disk_replace(const struct mk_disk *d, const struct mk_local_bytes *next, struct mk_why *why);
void mk_disk_done(struct mk_disk *d);

/* Standard input as a leaf list: a JSON object, or a bare token. From a terminal without echo. */
mk_must mk_local_input(struct mk_secret **ret_leaves, struct mk_why *why);
/* The same for text at hand: the tests' and the fuzzers' door. */
mk_must mk_local_leaves(struct mk_span text, struct mk_secret **ret_leaves, struct mk_why *why);

#endif
