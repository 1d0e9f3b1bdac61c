/* SPDX-License-Identifier: Apache-2.0
 *
 * The end of a segment. Looks at the last 64 KiB only: a torn write is at most one
 * record, and what is longer was not torn but damaged.
 */
#include "agent/audit/tail.h"

#include "mk/own.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define WINDOW 65536u
#define STATE_WINDOW (1u << 20)
#define STATE_FAR    (UINT64_C(64) << 20) /* a record each ten seconds names it, and each part's first */

static enum mk_err read_at(int fd, uint8_t *p, size_t n, uint64_t at, size_t *ret_n)
{
	size_t got = 0;
	while (got < n) {
		const ssize_t r = pread(fd, p + got, n - got, (off_t)(at + got));
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return MK_SYSTEM;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	*ret_n = got;
	return MK_OK;
}

/* Bytes up to and including the last newline of p; 0: there is none. */
static size_t whole_lines(const uint8_t *p, size_t n)
{
	while (n > 0 && p[n - 1] != '\n')
		n--;
	return n;
}

static void note_torn(struct mk_tail *t, const uint8_t *p, size_t n)
{
	t->torn = n;
	const int rc = crypto_generichash(t->torn_hash, sizeof t->torn_hash, p, n, NULL, 0);
	mk_assert(rc == 0);
}

/* Walks back over whole lines to one that is a record. */
static void find_last(struct mk_tail *t, const uint8_t *p, size_t n)
{
	while (n > 0) {
		const size_t start = whole_lines(p, n - 1);
		const struct mk_span line = mk_span(p + start, n - 1 - start);
		struct mk_line l;
		if (mk_line_parse(line, &l)) {
			memcpy(t->buf, line.p, line.n);
			t->n = line.n;
			t->found = mk_line_parse(mk_span(t->buf, line.n), &t->last);
			return;
		}
		t->damaged = true;
		n = start;
	}
}

mk_must mk_tail_read(int fd, uint64_t size, struct mk_tail *ret)
{
	memset(ret, 0, sizeof *ret);
	const size_t want = size < WINDOW ? (size_t)size : WINDOW;
	mk_auto(mk_freep) uint8_t *p = malloc(WINDOW);
	if (!p)
		return MK_NO_MEMORY;
	size_t n;
	MK_TRY(read_at(fd, p, want, size - want, &n));
	const size_t whole = whole_lines(p, n);
	if (whole == 0 && size > n)
		ret->damaged = true;
	if (n - whole >= MK_RECORD_MAX)
		ret->damaged = true;
	if (n > whole)
		note_torn(ret, p + whole, n - whole);
	find_last(ret, p, whole);
	return MK_OK;
}

/* Of the last record of p that has one; *ret_from: where p's first whole line begins. */
static bool state_in(const uint8_t *p, size_t n, bool from_start, size_t *ret_from, uint64_t *ret)
{
	n = whole_lines(p, n);
	while (n > 0) {
		const size_t start = whole_lines(p, n - 1);
		struct mk_line l;
		if (start == 0 && !from_start)
			break; /* perhaps but a part of a line */
		if (mk_line_parse(mk_span(p + start, n - 1 - start), &l) && mk_line_state(&l, ret))
			return true;
		n = start;
	}
	*ret_from = n;
	return false;
}

mk_must mk_tail_state(int fd, uint64_t size, uint64_t *ret)
{
	mk_auto(mk_freep) uint8_t *p = malloc(STATE_WINDOW);
	uint64_t end = size, state = 0;
	size_t from = 0;
	*ret = 0;
	if (!p)
		return MK_NO_MEMORY;
	while (end > 0 && size - end < STATE_FAR) {
		size_t n = end < STATE_WINDOW ? (size_t)end : STATE_WINDOW;
		const uint64_t at = end - n;
		MK_TRY(read_at(fd, p, n, at, &n));
		if (state_in(p, n, at == 0, &from, &state)) {
			*ret = state;
			return MK_OK;
		}
		if (at == 0)
			break;
		end = from > 0 && from < n ? at + from : at; /* the line that the window cut comes whole with the next one */
	}
	return MK_OK;
}

mk_must mk_tail_first(int fd, uint64_t *ret_seq)
{
	uint8_t buf[MK_RECORD_MAX];
	size_t n;
	MK_TRY(read_at(fd, buf, sizeof buf, 0, &n));
	const uint8_t *end = memchr(buf, '\n', n);
	struct mk_line l;
	*ret_seq = end && mk_line_parse(mk_span(buf, (size_t)(end - buf)), &l) ? l.seq : 0;
	return MK_OK;
}
