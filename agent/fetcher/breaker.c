/* SPDX-License-Identifier: Apache-2.0
 *
 * The circuit breaker's states: closed (pause 0), open (until_ms lies ahead), half open
 * (until_ms has passed), and a probe under way.
 */
#include "agent/fetcher/breaker.h"

bool mk_breaker_allows(const struct mk_breaker *b, int64_t now_ms)
{
	return b->pause_ms == 0 || (now_ms >= b->until_ms && !b->probing);
}

void mk_breaker_begin(struct mk_breaker *b)
{
	b->probing = b->pause_ms != 0;
}

void mk_breaker_success(struct mk_breaker *b)
{
	*b = (struct mk_breaker){ 0 };
}

static void open_for(struct mk_breaker *b, int64_t now_ms, int64_t pause_ms)
{
	*b = (struct mk_breaker){ .pause_ms = pause_ms, .until_ms = now_ms + pause_ms };
}

/* A call that was under way when the breaker opened adds nothing. */
void mk_breaker_failure(struct mk_breaker *b, int64_t now_ms)
{
	if (b->probing)
		open_for(b, now_ms, b->pause_ms * 2 < MK_BREAKER_LONGEST_MS ? b->pause_ms * 2 : MK_BREAKER_LONGEST_MS);
	else if (b->pause_ms == 0 && ++b->failures >= MK_BREAKER_FAILURES)
		open_for(b, now_ms, MK_BREAKER_OPEN_MS);
}

void mk_breaker_nothing(struct mk_breaker *b)
{
	b->probing = false;
}
