/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as any message's body: read without fault or refused, and what was read
 * comes out as it went in. The first byte chooses the message. Also the frame's head.
 */
#include "agent/ipc/check.h"
#include "tests/unit/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void frame(struct mk_span packet)
{
	const struct mk_phase_state s = { 7, true, true };
	struct mk_frame f;
	if (mk_frame_parse(packet, &f) != MK_OK)
		return;
	for (unsigned from = 0; from < MK_ROLE_COUNT; from++)
		for (unsigned to = 0; to < MK_ROLE_COUNT; to++)
			if (mk_frame_allowed(&s, (enum mk_role)from, (enum mk_role)to, &f, false))
				mk_assert(f.body.n <= mk_msgs[f.type].max && from != to);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static uint8_t out[MK_FRAME_MAX];
	if (n == 0 || n > MK_FRAME_MAX)
		return 0;
	frame(mk_span(p, n));
	const struct sample *s = &samples[p[0] % MK_COUNT(samples)];
	const struct mk_span body = mk_span(p + 1, n - 1);
	struct mk_wr w = mk_wr_of(out, sizeof out);
	if (s->again(body, &w) == MK_OK)
		mk_assert(!w.bad && mk_span_eq(body, mk_span(w.p, w.len)));
	return 0;
}
