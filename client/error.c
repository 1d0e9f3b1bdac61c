/* SPDX-License-Identifier: Apache-2.0
 *
 * What to say to people about a failure: what happened, and what to do.
 */
#include "client/api.h"

static const char *const says[] = {
	[0] = "no failure",
	[-MAKINI_EINVAL] = ("an argument is wrong: a name is lower-case letters, digits and single dashes; the socket is the absolute path "
	                    "of a NAME.sock, given or in MAKINI_AGENT_SOCKET"),
	[-MAKINI_ENOMEM] = "no memory, or no descriptor, is left",
	[-MAKINI_ELOCK] = "memory cannot be locked: raise RLIMIT_MEMLOCK (LimitMEMLOCK= of the unit), or set allow_unlocked",
	[-MAKINI_EFORK] = "the handle belongs to another process: open one after fork",
	[-MAKINI_ESMALL] = "the buffer is too small for the token: info->size says what it takes",
	[-MAKINI_EAGENT] = "no agent listens at the socket, or it left: check that it runs, and try again",
	[-MAKINI_ETIMEOUT] = "the agent, or the store behind it, did not answer in time: try again",
	[-MAKINI_EPROTOCOL] = "what answered is not an agent that this library understands: check the socket, and that library and agent are of one version",
	[-MAKINI_EUNAUTHENTICATED] = "this service needs a bearer token, which only the HTTP API takes: use that one",
	[-MAKINI_EDENIED] = "the policy does not allow it, or the connection does not exist: see makinictl policy explain",
	[-MAKINI_ENOTFOUND] = "no store has this connection",
	[-MAKINI_EREVOKED] = "the token was revoked",
	[-MAKINI_EEXPIRED] = "the token has expired, and the store has no newer one",
	[-MAKINI_EDISABLED] = "the token is disabled in its store",
	[-MAKINI_ERATE] = "too many asks: info->retry_after_s says when to come again",
	[-MAKINI_EBACKEND] = "the store failed, and no good copy is left: try again",
	[-MAKINI_ENOTREADY] = "the agent cannot serve just now: try again",
	[-MAKINI_EFROZEN] = "the security team has stopped all hand-outs",
	[-MAKINI_EINTERNAL] = "a fault of the agent, or a kernel older than Linux 4.14",
};

const char *makini_strerror(int error)
{
	const int n = (int)(sizeof says / sizeof *says);
	return error <= 0 && error > -n ? says[-error] : "no error of this library";
}
