/* SPDX-License-Identifier: Apache-2.0
 *
 * The process log: JSON Lines on standard error, one write(2) a line, at most 2 KiB.
 *     {"time":"…","level":"info","env":"production","role":"broker","event":"…",…}
 * Only a process's own main and loop log; libraries return errors. All text is
 * escaped. There is no way to log bytes of a secret.
 */
#ifndef MK_LOG_H
#define MK_LOG_H

#include <stdint.h>

#include "mk/name.h"
#include "mk/why.h"

enum mk_level { MK_DEBUG, MK_INFO, MK_WARN, MK_ERROR, MK_ALARM };

struct mk_kv {
	const char *key;
	const char *text; /* NULL: the number */
	int64_t number;
};

#define MK_KV_S(k, v) ((struct mk_kv){ (k), (v), 0 })
#define MK_KV_N(k, v) ((struct mk_kv){ (k), NULL, (int64_t)(v) })

void mk_log_init(const char *role);               /* role must outlive the process */
void mk_log_env(const struct mk_word *environment);
void mk_log_level(enum mk_level least);           /* default MK_INFO */

void mk_log_(enum mk_level level, const char *event, const struct mk_kv *kv, unsigned n);
#define mk_log(level, event, ...) \
	mk_log_((level), (event), (const struct mk_kv[]){ __VA_ARGS__ }, \
		(unsigned)(sizeof((const struct mk_kv[]){ __VA_ARGS__ }) / sizeof(struct mk_kv)))

/* The same with err, file, line and text of an explanation. */
void mk_log_why(enum mk_level level, const char *event, enum mk_err e, const struct mk_why *why);

#endif
