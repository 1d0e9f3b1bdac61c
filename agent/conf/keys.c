/* SPDX-License-Identifier: Apache-2.0
 *
 * The walker over key tables. Knows settings, names and lines; what a value means is
 * the business of its kind.
 */
#include "agent/conf/keys.h"

#include <stdio.h>

#define KEYS_MAX 32 /* of one section */

unsigned mk_setting_line(const config_setting_t *s)
{
	const uintptr_t exact = (uintptr_t)config_setting_get_hook(s);
	if (exact)
		return (unsigned)exact;
	return s->line ? s->line : 1; /* the root has none */
}

/* libconfig's getters take what they only read as writable. */
static config_setting_t *member(const config_setting_t *group, const char *name)
{
	union {
		const config_setting_t *in;
		config_setting_t *out;
	} u = { .in = group };
	return config_setting_get_member(u.out, name);
}

bool mk_keys_has(const config_setting_t *group, const char *name)
{
	return member(group, name) != NULL;
}

unsigned mk_keys_line(const config_setting_t *group, const char *name)
{
	const config_setting_t *s = member(group, name);
	return mk_setting_line(s ? s : group);
}

static mk_must unknown_key(struct mk_reader *r, const struct mk_section *t, const config_setting_t *s)
{
	const char *names[KEYS_MAX];
	char shown[MK_SHOWN_MAX], hint[MK_HINT_MAX], all[256];
	const size_t n = t->n < KEYS_MAX ? t->n : KEYS_MAX;
	for (size_t i = 0; i < n; i++)
		names[i] = t->keys[i].name;
	const char *wrong = config_setting_name(s);
	return mk_keys_refuse(r, s, "unknown key \"%s\"%s; keys here: %s", mk_shown(wrong, shown),
			      mk_hint(wrong, names, n, hint), mk_words_joined(names, n, all, sizeof all));
}

const char *mk_keys_text(const config_setting_t *s)
{
	const char *p = config_setting_get_string(s);
	return p ? p : "";
}

enum mk_err mk_keys_unfit(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s)
{
	char shown[MK_SHOWN_MAX];
	return mk_keys_refuse(r, s, "\"%s\" must be %s; \"%s\" is not", k->name, k->kind->want, mk_shown(mk_keys_text(s), shown));
}

static bool knows(const struct mk_section *t, const char *name)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->keys[i].name, name) == 0)
			return true;
	return false;
}

static const char *type_word(int type)
{
	static const char *const words[] = { "nothing", "a group { }", "a number", "a number", "a number",
					     "a string", "true or false", "an array [ ]", "a list ( )" };
	return type >= 0 && type < (int)(sizeof words / sizeof words[0]) ? words[type] : "something else";
}

static mk_must read_value(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *base)
{
	if (!(k->kind->types & (1u << config_setting_type(s))))
		return mk_keys_refuse(r, s, "\"%s\" must be %s; this is %s", k->name, k->kind->want,
				      type_word(config_setting_type(s)));
	return k->kind->read(r, k, s, (char *)base + k->at);
}

mk_must mk_keys_read_one(struct mk_reader *r, const struct mk_key *k, const config_setting_t *group, void *base)
{
	const config_setting_t *s = member(group, k->name);
	if (s)
		return read_value(r, k, s, base);
	if (!k->required)
		return MK_OK;
	const char *where = config_setting_name(group);
	return mk_keys_refuse(r, group, "\"%s\" is missing%s%s: add it; it must be %s", k->name, where ? " in " : " here",
			      where ? where : "", k->kind->want);
}

mk_must mk_keys_known(struct mk_reader *r, const struct mk_section *t, const config_setting_t *group)
{
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
		if (s && !knows(t, config_setting_name(s)))
			return unknown_key(r, t, s);
	}
	return MK_OK;
}

mk_must mk_keys_read(struct mk_reader *r, const struct mk_section *t, const config_setting_t *group, void *base)
{
	MK_TRY(mk_keys_known(r, t, group));
	for (size_t i = 0; i < t->n; i++)
		MK_TRY(mk_keys_read_one(r, &t->keys[i], group, base));
	return MK_OK;
}
