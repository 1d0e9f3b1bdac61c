/* SPDX-License-Identifier: Apache-2.0
 *
 * From text to libconfig's tree. libconfig never opens a file here: it gets a buffer in
 * which no @include is left. It takes a string's line from the word behind it, so the
 * exact lines, known from the scan, are hung on the tree.
 */
#include "agent/conf/sections.h"
#include "agent/conf/text.h"

#include "mk/own.h"

/* Strings stand in the tree in the order of the text: names are no strings, and none are joined. */
static size_t hang_lines(config_setting_t *s, const struct mk_text *t, size_t at)
{
	if (config_setting_type(s) == CONFIG_TYPE_STRING && at < t->n_lines) {
		config_setting_set_hook(s, (void *)(uintptr_t)t->lines[at]);
		return at + 1;
	}
	if (!config_setting_is_aggregate(s))
		return at;
	for (int i = 0; i < config_setting_length(s); i++)
		at = hang_lines(config_setting_get_elem(s, (unsigned)i), t, at);
	return at;
}

static mk_must not_parsed(const config_t *tree, const char *file, struct mk_why *why)
{
	const unsigned line = (unsigned)config_error_line(tree);
	const char *what = config_error_text(tree);
	if (what && strcmp(what, "duplicate setting name") == 0)
		return mk_why_at(why, MK_BAD_REQUEST, file, line, "this key stands twice in its group: remove one of the two");
	return mk_why_at(why, MK_BAD_REQUEST, file, line,
			 "%s: look for a missing quote, comma, semicolon or bracket here or on the line before, or a comma "
			 "behind the last entry of a list",
			 what ? what : "not a configuration");
}

mk_must mk_tree_read(struct mk_span text, const char *file, config_t *tree, struct mk_why *why)
{
	mk_auto(mk_text_done) struct mk_text t = { 0 };
	MK_TRY(mk_text_scan(text, file, &t, why));
	if (config_read_string(tree, t.clean) != CONFIG_TRUE)
		return not_parsed(tree, file, why);
	(void)hang_lines(config_root_setting(tree), &t, 0);
	return MK_OK;
}
