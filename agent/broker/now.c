/* SPDX-License-Identifier: Apache-2.0
 *
 * After a jump ahead either clock may be the wrong one: a machine that was paused has a boot
 * clock that is late, so that what is held is older than it seems. So all is fetched again
 * before it is served or refused; the store has the last word on what it holds.
 */
#include "agent/broker/now.h"

#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/broker/fetch.h"
#include "agent/broker/tell.h"
#include "mk/own.h"

#include <fcntl.h>
#include <unistd.h>

#define KEEP_MS        INT64_C(600000) /* a power cut loses so much of the newest time, unless the log has it … */
#define KEEP_BEHIND_MS INT64_C(60000)  /* … whose records have the wall clock's, which is no use then */
#define APART_MS       1000            /* two readings of one moment */

/* Both clocks of one moment: who stood between two readings, or slept, would see a jump. */
static struct mk_moment clocks(void)
{
	struct mk_moment m;
	do {
		m.boot_ms = mk_boot_ms();
		m.wall_ms = mk_wall_ms();
	} while (mk_boot_ms() - m.boot_ms > APART_MS);
	return m;
}

int64_t mk_now_ms(const struct mk_broker *b)
{
	return mk_wall_now(&b->wall, mk_wall_ms(), mk_boot_ms());
}

const char *mk_now_doubt(const struct mk_broker *b)
{
	if (b->wall.behind)
		return mk_alarm_word(MK_ALARM_CLOCK_BEHIND);
	return b->wall.jumped ? mk_alarm_word(MK_ALARM_CLOCK_JUMPED) : NULL;
}

void mk_now_keep(struct mk_broker *b)
{
	struct mk_wall_saved saved;
	b->wall_kept.at_ms = mk_boot_ms();
	mk_wall_save(&b->wall, b->wall_kept.at_ms, &saved);
	memcpy(saved.boot_id, b->wall_kept.boot_id, sizeof saved.boot_id);
	if (b->db && b->wall.begun && mk_statedb_set_newest(b->db, &saved) != MK_OK)
		mk_log(MK_WARN, "newest_time_not_kept", MK_KV_S("fault", mk_statedb_fault(b->db)));
}

static void record(struct mk_broker *b, enum mk_alarm_code code)
{
	const struct mk_audit_rec rec = { .event = "alarm", .reason = mk_alarm_word(code), .rule_line = -1 };
	mk_alarm_raise(b, code, "");
	if (b->audit)
		mk_ignore(mk_audit_write(b->audit, &rec), "the alarm stands");
}

static void tell(struct mk_broker *b, enum mk_wall_news news)
{
	if (news == MK_WALL_JUMPED)
		record(b, MK_ALARM_CLOCK_JUMPED);
	if (news == MK_WALL_BEHIND)
		record(b, MK_ALARM_CLOCK_BEHIND);
	if (!b->wall.jumped)
		mk_alarm_clear(b, MK_ALARM_CLOCK_JUMPED, "");
	if (!b->wall.behind)
		mk_alarm_clear(b, MK_ALARM_CLOCK_BEHIND, "");
	if (news == MK_WALL_JUMPED || news == MK_WALL_UNDONE || news == MK_WALL_CAUGHT_UP)
		mk_fetch_changed_all(b);
	if (news == MK_WALL_UNDONE)
		mk_tell_resync(b); /* who was refused would not ask again for what is alive again */
	mk_now_keep(b);
}

void mk_now_look(struct mk_broker *b)
{
	const struct mk_moment m = clocks();
	const enum mk_wall_news news = mk_wall_look(&b->wall, m.wall_ms, m.boot_ms);
	if (news != MK_WALL_QUIET)
		tell(b, news);
}

/* The log may be read only later, when its disk has healed. */
static void ask_log(struct mk_broker *b)
{
	struct mk_audit_status s;
	if (b->wall_kept.accept || b->wall_kept.log_asked)
		return;
	mk_audit_status(b->audit, &s);
	if (s.newest_ms == MK_TIME_NONE)
		return;
	b->wall_kept.log_asked = true;
	mk_wall_not_before(&b->wall, s.newest_ms, mk_boot_ms());
}

/* Nobody knows how long the machine was off: what waited for a second person has waited long enough. */
static void end_proposals(struct mk_broker *b)
{
	struct mk_proposal all[MK_PROPOSALS_MAX];
	size_t n = 0;
	if (b->db)
		mk_ignore(mk_statedb_proposals(b->db, INT64_MAX - MK_WALL_BOUND_MS, all, &n), "each expires by itself");
}

static void find_boot_id(char ret[MK_BOOT_ID + 1])
{
	mk_auto(mk_closep) int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	const bool found = fd >= 0 && read(fd, ret, MK_BOOT_ID) == MK_BOOT_ID;
	ret[found ? MK_BOOT_ID : 0] = '\0';
}

/* What was seen before: in the same boot it is known how long ago that was. */
static void go_on(struct mk_broker *b)
{
	struct mk_wall_saved kept = { .newest.wall_ms = MK_WALL_FIRST_MS };
	const struct mk_moment m = clocks();
	if (b->db)
		mk_ignore(mk_statedb_newest(b->db, &kept), "the audit log knows, too");
	if (kept.boot_id[0] && strcmp(kept.boot_id, b->wall_kept.boot_id) == 0 && mk_wall_resume(&b->wall, &kept, m.boot_ms)) {
		b->wall_kept.log_asked = true; /* its last record may be of a jump that was undone */
		return;
	}
	mk_wall_not_before(&b->wall, MK_WALL_FIRST_MS, m.boot_ms);
	mk_wall_not_before(&b->wall, kept.newest.wall_ms, m.boot_ms);
}

/* What was over may be served again. */
static void note_accepted(struct mk_broker *b, int64_t wall_ms)
{
	const struct mk_audit_rec rec = { .event = "alarm", .reason = mk_alarm_word(MK_ALARM_CLOCK_BEHIND), .detail = "accepted", .rule_line = -1 };
	struct mk_wall_saved kept;
	if (!b->db || mk_statedb_newest(b->db, &kept) != MK_OK || kept.newest.wall_ms - wall_ms <= MK_WALL_BOUND_MS)
		return;
	mk_log(MK_WARN, "clock_behind_accepted");
	mk_ignore(mk_audit_write(b->audit, &rec), "it is in the process log");
}

void mk_now_start(struct mk_broker *b)
{
	const struct mk_moment m = clocks();
	find_boot_id(b->wall_kept.boot_id);
	mk_wall_begin(&b->wall, m.wall_ms, m.boot_ms);
	if (b->wall_kept.accept)
		note_accepted(b, m.wall_ms);
	else
		go_on(b);
	ask_log(b);
	const bool jumped = b->wall.jumped;
	mk_now_look(b);
	if (jumped && b->wall.jumped)
		record(b, MK_ALARM_CLOCK_JUMPED); /* it is in doubt still */
	if (b->wall.behind)
		end_proposals(b);
	mk_now_keep(b);
}

void mk_now_tick(struct mk_broker *b)
{
	ask_log(b);
	mk_now_look(b);
	if (mk_boot_ms() - b->wall_kept.at_ms >= (b->wall.behind ? KEEP_BEHIND_MS : KEEP_MS))
		mk_now_keep(b);
}
