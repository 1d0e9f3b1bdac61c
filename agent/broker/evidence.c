/* SPDX-License-Identifier: Apache-2.0
 *
 * SO_PEERCRED and SO_PEERGROUPS, as the kernel pinned them when the peer connected.
 */
#include "agent/broker/evidence.h"

#include "agent/base/units.h"
#include "mk/own.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define OVERFLOW_UID_DEFAULT 65534u

void mk_evidence_take(int fd, const struct mk_word *listener, struct mk_evidence *ret)
{
	struct ucred cred = { 0 };
	struct mk_evidence e = { .socket = *listener };
	socklen_t n = sizeof cred, groups = sizeof e.groups;
	*ret = (struct mk_evidence){ .socket = *listener };
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) != 0 || n != sizeof cred)
		return;
	/* a caller with more groups than we look at fails here (ERANGE): nobody */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, e.groups, &groups) != 0 || groups > sizeof e.groups)
		return;
	e.n_groups = groups / sizeof e.groups[0];
	e.uid = cred.uid;
	e.gid = cred.gid;
	e.pid = cred.pid;
	e.known = true;
	*ret = e;
}

static uid_t overflow_uid(void)
{
	char text[16];
	uint32_t uid = OVERFLOW_UID_DEFAULT;
	mk_fd fd = open("/proc/sys/kernel/overflowuid", O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
	if (n > 1 && mk_u32_of(mk_span(text, (size_t)n - 1), &uid) != MK_OK) /* less its newline */
		uid = OVERFLOW_UID_DEFAULT;
	return uid;
}

void mk_nobody_take(bool in_pod, struct mk_nobody *ret)
{
	*ret = (struct mk_nobody){ .own_uid = geteuid(), .overflow_uid = overflow_uid(), .pid_required = !in_pod };
}
