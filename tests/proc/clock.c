/* SPDX-License-Identifier: Apache-2.0
 *
 * Linked into test builds of the four executables, never into the product: their clocks
 * (--wrap) are the kernel's and what clock.bin, beside the children's executables, adds. All
 * processes map that one page before main, so that one write moves them all at once:
 *
 *     i64 ms for the wall clock · i64 ms for the boot clock · i64 0, or what the wall clock stands at
 *
 * Without the file the clocks are the kernel's. What waits in the kernel (epoll) goes on by
 * CLOCK_MONOTONIC, as it does in suspend.
 */
#include "agent/base/clock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct shift {
	int64_t wall_ms, boot_ms, stands_ms;
};

static const struct shift none;
static const volatile struct shift *shift = &none;

int64_t __real_mk_boot_ms(void);
int64_t __wrap_mk_boot_ms(void);
int64_t __real_mk_wall_ms(void);
int64_t __wrap_mk_wall_ms(void);

/* P/bin/makini-agent and P/libexec/makini/makini-broker both find P/libexec/makini/clock.bin. */
__attribute__((constructor)) static void find_shift(void)
{
	char path[512];
	const ssize_t n = readlinkat(AT_FDCWD, "/proc/self/exe", path, sizeof(path) - 64); /* readlink is not for children */
	if (n <= 0)
		return;
	path[n] = '\0';
	char *dir = memrchr(path, '/', (size_t)n);
	const bool is_agent = strstr(dir, "makini-agent");
	snprintf(dir, 64, "%s", is_agent ? "/../libexec/makini/clock.bin" : "/clock.bin");
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	const void *at = mmap(NULL, sizeof(struct shift), PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (at != MAP_FAILED)
		shift = at;
}

int64_t __wrap_mk_boot_ms(void)
{
	return __real_mk_boot_ms() + shift->boot_ms;
}

int64_t __wrap_mk_wall_ms(void)
{
	return shift->stands_ms ? shift->stands_ms : __real_mk_wall_ms() + shift->wall_ms;
}
