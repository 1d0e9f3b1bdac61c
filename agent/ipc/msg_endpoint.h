/* SPDX-License-Identifier: Apache-2.0
 *
 * ENDPOINT_STATE: how one backend's endpoint fares, for status. Moments are of the wall
 * clock, or MK_TIME_NONE. As all messages (msgs.h): write, and a read that refuses what is
 * out of bounds.
 */
#ifndef MK_MSG_ENDPOINT_H
#define MK_MSG_ENDPOINT_H

#include "agent/base/rw.h"

enum mk_circuit { MK_CIRCUIT_CLOSED, MK_CIRCUIT_OPEN, MK_CIRCUIT_HALF_OPEN, MK_CIRCUIT_COUNT };
enum mk_login_now { MK_LOGIN_NONE, MK_LOGIN_PENDING, MK_LOGIN_OK, MK_LOGIN_FAILING, MK_LOGIN_COUNT };
#define MK_FAULT_MAX 240
struct mk_msg_endpoint {
	uint8_t backend;
	enum mk_circuit circuit;
	int64_t pause_ms;          /* open: until a call may try it */
	enum mk_err err;           /* the last error; OK: none yet, then the next two are empty */
	int64_t err_at_ms;
	char fault[MK_FAULT_MAX];  /* our own words; what is not printable ASCII is written as '?' */
	int64_t ok_at_ms;          /* the last answer that was no failure */
	uint32_t calls_hour;       /* requests sent in the last hour */
	uint32_t waiting;          /* operations that wait for their turn or for a login */
	enum mk_login_now login;
	int64_t login_until_ms;    /* when the credential at hand ends */
	int64_t login_every_ms;    /* how far apart logins and renewals are; 0: none is due */
	bool unwrap_failed;
};

void mk_msg_endpoint_write(struct mk_wr *w, const struct mk_msg_endpoint *m);
mk_must mk_msg_endpoint_read(struct mk_span body, struct mk_msg_endpoint *ret);

#endif
