/* SPDX-License-Identifier: Apache-2.0
 *
 * A frame of whoever may connect to a NAME.client.sock. What is taken is written as it was read, so
 * that there is one spelling of each ask.
 */
#include "agent/broker/client_frame.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static size_t write_again(const struct mk_client_ask *a, uint8_t *to, size_t cap)
{
	size_t n = 0;
	struct mk_wr w = mk_wr_of(to, cap);
	mk_wr_u8(&w, WIRE_VERSION);
	mk_wr_u8(&w, (uint8_t)a->type);
	mk_wr_u16(&w, 0);
	mk_wr_u32(&w, a->number);
	if (a->type == WIRE_GET)
		mk_wr_name(&w, &a->name);
	mk_assert(mk_wr_end(&w, &n) == MK_OK);
	return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct mk_client_ask a;
	struct mk_name again;
	uint8_t buf[WIRE_ASK_MAX];
	if (mk_client_ask_read(mk_span(p, n), &a) != MK_OK)
		return 0;
	mk_assert(n <= WIRE_ASK_MAX && write_again(&a, buf, sizeof buf) == n && memcmp(buf, p, n) == 0);
	mk_assert(a.type != WIRE_GET || mk_name_of(mk_span_of(a.name.s), &again) == MK_OK);
	return 0;
}
