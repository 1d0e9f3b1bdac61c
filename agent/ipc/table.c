/* SPDX-License-Identifier: Apache-2.0
 *
 * ipc.def as a table, and the words for roles and reasons. Says nothing about links.
 */
#include "agent/ipc/ipc.h"
#include "agent/ipc/msgs.h"
#include "mk/own.h"

#define SUP (1u << MK_ROLE_SUPERVISOR)
#define BRK (1u << MK_ROLE_BROKER)
#define FET (1u << MK_ROLE_FETCHER)
#define REP (1u << MK_ROLE_REPORTER)
#define KID (BRK | FET | REP)
#define FD true
#define NO_FD false
#define MK_MSG(name, from, to, max, fd, phase, text) { #name, from, to, max, fd, MK_PHASE_##phase, text },

const struct mk_msg_row mk_msgs[MK_MSG_COUNT] = {
#include "agent/ipc/ipc.def"
};

#undef MK_MSG
#define MK_MSG(name, from, to, max, fd, phase, text) \
	_Static_assert((max) + MK_FRAME_HEAD <= MK_FRAME_MAX, #name " fits in a frame");
#include "agent/ipc/ipc.def"
#undef MK_MSG

const char *mk_role_word(enum mk_role r)
{
	static const char *const words[MK_ROLE_COUNT] = { "supervisor", "broker", "fetcher", "reporter" };
	return (unsigned)r < MK_COUNT(words) ? words[r] : "unknown";
}

const char *mk_reason_word(enum mk_reason r)
{
	static const char *const words[MK_REASON_COUNT] = {
#define WORD(name, word) word,
		MK_REASON_LIST(WORD)
#undef WORD
	};
	return (unsigned)r < MK_COUNT(words) ? words[r] : "unknown";
}
