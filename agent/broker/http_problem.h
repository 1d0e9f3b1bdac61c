/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a request is refused: one closed list of hints, each with the error it stands for
 * and a fixed text that teaches. The problem document (RFC 9457) of a hint is always the
 * same bytes, so that two denials cannot be told apart. Nothing that a caller wrote, no
 * name, path or secret, is ever in one.
 */
#ifndef MK_HTTP_PROBLEM_H
#define MK_HTTP_PROBLEM_H

#include "agent/base/jw.h"

#define MK_HINT_LIST(X) /* name, error, the connection ends, detail */                                                  \
	X(TARGET_FORM, BAD_REQUEST, 1, "the request target must be a path that begins with '/'")                        \
	X(TARGET_BYTES, BAD_REQUEST, 0, "a request target is made of letters, digits and - . _ ~ / ? = & only")         \
	X(PERCENT, BAD_REQUEST, 0, "nothing in a request target is percent-encoded: no name needs it")                  \
	X(SEGMENT, BAD_REQUEST, 0, "a path has no empty segment, no '.' and no '..'")                                   \
	X(NAME, BAD_REQUEST, 0, "a connection's name is 1 to 63 of a-z, 0-9 and '-', begins with a letter or digit and has no '--'") \
	X(QUERY, BAD_REQUEST, 0, "a query is key=value pairs joined by '&', each key at most once")                     \
	X(QUERY_NONE, BAD_REQUEST, 0, "this call knows no query parameters")                                            \
	X(QUERY_TOKEN, BAD_REQUEST, 0, "this call knows four query parameters: version, max_age, not and wait")         \
	X(QUERY_LIST, BAD_REQUEST, 0, "this call knows two query parameters: limit and after")                          \
	X(VERSION, BAD_REQUEST, 0, "version can only be: previous")                                                     \
	X(MAX_AGE, BAD_REQUEST, 0, "max_age is a whole number and ms, s, m, h or d, such as 10s")                       \
	X(NOT, BAD_REQUEST, 0, "not is the version that was refused to you, as an answer gave it: 1 to 64 characters")  \
	X(WAIT, BAD_REQUEST, 0, "wait is a whole number and ms, s or m, up to 60s, such as 30s")                        \
	X(WAIT_ALONE, BAD_REQUEST, 0, "wait needs If-None-Match with the ETag of what you have: without it there is nothing to wait for") \
	X(QUERY_WATCH, BAD_REQUEST, 0, "this call knows one query parameter, which may come often: connection")         \
	X(WATCH_NAMES, BAD_REQUEST, 0, "a stream names 32 connections at most: open several, or name none for all that you may watch") \
	X(LIMIT, BAD_REQUEST, 0, "limit is a number from 1 to 1000")                                                    \
	X(AFTER, BAD_REQUEST, 0, "after is a connection's name, as next gave it")                                       \
	X(ID, BAD_REQUEST, 0, "a proposal's id is up to 16 digits 0-9a-f, as the answer 202 gave it")                    \
	X(HTTP_VERSION, BAD_REQUEST, 1, "only HTTP/1.1 and HTTP/1.0 are spoken here")                                   \
	X(HEADER, BAD_REQUEST, 1, "a header's name or value holds a byte that does not belong there")                   \
	X(TRANSFER, BAD_REQUEST, 1, "Transfer-Encoding is not taken: send a Content-Length")                            \
	X(TWICE, BAD_REQUEST, 1, "Host, Content-Length and Authorization may come only once")                                          \
	X(HOST, BAD_REQUEST, 1, "a Host header is required, whatever its value"   )                                      \
	X(LENGTH, BAD_REQUEST, 1, "Content-Length is a number in decimal digits")                                       \
	X(FORWARDED, BAD_REQUEST, 1, "requests come straight from the service: no Origin, Forwarded, X-Forwarded-*, Via or Proxy-*") \
	X(EXPECT, BAD_REQUEST, 1, "Expect is not taken")                                                                \
	X(BODY, BAD_REQUEST, 1, "this call takes no body")                                                              \
	X(JSON, BAD_REQUEST, 0, "the body is one JSON object with the texts that this call knows, without control characters") \
	X(NAMES, BAD_REQUEST, 0, "connection is a connection's name, or connections a list of 1 to 64 of them, each once") \
	X(IN_STORE, BAD_REQUEST, 0, "in_store can only be true or false")                                               \
	X(IN_STORE_MOST, BAD_REQUEST, 0, "with in_store a call may come to 128 changes, connections times stores: name fewer at once, or revoke without it first") \
	X(QUERY_RESTORE, BAD_REQUEST, 0, "this call knows two query parameters: values and in_store")                   \
	X(VALUES, BAD_REQUEST, 0, "values can only be: too")                                                            \
	X(KEY, BAD_REQUEST, 0, "key is 32 random bytes in base64, made for this one comparison")                        \
	X(SERVICE, BAD_REQUEST, 0, "the policy has no service of that name")                                            \
	X(BODY_SIZE, TOO_LARGE, 1, "a body may have 8192 bytes at most")                                                \
	X(HEAD_SIZE, TOO_LARGE, 1, "request line and headers may have 7168 bytes at most, where each header counts as 64 more") \
	X(BEARER, UNAUTHENTICATED, 0, "this service shows a service-account token of this pod, made for the agent's audience: Authorization: Bearer; GET /v1/whoami says how it was taken") \
	X(PATH, NOT_FOUND, 0, "there is no such resource on this socket")                                               \
	X(METHOD, METHOD, 0, "this resource does not take that method; Allow names those it takes")                     \
	X(DENIED, DENIED, 0, "the policy does not allow this to you; GET /v1/whoami says what it does allow")           \
	X(NO_TOKEN, NOT_FOUND, 0, "no store has a token of that name and version")                                      \
	X(REVOKED, REVOKED, 0, "the token is revoked")                                                                  \
	X(EXPIRED, EXPIRED, 0, "the token has expired and the store has no newer one")                                  \
	X(EXPIRED_CLOCK, EXPIRED, 0, "the token has expired by the agent's clock, which is in doubt: makinictl status has the alarm clock_jumped or clock_behind") \
	X(DISABLED, DISABLED, 0, "the token is disabled in its store")                                                  \
	X(RATE, RATE_LIMITED, 0, "your rate is used up, or too many of your requests wait for the store; try again after Retry-After seconds") \
	X(CONNECTIONS, RATE_LIMITED, 1, "you have too many connections open; keep few and use them again")              \
	X(UNREAD, RATE_LIMITED, 1, "too many answers to you wait to be read; read them first")                          \
	X(FULL, NOT_READY, 1, "all connections are taken; try again")                                                   \
	X(BACKEND, BACKEND, 0, "the store could not be asked or did not give a token; makinictl status says more")      \
	X(NOT_READY, NOT_READY, 0, "the agent is not ready; GET /v1/health says why")                                   \
	X(NO_MEMORY, NO_MEMORY, 0, "there is no room for this answer now; try again")                                   \
	X(AUDIT, AUDIT, 0, "the audit log cannot be written, and without a record nothing is handed out")               \
	X(FROZEN, FROZEN, 0, "all hand-outs are frozen")                                                                \
	X(TIMEOUT, TIMEOUT, 0, "the store did not answer in time")                                                      \
	X(NOT_REVOKED, NOT_FOUND, 0, "that connection is not revoked")                                                  \
	X(REVOKED_NOT_KEPT, SYSTEM, 0, "it is revoked now, but that could not be written to disk and ends with this process: see the log, make room, revoke again") \
	X(REVOKED_NO_ROOM, NO_MEMORY, 0, "nothing was revoked: there is no memory, or as many are revoked as there is room for (65,536 connections, 262,144 values): freeze the instance") \
	X(REVOKED_NOT_RECORDED, SYSTEM, 0, "it is revoked now and stays so, but the audit log could not be written: see makinictl status, repair it, revoke again") \
	X(PROPOSAL, NOT_FOUND, 0, "no such proposal waits: it was carried out, its 15 minutes are over, or all was frozen anew or thawed since")            \
	X(SAME_PERSON, CONFLICT, 0, "who proposed it cannot approve it: it takes another person, under another uid")    \
	X(DIGEST, CONFLICT, 0, "the digest is not this proposal's: look at what is proposed again (makinictl status)")  \
	X(WITHDRAWN, CONFLICT, 0, "who proposed it may not do it any more")                                             \
	X(OVERTAKEN, CONFLICT, 0, "the freeze that it would end is not the one in force: look again (makinictl status), and propose anew") \
	X(PROPOSALS, RATE_LIMITED, 0, "too many proposals wait for approval: approve them, or let them end")            \
	X(NOT_KEPT, SYSTEM, 0, "everything is frozen now, but that could not be written to disk and ends with this process: see the log, make room, freeze again") \
	X(NOT_RECORDED, SYSTEM, 0, "everything is frozen now and stays so, but the audit log could not be written: see makinictl status, repair it, freeze again") \
	X(STATE, SYSTEM, 0, "the state database could not be written, so nothing was changed: see the log, make room in state_dir, try again") \
	X(RELOAD, CONFLICT, 0, "the configuration in force stays")                                                      \
	X(INTERNAL, BUG, 0, "something is wrong inside the agent; its log says more")

enum mk_hint {
	MK_HINT_NONE, /* nothing is wrong */
#define MK_HINT_ENUM_(name, err, ends, text) MK_HINT_##name,
	MK_HINT_LIST(MK_HINT_ENUM_)
#undef MK_HINT_ENUM_
	MK_HINT_COUNT
};

/* The hint for an error of the gate. */
enum mk_hint mk_hint_of(enum mk_err e);
enum mk_err mk_hint_err(enum mk_hint h);
bool mk_hint_ends(enum mk_hint h); /* after this answer the connection is closed */

#define MK_PROBLEM_MAX 384
/* The document's bytes; they live as long as the process. */
struct mk_span mk_problem_text(enum mk_hint h);
/* The same members into an object that the caller opens, ends and may add to. */
void mk_problem_write(struct mk_jw *w, enum mk_hint h, struct mk_span detail);

#define MK_PROBLEM_TYPE "application/problem+json"
const char *mk_http_reason(int status); /* the reason phrase, which is also a problem's title */

#endif
