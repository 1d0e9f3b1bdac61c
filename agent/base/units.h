/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers with units, as the configuration writes them. Whole numbers only, no sign,
 * no blank; what overflows or has no unit is BAD_REQUEST. "0" needs a unit too.
 */
#ifndef MK_UNITS_H
#define MK_UNITS_H

#include "mk/err.h"
#include "mk/span.h"

mk_must mk_duration_of(struct mk_span text, int64_t *ret_ms);   /* "250ms" "5s" "5m" "1h" "30d" */
mk_must mk_size_of(struct mk_span text, uint64_t *ret_bytes);   /* "512B" "64KB" "10MB" "1GB" (powers of 1,024) */
mk_must mk_rate_of(struct mk_span text, uint32_t *ret_per_hour); /* "100/s" "60/m" "1000/h"; at least 1/h, at most 1,000,000/s */
mk_must mk_percent_of(struct mk_span text, uint8_t *ret);       /* "0%" to "100%" */
mk_must mk_u32_of(struct mk_span text, uint32_t *ret);          /* decimal digits only */
mk_must mk_i64_of(struct mk_span text, int64_t *ret);           /* an optional '-' and digits */

#endif
