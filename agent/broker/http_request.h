/* SPDX-License-Identifier: Apache-2.0
 *
 * What a request says, read strictly and without libmicrohttpd, which is lenient and
 * decodes: the raw target, byte by byte, and each header as it came. Pure functions,
 * fuzzed by themselves. Nothing is decoded, folded or repaired: what is not exactly
 * right is refused with a hint.
 */
#ifndef MK_HTTP_REQUEST_H
#define MK_HTTP_REQUEST_H

#include "agent/broker/http_problem.h"
#include "mk/limits.h"
#include "mk/name.h"

enum mk_resource {
	MK_RES_NONE, /* no such path */
	MK_RES_TOKEN,
	MK_RES_TOKENS,
	MK_RES_WATCH,
	MK_RES_WHOAMI,
	MK_RES_HEALTH,
	MK_RES_STATUS,
	MK_RES_RELOAD,
	MK_RES_FREEZE,
	MK_RES_APPROVAL,
	MK_RES_FINGERPRINTS,
	MK_RES_EXPLAIN,
	MK_RES_REVOCATIONS,
	MK_RES_REVOCATION,
};

#define MK_ID_MAX 16

struct mk_uri {
	enum mk_hint bad;       /* NONE: the rest holds */
	enum mk_resource resource;
	struct mk_name name;    /* TOKEN, REVOCATION */
	bool values_too;        /* REVOCATION: ?values=too */
	bool in_store;          /* REVOCATION: ?in_store=true */
	bool previous;          /* TOKEN: ?version=previous */
	int64_t max_age_ms;     /* TOKEN: ?max_age=10s, 1 at least; 0: not given */
	char not_version[MK_VERSION_MAX + 1]; /* TOKEN: ?not=VERSION; "": not given */
	int64_t wait_ms;        /* TOKEN: ?wait=30s; 0: not given */
	uint32_t names;         /* WATCH: how many connection= there are, each a good name */
	uint32_t limit;         /* TOKENS: 100 unless given */
	struct mk_name after;   /* TOKENS: "" from the start */
	char id[MK_ID_MAX + 1]; /* APPROVAL: hexadecimal digits */
};
void mk_uri_parse(struct mk_span raw, struct mk_uri *ret);

/* What the headers say together. Zero it, give it each header, then look. */
struct mk_head {
	enum mk_hint bad;       /* the first that was wrong */
	unsigned hosts, lengths, bearers, fields;
	uint64_t body;          /* bytes announced by Content-Length, or more than MK_REQ_BODY_MAX */
};
#define MK_REQ_BODY_MAX 8192
void mk_head_take(struct mk_head *h, struct mk_span key, struct mk_span value);

/* Does this Accept (RFC 9110 12.5.1) like text/plain better than application/json? "" does not. */
bool mk_accept_plain(struct mk_span accept);

#endif
