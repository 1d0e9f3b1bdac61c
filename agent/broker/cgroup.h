/* SPDX-License-Identifier: Apache-2.0
 *
 * Which systemd unit a process belongs to, by its cgroup. Pure: a text in, a name out.
 * The name is that of a system service: the first component below systemd's slices, as
 * only systemd (root) makes what lies there; below it a unit's owner may make cgroups
 * and call them what it likes, which counts for nothing.
 */
#ifndef MK_CGROUP_H
#define MK_CGROUP_H

#include "mk/limits.h"
#include "mk/span.h"

/* text: all of /proc/PID/cgroup. unit "" where it names no system service, or two. */
void mk_cgroup_unit(struct mk_span text, char unit[MK_UNIT_MAX + 1]);

/* A unit's name as systemd writes it: its alphabet, and ".service" behind at least one character. */
bool mk_unit_is_service(struct mk_span name);

#endif
