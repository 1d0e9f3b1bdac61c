/* SPDX-License-Identifier: Apache-2.0
 *
 * Entity tags of answers (RFC 9110, 8.8.3 and 13.1.2). Pure.
 */
#ifndef MK_ETAG_H
#define MK_ETAG_H

#include "agent/broker/gate.h"

/* What a tag stands for: connection, version, mapping and the fields that the allow gives (there are no mappings yet). */
void mk_etag_make(const struct mk_name *name, const char *version, const struct mk_rule *allow, char out[MK_ETAG_MAX]);

/* Does an If-None-Match value name it? "*", or a list of tags, weak ones too. What is not well formed matches nothing. */
bool mk_etag_match(struct mk_span header, const char *etag);

#endif
