/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking the agent, over one of a few connections.
 */
#ifndef CLIENT_ASK_H
#define CLIENT_ASK_H

#include "client/handle.h"

/* Where a caller of makini_get wants its answer. */
struct wish {
	struct name name;
	char *buf;
	size_t size;
	struct makini_info *info; /* may be NULL; zeroed */
};

/* A link that has said hello, for makini_open. */
int ask_hello(makini *m);

/* From a copy that is good. False: there is none. Takes the handle's lock. */
bool ask_copy(makini *m, const struct wish *w, int *ret_rc);

/* From the agent, and keeps a copy. Blocks. */
int ask_agent(makini *m, const struct wish *w);

#endif
