/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes into lines, with one line of look-ahead; findings to their listener.
 */
#include "agent/audit/verifier.h"

#include "agent/base/secret.h"
#include "mk/own.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define JUMPS_MAX (1u << 20) /* key steps over missing records, in all: a hostile log costs half a second at most */

static const char *const fault_words[MK_FAULT_COUNT] = {
#define WORD(name, word) word,
	MK_FAULT_LIST(WORD)
#undef WORD
};

const char *mk_fault_word(enum mk_fault f)
{
	return (unsigned)f < MK_FAULT_COUNT ? fault_words[f] : "unknown";
}

__attribute__((format(printf, 3, 0)))
static void tell(struct mk_verify *v, struct mk_finding *f, const char *fmt, va_list ap)
{
	vsnprintf(f->text, sizeof f->text, fmt, ap);
	for (char *c = f->text; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
	if (v->conf.tell)
		v->conf.tell(v->conf.arg, f);
}

void mk_verify_fault(struct mk_verify *v, struct mk_place at, uint64_t seq, enum mk_fault fault, const char *fmt, ...)
{
	struct mk_finding f = { .fault = fault, .file = at.file, .line = at.line, .seq = seq };
	va_list ap;
	v->r.faults++;
	va_start(ap, fmt);
	tell(v, &f, fmt, ap);
	va_end(ap);
}

void mk_verify_note(struct mk_verify *v, struct mk_place at, uint64_t seq, const char *fmt, ...)
{
	struct mk_finding f = { .note = true, .file = at.file, .line = at.line, .seq = seq };
	va_list ap;
	v->r.notes++;
	va_start(ap, fmt);
	tell(v, &f, fmt, ap);
	va_end(ap);
}

mk_must mk_verify_new(const struct mk_verify_conf *conf, struct mk_verify **ret)
{
	if (sodium_init() < 0)
		return MK_SYSTEM;
	struct mk_verify *v = calloc(1, sizeof *v);
	if (!v)
		return MK_NO_MEMORY;
	v->conf = *conf;
	v->at.file = "";
	v->budget = JUMPS_MAX;
	if (conf->auditor_key && crypto_scalarmult_base(v->auditor_public, conf->auditor_key) != 0) {
		free(v);
		return MK_BAD_REQUEST;
	}
	*ret = v;
	return MK_OK;
}

struct mk_verify *mk_verify_free(struct mk_verify *v)
{
	if (v)
		mk_wipe(v, sizeof *v);
	free(v);
	return NULL;
}

/* A line is whole: the one before it can be judged. */
static void take_line(struct mk_verify *v)
{
	struct mk_held h = { .n = v->n, .over = v->over || v->n > MK_RECORD_MAX, .first = v->first, .place = v->at };
	if (!h.over)
		memcpy(h.buf, v->buf, v->n);
	if (v->has_held)
		mk_judge_line(v, &v->held, &h);
	v->held = h;
	v->has_held = true;
	v->first = v->over = false;
	v->n = 0;
	v->at.line++;
}

/* What stands behind the last newline belongs to the line before it. */
static void take_torn(struct mk_verify *v)
{
	if (v->n == 0)
		return;
	struct mk_torn *t = v->has_held ? &v->held.torn : &v->torn;
	if (t->n > 0)
		mk_verify_fault(v, t->place, 0, MK_FAULT_CUT, "the file ends within a record");
	*t = (struct mk_torn){ .n = v->over ? UINT64_MAX : v->n, .place = v->at };
	const int rc = crypto_generichash(t->hash, sizeof t->hash, v->buf, v->n, NULL, 0);
	mk_assert(rc == 0);
	v->n = 0;
	v->over = false;
}

void mk_verify_file(struct mk_verify *v, const char *name)
{
	take_torn(v);
	v->at = (struct mk_place){ name, 1 };
	v->first = true;
}

void mk_verify_bytes(struct mk_verify *v, struct mk_span bytes)
{
	while (bytes.n > 0) {
		const uint8_t *end = memchr(bytes.p, '\n', bytes.n);
		const size_t n = end ? (size_t)(end - bytes.p) : bytes.n;
		const size_t room = sizeof v->buf - v->n, take = n < room ? n : room;
		memcpy(v->buf + v->n, bytes.p, take);
		v->n += take;
		v->over |= take < n;
		if (!end)
			return;
		take_line(v);
		bytes = mk_span(end + 1, bytes.n - n - 1);
	}
}

void mk_verify_end(struct mk_verify *v, struct mk_verify_report *ret)
{
	take_torn(v);
	if (v->has_held)
		mk_judge_line(v, &v->held, NULL);
	v->has_held = false;
	mk_judge_end(v);
	*ret = v->r;
}
