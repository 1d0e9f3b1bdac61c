/* SPDX-License-Identifier: Apache-2.0
 *
 * The log's face: open, write, count denials, tick, close.
 */
#include "agent/audit/state.h"

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/secret.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define EPOCH_MS 10000
#define HANDOVER_MS 2000
#define HANDOVER_PAUSE_MS 10
#define MAX_SIZE_MIN 16384u /* a smaller max_size is taken as this: a segment holds several records */
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

static struct mk_audit *discard(struct mk_audit *a)
{
	if (!a)
		return NULL;
	mk_sync_stop(a->sync);
	mk_deny_free(a->deny);
	mk_guarded_free(a->key);
	mk_head_unmap(a->page);
	mk_segment_done(&a->segment);
	mk_wipe(a, sizeof *a);
	free(a);
	return NULL;
}

static void discardp(struct mk_audit **a)
{
	*a = discard(*a);
}

static enum mk_err read_boot_id(char out[MK_BOOT_ID_MAX + 1])
{
	char text[MK_BOOT_ID_MAX + 8];
	size_t n;
	mk_fd fd = open(BOOT_ID, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return MK_SYSTEM;
	MK_TRY(mk_file_read(fd, text, sizeof text, &n));
	if (n < MK_BOOT_ID_MAX)
		return MK_SYSTEM;
	memcpy(out, text, MK_BOOT_ID_MAX);
	out[MK_BOOT_ID_MAX] = '\0';
	return MK_OK;
}

static enum mk_err make(const struct mk_conf_audit *conf, const struct mk_word *environment, int head_fd,
			struct mk_audit *a, struct mk_why *why)
{
	if (sodium_init() < 0)
		return MK_SYSTEM;
	memcpy(a->recipient, conf->recipient, sizeof a->recipient);
	a->max_size = conf->max_size < MAX_SIZE_MIN ? MAX_SIZE_MIN : conf->max_size;
	a->keep = conf->keep;
	a->environment = *environment;
	a->fault = a->alarm = "";
	MK_TRY(mk_segment_init(&a->segment, conf->file, why));
	if (read_boot_id(a->boot) != MK_OK)
		return mk_why_at(why, MK_SYSTEM, BOOT_ID, 0, "cannot be read; mount /proc");
	MK_TRY(mk_guarded_new(sizeof(struct mk_chain), &a->key));
	MK_TRY(mk_deny_new(&a->deny));
	return mk_head_map(head_fd, &a->page);
}

/* Is this the disk's trouble, which passes, and not a person's to put right? */
static bool passes(int error)
{
	return error == ENOSPC || error == EDQUOT || error == EROFS || error == EIO || error == ENFILE || error == EFBIG;
}

/* The broker of an agent that was killed may be ending just now: it is given a moment to let go of the log. */
static enum mk_err adopt(struct mk_audit *a, struct mk_why *why)
{
	const struct timespec pause = { .tv_nsec = HANDOVER_PAUSE_MS * 1000000L };
	enum mk_err e = mk_heal_adopt(a, why);
	for (int waited = 0; e == MK_CONFLICT && waited < HANDOVER_MS; waited += HANDOVER_PAUSE_MS) {
		nanosleep(&pause, NULL);
		if (why)
			memset(why, 0, sizeof *why);
		e = mk_heal_adopt(a, why);
	}
	return e;
}

static enum mk_err begin(struct mk_audit *a, const char *file, struct mk_why *why)
{
	errno = 0;
	enum mk_err e = adopt(a, why);
	if (e == MK_OK)
		e = mk_heal_settle(a);
	else if (e == MK_SYSTEM && passes(errno))
		e = mk_heal_fail(a, errno);
	if (e != MK_AUDIT)
		return e;
	if (strcmp(a->fault, "denied") == 0 || strcmp(a->fault, "gone") == 0)
		return mk_why_at(why, MK_DENIED, file, 0, "cannot be written; its directory must be the agent's (uid %u) to write",
				 geteuid());
	return MK_OK; /* not writable now: it says so in its status, and heals */
}

mk_must mk_audit_open(const struct mk_conf_audit *conf, const struct mk_word *environment, int head_fd,
		      struct mk_audit **ret, struct mk_why *why)
{
	mk_auto(discardp) struct mk_audit *a = calloc(1, sizeof *a);
	if (!a)
		return MK_NO_MEMORY;
	a->segment.dir = a->segment.fd = -1;
	a->newest_ms = MK_TIME_NONE;
	if (why)
		memset(why, 0, sizeof *why);
	enum mk_err e = make(conf, environment, head_fd, a, why);
	if (e == MK_OK)
		e = begin(a, conf->file, why);
	if (e != MK_OK && why && !why->text[0])
		mk_why_at(why, e, conf->file, 0, "the audit log cannot be opened (%s)", strerrorname_np(errno));
	if (e != MK_OK)
		return e;
	a->epoch_ms = mk_boot_ms() + EPOCH_MS;
	*ret = MK_TAKE(a);
	return MK_OK;
}

mk_must mk_audit_start_sync(struct mk_audit *a)
{
	int fd = -1;
	const bool open = a->adopted && !a->begin.meant; /* else the thread gets its descriptor when the log heals */
	if (open && mk_segment_second(&a->segment, &fd) != MK_OK) {
		const int error = errno;
		mk_heal_renew(a, "gone", "audit_gone");
		mk_ignore(mk_heal_fail(a, error), "it is in the status, and heals");
	}
	return mk_sync_start(fd, &a->sync);
}

void mk_audit_turn(struct mk_audit *a, bool begins)
{
	a->in_turn = begins;
	a->looked = false;
}

static enum mk_err write_now(struct mk_audit *a, const struct mk_audit_rec *rec)
{
	MK_TRY(mk_heal_ready(a));
	if (mk_part_put_rec(a, rec) == MK_OK)
		return MK_OK;
	const int error = errno;
	mk_ignore(mk_heal_fail(a, error), "said by the result");
	a->refused++;
	a->refused_now++;
	return MK_AUDIT;
}

mk_must mk_audit_write(struct mk_audit *a, const struct mk_audit_rec *rec)
{
	return write_now(a, rec);
}

mk_must mk_audit_write_synced(struct mk_audit *a, const struct mk_audit_rec *rec)
{
	MK_TRY(write_now(a, rec));
	if (mk_segment_sync(&a->segment) == MK_OK)
		return MK_OK;
	mk_heal_renew(a, "sync", "audit_sync"); /* never again on this descriptor */
	mk_ignore(mk_heal_settle(a), "this record is not known to be on disk either way");
	return MK_AUDIT;
}

mk_must mk_audit_deny(struct mk_audit *a, const struct mk_audit_rec *rec)
{
	struct mk_deny_row *row = mk_deny_count(a->deny, rec, mk_boot_ms());
	if (!row)
		return a->fault[0] == '\0' ? MK_OK : MK_AUDIT;
	const struct mk_audit_rec due = mk_deny_rec(row);
	MK_TRY(write_now(a, &due));
	mk_deny_written(row, mk_boot_ms());
	return MK_OK;
}

static void write_denials(struct mk_audit *a, bool all)
{
	struct mk_deny_row *row;
	while ((row = mk_deny_due(a->deny, mk_boot_ms(), all))) {
		const struct mk_audit_rec rec = mk_deny_rec(row);
		if (write_now(a, &rec) != MK_OK)
			return; /* they stay counted */
		mk_deny_written(row, mk_boot_ms());
	}
}

static void write_epoch(struct mk_audit *a)
{
	if (mk_boot_ms() < a->epoch_ms || mk_heal_ready(a) != MK_OK)
		return;
	struct mk_jw w = mk_part_record(a, "epoch");
	mk_jw_knum(&w, "grants", (int64_t)a->grants);
	mk_jw_knum(&w, "denials", (int64_t)a->denials);
	mk_jw_knum(&w, "refused", (int64_t)a->refused);
	mk_part_put_state(a, &w);
	if (mk_part_put(a, &w) == MK_OK)
		a->epoch_ms = mk_boot_ms() + EPOCH_MS;
	else
		mk_ignore(mk_heal_fail(a, errno), "it is in the status");
}

void mk_audit_state(struct mk_audit *a, uint64_t generation)
{
	if (a->state == generation)
		return;
	a->state = generation;
	a->epoch_ms = 0;
	if (a->fault[0] == '\0')
		write_epoch(a); /* else the first record of when it has healed says so */
}

void mk_audit_tick(struct mk_audit *a)
{
	mk_heal_retry(a);
	if (a->fault[0] == '\0')
		mk_heal_look(a);
	if (a->fault[0] == '\0')
		write_denials(a, false);
	if (a->fault[0] == '\0')
		write_epoch(a);
}

struct mk_audit *mk_audit_close(struct mk_audit *a)
{
	if (!a)
		return NULL;
	if (a->fault[0] != '\0')
		mk_ignore(mk_heal_settle(a), "one last try");
	if (a->fault[0] == '\0')
		write_denials(a, true);
	if (a->fault[0] == '\0' && mk_heal_ready(a) == MK_OK && mk_part_put_close(a, "stop") == MK_OK)
		mk_ignore(mk_segment_sync(&a->segment), "nothing can be told any more");
	return discard(a);
}

void mk_audit_status(const struct mk_audit *a, struct mk_audit_status *ret)
{
	*ret = (struct mk_audit_status){
		.writable = a->fault[0] == '\0',
		.fault = a->fault,
		.alarm = a->alarm,
		.seq = a->head.seq,
		.free_bytes = a->free_bytes,
		.grants = a->grants,
		.denials = a->denials,
		.refused = a->refused,
		.replaced = a->replaced,
		.state_found = a->state_found,
		.newest_ms = a->newest_ms,
	};
	mk_chain_hex(a->head.mac, ret->head);
}
