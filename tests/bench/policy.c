/* SPDX-License-Identifier: Apache-2.0
 *
 * What one decision of the policy costs, by the number of rules of one service: names,
 * names that begin alike, every tenth a deny. Prints "RULES NANOSECONDS" by line.
 */
#include "policy/policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CHECKS 200000u
#define ASKED  1024u /* names, half of which a rule fits */

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static mk_must add_rule(struct mk_rules *all, unsigned i)
{
	struct mk_rule r = { .deny = i % 10 == 9, .actions = 1u << MK_ACTION_GET, .n_patterns = 1, .line = i + 2 };
	memcpy(r.service.s, "billing", sizeof "billing");
	r.patterns = calloc(1, sizeof *r.patterns);
	if (!r.patterns)
		return MK_NO_MEMORY;
	snprintf(r.patterns[0].s, sizeof r.patterns[0].s, i % 2 == 0 ? "acme-%u" : "acme-%u-*", i);
	const enum mk_err e = mk_rules_add_rule(all, &r);
	if (e != MK_OK)
		free(r.patterns);
	return e;
}

static mk_must make(unsigned rules, struct mk_policy **ret)
{
	struct mk_rules all = { .environment = { "production" } };
	struct mk_why why = { 0 };
	const struct mk_service s = { .name = { "billing" }, .identity = { .socket = { "api" }, .set = MK_EVIDENCE_UID, .uid = 1 }, .line = 1 };
	enum mk_err e = mk_rules_add_service(&all, &s);
	for (unsigned i = 0; e == MK_OK && i < rules; i++)
		e = add_rule(&all, i);
	if (e == MK_OK)
		e = mk_policy_new(&all, ret, &why);
	if (e != MK_OK)
		fprintf(stderr, "bench-policy: %s %s\n", mk_err_word(e), why.text);
	mk_rules_done(&all);
	return e;
}

static void measure(const struct mk_policy *p, unsigned rules)
{
	static struct mk_name asked[ASKED];
	unsigned allowed = 0;
	for (unsigned i = 0; i < ASKED; i++)
		snprintf(asked[i].s, sizeof asked[i].s, i % 2 == 0 ? "acme-%u" : "acme-%u-erp", i * 7919u % (2 * rules));
	const int64_t began = now_ns();
	for (unsigned i = 0; i < CHECKS; i++)
		allowed += mk_policy_check(p, 0, MK_ACTION_GET, &(struct mk_subject){ .name = &asked[i % ASKED] }).decision == MK_ALLOW;
	printf("%u %.0f\n", rules, (double)(now_ns() - began) / CHECKS);
	if (allowed == 0)
		fprintf(stderr, "bench-policy: nothing was allowed\n");
}

int main(void)
{
	static const unsigned sizes[] = { 10, 100, 1000, 10000 };
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct mk_policy *p = NULL;
		if (make(sizes[i], &p) != MK_OK)
			return 1;
		measure(p, sizes[i]);
		mk_policy_free(p);
	}
	return 0;
}
