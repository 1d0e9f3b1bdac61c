/* SPDX-License-Identifier: Apache-2.0
 *
 * makini-broker: started by makini-agent, with its link on MK_LINK_FD. Not for people.
 */
#include "agent/base/log.h"
#include "agent/broker/core.h"

#include <fcntl.h>

int main(void)
{
	mk_log_init("broker");
	if (fcntl(MK_LINK_FD, F_SETFD, FD_CLOEXEC) < 0) {
		mk_log(MK_ERROR, "no_supervisor", MK_KV_S("remedy", "start makini-agent, which starts this program"));
		return 2;
	}
	return mk_broker_run(MK_LINK_FD);
}
