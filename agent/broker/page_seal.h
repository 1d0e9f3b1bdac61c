/* SPDX-License-Identifier: Apache-2.0
 *
 * From a memfd to a page that nobody but its one mapping can write, cut or grow: mapped first, then
 * sealed, then the seals are read back. The only place that maps shared memory for clients.
 */
#ifndef MK_PAGE_SEAL_H
#define MK_PAGE_SEAL_H

#include "makini/wire.h"
#include "mk/err.h"

/* SYSTEM: it is not one page, or its seals do not hold; nothing is mapped then. fd stays the caller's. */
mk_must mk_page_seal(int fd, struct wire_page **ret);

#endif
