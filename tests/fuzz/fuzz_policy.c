/* SPDX-License-Identifier: Apache-2.0
 *
 * Any text as policy.conf: what is taken compiles, and its decisions keep the rules
 * that hold for every policy: nobody may do nothing, a deny wins, an allow is named.
 */
#include "agent/conf/conf.h"
#include "policy/explain.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
const char *__lsan_default_suppressions(void);

/* libconfig 1.5 forgets the word it was reading when it meets a syntax error. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void ask_about(const struct mk_policy *p, uint32_t service, enum mk_action action, const struct mk_subject *about)
{
	struct mk_explained e;
	const struct mk_verdict v = mk_policy_check(p, service, action, about);
	const struct mk_rule *r = mk_policy_rule(p, v.rule);
	must(v.decision == MK_ALLOW || v.decision == MK_DENY);
	must(!r == (v.rule == MK_NO_RULE));
	if (v.decision == MK_ALLOW)
		must(r && !r->deny && v.rate_per_hour > 0 && v.allow == r && !v.tags_matter);
	else
		must((!r || r->deny) && !v.allow);
	if (r)
		must(mk_policy_concerns(p, v.rule, service));
	if (v.decision == MK_ALLOW && !about->tags_trusted)
		must(r->n_tags == 0);
	must(!v.tags_matter || !about->tags_known);
	mk_policy_explain(p, service, action, about, &e); /* walks all rules: the same must come out */
	must((v.decision == MK_ALLOW) == (e.allowed && e.denies.n == 0));
	must(!r || !r->deny || e.denies.rule[0] == v.rule);
}

static void ask(const struct mk_policy *p, uint32_t service, enum mk_action action, const struct mk_name *name)
{
	static const struct mk_tag tags[] = { { "system", "sap" }, { "zone", "eu" } };
	for (unsigned i = 0; i < 6; i++)
		ask_about(p, service, action, &(struct mk_subject){ .name = name, .tags = tags, .n_tags = i / 2, .tags_known = i > 1,
								    .tags_trusted = i % 2 });
}

static void ask_all(const struct mk_policy *p)
{
	static const struct mk_name names[] = { { "acme-payroll" }, { "a" }, { "globex" } };
	const size_t services = mk_policy_services(p);
	for (uint32_t s = 0; s < services && s < 8; s++)
		for (unsigned a = 0; a < MK_ACTION_COUNT; a++) {
			ask(p, s, (enum mk_action)a, NULL);
			for (size_t i = 0; i < 3; i++)
				ask(p, s, (enum mk_action)a, &names[i]);
		}
	must(mk_policy_check(p, MK_NO_SERVICE, MK_ACTION_GET, &(struct mk_subject){ .name = &names[0] }).decision == MK_DENY);
}

/* A caller made to fit one service is that one, or nobody; never another. */
static void be_all(const struct mk_policy *p)
{
	const struct mk_nobody nobody = { .own_uid = 999, .overflow_uid = 65534, .pid_required = true };
	for (uint32_t s = 0; s < mk_policy_services(p) && s < 8; s++) {
		const struct mk_identity *id = &mk_policy_service(p, s)->identity;
		struct mk_evidence e = { .known = true, .socket = id->socket, .uid = id->uid, .gid = id->gid, .pid = 1,
					 .account = id->account };
		memcpy(e.unit, id->unit, sizeof e.unit);
		const uint32_t who = mk_policy_who(p, &e, &nobody);
		must(who == s || who == MK_NO_SERVICE || !(id->set & MK_EVIDENCE_UID));
		e.known = false;
		must(mk_policy_who(p, &e, &nobody) == MK_NO_SERVICE);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct mk_rules r = { 0 };
	struct mk_why why = { 0 };
	struct mk_policy *policy = NULL;
	if (mk_conf_parse_policy(mk_span(p, n), "policy.conf", NULL, n % 2, &r, &why) != MK_OK) {
		must(why.text[0]);
		return 0;
	}
	must(mk_policy_new(&r, &policy, &why) == MK_OK);
	mk_rules_done(&r);
	ask_all(policy);
	be_all(policy);
	mk_policy_free(policy);
	return 0;
}
