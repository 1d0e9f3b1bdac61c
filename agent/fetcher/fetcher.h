/* SPDX-License-Identifier: Apache-2.0
 *
 * The fetcher as its own parts see it: two links (the supervisor's, which its life hangs
 * on, and the broker's), the configuration in force and the one that is coming in.
 */
#ifndef MK_FETCHER_H
#define MK_FETCHER_H

#include "agent/base/lock/lockdown.h"
#include "agent/base/loop.h"
#include "agent/fetcher/driver.h"
#include "agent/fetcher/keys.h"
#include "agent/fetcher/transport_curl.h"
#include "agent/ipc/ipc.h"
#include "agent/ipc/msgs.h"

struct mk_fetcher_conf {
	struct mk_msg_begin begin;
	struct mk_instance *instances[MK_BACKENDS_MAX]; /* owned */
	size_t n;
	struct mk_keys *keys; /* owned; NULL: none are wanted */
};

/* What the broker was told of each backend (tell.c). */
struct mk_told {
	struct mk_timer *timer;
	struct {
		bool told;
		int64_t at_ms; /* boot clock */
		struct mk_msg_endpoint m;
	} backends[MK_BACKENDS_MAX];
};

struct mk_fetcher {
	struct mk_loop *loop;
	struct mk_curl *curl;                /* NULL: no store is on the network */
	struct mk_driver driver;
	struct mk_link *supervisor, *broker;
	int peer;                            /* the broker's link before this process is ready; -1 */
	struct mk_fetcher_conf *now, *next;  /* NULL: none */
	struct mk_lockdown_report report;
	bool locked;                         /* lock-down is done */
	bool draining, ending;
	uint32_t broker_number;              /* of its link: questions of an earlier broker have no answer */
	unsigned questions;                  /* not answered yet */
	struct mk_told told;
	int code;                            /* exit code */
};

/* fetcher.c */
int mk_fetcher_run(const struct mk_lockdown_report *report);
void mk_fetcher_stop(struct mk_fetcher *f, int code);
void mk_fetcher_drained(struct mk_fetcher *f); /* ends a draining fetcher that has answered all */

/* config.c */
mk_must mk_fetcher_conf_begin(struct mk_fetcher *f, const struct mk_msg_begin *begin);
mk_must mk_fetcher_conf_add(struct mk_fetcher *f, const struct mk_msg_backend *m); /* BAD_REQUEST: out of order or too many */
mk_must mk_fetcher_conf_keys(struct mk_fetcher *f, const struct mk_msg_keys_from *m);
/* Checks what came in, locks down the first time, puts it in force. On an error the one before stays and why tells. */
mk_must mk_fetcher_conf_take(struct mk_fetcher *f, struct mk_why *why);
struct mk_fetcher_conf *mk_fetcher_conf_free(struct mk_fetcher_conf *c);

/* sandbox.c */
mk_must mk_fetcher_lock(const struct mk_fetcher_conf *c, struct mk_lockdown_report *report, struct mk_why *why);
/* Is all that `next` needs among what `now` was locked to? */
bool mk_fetcher_reaches(const struct mk_fetcher_conf *now, const struct mk_fetcher_conf *next);

/* tell.c: how the endpoints fare, for status. What is new in kind goes at once, but once a second at most; counters every
 * ten seconds. */
mk_must mk_fetcher_tell_start(struct mk_fetcher *f);
void mk_fetcher_tell(struct mk_fetcher *f);       /* what is due */
void mk_fetcher_tell_again(struct mk_fetcher *f); /* all of it: another broker, another configuration */

/* serve.c */
mk_must mk_fetcher_on_broker(struct mk_fetcher *f, const struct mk_frame *frame);
void mk_fetcher_tell_keys(void *f, const struct mk_msg_keys *m); /* to the broker, if there is one */

#endif
