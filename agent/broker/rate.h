/* SPDX-License-Identifier: Apache-2.0
 *
 * Token buckets, one for each service and rule with a rate of its own, and one for each
 * service's other calls. A bucket holds one second's worth (at least one call). The
 * table is bounded and never allocates after it was made; buckets are known by name
 * and rate, so a reload gives nobody a fresh burst.
 */
#ifndef MK_RATE_H
#define MK_RATE_H

#include "mk/name.h"

struct mk_rates;

struct mk_rate_key {
	struct mk_word service;
	uint32_t rule;     /* index of the rule whose rate it is, or a number of its own for the default */
	uint32_t per_hour; /* not 0 */
};

mk_must mk_rates_new(struct mk_rates **ret);
struct mk_rates *mk_rates_free(struct mk_rates *r);

/* Takes one call. RATE_LIMITED: *retry_after_s is when the next will pass, 1 at least. */
mk_must mk_rate_take(struct mk_rates *r, const struct mk_rate_key *key, int64_t now_ms, unsigned *retry_after_s);

/* Takes calls that were made already: the level may go below nothing, and the next one waits for it. */
void mk_rate_spend(struct mk_rates *r, const struct mk_rate_key *key, int64_t now_ms, uint32_t calls);

#endif
