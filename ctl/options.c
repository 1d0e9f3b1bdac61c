/* SPDX-License-Identifier: Apache-2.0
 *
 * Options and messages that all commands share.
 */
#include "ctl/ctl.h"

#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool mk_ctl_never_waits;

bool mk_ctl_may_speak(void)
{
	struct pollfd to = { .fd = STDERR_FILENO, .events = POLLOUT };
	return !mk_ctl_never_waits || poll(&to, 1, 0) != 0;
}

static void say(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
static void say(const char *fmt, va_list ap)
{
	if (!mk_ctl_may_speak())
		return;
	fputs("makinictl: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int mk_ctl_fail(int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return code;
}

int mk_ctl_usage(const char *command, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	fprintf(stderr, "Try: makinictl help %s\n", command);
	return MK_EXIT_USAGE;
}

int mk_ctl_why(enum mk_err e, const struct mk_why *why)
{
	const char *text = why->text[0] ? why->text : e == MK_NO_MEMORY ? "out of memory" : mk_err_word(e);
	if (why->file[0] && why->line)
		fprintf(stderr, "%s:%u: %s\n", why->file, why->line, text);
	else if (why->file[0])
		fprintf(stderr, "%s: %s\n", why->file, text);
	else
		fprintf(stderr, "makinictl: %s\n", text);
	return MK_EXIT_FAILED;
}

/* Edits between two short words (Levenshtein), one row at a time. */
static size_t distance(const char *a, const char *b)
{
	size_t row[64], n = strlen(b);
	if (n >= MK_COUNT(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];
		row[0] = i + 1;
		for (size_t j = 0; j < n; j++) {
			const size_t change = diagonal + (a[i] != b[j]);
			const size_t insert = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
			diagonal = row[j + 1];
			row[j + 1] = change < insert ? change : insert;
		}
	}
	return row[n];
}

const char *mk_ctl_nearest(const char *word, const char *const *known, size_t n)
{
	const char *best = NULL;
	size_t least = 3; /* more edits than two are another word */
	for (size_t i = 0; i < n; i++) {
		const size_t d = distance(word, known[i]);
		if (d < least) {
			least = d;
			best = known[i];
		}
	}
	return best;
}

static const struct mk_option *find(const char *arg, const struct mk_option *options, size_t n, const char **ret_value)
{
	for (size_t i = 0; i < n; i++) {
		const size_t len = strlen(options[i].name);
		if (strncmp(arg, options[i].name, len) != 0 || (arg[len] != '\0' && arg[len] != '='))
			continue;
		*ret_value = arg[len] == '=' ? arg + len + 1 : NULL;
		return &options[i];
	}
	return NULL;
}

/* Without what stands behind "=": it could be a secret. */
static int unknown(const char *arg, const struct mk_option *options, size_t n)
{
	const char *known[16];
	char name[64];
	size_t k = 0;
	for (; k < n && k < MK_COUNT(known); k++)
		known[k] = options[k].name;
	snprintf(name, sizeof name, "%.*s", (int)strcspn(arg, "="), arg);
	const char *near = mk_ctl_nearest(name, known, k);
	if (near)
		return mk_ctl_fail(MK_EXIT_USAGE, "unknown option %s; did you mean %s?", name, near);
	return mk_ctl_fail(MK_EXIT_USAGE, "unknown option %s (makinictl help COMMAND lists a command's options)", name);
}

/* One option at argv[*at]; moves *at on when its value is the next argument. */
static int take(int argc, char **argv, int *at, const struct mk_option *options, size_t n)
{
	const char *value = NULL;
	const struct mk_option *o = find(argv[*at], options, n, &value);
	if (!o)
		return unknown(argv[*at], options, n);
	if (o->flag) {
		if (value)
			return mk_ctl_fail(MK_EXIT_USAGE, "%s takes no value", o->name);
		*o->flag = true;
		return MK_EXIT_DONE;
	}
	if (!value && *at + 1 < argc && strncmp(argv[*at + 1], "--", 2) != 0)
		value = argv[++*at];
	if (!value)
		return mk_ctl_fail(MK_EXIT_USAGE, "%s wants a value", o->name);
	*o->value = value;
	return MK_EXIT_DONE;
}

int mk_ctl_options(int argc, char **argv, const struct mk_option *options, size_t n, const char **words, size_t max_words,
		   size_t *ret_words)
{
	size_t found = 0;
	bool open = true; /* no "--" yet */
	for (int i = 0; i < argc; i++) {
		if (open && strcmp(argv[i], "--") == 0) {
			open = false;
		} else if (open && argv[i][0] == '-' && argv[i][1] != '\0') {
			const int rc = take(argc, argv, &i, options, n);
			if (rc != MK_EXIT_DONE)
				return rc;
		} else if (found == max_words) {
			return mk_ctl_fail(MK_EXIT_USAGE, "too many words: %zu at most (makinictl help COMMAND shows which)", max_words);
		} else {
			words[found++] = argv[i];
		}
	}
	*ret_words = found;
	return MK_EXIT_DONE;
}

int mk_ctl_each(int *argc, char **argv, const char *name, int (*each)(void *arg, const char *value), void *arg)
{
	const size_t n = strlen(name);
	int kept = 0, rc = MK_EXIT_DONE;
	for (int i = 0; i < *argc && rc == MK_EXIT_DONE; i++) {
		if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=')
			rc = each(arg, argv[i] + n + 1);
		else if (strcmp(argv[i], name) == 0)
			rc = each(arg, ++i < *argc ? argv[i] : NULL);
		else
			argv[kept++] = argv[i];
	}
	*argc = kept;
	return rc;
}
