/* SPDX-License-Identifier: Apache-2.0
 *
 * The process log. One line is one write(2), so that lines of several processes on one
 * pipe do not mix. A line that would be too long is written again with shorter texts
 * and says so ("cut":true). Never allocates, never fails: without a reader it is silent.
 */
#include "agent/base/log.h"

#include "agent/base/clock.h"
#include "agent/base/jw.h"
#include "mk/own.h"

#include <errno.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static struct {
	const char *role;
	struct mk_word env;
	enum mk_level least;
} settings = { .role = "", .least = MK_INFO };

void mk_log_init(const char *role)
{
	settings.role = role;
}

void mk_log_env(const struct mk_word *environment)
{
	settings.env = *environment;
}

void mk_log_level(enum mk_level least)
{
	settings.least = least;
}

static const char *level_word(enum mk_level level)
{
	static const char *const words[] = { "debug", "info", "warn", "error", "alarm" };
	return (unsigned)level < MK_COUNT(words) ? words[level] : words[MK_ERROR];
}

struct line {
	enum mk_level level;
	const char *event;
	const struct mk_kv *kv;
	unsigned n;
};

static void put_head(struct mk_jw *w, const struct line *line)
{
	char time[MK_RFC3339_MAX];
	mk_rfc3339(mk_wall_ms(), true, time);
	mk_jw_kstr(w, "time", time);
	mk_jw_kstr(w, "level", level_word(line->level));
	if (settings.env.s[0])
		mk_jw_kstr(w, "env", settings.env.s);
	mk_jw_kstr(w, "role", settings.role);
	mk_jw_kstr(w, "event", line->event);
}

/* The line with texts of at most text_max bytes; its length, or 0 where it does not fit. */
static size_t put_line(char *buf, const struct line *line, size_t text_max)
{
	struct mk_jw w = mk_jw_of(buf, LINE_MAX_BYTES - 1);
	bool cut = false;
	mk_jw_open(&w, '{');
	put_head(&w, line);
	for (unsigned i = 0; i < line->n; i++) {
		const struct mk_kv *kv = &line->kv[i];
		if (!kv->text) {
			mk_jw_knum(&w, kv->key, kv->number);
			continue;
		}
		const size_t n = strnlen(kv->text, text_max + 1);
		cut |= n > text_max;
		mk_jw_kspan(&w, kv->key, mk_span(kv->text, n > text_max ? text_max : n));
	}
	if (cut)
		mk_jw_kbool(&w, "cut", true);
	mk_jw_close(&w, '}');
	size_t len;
	if (mk_jw_end(&w, &len) != MK_OK)
		return 0;
	buf[len] = '\n';
	return len + 1;
}

void mk_log_(enum mk_level level, const char *event, const struct mk_kv *kv, unsigned n)
{
	static const size_t text_max[] = { LINE_MAX_BYTES, 1024, 512, 256, 128, 64, 16, 0 };
	if (level < settings.least)
		return;
	const int saved = errno;
	char buf[LINE_MAX_BYTES];
	const struct line line = { level, event, kv, n };
	size_t len = 0;
	for (size_t i = 0; i < MK_COUNT(text_max) && len == 0; i++)
		len = put_line(buf, &line, text_max[i]);
	if (len == 0) {
		static const struct mk_kv none = MK_KV_S("cut", "all");
		len = put_line(buf, &(struct line){ level, event, &none, 1 }, LINE_MAX_BYTES);
	}
	while (write(STDERR_FILENO, buf, len) < 0 && errno == EINTR)
		;
	errno = saved;
}

void mk_log_why(enum mk_level level, const char *event, enum mk_err e, const struct mk_why *why)
{
	struct mk_kv kv[4] = { MK_KV_S("err", mk_err_word(e)) };
	unsigned n = 1;
	if (why->file[0])
		kv[n++] = MK_KV_S("file", why->file);
	if (why->line)
		kv[n++] = MK_KV_N("line", why->line);
	if (why->text[0])
		kv[n++] = MK_KV_S("why", why->text);
	mk_log_(level, event, kv, n);
}
