/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of alarms that stand.
 */
#include "agent/broker/alarms.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/core.h"

#include <stdio.h>

static const struct {
	const char *word, *text;
} rows[MK_ALARM_COUNT] = {
#define ROW(name, code, what) [MK_ALARM_##name] = { (code), (what) },
	MK_ALARM_LIST(ROW)
#undef ROW
};

const char *mk_alarm_word(enum mk_alarm_code c)
{
	return rows[c].word;
}

const char *mk_alarm_text(enum mk_alarm_code c)
{
	return rows[c].text;
}

/* NULL: it does not stand. */
static struct mk_alarm *find(struct mk_alarms *all, const struct mk_alarm *like)
{
	for (size_t i = 0; i < all->n; i++)
		if (all->items[i].code == like->code && strcmp(all->items[i].subject, like->subject) == 0)
			return &all->items[i];
	return NULL;
}

static bool is_doubling(uint64_t n)
{
	return (n & (n - 1)) == 0;
}

/* The last places are for what does not stand at all yet, so that no crowd of one code hides another's. */
static bool has_room(const struct mk_alarms *all, enum mk_alarm_code code)
{
	if (all->n < MK_ALARMS_MAX - MK_ALARM_COUNT)
		return true;
	for (size_t i = 0; i < all->n; i++)
		if (all->items[i].code == code)
			return false;
	return all->n < MK_ALARMS_MAX;
}

static struct mk_alarm make(enum mk_alarm_code code, const char *subject)
{
	struct mk_alarm a = { .code = code, .since_ms = mk_wall_ms(), .count = 1 };
	snprintf(a.subject, sizeof a.subject, "%s", subject);
	return a;
}

void mk_alarm_raise(struct mk_broker *b, enum mk_alarm_code code, const char *subject)
{
	struct mk_alarms *all = &b->alarms;
	const struct mk_alarm a = make(code, subject);
	struct mk_alarm *standing = find(all, &a);
	if (standing) {
		standing->count++;
		return;
	}
	if (has_room(all, code))
		all->items[all->n++] = a;
	else if (!is_doubling(++all->unlisted))
		return; /* what found no room cannot be told from its like: each doubling is logged */
	mk_log(MK_ALARM, "alarm", MK_KV_S("code", rows[code].word), MK_KV_S("subject", a.subject), MK_KV_S("remedy", rows[code].text));
}

void mk_alarm_clear(struct mk_broker *b, enum mk_alarm_code code, const char *subject)
{
	struct mk_alarms *all = &b->alarms;
	const struct mk_alarm like = make(code, subject);
	struct mk_alarm *standing = find(all, &like);
	if (!standing)
		return;
	const size_t i = (size_t)(standing - all->items);
	memmove(standing, standing + 1, (--all->n - i) * sizeof *standing);
	mk_log(MK_INFO, "alarm_cleared", MK_KV_S("code", rows[code].word), MK_KV_S("subject", like.subject));
}
