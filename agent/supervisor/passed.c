/* SPDX-License-Identifier: Apache-2.0
 *
 * What systemd says is checked as if it were anybody's word: a descriptor is looked at
 * before it is called a listener. An abstract address has no mode, so it is refused.
 */
#include "agent/supervisor/passed.h"

#include "agent/base/units.h"
#include "agent/supervisor/notify.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define FIRST (STDERR_FILENO + 1)
#define WHOLE_MAX (2 * (MK_LISTENERS_MAX + 1)) /* and admin; and those for libmakini */

static uint32_t number(char *const *environment, const char *name)
{
	const char *text = mk_variable(environment, name);
	uint32_t n = 0;
	return text && mk_u32_of(mk_span_of(text), &n) == MK_OK ? n : 0;
}

static uint32_t count(char *const *environment)
{
	const uint32_t n = number(environment, "LISTEN_FDS");
	if (number(environment, "LISTEN_PID") != (uint32_t)getpid())
		return 0; /* of a process before this one */
	return n <= INT16_MAX ? n : INT16_MAX;
}

int mk_passed_last(char *const *environment)
{
	return STDERR_FILENO + (int)count(environment);
}

static bool option_is(int fd, int option, int wanted)
{
	int value = -1;
	socklen_t n = sizeof value;
	return getsockopt(fd, SOL_SOCKET, option, &value, &n) == 0 && value == wanted;
}

static mk_must look_at(int fd, const char *name, bool client, struct mk_why *why)
{
	struct sockaddr_un at = { .sun_family = AF_UNSPEC };
	socklen_t n = sizeof at;
	if (!option_is(fd, SO_DOMAIN, AF_UNIX) || !option_is(fd, SO_TYPE, client ? SOCK_SEQPACKET : SOCK_STREAM) ||
	    !option_is(fd, SO_ACCEPTCONN, 1))
		return mk_why_set(why, MK_BAD_REQUEST, "systemd passed \"%s%s\", which is not a listening Unix %s socket: use %s= with a path, "
				  "and Accept=no", name, client ? MK_CLIENT_SUFFIX : "", client ? "sequential packet" : "stream",
				  client ? "ListenSequentialPacket" : "ListenStream");
	if (getsockname(fd, (struct sockaddr *)&at, &n) < 0 || n <= offsetof(struct sockaddr_un, sun_path) || !at.sun_path[0])
		return mk_why_set(why, MK_BAD_REQUEST, "systemd passed \"%s\", which has no path: anyone can reach an abstract "
				  "socket; use ListenStream= with a path", name);
	const int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return mk_why_set(why, MK_SYSTEM, "systemd passed \"%s\", which cannot be set up: %s", name, strerrordesc_np(errno));
	mk_listener_refuse_descriptors(fd);
	return MK_OK;
}

/* The next name of "a:b:c"; FileDescriptorName= is the socket unit's own name where it is not set. */
static mk_must take_name(struct mk_span *names, struct mk_word *ret, bool *ret_client, struct mk_why *why)
{
	const size_t tail = strlen(MK_CLIENT_SUFFIX);
	const uint8_t *colon = names->n ? memchr(names->p, ':', names->n) : NULL;
	const struct mk_span name = mk_span(names->p, colon ? (size_t)(colon - names->p) : names->n);
	*names = colon ? mk_span(colon + 1, names->n - name.n - 1) : mk_span(NULL, 0);
	*ret_client = name.n > tail && memcmp(name.p + name.n - tail, MK_CLIENT_SUFFIX, tail) == 0;
	if (mk_word_of(mk_span(name.p, name.n - (*ret_client ? tail : 0)), ret) == MK_OK)
		return MK_OK;
	return mk_why_set(why, MK_BAD_REQUEST, "systemd passed a socket named \"%.*s\", which is no listener's name: set "
			  "FileDescriptorName= in its unit", (int)(name.n < 64 ? name.n : 64), (const char *)name.p);
}

static const struct mk_listener *named(const struct mk_listeners *s, const struct mk_listener *l)
{
	for (size_t i = 0; i < s->n; i++)
		if (mk_word_eq(&s->l[i].conf.name, &l->conf.name) && s->l[i].client == l->client)
			return &s->l[i];
	return NULL;
}

enum mk_err mk_passed_take(char *const *environment, struct mk_listeners *ret, struct mk_why *why)
{
	const uint32_t n = count(environment);
	const char *text = mk_variable(environment, "LISTEN_FDNAMES");
	struct mk_span names = mk_span_of(text ? text : "");
	struct mk_listeners s = { NULL, 0 };
	if (n > WHOLE_MAX)
		return mk_why_set(why, MK_BAD_REQUEST, "systemd passed %u sockets: there are at most %d listeners", n, WHOLE_MAX);
	if (n > 0 && !(s.l = calloc(n, sizeof *s.l)))
		return MK_NO_MEMORY;
	enum mk_err e = MK_OK;
	while (s.n < n && e == MK_OK) {
		struct mk_listener l = { .fd = FIRST + (int)s.n, .passed = true };
		e = take_name(&names, &l.conf.name, &l.client, why);
		if (e == MK_OK && named(&s, &l))
			e = mk_why_set(why, MK_BAD_REQUEST, "systemd passed two sockets named \"%s\": a listener is one", l.conf.name.s);
		e = e == MK_OK ? look_at(l.fd, l.conf.name.s, l.client, why) : e;
		s.l[s.n++] = l;
	}
	if (e != MK_OK) {
		free(s.l); /* the descriptors end with the process */
		return e;
	}
	*ret = s;
	return MK_OK;
}
