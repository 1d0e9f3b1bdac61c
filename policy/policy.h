/* SPDX-License-Identifier: Apache-2.0
 *
 * Who a caller is, and what it may do. Pure functions over an immutable compiled
 * policy: no clock, no files, no log. A policy borrows nothing from its document.
 */
#ifndef MK_POLICY_H
#define MK_POLICY_H

#include "mk/rules.h"
#include "mk/why.h"

#define MK_GROUPS_MAX 64 /* supplementary groups looked at; a caller with more is nobody */
#define MK_RATE_DEFAULT_PER_HOUR (1000u * 3600u)
#define MK_NO_SERVICE UINT32_MAX
#define MK_NO_RULE UINT32_MAX

/* What the kernel said of a peer at accept. Zeroed, it is nobody: `known` is false. */
struct mk_evidence {
	bool known;            /* all kernel calls for it succeeded */
	struct mk_word socket; /* the listener it came through */
	uid_t uid;
	gid_t gid;
	pid_t pid;             /* 0: another pid namespace */
	gid_t groups[MK_GROUPS_MAX];
	size_t n_groups;
};

/* The instance's side of identity. */
struct mk_nobody {
	uid_t own_uid;      /* the agent's own uid is nobody */
	uid_t overflow_uid; /* /proc/sys/kernel/overflowuid, 65534 */
	bool pid_required;  /* on a host a pid of 0 is nobody; in a pod it is not */
};

enum mk_decision { MK_DENY = 0, MK_ALLOW = 0x6d }; /* zeroed memory denies */

struct mk_verdict {
	enum mk_decision decision;
	uint32_t rule;          /* index in file order of the rule that decided, MK_NO_RULE: the default */
	uint32_t rate_per_hour; /* of the deciding allow rule, or the default */
};

struct mk_policy;

/* Compiles. why names the line: two services that no evidence tells apart, a rule for
 * an unknown service, a service named twice. The environment was compared by the caller. */
mk_must mk_policy_new(const struct mk_rules *rules, struct mk_policy **ret, struct mk_why *why);
struct mk_policy *mk_policy_free(struct mk_policy *p);

/* The service that the evidence makes, or MK_NO_SERVICE: nobody, also when two fit.
 * Uid 0 is nobody unless a service names uid 0. */
uint32_t mk_policy_who(const struct mk_policy *p, const struct mk_evidence *e, const struct mk_nobody *n);

const struct mk_service *mk_policy_service(const struct mk_policy *p, uint32_t service);
const struct mk_rule *mk_policy_rule(const struct mk_policy *p, uint32_t rule);
size_t mk_policy_rules(const struct mk_policy *p);
size_t mk_policy_services(const struct mk_policy *p);

/* May this service do this to this connection? Default deny; a deny beats an allow; nobody is denied.
 * `name` NULL: an action on the instance (status, reload): needs an allow rule with that action and a pattern "*". */
struct mk_verdict mk_policy_check(const struct mk_policy *p, uint32_t service, enum mk_action action,
				  const struct mk_name *name);

/* Linear in the text for any pattern; public for tests and fuzzing. */
bool mk_pattern_match(const struct mk_pattern *p, const struct mk_name *name);
mk_must mk_pattern_of(struct mk_span text, struct mk_pattern *ret);

#endif
