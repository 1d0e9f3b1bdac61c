/* SPDX-License-Identifier: Apache-2.0
 *
 * The names that stand for all names when two policies are compared.
 */
#ifndef MK_CTL_POLICY_NAMES_H
#define MK_CTL_POLICY_NAMES_H

#include "ctl/policy.h"

/* What is asked about: as it is shown, and the name it is asked by ("": the instance). */
struct mk_about {
	struct mk_pattern shown;
	struct mk_name name;
};

struct mk_abouts {
	struct mk_about *of; /* owned; different ones, in order */
	size_t n, cap;
};

/* file: of names, one a line; "-" is standard input; NULL: none. An exit code; a message where it is not MK_EXIT_DONE. */
int mk_abouts_make(struct mk_abouts *a, const struct mk_rules *old, const struct mk_rules *new, const char *file);
void mk_abouts_done(struct mk_abouts *a);

#endif
