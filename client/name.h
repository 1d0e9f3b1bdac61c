/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of connections: lower-case letters, digits and single dashes, the first no dash.
 */
#ifndef CLIENT_NAME_H
#define CLIENT_NAME_H

#include "client/handle.h"

/* Length and hash of text; one that is longer than any name has the length MAKINI_NAME_MAX + 1. Not checked otherwise. */
struct name name_of(const char *text);

bool name_is_good(const struct name *name);

#endif
