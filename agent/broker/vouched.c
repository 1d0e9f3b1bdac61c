/* SPDX-License-Identifier: Apache-2.0
 *
 * systemd.exec(5), LoadCredential=: where its path is a socket, the manager connects to
 * it from an abstract address that names the unit and the credential. The address is the
 * peer's own choice, so it is worth what its uid is worth.
 */
#include "agent/broker/evidence.h"

#include "agent/broker/cgroup.h"
#include "mk/own.h"

#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#define RANDOM_MAX 16 /* a 64-bit number in hexadecimal */
#define MARK "/unit/"

static bool is_hex(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

enum mk_err mk_vouched_of(struct mk_span address, char unit[MK_UNIT_MAX + 1], char id[MK_CREDENTIAL_ID_MAX + 1])
{
	size_t at = 1;
	while (at < address.n && is_hex(address.p[at]))
		at++;
	if (address.n == 0 || address.p[0] != '\0' || at < 2 || at > 1 + RANDOM_MAX)
		return MK_DENIED;
	const size_t mark = strlen(MARK);
	if (address.n - at <= mark || memcmp(address.p + at, MARK, mark) != 0)
		return MK_DENIED;
	const struct mk_span rest = mk_span(address.p + at + mark, address.n - at - mark);
	const uint8_t *slash = memchr(rest.p, '/', rest.n);
	const size_t unit_n = slash ? (size_t)(slash - rest.p) : 0;
	const size_t id_n = slash ? rest.n - unit_n - 1 : 0;
	if (id_n == 0 || id_n > MK_CREDENTIAL_ID_MAX || memchr(slash + 1, '\0', id_n) || !mk_unit_is_service(mk_span(rest.p, unit_n)))
		return MK_DENIED;
	memcpy(unit, rest.p, unit_n);
	unit[unit_n] = '\0';
	memcpy(id, slash + 1, id_n);
	id[id_n] = '\0';
	return MK_OK;
}

enum mk_err mk_evidence_vouched(int fd, struct mk_evidence *e, char id[MK_CREDENTIAL_ID_MAX + 1])
{
	struct sockaddr_un from = { .sun_family = AF_UNSPEC };
	socklen_t n = sizeof from;
	if (!e->known || e->uid != 0)
		return MK_DENIED;
	if (getpeername(fd, (struct sockaddr *)&from, &n) != 0 || from.sun_family != AF_UNIX || n > sizeof from ||
	    n <= offsetof(struct sockaddr_un, sun_path))
		return MK_DENIED;
	MK_TRY(mk_vouched_of(mk_span(from.sun_path, n - offsetof(struct sockaddr_un, sun_path)), e->unit, id));
	e->vouched = true;
	return MK_OK;
}
