/* SPDX-License-Identifier: Apache-2.0
 *
 * Alarms: what somebody must look at. Each has a code that never changes (docs/api.md lists
 * them), stands from when its condition begins until it ends, and is logged once then. A
 * bounded table, in which many of one code leave room for the first of each other; alarms that
 * find no room are counted, and logged less and less.
 */
#ifndef MK_ALARMS_H
#define MK_ALARMS_H

#include <stddef.h>
#include <stdint.h>

#define MK_ALARM_LIST(X) /* name, code, what it means and what to do about it */                                                \
	X(AUDIT_UNAVAILABLE, "audit_unavailable",                                                                               \
	  "the audit log cannot be written, so no token is handed out: make room on its file system, or repair it")             \
	X(AUDIT_DIRECTORY_REPLACED, "audit_directory_replaced",                                                                 \
	  "another directory stands where the audit log's was: find out who put it there, and verify both logs")                \
	X(STORE_FULL, "store_full",                                                                                             \
	  "a token found no room in memory, so it is not served: fewer or smaller tokens for this instance")                    \
	X(UNSEAL_FAILED, "unseal_failed",                                                                                       \
	  "a sealed token was changed in memory: suspect the machine or an intruder; it stands until a restart")                \
	X(ENVIRONMENT_MISMATCH, "environment_mismatch",                                                                         \
	  "the store tags this connection's secret with another environment, or with none, so it is not served: tag it, or give this instance another path") \
	X(ONE_VALUE_TWO_NAMES, "one_value_two_names",                                                                           \
	  "this connection's token is also another connection's, so neither is served: one customer's system would be taken for another's; see which others have this alarm, and issue all but one anew") \
	X(RETIRED_VALUE_BACK, "retired_value_back",                                                                             \
	  "the store offers a revoked value for this connection, so it is not served: put a new one, and find out who put this one there") \
	X(STATE_ROLLED_BACK, "state_rolled_back",                                                                               \
	  "the state database was older than the audit log, and rollback = \"accept\" let it pass: revoke and freeze again what the log names; it stands until a restart") \
	X(CLOCK_JUMPED, "clock_jumped",                                                                                         \
	  "the wall clock went ahead of the boot clock by more than a minute: it was wrong before, or is now, and tokens count as expired by it; see who sets it (chronyc tracking, timedatectl). Ends when it comes back to where it was, or after a day") \
	X(CLOCK_BEHIND, "clock_behind",                                                                                         \
	  "the wall clock is behind the newest time that was seen, so expiry goes by that time, carried on by the boot clock: set the clock; where it is right, start once with clock_behind = \"accept\"") \
	X(TOKEN_KEYS_STALE, "token_keys_stale",                                                                                 \
	  "the cluster's keys could not be had for an hour, or never: the keys of before count still; see that its API server answers") \
	X(RELOAD_REFUSED, "reload_refused",                                                                                     \
	  "the last reload was refused, so what was in force before it is still; a restart would fail: makinictl config check says what is wrong") \
	X(UNWRAP_FAILED, "unwrap_failed",                                                                                       \
	  "the wrapped secret id did not open, perhaps because somebody else opened it: destroy that secret id, give a new one")

enum mk_alarm_code {
#define MK_ALARM_ENUM_(name, word, text) MK_ALARM_##name,
	MK_ALARM_LIST(MK_ALARM_ENUM_)
#undef MK_ALARM_ENUM_
	MK_ALARM_COUNT
};
const char *mk_alarm_word(enum mk_alarm_code c);
const char *mk_alarm_text(enum mk_alarm_code c);

#define MK_ALARMS_MAX        32u
#define MK_ALARM_SUBJECT_MAX 63

struct mk_alarm {
	enum mk_alarm_code code;
	char subject[MK_ALARM_SUBJECT_MAX + 1]; /* "" : there is but one */
	int64_t since_ms;                       /* wall clock */
	uint64_t count;                         /* how often it was raised since then */
};
struct mk_alarms {
	struct mk_alarm items[MK_ALARMS_MAX];   /* oldest first */
	size_t n;
	uint64_t unlisted;                      /* raised while there was no room */
};

#endif
