/* SPDX-License-Identifier: Apache-2.0
 *
 * Time. Intervals are milliseconds of CLOCK_BOOTTIME (they go on during suspend);
 * moments that people and stores name are wall-clock milliseconds since 1970.
 * Texts are RFC 3339 in UTC. Tests replace both clocks with mk_clock_fake.
 */
#ifndef MK_CLOCK_H
#define MK_CLOCK_H

#include "mk/err.h"
#include "mk/span.h"

#define MK_TIME_NONE INT64_MIN /* no such moment ("never", "unknown") */
#define MK_RFC3339_MAX 32

int64_t mk_boot_ms(void);
int64_t mk_wall_ms(void);
int64_t mk_boot_us(void); /* for how long something took; never faked */

/* "2026-11-24T06:50:32Z" or, with ms, "2026-11-24T06:50:32.123Z". Years 1970 to 9999; others read as MK_TIME_NONE's text "". */
void mk_rfc3339(int64_t wall_ms, bool with_ms, char out[MK_RFC3339_MAX]);
/* Any RFC 3339 date-time with offset; fractions beyond ms are cut, a leap second (23:59:60 UTC) reads as :59.
 * BAD_REQUEST for all else. Before 1970: negative. */
mk_must mk_rfc3339_parse(struct mk_span text, int64_t *ret_ms);

void mk_clock_fake(const int64_t *boot_ms, const int64_t *wall_ms); /* NULL, NULL: back to the kernel's */

#endif
