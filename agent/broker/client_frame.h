/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames of makini/wire.h as the broker reads and writes them. Pure; what is not exactly
 * right is BAD_REQUEST. An answer with a token is written straight into locked memory.
 */
#ifndef MK_CLIENT_FRAME_H
#define MK_CLIENT_FRAME_H

#include "agent/base/rw.h"
#include "agent/broker/gate.h"
#include "agent/broker/pages.h"

struct mk_client_ask {
	enum wire_type type; /* HELLO, GET or WATCH */
	uint32_t number;
	struct mk_name name; /* GET */
};
mk_must mk_client_ask_read(struct mk_span frame, struct mk_client_ask *ret);

#define MK_CLIENT_PLAIN 64u /* bytes of any answer without a token */

/* What came of it without a token; an error is followed by the seconds to wait. */
void mk_client_write(struct mk_wr *w, enum wire_type type, uint32_t number, enum mk_err e, uint32_t retry_after_s);
void mk_client_write_hello(struct mk_wr *w, uint32_t number, const struct mk_word *environment);
/* until_ms: boot clock; up to when a copy may be used. */
void mk_client_write_token(struct mk_wr *w, uint32_t number, const struct mk_page_word *word, int64_t until_ms, const struct mk_answer *a);

/* The status of an error: one of client.h, without its sign. */
uint16_t mk_client_status(enum mk_err e);

#endif
