/* SPDX-License-Identifier: Apache-2.0
 *
 * credential.sock: a unit's LoadCredential=NAME:/run/makini/ENVIRONMENT/credential.sock
 * makes systemd connect here, before it starts the unit. The answer is the bare token of
 * the connection NAME, for the service that the unit is; then the end of the stream.
 * A refusal is an empty answer, which systemd takes for an empty credential. Nothing is
 * read from the peer. Only uid 0 is heard, and what it says of the unit is believed.
 */
#ifndef MK_CREDENTIAL_H
#define MK_CREDENTIAL_H

#include "agent/broker/broker.h"

#define MK_CREDENTIAL_LISTENER "credential"

struct mk_credentials;

mk_must mk_credentials_new(struct mk_broker *b, struct mk_credentials **ret);
struct mk_credentials *mk_credentials_free(struct mk_credentials *c); /* NULL is fine */

/* Takes over a listening descriptor; the same socket again is closed. */
mk_must mk_credentials_listen(struct mk_credentials *c, int fd);
void mk_credentials_leave(struct mk_credentials *c);  /* accepts no more; what was asked is answered */
bool mk_credentials_idle(const struct mk_credentials *c); /* nobody waits for an answer */

#endif
