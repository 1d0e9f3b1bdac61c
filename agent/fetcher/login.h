/* SPDX-License-Identifier: Apache-2.0
 *
 * An instance's credential: got by one login at a time, however many operations wait for
 * it; renewed or replaced ahead of its end; dropped when the store refuses it. The
 * credential lives in locked memory, and whoever works with it has a copy of its own.
 */
#ifndef MK_FETCHER_LOGIN_H
#define MK_FETCHER_LOGIN_H

#include "agent/fetcher/instance.h"

/* landed: a login ended; OK, or why not with a fixed text. Also from inside mk_session_login. */
typedef void mk_landed_fn(struct mk_instance *at, enum mk_err e, const char *fault);

mk_must mk_session_new(struct mk_instance *at, mk_landed_fn *landed, struct mk_session **ret);
struct mk_session *mk_session_free(struct mk_session *s); /* wipes; NULL is fine */

/* A copy of the credential and its number. NOT_READY: there is none, log in. */
mk_must mk_session_copy(const struct mk_session *s, struct mk_secret **ret, uint32_t *ret_number);

/* For status. */
struct mk_session_state {
	enum mk_login_now now;
	int64_t left_ms;  /* of the credential at hand; -1: it does not end, or there is none */
	int64_t every_ms; /* how far apart logins and renewals are about; 0: none is due */
	bool alarm;       /* the last login failed so that somebody must look at it */
};
void mk_session_state(const struct mk_session *s, struct mk_session_state *ret);

/* `landed` is called once for this, when the login that is begun or under way has ended. */
void mk_session_login(struct mk_session *s);

/* The store refused the credential of that number. True: there is another by now, or will be after mk_session_login.
 * False: the last one was refused just as quickly, so another would not help. */
bool mk_session_refused(struct mk_session *s, uint32_t number);

#endif
