/* SPDX-License-Identifier: Apache-2.0
 *
 * What Vault's login methods share: a credential file taken as one line, a login posted
 * as JSON in locked memory, its answer read, and renewal, which is one call for all.
 * A method's state begins with struct mk_login_state. Private to this folder.
 */
#ifndef MK_LOGIN_COMMON_H
#define MK_LOGIN_COMMON_H

#include "agent/base/jw.h"
#include "backends/vault.h"

#define MK_LOGIN_FILE_MAX MK_TOKEN_MAX /* bytes of a credential file */

struct mk_login_state {
	unsigned at;               /* the method's own; 0 at the start */
	char url[MK_URL_TEXT_MAX];
	struct mk_secret *body;    /* of the request under way */
	struct mk_secret *text;    /* of the credential file */
};

/* The fixed texts about one credential file. */
struct mk_login_file {
	const char *missing, *refused, *bad, *unread;
};
#define MK_LOGIN_FILE(key)                                                                                          \
	{ "the file of " key " is missing: put the credential there",                                               \
	  "the file of " key " is refused: it must be a plain file of the agent's user or root that nobody else can " \
	  "read, in a directory that others cannot write (in a pod: set fsGroup)",                                 \
	  "the file of " key " is no credential: it holds one line of visible characters, at most 16 KiB",          \
	  "the file of " key " cannot be read" }

enum mk_step mk_login_ask_file(struct mk_login_op *op, const char *path, unsigned next, struct mk_req *out);
/* The file's one line, without its newline, into *ret (owned by the state). FAIL has told why. */
bool mk_login_take_file(struct mk_login_op *op, const struct mk_res *res, const struct mk_login_file *texts, struct mk_secret **ret);

/* auth/MOUNT/login; mk_login_open's writer is filled, then handed to mk_login_post. */
mk_must mk_login_open(struct mk_login_state *s, size_t cap, struct mk_jw *ret);
enum mk_step mk_login_post(struct mk_login_op *op, struct mk_jw *w, unsigned next, struct mk_req *out);
/* The answer: client_token, lease_duration, renewable. refused: the text for a 400 or 403. */
enum mk_step mk_login_read(struct mk_login_op *op, const struct mk_res *res, const char *refused);

/* Any call under v1/ with a credential. */
enum mk_step mk_login_call(struct mk_login_op *op, const char *path, const struct mk_secret *credential, unsigned next,
			   struct mk_req *out);
/* False: op has failed for want of an answer, or by its status. */
bool mk_login_answered(struct mk_login_op *op, const struct mk_res *res, const char *refused);

/* Renewal (op->renew), whatever the method. */
enum mk_step mk_login_renew(struct mk_login_op *op, const struct mk_res *res, struct mk_req *out);

void mk_login_state_done(struct mk_login_op *op);

/* A login by role and token file: `kubernetes`, `jwt`. */
enum mk_step mk_login_by_jwt(struct mk_login_op *op, const struct mk_res *res, struct mk_req *out);

#endif
