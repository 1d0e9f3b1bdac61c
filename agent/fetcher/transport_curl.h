/* SPDX-License-Identifier: Apache-2.0
 *
 * The transport on libcurl: one multi for the process, connections kept apart by backend.
 * Made before lock-down, so that nothing is loaded later.
 */
#ifndef MK_FETCHER_TRANSPORT_CURL_H
#define MK_FETCHER_TRANSPORT_CURL_H

#include "agent/base/loop.h"
#include "agent/fetcher/transport.h"

struct mk_curl;

mk_must mk_curl_new(struct mk_curl **ret); /* once per process */
struct mk_curl *mk_curl_free(struct mk_curl *c); /* after its calls; NULL is fine */

struct mk_transport mk_curl_transport(struct mk_curl *c);

/* The process's loop around curl's wait; until mk_loop_stop. */
mk_must mk_curl_run(struct mk_curl *c, struct mk_loop *l);

/* The system's certificates, where libcurl was built to look for them; "" : nowhere. */
const char *mk_curl_ca_file(void);

#endif
