/* SPDX-License-Identifier: Apache-2.0
 *
 * The wall clock, judged by the boot clock. The newest wall time that was seen is carried on
 * by the boot clock; now is the later of that and what the wall clock says. So a clock that is
 * set back, stands still or starts in 1970 makes nothing alive that was over; one that jumps
 * ahead is followed, as nobody can tell a wrong jump from a right one, and said. One that jumps
 * ahead and then comes back to where the boot clock says that it would be was wrong only meanwhile.
 * A restart within one boot of the kernel changes nothing of this.
 * Pure: times are handed in. Knows nothing of revocations, which have no time.
 */
#ifndef MK_WALL_H
#define MK_WALL_H

#include <stdbool.h>
#include <stdint.h>

#define MK_WALL_BOUND_MS INT64_C(60000)         /* so far the clocks may part in daily life, within an hour forwards */
#define MK_WALL_DOUBT_MS INT64_C(86400000)      /* so long a jump is told, and may prove to have been wrong */
#define MK_WALL_FIRST_MS INT64_C(1767225600000) /* 2026-01-01: this program is younger */

struct mk_moment { int64_t wall_ms, boot_ms; };

struct mk_wall { /* zeroed: nothing is held against the wall clock yet */
	bool begun, behind, jumped;
	bool handed;             /* the newest time is from before this process: how long ago that was is not known */
	struct mk_moment newest; /* seen */
	struct mk_moment base;   /* that steps forward are measured from */
	struct mk_moment before; /* jumped: the newest time seen, without the jump */
	int64_t jumped_ms;       /* boot clock */
};

/* What the next start is told. */
#define MK_BOOT_ID 36
struct mk_wall_saved {
	char boot_id[MK_BOOT_ID + 1]; /* the kernel's: elsewhere its boot clock says nothing. Empty: not known */
	struct mk_moment newest, before;
	int64_t jumped_ms; /* 0: no jump is in doubt */
	bool handed;
};

void mk_wall_begin(struct mk_wall *w, int64_t wall_ms, int64_t boot_ms);
void mk_wall_save(const struct mk_wall *w, int64_t boot_ms, struct mk_wall_saved *ret); /* as of the last look */
/* In the same boot: goes on as if there had been no start between. False: it cannot have been saved by this boot clock. */
bool mk_wall_resume(struct mk_wall *w, const struct mk_wall_saved *from, int64_t boot_ms);
/* Somebody knows of a newer time: it cannot be earlier than that by now. Beyond the year 9999: is not believed. */
void mk_wall_not_before(struct mk_wall *w, int64_t wall_ms, int64_t boot_ms);
/* What counts as the wall clock; never back but where a jump was undone. */
int64_t mk_wall_now(const struct mk_wall *w, int64_t wall_ms, int64_t boot_ms);

/* What the broker keeps of it (now.c). */
struct mk_wall_kept {
	bool accept;      /* at a start the wall clock counts, whatever was seen before */
	bool log_asked;   /* for the time of its last record, that is */
	int64_t at_ms;    /* boot clock: when the newest time was written */
	char boot_id[MK_BOOT_ID + 1];
};

enum mk_wall_news {
	MK_WALL_QUIET,
	MK_WALL_JUMPED,    /* ahead */
	MK_WALL_UNDONE,    /* that jump was wrong: all that was judged by it may be judged again */
	MK_WALL_SETTLED,   /* that jump was a day ago */
	MK_WALL_BEHIND,    /* set back, stands still, or too slow */
	MK_WALL_CAUGHT_UP
};
/* What is new since the last look. Often: what happens between two looks is one step. */
enum mk_wall_news mk_wall_look(struct mk_wall *w, int64_t wall_ms, int64_t boot_ms);

#endif
