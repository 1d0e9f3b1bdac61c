/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets that systemd made (sd_listen_fds(3), without its library): descriptors
 * from 3 on, counted by LISTEN_FDS, meant for the process LISTEN_PID, named by
 * LISTEN_FDNAMES. Each is one of the configuration's listeners by its name
 * (FileDescriptorName= in the socket unit). Their files, modes and groups are systemd's.
 */
#ifndef MK_PASSED_H
#define MK_PASSED_H

#include "agent/supervisor/listeners.h"

/* First thing in main, before any other descriptor is opened: the highest of them, 2 where there are none. What is not
 * meant for this process is left out. */
int mk_passed_last(char *const *environment);

/* Takes them over as a set of listeners that all say `passed`. BAD_REQUEST with the remedy where one is not a listening
 * stream socket at a path, or has no name, or the name of another. */
mk_must mk_passed_take(char *const *environment, struct mk_listeners *ret, struct mk_why *why);

#endif
