/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl audit verify: feeds the segments to the verifier and says what it found,
 * for people or as JSON. Says plainly what was not proven.
 */
#include "agent/audit/verify.h"
#include "ctl/audit.h"

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "agent/base/guarded.h"
#include "agent/base/jw.h"
#include "agent/base/secret.h"
#include "agent/base/units.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOGS_MAX 1024
#define SHOWN_MAX 50 /* findings shown; all are counted */
#define JSON_MAX 1048576 /* room for SHOWN_MAX findings with the longest paths */
#define KEY_FILE_MAX 128
#define PIECE 65536
#define AGAIN_MS 100 /* a record that the agent is just writing is whole by then */

struct request {
	const char *key, *expect, *environment;
	bool all, no_key, json;
	const char *logs[LOGS_MAX];
	size_t n;
};

struct outcome {
	const struct request *r;
	unsigned shown, hidden;
	struct mk_jw json;
	char first[1024];
	char buf[JSON_MAX];
};

static void show_json(struct outcome *o, const struct mk_finding *f)
{
	struct mk_jw *w = &o->json;
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "kind", f->note ? "note" : mk_fault_word(f->fault));
	mk_jw_kstr(w, "file", f->file[0] ? f->file : NULL);
	mk_jw_knum(w, "line", (int64_t)f->line);
	mk_jw_knum(w, "seq", (int64_t)f->seq);
	mk_jw_kstr(w, "text", f->text);
	mk_jw_close(w, '}');
}

static void place_of(const struct mk_finding *f, char *buf, size_t cap)
{
	if (f->file[0])
		snprintf(buf, cap, "%s:%lu: ", f->file, f->line);
	else
		buf[0] = '\0';
}

static void on_finding(void *arg, const struct mk_finding *f)
{
	struct outcome *o = arg;
	char place[512], seq[40] = "";
	place_of(f, place, sizeof place);
	if (f->seq > 0)
		snprintf(seq, sizeof seq, " (record %" PRIu64 ")", f->seq);
	if (!f->note && !o->first[0])
		snprintf(o->first, sizeof o->first, "%s%s: %s%s", place, mk_fault_word(f->fault), f->text, seq);
	if (o->shown++ >= SHOWN_MAX)
		o->hidden++;
	else if (o->r->json)
		show_json(o, f);
	else if (f->note)
		printf("note   %s%s%s\n", place, f->text, seq);
	else
		printf("FAULT  %s%s: %s%s\n", place, mk_fault_word(f->fault), f->text, seq);
}

/* The secret half, 32 bytes into guarded memory. */
static enum mk_err read_key(const char *file, uint8_t *half, struct mk_why *why)
{
	char text[KEY_FILE_MAX];
	size_t n = 0, len = 0;
	int opened;
	MK_TRY(mk_file_open(file, MK_FILE_PRIVATE, &opened, why));
	mk_fd fd = opened;
	enum mk_err e = mk_file_read(fd, text, sizeof text, &n);
	if (e == MK_OK && n > 0 && text[n - 1] == '\n')
		n--;
	const int variant = sodium_base64_VARIANT_ORIGINAL;
	if (e == MK_OK && (sodium_base642bin(half, 32, text, n, NULL, &len, NULL, variant) != 0 || len != 32))
		e = MK_BAD_REQUEST;
	mk_wipe(text, sizeof text);
	if (e != MK_OK)
		mk_why_at(why, e, file, 0, "is no auditor's key; give the file that `makinictl audit keygen` wrote");
	return e;
}

static bool parse_expect(const char *text, struct mk_verify_conf *c)
{
	int64_t seq;
	const char *colon = strchr(text, ':');
	if (!colon || mk_i64_of(mk_span(text, (size_t)(colon - text)), &seq) != MK_OK || seq < 1)
		return false;
	c->expects = true;
	c->expect_seq = (uint64_t)seq;
	return mk_chain_unhex(mk_span_of(colon + 1), c->expect_mac);
}

/* All of a file, in pieces. Where it ends within a line it looks once more. */
static enum mk_err feed(struct mk_verify *v, const struct mk_log_file *file, struct mk_why *why)
{
	const char *path = file->path;
	struct stat st;
	static uint8_t buf[PIECE];
	uint8_t last = '\n';
	bool again = true;
	mk_fd fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) != 0)
		return mk_why_at(why, MK_NOT_FOUND, path, 0, "cannot be read: %s", strerror(errno));
	if (st.st_dev != file->dev || st.st_ino != file->ino)
		return mk_why_at(why, MK_CONFLICT, path, 0, "was rotated just now; run verify again, or on a copy");
	mk_verify_file(v, path);
	for (;;) {
		const ssize_t n = read(fd, buf, sizeof buf);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return mk_why_at(why, MK_SYSTEM, path, 0, "cannot be read: %s", strerror(errno));
		if (n == 0 && (last == '\n' || !again))
			return MK_OK;
		if (n == 0) {
			const struct timespec t = { .tv_nsec = AGAIN_MS * 1000000L };
			nanosleep(&t, NULL);
			again = false;
			continue;
		}
		mk_verify_bytes(v, mk_span(buf, (size_t)n));
		last = buf[n - 1];
	}
}

/* Without a fault every record is proven; that it is so is looked at nevertheless. */
static bool is_good(const struct request *r, const struct mk_verify_report *rep)
{
	return rep->records > 0 && rep->faults == 0 && (r->no_key || rep->verified == rep->records);
}

static const char *verdict_text(const struct request *r, const struct mk_verify_report *rep)
{
	if (rep->records == 0)
		return "NOT OK: there is no record";
	if (!is_good(r, rep))
		return "NOT OK";
	if (r->no_key)
		return "FORM OK: order and form hold. Without the key this proves nothing about who wrote the records,\n"
		       "or whether they were changed: anybody can make such a file";
	return "OK: every record is as it was written";
}

static void report_text(const struct outcome *o, const struct mk_verify_report *rep)
{
	if (o->hidden > 0)
		printf("       and %u findings more\n", o->hidden);
	if (rep->records > 0) {
		printf("environment %s, records %" PRIu64 " to %" PRIu64 ", %s to %s\n", rep->environment.s, rep->first_seq,
		       rep->last_seq, rep->first_time, rep->last_time);
		printf("%" PRIu64 " starts, %" PRIu64 " restarts, %" PRIu64 " rotations, %" PRIu64 " recoveries; %" PRIu64
		       " grants, %" PRIu64 " denials, %" PRIu64 " alarms\n", rep->starts, rep->restarts, rep->rotations,
		       rep->recoveries, rep->grants, rep->denials, rep->alarms);
		printf("head %" PRIu64 ":%s\n", rep->last_seq, rep->head);
	}
	printf("%s", verdict_text(o->r, rep));
	if (rep->faults > 0)
		printf(": %" PRIu64 " faults; %" PRIu64 " of %" PRIu64 " records proven. The first (others may follow from it):\n  %s",
		       rep->faults, rep->verified, rep->records, o->first);
	printf("\n");
}

static bool report_json(struct outcome *o, const struct mk_verify_report *rep)
{
	struct mk_jw *w = &o->json;
	size_t n = 0;
	mk_jw_close(w, ']');
	mk_jw_kbool(w, "ok", is_good(o->r, rep));
	mk_jw_kbool(w, "proven", !o->r->no_key && is_good(o->r, rep));
	mk_jw_kstr(w, "environment", rep->environment.s);
	const struct {
		const char *key;
		uint64_t n;
	} rows[] = {
		{ "records", rep->records },   { "verified", rep->verified },   { "faults", rep->faults },
		{ "notes", rep->notes },       { "first_seq", rep->first_seq }, { "last_seq", rep->last_seq },
		{ "starts", rep->starts },     { "restarts", rep->restarts },   { "rotations", rep->rotations },
		{ "recoveries", rep->recoveries }, { "grants", rep->grants },   { "denials", rep->denials },
		{ "alarms", rep->alarms },     { "findings_hidden", o->hidden },
	};
	for (size_t i = 0; i < MK_COUNT(rows); i++)
		mk_jw_knum(w, rows[i].key, (int64_t)rows[i].n);
	mk_jw_kbool(w, "closed", rep->closed);
	mk_jw_kstr(w, "first_time", rep->first_time);
	mk_jw_kstr(w, "last_time", rep->last_time);
	mk_jw_kstr(w, "head", rep->head);
	mk_jw_close(w, '}');
	return mk_jw_end(w, &n) == MK_OK && printf("%.*s\n", (int)n, o->buf) > 0;
}

static enum mk_err verify_files(const struct request *r, const struct mk_verify_conf *conf, struct mk_verify_report *rep,
				struct mk_why *why)
{
	struct mk_log_files f = { NULL, 0 };
	struct mk_verify *v = NULL;
	MK_TRY(mk_log_files_of(r->logs, r->n, r->all, &f, why));
	enum mk_err e = mk_verify_new(conf, &v);
	for (size_t i = 0; e == MK_OK && i < f.n; i++)
		e = feed(v, &f.files[i], why);
	if (e == MK_OK)
		mk_verify_end(v, rep);
	mk_verify_free(v);
	mk_log_files_done(&f);
	return e;
}

static int verify(const struct request *r, struct mk_verify_conf *conf)
{
	static struct outcome o;
	struct mk_verify_report rep = { 0 };
	struct mk_why why = { .text = "" };
	memset(&o, 0, sizeof o);
	o.r = r;
	o.json = mk_jw_of(o.buf, sizeof o.buf);
	mk_jw_open(&o.json, '{');
	mk_jw_key(&o.json, "findings");
	mk_jw_open(&o.json, '[');
	conf->whole = r->all;
	conf->tell = on_finding;
	conf->arg = &o;
	conf->now_ms = mk_wall_ms();
	const enum mk_err e = verify_files(r, conf, &rep, &why);
	if (e != MK_OK)
		return mk_ctl_why(e, &why);
	if (!r->json)
		report_text(&o, &rep);
	else if (!report_json(&o, &rep))
		return mk_ctl_fail(MK_EXIT_FAILED, "the findings do not fit or cannot be written: run it without --json");
	return is_good(r, &rep) && fflush(stdout) == 0 ? MK_EXIT_DONE : MK_EXIT_FAILED;
}

static int verify_with_key(const struct request *r, struct mk_verify_conf *conf)
{
	struct mk_why why = { .text = "" };
	struct mk_guarded *g = NULL;
	if (sodium_init() < 0 || mk_guarded_new(32, &g) != MK_OK)
		return mk_ctl_fail(MK_EXIT_FAILED, "no guarded memory for the key (ulimit -l)");
	uint8_t *half = mk_guarded_open(g);
	const enum mk_err e = read_key(r->key, half, &why);
	conf->auditor_key = half;
	const int rc = e == MK_OK ? verify(r, conf) : mk_ctl_why(e, &why);
	mk_guarded_close(g);
	mk_guarded_free(g);
	return rc;
}

int mk_ctl_audit_verify(int argc, char **argv)
{
	static struct request r;
	struct mk_verify_conf conf = { 0 };
	memset(&r, 0, sizeof r);
	const struct mk_option options[] = {
		{ "--key", &r.key, NULL },       { "--expect", &r.expect, NULL }, { "--env", &r.environment, NULL },
		{ "--all", NULL, &r.all },       { "--no-key", NULL, &r.no_key }, { "--json", NULL, &r.json },
	};
	const int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), r.logs, LOGS_MAX, &r.n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (r.n == 0)
		return mk_ctl_usage("audit", "audit verify wants a LOG");
	if ((r.key != NULL) == r.no_key)
		return mk_ctl_usage("audit", "audit verify wants --key FILE, the auditor's secret key; or else --no-key, "
					     "which proves much less");
	if (r.expect && !parse_expect(r.expect, &conf))
		return mk_ctl_usage("audit", "--expect wants SEQ:MAC as verify and status print it, not %s", r.expect);
	if (r.environment && mk_word_of(mk_span_of(r.environment), &conf.environment) != MK_OK)
		return mk_ctl_usage("audit", "--env wants an environment's name, not %s", r.environment);
	return r.no_key ? verify(&r, &conf) : verify_with_key(&r, &conf);
}
