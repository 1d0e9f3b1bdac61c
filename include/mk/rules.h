/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy as written: services and rules in file order, checked for form but not yet
 * compiled. Made by agent/conf from policy.conf, carried by agent/ipc, compiled by
 * policy/. A document owns its patterns; mk_rules_done frees all.
 */
#ifndef MK_RULES_H
#define MK_RULES_H

#include "mk/limits.h"
#include "mk/name.h"

#include <sys/types.h>

#define MK_ACTION_LIST(X)                                                                       \
	X(GET, "get") X(LIST, "list") X(WATCH, "watch") X(STATUS, "status") X(ROTATE, "rotate") \
	X(REVOKE, "revoke") X(RESTORE, "restore") X(FREEZE, "freeze") X(THAW, "thaw")           \
	X(APPROVE, "approve") X(EXPLAIN, "explain") X(FINGERPRINT, "fingerprint")               \
	X(RELOAD, "reload") X(CHECK, "check") X(HOLDERS, "holders") X(MAP, "map")

enum mk_action {
#define MK_ACTION_ENUM_(name, word) MK_ACTION_##name,
	MK_ACTION_LIST(MK_ACTION_ENUM_)
#undef MK_ACTION_ENUM_
	MK_ACTION_COUNT
};

const char *mk_action_word(enum mk_action a);
mk_must mk_action_of(struct mk_span word, enum mk_action *ret);

/* What a caller must show to be this service; all that is set must hold. */
enum mk_evidence_bit { MK_EVIDENCE_UID = 1, MK_EVIDENCE_GROUP = 2, MK_EVIDENCE_UNIT = 4, MK_EVIDENCE_ACCOUNT = 8 };
struct mk_account { /* a Kubernetes service account */
	char ns[MK_K8S_NAMESPACE_MAX + 1], name[MK_K8S_ACCOUNT_MAX + 1];
};
struct mk_identity {
	struct mk_word socket; /* always set; "api" unless written */
	unsigned set;          /* enum mk_evidence_bit */
	uid_t uid;             /* from `user` (looked up at load) or `uid` */
	gid_t gid;             /* from `group` */
	char unit[MK_UNIT_MAX + 1]; /* "billing.service"; on a host */
	struct mk_account account;  /* in a pod: of a token for this instance's audience */
};

struct mk_service {
	struct mk_word name;
	struct mk_identity identity;
	unsigned line;
};

/* A connection pattern: the name alphabet and '*', which stands for any run of it, also none. */
#define MK_PATTERN_MAX MK_NAME_MAX
struct mk_pattern {
	char s[MK_PATTERN_MAX + 1];
};

/* A service's name in a rule may be a group's; no group has a service's name, no group holds a group. */
struct mk_group {
	struct mk_word name;
	struct mk_word *services; /* owned */
	size_t n_services;
	unsigned line;
};

struct mk_rule_tag {
	char key[MK_TAG_KEY_MAX + 1], value[MK_TAG_VALUE_MAX + 1];
};
struct mk_field {
	char s[MK_FIELD_MAX + 1]; /* [a-z][a-z0-9_]* */
};

struct mk_rule {
	bool deny;
	struct mk_word service;      /* or a group */
	uint32_t actions;            /* bits 1 << enum mk_action; for a deny that names none: all */
	struct mk_pattern *patterns; /* owned */
	size_t n_patterns;           /* 0: an allow allows nothing; a rule that names none has one pattern "*" */
	struct mk_rule_tag *tags;    /* owned; all must hold */
	size_t n_tags;
	bool fields_set;             /* allow only; false: all fields */
	struct mk_field *fields;     /* owned */
	size_t n_fields;             /* 0 with fields_set: no field, and so no token */
	uint32_t rate_per_hour;      /* 0: the service's default rate */
	unsigned line;
};

struct mk_rules {
	struct mk_word environment;
	struct mk_service *services;
	size_t n_services;
	struct mk_group *groups;
	size_t n_groups;
	struct mk_rule *rules;
	size_t n_rules;
};

/* These free what it owns and zero it. */
void mk_rules_done(struct mk_rules *r);
void mk_rule_done(struct mk_rule *r);
void mk_group_done(struct mk_group *g);
mk_must mk_rules_add_service(struct mk_rules *r, const struct mk_service *s);
/* These two take over what the struct owns on success, and zero it. */
mk_must mk_rules_add_group(struct mk_rules *r, struct mk_group *group);
mk_must mk_rules_add_rule(struct mk_rules *r, struct mk_rule *rule);

#endif
