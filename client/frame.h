/* SPDX-License-Identifier: Apache-2.0
 *
 * The frames of makini/wire.h: asks are written, answers are read, nothing is allocated or copied. An answer
 * borrows the bytes that it was read from.
 */
#ifndef CLIENT_FRAME_H
#define CLIENT_FRAME_H

#include <stddef.h>

#include "client/api.h"
#include "makini/wire.h"

struct bytes {
	const unsigned char *p;
	size_t n;
};

struct answer {
	int status;         /* 0, or a MAKINI_E…, negative; then only retry_after_s is set */
	uint32_t retry_after_s;
	uint32_t words;     /* HELLO */
	uint32_t index;     /* GET, and all below */
	uint64_t word;
	int64_t good_until, expires_ms;
	uint32_t age_s;
	int stale;
	struct bytes version, type, value;
};

/* The length of the frame in buf (WIRE_ASK_MAX bytes). name is for GET, NULL otherwise. */
size_t frame_ask(unsigned char *buf, enum wire_type type, uint32_t number, const struct bytes *name);

/* 0 and *ret, or EPROTOCOL: it is not wholly, exactly the answer of this type and number. */
int frame_answer(struct bytes in, enum wire_type type, uint32_t number, struct answer *ret);

#endif
