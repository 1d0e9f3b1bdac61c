/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl: the command line for services, for the security team and for probes.
 */
#include "ctl/ctl.h"

#include <sys/stat.h>

int main(int argc, char **argv)
{
	umask(077);
	return mk_ctl_main(argc, argv);
}
