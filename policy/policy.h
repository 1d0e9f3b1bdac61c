/* SPDX-License-Identifier: Apache-2.0
 *
 * Who a caller is, and what it may do. Pure functions over an immutable compiled
 * policy: no clock, no files, no log. A policy borrows nothing from its document.
 */
#ifndef MK_POLICY_H
#define MK_POLICY_H

#include "mk/rules.h"
#include "mk/tag.h"
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
	char unit[MK_UNIT_MAX + 1];  /* of the peer's cgroup, read between two liveness checks; "" : not known, which fits no unit */
	struct mk_account account;   /* of a verified service-account token; ns "" : none */
	bool vouched;                /* unit comes from systemd (credential.sock), which alone counts there */
};

/* The instance's side of identity. */
struct mk_nobody {
	uid_t own_uid;      /* the agent's own uid is nobody */
	uid_t overflow_uid; /* /proc/sys/kernel/overflowuid, 65534 */
	bool pid_required;  /* on a host a pid of 0 is nobody; in a pod it is not */
};

enum mk_decision { MK_DENY = 0, MK_ALLOW = 0x6d }; /* zeroed memory denies */

/* What a decision is about. */
struct mk_subject {
	const struct mk_name *name;  /* NULL: the instance */
	const struct mk_tag *tags;   /* of the store */
	size_t n_tags;
	bool tags_known;             /* false: not fetched yet: every tag is unknown */
	bool tags_trusted;           /* the backend says trust_tags; else tags allow nothing, and deny what they deny */
};

struct mk_verdict {
	enum mk_decision decision;
	bool tags_matter;       /* denied, but with its tags known it might be allowed: worth a fetch, where the name is in the store */
	uint32_t rule;          /* index in file order of the rule that decided, MK_NO_RULE: the default */
	uint32_t rate_per_hour; /* of the deciding allow rule, or the default */
	const struct mk_rule *allow; /* of an allow: whose fields count; the policy's */
};

struct mk_policy;

/* Compiles. why names the line: two services that no evidence tells apart, a rule for an unknown service or group, a name
 * given twice, an empty group, a rule that says a thing twice or can never decide. The environment was compared by the caller. */
mk_must mk_policy_new(const struct mk_rules *rules, struct mk_policy **ret, struct mk_why *why);
struct mk_policy *mk_policy_free(struct mk_policy *p);

/* The service that the evidence makes, or MK_NO_SERVICE: nobody, also when two fit. Uid 0 is nobody unless a service names it.
 * On the socket "credential" only what systemd vouches for counts: the service is the one that names the unit with that very
 * socket, or else the only one that names the unit at all; two are nobody. */
uint32_t mk_policy_who(const struct mk_policy *p, const struct mk_evidence *e, const struct mk_nobody *n);

const struct mk_service *mk_policy_service(const struct mk_policy *p, uint32_t service);
const struct mk_rule *mk_policy_rule(const struct mk_policy *p, uint32_t rule);
size_t mk_policy_rules(const struct mk_policy *p);
size_t mk_policy_services(const struct mk_policy *p);
uint32_t mk_policy_service_of(const struct mk_policy *p, const struct mk_word *name); /* MK_NO_SERVICE: none of that name */
/* Is the rule for this service, or for a group that it is in? */
bool mk_policy_concerns(const struct mk_policy *p, uint32_t rule, uint32_t service);

/* May this service do this to this connection? Default deny; a deny beats an allow; nobody is denied; the first allow in file
 * order gives rate and fields. An action on the instance (status, reload) needs an allow with a pattern "*" and no tags.
 * A tag that is unknown (not fetched, or not there) matches every deny and no allow. Costs the same whatever the number of rules. */
struct mk_verdict mk_policy_check(const struct mk_policy *p, uint32_t service, enum mk_action action,
				  const struct mk_subject *about);

/* Would a bearer token be needed to be anybody here: 401, not 403. False for who is somebody, or brought a token that holds. */
bool mk_policy_wants_account(const struct mk_policy *p, const struct mk_evidence *e, const struct mk_nobody *n);
/* Does an allow give this field of the answer? NULL gives none. */
bool mk_rule_grants(const struct mk_rule *allow, const char *field);

/* Linear in the text for any pattern; public for tests and fuzzing. */
bool mk_pattern_match(const struct mk_pattern *p, const struct mk_name *name);
mk_must mk_pattern_of(struct mk_span text, struct mk_pattern *ret);

#endif
