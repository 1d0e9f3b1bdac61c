/* SPDX-License-Identifier: Apache-2.0
 *
 * Brings coverage counters out of locked-down processes, in coverage builds only. A file
 * is mapped before main; when the process ends, its counters go into that memory, which
 * takes no system call that a filter might know. A file holds chunks, each a kind ('F' a
 * .gcda's name, 'D' a part of its data), a pid, a length, and the bytes (struct head);
 * tests/coverage/merge.py reads them.
 */
#include <fcntl.h>
#include <gcov.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROOM (16u << 20) /* sparse */
#define HEAP (1u << 16)

struct area {
	_Atomic uint64_t used; /* of bytes */
	unsigned char bytes[ROOM - sizeof(uint64_t)];
};

struct head {
	uint32_t kind, pid, n;
};

extern const struct gcov_info *const __start_mk_gcov[];
extern const struct gcov_info *const __stop_mk_gcov[];

static struct area *area;
static uint32_t pid; /* kept: a filter may know no getpid */
static _Alignas(16) unsigned char heap[HEAP];
static unsigned heap_used;

void __real__exit(int code) __attribute__((noreturn));
void __wrap__exit(int code) __attribute__((noreturn));

/* Also in a child of fork; one that may not open a file any more goes on with its parent's. */
static void begin_file(void)
{
	char path[4096];
	struct timespec now;
	pid = (uint32_t)getpid();
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(path, sizeof path, "%s/%u-%lld%09ld", MK_COVER_DIR, pid, (long long)now.tv_sec, now.tv_nsec);
	const int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return;
	void *p = ftruncate(fd, ROOM) == 0 ? mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
	close(fd);
	area = p == MAP_FAILED ? area : p;
}

__attribute__((constructor(101))) static void begin(void)
{
	begin_file();
	pthread_atfork(NULL, NULL, begin_file);
}

static void chunk(char kind, const void *p, unsigned n)
{
	const struct head head = { (uint32_t)kind, pid, n };
	const uint64_t at = atomic_fetch_add(&area->used, sizeof head + n);
	if (at + sizeof head + n > sizeof area->bytes)
		return; /* merge.py sees that `used` is beyond the end */
	memcpy(&area->bytes[at], &head, sizeof head);
	memcpy(&area->bytes[at + sizeof head], p, n);
}

static void on_name(const char *name, void *arg)
{
	(void)arg;
	chunk('F', name, (unsigned)strlen(name));
}

static void on_data(const void *p, unsigned n, void *arg)
{
	(void)arg;
	chunk('D', p, n);
}

static void *on_alloc(unsigned n, void *arg)
{
	(void)arg;
	const unsigned at = heap_used;
	if (n > HEAP - at)
		return NULL;
	heap_used += (n + 15) & ~15u;
	return heap + at;
}

static void dump(void)
{
	if (!area)
		return;
	for (const struct gcov_info *const *i = __start_mk_gcov; i < __stop_mk_gcov; i++) {
		const struct gcov_info *info = *i;
		__asm__("" : "+r"(info)); /* the linker made the array */
		heap_used = 0;
		__gcov_info_to_gcda(info, on_name, on_data, on_alloc, NULL);
	}
}

__attribute__((destructor(101))) static void end(void)
{
	dump();
	area = NULL;
}

void __wrap__exit(int code)
{
	dump();
	__real__exit(code);
}
