/* SPDX-License-Identifier: Apache-2.0
 *
 * What an agent's answers mean: exit codes, problem documents, texts that may be printed.
 */
#include "ctl/client.h"
#include "ctl/ctl.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int code_of(long status)
{
	static const struct {
		long status;
		int code;
	} codes[] = { { 401, MK_EXIT_DENIED },      { 403, MK_EXIT_DENIED },      { 404, MK_EXIT_NOT_FOUND },
		      { 410, MK_EXIT_GONE },        { 429, MK_EXIT_UNAVAILABLE }, { 502, MK_EXIT_UNAVAILABLE },
		      { 503, MK_EXIT_UNAVAILABLE }, { 504, MK_EXIT_UNAVAILABLE } };
	for (size_t i = 0; i < MK_COUNT(codes); i++)
		if (codes[i].status == status)
			return codes[i].code;
	return MK_EXIT_FAILED;
}

/* C0, DEL, and C1 in UTF-8: a terminal would act on them. Puts '?' there; true where there was one. */
bool mk_ctl_blunt(char *s)
{
	bool any = false;
	for (; *s; s++) {
		const unsigned char c = (unsigned char)s[0], d = (unsigned char)s[1];
		const bool c1 = c == 0xc2 && d >= 0x80 && d <= 0x9f;
		if (c >= 0x20 && c != 0x7f && !c1)
			continue;
		any = true;
		*s = '?';
		if (c1)
			*++s = '?';
	}
	return any;
}

static bool blunt_text(json_t *v)
{
	char *copy = strdup(json_string_value(v));
	const bool ok = copy && (!mk_ctl_blunt(copy) || json_string_set(v, copy) == 0);
	free(copy);
	return ok;
}

/* The parser bounds the depth. False: out of memory. */
static bool blunt_all(json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;
	if (json_is_string(v))
		return blunt_text(v);
	json_object_foreach(v, key, item)
		if (!blunt_all(item))
			return false;
	json_array_foreach(v, i, item)
		if (!blunt_all(item))
			return false;
	return true;
}

json_t *mk_ctl_object(const struct mk_reply *r)
{
	const struct mk_span body = mk_secret_span(r->body);
	json_t *root = json_loadb((const char *)body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(root) && blunt_all(root))
		return root;
	json_decref(root);
	return NULL;
}

const char *mk_ctl_text(const json_t *value)
{
	const char *s = json_string_value(value);
	return s && s[0] ? s : "-";
}

const char *mk_ctl_text_of(const json_t *object, const char *key)
{
	return mk_ctl_text(json_object_get(object, key));
}

static void tell(const json_t *problem, const char *about)
{
	const char *detail = json_string_value(json_object_get(problem, "detail"));
	const json_t *reasons = json_object_get(problem, "reasons");
	if (!mk_ctl_may_speak())
		return;
	fprintf(stderr, "makinictl: %s%s%s%s%s", about, about[0] ? ": " : "", mk_ctl_text_of(problem, "code"), detail ? ": " : "", detail ? detail : "");
	for (size_t i = 0; i < json_array_size(reasons); i++)
		fprintf(stderr, "%s%s", i ? ", " : " (", mk_ctl_text(json_array_get(reasons, i)));
	fputs(json_array_size(reasons) ? ")\n" : "\n", stderr);
}

static int problem_of(const struct mk_reply *r, bool json, const char *about)
{
	json_t *problem = mk_ctl_object(r);
	int rc = code_of(r->status);
	if (!json_is_string(json_object_get(problem, "code")))
		rc = mk_ctl_stranger();
	else if (!json)
		tell(problem, about);
	else if (mk_ctl_print(r, true) != MK_EXIT_DONE) /* a program reads problem documents too */
		rc = MK_EXIT_FAILED;
	json_decref(problem);
	return rc;
}

int mk_ctl_problem(const struct mk_reply *r, bool json)
{
	return problem_of(r, json, "");
}

int mk_ctl_problem_of(const struct mk_reply *r, const char *about)
{
	return problem_of(r, false, about);
}

int mk_ctl_print(const struct mk_reply *r, bool newline)
{
	const struct mk_span body = mk_secret_span(r->body);
	for (size_t at = 0; at < body.n;) {
		const ssize_t n = write(STDOUT_FILENO, body.p + at, body.n - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return mk_ctl_fail(MK_EXIT_FAILED, "standard output: %s", strerror(errno));
		at += (size_t)n;
	}
	if (newline && write(STDOUT_FILENO, "\n", 1) != 1)
		return mk_ctl_fail(MK_EXIT_FAILED, "standard output: %s", strerror(errno));
	return MK_EXIT_DONE;
}

static int tell_or_print(const struct mk_reply *r, bool json, int (*show)(const struct json_t *root))
{
	if (r->status != 200)
		return mk_ctl_problem(r, json);
	json_t *root = mk_ctl_object(r);
	int rc;
	if (!json_is_string(json_object_get(root, "environment")))
		rc = mk_ctl_stranger();
	else
		rc = json ? mk_ctl_print(r, true) : show(root);
	json_decref(root);
	return rc;
}

int mk_ctl_show(int argc, char **argv, const char *listener, const char *target, int (*show)(const struct json_t *root))
{
	struct mk_target t = { .name = listener };
	struct mk_reply r = { 0 };
	const char *words[1];
	bool json = false;
	size_t n = 0;
	const struct mk_option options[] = {
		{ "--socket", &t.socket, NULL }, { "--env", &t.env, NULL }, { "--json", NULL, &json },
	};
	int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, 0, &n);
	if (rc == MK_EXIT_DONE)
		rc = mk_ctl_call(&t, target, NULL, &r);
	if (rc == MK_EXIT_DONE)
		rc = tell_or_print(&r, json, show);
	mk_reply_done(&r);
	return rc;
}
