/* SPDX-License-Identifier: Apache-2.0
 *
 * What a comparison of two policies asks about: every name and pattern that stands in
 * either, and the names that are given. A pattern is asked for by a name that it matches,
 * and "acme-*" and "*-test" also by one that both do.
 */
#include "ctl/policy_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_SIZE 256
#define PAIRS_MAX 10000u /* of patterns that overlap */

static int about_add(struct mk_abouts *a, const char *shown, const char *name)
{
	if (a->n == a->cap) {
		const size_t cap = a->cap ? a->cap * 2 : 64;
		struct mk_about *of = reallocarray(a->of, cap, sizeof *of);
		if (!of)
			return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
		a->of = of;
		a->cap = cap;
	}
	struct mk_about *new = &a->of[a->n];
	*new = (struct mk_about){ .shown.s = "" };
	if (strlen(shown) > MK_PATTERN_MAX || (name[0] && mk_name_of(mk_span_of(name), &new->name) != MK_OK))
		return MK_EXIT_DONE; /* a pattern so long that no other name fits it */
	memcpy(new->shown.s, shown, strlen(shown));
	a->n++;
	return MK_EXIT_DONE;
}

/* A name that the pattern matches and that no one is likely to have written. */
static int about_pattern(struct mk_abouts *a, const struct mk_pattern *p)
{
	char name[MK_PATTERN_MAX * 3 + 1];
	size_t n = 0;
	for (size_t i = 0; p->s[i]; i++) {
		if (p->s[i] != '*') {
			name[n++] = p->s[i];
			continue;
		}
		memcpy(name + n, "0q0", 3);
		n += 3;
	}
	name[n] = '\0';
	return about_add(a, p->s, name);
}

static int about_rules(struct mk_abouts *a, const struct mk_rules *rules)
{
	int rc = MK_EXIT_DONE;
	for (size_t i = 0; i < rules->n_rules; i++)
		for (size_t k = 0; k < rules->rules[i].n_patterns && rc == MK_EXIT_DONE; k++)
			rc = about_pattern(a, &rules->rules[i].patterns[k]);
	return rc;
}

static bool is_kind(const struct mk_pattern *p, bool head)
{
	const char *star = strchr(p->s, '*');
	return star && !strchr(star + 1, '*') && p->s[1] && (head ? !star[1] : star == p->s);
}

/* What begins as one and ends as another. */
static int about_pairs(struct mk_abouts *a)
{
	const size_t n = a->n;
	size_t pairs = 0;
	int rc = MK_EXIT_DONE;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n && is_kind(&a->of[i].shown, true) && rc == MK_EXIT_DONE; k++) {
			struct mk_pattern both = { "" };
			const char *head = a->of[i].shown.s, *tail = a->of[k].shown.s;
			if (!is_kind(&a->of[k].shown, false) || strlen(head) + strlen(tail) > MK_PATTERN_MAX || pairs++ >= PAIRS_MAX)
				continue;
			memcpy(both.s, head, strlen(head));
			memcpy(both.s + strlen(head), tail + 1, strlen(tail + 1));
			rc = about_pattern(a, &both);
		}
	return rc;
}

static int about_file(struct mk_abouts *a, const char *path)
{
	char line[LINE_SIZE];
	struct mk_name name;
	unsigned at = 0;
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	int rc = in ? MK_EXIT_DONE : mk_ctl_fail(MK_EXIT_FAILED, "%s cannot be read", path);
	while (rc == MK_EXIT_DONE && fgets(line, sizeof line, in)) {
		line[strcspn(line, "\r\n")] = '\0';
		at++;
		if (!line[0])
			continue;
		if (mk_name_of(mk_span_of(line), &name) != MK_OK)
			rc = mk_ctl_fail(MK_EXIT_FAILED, "%s:%u: not a connection's name (a-z, 0-9 and single -, 63 at most)", path, at);
		else
			rc = about_add(a, line, line);
	}
	if (in && in != stdin)
		fclose(in);
	return rc;
}

static int by_shown(const void *a, const void *b)
{
	return strcmp(((const struct mk_about *)a)->shown.s, ((const struct mk_about *)b)->shown.s);
}

static void keep_different(struct mk_abouts *a)
{
	size_t kept = 0;
	if (a->n > 0)
		qsort(a->of, a->n, sizeof *a->of, by_shown);
	for (size_t i = 0; i < a->n; i++)
		if (kept == 0 || by_shown(&a->of[kept - 1], &a->of[i]) != 0)
			a->of[kept++] = a->of[i];
	a->n = kept;
}

void mk_abouts_done(struct mk_abouts *a)
{
	free(a->of);
	*a = (struct mk_abouts){ 0 };
}

int mk_abouts_make(struct mk_abouts *a, const struct mk_rules *old, const struct mk_rules *new, const char *file)
{
	int rc = about_add(a, "", "");
	if (rc == MK_EXIT_DONE)
		rc = about_rules(a, old);
	if (rc == MK_EXIT_DONE)
		rc = about_rules(a, new);
	keep_different(a);
	if (rc == MK_EXIT_DONE)
		rc = about_pairs(a);
	if (rc == MK_EXIT_DONE && file)
		rc = about_file(a, file);
	keep_different(a);
	return rc;
}
