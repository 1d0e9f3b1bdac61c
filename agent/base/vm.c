/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads /proc/self/smaps line by line through a small buffer: "START-END perms …" opens
 * a mapping, "VmFlags: rd wr …" closes it. No stdio, no allocation.
 */
#include "agent/base/vm.h"

#include "mk/own.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

struct lines {
	int fd;
	size_t at, len;
	char buf[2048];
};

static int next_char(struct lines *in)
{
	if (in->at == in->len) {
		ssize_t n;
		do
			n = read(in->fd, in->buf, sizeof in->buf);
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return -1;
		in->len = (size_t)n;
		in->at = 0;
	}
	return (unsigned char)in->buf[in->at++];
}

/* One line without its newline; what is beyond cap is dropped. */
static bool next_line(struct lines *in, char *line, size_t cap)
{
	size_t n = 0;
	int c = next_char(in);
	if (c < 0)
		return false;
	for (; c >= 0 && c != '\n'; c = next_char(in))
		if (n < cap - 1)
			line[n++] = (char)c;
	line[n] = '\0';
	return true;
}

/* A lower-case hexadecimal number at *s, and the character after it. */
static bool take_hex(const char **s, char end, uintptr_t *ret)
{
	static const char digits[] = "0123456789abcdef";
	uintptr_t v = 0;
	const char *p = *s, *d;
	for (; *p && (d = strchr(digits, *p)) != NULL; p++)
		v = v << 4 | (uintptr_t)(d - digits);
	if (p == *s || *p != end)
		return false;
	*s = p + 1;
	*ret = v;
	return true;
}

static bool is_mapping(const char *line, uintptr_t *from, uintptr_t *to)
{
	return take_hex(&line, '-', from) && take_hex(&line, ' ', to);
}

static bool has_flags(const char *line)
{
	return strstr(line, " lo") && strstr(line, " dd");
}

bool mk_vm_locked(const void *p, size_t n)
{
	const uintptr_t end = (uintptr_t)p + n;
	uintptr_t wanted = (uintptr_t)p, from = 0, to = 0;
	struct lines in = { .fd = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC) };
	char line[256];
	while (in.fd >= 0 && wanted < end && next_line(&in, line, sizeof line)) {
		if (is_mapping(line, &from, &to) || strncmp(line, "VmFlags:", 8) != 0)
			continue;
		if (from <= wanted && wanted < to) {
			if (!has_flags(line))
				break;
			wanted = to; /* the next mapping, where the range goes beyond this one */
		}
	}
	mk_close(in.fd);
	return wanted >= end;
}
