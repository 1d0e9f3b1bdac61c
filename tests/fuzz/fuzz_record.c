/* SPDX-License-Identifier: Apache-2.0
 *
 * Any leaf list that passes its check makes a record or a fault; a record keeps its promises.
 */
#include "agent/base/clock.h"
#include "agent/broker/record.h"

#define SINCE INT64_C(1767225600000)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct mk_record r;
	const char *fault = NULL;
	const struct mk_span list = mk_span(p, n);
	if (n > MK_SECRET_MAX || mk_leaves_check(list) != MK_OK)
		return 0;
	if (mk_record_of(list, SINCE, &r, &fault) != MK_OK) {
		mk_assert(fault != NULL);
		return 0;
	}
	mk_assert(r.token.n >= 1 && r.token.n <= MK_TOKEN_MAX);
	mk_assert(r.token.p >= p && r.token.p + r.token.n <= p + n);
	mk_assert(memchr(r.token.p, '\n', r.token.n) == NULL);
	mk_assert(memchr(r.token_type, '\0', sizeof r.token_type) != NULL && r.token_type[0] != '\0');
	return 0;
}
