/* SPDX-License-Identifier: Apache-2.0
 *
 * A child that was taken over, for tests: in the place of makini-broker, -fetcher or
 * -reporter it starts like one, then sends one frame that breaks the message table or a
 * message's form, and stays. What it does stands in the file plan.NAME beside its
 * directory; without one it is the true one (NAME.real):
 *
 *     LINK SAMPLE OP NUMBER     LINK: broker (a fetcher only) or supervisor; SAMPLE: index into samples[];
 *                               OP: whole, cut, extend, flip, reserved, length, generation, type, fd, fds
 *     flood LINK SAMPLE NUMBER  that sample, NUMBER times
 *     again                     a second READY, as good as the first
 *     hold                      READY only when a file `go` lies beside the plan
 *     deaf                      answers questions, but no configuration after its first
 *     leave broker              closes that link in good order, and goes on to answer its supervisor
 */
#include "messages.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct plan {
	char link[16], op[16];
	unsigned sample, number;
	bool flood, again, hold, leave, deaf;
};

struct packet {
	uint8_t bytes[MK_FRAME_MAX + 64];
	size_t n;
	unsigned fds;
};

static uint32_t generation;
static int broker = -1;
static char here[512], name[64]; /* of this executable */

static bool find_self(void)
{
	const ssize_t n = readlinkat(AT_FDCWD, "/proc/self/exe", here, sizeof here - 1);
	char *slash = n > 0 ? strrchr(here, '/') : NULL;
	if (!slash)
		return false;
	*slash = '\0';
	snprintf(name, sizeof name, "%s", slash + 1);
	return true;
}

static void wait_for_go(void)
{
	char path[1024];
	snprintf(path, sizeof path, "%s/../go", here);
	while (access(path, F_OK) != 0)
		usleep(5000);
}

static bool read_plan(struct plan *p)
{
	char path[1024], first[16] = "";
	snprintf(path, sizeof path, "%s/../plan.%s", here, name);
	FILE *f = fopen(path, "re");
	if (!f)
		return false;
	bool ok = fscanf(f, "%15s", first) == 1;
	p->flood = strcmp(first, "flood") == 0;
	p->again = strcmp(first, "again") == 0;
	p->hold = strcmp(first, "hold") == 0;
	p->leave = strcmp(first, "leave") == 0;
	p->deaf = strcmp(first, "deaf") == 0;
	if (p->flood) {
		ok = fscanf(f, "%15s %u %u", p->link, &p->sample, &p->number) == 3;
	} else if (p->leave) {
		ok = fscanf(f, "%15s", p->link) == 1;
	} else if (!p->again && !p->hold && !p->deaf) {
		memcpy(p->link, first, sizeof p->link);
		ok = ok && fscanf(f, "%u %15s %u", &p->sample, p->op, &p->number) == 3;
	}
	fclose(f);
	return ok && p->sample < MK_COUNT(samples);
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static void frame(struct packet *k, unsigned type, const struct sample *s)
{
	struct mk_wr w = mk_wr_of(k->bytes + MK_FRAME_HEAD, MK_FRAME_MAX);
	size_t body = 0;
	memset(k->bytes, 0, MK_FRAME_HEAD);
	s->sample(&w);
	mk_assert(mk_wr_end(&w, &body) == MK_OK);
	k->bytes[0] = (uint8_t)type;
	put32(k->bytes + 4, generation);
	put32(k->bytes + 8, (uint32_t)body);
	k->n = MK_FRAME_HEAD + body;
	k->fds = mk_msgs[s->type].fd ? 1 : 0;
}

static void spoil(struct packet *k, const struct plan *p)
{
	const char *op = p->op;
	const unsigned n = p->number;
	if (strcmp(op, "cut") == 0) {
		k->n = k->n > n ? k->n - n : 0;
		if (k->n >= MK_FRAME_HEAD)
			put32(k->bytes + 8, (uint32_t)(k->n - MK_FRAME_HEAD));
	} else if (strcmp(op, "extend") == 0) {
		memset(k->bytes + k->n, 'x', n);
		k->n += n;
		put32(k->bytes + 8, (uint32_t)(k->n - MK_FRAME_HEAD));
	} else if (strcmp(op, "flip") == 0) {
		k->bytes[MK_FRAME_HEAD + n % (k->n - MK_FRAME_HEAD)] ^= 0xff;
	} else if (strcmp(op, "reserved") == 0) {
		k->bytes[2] = 1;
	} else if (strcmp(op, "length") == 0) {
		put32(k->bytes + 8, n);
	} else if (strcmp(op, "generation") == 0) {
		put32(k->bytes + 4, generation + n);
	} else if (strcmp(op, "type") == 0) {
		k->bytes[0] = (uint8_t)n;
	} else if (strcmp(op, "fd") == 0) {
		k->fds = !k->fds;
	} else if (strcmp(op, "fds") == 0) {
		k->fds = 2;
	}
}

/* Links do not block, but this one has no loop. */
static void make_blocking(int fd)
{
	(void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
}

static ssize_t transmit(int fd, const struct packet *k)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	const int fds[2] = { 0, 0 };
	struct iovec iov = { (void *)(uintptr_t)k->bytes, k->n };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	if (k->fds) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(k->fds * sizeof(int));
		control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(k->fds * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.head), fds, k->fds * sizeof(int));
	}
	return sendmsg(fd, &m, MSG_NOSIGNAL);
}

static void say_ready(void)
{
	struct packet k;
	const struct mk_msg_ready m = { generation, { 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3 }, 7 };
	struct mk_wr w = mk_wr_of(k.bytes + MK_FRAME_HEAD, 256);
	size_t n = 0;
	memset(k.bytes, 0, MK_FRAME_HEAD);
	mk_msg_ready_write(&w, &m);
	mk_assert(mk_wr_end(&w, &n) == MK_OK);
	k.bytes[0] = MK_MSG_READY;
	put32(k.bytes + 4, generation);
	put32(k.bytes + 8, (uint32_t)n);
	k.n = MK_FRAME_HEAD + n;
	k.fds = 0;
	transmit(MK_LINK_FD, &k);
}

/* Reads one frame from the supervisor; true when the configuration is complete and, where it matters, the broker's link is there. */
static bool listen_to_supervisor(const struct plan *p)
{
	static bool complete;
	uint8_t buf[MK_FRAME_MAX];
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = { buf, sizeof buf };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	if (recvmsg(MK_LINK_FD, &m, MSG_CMSG_CLOEXEC) <= 0)
		_exit(0);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (buf[0] == MK_MSG_PEER && c)
		memcpy(&broker, CMSG_DATA(c), sizeof broker);
	if (broker >= 0)
		make_blocking(broker);
	if (buf[0] == MK_MSG_CONF_BEGIN)
		memcpy(&generation, buf + 4, sizeof generation);
	if (buf[0] == MK_MSG_CONF_END && !(p->deaf && complete)) {
		if (p->hold)
			wait_for_go();
		say_ready();
		complete = true;
	}
	if (buf[0] == MK_MSG_PING && (p->leave || p->deaf)) {
		buf[0] = MK_MSG_PONG; /* the same body */
		(void)!send(MK_LINK_FD, buf, MK_FRAME_HEAD + 4, MSG_NOSIGNAL);
	}
	return complete && (broker >= 0 || strcmp(p->link, "broker") != 0);
}

static void attack(const struct plan *p)
{
	struct packet k;
	frame(&k, (unsigned)samples[p->sample].type, &samples[p->sample]);
	spoil(&k, p);
	const int fd = strcmp(p->link, "broker") == 0 ? broker : MK_LINK_FD;
	for (unsigned i = 0; i < (p->flood ? p->number : 1); i++)
		if (transmit(fd, &k) < 0)
			break;
}

int main(void)
{
	struct plan p = { .sample = 0 };
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!find_self())
		return 1;
	if (!read_plan(&p)) {
		char real[1024];
		snprintf(real, sizeof real, "%s/%s.real", here, name);
		execl(real, name, (char *)NULL);
		return errno;
	}
	dprintf(STDERR_FILENO, "{\"event\":\"hostile\",\"pid\":%d}\n", (int)getpid());
	make_blocking(MK_LINK_FD);
	while (!listen_to_supervisor(&p))
		;
	usleep(50000); /* READY has been heard */
	if (p.again)
		say_ready();
	if (p.leave)
		close(broker);
	while (p.leave || p.deaf)
		listen_to_supervisor(&p);
	if (!p.again && !p.hold)
		attack(&p);
	for (;;)
		usleep(100000); /* and not pause(): the filter that it inherits would end it */
}
