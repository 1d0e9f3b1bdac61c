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
#include "mk/tag.h"
#include "mk/why.h"

struct mk_secret;

/*
 * GET      one version: the current one, the one before it (`previous`) or the pending one (`pending`)
 * LIST     a page of names; pending values are no names
 * PUT      `value` beside the current one, as the pending version; with `expect`, only where that version is the current one now; one that is
 *          pending already is CONFLICT. meta.version: the pending one's id. An end in `value` is a moment: a promotion may date it anew
 * PROMOTE  the pending version becomes the current one, where `expect` still is the current one (CONFLICT), and is gone. Again after a lost
 *          answer: the rest is done, or NOT_FOUND (nothing pending), and GET tells. meta.version: the new one's id
 * DISCARD  the pending version is gone; NOT_FOUND where there is none
 * DISABLE  the version `expect` ("" : the current one) is not handed out by the store any more; GET of it as the current one says DISABLED
 * ENABLE   the same undone. Both, where the store tells: meta.version, which version it is; `already`, that it was so before
 * HEALTH   does the store serve at all?
 */
enum mk_verb {
	MK_VERB_GET = 1, MK_VERB_LIST = 2, MK_VERB_HEALTH = 4, MK_VERB_PUT = 8, MK_VERB_PROMOTE = 16, MK_VERB_DISCARD = 32,
	MK_VERB_DISABLE = 64, MK_VERB_ENABLE = 128
};

/* LOGIN: the credential was refused (403): the driver logs in afresh, once, and begins the operation again. */
enum mk_step { MK_STEP_FAIL = 0, MK_STEP_SEND = 1, MK_STEP_DONE = 2, MK_STEP_LOGIN = 3 }; /* zeroed memory fails */

enum mk_req_kind { MK_REQ_FILE = 1, MK_REQ_HTTP = 2, MK_REQ_REPLACE = 3 };
enum mk_method { MK_HTTP_GET = 1, MK_HTTP_LIST, MK_HTTP_POST, MK_HTTP_PUT, MK_HTTP_PATCH, MK_HTTP_DELETE };

/* A header of a request. `secret` (borrowed until the answer) goes behind `value`: "Bearer " and the token. */
struct mk_req_header {
	const char *name, *value;
	const struct mk_secret *secret;
};
#define MK_REQ_HEADERS_MAX 6

/* What is asked next. All it points to is the backend's, and stays until the next step. */
struct mk_req {
	enum mk_req_kind kind;
	size_t max;        /* bytes of the body that may come; beyond: TOO_LARGE */
	/* FILE */
	const char *path;  /* from the configuration, read whole */
	bool private_file; /* must not be readable by others (keys) */
	bool to_replace;   /* a REPLACE of it may follow */
	/* REPLACE: the file (path) that this operation read last to_replace, whole, by `file_body`. res.err: CONFLICT where it is another one
	 * by now: read it again; NOT_READY: somebody else changes it just now; DENIED: this process may not write */
	struct mk_span file_body; /* sealed bytes, never a plain secret */
	/* HTTP */
	enum mk_method method;
	const char *url;   /* absolute; made by mk_url_* (backends/url.h), which escapes */
	struct mk_req_header headers[MK_REQ_HEADERS_MAX];
	size_t n_headers;
	const struct mk_secret *body; /* NULL: none; sent as application/json unless a header says otherwise */
	bool once;         /* not to be sent again after a failure: it may have had its effect */
};

struct mk_res {
	enum mk_err err;     /* of the transport: OK, NOT_FOUND (no such file), TIMEOUT, TOO_LARGE, SYSTEM, DENIED (mode or owner),
				BACKEND (no connection, TLS, a redirect), NOT_READY (the circuit is open, or no token in the bucket); see also REPLACE */
	long status;         /* HTTP; 0 for a file */
	struct mk_span body; /* gone after step returns; of a private file or HTTP in locked memory, else in the heap */
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
	const struct mk_secret *credential; /* of the login, where the backend's auth has a method; borrowed */
	struct mk_name name;       /* GET: whose; LIST: names after this one, "" from the start */
	bool previous;             /* GET: the version before the current one */
	bool pending;              /* GET: the one that waits beside it */
	char expect[MK_VERSION_MAX + 1]; /* PUT, PROMOTE, DISABLE, ENABLE: see the verbs; "" : not checked */
	const struct mk_secret *value;   /* PUT: a leaf list, borrowed */
	int64_t wall_ms;           /* when the operation began, by the driver's clock */
	/* results */
	enum mk_err err;           /* FAIL: why */
	const char *fault;         /* FAIL: a fixed text for the log: what and the remedy, no secret, none of the store's words */
	struct mk_meta meta;       /* GET; of PUT, PROMOTE, DISABLE and ENABLE the version */
	bool already;              /* DISABLE, ENABLE: the store had it so */
	struct mk_secret *leaves;  /* GET: a leaf list, owned by the op */
	struct mk_listed *listed;  /* LIST: room for MK_LIST_PAGE_MAX, given by the driver; names ascending */
	size_t n_listed;
	bool more;                 /* LIST: another page follows after the last name */
	void *state;               /* state_size bytes */
};

struct mk_backend {
	const char *name;
	size_t state_size, keep_size;
	unsigned verbs; /* enum mk_verb bits that it can do in some configuration; where this one cannot: METHOD */
	enum mk_step (*step)(struct mk_op *op, const struct mk_res *res, struct mk_req *out);
	void (*done)(struct mk_op *op);        /* frees what state owns; NULL where nothing */
	void (*forget)(void *keep);            /* frees what keep owns; NULL where nothing */
};

/* A login method: like a backend's operation, from nothing (or from a credential to be renewed) to a credential. */
struct mk_login_op {
	const struct mk_conf_backend *conf;
	bool renew;                      /* extend `old` instead of a fresh login; FAIL with DENIED when it cannot be */
	const struct mk_secret *old;     /* renew: borrowed */
	void *keep;                      /* keep_size bytes, zeroed at first: what logins of this backend's instance keep */
	/* results */
	enum mk_err err;
	const char *fault;               /* as mk_op's */
	bool alarm;                      /* a failure that somebody must look at: an unwrap that failed */
	struct mk_secret *credential;    /* owned by the op; NULL after a renewal: the old one lives on */
	int64_t ttl_ms;                  /* 0: does not expire */
	bool renewable;
	void *state;                     /* state_size bytes */
};

struct mk_login {
	const char *name; /* auth.method */
	size_t state_size, keep_size;
	enum mk_step (*step)(struct mk_login_op *op, const struct mk_res *res, struct mk_req *out);
	void (*done)(struct mk_login_op *op);
	void (*forget)(void *keep); /* frees what keep owns; NULL where nothing */
};
extern const struct mk_login *const mk_logins[]; /* NULL at the end; backends/table.c */
const struct mk_login *mk_login_of(const char *method);
enum mk_step mk_login_fail(struct mk_login_op *op, enum mk_err e, const char *fault);

extern const struct mk_backend *const mk_backends[]; /* NULL at the end; backends/table.c */
const struct mk_backend *mk_backend_of(const char *type); /* NULL: unknown */

/* For step functions: sets err and fault and returns MK_STEP_FAIL. */
enum mk_step mk_step_fail(struct mk_op *op, enum mk_err e, const char *fault);

#endif
