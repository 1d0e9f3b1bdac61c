/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames: every message of the table passes its link; every frame against the table costs the sender
 * its link, nobody else anything, and no descriptor.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "link_kit.h"

static bool between_children(const struct mk_msg_row *row)
{
	const unsigned sup = 1u << MK_ROLE_SUPERVISOR;
	return !(row->from & sup) && !(row->to & sup);
}

static struct raw_frame good_frame(const struct sample *s)
{
	const struct mk_span body = sample_of(s, room, sizeof room);
	return (struct raw_frame){ (uint16_t)s->type, 0, GENERATION, (uint32_t)body.n, body, mk_msgs[s->type].fd, 0, 0 };
}

/* Nothing of it arrives, and the link is over. */
static void costs_the_link(struct end *e, const struct raw_frame *f)
{
	raw_send(e->raw, f);
	settle();
	assert_int_equal(e->frames, 0);
	assert_int_equal(e->gone, 1);
	assert_int_equal(e->why, MK_BAD_REQUEST);
	end_close(e);
}

static void every_message_passes_its_link(void **state)
{
	(void)state;
	const unsigned before = open_fds();
	for (size_t i = 0; i < MK_COUNT(samples); i++) {
		struct end e;
		into_phase(&e, &mk_msgs[samples[i].type]);
		const struct raw_frame f = good_frame(&samples[i]);
		raw_send(e.raw, &f);
		settle();
		assert_int_equal(e.frames, 1);
		assert_int_equal(e.last, samples[i].type);
		assert_int_equal(e.had_fd, mk_msgs[samples[i].type].fd);
		assert_true(mk_span_eq(e.body, f.body));
		assert_int_equal(e.gone, 0);
		end_close(&e);
	}
	assert_int_equal(open_fds(), before);
}

typedef void spoil_fn(struct raw_frame *f, const struct mk_msg_row *row);

static void spoil_type(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->type = MK_MSG_COUNT;
}
static void spoil_type_high(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->type |= 0x8000;
}
static void spoil_zero(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->zero = 1;
}
static void spoil_length_more(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->length++;
}
static void spoil_length_less(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->length--;
}
static void spoil_length_huge(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->length = UINT32_MAX;
}
static void spoil_head(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->cut = f->body.n + 1;
}
static void spoil_pad(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->pad = 1;
}
static void spoil_max(struct raw_frame *f, const struct mk_msg_row *row)
{
	f->pad = row->max + 1 - f->body.n;
	f->length = row->max + 1;
}
static void spoil_packet(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->pad = MK_FRAME_MAX + 1 - MK_FRAME_HEAD - f->body.n;
	f->length = MK_FRAME_MAX + 1 - MK_FRAME_HEAD;
}
static void spoil_fd(struct raw_frame *f, const struct mk_msg_row *row)
{
	f->fds = row->fd ? 0 : 1;
}
static void spoil_fds(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->fds = 2;
}
static void spoil_fd_flood(struct raw_frame *f, const struct mk_msg_row *row)
{
	(void)row;
	f->fds = 60;
}
static void spoil_generation(struct raw_frame *f, const struct mk_msg_row *row)
{
	if (row->phase == MK_PHASE_CONFIG || f->type == MK_MSG_CONF_BEGIN)
		f->generation++;
	else
		f->zero = 2;
}

static void each_fault_costs_the_sender_its_link_and_nothing_else(void **state)
{
	(void)state;
	spoil_fn *const spoils[] = {
		spoil_type, spoil_type_high, spoil_zero, spoil_length_more, spoil_length_less, spoil_length_huge, spoil_head,
		spoil_pad, spoil_max, spoil_packet, spoil_fd, spoil_fds, spoil_fd_flood, spoil_generation,
	};
	struct end other;
	end_open(&other, MK_ROLE_BROKER, MK_ROLE_SUPERVISOR);
	mk_link_ready(other.link);
	const unsigned before = open_fds();
	for (size_t i = 0; i < MK_COUNT(samples); i++)
		for (size_t k = 0; k < MK_COUNT(spoils); k++) {
			struct end e;
			into_phase(&e, &mk_msgs[samples[i].type]);
			struct raw_frame f = good_frame(&samples[i]);
			spoils[k](&f, &mk_msgs[samples[i].type]);
			costs_the_link(&e, &f);
			assert_int_equal(open_fds(), before);
		}
	uint8_t n[4];
	const struct raw_frame ping = { MK_MSG_PING, 0, 0, 4, number_body(1, n), 0, 0, 0 };
	raw_send(other.raw, &ping);
	settle();
	assert_int_equal(other.frames, 1);
	assert_int_equal(other.gone, 0);
	end_close(&other);
}

static void a_message_from_any_role_that_may_not_send_it_is_refused(void **state)
{
	(void)state;
	unsigned refused = 0, passed = 0;
	for (size_t i = 0; i < MK_COUNT(samples); i++)
		for (unsigned from = 0; from < MK_ROLE_COUNT; from++)
			for (unsigned to = 0; to < MK_ROLE_COUNT; to++) {
				const struct mk_msg_row *row = &mk_msgs[samples[i].type];
				if (row->phase == MK_PHASE_CONFIG)
					continue; /* their phase cannot be reached from another role */
				struct end e;
				end_open(&e, (enum mk_role)to, (enum mk_role)from);
				mk_link_ready(e.link);
				const struct raw_frame f = good_frame(&samples[i]);
				raw_send(e.raw, &f);
				settle();
				const bool may = (row->from & 1u << from) && (row->to & 1u << to);
				assert_int_equal(e.frames, may);
				assert_int_equal(e.gone, !may);
				*(may ? &passed : &refused) += 1;
				end_close(&e);
			}
	assert_true(refused > 0 && passed > 0);
}

static void a_message_out_of_its_phase_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < MK_COUNT(samples); i++) {
		const struct mk_msg_row *row = &mk_msgs[samples[i].type];
		if (row->phase == MK_PHASE_ANY || between_children(row))
			continue;
		struct end e;
		end_open(&e, first_of(row->to), first_of(row->from));
		const struct raw_frame f = good_frame(&samples[i]);
		costs_the_link(&e, &f);
	}
}

static void a_configuration_ends_at_its_end_and_does_not_nest(void **state)
{
	(void)state;
	struct end e;
	into_phase(&e, &mk_msgs[MK_MSG_CONF_END]);
	const struct sample *end_sample = &samples[1];
	struct raw_frame f = good_frame(end_sample);
	assert_int_equal(f.type, MK_MSG_CONF_END);
	raw_send(e.raw, &f);
	settle();
	assert_int_equal(e.frames, 1);
	raw_send(e.raw, &f); /* a second end: nothing is open */
	settle();
	assert_int_equal(e.frames, 1);
	assert_int_equal(e.why, MK_BAD_REQUEST);
	end_close(&e);

	into_phase(&e, &mk_msgs[MK_MSG_CONF_END]);
	f = good_frame(&samples[0]);
	raw_send(e.raw, &f); /* a begin within */
	settle();
	assert_int_equal(e.frames, 0);
	assert_int_equal(e.why, MK_BAD_REQUEST);
	end_close(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_passes_its_link),
		cmocka_unit_test(each_fault_costs_the_sender_its_link_and_nothing_else),
		cmocka_unit_test(a_message_from_any_role_that_may_not_send_it_is_refused),
		cmocka_unit_test(a_message_out_of_its_phase_is_refused),
		cmocka_unit_test(a_configuration_ends_at_its_end_and_does_not_nest),
	};
	return cmocka_run_group_tests_name("link frames", tests, loop_up, loop_down);
}
