/* SPDX-License-Identifier: Apache-2.0
 *
 * Streams of changes (GET /v1/watch) as the rest of the HTTP side sees them: one hangs on its
 * connection from its answer's head to its end, suspended while it has nothing to say.
 */
#ifndef MK_HTTP_WATCH_H
#define MK_HTTP_WATCH_H

#include "agent/broker/http_conn.h"

#define MK_HEARTBEAT_MS 15000 /* a comment after so long without anything else */

struct mk_stream *mk_stream_free(struct mk_stream *s); /* NULL is fine */
/* After a new generation: ends it where it may not go on. */
void mk_stream_recheck(struct mk_stream *s);
/* It ends in good order; its owner comes again with Last-Event-ID. */
void mk_stream_end(struct mk_stream *s);
/* Its connection is being closed: it may not stay suspended. */
void mk_stream_let_go(struct mk_stream *s);
/* Heartbeats, and those who do not read. */
void mk_stream_sweep(struct mk_stream *s, int64_t write_timeout_ms, int64_t now);
/* Resumes some of those that were woken; true when there are more. */
bool mk_streams_resume(struct mk_http *h);

#endif
