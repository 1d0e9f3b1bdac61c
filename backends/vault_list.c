/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages of keys. OpenBao gives as many as were asked for, after a key; HashiCorp's Vault
 * gives all there are, each time. Both come to the same here: what is not after the last
 * name is passed over, the first MK_LIST_PAGE_MAX of the rest are kept, in order.
 */
#include "backends/json.h"
#include "backends/vault.h"
#include "mk/own.h"

/* The connection that a key stands for. Folders end in "/", and a pending secret in "--pending": neither is a name. */
static bool name_of(const char *key, const char *prefix, struct mk_name *ret)
{
	const size_t n = strlen(prefix);
	return strncmp(key, prefix, n) == 0 && mk_name_of(mk_span_of(key + n), ret) == MK_OK;
}

static void add(struct mk_vault_list *l, const struct mk_name *name)
{
	size_t i = l->n;
	if (strcmp(name->s, l->after) <= 0)
		return;
	while (i > 0 && strcmp(l->listed[i - 1].name.s, name->s) > 0)
		i--;
	if (i > 0 && mk_name_eq(&l->listed[i - 1].name, name))
		return;
	l->dropped = l->dropped || l->n == MK_LIST_PAGE_MAX;
	if (i == MK_LIST_PAGE_MAX)
		return;
	if (l->n == MK_LIST_PAGE_MAX)
		l->n--;
	memmove(&l->listed[i + 1], &l->listed[i], (l->n - i) * sizeof l->listed[0]);
	l->listed[i] = (struct mk_listed){ .name = *name };
	l->n++;
}

static void take(struct mk_vault_list *l, const char *key, bool *fresh)
{
	struct mk_name name;
	if (name_of(key, l->prefix, &name))
		add(l, &name);
	if (strncmp(key, l->last, sizeof l->last - 1) <= 0)
		return;
	const size_t n = strnlen(key, sizeof l->last - 1);
	memcpy(l->last, key, n);
	l->last[n] = '\0';
	*fresh = true;
}

enum mk_err mk_vault_read_keys(struct mk_span body, struct mk_vault_list *list)
{
	mk_auto(mk_json_freep) json_t *root = NULL;
	bool fresh = false;
	size_t i;
	json_t *key;
	MK_TRY(mk_json_parse(body, &root));
	json_t *keys = mk_json_array(mk_json_object(root, "data"), "keys");
	if (!keys)
		return MK_BAD_REQUEST;
	json_array_foreach(keys, i, key) {
		if (!json_is_string(key))
			return MK_BAD_REQUEST;
		take(list, json_string_value(key), &fresh);
	}
	list->full = fresh && json_array_size(keys) == MK_VAULT_PAGE;
	return MK_OK;
}
