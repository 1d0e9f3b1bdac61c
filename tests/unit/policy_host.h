/* SPDX-License-Identifier: Apache-2.0
 *
 * A small policy on a host.
 */
#ifndef MK_TEST_POLICY_HOST_H
#define MK_TEST_POLICY_HOST_H

#include "policy_kit.h"

#define ANY ((uid_t)-1) /* no uid, no gid asked for */

static inline void service(struct mk_rules *r, const char *name, const char *socket, uid_t uid, gid_t gid)
{
	struct mk_service s = { .name = word(name), .line = (unsigned)r->n_services + 1 };
	s.identity.socket = word(socket);
	s.identity.uid = uid == ANY ? 0 : uid;
	s.identity.gid = gid == ANY ? 0 : gid;
	s.identity.set = (uid == ANY ? 0u : MK_EVIDENCE_UID) | (gid == ANY ? 0u : MK_EVIDENCE_GROUP);
	assert_int_equal(mk_rules_add_service(r, &s), MK_OK);
}

#endif
