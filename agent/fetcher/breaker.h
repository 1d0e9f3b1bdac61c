/* SPDX-License-Identifier: Apache-2.0
 *
 * A circuit breaker: after BREAK_AFTER failures in a row an endpoint is left alone; after a
 * while one call may probe it, and its failure makes the next while twice as long. Pure:
 * times come in as milliseconds of any clock that does not go back.
 */
#ifndef MK_FETCHER_BREAKER_H
#define MK_FETCHER_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#define MK_BREAKER_FAILURES  5u
#define MK_BREAKER_OPEN_MS   5000
#define MK_BREAKER_LONGEST_MS 60000

struct mk_breaker { /* zeroed: closed */
	unsigned failures;    /* in a row, while closed */
	int64_t pause_ms;     /* 0: closed; else how long the last opening lasts */
	int64_t until_ms;     /* open: when a probe may go */
	bool probing;         /* a probe is under way */
};

/* May a call go now? Closed: yes. Open: no. Half open: one, until it is told how that one went. */
bool mk_breaker_allows(const struct mk_breaker *b, int64_t now_ms);
void mk_breaker_begin(struct mk_breaker *b);      /* a call goes, as allowed */
void mk_breaker_success(struct mk_breaker *b);
void mk_breaker_failure(struct mk_breaker *b, int64_t now_ms);
void mk_breaker_nothing(struct mk_breaker *b);    /* the call said nothing about the endpoint: another may probe */

#endif
