/* SPDX-License-Identifier: Apache-2.0
 *
 * Text that people and stores write: names, words, actions, units, RFC 3339, and any
 * bytes as JSON text. What is taken must be what was meant: it reads back the same.
 */
#include "agent/base/clock.h"
#include "agent/base/jw.h"
#include "agent/base/units.h"
#include "agent/base/utf8.h"
#include "mk/rules.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void names(struct mk_span in)
{
	struct mk_name name;
	struct mk_word word;
	enum mk_action action;
	if (mk_name_of(in, &name) == MK_OK) {
		mk_assert(mk_span_is(in, name.s) && in.n >= 1 && in.n <= MK_NAME_MAX);
		mk_assert(!strstr(name.s, "--") && name.s[0] != '-');
		mk_assert(strspn(name.s, "abcdefghijklmnopqrstuvwxyz0123456789-") == in.n);
	}
	if (mk_word_of(in, &word) == MK_OK)
		mk_assert(mk_span_is(in, word.s) && mk_name_of(in, &name) == MK_OK);
	if (mk_action_of(in, &action) == MK_OK)
		mk_assert(mk_span_is(in, mk_action_word(action)));
}

static void units(struct mk_span in)
{
	int64_t i = -1;
	uint64_t u = 0;
	uint32_t u32 = 0;
	uint8_t percent = 255;
	if (mk_duration_of(in, &i) == MK_OK)
		mk_assert(i >= 0);
	if (mk_size_of(in, &u) == MK_OK)
		mk_assert(in.p[in.n - 1] == 'B');
	if (mk_rate_of(in, &u32) == MK_OK)
		mk_assert(u32 >= 1);
	if (mk_percent_of(in, &percent) == MK_OK)
		mk_assert(percent <= 100);
	if (mk_u32_of(in, &u32) == MK_OK)
		mk_assert(mk_i64_of(in, &i) == MK_OK && i == (int64_t)u32);
}

static void times(struct mk_span in)
{
	int64_t ms = 0, again = 0;
	char text[MK_RFC3339_MAX];
	if (mk_rfc3339_parse(in, &ms) != MK_OK)
		return;
	mk_rfc3339(ms, true, text);
	if (text[0] == '\0')
		return; /* before 1970, or by its offset after 9999 */
	mk_assert(mk_rfc3339_parse(mk_span_of(text), &again) == MK_OK && again == ms);
}

static void json(struct mk_span in)
{
	char buf[4096];
	size_t n = 0;
	struct mk_jw w = mk_jw_of(buf, sizeof buf);
	mk_jw_str(&w, in);
	if (mk_jw_end(&w, &n) != MK_OK)
		return;
	mk_assert(n >= 2 && buf[0] == '"' && buf[n - 1] == '"' && mk_utf8_ok(mk_span(buf, n)));
	for (size_t i = 0; i < n; i++)
		mk_assert((uint8_t)buf[i] >= 0x20 && buf[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	const struct mk_span in = mk_span(p, n);
	names(in);
	units(in);
	times(in);
	json(in);
	return 0;
}
