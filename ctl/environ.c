/* SPDX-License-Identifier: Apache-2.0
 *
 * The environment of a program that is started from here: this process's own, with some
 * variables put in place of what was there.
 */
#include "ctl/ctl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

mode_t mk_ctl_umask = 022;

static bool names_same(const char *variable, const char *ours)
{
	const size_t n = strcspn(ours, "=");
	return strncmp(variable, ours, n) == 0 && variable[n] == '=';
}

static bool is_replaced(const char *variable, char *const *ours, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (names_same(variable, ours[i]))
			return true;
	return false;
}

char **mk_ctl_environ(char *const *ours, size_t n)
{
	size_t have = 0, k = 0;
	while (environ && environ[have])
		have++;
	char **all = calloc(have + n + 1, sizeof *all);
	for (size_t i = 0; all && i < have; i++)
		if (!is_replaced(environ[i], ours, n))
			all[k++] = environ[i];
	for (size_t i = 0; all && i < n; i++)
		if (strchr(ours[i], '='))
			all[k++] = ours[i];
	return all;
}
