/* SPDX-License-Identifier: Apache-2.0
 *
 * The one writer of URLs: scheme, host and port as the configuration has them, then path
 * parts and parameters, each escaped (RFC 3986: all but unreserved characters), so that
 * no name, whatever it holds, can reach another path, host or parameter. Bounded, with a
 * sticky fault; never allocates.
 */
#ifndef MK_URL_H
#define MK_URL_H

#include "mk/err.h"
#include "mk/name.h"

#define MK_URL_TEXT_MAX 2560 /* address, and each part of a path escaped in full */
#define MK_URL_CONNECTION "{connection}"

struct mk_url {
	char *p;
	size_t cap, len;
	bool bad, asked; /* asked: behind the "?" */
};

/* Starts with the address ("https://host:8200"); buf is the caller's. */
struct mk_url mk_url_of(char *buf, size_t cap, const char *address);
/* Adds "/" and the path's parts, which "/" separates. A part that is empty, "." or ".." is a fault. */
void mk_url_path(struct mk_url *u, const char *path);
/* The same, with {connection} replaced by the name. */
void mk_url_path_of(struct mk_url *u, const char *path, const struct mk_name *name);
/* Adds text to the path's last part. */
void mk_url_more(struct mk_url *u, const char *text);
void mk_url_param(struct mk_url *u, const char *key, const char *value);
/* BAD_REQUEST: a fault, or it did not fit. Else buf holds the URL and its NUL. */
mk_must mk_url_end(struct mk_url *u);

/* Visible ASCII, as it must be to stand in a header; one newline behind it is taken off. */
bool mk_header_line(struct mk_span *text);

#endif
