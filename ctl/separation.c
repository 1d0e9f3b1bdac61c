/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl separation check: do two instances hold the same token? Each is asked for keyed
 * fingerprints under a key that is made here for this one run, and they are compared here.
 * No token, and no fingerprint, is printed: the names are.
 */
#include "ctl/client.h"
#include "ctl/ctl.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INSTANCES_MAX 16
#define PAGES_MAX     16384
#define KEY_TEXT      (sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL))

struct seen {
	char hex[33];
	char name[64];
	unsigned instance;
};

struct run {
	const char *names[INSTANCES_MAX]; /* environments, or sockets */
	bool sockets;
	size_t n;
	char key[64];
	struct seen *all;
	size_t n_all, cap;
	size_t count[INSTANCES_MAX];
};

static bool add(struct run *r, unsigned instance, const json_t *row)
{
	const char *hex = json_string_value(json_object_get(row, "fingerprint")), *name = json_string_value(json_object_get(row, "connection"));
	if (!hex || !name || strlen(hex) != 32 || strlen(name) > 63)
		return false;
	if (r->n_all == r->cap) {
		struct seen *more = reallocarray(r->all, r->cap * 2 + 1024, sizeof *more);
		if (!more)
			return false;
		r->all = more;
		r->cap = r->cap * 2 + 1024;
	}
	struct seen *s = &r->all[r->n_all++];
	*s = (struct seen){ .instance = instance };
	memcpy(s->hex, hex, sizeof s->hex);
	memcpy(s->name, name, strlen(name) + 1);
	r->count[instance]++;
	return true;
}

/* One page; its `next` into next, "" after the last. */
static int take_page(struct run *r, unsigned instance, const struct mk_reply *reply, char next[32])
{
	size_t i;
	json_t *row, *root = mk_ctl_object(reply);
	const json_t *rows = json_object_get(root, "fingerprints"), *more = json_object_get(root, "next");
	int rc = json_is_array(rows) ? MK_EXIT_DONE : mk_ctl_stranger();
	json_array_foreach(rows, i, row)
		if (rc == MK_EXIT_DONE && !add(r, instance, row))
			rc = mk_ctl_fail(MK_EXIT_FAILED, "%s: an answer that is none, or no memory", r->names[instance]);
	snprintf(next, 32, "%s", json_is_string(more) ? json_string_value(more) : "");
	json_decref(root);
	return rc;
}

static int page(struct run *r, unsigned instance, char next[32])
{
	struct mk_target t = { .name = "admin", .method = "POST" };
	struct mk_reply reply = { 0 };
	*(r->sockets ? &t.socket : &t.env) = r->names[instance];
	json_t *body = next[0] ? json_pack("{ssss}", "key", r->key, "next", next) : json_pack("{ss}", "key", r->key);
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (!text)
		return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
	t.body = text;
	int rc = mk_ctl_call(&t, "/v1/fingerprints", NULL, &reply);
	if (rc == MK_EXIT_DONE && reply.status != 200) {
		fprintf(stderr, "makinictl: %s:\n", r->names[instance]);
		rc = mk_ctl_problem(&reply, false);
	} else if (rc == MK_EXIT_DONE) {
		rc = take_page(r, instance, &reply, next);
	}
	mk_reply_done(&reply);
	free(text);
	return rc;
}

static int ask(struct run *r, unsigned instance)
{
	char next[32] = "";
	int rc = MK_EXIT_DONE;
	for (unsigned i = 0; i < PAGES_MAX && rc == MK_EXIT_DONE; i++) {
		rc = page(r, instance, next);
		if (!next[0])
			return rc;
	}
	return rc == MK_EXIT_DONE ? mk_ctl_fail(MK_EXIT_FAILED, "%s: its answer has no end", r->names[instance]) : rc;
}

static int by_hex(const void *a, const void *b)
{
	return strcmp(((const struct seen *)a)->hex, ((const struct seen *)b)->hex);
}

/* Equal ones stand side by side: each pair of different instances is named once. */
static size_t tell(const struct run *r)
{
	size_t found = 0;
	for (size_t i = 0; i < r->n_all; i++)
		for (size_t j = i + 1; j < r->n_all && strcmp(r->all[i].hex, r->all[j].hex) == 0; j++) {
			const struct seen *x = &r->all[i], *y = &r->all[j];
			if (x->instance == y->instance)
				continue;
			found++;
			printf("SHARED  %s in %s is %s in %s: issue one of them anew\n", x->name, r->names[x->instance], y->name, r->names[y->instance]);
		}
	return found;
}

static int check(struct run *r)
{
	uint8_t key[32];
	int rc = sodium_init() < 0 ? mk_ctl_fail(MK_EXIT_FAILED, "libsodium does not start") : MK_EXIT_DONE;
	if (rc != MK_EXIT_DONE)
		return rc;
	randombytes_buf(key, sizeof key);
	sodium_bin2base64(r->key, sizeof r->key, key, sizeof key, sodium_base64_VARIANT_ORIGINAL);
	for (unsigned i = 0; i < r->n && rc == MK_EXIT_DONE; i++)
		rc = ask(r, i);
	sodium_memzero(key, sizeof key);
	sodium_memzero(r->key, sizeof r->key);
	if (rc == MK_EXIT_DONE) {
		if (r->n_all > 0)
			qsort(r->all, r->n_all, sizeof *r->all, by_hex);
		const size_t found = tell(r);
		for (size_t i = 0; i < r->n; i++)
			printf("%s: %zu held tokens compared%s\n", r->names[i], r->count[i],
			       r->count[i] ? "" : ": it holds none, or none that its rules for fingerprint cover");
		rc = found ? mk_ctl_fail(MK_EXIT_FAILED, "%zu tokens are held by two instances", found) : MK_EXIT_DONE;
	}
	free(r->all);
	return rc;
}

/* One that is not running holds no tokens; tmpfiles make its directory all the same. */
static bool runs(const char *environment)
{
	char path[128];
	struct stat st;
	snprintf(path, sizeof path, "/run/makini/%s/admin.sock", environment);
	return stat(path, &st) == 0 || errno != ENOENT;
}

/* Every instance under /run/makini that runs: as many as are compared, and one more where there are others. */
static size_t find_all(char found[INSTANCES_MAX + 1][64])
{
	size_t n = 0;
	DIR *d = opendir("/run/makini");
	for (struct dirent *e; d && n <= INSTANCES_MAX && (e = readdir(d));)
		if (e->d_name[0] != '.' && strlen(e->d_name) < 64 && runs(e->d_name))
			memcpy(found[n++], e->d_name, strlen(e->d_name) + 1);
	if (d)
		closedir(d);
	return n;
}

/* All that run, where none was named. A part of them would look like all. */
static int choose(struct run *r)
{
	static char found[INSTANCES_MAX + 1][64];
	const size_t all = r->n == 0 && !r->sockets ? find_all(found) : 0;
	if (all > INSTANCES_MAX)
		return mk_ctl_usage("separation", "more than %d instances run here: name those to be compared", INSTANCES_MAX);
	for (size_t i = 0; i < all; i++)
		r->names[r->n++] = found[i];
	for (size_t i = 0; i < r->n * r->n; i++)
		if (i / r->n < i % r->n && strcmp(r->names[i / r->n], r->names[i % r->n]) == 0)
			return mk_ctl_usage("separation", "%s is named twice: an instance is compared with others", r->names[i / r->n]);
	if (r->n < 2)
		return mk_ctl_usage("separation", "two instances at least are compared: name their environments, or --sockets and their admin sockets");
	return MK_EXIT_DONE;
}

int mk_ctl_separation(int argc, char **argv)
{
	const char *words[1 + INSTANCES_MAX];
	struct run r = { .n = 0 };
	size_t n = 0;
	const struct mk_option options[] = { { "--sockets", NULL, &r.sockets } };
	int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, MK_COUNT(words), &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (n == 0 || strcmp(words[0], "check") != 0)
		return mk_ctl_usage("separation", "separation knows one word: check");
	for (size_t i = 1; i < n; i++)
		r.names[r.n++] = words[i];
	rc = choose(&r);
	return rc == MK_EXIT_DONE ? check(&r) : rc;
}
