/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl render: a file with tokens in it, kept current while this runs. The file is only ever the whole old or the
 * whole new one, and readable by its user alone; it goes away with the token.
 */
#include "ctl/feed.h"
#include "ctl/template.h"

#include "agent/base/clock.h"
#include "agent/base/file.h"
#include "ctl/ctl.h"
#include "mk/own.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEMPLATE_MAX 65536u
#define NAP          1000
#define NAP_RUNNING  50    /* while a command runs, as its end is looked for */
#define AGAIN        10000 /* ms after which a file that could not be written is tried again */

struct render {
	struct mk_feed feed;
	struct mk_template template;
	const char *file, *connection;
	bool keep, once;
	bool due, over;
	bool there;                  /* it was written, and not removed since */
	int64_t due_at;
	const struct mk_fed *latest; /* that changed */
	struct mk_runner runner;
	struct mk_fed *by_default;
	int signals;
};

/* --- the file */

static bool leaf_of(void *arg, const struct mk_piece *p, struct mk_leaf *ret)
{
	const struct render *r = arg;
	for (size_t i = 0; i < r->feed.n; i++)
		if (p->of.s[0] ? mk_name_eq(&p->of, &r->feed.fed[i].name) : &r->feed.fed[i] == r->by_default)
			return mk_fed_leaf(&r->feed.fed[i], p->field, ret);
	return false;
}

static void tell_command(struct render *r, const char *kind)
{
	struct mk_news news = { 0 };
	struct mk_leaf l;
	snprintf(news.kind, sizeof news.kind, "%s", kind);
	snprintf(news.connection, sizeof news.connection, "%s", r->latest->name.s);
	if (mk_fed_leaf(r->latest, "version", &l))
		snprintf(news.version, sizeof news.version, "%.*s", (int)l.value.n, (const char *)l.value.p);
	mk_ctl_blunt(news.version);
	mk_runner_add(&r->runner, &news);
}

static bool write_file(struct render *r)
{
	mk_auto(mk_secret_freep) struct mk_secret *out = NULL;
	struct mk_why why = { 0 };
	enum mk_err e = mk_secret_new(MK_SECRET_LARGE, &out);
	if (e == MK_OK)
		e = mk_template_fill(&r->template, leaf_of, r, out, &why);
	if (e == MK_OK)
		e = mk_file_replace(r->file, mk_secret_span(out).p, mk_secret_span(out).n, 0400, geteuid(), getegid(), &why);
	if (e == MK_OK)
		return true;
	mk_ctl_fail(MK_EXIT_FAILED, "%s is left as it was: %s", r->file, why.text[0] ? why.text : mk_err_word(e));
	return false;
}

/* *ret_was: it was there. */
static bool remove_file(const struct render *r, bool *ret_was)
{
	*ret_was = unlink(r->file) == 0;
	if (*ret_was || errno == ENOENT)
		return true;
	mk_ctl_fail(MK_EXIT_FAILED, "%s cannot be removed: %s", r->file, strerror(errno));
	return false;
}

/* The first that is not held, or NULL. */
static const struct mk_fed *missing(const struct render *r)
{
	for (size_t i = 0; i < r->feed.n; i++)
		if (r->feed.fed[i].code != MK_EXIT_DONE)
			return &r->feed.fed[i];
	return NULL;
}

/* Makes the file what it must be now. */
static bool update(struct render *r)
{
	const struct mk_fed *none = missing(r);
	bool was = false, good;
	if (!none) {
		good = write_file(r);
		if (good)
			tell_command(r, "rendered");
		r->there = r->there || good;
	} else {
		good = remove_file(r, &was);
		if (was || (good && r->there)) { /* somebody else may have removed it; what has read it must still be told */
			mk_ctl_fail(MK_EXIT_DONE, "%s: removed, as %s is gone", r->file, none->name.s);
			tell_command(r, "removed");
			r->there = false;
		}
	}
	r->due = !good;
	r->due_at = good ? 0 : mk_boot_ms() + AGAIN;
	return good;
}

static void changed(void *arg, struct mk_fed *f)
{
	struct render *r = arg;
	r->latest = f;
	r->due = true;
	r->due_at = 0;
	if (f->code != MK_EXIT_DONE) /* at once, whatever else is being asked */
		update(r);
}

/* Who else may write there could put another file in its place. */
static int check_place(const struct render *r, const struct stat *template)
{
	char dir[MK_PATH_MAX];
	struct stat st;
	if (mk_path_dir(r->file, dir, sizeof dir) != MK_OK || stat(dir, &st) < 0)
		return mk_ctl_fail(MK_EXIT_FAILED, "the directory of %s: %s", r->file, strerror(errno));
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return mk_ctl_fail(MK_EXIT_FAILED, "%s belongs to another user (uid %u): write to a directory of yours or root's", dir, st.st_uid);
	if ((st.st_mode & 022) != 0 && !(st.st_mode & S_ISVTX))
		return mk_ctl_fail(MK_EXIT_FAILED, "others may write to %s (mode %04o): chmod go-w %s", dir, st.st_mode & 07777, dir);
	if (stat(r->file, &st) == 0 && st.st_dev == template->st_dev && st.st_ino == template->st_ino)
		return mk_ctl_fail(MK_EXIT_USAGE, "FILE is the template itself");
	if (lstat(r->file, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode))
		return mk_ctl_fail(MK_EXIT_FAILED, "%s is there, and is no file", r->file);
	return MK_EXIT_DONE;
}

static bool is_left_over(const char *name, const char *base)
{
	const size_t n = strlen(base);
	return name[0] == '.' && strncmp(name + 1, base, n) == 0 && name[n + 1] == '.' && strlen(name + n + 2) == 16 &&
	       strspn(name + n + 2, "0123456789abcdef") == 16;
}

/* What mk_file_replace left beside the file where it was killed: it holds tokens. */
static void sweep(const struct render *r)
{
	const char *slash = strrchr(r->file, '/'), *base = slash ? slash + 1 : r->file;
	char path[MK_PATH_MAX];
	DIR *dir = mk_path_dir(r->file, path, sizeof path) == MK_OK ? opendir(path) : NULL;
	for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
		struct stat st;
		if (is_left_over(e->d_name, base) && fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_uid == geteuid())
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir)
		closedir(dir);
}

/* --- the run */

static int catch_signals(struct render *r)
{
	static const int list[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE };
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < MK_COUNT(list); i++) {
		struct sigaction is = { 0 };
		if (sigaction(list[i], NULL, &is) == 0 && is.sa_handler != SIG_IGN) /* as nohup has it */
			sigaddset(&set, list[i]);
	}
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || (r->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return mk_ctl_fail(MK_EXIT_FAILED, "signals: %s", strerror(errno));
	return MK_EXIT_DONE;
}

static void take_signals(struct render *r)
{
	struct signalfd_siginfo s;
	while (read(r->signals, &s, sizeof s) == (ssize_t)sizeof s)
		r->over = r->over || s.ssi_signo != SIGPIPE;
}

static bool is_running(const struct render *r)
{
	return r->runner.pid > 0 || r->runner.n > 0;
}

static int go_on(struct render *r)
{
	bool was;
	mk_ctl_never_waits = true;
	while (!r->over) {
		mk_feed_round(&r->feed, r->signals, is_running(r) ? NAP_RUNNING : NAP);
		take_signals(r);
		if (r->due && mk_feed_is_quiet(&r->feed) && mk_boot_ms() >= r->due_at)
			update(r);
		mk_runner_step(&r->runner);
	}
	return r->keep || remove_file(r, &was) ? MK_EXIT_DONE : MK_EXIT_FAILED;
}

static void wait_for_command(struct render *r)
{
	while (is_running(r) && mk_runner_step(&r->runner))
		usleep(NAP_RUNNING * 1000);
}

static int start(struct render *r)
{
	int rc = mk_feed_begin(&r->feed);
	if (rc != MK_EXIT_DONE && !(missing(r) && missing(r)->code != MK_FED_UNKNOWN))
		return rc;
	if (!r->once && (rc = catch_signals(r)) != MK_EXIT_DONE)
		return rc;
	sweep(r);
	r->latest = missing(r) ? missing(r) : &r->feed.fed[0];
	rc = update(r) ? MK_EXIT_DONE : MK_EXIT_FAILED;
	if (missing(r))
		rc = missing(r)->code;
	else if (rc == MK_EXIT_DONE && !r->once)
		rc = go_on(r);
	wait_for_command(r);
	return rc;
}

/* --- the beginning */

static int read_template(struct render *r, const char *path, char **ret_text, struct stat *ret_st)
{
	struct mk_why why = { 0 };
	mk_fd fd = -1;
	size_t n = 0;
	enum mk_err e = mk_file_open(path, MK_FILE_POD, &fd, &why);
	char *text = malloc(TEMPLATE_MAX);
	if (e == MK_OK && (!text || fstat(fd, ret_st) < 0))
		e = MK_NO_MEMORY;
	if (e == MK_OK)
		e = mk_file_read(fd, text, TEMPLATE_MAX, &n);
	if (e == MK_TOO_LARGE)
		e = mk_why_set(&why, e, "%s: a template has at most %u bytes", path, TEMPLATE_MAX);
	if (e == MK_OK)
		e = mk_template_of(mk_span(text, n), path, &r->template, &why);
	*ret_text = text;
	return e == MK_OK ? MK_EXIT_DONE : mk_ctl_why(e, &why);
}

static int take_names(struct render *r)
{
	int rc = r->connection ? mk_feed_add(&r->feed, r->connection, &r->by_default) : MK_EXIT_DONE;
	for (size_t i = 0; rc == MK_EXIT_DONE && i < r->template.n; i++) {
		const struct mk_piece *p = &r->template.pieces[i];
		if (!p->field)
			continue;
		if (p->of.s[0])
			rc = mk_feed_add(&r->feed, p->of.s, NULL);
		else if (!r->connection)
			rc = mk_ctl_usage("render", "line %u, column %u: of which connection? Give --connection NAME, or write {{NAME:%s}}", p->line,
					  p->column, p->field);
	}
	if (rc == MK_EXIT_DONE && r->feed.n == 0)
		rc = mk_ctl_usage("render", "the template names no field, and there is no --connection");
	return rc;
}

int mk_ctl_render(int argc, char **argv)
{
	static struct render r = { .feed = { .target.name = "api", .target.secret = true, .command = "render", .matter = mk_template_fields,
					     .changed = changed, .drop_expired = true } };
	const char *words[2];
	char *text = NULL;
	struct stat st = { 0 };
	size_t n = 0;
	const struct mk_option options[] = {
		{ "--socket", &r.feed.target.socket, NULL }, { "--env", &r.feed.target.env, NULL }, { "--connection", &r.connection, NULL },
		{ "--exec", &r.runner.command, NULL }, { "--once", NULL, &r.once }, { "--keep", NULL, &r.keep },
	};
	r.feed.arg = &r;
	int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, MK_COUNT(words), &n);
	if (rc == MK_EXIT_DONE && n != 2)
		rc = mk_ctl_usage("render", "render wants a template and the file to write");
	if (rc == MK_EXIT_DONE && r.runner.command && !r.runner.command[0])
		rc = mk_ctl_usage("render", "--exec wants a command");
	r.file = n > 1 ? words[1] : "";
	r.feed.once = r.once;
	if (rc == MK_EXIT_DONE)
		rc = read_template(&r, words[0], &text, &st);
	if (rc == MK_EXIT_DONE)
		rc = take_names(&r);
	if (rc == MK_EXIT_DONE)
		rc = check_place(&r, &st);
	if (rc == MK_EXIT_DONE)
		rc = start(&r);
	mk_feed_done(&r.feed);
	mk_template_done(&r.template);
	free(text);
	return rc;
}
