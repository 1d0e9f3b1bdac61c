/* SPDX-License-Identifier: Apache-2.0
 *
 * Notices what is wrong with the log and puts it right: the file gone, written by
 * others, cut, not syncable, the disk full. While it is wrong nothing is written, and
 * each record asked for is refused at once; trying again is the tick's, from every 250 ms
 * to every second, or every minute where a sync failed.
 */
#include "agent/audit/state.h"

#include "agent/base/clock.h"
#include "mk/own.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define BACKOFF_MIN_MS 250
#define BACKOFF_MAX_MS 1000
#define BACKOFF_SYNC_MAX_MS 60000 /* each new try after a failed sync leaves a segment behind */
#define FREE_MIN 65536u /* kept for the record that says so, and the closing one */

static const struct {
	int error;
	const char *word;
} faults[] = {
	{ ENOSPC, "no_space" }, { EDQUOT, "no_space" }, { EFBIG, "no_space" }, { EROFS, "read_only" },
	{ EACCES, "denied" },   { EPERM, "denied" },    { ENOENT, "gone" },    { ESTALE, "gone" },
};

static const char *fault_word(int error)
{
	for (size_t i = 0; i < MK_COUNT(faults); i++)
		if (faults[i].error == error)
			return faults[i].word;
	return "io";
}

void mk_heal_renew(struct mk_audit *a, const char *ended, const char *alarm)
{
	const char *why = a->begin.meant ? a->begin.why : "recover"; /* a start stays one: it cannot prove a link */
	a->begin = (struct mk_begin){ .meant = true, .aside = true, .why = why, .ended = ended };
	if (alarm)
		a->alarm_due = alarm;
}

/* A half record stayed: the next part, in a file of its own, vouches for its length and hash. */
static void renew_torn(struct mk_audit *a)
{
	struct mk_tail tail;
	struct stat st;
	mk_heal_renew(a, "torn", "audit_torn");
	a->segment.torn = false;
	if (fstat(a->segment.fd, &st) != 0 || mk_tail_read(a->segment.fd, (uint64_t)st.st_size, &tail) != MK_OK)
		return;
	a->begin.torn = tail.torn;
	memcpy(a->begin.torn_hash, tail.torn_hash, MK_CHAIN_MAC);
}

static int64_t backoff_max(const struct mk_audit *a)
{
	return a->begin.meant && strcmp(a->begin.ended, "sync") == 0 ? BACKOFF_SYNC_MAX_MS : BACKOFF_MAX_MS;
}

enum mk_err mk_heal_fail(struct mk_audit *a, int error)
{
	if (a->fault[0] == '\0') {
		a->backoff_ms = BACKOFF_MIN_MS;
		a->resumed_due = true;
		a->refused_now = 0;
	} else {
		a->backoff_ms *= 2;
	}
	if (a->backoff_ms > backoff_max(a))
		a->backoff_ms = backoff_max(a);
	a->fault = fault_word(error);
	a->retry_ms = mk_boot_ms() + a->backoff_ms;
	if (a->segment.torn)
		renew_torn(a);
	return MK_AUDIT;
}

static const char *how_it_ended(const struct mk_tail *t)
{
	if (t->damaged)
		return "damaged";
	if (t->torn > 0)
		return "torn";
	if (!t->found)
		return "none";
	return mk_span_is(t->last.event, "close") ? "closed" : "crash";
}

/* The record that the next one follows. False: the page knows of another, so that
 * somebody changed or cut the file while no broker looked. */
static bool find_head(struct mk_audit *a, const struct mk_tail *t)
{
	memset(&a->head, 0, sizeof a->head);
	if (mk_head_fresh(a->page) && t->found) {
		a->head.seq = t->last.seq;
		memcpy(a->head.mac, t->last.mac, MK_CHAIN_MAC);
	}
	if (mk_head_fresh(a->page))
		return true;
	const struct mk_head *known = t->found ? mk_head_find(a->page, t->last.seq, t->last.mac) : NULL;
	a->head = known ? *known : *mk_head_newest(a->page);
	return known != NULL;
}

static void decide(struct mk_audit *a, const struct mk_tail *t)
{
	struct mk_begin *b = &a->begin;
	*b = (struct mk_begin){ .meant = true, .why = mk_head_fresh(a->page) ? "start" : "restart", .ended = how_it_ended(t) };
	b->torn = t->torn;
	memcpy(b->torn_hash, t->torn_hash, MK_CHAIN_MAC);
	if (t->damaged)
		a->alarm_due = "audit_damaged";
	if (!find_head(a, t)) {
		b->ended = "mismatch";
		a->alarm_due = "audit_mismatch";
	}
	b->aside = a->alarm_due || t->torn > 0 || a->segment.size + 2 * MK_RECORD_MAX > a->max_size;
}

mk_must mk_heal_adopt(struct mk_audit *a, struct mk_why *why)
{
	struct mk_tail tail;
	MK_TRY(mk_segment_adopt(&a->segment, &tail, why));
	decide(a, &tail);
	if (tail.state > a->state_found)
		a->state_found = tail.state;
	if (!a->adopted && tail.found)
		mk_ignore(mk_rfc3339_parse(tail.last.time, &a->newest_ms), "one without a time");
	a->adopted = true;
	return MK_OK;
}

static void look_at_space(struct mk_audit *a)
{
	struct statfs fs;
	a->free_bytes = UINT64_MAX;
	if (fstatfs(a->segment.dir, &fs) == 0 && fs.f_blocks > 0) /* some file systems do not say */
		a->free_bytes = (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize;
}

static enum mk_err put_alarm(struct mk_audit *a, const char *code, uint64_t count)
{
	const struct mk_audit_rec rec = { .event = "alarm", .reason = code, .count = count };
	MK_TRY(mk_part_put_rec(a, &rec));
	a->alarm = code;
	return MK_OK;
}

/* A log that nobody finds at its path is gone, although it could still be written. */
static enum mk_err look_at_place(struct mk_audit *a)
{
	const enum mk_segment_place place = mk_segment_place(&a->segment);
	a->replaced = place == MK_PLACE_REPLACED;
	if (place == MK_PLACE_HERE)
		return MK_OK;
	errno = ENOENT;
	return MK_AUDIT;
}

/* Is the file as it was left, and synced as far as is known? Else a new segment is meant now. */
static bool as_left(struct mk_audit *a)
{
	static const struct {
		const char *ended, *alarm;
	} wrong[] = {
		[MK_SEGMENT_GONE] = { "gone", "audit_gone" },
		[MK_SEGMENT_FOREIGN] = { "foreign", "audit_foreign" },
		[MK_SEGMENT_CUT] = { "cut", "audit_cut" },
	};
	const enum mk_segment_state state = a->looked ? MK_SEGMENT_OK : mk_segment_state(&a->segment);
	a->looked = a->in_turn && state == MK_SEGMENT_OK;
	if (state != MK_SEGMENT_OK)
		mk_heal_renew(a, wrong[state].ended, wrong[state].alarm);
	else if (a->sync && mk_sync_error(a->sync) != 0)
		mk_heal_renew(a, "sync", "audit_sync");
	else
		return true;
	return false;
}

/* Does the next record go behind those that stand in the file? Else it goes into a new one. */
static bool goes_on(const struct mk_audit *a)
{
	return a->segment.fd >= 0 && !(a->begin.meant && a->begin.aside);
}

static enum mk_err settle(struct mk_audit *a)
{
	MK_TRY(look_at_place(a));
	look_at_space(a);
	if (a->free_bytes < FREE_MIN) {
		errno = ENOSPC;
		return MK_AUDIT;
	}
	if (!a->adopted)
		MK_TRY(mk_heal_adopt(a, NULL));
	const bool changed = goes_on(a) && !as_left(a); /* much may happen to a file in a fault */
	if (changed || a->begin.meant)
		MK_TRY(mk_part_begin(a));
	if (a->alarm_due)
		MK_TRY(put_alarm(a, a->alarm_due, 0));
	a->alarm_due = NULL;
	if (a->resumed_due)
		MK_TRY(put_alarm(a, "audit_resumed", a->refused_now));
	a->resumed_due = false;
	return MK_OK;
}

mk_must mk_heal_settle(struct mk_audit *a)
{
	errno = 0;
	a->looked = false;
	if (settle(a) != MK_OK)
		return mk_heal_fail(a, errno);
	a->fault = "";
	return MK_OK;
}

static enum mk_err ready(struct mk_audit *a)
{
	if (a->fault[0] != '\0')
		return MK_AUDIT;
	if (!as_left(a))
		return mk_heal_settle(a);
	if (a->segment.size + 2 * MK_RECORD_MAX <= a->max_size)
		return MK_OK;
	if (mk_part_rotate(a) != MK_OK)
		return mk_heal_fail(a, errno);
	return a->alarm_due ? mk_heal_settle(a) : MK_OK;
}

mk_must mk_heal_ready(struct mk_audit *a)
{
	const enum mk_err e = ready(a);
	if (e != MK_OK) {
		a->refused++;
		a->refused_now++;
	}
	return e;
}

void mk_heal_look(struct mk_audit *a)
{
	if (look_at_place(a) != MK_OK) {
		mk_ignore(mk_heal_fail(a, errno), "it is in the status");
		return;
	}
	look_at_space(a);
	if (a->free_bytes < FREE_MIN) {
		if (as_left(a))
			mk_ignore(put_alarm(a, "audit_full", 0), "there is a fault either way");
		mk_ignore(mk_heal_fail(a, ENOSPC), "it is in the status");
		return;
	}
	mk_ignore(ready(a), "a failure is a fault, which the tick heals");
}

void mk_heal_retry(struct mk_audit *a)
{
	if (a->fault[0] != '\0' && mk_boot_ms() >= a->retry_ms)
		mk_ignore(mk_heal_settle(a), "it stays a fault and is tried again");
}
