/* SPDX-License-Identifier: Apache-2.0
 *
 * Linear probing. What is dropped leaves no hole: those behind it move up, so that a search
 * may end at the first empty place.
 */
#include "agent/broker/marks.h"

#include <stdlib.h>

#define PLACES_MIN 64u

void mk_marks_done(struct mk_marks *m)
{
	free(m->all);
	*m = (struct mk_marks){ .all = NULL };
}

static size_t home_of(const struct mk_marks *m, struct mk_mark mark)
{
	return (size_t)(mark.value >> 1) & (m->places - 1); /* the lowest bit is set in each, so that none is 0 */
}

static size_t next(const struct mk_marks *m, size_t at)
{
	return (at + 1) & (m->places - 1);
}

void mk_marks_add(struct mk_marks *m, struct mk_mark mark)
{
	size_t at = home_of(m, mark);
	while (m->all[at].value)
		at = next(m, at);
	m->all[at] = mark;
	m->n++;
}

static mk_must grow(struct mk_marks *m)
{
	struct mk_marks more = { .places = m->places ? m->places * 2 : PLACES_MIN };
	more.all = calloc(more.places, sizeof *more.all);
	if (!more.all)
		return MK_NO_MEMORY;
	for (size_t i = 0; i < m->places; i++)
		if (m->all[i].value)
			mk_marks_add(&more, m->all[i]);
	free(m->all);
	*m = more;
	return MK_OK;
}

mk_must mk_marks_room(struct mk_marks *m, size_t more)
{
	while ((m->n + more) * 4 > m->places * 3)
		MK_TRY(grow(m));
	return MK_OK;
}

/* Fills the hole with whichever behind it may stand there, and so on. */
static void close_up(struct mk_marks *m, size_t hole)
{
	for (size_t at = next(m, hole); m->all[at].value; at = next(m, at)) {
		const size_t home = home_of(m, m->all[at]), from_home = (at - home) & (m->places - 1), from_hole = (at - hole) & (m->places - 1);
		if (from_home < from_hole)
			continue; /* its home lies behind the hole */
		m->all[hole] = m->all[at];
		hole = at;
	}
	m->all[hole] = (struct mk_mark){ 0 };
}

void mk_marks_drop(struct mk_marks *m, struct mk_mark mark)
{
	if (m->places == 0)
		return;
	for (size_t at = home_of(m, mark); m->all[at].value; at = next(m, at)) {
		if (m->all[at].value != mark.value || m->all[at].name != mark.name)
			continue;
		close_up(m, at);
		m->n--;
		return;
	}
}

bool mk_marks_twice(const struct mk_marks *m, struct mk_mark mark)
{
	if (m->places == 0)
		return false;
	for (size_t at = home_of(m, mark); m->all[at].value; at = next(m, at))
		if (m->all[at].value == mark.value && m->all[at].name != mark.name)
			return true;
	return false;
}
