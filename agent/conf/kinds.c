/* SPDX-License-Identifier: Apache-2.0
 *
 * The kinds of values: each turns one setting's text into one field, or says what is
 * wrong with it and what would be right. A kind writes its field only when all is well.
 */
#include "agent/conf/keys.h"

#include "agent/base/file.h"
#include "agent/base/units.h"

#include <stdio.h>

#define STRING (1u << CONFIG_TYPE_STRING)
#define INT (1u << CONFIG_TYPE_INT)
#define BOOL (1u << CONFIG_TYPE_BOOL)
#define GROUP (1u << CONFIG_TYPE_GROUP)
#define ANY_LIST ((1u << CONFIG_TYPE_LIST) | (1u << CONFIG_TYPE_ARRAY))

static struct mk_span text(const config_setting_t *s)
{
	return mk_span_of(mk_keys_text(s));
}

static enum mk_err check_range(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, int64_t n)
{
	if (!k->range || (n >= k->min && n <= k->max))
		return MK_OK;
	return mk_keys_refuse(r, s, "\"%s\" is out of range: it must be %s", k->name, k->range);
}

static enum mk_err read_word(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	return mk_word_of(text(s), at) == MK_OK ? MK_OK : mk_keys_unfit(r, k, s);
}

static enum mk_err read_duration(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	int64_t ms = 0;
	if (mk_duration_of(text(s), &ms) != MK_OK)
		return mk_keys_unfit(r, k, s);
	MK_TRY(check_range(r, k, s, ms));
	memcpy(at, &ms, sizeof ms);
	return MK_OK;
}

static enum mk_err read_size(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	uint64_t bytes = 0;
	if (mk_size_of(text(s), &bytes) != MK_OK || bytes > INT64_MAX)
		return mk_keys_unfit(r, k, s);
	MK_TRY(check_range(r, k, s, (int64_t)bytes));
	memcpy(at, &bytes, sizeof bytes);
	return MK_OK;
}

static enum mk_err read_percent(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	uint8_t n = 0;
	if (mk_percent_of(text(s), &n) != MK_OK)
		return mk_keys_unfit(r, k, s);
	MK_TRY(check_range(r, k, s, n));
	memcpy(at, &n, sizeof n);
	return MK_OK;
}

static enum mk_err read_rate(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	uint32_t n = 0;
	if (mk_rate_of(text(s), &n) != MK_OK)
		return mk_keys_unfit(r, k, s);
	memcpy(at, &n, sizeof n);
	return MK_OK;
}

static enum mk_err read_count(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	const int n = config_setting_get_int(s);
	MK_TRY(check_range(r, k, s, n));
	memcpy(at, &(uint32_t){ (uint32_t)n }, sizeof(uint32_t));
	return MK_OK;
}

static enum mk_err read_bool(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	(void)r;
	(void)k;
	memcpy(at, &(bool){ config_setting_get_bool(s) == CONFIG_TRUE }, sizeof(bool));
	return MK_OK;
}

static size_t count(const char *const *words)
{
	size_t n = 0;
	while (words[n])
		n++;
	return n;
}

/* The index of s's text in the key's words. */
static enum mk_err find_word(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, unsigned *ret)
{
	const char *const *words = k->more;
	const size_t n = count(words);
	for (unsigned i = 0; i < n; i++)
		if (mk_span_is(text(s), words[i])) {
			*ret = i;
			return MK_OK;
		}
	char shown[MK_SHOWN_MAX], hint[MK_HINT_MAX], all[256];
	const char *wrong = (const char *)text(s).p;
	return mk_keys_refuse(r, s, "\"%s\" is no word for \"%s\"%s; known: %s", mk_shown(wrong, shown), k->name,
			      mk_hint(wrong, words, n, hint), mk_words_joined(words, n, all, sizeof all));
}

static enum mk_err read_choice(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	unsigned i = 0;
	MK_TRY(find_word(r, k, s, &i));
	memcpy(at, &i, sizeof i);
	return MK_OK;
}

static enum mk_err read_flags(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	uint32_t bits = 0;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		unsigned bit = 0;
		if (!e || config_setting_type(e) != CONFIG_TYPE_STRING)
			return mk_keys_refuse(r, e ? e : s, "\"%s\" must be %s", k->name, k->kind->want);
		MK_TRY(find_word(r, k, e, &bit));
		bits |= UINT32_C(1) << bit;
	}
	memcpy(at, &bits, sizeof bits);
	return MK_OK;
}

static enum mk_err read_mode(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	const struct mk_span t = text(s);
	mode_t mode = 0;
	if (t.n != 4 || t.p[0] != '0')
		return mk_keys_unfit(r, k, s);
	for (size_t i = 1; i < 4; i++) {
		if (t.p[i] < '0' || t.p[i] > '7' || (t.p[i] - '0') % 2)
			return mk_keys_unfit(r, k, s); /* nobody executes a socket */
		mode = mode << 3 | (mode_t)(t.p[i] - '0');
	}
	memcpy(at, &mode, sizeof mode);
	return MK_OK;
}

static enum mk_err read_section(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	return mk_keys_read(r, k->more, s, at);
}

static enum mk_err read_list(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at)
{
	const struct mk_list *list = k->more;
	const int n = config_setting_length(s);
	if (n > 0 && (size_t)n > list->max)
		return mk_keys_refuse(r, s, "\"%s\" has %d entries: at most %zu", k->name, n, list->max);
	for (int i = 0; i < n; i++) {
		const config_setting_t *e = config_setting_get_elem(s, (unsigned)i);
		if (!e || config_setting_type(e) != CONFIG_TYPE_GROUP)
			return mk_keys_refuse(r, e ? e : s, "each entry of \"%s\" must be a group: { … }", k->name);
		MK_TRY(list->item(r, e, at));
	}
	return MK_OK;
}

const struct mk_kind mk_kind_word = { "a name of a-z, 0-9 and single hyphens, at most 32 long, not beginning with a hyphen",
				      STRING, read_word };
const struct mk_kind mk_kind_duration = { "a duration in quotes, such as \"250ms\", \"5s\", \"5m\", \"1h\" or \"30d\"", STRING,
					  read_duration };
const struct mk_kind mk_kind_size = { "a size in quotes, such as \"512B\", \"64KB\", \"10MB\" or \"1GB\"", STRING, read_size };
const struct mk_kind mk_kind_percent = { "a percentage in quotes, \"0%\" to \"100%\"", STRING, read_percent };
const struct mk_kind mk_kind_rate = { "a rate in quotes, such as \"100/s\", \"60/m\" or \"1000/h\", at most \"1000000/s\"", STRING,
				      read_rate };
const struct mk_kind mk_kind_count = { "a whole number without quotes", INT, read_count };
const struct mk_kind mk_kind_bool = { "true or false, without quotes", BOOL, read_bool };
const struct mk_kind mk_kind_choice = { "one of its words in quotes", STRING, read_choice };
const struct mk_kind mk_kind_flags = { "a list of words, such as [ \"one\", \"two\" ]", ANY_LIST, read_flags };
const struct mk_kind mk_kind_mode = { "an octal mode in quotes for reading and writing only, such as \"0660\"", STRING, read_mode };
const struct mk_kind mk_kind_section = { "a group: { … }", GROUP, read_section };
const struct mk_kind mk_kind_list = { "a list of groups: ( { … }, { … } )", ANY_LIST, read_list };
