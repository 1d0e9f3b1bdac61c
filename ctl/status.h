/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of `makinictl status` that need more than a line: stores and alarms. They
 * print what an agent answered; times are told as ages, by this host's clock.
 */
#ifndef MK_CTL_STATUS_H
#define MK_CTL_STATUS_H

struct json_t;

void mk_ctl_status_stores(const struct json_t *stores);
void mk_ctl_status_alarms(const struct json_t *root);

/* How far apart two moments are, for people: "42 s", "3 min", "2 h 5 min", "4 d 1 h". */
#define MK_AGE_MAX 40
void mk_ctl_age(long long seconds, char out[MK_AGE_MAX]);

#endif
