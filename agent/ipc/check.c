/* SPDX-License-Identifier: Apache-2.0
 *
 * The table's columns, each one reject line.
 */
#include "agent/ipc/check.h"

void mk_frame_head_write(uint8_t head[MK_FRAME_HEAD], enum mk_msg type, uint32_t generation, size_t body)
{
	struct mk_wr w = mk_wr_of(head, MK_FRAME_HEAD);
	mk_wr_u16(&w, (uint16_t)type);
	mk_wr_u16(&w, 0);
	mk_wr_u32(&w, generation);
	mk_wr_u32(&w, (uint32_t)body);
	size_t n = 0;
	mk_assert(mk_wr_end(&w, &n) == MK_OK && n == MK_FRAME_HEAD);
}

static bool phase_holds(const struct mk_phase_state *s, uint8_t phase, uint32_t generation)
{
	if (phase == MK_PHASE_CONFIG)
		return s->in_config && generation == s->generation;
	if (phase == MK_PHASE_READY)
		return s->ready;
	return true;
}

/* One configuration at a time, and the head's generation is the body's. */
static bool begin_holds(const struct mk_phase_state *s, const struct mk_frame *f)
{
	if (f->type != MK_MSG_CONF_BEGIN)
		return true;
	struct mk_rd r = mk_rd_of(f->body);
	return !s->in_config && mk_rd_u32(&r) == f->generation && !r.bad && f->generation != 0 &&
	       f->generation >= s->generation;
}

enum mk_err mk_frame_parse(struct mk_span packet, struct mk_frame *ret)
{
	struct mk_rd r = mk_rd_of(packet);
	const uint16_t type = mk_rd_u16(&r), zero = mk_rd_u16(&r);
	const uint32_t generation = mk_rd_u32(&r), length = mk_rd_u32(&r);
	if (r.bad || type >= MK_MSG_COUNT || zero != 0 || length != r.n)
		return MK_BAD_REQUEST;
	*ret = (struct mk_frame){ (enum mk_msg)type, generation, mk_rd_rest(&r), -1 };
	return MK_OK;
}

bool mk_frame_allowed(const struct mk_phase_state *s, enum mk_role from, enum mk_role to, const struct mk_frame *f,
		      bool with_fd)
{
	const struct mk_msg_row *row = &mk_msgs[f->type];
	if (f->body.n > row->max)
		return false;
	if (!(row->from & 1u << from) || !(row->to & 1u << to))
		return false;
	if (row->fd != with_fd)
		return false;
	if (!phase_holds(s, row->phase, f->generation))
		return false;
	return begin_holds(s, f);
}

void mk_frame_passed(struct mk_phase_state *s, const struct mk_frame *f)
{
	if (f->type == MK_MSG_CONF_BEGIN) {
		s->generation = f->generation;
		s->in_config = true;
	} else if (f->type == MK_MSG_CONF_END) {
		s->in_config = false;
	} else if (f->type == MK_MSG_READY) {
		s->ready = true;
	}
}
