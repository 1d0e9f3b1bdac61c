/* SPDX-License-Identifier: Apache-2.0
 *
 * A frame against the table: pure functions over one link's state, private to this
 * folder. Both ends use the same check, the receiver as a guard, the sender as an
 * assertion; what passes moves the state on.
 */
#ifndef MK_IPC_CHECK_H
#define MK_IPC_CHECK_H

#include "agent/ipc/ipc.h"

struct mk_phase_state {
	uint32_t generation; /* of the last CONF_BEGIN, or what the supervisor set for the next */
	bool in_config;      /* between CONF_BEGIN and CONF_END */
	bool ready;          /* READY passed */
};

void mk_frame_head_write(uint8_t head[MK_FRAME_HEAD], enum mk_msg type, uint32_t generation, size_t body);

/* The packet's form: BAD_REQUEST, or OK with *ret filled but for its descriptor. */
mk_must mk_frame_parse(struct mk_span packet, struct mk_frame *ret);
/* The table's columns: may this frame, with or without a descriptor, go from one role to the other now? */
bool mk_frame_allowed(const struct mk_phase_state *s, enum mk_role from, enum mk_role to, const struct mk_frame *f,
		      bool with_fd);
/* CONF_BEGIN, CONF_END and READY move the state on. */
void mk_frame_passed(struct mk_phase_state *s, const struct mk_frame *f);

#endif
