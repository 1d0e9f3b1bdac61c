/* SPDX-License-Identifier: Apache-2.0
 *
 * Two clocks and three moments. Small steps back are not followed: what counts stays ahead of
 * the wall clock by as much, until that has caught up.
 */
#include "agent/broker/wall.h"

#define BASE_MS INT64_C(3600000)          /* steps forward are summed up for so long */
#define LAST_MS INT64_C(253402300800000)  /* the year 10000 */

static int64_t carried(const struct mk_moment *m, int64_t boot_ms)
{
	return m->wall_ms + (boot_ms - m->boot_ms);
}

void mk_wall_begin(struct mk_wall *w, int64_t wall_ms, int64_t boot_ms)
{
	const struct mk_moment now = { wall_ms, boot_ms };
	*w = (struct mk_wall){ .begun = true, .newest = now, .base = now };
}

void mk_wall_save(const struct mk_wall *w, int64_t boot_ms, struct mk_wall_saved *ret)
{
	*ret = (struct mk_wall_saved){ .newest = { carried(&w->newest, boot_ms), boot_ms }, .handed = w->handed };
	if (w->jumped) {
		ret->before = w->before;
		ret->jumped_ms = w->jumped_ms;
	}
}

/* What stands in a file may be anything. */
static bool sane(const struct mk_moment *m, int64_t boot_ms)
{
	return m->wall_ms >= 0 && m->wall_ms < LAST_MS && m->boot_ms >= 0 && m->boot_ms <= boot_ms;
}

bool mk_wall_resume(struct mk_wall *w, const struct mk_wall_saved *from, int64_t boot_ms)
{
	if (!sane(&from->newest, boot_ms) || !sane(&from->before, boot_ms) || from->jumped_ms < 0 || from->jumped_ms > boot_ms)
		return false;
	*w = (struct mk_wall){ .begun = true, .handed = from->handed, .newest = from->newest, .base = from->newest,
			       .jumped = from->jumped_ms != 0, .before = from->before, .jumped_ms = from->jumped_ms };
	return true;
}

void mk_wall_not_before(struct mk_wall *w, int64_t wall_ms, int64_t boot_ms)
{
	if (wall_ms >= LAST_MS || wall_ms <= carried(&w->newest, boot_ms))
		return;
	w->newest = w->base = (struct mk_moment){ wall_ms, boot_ms };
	w->handed = true;
}

int64_t mk_wall_now(const struct mk_wall *w, int64_t wall_ms, int64_t boot_ms)
{
	const int64_t least = carried(&w->newest, boot_ms);
	return w->begun && least > wall_ms ? least : wall_ms;
}

static enum mk_wall_news follow(struct mk_wall *w, const struct mk_moment *now, bool jumped)
{
	w->before = jumped ? w->newest : w->before;
	w->jumped = w->jumped || jumped;
	w->jumped_ms = jumped ? now->boot_ms : w->jumped_ms;
	if (jumped || w->handed || now->boot_ms - w->base.boot_ms >= BASE_MS)
		w->base = *now;
	w->newest = *now;
	w->handed = false;
	return jumped ? MK_WALL_JUMPED : MK_WALL_QUIET;
}

/* A jump that is in doubt. */
static enum mk_wall_news settle(struct mk_wall *w, const struct mk_moment *now)
{
	const int64_t was = carried(&w->before, now->boot_ms), off = now->wall_ms - was;
	if (off >= -MK_WALL_BOUND_MS && off <= MK_WALL_BOUND_MS) {
		w->newest = w->base = (struct mk_moment){ off > 0 ? now->wall_ms : was, now->boot_ms };
		w->jumped = w->behind = false;
		return MK_WALL_UNDONE;
	}
	if (now->boot_ms - w->jumped_ms < MK_WALL_DOUBT_MS)
		return MK_WALL_QUIET;
	w->jumped = false;
	return MK_WALL_SETTLED;
}

/* One that was behind has caught up where it is well within the bound, so that it does not come and go at its edge. */
static enum mk_wall_news lag(struct mk_wall *w, int64_t ahead)
{
	const bool was = w->behind;
	if (ahead < -MK_WALL_BOUND_MS)
		w->behind = true;
	else if (ahead >= -MK_WALL_BOUND_MS / 2)
		w->behind = false;
	if (w->behind == was)
		return MK_WALL_QUIET;
	return was ? MK_WALL_CAUGHT_UP : MK_WALL_BEHIND;
}

enum mk_wall_news mk_wall_look(struct mk_wall *w, int64_t wall_ms, int64_t boot_ms)
{
	const struct mk_moment now = { wall_ms, boot_ms };
	const int64_t ahead = wall_ms - carried(&w->newest, boot_ms);
	enum mk_wall_news news = MK_WALL_QUIET;
	if (!w->begun)
		return MK_WALL_QUIET;
	if (w->jumped)
		news = settle(w, &now);
	if (news == MK_WALL_QUIET && ahead >= 0)
		news = follow(w, &now, !w->handed && wall_ms - carried(&w->base, boot_ms) > MK_WALL_BOUND_MS);
	return news == MK_WALL_QUIET ? lag(w, ahead) : news; /* one at a time: the next look tells the other */
}
