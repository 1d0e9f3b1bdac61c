/* SPDX-License-Identifier: Apache-2.0
 *
 * What makinictl watch reads may come from anybody who listens at the socket. Whatever it is, what is
 * made of it can be printed, and it is the same in whatever pieces it comes.
 */
#include "ctl/watch.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static unsigned heard;

static bool plain(const char *s)
{
	for (; *s; s++)
		if ((uint8_t)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static void told(void *arg, const struct mk_news *news)
{
	struct mk_name name;
	(void)arg;
	mk_assert(news->kind[0] && plain(news->kind) && plain(news->version));
	mk_assert(!news->connection[0] || mk_name_of(mk_span_of(news->connection), &name) == MK_OK);
	heard++;
}

static bool feed(const char *p, size_t n, size_t piece, struct mk_sse *s)
{
	*s = (struct mk_sse){ .told = told };
	heard = 0;
	for (size_t at = 0; at < n; at += piece)
		if (!mk_sse_take(s, p + at, n - at < piece ? n - at : piece))
			return false;
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct mk_sse whole, pieces;
	const bool good = feed((const char *)p, n, n ? n : 1, &whole);
	const unsigned first = heard;
	mk_assert(feed((const char *)p, n, 3, &pieces) == good && heard == first);
	mk_assert(strcmp(whole.last_id, pieces.last_id) == 0 && plain(whole.last_id));
	return 0;
}
