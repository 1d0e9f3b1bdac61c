/* SPDX-License-Identifier: Apache-2.0
 *
 * What a backend is: a table entry with a step() from the last response to the next
 * request. No I/O, clock, retry or log inside; the driver (agent/fetcher) owns those.
 *
 * An operation: the driver zeroes op->state (state_size bytes), fills op's head and
 * calls step with res NULL; then again with each response, until it says DONE or FAIL.
 * `keep` belongs to the backend's instance and lives as long as the process: what it
 * keeps between operations (a derived key) it keeps there, in secrets.
 */
#ifndef MK_BACKEND_H
#define MK_BACKEND_H

#include "mk/conf.h"
#include "mk/leaf.h"
#include "mk/why.h"

struct mk_secret;

enum mk_verb { MK_VERB_GET = 1, MK_VERB_LIST = 2, MK_VERB_HEALTH = 4 };

enum mk_step { MK_STEP_FAIL = 0, MK_STEP_SEND = 1, MK_STEP_DONE = 2 }; /* zeroed memory fails */

enum mk_req_kind { MK_REQ_FILE = 1 }; /* HTTP follows with the first store that speaks it */

struct mk_req {
	enum mk_req_kind kind;
	const char *path; /* FILE: from the configuration, read whole */
	size_t max;       /* bytes of the body that may come; beyond: TOO_LARGE */
	bool private_file; /* FILE: must not be readable by others (keys) */
};

struct mk_res {
	enum mk_err err;     /* of the transport: OK, NOT_FOUND (no such file), TIMEOUT, TOO_LARGE, SYSTEM, DENIED (mode or owner) */
	struct mk_span body; /* gone after step returns; of a private file in locked memory, else in the heap */
};

struct mk_tag {
	char key[MK_TAG_KEY_MAX + 1], value[MK_TAG_VALUE_MAX + 1];
};

/* What the store says of one version of one secret, apart from its value. */
struct mk_meta {
	char version[MK_VERSION_MAX + 1];
	int64_t created_ms;  /* wall clock, or MK_TIME_NONE */
	bool disabled;
	struct mk_tag tags[MK_TAGS_MAX];
	size_t n_tags;
};

struct mk_listed {
	struct mk_name name;
	char version[MK_VERSION_MAX + 1];
};
#define MK_LIST_PAGE_MAX 200

struct mk_op {
	enum mk_verb verb;
	const struct mk_conf_backend *conf;
	void *keep;
	struct mk_name name;       /* GET: whose; LIST: names after this one, "" from the start */
	bool previous;             /* GET: the version before the current one */
	/* results */
	enum mk_err err;           /* FAIL: why */
	const char *fault;         /* FAIL: a fixed text for the log: what and the remedy, no secret, none of the store's words */
	struct mk_meta meta;       /* GET */
	struct mk_secret *leaves;  /* GET: a leaf list, owned by the op */
	struct mk_listed *listed;  /* LIST: room for MK_LIST_PAGE_MAX, given by the driver; names ascending */
	size_t n_listed;
	bool more;                 /* LIST: another page follows after the last name */
	void *state;               /* state_size bytes */
};

struct mk_backend {
	const char *name;
	size_t state_size, keep_size;
	unsigned verbs; /* enum mk_verb bits */
	enum mk_step (*step)(struct mk_op *op, const struct mk_res *res, struct mk_req *out);
	void (*done)(struct mk_op *op);        /* frees what state owns; NULL where nothing */
	void (*forget)(void *keep);            /* frees what keep owns; NULL where nothing */
};

extern const struct mk_backend *const mk_backends[]; /* NULL at the end; backends/table.c */
const struct mk_backend *mk_backend_of(const char *type); /* NULL: unknown */

/* For step functions: sets err and fault and returns MK_STEP_FAIL. */
enum mk_step mk_step_fail(struct mk_op *op, enum mk_err e, const char *fault);

#endif
