/* SPDX-License-Identifier: Apache-2.0
 *
 * A policy of services, groups and tags, and callers of every kind.
 */
#ifndef MK_TEST_POLICY_PEOPLE_H
#define MK_TEST_POLICY_PEOPLE_H

#include "policy_kit.h"

#include <stdio.h>

#define ANY ((uid_t)-1) /* no uid asked for */

/* unit: NULL for none; account: "ns/name", or NULL */
static inline void service(struct mk_rules *r, const char *name, const char *socket, uid_t uid, const char *unit, const char *account)
{
	struct mk_service s = { .name = word(name), .line = (unsigned)r->n_services + 1 };
	struct mk_identity *id = &s.identity;
	id->socket = word(socket);
	if (uid != ANY) {
		id->uid = uid;
		id->set |= MK_EVIDENCE_UID;
	}
	if (unit) {
		snprintf(id->unit, sizeof id->unit, "%s", unit);
		id->set |= MK_EVIDENCE_UNIT;
	}
	if (account) {
		snprintf(id->account.ns, sizeof id->account.ns, "%.*s", (int)strcspn(account, "/"), account);
		snprintf(id->account.name, sizeof id->account.name, "%s", strchr(account, '/') + 1);
		id->set |= MK_EVIDENCE_ACCOUNT;
	}
	assert_int_equal(mk_rules_add_service(r, &s), MK_OK);
}

static inline uint32_t who(const struct mk_policy *p, const struct mk_evidence *e)
{
	return mk_policy_who(p, e, &host);
}

#endif
