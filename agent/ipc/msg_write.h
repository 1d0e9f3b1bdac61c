/* SPDX-License-Identifier: Apache-2.0
 *
 * WRITE_BEGIN and WRITE_DONE: a version of a token is switched off or on in its store. As
 * all messages (msgs.h): write, and a read that refuses what is out of bounds.
 */
#ifndef MK_MSG_WRITE_H
#define MK_MSG_WRITE_H

#include "agent/ipc/msg_endpoint.h"
#include "agent/ipc/msgs.h"

struct mk_msg_write { /* WRITE_BEGIN */
	struct mk_ref ref;
	uint8_t backend;
	enum mk_verb verb;    /* DISABLE or ENABLE */
	struct mk_name name;
	char version[MK_VERSION_MAX + 1]; /* "": the current one */
};
struct mk_msg_written { /* WRITE_DONE */
	struct mk_ref ref;
	enum mk_err err;
	bool already;         /* OK: it was so before */
	bool unsure;          /* not OK: it may have happened nevertheless */
	char version[MK_VERSION_MAX + 1]; /* that it was, where the store said so */
	char fault[MK_FAULT_MAX];         /* not OK: why, in our own words */
};

MK_MSG_FNS(write);
MK_MSG_FNS(written);

#endif
