/* SPDX-License-Identifier: Apache-2.0
 *
 * The `local` backend: one sealed file (local_file.h), one key file or passphrase file.
 * The key is read once and kept, in locked memory, for the life of the process; when
 * the store no longer opens under it, the key file is read once more. A mark (a keyed
 * hash in locked memory) tells whether that brought anything new, so that a changed file
 * does not cost an Argon2id run at each try.
 *
 * A write reads the store, makes the next file of it in memory and has the one that was
 * read replaced; where that is another one by now, it begins again with what is there.
 */
#include "agent/base/secret.h"
#include "backends/local_file.h"

#include <sodium.h>
#include <stdlib.h>

#define MARK_BYTES 32u
#define TRIES_MAX 3u /* of a write */

struct local_keep {
	struct mk_secret *key;      /* NULL: not yet */
	struct mk_local_head head;  /* what it was made for */
	struct mk_secret *mark;     /* of the text it was made from */
};

enum local_at { L_START, L_KEY, L_STORE, L_REPLACE };

struct local_op {
	enum local_at at;
	struct mk_secret *text; /* of the key file, where this operation read it */
	struct mk_local_bytes next; /* a write's file to be */
	unsigned tries;
};

/* Fixed texts: what, and the remedy. */
static const char no_key[] = "the key file is missing: put it where key_file or passphrase_file says (makinictl local init makes one)";
static const char private_key[] = "the key file is refused: it must be a plain file of the agent's user, mode 0600, in a directory "
				  "that others cannot write";
static const char bad_key[] = "the key file is not one: it holds 32 bytes in base64 and at most one newline";
static const char bad_passphrase[] = "the passphrase file is empty or longer than 1,024 bytes";
static const char wants_key[] = "the store was made with a key file: configure key_file instead of passphrase_file";
static const char wants_passphrase[] = "the store was made with a passphrase: configure passphrase_file instead of key_file";
static const char no_store[] = "the store file is missing: make it with makinictl local init";
static const char refused_store[] = "the store file is refused: it must be a plain file of the agent's user or root that others cannot "
				    "write, nor its directory";
static const char large_store[] = "the store file is larger than 64 MiB";
static const char not_store[] = "the store file is not a store, or was cut short";
static const char not_opened[] = "the store does not open under its key: wrong key file, or the file was changed";
static const char bad_record[] = "a record in the store does not open: the file was changed";
static const char no_name[] = "the store has no such name or version";
static const char no_pending[] = "the store has no pending version of that name";
static const char is_disabled[] = "this version is disabled in the store: enable it";
static const char not_expected[] = "the store's current version is another one by now";
static const char not_free[] = "the store's current version is another one by now, or there is a pending one already";
static const char full_store[] = "the store's limits are reached: 64 MiB, 100,000 connections";
static const char busy_store[] = "the store is being changed by someone else: it is tried again later";
static const char not_written[] = "the store file cannot be written: its directory must be the agent's user's, with room left";
static const char no_read[] = "the file cannot be read";
static const char no_memory[] = "no memory";

static enum mk_step ask_key(struct mk_op *op, struct mk_req *out)
{
	struct local_op *l = op->state;
	const bool key = op->conf->key_file[0] != '\0';
	l->at = L_KEY;
	*out = (struct mk_req){ .kind = MK_REQ_FILE, .private_file = true,
				.path = key ? op->conf->key_file : op->conf->passphrase_file,
				.max = key ? MK_LOCAL_KEY_TEXT_MAX : MK_LOCAL_PASSPHRASE_MAX + 1 };
	return MK_STEP_SEND;
}

static bool writes(const struct mk_op *op)
{
	return (op->verb & (MK_VERB_GET | MK_VERB_LIST | MK_VERB_HEALTH)) == 0;
}

static enum mk_step ask_store(struct mk_op *op, struct mk_req *out)
{
	struct local_op *l = op->state;
	l->at = L_STORE;
	*out = (struct mk_req){ .kind = MK_REQ_FILE, .path = op->conf->file, .max = MK_LOCAL_FILE_MAX, .to_replace = writes(op) };
	return MK_STEP_SEND;
}

/* A transport's error is the store's, whatever its word: that a file is missing does not say that a name is. */
static enum mk_step fail_file(struct mk_op *op, enum mk_err e, const char *missing, const char *refused, const char *large)
{
	if (e == MK_NOT_FOUND)
		return mk_step_fail(op, MK_BACKEND, missing);
	if (e == MK_DENIED || e == MK_BAD_REQUEST)
		return mk_step_fail(op, MK_BACKEND, refused);
	if (e == MK_TOO_LARGE)
		return mk_step_fail(op, MK_BACKEND, large);
	if (e == MK_NO_MEMORY)
		return mk_step_fail(op, MK_NO_MEMORY, no_memory);
	return mk_step_fail(op, MK_BACKEND, no_read);
}

static enum mk_step read_key(struct mk_op *op, const struct mk_res *res, struct mk_req *out)
{
	struct local_op *l = op->state;
	if (res->err != MK_OK)
		return fail_file(op, res->err, no_key, private_key, op->conf->key_file[0] ? bad_key : bad_passphrase);
	if (mk_secret_copy(res->body, &l->text) != MK_OK)
		return mk_step_fail(op, MK_NO_MEMORY, no_memory);
	return ask_store(op, out);
}

static mk_must mark_make(const struct mk_secret *key, struct mk_span text, struct mk_secret **ret)
{
	mk_auto(mk_secret_freep) struct mk_secret *mark = NULL;
	MK_TRY(mk_secret_new(MARK_BYTES, &mark));
	mk_secret_set_len(mark, MARK_BYTES);
	crypto_generichash(mk_secret_buf(mark), MARK_BYTES, text.p, text.n, mk_secret_span(key).p, MK_LOCAL_KEY_BYTES);
	mk_wipe_stack();
	*ret = MK_TAKE(mark);
	return MK_OK;
}

static bool heads_agree(const struct mk_local_head *a, const struct mk_local_head *b)
{
	return a->kdf == b->kdf && a->ops == b->ops && a->mem_kib == b->mem_kib &&
	       memcmp(a->salt, b->salt, sizeof a->salt) == 0;
}

/* Would the text make the key that is kept? */
static bool nothing_new(struct local_keep *keep, const struct mk_local_head *head, struct mk_span text)
{
	mk_auto(mk_secret_freep) struct mk_secret *mark = NULL;
	return keep->key && heads_agree(&keep->head, head) && mark_make(keep->key, text, &mark) == MK_OK &&
	       mk_secret_same(mark, keep->mark);
}

static void forget(void *p)
{
	struct local_keep *keep = p;
	keep->key = mk_secret_free(keep->key);
	keep->mark = mk_secret_free(keep->mark);
}

static mk_must key_make(struct local_keep *keep, const struct mk_local_head *head, struct mk_span text)
{
	forget(keep);
	if (head->kdf == MK_LOCAL_KDF_KEY)
		MK_TRY(mk_local_key_of(text, &keep->key));
	else
		MK_TRY(mk_local_key_derive(head, text, &keep->key));
	keep->head = *head;
	const enum mk_err e = mark_make(keep->key, text, &keep->mark);
	if (e != MK_OK)
		forget(keep);
	return e;
}

/* Makes the key from the text that this operation read, if it read one. FAIL: op says why. */
static enum mk_step key_ready(struct mk_op *op, const struct mk_local_head *head)
{
	struct local_op *l = op->state;
	const bool by_key = op->conf->key_file[0] != '\0';
	if (by_key != (head->kdf == MK_LOCAL_KDF_KEY))
		return mk_step_fail(op, MK_BACKEND, by_key ? wants_passphrase : wants_key);
	if (!l->text)
		return MK_STEP_DONE;
	if (nothing_new(op->keep, head, mk_secret_span(l->text)))
		return mk_step_fail(op, MK_BACKEND, not_opened);
	const enum mk_err e = key_make(op->keep, head, mk_secret_span(l->text));
	if (e == MK_BAD_REQUEST)
		return mk_step_fail(op, MK_BACKEND, by_key ? bad_key : bad_passphrase);
	return e == MK_OK ? MK_STEP_DONE : mk_step_fail(op, e, no_memory);
}

static enum mk_step get(struct mk_op *op, const struct mk_local *s)
{
	const struct local_keep *keep = op->keep;
	struct mk_local_entry e;
	const enum mk_local_slot slot = op->pending ? MK_LOCAL_PENDING : op->previous ? MK_LOCAL_PREVIOUS : MK_LOCAL_CURRENT;
	enum mk_err err = mk_local_find(s, &op->name, &e);
	if (err == MK_OK && e.versions[slot].disabled)
		return mk_step_fail(op, MK_DISABLED, is_disabled);
	if (err == MK_OK)
		err = mk_local_record(s, keep->key, &e, slot, &op->leaves);
	if (err == MK_NOT_FOUND)
		return mk_step_fail(op, MK_NOT_FOUND, no_name);
	if (err == MK_NO_MEMORY)
		return mk_step_fail(op, MK_NO_MEMORY, no_memory);
	if (err != MK_OK)
		return mk_step_fail(op, MK_BACKEND, bad_record);
	op->meta = (struct mk_meta){ .created_ms = e.versions[slot].created_ms, .n_tags = e.n_tags };
	memcpy(op->meta.version, e.versions[slot].id, sizeof e.versions[slot].id);
	mk_local_tags(&e, op->meta.tags);
	return MK_STEP_DONE;
}

static enum mk_step list(struct mk_op *op, const struct mk_local *s)
{
	struct mk_local_cursor at = { 0 };
	struct mk_local_entry e;
	op->n_listed = 0;
	op->more = false;
	while (!op->more && mk_local_next(s, &at, &e)) {
		if (strcmp(e.name.s, op->name.s) <= 0 || !mk_local_has(&e, MK_LOCAL_CURRENT))
			continue;
		if (op->n_listed == MK_LIST_PAGE_MAX) {
			op->more = true;
			continue;
		}
		struct mk_listed *l = &op->listed[op->n_listed++];
		*l = (struct mk_listed){ .name = e.name };
		memcpy(l->version, e.versions[MK_LOCAL_CURRENT].id, sizeof e.versions[MK_LOCAL_CURRENT].id);
	}
	return MK_STEP_DONE;
}

static enum mk_local_act act_of(enum mk_verb verb)
{
	static const struct {
		enum mk_verb verb;
		enum mk_local_act act;
	} rows[] = {
		{ MK_VERB_PUT, MK_LOCAL_OFFER },       { MK_VERB_PROMOTE, MK_LOCAL_PROMOTE }, { MK_VERB_DISCARD, MK_LOCAL_DISCARD },
		{ MK_VERB_DISABLE, MK_LOCAL_DISABLE }, { MK_VERB_ENABLE, MK_LOCAL_ENABLE },
	};
	size_t i = 0;
	while (i < MK_COUNT(rows) && rows[i].verb != verb)
		i++;
	return i < MK_COUNT(rows) ? rows[i].act : MK_LOCAL_ACTS;
}

static enum mk_step fail_change(struct mk_op *op, enum mk_err e)
{
	const bool of_pending = op->verb == MK_VERB_PROMOTE || op->verb == MK_VERB_DISCARD;
	if (e == MK_NOT_FOUND)
		return mk_step_fail(op, e, of_pending ? no_pending : no_name);
	if (e == MK_CONFLICT)
		return mk_step_fail(op, e, op->verb == MK_VERB_PUT ? not_free : not_expected);
	if (e == MK_TOO_LARGE)
		return mk_step_fail(op, MK_BACKEND, full_store);
	return mk_step_fail(op, e, e == MK_NO_MEMORY ? no_memory : "the value to be put is none");
}

/* The version that is to be marked; NULL: there is none. */
static const struct mk_local_version *marked(const struct mk_op *op, const struct mk_local_entry *e)
{
	for (size_t i = 0; i <= MK_LOCAL_PREVIOUS; i++) {
		const struct mk_local_version *v = &e->versions[i];
		if (v->size > 0 && (!op->expect[0] || strcmp(v->id, op->expect) == 0))
			return v;
		if (!op->expect[0])
			break;
	}
	return NULL;
}

/* Then the file stays as it is. */
static bool is_marked_so(struct mk_op *op, const struct mk_local *s)
{
	struct mk_local_entry e;
	const bool marks = op->verb == MK_VERB_DISABLE || op->verb == MK_VERB_ENABLE;
	if (!marks || mk_local_find(s, &op->name, &e) != MK_OK)
		return false;
	const struct mk_local_version *v = marked(op, &e);
	if (!v || v->disabled != (op->verb == MK_VERB_DISABLE))
		return false;
	op->already = true;
	memcpy(op->meta.version, v->id, sizeof v->id);
	return true;
}

static enum mk_step change(struct mk_op *op, const struct mk_local *s, struct mk_req *out)
{
	struct local_op *l = op->state;
	const struct local_keep *keep = op->keep;
	const struct mk_local_change c = {
		.name = op->name, .act = act_of(op->verb), .expect = op->expect, .now_ms = op->wall_ms,
		.leaves = op->value ? mk_secret_span(op->value) : mk_span(NULL, 0),
	};
	char id[2 * MK_LOCAL_ID_BYTES + 1];
	if (c.act == MK_LOCAL_ACTS)
		return mk_step_fail(op, MK_BUG, "no such verb");
	if (is_marked_so(op, s))
		return MK_STEP_DONE;
	free(l->next.p);
	l->next = (struct mk_local_bytes){ .p = NULL };
	const enum mk_err e = mk_local_change(s, keep->key, &c, &l->next, id);
	if (e != MK_OK)
		return fail_change(op, e);
	memcpy(op->meta.version, id, sizeof id);
	l->at = L_REPLACE;
	*out = (struct mk_req){ .kind = MK_REQ_REPLACE, .path = op->conf->file, .file_body = mk_span(l->next.p, l->next.n) };
	return MK_STEP_SEND;
}

static enum mk_step read_replaced(struct mk_op *op, const struct mk_res *res, struct mk_req *out)
{
	struct local_op *l = op->state;
	if (res->err == MK_OK)
		return MK_STEP_DONE;
	op->meta = (struct mk_meta){ .version = "" };
	if (res->err == MK_CONFLICT && ++l->tries < TRIES_MAX) {
		l->text = mk_secret_free(l->text); /* its key is made, and opened what was there */
		return ask_store(op, out);
	}
	if (res->err == MK_CONFLICT || res->err == MK_NOT_READY)
		return mk_step_fail(op, MK_NOT_READY, busy_store);
	if (res->err == MK_NO_MEMORY)
		return mk_step_fail(op, res->err, no_memory);
	return mk_step_fail(op, res->err == MK_DENIED ? MK_DENIED : MK_BACKEND, not_written);
}

static enum mk_step answer(struct mk_op *op, const struct mk_local *s, struct mk_req *out)
{
	switch (op->verb) {
	case MK_VERB_GET:
		return get(op, s);
	case MK_VERB_LIST:
		return list(op, s);
	case MK_VERB_HEALTH:
		return MK_STEP_DONE;
	case MK_VERB_PUT:
	case MK_VERB_PROMOTE:
	case MK_VERB_DISCARD:
	case MK_VERB_DISABLE:
	case MK_VERB_ENABLE:
		return change(op, s, out);
	}
	return mk_step_fail(op, MK_BUG, "no such verb");
}

static enum mk_step read_store(struct mk_op *op, const struct mk_res *res, struct mk_req *out)
{
	const struct local_op *l = op->state;
	const struct local_keep *keep = op->keep;
	mk_auto(mk_local_freep) struct mk_local *s = NULL;
	struct mk_local_head head;
	if (res->err != MK_OK)
		return fail_file(op, res->err, no_store, refused_store, large_store);
	if (mk_local_head_read(res->body, &head) != MK_OK)
		return mk_step_fail(op, MK_BACKEND, not_store);
	if (key_ready(op, &head) == MK_STEP_FAIL)
		return MK_STEP_FAIL;
	const enum mk_err e = mk_local_open(res->body, keep->key, &s);
	if (e == MK_OK)
		return answer(op, s, out);
	if (e == MK_DENIED && !l->text)
		return ask_key(op, out);
	if (e == MK_NO_MEMORY)
		return mk_step_fail(op, e, no_memory);
	return mk_step_fail(op, MK_BACKEND, e == MK_DENIED ? not_opened : not_store);
}

static enum mk_step step(struct mk_op *op, const struct mk_res *res, struct mk_req *out)
{
	const struct local_op *l = op->state;
	const struct local_keep *keep = op->keep;
	switch (l->at) {
	case L_START:
		return keep->key ? ask_store(op, out) : ask_key(op, out);
	case L_KEY:
		return read_key(op, res, out);
	case L_STORE:
		return read_store(op, res, out);
	case L_REPLACE:
		return read_replaced(op, res, out);
	}
	return mk_step_fail(op, MK_BUG, "no such state");
}

static void done(struct mk_op *op)
{
	struct local_op *l = op->state;
	l->text = mk_secret_free(l->text);
	free(l->next.p);
}

extern const struct mk_backend mk_backend_local;
const struct mk_backend mk_backend_local = {
	.name = "local",
	.state_size = sizeof(struct local_op),
	.keep_size = sizeof(struct local_keep),
	.verbs = MK_VERB_GET | MK_VERB_LIST | MK_VERB_HEALTH | MK_VERB_PUT | MK_VERB_PROMOTE | MK_VERB_DISCARD | MK_VERB_DISABLE |
		 MK_VERB_ENABLE,
	.step = step,
	.done = done,
	.forget = forget,
};
