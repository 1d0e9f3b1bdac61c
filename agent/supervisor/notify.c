/* SPDX-License-Identifier: Apache-2.0
 *
 * A path, or '@' and a name in the abstract namespace.
 */
#include "agent/supervisor/notify.h"
#include "agent/base/units.h"
#include "mk/own.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *mk_variable(char *const *environment, const char *name)
{
	const size_t n = strlen(name);
	for (; environment && *environment; environment++)
		if (strncmp(*environment, name, n) == 0 && (*environment)[n] == '=')
			return *environment + n + 1;
	return NULL;
}

void mk_notify_open(struct mk_notify *n, char *const *environment)
{
	*n = (struct mk_notify){ .fd = -1, .to.sun_family = AF_UNIX };
	const char *path = mk_variable(environment, "NOTIFY_SOCKET");
	const char *every = mk_variable(environment, "WATCHDOG_USEC");
	int64_t us = 0;
	if (every && mk_i64_of(mk_span_of(every), &us) == MK_OK && us > 0)
		n->watchdog_us = (uint64_t)us;
	const size_t len = path ? strlen(path) : 0;
	if (len < 2 || len >= sizeof n->to.sun_path || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(n->to.sun_path, path, len);
	if (path[0] == '@')
		n->to.sun_path[0] = '\0';
	n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Landlock's scope (ABI 6) lets an abstract name be reached only where it was connected to before. */
	if (n->fd >= 0)
		(void)connect(n->fd, (const struct sockaddr *)&n->to, n->to_len);
}

bool mk_notify(const struct mk_notify *n, const char *fmt, ...)
{
	char text[512];
	va_list args;
	if (n->fd < 0)
		return true;
	va_start(args, fmt);
	const int len = vsnprintf(text, sizeof text, fmt, args);
	va_end(args);
	return len > 0 && (size_t)len < sizeof text &&
	       sendto(n->fd, text, (size_t)len, MSG_NOSIGNAL, (const struct sockaddr *)&n->to, n->to_len) == len;
}
