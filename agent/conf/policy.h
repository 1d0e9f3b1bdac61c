/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of policy.conf's reader, private to this folder. base of each list is the
 * struct mk_rules that is filled. Form only: what the rules mean together is found by
 * compiling them.
 */
#ifndef MK_CONF_POLICY_H
#define MK_CONF_POLICY_H

#include "agent/conf/keys.h"
#include "mk/rules.h"

extern const struct mk_list mk_policy_services_list; /* policy_who.c */
extern const struct mk_list mk_policy_groups_list;
extern const struct mk_list mk_policy_rules_list;    /* policy_rule.c */

extern const struct mk_kind mk_kind_tags; /* struct mk_rule: its tags */

/* A list of strings, as many as there are; each becomes one item of an array that the caller owns, also on an error. */
struct mk_strings {
	size_t max, size;  /* entries; bytes of an item */
	enum mk_err (*item)(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at);
};
mk_must mk_strings_read(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, const struct mk_strings *how,
			void **items, size_t *n);

#endif
