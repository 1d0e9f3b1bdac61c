/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernel says of the peer of an accepted Unix socket. Read from the
 * descriptor itself; no message and no header can carry it. Any call that fails
 * leaves `known` false, and such a caller is nobody.
 */
#ifndef MK_EVIDENCE_H
#define MK_EVIDENCE_H

#include "policy/policy.h"

/* listener: the name of the listener that accepted fd. */
void mk_evidence_take(int fd, const struct mk_word *listener, struct mk_evidence *ret);

/* The instance's own side of identity. Before lock-down: reads /proc/sys/kernel/overflowuid, 65534 where it cannot. */
void mk_nobody_take(bool in_pod, struct mk_nobody *ret);

#endif
