/* SPDX-License-Identifier: Apache-2.0
 *
 * One operation of the `vault` backend: its state, and what vault.c (reads) and
 * vault_write.c (writes) share. Private to these two.
 */
#ifndef MK_VAULT_OP_H
#define MK_VAULT_OP_H

#include "backends/vault.h"

enum mk_vault_at {
	V_START, V_SECRET, V_VERSIONS, V_LIST, V_HEALTH,
	W_EXPECT,    /* PUT: which version is current? */
	W_FREE,      /* PUT, KV 1: is nothing pending? */
	W_PUT,       /* PUT: written? */
	W_PUT_CHECK, /* PUT was refused: because something is pending? */
	W_PUT_READ,  /* PUT, KV 1: what was written, for its version */
	W_PENDING,   /* PROMOTE: the pending value */
	W_CURRENT,   /* PROMOTE: the current one */
	W_PROMOTED,  /* PROMOTE: written? */
	W_STALE,     /* PROMOTE was refused: because another version is current? */
	W_FIND,      /* DISCARD: is something pending? */
	W_DROP,      /* PROMOTE, DISCARD: is it gone? */
	W_VERSION,   /* DISABLE, ENABLE: is the version there? */
	W_MARKED,    /* DISABLE, ENABLE: done? */
	V_STATES
};

struct mk_vault_op {
	enum mk_vault_at at;
	char url[MK_URL_TEXT_MAX];
	int64_t version; /* that was asked for; 0: the current one */
	struct mk_vault_versions before;
	size_t tried;
	struct mk_vault_list list;
	char prefix[sizeof ((struct mk_conf_backend *)NULL)->path];
	unsigned pages;
	/* of writes */
	struct mk_secret *body;    /* of the request under way */
	struct mk_secret *pending; /* PROMOTE: the leaves */
	int64_t current;           /* PROMOTE, KV 2: what must still be current when it is written; 0: nothing */
};

/* under: "data", "metadata" …, of KV 2. pending: what lies beside the secret. */
struct mk_url mk_vault_secret_url(struct mk_op *op, const char *under, bool pending);
/* A GET for u, answered in `next`. */
enum mk_step mk_vault_ask(struct mk_op *op, struct mk_url *u, enum mk_vault_at next, struct mk_req *out);
/* The value of an answer. version: KV 2's, that was asked for; 0: the current one. */
mk_must mk_vault_read_value(struct mk_op *op, struct mk_span body, int64_t version, struct mk_meta *ret_meta,
			    struct mk_secret **ret_leaves);
/* What a reader's error means for the operation. */
enum mk_step mk_vault_fail_read(struct mk_op *op, enum mk_err e);
/* A 404 that says: not there. NOT_FOUND, or DISABLED where it was deleted and can be had back. */
enum mk_step mk_vault_fail_gone(struct mk_op *op, struct mk_span body, const char *missing);

/* PUT, PROMOTE, DISCARD, DISABLE, ENABLE. */
enum mk_step mk_vault_write_begin(struct mk_op *op, struct mk_req *out);
enum mk_step mk_vault_write_on(struct mk_op *op, const struct mk_res *res, struct mk_req *out); /* an answer of any status but 403 */

#endif
