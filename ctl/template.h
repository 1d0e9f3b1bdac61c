/* SPDX-License-Identifier: Apache-2.0
 *
 * Templates of makinictl render: text in which {{FIELD}} stands for a field of a connection.
 *
 *     {{ access_token }}              of the connection that --connection names
 *     {{ acme-crm:access_token }}     of that one
 *     {{ access_token | json }}       as a JSON value; | shell: as one word of a shell
 *     {{ "{{" }}                      the text between the quotes
 *
 * Blanks within the braces may be left out; all else stands as it is, also a lone }}.
 */
#ifndef MK_CTL_TEMPLATE_H
#define MK_CTL_TEMPLATE_H

#include "agent/base/secret.h"
#include "mk/leaf.h"
#include "mk/name.h"
#include "mk/why.h"

enum mk_filter { MK_PLAIN, MK_JSON, MK_SHELL };

struct mk_piece {
	struct mk_span text;   /* where field is NULL */
	const char *field;
	struct mk_name of;     /* "": the one that --connection names */
	enum mk_filter filter;
	unsigned line, column;
};

struct mk_template {
	struct mk_piece *pieces;
	size_t n;
};

extern const char *const mk_template_fields[]; /* what an agent answers; NULL-ended */

/* text must outlive it. BAD_REQUEST with file, line and column in why; NO_MEMORY. */
mk_must mk_template_of(struct mk_span text, const char *file, struct mk_template *ret, struct mk_why *why);
void mk_template_done(struct mk_template *t);

/* Fills a template: leaf gives a piece's field, or false where there is none. TOO_LARGE where it does not fit into out;
 * NOT_FOUND with why where a field is not there. */
typedef bool mk_leaf_fn(void *arg, const struct mk_piece *p, struct mk_leaf *ret);
mk_must mk_template_fill(const struct mk_template *t, mk_leaf_fn *leaf, void *arg, struct mk_secret *out, struct mk_why *why);

#endif
