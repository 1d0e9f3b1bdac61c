/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl audit: what its files share. Each command takes argv after its word and
 * returns an exit code.
 */
#ifndef MK_CTL_AUDIT_H
#define MK_CTL_AUDIT_H

#include "ctl/ctl.h"
#include "mk/span.h"

#include <stdbool.h>
#include <stdio.h>

int mk_ctl_audit_keygen(int argc, char **argv);
int mk_ctl_audit_verify(int argc, char **argv);
int mk_ctl_audit_tail(int argc, char **argv);

/* A segment by its first record, or by its name where it has none. */
struct mk_log_file {
	char *path; /* owned */
	uint64_t first;
	bool begun; /* it begins with a record */
	uint64_t dev, ino;
};

struct mk_log_files {
	struct mk_log_file *files;
	size_t n;
};

/* The files named, and with `all` the segments set aside beside each; in the order of their records, none twice. */
mk_must mk_log_files_of(const char *const *names, size_t n, bool all, struct mk_log_files *ret, struct mk_why *why);
void mk_log_files_done(struct mk_log_files *f);

/* One record for people; a line that is none is shown as such. No byte reaches the terminal that is not printable ASCII. */
void mk_log_show(FILE *to, struct mk_span line);

#endif
