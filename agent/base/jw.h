/* SPDX-License-Identifier: Apache-2.0
 *
 * A JSON writer (RFC 8259) into a bounded buffer, with a sticky fault. It puts commas
 * itself and escapes all text to ASCII-safe JSON: control characters and DEL as \u00XX,
 * bytes that are not UTF-8 as \ufffd, other UTF-8 as it is. Used for answers, logs and
 * audit records; the buffer may lie in locked memory.
 */
#ifndef MK_JW_H
#define MK_JW_H

#include "mk/err.h"
#include "mk/span.h"

struct mk_jw {
	char *p;
	size_t cap, len;
	bool bad, comma;
};

struct mk_jw mk_jw_of(void *buf, size_t cap);
void mk_jw_open(struct mk_jw *w, char bracket);                /* '{' or '[' */
void mk_jw_close(struct mk_jw *w, char bracket);               /* '}' or ']' */
void mk_jw_key(struct mk_jw *w, const char *key);
void mk_jw_str(struct mk_jw *w, struct mk_span text);
void mk_jw_name(struct mk_jw *w, struct mk_span key);          /* a key of any text */
void mk_jw_word(struct mk_jw *w, struct mk_span word);         /* a value as it is written: a number, true, null */
void mk_jw_num(struct mk_jw *w, int64_t n);
void mk_jw_bool(struct mk_jw *w, bool b);
void mk_jw_null(struct mk_jw *w);
void mk_jw_raw(struct mk_jw *w, const char *s);                /* bytes of our own, as they are; no comma logic */

/* key and value at once; a NULL s is null */
void mk_jw_kstr(struct mk_jw *w, const char *key, const char *s);
void mk_jw_kspan(struct mk_jw *w, const char *key, struct mk_span s);
void mk_jw_knum(struct mk_jw *w, const char *key, int64_t n);
void mk_jw_kbool(struct mk_jw *w, const char *key, bool b);
void mk_jw_knull(struct mk_jw *w, const char *key);
void mk_jw_ktime(struct mk_jw *w, const char *key, int64_t wall_ms); /* RFC 3339 or null */

mk_must mk_jw_end(const struct mk_jw *w, size_t *ret_len);     /* TOO_LARGE where something did not fit */

#endif
