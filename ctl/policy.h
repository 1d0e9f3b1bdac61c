/* SPDX-License-Identifier: Apache-2.0
 *
 * What makinictl's policy words share: a policy from its files, compiled, with the name
 * by which its lines are told.
 */
#ifndef MK_CTL_POLICY_H
#define MK_CTL_POLICY_H

#include "agent/conf/conf.h"
#include "ctl/ctl.h"
#include "policy/policy.h"

struct mk_loaded {
	char file[MK_PATH_MAX];   /* of the policy */
	struct mk_rules rules;
	struct mk_policy *policy; /* owned */
	bool trust_tags;          /* some backend's; true where only the policy is known */
};

/* Where from: at most one of the three; none: the only instance under /etc/makini. */
struct mk_policy_source {
	const char *policy, *config, *env;
	bool in_pod;              /* with `policy`: it is for a pod */
};

/* An exit code; a message where it is not MK_EXIT_DONE. */
int mk_policy_load(const struct mk_policy_source *from, struct mk_loaded *ret);
void mk_loaded_done(struct mk_loaded *l);

/* A service by its name; a message with the nearest where there is none. */
int mk_policy_as(const struct mk_loaded *l, const char *name, uint32_t *ret);

int mk_policy_explain_command(int argc, char **argv); /* argv after the word */
int mk_policy_test_command(int argc, char **argv);
int mk_policy_diff_command(int argc, char **argv);

#endif
