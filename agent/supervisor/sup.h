/* SPDX-License-Identifier: Apache-2.0
 *
 * The supervisor's inside, private to this folder. It owns the parsed configuration, the
 * listening sockets, the page for the head of the audit chain, and its children. It never
 * reads a byte that a client or a server sent, and sees no token.
 *
 * A child's life: DOWN, STARTING (it gets its configuration), READY, LEAVING (told to
 * finish). It has ended when its process is reaped and its link is gone, in any order.
 */
#ifndef MK_SUP_H
#define MK_SUP_H

#include "agent/base/lock/lockdown.h"
#include "agent/conf/conf.h"
#include "agent/ipc/msgs.h"
#include "agent/supervisor/listeners.h"
#include "agent/supervisor/notify.h"
#include "agent/supervisor/spawn.h"

struct mk_sup;

/* What a child is to be configured with. Borrowed: the configuration in force, or the one of a reload. */
struct mk_plan {
	const struct mk_conf *conf;
	const struct mk_listeners *listeners;
	uint32_t generation;
};

/* How far a plan has been sent. */
struct mk_feed {
	struct mk_plan plan;
	size_t piece, index;
	bool running, first;
	bool answered;           /* READY or REFUSED came: one answer to each */
};

enum mk_kid_state { MK_KID_DOWN, MK_KID_STARTING, MK_KID_READY, MK_KID_LEAVING };

struct mk_kid {
	struct mk_sup *sup;
	enum mk_role role;
	enum mk_kid_state state;
	pid_t pid;               /* 0: reaped, or never started */
	struct mk_link *link;
	struct mk_feed feed;
	struct mk_timer *timer;  /* DOWN: start again; else: it should have ended by now */
	int64_t back_off_ms;
	int64_t since_boot_ms, since_wall_ms;
	uint32_t restarts;
	uint32_t ping;           /* number of the last question */
	unsigned unanswered;     /* questions since the last answer */
	struct mk_msg_ready report;
};

enum mk_reload_state { MK_RELOAD_NONE, MK_RELOAD_FETCHER, MK_RELOAD_BROKER };

struct mk_reloading {
	enum mk_reload_state state;
	struct mk_conf *conf;
	struct mk_listeners listeners;
	uint32_t generation;     /* the one that conf is to be */
	bool new_fetcher;        /* the spare child is the next fetcher */
	int64_t since_ms;        /* boot clock: it has begun */
	bool answer;             /* the broker asked */
	uint32_t number;         /* the number of its question */
	bool again;              /* another request came meanwhile */
	bool again_answer;
	uint32_t again_number;
};

#define MK_KIDS_MAX 4

struct mk_sup {
	struct mk_loop *loop;
	const char *conf_file;
	struct mk_conf *conf;         /* in force */
	uint32_t generation;          /* in force */
	uint32_t last_generation;     /* given out */
	bool refused; /* the last reload */
	struct mk_listeners listeners;
	int tcp_fd, lock_fd, head_fd; /* -1: none */
	int sockets_lock_fd;          /* of runtime_dir */
	struct mk_exes exes;
	struct mk_notify notify;
	struct mk_lockdown_report guards;
	struct mk_kid kids[MK_KIDS_MAX];
	struct mk_kid *broker, *fetcher, *reporter, *spare; /* spare: the next fetcher, or the last one leaving */
	struct mk_kid *linked;        /* the fetcher that the broker was last given a link to; NULL: none yet */
	uint32_t peers;               /* links to fetchers that this broker was given */
	struct mk_reloading reload;
	uint32_t reasons;             /* what the broker last said */
	struct mk_timer *tick, *watchdog;
	int64_t started_wall_ms;
	bool started;                 /* all roles were ready once */
	bool draining;
	bool owes_ready;              /* systemd could not take READY=1 */
	int exit_code;
};

/* kid.c */
mk_must mk_kid_start(struct mk_kid *k, const struct mk_plan *plan);
void mk_kid_kill(struct mk_kid *k, const char *why); /* SIGKILL; it ends like any other death */
void mk_kid_leave(struct mk_kid *k, int64_t in_ms);  /* DRAIN where it can read it; killed after that time */
void mk_kids_reap(struct mk_sup *s);
void mk_kids_ping(struct mk_sup *s);
bool mk_kid_serves(const struct mk_kid *k); /* ready, and its link stands */
bool mk_kids_all_ready(const struct mk_sup *s);
bool mk_kids_any_overdue(const struct mk_sup *s);

/* say.c: one message into a child's link. NOT_READY: it has none, or does not read. */
struct mk_wr mk_say_room(void);
mk_must mk_say(struct mk_kid *k, enum mk_msg type, const struct mk_wr *w, int fd);
mk_must mk_say_number(struct mk_kid *k, enum mk_msg type, uint32_t n, int fd);

/* feed.c */
mk_must mk_feed_start(struct mk_kid *k, const struct mk_plan *plan, bool first);
mk_must mk_feed_pump(struct mk_kid *k);

/* state.c: what changes make known. */
void mk_sup_ready(struct mk_kid *k);                 /* READY came */
void mk_sup_refused(struct mk_kid *k, const struct mk_msg_result *m);
void mk_sup_fed(struct mk_kid *k);                   /* its configuration has left */
void mk_sup_ended(struct mk_kid *k);
void mk_sup_health(struct mk_sup *s);                /* to the reporter and systemd */
void mk_sup_say_ready(struct mk_sup *s);             /* to systemd */
void mk_sup_roles(struct mk_sup *s);                 /* to the broker */
void mk_sup_peer(struct mk_sup *s, struct mk_kid *fetcher);
struct mk_plan mk_sup_plan(const struct mk_sup *s);
void mk_sup_fail(struct mk_sup *s);                  /* the start went wrong: end with 1 */

/* page.c: a page for the broker to share with clients, and its number. OK also where none could be made: it asks again. */
mk_must mk_page_send(struct mk_kid *k, uint32_t number);

/* reload.c */
void mk_reload(struct mk_sup *s, bool answer, uint32_t number); /* now, or when what is under way has ended */
void mk_reload_waiting(struct mk_sup *s);            /* goes on with one that had to wait */
void mk_reload_told(struct mk_sup *s); /* to a broker that is new, that the last reload was refused */
void mk_reload_go_on(struct mk_sup *s);              /* the next fetcher is ready */
void mk_reload_commit(struct mk_sup *s);
void mk_reload_drop(struct mk_sup *s, enum mk_err e, const char *text);
void mk_reload_tick(struct mk_sup *s);               /* ends one that takes too long */

/* start.c, stop.c */
mk_must mk_sup_start(struct mk_sup *s, struct mk_why *why); /* all that is opened, lock-down, the children */
#define MK_STATE_HELD MK_CONFLICT /* from mk_sup_start, with sockets_lock_fd < 0: another instance has one of the directories */
void mk_sup_drain(struct mk_sup *s);
void mk_sup_drain_on(struct mk_sup *s);              /* a child ended while draining */
void mk_sup_stop(struct mk_sup *s);                  /* sockets removed, all closed and freed */

#endif
