/* SPDX-License-Identifier: Apache-2.0
 *
 * A record as bytes: the strict scanner of exactly what the writer writes. Spans borrow
 * the line. Pure; takes any input.
 *
 *   {"seq":N,"time":"…","mono":N,"env":"…","event":"…"[,"key":value]…,"mac":"64 hex"}
 */
#ifndef MK_AUDIT_LINE_H
#define MK_AUDIT_LINE_H

#include "agent/audit/chain.h"
#include "mk/name.h"

struct mk_line {
	uint64_t seq;
	int64_t mono;
	struct mk_span time, env, event; /* time: 24 characters, or none */
	struct mk_span fields;           /* the further [,"key":value]… */
	struct mk_span body;             /* what the mac is over: all before ,"mac":" */
	uint8_t mac[MK_CHAIN_MAC];
};

bool mk_line_parse(struct mk_span line, struct mk_line *ret); /* without its newline */

/* Takes one field off the front of *rest; a string's value comes without its quotes, still escaped. */
bool mk_line_next(struct mk_span *rest, struct mk_span *ret_key, struct mk_span *ret_value, bool *ret_text);
bool mk_line_field(const struct mk_line *l, const char *key, struct mk_span *ret_value);
bool mk_line_number(const struct mk_line *l, const char *key, uint64_t *ret);
bool mk_line_state(const struct mk_line *l, uint64_t *ret); /* of `epoch`, `open` and `close`: mk_audit_state */
bool mk_line_mac(const struct mk_line *l, const char *key, uint8_t ret[MK_CHAIN_MAC]);
bool mk_line_is(const struct mk_line *l, const char *key, const char *value);

#endif
