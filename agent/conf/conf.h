/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads agent.conf and the policy.conf that it names. All or nothing: on any error
 * *ret is untouched and why has file, line and remedy. Unknown keys, wrong types,
 * numbers out of range, @include and files that others can write are errors. Only
 * parses: makes no directory, socket or file.
 */
#ifndef MK_CONF_LOAD_H
#define MK_CONF_LOAD_H

#include "mk/conf.h"
#include "mk/why.h"

mk_must mk_conf_load(const char *path, struct mk_conf **ret, struct mk_why *why);
/* What the configuration of a pod says elsewhere: the pod's uid, and the keys where they stand in a file. Reads
 * these two files; does nothing where there is no section `kubernetes`. For the process that runs there. */
mk_must mk_conf_load_pod(struct mk_conf *c, struct mk_why *why);
struct mk_conf *mk_conf_free(struct mk_conf *c);
void mk_conf_done(struct mk_conf *c); /* frees what a conf of the caller's owns, and zeroes it */

/* The policy file alone (`makinictl policy check`); environment "" takes the file's own. in_pod: `user` is refused. */
mk_must mk_conf_load_policy(const char *path, const struct mk_word *environment, bool in_pod, struct mk_rules *ret,
			    struct mk_why *why);

/* The same from memory, without any file: the fuzzers' door. `file` is only named in why. */
mk_must mk_conf_parse(struct mk_span text, const char *file, struct mk_conf *ret, struct mk_why *why);
mk_must mk_conf_parse_policy(struct mk_span text, const char *file, const struct mk_word *environment, bool in_pod,
			     struct mk_rules *ret, struct mk_why *why);

#endif
