/* SPDX-License-Identifier: Apache-2.0
 *
 * The tag is looked at when a secret comes, for the alarm, and again whenever it would be
 * handed out, so that a reload that asks for more is in force at once.
 */
#include "agent/broker/environment.h"

#include "agent/broker/pages.h"
#include "mk/own.h"

bool mk_environment_fits(const struct mk_broker *b, uint8_t backend, const struct mk_tag *tags, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(tags[i].key, "environment") == 0)
			return strcmp(tags[i].value, b->environment.s) == 0;
	return backend < b->n_replicas && !b->replicas[backend].require_tag;
}

/* The record comes with each such fetch, the log's line once. */
static void alarm(struct mk_broker *b, const struct mk_fetched *f, enum mk_alarm_code code)
{
	const struct mk_audit_rec rec = { .event = "alarm", .connection = f->name.s, .version = f->version, .reason = mk_alarm_word(code),
					  .rule_line = -1, .detail = "not handed out" };
	mk_alarm_raise(b, code, f->name.s);
	mk_ignore(mk_audit_write(b->audit, &rec), "it is not handed out either way, and the alarm stands");
}

static bool holds(const struct mk_broker *b, const struct mk_entry *e, const struct mk_version *v, enum mk_alarm_code code)
{
	if (!v->held)
		return false;
	if (code == MK_ALARM_ENVIRONMENT_MISMATCH)
		return !mk_environment_fits(b, v->backend, v->tags, v->n_tags);
	return mk_store_twice(b->store, &e->name, v);
}

/* Those that hold the value, too: whoever is to put it right must know both names. */
struct others {
	struct mk_broker *b;
	const struct mk_entry *than;
	uint64_t mark;
};

static void tell_other(void *arg, const struct mk_entry *e)
{
	const struct others *o = arg;
	if (e != o->than && (e->at[MK_SLOT_CURRENT].mark == o->mark || e->at[MK_SLOT_PREVIOUS].mark == o->mark)) {
		mk_alarm_raise(o->b, MK_ALARM_ONE_VALUE_TWO_NAMES, e->name.s);
		mk_pages_move(o->b, &e->name); /* it is not handed out any more */
	}
}

static void tell_others(struct mk_broker *b, const struct mk_entry *e, enum mk_slot slot)
{
	struct others o = { .b = b, .than = e, .mark = e->at[slot].mark };
	if (holds(b, e, &e->at[slot], MK_ALARM_ONE_VALUE_TWO_NAMES))
		mk_store_part(b->store, 0, 1, tell_other, &o);
}

void mk_environment_look(struct mk_broker *b, const struct mk_fetched *f)
{
	static const enum mk_alarm_code codes[] = { MK_ALARM_ENVIRONMENT_MISMATCH, MK_ALARM_ONE_VALUE_TWO_NAMES };
	const struct mk_entry *e = mk_store_find(b->store, &f->name);
	for (size_t i = 0; e && i < MK_COUNT(codes); i++)
		if (holds(b, e, &e->at[f->slot], codes[i]))
			alarm(b, f, codes[i]);
	if (e)
		tell_others(b, e, f->slot);
	mk_environment_settle(b);
}

static bool is_over(const struct mk_broker *b, const struct mk_alarm *a)
{
	struct mk_name name;
	if (a->code != MK_ALARM_ENVIRONMENT_MISMATCH && a->code != MK_ALARM_ONE_VALUE_TWO_NAMES)
		return false;
	const struct mk_entry *e = mk_name_of(mk_span_of(a->subject), &name) == MK_OK ? mk_store_find(b->store, &name) : NULL;
	return !e || !(holds(b, e, &e->at[MK_SLOT_CURRENT], a->code) || holds(b, e, &e->at[MK_SLOT_PREVIOUS], a->code));
}

void mk_environment_settle(struct mk_broker *b)
{
	for (size_t i = b->alarms.n; i > 0; i--) {
		const struct mk_alarm a = b->alarms.items[i - 1]; /* clearing moves those behind it */
		if (is_over(b, &a))
			mk_alarm_clear(b, a.code, a.subject);
	}
}
