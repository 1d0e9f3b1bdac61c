/* SPDX-License-Identifier: Apache-2.0
 *
 * The copies of tokens, found by name; bounded. Of each function the caller holds the handle's lock.
 */
#ifndef CLIENT_TABLE_H
#define CLIENT_TABLE_H

#include "client/frame.h"
#include "client/handle.h"

/* Room for the first copies. As memory_new. */
int table_start(makini *m);

/* NULL: not known. The name is no longer than a name may be. */
struct copy *table_find(const makini *m, const struct name *name);

/* Has its word stood still since it came? Also of one without a token. */
bool table_stands(const makini *m, const struct copy *copy);

/* May its token be given once more? */
bool table_good(const makini *m, const struct copy *copy);

/* The token of a copy that holds one. */
struct bytes table_value(const struct copy *copy);

/* Keeps a copy of what an agent answered under the page in force. Where no memory for it can be had, none is kept, and that is no error. */
void table_keep(makini *m, const struct name *name, const struct answer *a);

/* What stands beside the token of an answer that was just given. */
void table_info(const struct answer *a, struct makini_info *info);

/* Wipes the token; its name stays known. */
void table_drop(makini *m, struct copy *copy);
void table_drop_all(makini *m);

/* The first that is to be told, or NULL. */
struct copy *table_changed(makini *m);

#endif
