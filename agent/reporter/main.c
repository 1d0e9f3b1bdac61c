/* SPDX-License-Identifier: Apache-2.0
 *
 * makini-reporter: started by the supervisor only, with its link as descriptor 3. Ends
 * with its supervisor.
 */
#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/reporter/reporter.h"
#include "mk/own.h"

#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static bool started_by_the_supervisor(void)
{
	int type = 0;
	socklen_t n = sizeof type;
	return getsockopt(MK_LINK_FD, SOL_SOCKET, SO_TYPE, &type, &n) == 0 && type == SOCK_SEQPACKET;
}

static mk_must set_up(struct mk_reporter *r, struct mk_why *why)
{
	bool locked = false;
	MK_TRY(mk_lockdown_early(true, &r->guards, why));
	MK_TRY(mk_secret_arena_init(1, 1, &locked));
	MK_TRY(mk_loop_new(&r->loop));
	return mk_link_new(r->loop, MK_LINK_FD, MK_ROLE_REPORTER, MK_ROLE_SUPERVISOR, mk_reporter_frame, mk_reporter_gone, r,
			   &r->supervisor);
}

int main(void)
{
	struct mk_reporter r = { .listen_fd = -1, .reasons = 1u << MK_REASON_STARTING };
	struct mk_why why = { .text = "no memory or no descriptors" };
	mk_log_init("reporter");
	tzset(); /* for the Date header: later there is no file to read */
	if (!started_by_the_supervisor()) {
		mk_log(MK_ERROR, "not_by_hand", MK_KV_S("remedy", "start makini-agent; it starts this"));
		return 2;
	}
	const enum mk_err e = set_up(&r, &why);
	if (e != MK_OK) {
		mk_log_why(MK_ERROR, "start_failed", e, &why);
		return 1;
	}
	if (mk_loop_run(r.loop) != MK_OK)
		r.exit_code = 1;
	r.supervisor = mk_link_free(r.supervisor);
	r.probe = mk_probe_free(r.probe);
	mk_closep(&r.listen_fd);
	mk_loop_free(r.loop);
	return r.exit_code;
}
