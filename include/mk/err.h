/* SPDX-License-Identifier: Apache-2.0
 *
 * The closed list of errors. Every error has one HTTP status (RFC 9110), one stable
 * word (the `code` of a problem document, the `reason` of an audit record) and says
 * whether trying again may help. Anything that can fail returns `mk_must` and is
 * checked; out-parameters are named ret_* and are untouched on failure.
 */
#ifndef MK_ERR_H
#define MK_ERR_H

#include <stdbool.h>

#define MK_ERR_LIST(X) /* name, HTTP status, worth a retry, word */ \
	X(OK, 200, 0, "ok")                                        \
	X(BAD_REQUEST, 400, 0, "bad_request")                      \
	X(UNAUTHENTICATED, 401, 0, "unauthenticated")              \
	X(DENIED, 403, 0, "denied")                                \
	X(NOT_FOUND, 404, 0, "not_found")                          \
	X(METHOD, 405, 0, "method_not_allowed")                    \
	X(CONFLICT, 409, 0, "conflict")                            \
	X(REVOKED, 410, 0, "revoked")                              \
	X(EXPIRED, 410, 0, "expired")                              \
	X(DISABLED, 410, 0, "disabled")                            \
	X(TOO_LARGE, 413, 0, "too_large")                          \
	X(RATE_LIMITED, 429, 1, "rate_limited")                    \
	X(BUG, 500, 0, "internal")                                 \
	X(SYSTEM, 500, 1, "internal")                              \
	X(BACKEND, 502, 1, "backend_error")                        \
	X(NOT_READY, 503, 1, "not_ready")                          \
	X(NO_MEMORY, 503, 1, "not_ready")                          \
	X(AUDIT, 503, 1, "not_ready")                              \
	X(FROZEN, 503, 0, "frozen")                                \
	X(TIMEOUT, 504, 1, "timeout")

enum mk_err {
#define MK_ERR_ENUM_(name, http, retry, word) MK_##name,
	MK_ERR_LIST(MK_ERR_ENUM_)
#undef MK_ERR_ENUM_
	MK_ERR_COUNT_
};

#define mk_must __attribute__((warn_unused_result)) enum mk_err

/* The only macro that returns. */
#define MK_TRY(call)                                \
	do {                                        \
		const enum mk_err mk_e_ = (call);   \
		if (mk_e_ != MK_OK)                 \
			return mk_e_;               \
	} while (0)

/* Drops an error on purpose; the reason is for the reader (and for grep). */
#define mk_ignore(call, why)                        \
	do {                                        \
		if ((call) != MK_OK) {              \
		}                                   \
	} while (0)

/* A number that is not an error of the list reads as "internal". */
const char *mk_err_word(enum mk_err e);
int mk_err_http(enum mk_err e);
bool mk_err_retry(enum mk_err e);
bool mk_err_known(unsigned n); /* is n the number of an error (input from a sibling process)? */

/* A programming error: writes one line to standard error and aborts. Never for input. */
_Noreturn void mk_assert_fail(const char *what, const char *file, int line);
#define mk_assert(cond) ((cond) ? (void)0 : mk_assert_fail(#cond, __FILE__, __LINE__))

#endif
