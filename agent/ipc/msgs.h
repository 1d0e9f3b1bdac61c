/* SPDX-License-Identifier: Apache-2.0
 *
 * The messages' contents. For each: a struct, NAME_write into a writer, NAME_read from a frame's body (which consumes all of it
 * or returns BAD_REQUEST and frees what it made). Write and read of one message stand in one file. Spans borrow the body.
 */
#ifndef MK_MSGS_H
#define MK_MSGS_H

#include "agent/base/rw.h"
#include "agent/ipc/msg_keys.h"
#include "mk/backend.h"
#include "mk/conf.h"
#include "mk/rules.h"

#define MK_GUARDS_MAX 16  /* room for enum mk_guard, which this folder does not know; next: values of enum mk_guard_state */
#define MK_GUARD_STATES 5

struct mk_msg_begin { /* CONF_BEGIN */
	uint32_t generation;
	struct mk_word environment;
	enum mk_platform platform;
	uint32_t exceptions;   /* lock-down guards that the configuration excepts */
};
struct mk_msg_number { /* CONF_END, CONF_SHADOW, AUDIT_HEAD, HTTP_LISTENER, PING, PONG, DRAIN, PEER_BROKE, RELOAD, KEYS_WANTED, PAGE_WANTED, PAGE */
	uint32_t n;
};
struct mk_msg_limits { /* CONF_LIMITS */
	struct mk_conf_refresh refresh;
	struct mk_conf_limits limits;
};
struct mk_msg_audit { /* CONF_AUDIT */
	struct mk_conf_audit audit;
	uint8_t policy_digest[32];
};
struct mk_msg_state { /* CONF_STATE */
	char dir[MK_PATH_MAX];
	uint32_t two_person; /* bits 1 << enum mk_action */
	char key_file[MK_PATH_MAX]; /* "": the agent's own */
	bool accept_rollback, accept_clock;
};
struct mk_msg_store { /* CONF_STORE */
	uint8_t index;
	struct mk_word name;
	char type[16];
	bool trust_tags, require_tag, writable;
	uint32_t calls_per_hour; /* the most; 0: no limit (a file) */
};
struct mk_msg_backend { /* CONF_BACKEND */
	uint8_t index;
	struct mk_conf_backend backend;
};
struct mk_msg_listener { /* LISTENER */
	struct mk_word name;
	bool client;         /* libmakini's, beside the one of that name */
};
struct mk_msg_watch { /* STORE_WATCH */
	uint8_t index;       /* of the backend */
	char file[256];      /* the name in the watched directory */
};
struct mk_msg_peer { /* PEER */
	uint8_t role;        /* enum mk_role */
};
struct mk_msg_ready { /* READY */
	uint32_t generation;
	uint8_t guards[MK_GUARDS_MAX]; /* enum mk_guard_state by enum mk_guard */
	uint8_t landlock_abi;
};
struct mk_msg_result { /* REFUSED, RELOAD_DONE: err OK for a reload that went well */
	uint32_t n;          /* generation, or the number in RELOAD, 0 where nobody asked */
	uint32_t generation; /* in force now */
	enum mk_err err;
	char text[768];
};
struct mk_msg_health { uint32_t reasons; }; /* HEALTH, HEALTH_SHOW: enum mk_reason bits; 0: ready */
struct mk_msg_role { /* ROLE_STATE */
	uint8_t role;
	uint32_t pid, restarts;
	int64_t since_ms;    /* wall clock */
	uint8_t guards[MK_GUARDS_MAX];
	uint8_t landlock_abi;
};
struct mk_ref {
	uint32_t slot, gen;  /* what an operation may keep across an await: never a pointer */
};
struct mk_msg_fetch { /* FETCH_BEGIN */
	struct mk_ref ref;
	uint8_t backend;
	struct mk_name name;
	bool previous;
};
struct mk_msg_fetched { /* FETCH_DONE */
	struct mk_ref ref;
	enum mk_err err;
	struct mk_meta meta;     /* where err is OK */
	struct mk_span leaves;   /* a leaf list, checked by read */
};
struct mk_msg_list { /* LIST_BEGIN */
	struct mk_ref ref;
	uint8_t backend;
	struct mk_name after; /* "" from the start */
};
struct mk_msg_listed { /* LIST_DONE; names ascending, checked by read */
	struct mk_ref ref;
	enum mk_err err;
	bool more;
	struct mk_listed *items; /* the caller's room for MK_LIST_PAGE_MAX */
	size_t n;
};

#define MK_REASON_LIST(X) /* why an instance is not ready: bit, code */ \
	X(STARTING, "starting")                                         \
	X(AUDIT, "audit_unavailable")                                   \
	X(BACKEND, "backend_unavailable")                               \
	X(FETCHER, "fetcher_restarting")                                \
	X(BROKER, "broker_restarting")                                  \
	X(FROZEN, "frozen")
enum mk_reason {
#define MK_REASON_ENUM_(name, word) MK_REASON_##name,
	MK_REASON_LIST(MK_REASON_ENUM_)
#undef MK_REASON_ENUM_
	MK_REASON_COUNT
};
const char *mk_reason_word(enum mk_reason r);

#define MK_MSG_FNS(msg)                                             \
	void mk_msg_##msg##_write(struct mk_wr *w, const struct mk_msg_##msg *m); \
	mk_must mk_msg_##msg##_read(struct mk_span body, struct mk_msg_##msg *ret)

MK_MSG_FNS(begin);
MK_MSG_FNS(number);
MK_MSG_FNS(limits);
MK_MSG_FNS(audit);
MK_MSG_FNS(state);
MK_MSG_FNS(store);
MK_MSG_FNS(backend);
MK_MSG_FNS(kubernetes);
MK_MSG_FNS(keys_from);
MK_MSG_FNS(keys);
MK_MSG_FNS(listener);
MK_MSG_FNS(watch);
MK_MSG_FNS(peer);
MK_MSG_FNS(ready);
MK_MSG_FNS(result);
MK_MSG_FNS(health);
MK_MSG_FNS(role);
MK_MSG_FNS(fetch);
MK_MSG_FNS(fetched);
MK_MSG_FNS(list);
MK_MSG_FNS(listed); /* read: ret->items points to room for MK_LIST_PAGE_MAX */

/* CONF_SERVICE, CONF_GROUP and CONF_RULE carry the policy's own structs; what is read owns its lists. */
void mk_msg_service_write(struct mk_wr *w, const struct mk_service *s);
mk_must mk_msg_service_read(struct mk_span body, struct mk_service *ret);
void mk_msg_group_write(struct mk_wr *w, const struct mk_group *g);
mk_must mk_msg_group_read(struct mk_span body, struct mk_group *ret);
void mk_msg_rule_write(struct mk_wr *w, const struct mk_rule *r);
mk_must mk_msg_rule_read(struct mk_span body, struct mk_rule *ret);

#endif
