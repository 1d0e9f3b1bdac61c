/* SPDX-License-Identifier: Apache-2.0
 *
 * The value that `makinictl local put` reads from standard input, never from an argument
 * or the environment, which others can see. A terminal is put back as it was in every
 * case, also when the person interrupts.
 */
#include "agent/base/file.h"
#include "agent/base/secret.h"
#include "agent/base/utf8.h"
#include "ctl/local.h"
#include "mk/own.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#define TTY_LINE_MAX 4095 /* the kernel cuts a longer line without a word */

/* --- a terminal */

static int interrupts(void)
{
	static const int list[] = { SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGTSTP };
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < MK_COUNT(list); i++)
		sigaddset(&set, list[i]);
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -1 : signalfd(-1, &set, SFD_CLOEXEC);
}

/* Until end of file; BAD_REQUEST when interrupted. */
static mk_must read_lines(int signals, struct mk_secret *s, struct mk_why *why)
{
	size_t n = 0;
	const size_t cap = mk_secret_cap(s);
	for (;;) {
		struct pollfd p[2] = { { STDIN_FILENO, POLLIN, 0 }, { signals, POLLIN, 0 } };
		if (poll(p, 2, -1) < 0 || p[1].revents)
			return mk_why_set(why, MK_BAD_REQUEST, "interrupted: nothing was put");
		if (n == cap)
			return MK_TOO_LARGE;
		const ssize_t got = read(STDIN_FILENO, mk_secret_buf(s) + n, cap - n);
		if (got < 0)
			return MK_SYSTEM;
		if (got >= TTY_LINE_MAX)
			return mk_why_set(why, MK_TOO_LARGE, "a terminal hands over at most %d characters a line: use a file or a pipe",
					  TTY_LINE_MAX);
		n += (size_t)got;
		mk_secret_set_len(s, n);
		if (got == 0)
			return MK_OK;
	}
}

static mk_must read_terminal(struct mk_secret *s, struct mk_why *why)
{
	struct termios was, quiet;
	mk_fd signals = interrupts();
	if (signals < 0 || tcgetattr(STDIN_FILENO, &was) < 0)
		return MK_SYSTEM;
	fputs("Type or paste the token, or a JSON object; then Enter and Ctrl-D. It is not shown.\n", stderr);
	quiet = was;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) < 0)
		return MK_SYSTEM;
	const enum mk_err e = read_lines(signals, s, why);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &was);
	return e;
}

/* --- what it means */

static bool blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static uint8_t first_char(struct mk_span text)
{
	size_t i = 0;
	while (i < text.n && blank(text.p[i]))
		i++;
	return i < text.n ? text.p[i] : 0;
}

static mk_must from_json(struct mk_span text, struct mk_secret **ret, struct mk_why *why)
{
	struct mk_leaf root;
	const enum mk_err e = mk_local_leaves_of(text, ret);
	if (e == MK_BAD_REQUEST)
		return mk_why_set(why, e, "standard input begins like a JSON object, but is none (or has a key twice, a NUL, or is nested "
				  "deeper than %d)", MK_DEPTH_MAX);
	if (e == MK_TOO_LARGE)
		return mk_why_set(why, e, "the object is too large: at most %d values and 64 KiB", MK_LEAVES_MAX);
	MK_TRY(e);
	if (mk_leaves_find(mk_secret_span(*ret), "", &root) != MK_OK)
		return MK_OK;
	*ret = mk_secret_free(*ret);
	return mk_why_set(why, MK_BAD_REQUEST, "the object is empty: nothing was put");
}

static mk_must from_token(struct mk_span text, struct mk_secret **ret, struct mk_why *why)
{
	mk_auto(mk_secret_freep) struct mk_secret *leaves = NULL;
	size_t n = 0;
	if (text.p[text.n - 1] == '\n')
		text.n--;
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] < ' ' || text.p[i] == 0x7f)
			return mk_why_set(why, MK_BAD_REQUEST, "the token holds a control character (a line break inside, or a CR at the end?): "
					  "nothing was put");
	if (text.n == 0 || !mk_utf8_ok(text))
		return mk_why_set(why, MK_BAD_REQUEST, "%s: nothing was put", text.n == 0 ? "the token is empty" : "the token is not UTF-8");
	if (text.n > MK_TOKEN_MAX)
		return mk_why_set(why, MK_TOO_LARGE, "a token has at most %d bytes: nothing was put", MK_TOKEN_MAX);
	MK_TRY(mk_secret_new(text.n + MK_TAG_KEY_MAX, &leaves));
	const struct mk_leaf leaf = { mk_span_of("/access_token"), MK_LEAF_STRING, text };
	MK_TRY(mk_leaves_add(mk_secret_buf(leaves), mk_secret_cap(leaves), &n, &leaf));
	mk_secret_set_len(leaves, n);
	*ret = MK_TAKE(leaves);
	return MK_OK;
}

enum mk_err mk_local_leaves(struct mk_span text, struct mk_secret **ret, struct mk_why *why)
{
	const uint8_t first = first_char(text);
	if (text.n == 0 || first == 0)
		return mk_why_set(why, MK_BAD_REQUEST, "standard input is empty: pipe the token or a JSON object into makinictl local put");
	if (first == '"' || first == '[')
		return mk_why_set(why, MK_BAD_REQUEST, "standard input is JSON, but not an object: give an object, or the bare token (jq -r)");
	return first == '{' ? from_json(text, ret, why) : from_token(text, ret, why);
}

enum mk_err mk_local_input(struct mk_secret **ret, struct mk_why *why)
{
	mk_auto(mk_secret_freep) struct mk_secret *text = NULL;
	size_t n = 0;
	enum mk_err e;
	MK_TRY(mk_secret_new(MK_SECRET_MAX, &text));
	if (isatty(STDIN_FILENO)) {
		e = read_terminal(text, why);
	} else {
		e = mk_file_read(STDIN_FILENO, mk_secret_buf(text), MK_SECRET_MAX, &n);
		mk_secret_set_len(text, e == MK_OK ? n : 0);
	}
	if (e == MK_TOO_LARGE && !why->text[0])
		return mk_why_set(why, e, "standard input is larger than 64 KiB: nothing was put");
	if (e == MK_SYSTEM)
		return mk_why_set(why, e, "standard input cannot be read");
	MK_TRY(e);
	return mk_local_leaves(mk_secret_span(text), ret, why);
}
