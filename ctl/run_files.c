/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens as files that only this process and its children see: in a mount namespace of their own, on a file
 * system in memory that is never swapped (ramfs). It is gone when the last of them is, however they end. Where the host
 * does not allow that it is an error: tokens are never written to a disk instead.
 */
#include "agent/base/file.h"
#include "ctl/ctl.h"
#include "ctl/run.h"
#include "mk/leaf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

static int refused(const char *what)
{
	const int e = errno;
	return mk_ctl_fail(MK_EXIT_FAILED,
			   "--files needs a mount namespace of its own, which this host does not allow (%s: %s): let this user have user namespaces "
			   "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns; in a "
			   "container also its seccomp profile), or leave out --files for the environment", what, strerror(e));
}

static bool put_text(const char *path, const char *text)
{
	mk_fd fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd >= 0 && mk_write_all(fd, text, strlen(text)) == MK_OK;
}

static bool map_ids(uid_t uid, gid_t gid)
{
	char line[64];
	if (!put_text("/proc/self/setgroups", "deny"))
		return false;
	snprintf(line, sizeof line, "%u %u 1", uid, uid);
	if (!put_text("/proc/self/uid_map", line))
		return false;
	snprintf(line, sizeof line, "%u %u 1", gid, gid);
	return put_text("/proc/self/gid_map", line);
}

/* Who may mount needs no user namespace, in which only its own user has a name. */
static int separate(void)
{
	const uid_t uid = geteuid();
	const gid_t gid = getegid();
	if (unshare(CLONE_NEWNS) == 0)
		return MK_EXIT_DONE;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return refused("unshare");
	return map_ids(uid, gid) ? MK_EXIT_DONE : refused("uid_map");
}

static bool is_empty(const char *path)
{
	size_t n = 0;
	DIR *dir = opendir(path);
	if (!dir)
		return false;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n == 2;
}

/* A directory that all have and nobody uses: for these processes it is another one then. */
static const char *place(void)
{
	static const char *const known[] = { "/mnt", "/media", "/srv" };
	for (size_t i = 0; i < MK_COUNT(known); i++)
		if (is_empty(known[i]))
			return known[i];
	return NULL;
}

static int choose(struct mk_run *r, const char *at)
{
	const char *dir = at ? at : place();
	if (!dir)
		return mk_ctl_fail(MK_EXIT_FAILED, "neither /mnt, /media nor /srv is an empty directory, over which the files could be laid: name one with --files-at");
	if (dir[0] != '/' || !dir[1] || snprintf(r->dir, sizeof r->dir, "%s", dir) >= (int)sizeof r->dir)
		return mk_ctl_usage("run", "--files-at wants the absolute path of a directory");
	snprintf(r->dir_variable, sizeof r->dir_variable, "MAKINI_TOKENS_DIR=%s", r->dir);
	return MK_EXIT_DONE;
}

int mk_run_files_begin(struct mk_run *r, const char *at)
{
	int rc = choose(r, at);
	if (rc == MK_EXIT_DONE)
		rc = separate();
	if (rc != MK_EXIT_DONE)
		return rc;
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return refused("mount");
	if (mount("makini-tokens", r->dir, "ramfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") < 0) {
		if (errno == ENOENT || errno == ENOTDIR)
			return mk_ctl_fail(MK_EXIT_FAILED, "%s: %s: --files-at wants a directory that is there", r->dir, strerror(errno));
		return refused("mount");
	}
	return MK_EXIT_DONE;
}

static bool path_of(const struct mk_run *r, const struct mk_fed *f, char path[MK_PATH_MAX])
{
	return mk_path_join(r->dir, f->name.s, path, MK_PATH_MAX) == MK_OK;
}

bool mk_run_files_put(const struct mk_run *r, const struct mk_fed *f)
{
	char path[MK_PATH_MAX];
	struct mk_why why = { 0 };
	struct mk_leaf l;
	if (!path_of(r, f, path))
		return false;
	if (!mk_fed_leaf(f, "access_token", &l)) {
		if (unlink(path) == 0 || errno == ENOENT)
			return true;
		mk_ctl_fail(MK_EXIT_FAILED, "%s cannot be removed: %s", path, strerror(errno));
		return false;
	}
	const enum mk_err e = mk_file_replace(path, l.value.p, l.value.n, 0400, geteuid(), getegid(), &why);
	if (e != MK_OK)
		mk_ctl_fail(MK_EXIT_FAILED, "%s", why.text[0] ? why.text : mk_err_word(e));
	return e == MK_OK;
}

void mk_run_files_end(const struct mk_run *r)
{
	char path[MK_PATH_MAX];
	for (size_t i = 0; i < r->feed.n; i++)
		if (path_of(r, &r->feed.fed[i], path))
			unlink(path);
}
