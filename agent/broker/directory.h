/* SPDX-License-Identifier: Apache-2.0
 *
 * The names that a backend holds, as its list pages told: an ascending array, built
 * aside page by page and swapped in whole. Names and version ids only.
 */
#ifndef MK_DIRECTORY_H
#define MK_DIRECTORY_H

#include "agent/broker/failure.h"
#include "mk/backend.h"

#define MK_NAMES_MAX 131072u /* beyond that a listing is refused */

struct mk_names {
	struct mk_listed *items; /* owned */
	size_t n, cap;
};

struct mk_directory {
	struct mk_names names;
	bool held;
	int64_t fetched_ms; /* boot clock */
	struct mk_failure failure; /* of the last listing since then, if it failed */
	uint8_t backend;
	uint32_t epoch;
};

/* Appends a page. BAD_REQUEST where it does not go on ascending, TOO_LARGE at MK_NAMES_MAX, NO_MEMORY. */
mk_must mk_names_add(struct mk_names *names, const struct mk_listed *page, size_t n);
void mk_names_done(struct mk_names *names);
/* The index of the first name after `after` ("": the first). */
size_t mk_names_after(const struct mk_names *names, const struct mk_name *after);

bool mk_names_have(const struct mk_names *names, const struct mk_name *name);

/* Takes over names. A listing older than what is held is dropped. */
void mk_directory_set(struct mk_directory *d, struct mk_names *names, uint8_t backend, uint32_t epoch, int64_t boot_ms);
void mk_directory_done(struct mk_directory *d);

#endif
