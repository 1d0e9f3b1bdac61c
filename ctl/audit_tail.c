/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl audit tail: the last records, and with -f those that come, over rotations.
 * Only reads; knows no key; what it shows is not verified.
 */
#include "agent/audit/line.h"
#include "ctl/audit.h"

#include "agent/base/units.h"
#include "mk/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINES_DEFAULT 10
#define LINES_MAX 100000
#define POLL_MS 200
#define SHOWN_BAD_MAX 120
#define NEXT_MAX (MK_PATH_MAX + 24)

struct tail {
	const char *log, *event, *service;
	bool follow, json;
	uint32_t want;
	char **ring;           /* the last `want` lines that pass; NULL: print at once */
	size_t n;              /* passed so far */
	int fd;
	uint64_t last;         /* seq of the last record read */
	uint8_t buf[MK_RECORD_MAX]; /* the line being read, or the beginning of one that is no record */
	size_t len;
};

static void put_safe(FILE *to, struct mk_span s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] >= 0x20 && s.p[i] < 0x7f)
			fputc(s.p[i], to);
		else
			fprintf(to, "\\x%02x", s.p[i]);
	}
}

/* Long values that only a verifier reads. */
static bool is_dull(struct mk_span key)
{
	static const char *const dull[] = { "key", "link", "prev_mac", "torn_hash", "boot", "format" };
	for (size_t i = 0; i < MK_COUNT(dull); i++)
		if (mk_span_is(key, dull[i]))
			return true;
	return false;
}

void mk_log_show(FILE *to, struct mk_span line)
{
	struct mk_line l;
	struct mk_span key, value;
	bool is_text;
	if (!mk_line_parse(line, &l)) {
		fputs("NOT A RECORD: ", to);
		put_safe(to, mk_span(line.p, line.n < SHOWN_BAD_MAX ? line.n : SHOWN_BAD_MAX));
		fputc('\n', to);
		return;
	}
	fprintf(to, "%.*s %8llu %-6.*s", (int)l.time.n, (const char *)l.time.p, (unsigned long long)l.seq, (int)l.event.n,
		(const char *)l.event.p);
	for (struct mk_span rest = l.fields; rest.n > 0 && mk_line_next(&rest, &key, &value, &is_text);) {
		if (is_dull(key))
			continue;
		const bool quoted = is_text && (value.n == 0 || memchr(value.p, ' ', value.n));
		fprintf(to, " %.*s=%s", (int)key.n, (const char *)key.p, quoted ? "\"" : "");
		put_safe(to, value);
		fputs(quoted ? "\"" : "", to);
	}
	fputc('\n', to);
}

/* l NULL: the line is no record. */
static bool passes(const struct tail *t, const struct mk_line *l)
{
	if (!t->event && !t->service)
		return true;
	if (!l)
		return false;
	return (!t->event || mk_span_is(l->event, t->event)) && (!t->service || mk_line_is(l, "service", t->service));
}

/* What is no record has no place among JSON lines, nor on a terminal as it is. */
static void show(const struct tail *t, struct mk_span line)
{
	struct mk_line l;
	if (t->json && mk_line_parse(line, &l))
		printf("%.*s\n", (int)line.n, (const char *)line.p);
	else
		mk_log_show(t->json ? stderr : stdout, line);
}

static void take(struct tail *t, struct mk_span line)
{
	struct mk_line l;
	const bool record = mk_line_parse(line, &l);
	if (record)
		t->last = l.seq;
	if (!passes(t, record ? &l : NULL))
		return;
	if (!t->ring) {
		show(t, line);
		return;
	}
	if (t->want == 0)
		return;
	char **slot = &t->ring[t->n++ % t->want];
	free(*slot);
	*slot = strndup((const char *)line.p, line.n);
}

static void take_bytes(struct tail *t, const uint8_t *p, size_t n)
{
	while (n > 0) {
		const uint8_t *end = memchr(p, '\n', n);
		const size_t part = end ? (size_t)(end - p) : n, room = sizeof t->buf - t->len;
		const size_t got = part < room ? part : room;
		memcpy(t->buf + t->len, p, got);
		t->len += got;
		if (!end)
			return;
		take(t, mk_span(t->buf, t->len));
		t->len = 0;
		p = end + 1;
		n -= part + 1;
	}
}

/* All that is there now. */
static bool drain(struct tail *t)
{
	static uint8_t piece[65536];
	for (;;) {
		const ssize_t n = read(t->fd, piece, sizeof piece);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0;
		take_bytes(t, piece, (size_t)n);
	}
}

static void show_ring(struct tail *t)
{
	const size_t n = t->n < t->want ? t->n : t->want;
	for (size_t i = t->n - n; i < t->n; i++) {
		const char *line = t->ring[i % t->want];
		if (line)
			show(t, mk_span_of(line));
	}
	for (size_t i = 0; i < t->want; i++)
		free(t->ring[i]);
	free(t->ring);
	t->ring = NULL;
}

static int open_log(const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static bool same_file(int fd, const struct stat *st)
{
	struct stat here;
	return fstat(fd, &here) == 0 && here.st_ino == st->st_ino && here.st_dev == st->st_dev;
}

/* The file behind the one that was read to its end: the segment of the next record, which may have been set aside
 * already; else what stands at the path. The path is opened first, so that nothing comes between. -1: none. */
static int next_file(const struct tail *t, const struct stat *read)
{
	char name[NEXT_MAX];
	const int live = open_log(t->log);
	const int n = snprintf(name, sizeof name, "%s.%020" PRIu64, t->log, t->last + 1);
	const int aside = n > 0 && (size_t)n < sizeof name ? open_log(name) : -1;
	const bool between = aside >= 0 && !same_file(aside, read);
	mk_close(between ? live : aside);
	return between ? aside : live;
}

/* Has another file taken the path, or was this one cut? Then from its beginning, after the rest of the old one.
 * True: there is something new to read. */
static bool reopen(struct tail *t)
{
	struct stat here, there;
	if (stat(t->log, &there) != 0 || fstat(t->fd, &here) != 0)
		return false;
	if (same_file(t->fd, &there) && there.st_size >= lseek(t->fd, 0, SEEK_CUR))
		return false;
	drain(t);
	const int fd = next_file(t, &here);
	if (fd < 0)
		return false;
	mk_close(t->fd);
	t->fd = fd;
	t->len = 0;
	return true;
}

static int follow(struct tail *t)
{
	const struct timespec pause = { .tv_nsec = POLL_MS * 1000000L };
	for (;;) {
		if (!drain(t))
			return mk_ctl_fail(MK_EXIT_FAILED, "%s cannot be read: %s", t->log, strerror(errno));
		if (fflush(stdout) != 0)
			return MK_EXIT_FAILED;
		if (!reopen(t))
			nanosleep(&pause, NULL);
	}
}

static int run(struct tail *t)
{
	struct stat st;
	t->fd = open_log(t->log);
	if (t->fd < 0 || fstat(t->fd, &st) != 0)
		return mk_ctl_fail(MK_EXIT_FAILED, "%s cannot be read: %s", t->log, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return mk_ctl_fail(MK_EXIT_FAILED, "%s is not a file", t->log);
	t->ring = calloc(t->want + 1, sizeof *t->ring);
	if (!t->ring)
		return mk_ctl_fail(MK_EXIT_FAILED, "no memory for %u lines", t->want);
	const bool read_well = drain(t);
	show_ring(t);
	if (!read_well)
		return mk_ctl_fail(MK_EXIT_FAILED, "%s cannot be read: %s", t->log, strerror(errno));
	if (t->follow)
		return follow(t);
	close(t->fd);
	return fflush(stdout) == 0 ? MK_EXIT_DONE : MK_EXIT_FAILED;
}

int mk_ctl_audit_tail(int argc, char **argv)
{
	static struct tail t;
	const char *number = NULL, *words[1];
	size_t n = 0;
	memset(&t, 0, sizeof t);
	const struct mk_option options[] = {
		{ "-n", &number, NULL },           { "-f", NULL, &t.follow },     { "--event", &t.event, NULL },
		{ "--service", &t.service, NULL }, { "--json", NULL, &t.json },
	};
	const int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, MK_COUNT(words), &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (n == 0)
		return mk_ctl_usage("audit", "audit tail wants a LOG");
	t.want = LINES_DEFAULT;
	if (number && (mk_u32_of(mk_span_of(number), &t.want) != MK_OK || t.want > LINES_MAX))
		return mk_ctl_usage("audit", "-n wants a number up to %d, not %s", LINES_MAX, number);
	t.log = words[0];
	return run(&t);
}
