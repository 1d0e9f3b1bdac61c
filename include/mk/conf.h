/* SPDX-License-Identifier: Apache-2.0
 *
 * The configuration, parsed and checked: immutable once made. One process parses it
 * (agent/conf); the others get their part of it as messages (agent/ipc).
 */
#ifndef MK_CONF_H
#define MK_CONF_H

#include "mk/jwk.h"
#include "mk/rules.h"

#include <netinet/in.h>

enum mk_platform { MK_HOST, MK_POD };

struct mk_conf_listener {
	struct mk_word name;                    /* "api", "admin", or another */
	char path[MK_SOCKET_PATH_MAX + 1];      /* absolute */
	mode_t mode;
	gid_t gid;                              /* (gid_t)-1: the process's own */
};

/* Beside each listener of services stands one for libmakini: PATH.client.sock beside PATH.sock. */
#define MK_CLIENT_SUFFIX ".client"
static inline bool mk_listener_has_client(const struct mk_word *name)
{
	return strcmp(name->s, "admin") != 0 && strcmp(name->s, "credential") != 0;
}

#define MK_URL_MAX 512

struct mk_conf_backend {
	struct mk_word name;
	char type[16];              /* a word of mk/backends.def, which says what of the following its type has; else "" or 0 */
	char file[MK_PATH_MAX];     /* the store, where it is a file: absolute */
	char key_file[MK_PATH_MAX]; /* absolute, or "" */
	char passphrase_file[MK_PATH_MAX];
	int64_t timeout_ms;         /* of one operation, retries and login included */
	bool trust_tags;
	bool writable;              /* the agent may change what the store has: only what an administrator asks for */
	bool require_tag;           /* a secret without a tag `environment` is refused, as one with another's always is */
	char ca_file[MK_PATH_MAX];  /* "" : the system's */
	char proxy[MK_URL_MAX];     /* "" : none; from the section `proxy`, the environment's is never used */
	uint32_t calls_per_hour;    /* the token bucket's rate, from `rate`; its burst is one minute's worth, at least 20 */
	char address[MK_URL_MAX];   /* https, or http to loopback; no path */
	char ns[128];               /* X-Vault-Namespace; "" : none */
	char mount[128];            /* of the engine there */
	char path[256];             /* with {connection} in it */
	uint8_t kv;                 /* 1 or 2: of Vault's KV engine */
	struct mk_conf_auth {
		char method[16];    /* "" : none */
		char mount[128];    /* of the auth method */
		char role[128];
		char token_file[MK_PATH_MAX];
		char role_id_file[MK_PATH_MAX], secret_id_file[MK_PATH_MAX];
		bool wrapped;       /* secret_id_file holds a response-wrapping token */
		char jwt_file[MK_PATH_MAX];
		char cert_file[MK_PATH_MAX], cert_key_file[MK_PATH_MAX]; /* the client certificate, also without method "cert" */
	} auth;
};

struct mk_conf_audit {
	char file[MK_PATH_MAX];     /* absolute */
	uint8_t recipient[32];      /* X25519 public key */
	uint64_t max_size;          /* bytes of one segment */
	uint32_t keep;              /* rotated segments kept */
};

struct mk_conf_refresh {
	int64_t ttl_ms;
	uint8_t jitter_percent;
	bool prefetch;              /* what policy can hand out, after a start or reload */
	int64_t serve_stale_ms;
};

struct mk_conf_limits {
	uint32_t connections;          /* of all callers */
	uint32_t connections_per_uid;
	int64_t head_timeout_ms;       /* first byte to end of head and body */
	int64_t write_timeout_ms;      /* answer handed over to read by the peer */
	int64_t idle_timeout_ms;       /* between requests */
	uint32_t waiters_per_uid;      /* requests that wait for a fetch */
};

/* In a pod: whose service-account tokens count. What the two files hold is read by mk_conf_load_pod. */
struct mk_conf_kubernetes {
	bool on;
	char audience[128], issuer[256];
	char pod_uid_file[MK_PATH_MAX];
	char jwks_file[MK_PATH_MAX];    /* "" : the keys come from the API server, which the fetcher asks */
	char address[MK_URL_MAX];       /* "" with jwks_file */
	char ca_file[MK_PATH_MAX], token_file[MK_PATH_MAX];
	char pod_uid[MK_POD_UID_MAX + 1];
	uint8_t *jwks;                  /* owned: the file's text */
	size_t n_jwks;
};

struct mk_conf {
	char file[MK_PATH_MAX];        /* agent.conf itself, absolute */
	struct mk_word environment;
	enum mk_platform platform;
	char runtime_dir[MK_PATH_MAX];
	char state_dir[MK_PATH_MAX];
	char policy_file[MK_PATH_MAX];
	struct mk_conf_listener *listeners; /* owned; admin first, api second, then the others */
	size_t n_listeners;
	struct mk_conf_backend *backends;   /* owned */
	size_t n_backends;
	struct mk_conf_refresh refresh;
	struct mk_conf_audit audit;
	struct mk_conf_limits limits;
	struct mk_conf_kubernetes kubernetes;
	bool reporter_on;
	struct sockaddr_storage reporter_addr; /* loopback 9464 by default */
	char state_key_file[MK_PATH_MAX];   /* "" : state.key in state_dir, made by the agent */
	enum mk_rollback { MK_ROLLBACK_REFUSE, MK_ROLLBACK_ACCEPT } rollback; /* a state database older than the audit log says */
	enum mk_clock_behind { MK_CLOCK_BEHIND_CARRY, MK_CLOCK_BEHIND_ACCEPT } clock_behind; /* at a start: what was seen before counts, or not */
	uint32_t two_person;                /* bits 1 << enum mk_action: acts that take a second person */
	uint32_t lockdown_exceptions;       /* bits 1 << enum mk_guard */
	struct mk_rules rules;
	char shadow_file[MK_PATH_MAX];      /* "" : none; a policy that is only compared with */
	struct mk_rules shadow;
	uint8_t policy_digest[32];          /* BLAKE2b-256 of policy.conf's bytes */
};

#endif
