/* SPDX-License-Identifier: Apache-2.0
 *
 * The broker's inside: what main.c makes and the parts of this folder hang on. The HTTP
 * side does not include it; it sees broker.h and gate.h.
 */
#ifndef MK_BROKER_CORE_H
#define MK_BROKER_CORE_H

#include "agent/base/lock/lockdown.h"
#include "agent/broker/broker.h"
#include "agent/broker/directory.h"
#include "agent/broker/flight.h"
#include "agent/broker/missing.h"
#include "agent/broker/rate.h"
#include "agent/broker/replica.h"
#include "agent/broker/revoked.h"
#include "agent/broker/shadow.h"
#include "agent/broker/statedb.h"
#include "agent/broker/store.h"
#include "agent/broker/wall.h"

#define MK_TICK_MS     250

/* What is fetched of one's own accord (ahead.h). */
struct mk_ahead {
	size_t part;          /* of the store, that was looked at last */
	bool prefetch;        /* not done yet */
	int64_t from_ms;      /* boot clock: not before */
	struct mk_name after; /* names up to here were looked at */
	size_t left;          /* that may still be fetched */
};

struct mk_pending; /* config.c: a configuration that is still coming in */

struct mk_broker {
	struct mk_loop *loop;
	struct mk_link *supervisor, *fetcher; /* fetcher NULL: there is none now */
	uint32_t peers;                       /* fetchers that this process was given a link to */
	int64_t left_ms;                      /* boot clock: the last one closed its link, and the supervisor was not told; 0: no */
	struct mk_http *http;                 /* NULL before the first configuration */
	struct mk_credentials *credentials;   /* as well */
	struct mk_clients *clients;           /* as well */
	struct mk_pages *pages;               /* NULL only in tests that do without */
	struct mk_timer *tick, *drain;
	struct mk_lockdown_report lock;
	bool draining, in_turn; /* in_turn: gate.h */
	int exit_code;
	int proc_fd;                          /* /proc, to tell units; -1 in a pod */
	int64_t started_ms, started_boot_ms;

	/* the configuration in force */
	uint32_t generation; /* 0: none yet */
	struct mk_word environment;
	bool in_pod, swapped; /* swapped: since the last fetcher came */
	bool other_stores;    /* so that the fetcher of now knows others: it is asked no more, the next one comes */
	uint32_t exceptions;
	struct mk_policy *policy;
	struct mk_shadow shadow;
	struct mk_conf_refresh refresh;
	struct mk_conf_limits limits;
	struct mk_conf_audit audit_conf;
	uint8_t policy_digest[32];
	bool record_due, accept_rollback; /* the configuration's audit record is not written yet; an old database is taken */
	struct mk_nobody nobody;
	struct mk_bearer *bearer; /* NULL: no service-account token counts */
	char state_dir[MK_PATH_MAX], statekey_file[MK_PATH_MAX];
	uint32_t two_person; /* bits 1 << enum mk_action */
	struct mk_replica replicas[MK_BACKENDS_MAX];
	size_t n_replicas;
	struct mk_word listeners[MK_LISTENERS_MAX + 1];
	size_t n_listeners;
	struct mk_word clients_of[MK_LISTENERS_MAX + 1]; /* of those, beside which libmakini's is */
	size_t n_clients_of;
	struct mk_watch watches[MK_WATCHES_MAX];
	size_t n_watches;
	struct mk_pending *pending;

	/* the parts */
	struct mk_audit *audit;
	struct mk_seal *seal;
	struct mk_store *store;
	struct mk_flights *flights;
	struct mk_directory directory;
	struct mk_rates *rates;
	struct mk_missing *missing;
	struct mk_ahead ahead;
	struct mk_tell *tell;
	struct mk_in_store *in_stores; /* calls under way (in_store.h) */
	uint32_t writes;               /* numbers of their questions */
	struct mk_statedb *db;   /* NULL only in tests that do without */
	struct mk_frozen frozen; /* as in the database, or newer where that could not be written */
	struct mk_statekey *statekey; /* NULL with db */
	struct mk_revoked revoked;    /* as frozen */
	struct mk_wall wall;          /* now.h, as what it keeps of it */
	struct mk_wall_kept wall_kept;

	/* health and status */
	bool health_sent, audit_was_writable;
	uint32_t reasons_sent;
	int64_t probe_ms, swept_ms, told_ms; /* boot clock; probe: the next look at stores that fail */
	unsigned probes;                     /* looks since they failed */
	struct mk_msg_role roles[MK_ROLE_COUNT];
	struct mk_alarms alarms;
	struct mk_reload *reload;
	uint32_t reload_n;

	struct mk_listed page[MK_LIST_PAGE_MAX]; /* where LIST_DONE is read into */
};

/* broker.c: a broker without links and configuration; ends with mk_broker_free. */
mk_must mk_broker_new(struct mk_broker **ret);
struct mk_broker *mk_broker_free(struct mk_broker *b);
/* The whole life of the process; its exit code. link_fd: to the supervisor, taken over. */
int mk_broker_run(int link_fd);
/* The last fetcher broke the table, or serves no more: the supervisor ends it. */
void mk_broker_say_peer_broke(struct mk_broker *b);
/* Asks the supervisor for a page, which comes with that number. */
mk_must mk_broker_want_page(struct mk_broker *b, uint32_t number);
/* Ends the loop. */
void mk_broker_stop(struct mk_broker *b, int exit_code);

/* health.c */
void mk_health_check(struct mk_broker *b);            /* tells the supervisor where the reasons changed */
void mk_health_tick(struct mk_broker *b);
/* The audit chain's head, into the process log: what left the host with it is an anchor that `audit verify --expect` takes. */
void mk_health_tell_head(struct mk_broker *b);
bool mk_health_log_replaced(struct mk_broker *b);     /* a new directory stands in its place: only a fresh process may open it */
/* Code and subject are one alarm: logged, and listed in status until it is cleared. subject: what of several is meant (a
 * backend's name, a connection's where the alarm is about its token), "" where there is but one; no service's name. */
void mk_alarm_raise(struct mk_broker *b, enum mk_alarm_code code, const char *subject);
void mk_alarm_clear(struct mk_broker *b, enum mk_alarm_code code, const char *subject);

/* config.c: takes the pieces of a configuration; CONF_END swaps it in or refuses it. */
bool mk_config_is(enum mk_msg type);
mk_must mk_config_frame(struct mk_broker *b, struct mk_frame *f);
void mk_config_forget(struct mk_broker *b);           /* drops what is pending */

void mk_start_record_due(struct mk_broker *b);        /* start.c: writes the configuration's record, if it is still due */

/* watch.c */
mk_must mk_watch_add(struct mk_broker *b, struct mk_watch *w); /* takes over w->fd on success */
void mk_watch_clear(struct mk_broker *b);
/* Reads what changed until now; never blocks. */
void mk_watch_poll(struct mk_broker *b);

#endif
