/* SPDX-License-Identifier: Apache-2.0
 *
 * Linked into test builds of the four executables, never into the product: the linker
 * wraps the first and the last step of lock-down (--wrap). After the last one the
 * role tries what probe.txt, beside the children's executables, lists for it, and says
 * on standard error, in the log's form, what came of each. A role that is killed said
 * what it was about to try. `drop files` or `drop calls` leaves out that layer of all roles,
 * so that it is seen what the other one holds by itself. Where probe.txt says `before`, everything is tried before
 * lock-down instead, each attempt in a process of its own, and the role ends.
 *
 *     role broker · when after · drop calls · state DIR · outside DIR · sibling PID · try NAME … (or *)
 *
 * one word and its value a line. `sibling` may be added once its pid is known.
 */
#include "agent/base/lock/lockdown.h"
#include "tests/proc/attempts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_MAX 8192u
#define KILLED 1000

static int file = -1;
static char text[FILE_MAX];
static size_t text_len;

mk_must __real_mk_lockdown_early(bool is_child, struct mk_lockdown_report *report, struct mk_why *why);
mk_must __wrap_mk_lockdown_early(bool is_child, struct mk_lockdown_report *report, struct mk_why *why);
mk_must __real_mk_lockdown_files(const struct mk_path_rule *rules, size_t n, bool scope_signals, uint32_t exceptions,
				 struct mk_lockdown_report *report, struct mk_why *why);
mk_must __wrap_mk_lockdown_files(const struct mk_path_rule *rules, size_t n, bool scope_signals, uint32_t exceptions,
				 struct mk_lockdown_report *report, struct mk_why *why);
mk_must __real_mk_lockdown_calls(const struct mk_role_calls *calls, uint32_t exceptions, struct mk_lockdown_report *report,
				 struct mk_why *why);
mk_must __wrap_mk_lockdown_calls(const struct mk_role_calls *calls, uint32_t exceptions, struct mk_lockdown_report *report,
				 struct mk_why *why);

static void say(const char *event, const char *attempt, int outcome)
{
	char line[256];
	const int n = snprintf(line, sizeof(line), "{\"event\":\"%s\",\"role\":\"%s\",\"attempt\":\"%s\",\"outcome\":%d}\n", event,
			       MK_PROBE_ROLE, attempt, outcome);

	(void)!write(STDERR_FILENO, line, (size_t)n);
}

/* P/bin/makini-agent and P/libexec/makini/makini-broker both find P/libexec/makini/probe.txt. */
static void open_file(void)
{
	char path[512];
	const ssize_t n = readlinkat(AT_FDCWD, "/proc/self/exe", path, sizeof(path) - 64); /* readlink is not for children */
	char *slash;

	if (n <= 0)
		return;
	path[n] = '\0';
	slash = strrchr(path, '/');
	(void)snprintf(slash, 64, "%s", strcmp(MK_PROBE_ROLE, "supervisor") == 0 ? "/../libexec/makini/probe.txt" : "/probe.txt");
	file = open(path, O_RDONLY | O_CLOEXEC);
}

/* By read alone, which every role may: what was added to the file since comes next. */
static void read_more(void)
{
	const ssize_t n = read(file, text + text_len, FILE_MAX - 1 - text_len);

	if (n > 0)
		text_len += (size_t)n;
	text[text_len] = '\0';
}

/* The value of the line that begins with the word, up to its end; false where it is not there (yet). */
static bool value_of(const char *word, char *out, size_t cap)
{
	const size_t n = strlen(word);

	for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
		const char *end = strchr(at, '\n');

		if (!end || strncmp(at, word, n) != 0 || at[n] != ' ')
			continue;
		const size_t len = (size_t)(end - at) - n - 1;
		if (len >= cap)
			return false;
		memcpy(out, at + n + 1, len);
		out[len] = '\0';
		return true;
	}
	return false;
}

static bool is(const char *word, const char *wanted)
{
	char value[64];

	return value_of(word, value, sizeof(value)) && strcmp(value, wanted) == 0;
}

static pid_t pid_of(const char *digits)
{
	pid_t pid = 0;

	for (; *digits >= '0' && *digits <= '9'; digits++)
		pid = pid * 10 + (*digits - '0');
	return pid;
}

/* Spins: what could sleep may be what is forbidden. */
static void take_aim(void)
{
	char pid[16];

	while (!value_of("sibling", pid, sizeof(pid)))
		read_more();
	aims.sibling = pid_of(pid);
	(void)value_of("state", aims.state, sizeof(aims.state));
	(void)value_of("outside", aims.outside, sizeof(aims.outside));
}

static void try_here(const struct attempt *a)
{
	say("probe_try", a->name, 0);
	say("probe", a->name, a->run());
}

static void try_apart(const struct attempt *a)
{
	int status = 0;
	const pid_t pid = fork();

	if (pid == 0)
		_exit(a->run());
	(void)waitpid(pid, &status, 0);
	say("probe", a->name, WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status));
}

static void try_all(void (*try)(const struct attempt *))
{
	static char list[FILE_MAX];

	take_aim();
	(void)value_of("try", list, sizeof(list));
	for (size_t i = 0; i < attempts_n && strcmp(list, "*") == 0; i++)
		try(&attempts[i]);
	for (char *next = list, *name; (name = strsep(&next, " ")) != NULL;)
		for (size_t i = 0; i < attempts_n; i++)
			if (strcmp(attempts[i].name, name) == 0)
				try(&attempts[i]);
	say("probe_done", "", 0);
}

enum mk_err __wrap_mk_lockdown_early(bool is_child, struct mk_lockdown_report *report, struct mk_why *why)
{
	open_file();
	read_more();
	aims.parent = getppid();
	if (is("role", MK_PROBE_ROLE) && is("when", "before")) {
		try_all(try_apart);
		_exit(0);
	}
	return __real_mk_lockdown_early(is_child, report, why);
}

enum mk_err __wrap_mk_lockdown_files(const struct mk_path_rule *rules, size_t n, bool scope_signals, uint32_t exceptions,
				     struct mk_lockdown_report *report, struct mk_why *why)
{
	if (!is("drop", "files"))
		return __real_mk_lockdown_files(rules, n, scope_signals, exceptions, report, why);
	report->state[MK_GUARD_LANDLOCK] = MK_GUARD_FULL; /* so that the role goes on */
	report->state[MK_GUARD_SIGNAL_SCOPE] = MK_GUARD_FULL;
	return MK_OK;
}

enum mk_err __wrap_mk_lockdown_calls(const struct mk_role_calls *calls, uint32_t exceptions, struct mk_lockdown_report *report,
				     struct mk_why *why)
{
	if (is("drop", "calls"))
		report->state[MK_GUARD_SECCOMP] = report->state[MK_GUARD_MDWE] = MK_GUARD_FULL;
	else
		MK_TRY(__real_mk_lockdown_calls(calls, exceptions, report, why));
	if (is("role", MK_PROBE_ROLE) && is("when", "after"))
		try_all(try_here);
	return MK_OK;
}
