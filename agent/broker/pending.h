/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration that is still coming in, and the steps that take it. A pending
 * configuration owns what it holds until a step takes that over.
 */
#ifndef MK_PENDING_H
#define MK_PENDING_H

#include "agent/broker/core.h"

struct mk_pending {
	struct mk_msg_begin begin;
	bool has_limits, has_audit, has_state;
	struct mk_msg_limits limits;
	struct mk_msg_audit audit;
	struct mk_msg_state state;
	struct mk_rules rules;
	struct mk_policy *policy; /* of rules, once judged */
	bool has_shadow;          /* what comes now is of the shadow */
	struct mk_rules shadow;
	struct mk_policy *shadow_policy;
	struct mk_msg_store stores[MK_BACKENDS_MAX];
	size_t n_stores;
	struct {
		struct mk_word name;
		bool client;
		int fd;
	} listeners[2 * (MK_LISTENERS_MAX + 1)];
	size_t n_listeners;
	struct mk_watch watches[MK_WATCHES_MAX];
	size_t n_watches;
	int head_fd;
	struct mk_bearer *bearer; /* owned; NULL: none */
};

/* config.c: is p whole, may it follow what is in force, and does its policy compile? */
mk_must mk_config_judge(struct mk_broker *b, struct mk_pending *p, struct mk_why *why);
/* Records it, then swaps it in; on any error the configuration before it stays. */
mk_must mk_config_swap(struct mk_broker *b, struct mk_pending *p, struct mk_why *why);

/* start.c. The parts without any lock-down (tests stop here), then the process. */
mk_must mk_start_parts(struct mk_broker *b, struct mk_pending *p, struct mk_why *why);
mk_must mk_start_first(struct mk_broker *b, struct mk_pending *p, struct mk_why *why);
/* Before each swap: opens /proc where a host needs it, and refuses units where it does not show them. */
mk_must mk_start_proc(struct mk_broker *b, const struct mk_pending *p, struct mk_why *why);
/* The audit record of the swap, on disk before it happens. The first configuration's may come later, once the log
 * can be written. */
mk_must mk_start_record(struct mk_broker *b, const struct mk_pending *p, struct mk_why *why);
/* Hands the listeners over. On an error the ones before stay. */
mk_must mk_start_listeners(struct mk_broker *b, struct mk_pending *p, struct mk_why *why);
/* Tells the HTTP side that the swap has happened. */
void mk_start_swapped(struct mk_broker *b);

#endif
