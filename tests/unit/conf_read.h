/* SPDX-License-Identifier: Apache-2.0
 *
 * A configuration that is read from a text: one that must do, and one that may not.
 */
#ifndef MK_TEST_CONF_READ_H
#define MK_TEST_CONF_READ_H

#include "conf_files.h"

static inline enum mk_err parse(const char *text, struct mk_conf *ret, struct mk_why *why)
{
	return mk_conf_parse(mk_span_of(text), "/etc/makini/agent.conf", ret, why);
}

static inline struct mk_conf good(const char *text)
{
	struct mk_conf c = { 0 };
	struct mk_why why = { 0 };
	if (parse(text, &c, &why) != MK_OK)
		fail_msg("line %u: %s", why.line, why.text);
	return c;
}

#endif
