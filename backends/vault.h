/* SPDX-License-Identifier: Apache-2.0
 *
 * What the `vault` backend and its logins share: how a request to Vault or OpenBao looks,
 * what its answers hold, and the fixed texts for what goes wrong. Private to this folder.
 * Readers take a whole body and say BAD_REQUEST where a field is missing, of another
 * type, or not what was asked for; nothing of a body gets into a text.
 */
#ifndef MK_VAULT_H
#define MK_VAULT_H

#include "agent/base/secret.h"
#include "backends/url.h"
#include "mk/backend.h"

#define MK_VAULT_ANSWER_MAX MK_SECRET_LARGE /* bytes of one answer */
#define MK_VAULT_TRIES_MAX 5                /* versions looked at for the previous one */
#define MK_VAULT_LAST_MAX 256               /* bytes kept of a listed key */
#define MK_VAULT_PAGE 200                   /* keys asked for at once */

/* "https://host:8200/v1" into buf; paths follow. */
struct mk_url mk_vault_url(const struct mk_conf_backend *conf, char buf[MK_URL_TEXT_MAX]);
/* Fills a request for url; credential and body may be NULL; ns: with the namespace's header. */
void mk_vault_request(const struct mk_conf_backend *conf, const char *url, const struct mk_secret *credential, struct mk_req *out);

/* Why no answer came: what the error means for an operation, and a text (NULL: the driver's own is better). */
enum mk_err mk_vault_no_answer(enum mk_err transport, const char **ret_fault);
/* Why an answer of this status, which is not one to be read, is a failure. */
const char *mk_vault_status_fault(long status);

/* A secret. version: the one that was asked for, 0 for the current one. */
mk_must mk_vault_read_secret(struct mk_span body, int64_t version, struct mk_meta *ret_meta, struct mk_secret **ret_leaves);
/* KV 1 has no versions: one is made of the value, under key. */
#define MK_VAULT_KEY_BYTES 32
mk_must mk_vault_read_plain(struct mk_span body, const uint8_t key[MK_VAULT_KEY_BYTES], struct mk_meta *ret_meta,
			    struct mk_secret **ret_leaves);

/* The versions before the current one that may be valid, newest first; ends with the first that surely is. */
struct mk_vault_versions {
	int64_t v[MK_VAULT_TRIES_MAX];
	size_t n;
};
mk_must mk_vault_read_versions(struct mk_span body, struct mk_vault_versions *ret);

/* What a 404 says of a secret that is not served. */
struct mk_vault_gone {
	int64_t version; /* the one that is not served; 0: there is no such secret */
	bool deleted;    /* it can be undeleted */
};
mk_must mk_vault_read_gone(struct mk_span body, struct mk_vault_gone *ret);
/* What was written: version and time. */
mk_must mk_vault_read_written(struct mk_span body, struct mk_meta *ret);
/* Of a secret's metadata: the current version, and whether `version` (0: the current one) is there and not destroyed. */
struct mk_vault_standing {
	int64_t current;
	bool there;
	int64_t deleted_ms; /* wall clock: from then on it is not served, but can be undeleted; MK_TIME_NONE */
};
mk_must mk_vault_read_standing(struct mk_span body, int64_t version, struct mk_vault_standing *ret);
/* A pending secret's own versions begin anew each time: its id has the time in it. */
void mk_vault_pending_id(struct mk_meta *m);
/* A version's number; BAD_REQUEST: it is none. */
mk_must mk_vault_number_of(const char *version, int64_t *ret);

/* Is this the body of a 404 that says: no such secret or version? Else it is the mount or the server that is not there. */
bool mk_vault_says_missing(struct mk_span body);

/* Names from pages of keys, ascending; those that are no connection's are left out. */
struct mk_vault_list {
	const char *prefix;            /* before {connection}; borrowed */
	const char *after;             /* names after this one; borrowed */
	struct mk_listed *listed;      /* room for MK_LIST_PAGE_MAX; borrowed */
	size_t n;
	bool dropped;                  /* names beyond the room */
	bool full;                     /* the last page may have another one behind it */
	char last[MK_VAULT_LAST_MAX];  /* the greatest key so far */
};
mk_must mk_vault_read_keys(struct mk_span body, struct mk_vault_list *list);

/* Would the store give a value back as it was? BAD_REQUEST: an integer of more than 53 bits for KV 2; TOO_LARGE: its answer would be. */
mk_must mk_vault_fits(struct mk_span leaves, struct mk_span json, bool kv2);

/* sys/health: false where the store serves no reads, and why. */
bool mk_vault_healthy(long status, const char **ret_fault);

extern const char mk_vault_wrong_answer[]; /* the fault of BAD_REQUEST above */
extern const char mk_vault_no_memory[];

#endif
