/* SPDX-License-Identifier: Apache-2.0
 *
 * Making, taking over and removing Unix sockets. The temporary name lies beside the
 * final one, as Landlock may not let a file move between directories; it is made with
 * mode 0, so nobody reaches it before it is what it should be.
 */
#include "agent/supervisor/listeners.h"
#include "agent/base/file.h"
#include "agent/base/log.h"
#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16; not in Debian 12's headers */
#endif
#define BACKLOG 4096 /* a broker's restart makes clients wait here; the kernel's somaxconn may be less */

static enum mk_err failed(const struct mk_conf_listener *c, const char *what, struct mk_why *why)
{
	return mk_why_set(why, MK_SYSTEM, "listener %s: cannot %s %s: %s", c->name.s, what, c->path, strerrordesc_np(errno));
}

/* Nothing there, or a socket of ours that an instance before this one left. */
static mk_must check_place(const struct mk_conf_listener *c, struct mk_why *why)
{
	struct stat st;
	if (lstat(c->path, &st) < 0)
		return errno == ENOENT ? MK_OK : failed(c, "look at", why);
	if (!S_ISSOCK(st.st_mode) || st.st_uid != geteuid())
		return mk_why_set(why, MK_CONFLICT, "listener %s: %s is there and is not a socket of uid %u; it is left alone: "
				  "remove it, or choose another path", c->name.s, c->path, geteuid());
	return MK_OK;
}

/* Without a group it is the process's own, also where one was configured before: a right taken away is gone. */
static mk_must set_access(int dir, const char *name, const struct mk_conf_listener *c, struct mk_why *why)
{
	const gid_t gid = c->gid == (gid_t)-1 ? getegid() : c->gid;
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(c, "look at", why);
	if (st.st_gid != gid && fchownat(dir, name, (uid_t)-1, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return mk_why_set(why, MK_DENIED, "listener %s: cannot give %s to group %u (%s): the agent's user must be in that "
				  "group, by usermod -aG, or by SupplementaryGroups= and SystemCallFilter=fchownat in a drop-in of its "
				  "unit", c->name.s, c->path, gid, strerrordesc_np(errno));
	return fchmodat(dir, name, c->mode, 0) < 0 ? failed(c, "set the mode of", why) : MK_OK;
}

void mk_listener_refuse_descriptors(int fd)
{
	(void)setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &(int){ 0 }, sizeof(int));
}

/* Bound through the directory's descriptor: the path alone may fill sun_path. */
static int bind_at(int dir, const char *name, int type)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	snprintf(a.sun_path, sizeof a.sun_path, "/proc/self/fd/%d/%s", dir, name);
	mk_fd fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || (unlinkat(dir, name, 0) < 0 && errno != ENOENT))
		return -1;
	mk_listener_refuse_descriptors(fd);
	const mode_t before = umask(0777);
	const int bound = bind(fd, (const struct sockaddr *)&a, sizeof a);
	umask(before);
	return bound == 0 && listen(fd, BACKLOG) == 0 ? MK_TAKE_FD(fd) : -1;
}

static mk_must place(int dir, const char *name, struct mk_listener *l, struct mk_why *why)
{
	struct stat st;
	MK_TRY(set_access(dir, name, &l->conf, why));
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(&l->conf, "look at", why);
	const char *slash = strrchr(l->conf.path, '/');
	if (renameat(dir, name, dir, slash + 1) < 0)
		return failed(&l->conf, "place", why);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	return MK_OK;
}

static mk_must make(struct mk_listener *l, struct mk_why *why)
{
	char folder[MK_PATH_MAX], name[MK_WORD_MAX + sizeof MK_CLIENT_SUFFIX + 8];
	MK_TRY(check_place(&l->conf, why));
	MK_TRY(mk_path_dir(l->conf.path, folder, sizeof folder));
	mk_fd dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return failed(&l->conf, "open the directory of", why);
	snprintf(name, sizeof name, ".%s%s.new", l->conf.name.s, l->client ? MK_CLIENT_SUFFIX : "");
	mk_fd fd = bind_at(dir, name, l->client ? SOCK_SEQPACKET : SOCK_STREAM);
	if (fd < 0)
		return failed(&l->conf, "listen at", why);
	const enum mk_err e = place(dir, name, l, why);
	if (e != MK_OK) {
		unlinkat(dir, name, 0);
		return e;
	}
	l->fd = MK_TAKE_FD(fd);
	return MK_OK;
}

static const struct mk_listener *at_path(const struct mk_listeners *s, const char *path)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (!s->l[i].passed && strcmp(s->l[i].conf.path, path) == 0)
			return &s->l[i];
	return NULL;
}

/* One that systemd passed. */
static const struct mk_listener *passed_as(const struct mk_listeners *s, const struct mk_word *name, bool client)
{
	for (size_t i = 0; s && i < s->n; i++)
		if (s->l[i].passed && s->l[i].client == client && mk_word_eq(&s->l[i].conf.name, name))
			return &s->l[i];
	return NULL;
}

static mk_must all_passed_named(const struct mk_conf *conf, const struct mk_listeners *have, struct mk_why *why)
{
	for (size_t i = 0; i < have->n; i++) {
		bool found = !have->l[i].passed;
		for (size_t k = 0; k < conf->n_listeners && !found; k++)
			found = mk_word_eq(&conf->listeners[k].name, &have->l[i].conf.name) &&
				(!have->l[i].client || mk_listener_has_client(&have->l[i].conf.name));
		if (!found)
			return mk_why_set(why, MK_BAD_REQUEST, "systemd passed a socket named \"%s%s\", which is no listener: add it to "
					  "listeners in agent.conf, or stop its socket unit", have->l[i].conf.name.s,
					  have->l[i].client ? MK_CLIENT_SUFFIX : "");
	}
	return MK_OK;
}

/* May every user of the host connect? Its mode is its unit's, which is 0666 where that says nothing. One that is gone lets nobody
 * in; of one that cannot be looked at the worst is supposed. */
static bool open_to_all(int fd)
{
	struct sockaddr_un at = { .sun_family = AF_UNSPEC };
	socklen_t n = sizeof at - 1; /* and a NUL */
	struct stat st;
	if (getsockname(fd, (struct sockaddr *)&at, &n) < 0)
		return true;
	return stat(at.sun_path, &st) < 0 ? errno != ENOENT : (st.st_mode & S_IWOTH) != 0;
}

/* As the configuration's check of `mode`, which does not count for these. */
static mk_must none_is_everybody(const struct mk_conf *conf, const struct mk_listeners *have, struct mk_why *why)
{
	for (size_t i = 0; conf->platform == MK_HOST && i < conf->rules.n_services; i++) {
		const struct mk_service *s = &conf->rules.services[i];
		const struct mk_listener *l = s->identity.set ? NULL : passed_as(have, &s->identity.socket, false);
		const struct mk_listener *client = s->identity.set ? NULL : passed_as(have, &s->identity.socket, true);
		l = l && open_to_all(l->fd) ? l : client && open_to_all(client->fd) ? client : NULL;
		if (l)
			return mk_why_set(why, MK_BAD_REQUEST, "service \"%s\" would be everybody: systemd passed its listener \"%s%s\" with a mode "
					  "that lets all users connect, and its identity names nothing else: set SocketMode=0660 and SocketGroup= in "
					  "the socket unit, or add user, uid or group in the policy",
					  s->name.s, l->conf.name.s, l->client ? MK_CLIENT_SUFFIX : "");
	}
	return MK_OK;
}

static bool still_ours(const struct mk_listener *l)
{
	struct stat st;
	return lstat(l->conf.path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino;
}

static mk_must share(const struct mk_listener *from, struct mk_listener *l, struct mk_why *why)
{
	mk_fd fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return failed(&l->conf, "go on with", why);
	if (!from->passed)
		MK_TRY(set_access(AT_FDCWD, l->conf.path, &l->conf, why));
	l->passed = from->passed;
	l->fd = MK_TAKE_FD(fd);
	l->dev = from->dev;
	l->ino = from->ino;
	return MK_OK;
}

/* By a listener that is there already, or a new one; one that was removed is made anew. */
static mk_must open_one(const struct mk_listeners *have, struct mk_listener *l, struct mk_why *why)
{
	const struct mk_listener *passed = passed_as(have, &l->conf.name, l->client), *old = at_path(have, l->conf.path);
	if (passed)
		return share(passed, l, why);
	return old && still_ours(old) ? share(old, l, why) : make(l, why);
}

static bool client_path(const char *path, char to[MK_SOCKET_PATH_MAX + 1])
{
	const size_t n = strlen(path), tail = strlen(".sock");
	if (n <= tail || strcmp(path + n - tail, ".sock") != 0 || n + strlen(MK_CLIENT_SUFFIX) > MK_SOCKET_PATH_MAX)
		return false;
	snprintf(to, MK_SOCKET_PATH_MAX + 1, "%.*s" MK_CLIENT_SUFFIX ".sock", (int)(n - tail), path);
	return true;
}

/* Of a listener that systemd made: nobody may reach libmakini's who may not reach that one. */
static bool as_passed(const struct mk_listener *passed, struct mk_conf_listener *c)
{
	struct sockaddr_un at = { .sun_family = AF_UNSPEC };
	socklen_t n = sizeof at - 1;
	struct stat st;
	if (getsockname(passed->fd, (struct sockaddr *)&at, &n) < 0 || strcmp(at.sun_path, c->path) != 0 || stat(at.sun_path, &st) < 0)
		return false;
	c->mode = st.st_mode & 0777;
	c->gid = st.st_gid;
	return true;
}

/* Where only the listener itself was passed, libmakini's is a gift: its lack keeps nothing from starting. */
static mk_must open_client(const struct mk_listeners *have, const struct mk_conf_listener *c, struct mk_listener *l, struct mk_why *why)
{
	const struct mk_listener *beside = passed_as(have, &c->name, false);
	const bool gift = beside && !passed_as(have, &c->name, true);
	struct mk_why unmade = { 0 };
	*l = (struct mk_listener){ .conf = *c, .client = true, .fd = -1 };
	enum mk_err e = MK_OK;
	if (gift && !as_passed(beside, &l->conf))
		e = mk_why_set(&unmade, MK_CONFLICT, "systemd made the listener elsewhere than at %s", c->path);
	if (e == MK_OK && !client_path(c->path, l->conf.path))
		e = mk_why_set(gift ? &unmade : why, MK_BAD_REQUEST, "listener %s: the path %s leaves no room for libmakini's socket beside it: "
			       "shorten it", c->name.s, c->path);
	if (e == MK_OK)
		e = open_one(have, l, gift ? &unmade : why);
	if (e == MK_OK || !gift)
		return e;
	mk_log(MK_WARN, "libmakini_not_served", MK_KV_S("listener", c->name.s), MK_KV_S("cause", unmade.text),
	       MK_KV_S("remedy", "let systemd make its socket, too: ListenSequentialPacket= beside ListenStream=, with FileDescriptorName=NAME"
		       MK_CLIENT_SUFFIX));
	return MK_OK;
}

static mk_must open_clients(const struct mk_conf *conf, const struct mk_listeners *have, struct mk_listeners *s, struct mk_why *why)
{
	for (size_t i = 0; i < conf->n_listeners; i++) {
		struct mk_listener *l = &s->l[s->n];
		if (!mk_listener_has_client(&conf->listeners[i].name))
			continue;
		MK_TRY(open_client(have, &conf->listeners[i], l, why));
		s->n += l->fd >= 0;
	}
	return MK_OK;
}

enum mk_err mk_listeners_open(const struct mk_conf *conf, const struct mk_listeners *have, struct mk_listeners *ret,
			      struct mk_why *why)
{
	struct mk_listeners s = { calloc(2 * conf->n_listeners + 1, sizeof *s.l), 0 };
	enum mk_err e = s.l ? all_passed_named(conf, have, why) : MK_NO_MEMORY;
	if (e == MK_OK)
		e = none_is_everybody(conf, have, why);
	for (size_t i = 0; i < conf->n_listeners && e == MK_OK; i++) {
		struct mk_listener *l = &s.l[i];
		*l = (struct mk_listener){ .conf = conf->listeners[i], .fd = -1 };
		e = open_one(have, l, why);
		s.n += e == MK_OK;
	}
	if (e == MK_OK)
		e = open_clients(conf, have, &s, why);
	if (e != MK_OK) {
		mk_listeners_close(&s, have);
		return e;
	}
	*ret = s;
	return MK_OK;
}

void mk_listeners_close(struct mk_listeners *gone, const struct mk_listeners *stay)
{
	for (size_t i = 0; i < gone->n; i++) {
		struct mk_listener *l = &gone->l[i];
		const struct mk_listener *kept = at_path(stay, l->conf.path);
		if (l->passed) {
			/* its file is systemd's */
		} else if (kept && still_ours(kept))
			mk_ignore(set_access(AT_FDCWD, kept->conf.path, &kept->conf, NULL), "it had this access before");
		else if (still_ours(l))
			unlink(l->conf.path);
		mk_closep(&l->fd);
	}
	free(gone->l);
	*gone = (struct mk_listeners){ NULL, 0 };
}
