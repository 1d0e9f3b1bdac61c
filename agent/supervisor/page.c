/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages that the broker shares with the clients of a service: it may make no memfd itself.
 * What it is given is one empty page that it can still seal; here nothing of it is kept.
 */
#include "agent/base/log.h"
#include "agent/supervisor/sup.h"
#include "mk/own.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u /* Linux 6.3; not in Debian 12's headers */
#endif
#define PAGE_SIZE   4096
#define WAITING_MAX 16384 /* bytes for a broker that does not read: each page among them is a descriptor here */

static int new_memfd(void)
{
	static const char name[] = "makini-client-page";
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	const int fd = memfd_create(name, flags | MFD_NOEXEC_SEAL);
	return fd < 0 && errno == EINVAL ? memfd_create(name, flags) : fd;
}

mk_must mk_page_send(struct mk_kid *k, uint32_t number)
{
	if (mk_link_queued(k->link) > WAITING_MAX)
		return MK_OK; /* it asks again */
	mk_fd fd = new_memfd();
	if (fd >= 0 && ftruncate(fd, PAGE_SIZE) == 0)
		return mk_say_number(k, MK_MSG_PAGE, number, fd);
	mk_log(MK_ERROR, "page_not_made", MK_KV_S("error", strerrordesc_np(errno)),
	       MK_KV_S("effect", "clients of libmakini are told to try again"), MK_KV_S("remedy", "raise LimitNOFILE, or free memory"));
	return MK_OK;
}
