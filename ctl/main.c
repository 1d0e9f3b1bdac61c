/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl: the command line for services, for the security team and for probes.
 */
#include "ctl/ctl.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

/* Where a standard descriptor is closed, the next file would take its place, and be written to as if
 * it were the terminal. What is opened here instead fails on use, as a closed one does. */
static void fill_standard(void)
{
	static const int useless[] = { O_WRONLY, O_RDONLY, O_RDONLY };
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", useless[fd]) < 0)
			return;
}

int main(int argc, char **argv)
{
	const struct sigaction wait_for_it = { .sa_handler = SIG_DFL }; /* who ignores it is not told how a child ended */
	fill_standard();
	sigaction(SIGCHLD, &wait_for_it, NULL);
	mk_ctl_umask = umask(077);
	return mk_ctl_main(argc, argv);
}
