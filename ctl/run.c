/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl run: its options, and the beginning: no program is started before all of its tokens are there.
 */
#include "ctl/run.h"

#include "agent/base/units.h"
#include "ctl/ctl.h"
#include "mk/leaf.h"

#include <ctype.h>
#include <stdio.h>

#define GRACE_MS 10000

/* --- options */

static int signal_of(const char *name)
{
	static const int list[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT };
	if (strncmp(name, "SIG", 3) == 0)
		name += 3;
	for (size_t i = 0; i < MK_COUNT(list); i++)
		if (strcmp(name, sigabbrev_np(list[i])) == 0)
			return list[i];
	return 0;
}

static int action_of(const char *option, const char *text, bool may_end, struct mk_run_action *ret)
{
	static const struct {
		const char *word;
		enum mk_run_what what;
	} words[] = { { "restart", MK_RUN_RESTART }, { "ignore", MK_RUN_IGNORE }, { "end", MK_RUN_END } };
	const size_t n = may_end ? MK_COUNT(words) : MK_COUNT(words) - 1;
	if (!text)
		return MK_EXIT_DONE;
	for (size_t i = 0; i < n; i++)
		if (strcmp(text, words[i].word) == 0) {
			ret->what = words[i].what;
			return MK_EXIT_DONE;
		}
	if (strncmp(text, "signal=", 7) == 0 && (ret->signo = signal_of(text + 7)) != 0) {
		ret->what = MK_RUN_SIGNAL;
		return MK_EXIT_DONE;
	}
	return mk_ctl_usage("run", "%s takes restart, signal=NAME (HUP, INT, QUIT, TERM, USR1, USR2, WINCH, CONT)%s", option,
			    may_end ? ", ignore or end" : " or ignore");
}

static bool is_variable(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isalpha((unsigned char)s[i]) && s[i] != '_' && !(i > 0 && isdigit((unsigned char)s[i])))
			return false;
	return n > 0 && n < MK_VARIABLE_MAX;
}

/* acme-crm: MAKINI_TOKEN_ACME_CRM. A name has no "_", so two never meet. */
static void default_variable(const char *name, char out[MK_VARIABLE_MAX])
{
	int n = snprintf(out, MK_VARIABLE_MAX, "MAKINI_TOKEN_");
	for (; *name; name++)
		out[n++] = *name == '-' ? '_' : (char)toupper((unsigned char)*name);
	out[n] = '\0';
}

static int take_word(struct mk_run *r, const char *word)
{
	const char *eq = strchr(word, '=');
	struct mk_fed *fed = NULL;
	const size_t have = r->feed.n, len = eq ? (size_t)(eq - word) : 0;
	if (eq && r->files)
		return mk_ctl_usage("run", "with --files a token's file has the connection's name: no VAR=NAME");
	if (eq && !is_variable(word, len))
		return mk_ctl_usage("run", "VAR=NAME: not the name of a variable (letters, digits and _)");
	int rc = mk_feed_add(&r->feed, eq ? eq + 1 : word, &fed);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (r->feed.n == have)
		return mk_ctl_usage("run", "%s is named twice", fed->name.s);
	default_variable(fed->name.s, r->variables[have]);
	if (eq)
		snprintf(r->variables[have], MK_VARIABLE_MAX, "%.*s", (int)len, word);
	for (size_t i = 0; i < have; i++)
		if (strcmp(r->variables[i], r->variables[have]) == 0)
			return mk_ctl_usage("run", "two tokens in one variable: %s", r->variables[i]);
	return MK_EXIT_DONE;
}

struct texts {
	const char *change, *revoke, *grace, *at;
};

static int understand(struct mk_run *r, const struct texts *t)
{
	const struct mk_run_action by_default = r->files ? (struct mk_run_action){ MK_RUN_SIGNAL, SIGHUP } : (struct mk_run_action){ MK_RUN_RESTART, 0 };
	r->on_change = by_default;
	r->grace_ms = GRACE_MS;
	int rc = action_of("--on-change", t->change, false, &r->on_change);
	r->on_revoke = r->on_change;
	if (rc == MK_EXIT_DONE)
		rc = action_of("--on-revoke", t->revoke, true, &r->on_revoke);
	if (rc == MK_EXIT_DONE && t->grace && mk_duration_of(mk_span_of(t->grace), &r->grace_ms) != MK_OK)
		rc = mk_ctl_usage("run", "--grace takes a duration: a whole number and ms, s, m or h");
	if (rc == MK_EXIT_DONE && t->at && !r->files)
		rc = mk_ctl_usage("run", "--files-at goes with --files");
	return rc;
}

/* --- the beginning */

/* All there, or the code that fits the first that is not; what is wrong was told. */
static int all_held(const struct mk_run *r)
{
	for (size_t i = 0; i < r->feed.n; i++) {
		const struct mk_fed *f = &r->feed.fed[i];
		struct mk_leaf l;
		if (f->code != MK_EXIT_DONE)
			return f->code;
		if (!mk_fed_leaf(f, "access_token", &l))
			return mk_ctl_fail(MK_EXIT_DENIED, "%s: the policy leaves out access_token (its rule's fields)", f->name.s);
	}
	return MK_EXIT_DONE;
}

static int start(struct mk_run *r)
{
	r->feed.once = r->on_change.what == MK_RUN_IGNORE && r->on_revoke.what == MK_RUN_IGNORE && !r->files;
	int rc = mk_feed_begin(&r->feed);
	if (rc == MK_EXIT_DONE)
		rc = all_held(r);
	for (size_t i = 0; rc == MK_EXIT_DONE && r->files && i < r->feed.n; i++)
		rc = mk_run_files_put(r, &r->feed.fed[i]) ? MK_EXIT_DONE : MK_EXIT_FAILED;
	if (rc == MK_EXIT_DONE)
		rc = mk_child_signals(r);
	if (rc == MK_EXIT_DONE)
		rc = mk_run_loop(r);
	if (r->files)
		mk_run_files_end(r);
	mk_feed_done(&r->feed);
	return rc;
}

/* Takes "-- CMD ARGS" off; false: it is not there. */
static bool split(int *argc, char **argv, struct mk_run *r)
{
	for (int i = 0; i < *argc; i++)
		if (strcmp(argv[i], "--") == 0) {
			r->argv = argv + i + 1;
			*argc = i;
			return r->argv[0] != NULL;
		}
	return false;
}

int mk_ctl_run(int argc, char **argv)
{
	static const char *const matter[] = { "access_token", NULL };
	static struct mk_run r = { .feed = { .target.name = "api", .target.secret = true, .command = "run", .matter = matter, .changed = mk_run_changed } };
	const char *words[MK_STREAM_NAMES];
	struct texts t = { 0 };
	size_t n = 0;
	const struct mk_option options[] = {
		{ "--socket", &r.feed.target.socket, NULL }, { "--env", &r.feed.target.env, NULL }, { "--files", NULL, &r.files },
		{ "--files-at", &t.at, NULL }, { "--on-change", &t.change, NULL }, { "--on-revoke", &t.revoke, NULL }, { "--grace", &t.grace, NULL },
	};
	r.feed.arg = &r;
	if (!split(&argc, argv, &r))
		return mk_ctl_usage("run", "run wants a program: makinictl run NAME... -- CMD ARGS");
	int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, MK_COUNT(words), &n);
	if (rc == MK_EXIT_DONE && n == 0)
		rc = mk_ctl_usage("run", "run wants the names of connections before --");
	if (rc == MK_EXIT_DONE)
		rc = understand(&r, &t);
	for (size_t i = 0; rc == MK_EXIT_DONE && i < n; i++)
		rc = take_word(&r, words[i]);
	if (rc == MK_EXIT_DONE)
		rc = mk_run_find(&r);
	getrlimit(RLIMIT_CORE, &r.child.core);
	if (rc == MK_EXIT_DONE && r.files)
		rc = mk_run_files_begin(&r, t.at);
	return rc == MK_EXIT_DONE ? start(&r) : rc;
}
