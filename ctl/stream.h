/* SPDX-License-Identifier: Apache-2.0
 *
 * One GET /v1/watch on a curl multi handle of the caller's: opened, read, opened again where it
 * broke off, later each time, and taken up where it was. What it tells goes to sse.told, which
 * may set `stop`. The caller turns the multi handle and hands the end of the transfer back.
 */
#ifndef MK_CTL_STREAM_H
#define MK_CTL_STREAM_H

#include "ctl/client.h"
#include "ctl/watch.h"

#define MK_STREAM_NAMES 32u /* an agent's own limit */

struct mk_stream {
	const struct mk_target *target; /* the caller's, as `path`: the socket that was found */
	const char *path;
	bool json;                      /* how a refusal is told */
	struct mk_sse sse;              /* told and arg: the caller's */
	bool stop;                      /* told: read no more */
	bool open, ever;                /* open: it brings what happens; ever: it did once */
	long status;                    /* of the last answer; 0: none came */

	char url[4096];                 /* the rest is its own */
	bool stranger;
	int again_ms;
	int64_t heard_ms;               /* boot clock: when the agent said something last */
	void *curl;
	void *headers;                  /* struct curl_slist */
	struct mk_reply reply;          /* of what is no stream */
};

/* Its URL, for these connections (n 0: all). MK_EXIT_USAGE after a message, for `command`, where one is no name. */
int mk_stream_of(struct mk_stream *s, const char *command, const char *const *words, size_t n);
/* Adds the transfer; MK_EXIT_FAILED after a message. */
int mk_stream_open(struct mk_stream *s, void *multi);
/* After its end, by rc of curl: takes it from multi. MK_EXIT_DONE to open it again, else the code to end with, after a
 * message: nobody ever answered, or it cannot get better by itself (denied, no such call). */
int mk_stream_over(struct mk_stream *s, void *multi, int rc);
/* As mk_stream_over, without judging: for who leaves, or tries again in any case. Harmless where none is open. */
void mk_stream_close(struct mk_stream *s, void *multi);
/* How long to wait before it is opened again, in ms; longer each time until it brings something. */
int mk_stream_again_ms(struct mk_stream *s);
bool mk_stream_is_first_pause(const struct mk_stream *s); /* of those since it brought something */

#endif
