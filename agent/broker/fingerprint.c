/* SPDX-License-Identifier: Apache-2.0
 *
 * One token at a time is plain, in locked memory, and wiped before the next.
 */
#include "agent/broker/fingerprint.h"

#include "agent/broker/gate_part.h"
#include "mk/own.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#define BYTES 16u

struct walk {
	struct mk_broker *b;
	const struct mk_caller *c;
	const uint8_t *key;
	struct mk_fingerprint *all;
	size_t n, cap;
	enum mk_err err;
};

static mk_must of_version(struct walk *w, const struct mk_entry *e, enum mk_slot slot, struct mk_fingerprint *ret)
{
	mk_auto(mk_secret_freep) struct mk_secret *leaves = NULL;
	uint8_t hash[BYTES];
	struct mk_record r;
	MK_TRY(mk_secret_new(mk_store_plain_len(&e->at[slot]), &leaves));
	MK_TRY(mk_store_open_(w->b->store, e, slot, leaves));
	MK_TRY(mk_record_of(mk_secret_span(leaves), 0, &r, NULL));
	crypto_generichash(hash, sizeof hash, r.token.p, r.token.n, w->key, MK_FINGERPRINT_KEY);
	mk_wipe_stack();
	*ret = (struct mk_fingerprint){ .name = e->name, .previous = slot == MK_SLOT_PREVIOUS };
	sodium_bin2hex(ret->hex, sizeof ret->hex, hash, sizeof hash);
	return MK_OK;
}

static bool may(const struct walk *w, const struct mk_entry *e)
{
	const struct mk_subject about = mk_gate_subject(w->b, &e->name);
	return mk_policy_check(w->b->policy, w->c->service, MK_ACTION_FINGERPRINT, &about).decision == MK_ALLOW;
}

static mk_must grow(struct walk *w)
{
	if (w->n < w->cap)
		return MK_OK;
	struct mk_fingerprint *more = reallocarray(w->all, w->cap + MK_FINGERPRINT_PAGE, sizeof *more);
	if (!more)
		return MK_NO_MEMORY;
	w->all = more;
	w->cap += MK_FINGERPRINT_PAGE;
	return MK_OK;
}

static void look(void *arg, const struct mk_entry *e)
{
	struct walk *w = arg;
	for (unsigned slot = 0; slot <= MK_SLOT_PREVIOUS && w->err == MK_OK; slot++) {
		if (!e->at[slot].held || e->at[slot].disabled || !may(w, e))
			continue;
		w->err = grow(w);
		if (w->err == MK_OK)
			w->err = of_version(w, e, (enum mk_slot)slot, &w->all[w->n]);
		w->n += w->err == MK_OK;
	}
}

mk_must mk_gate_fingerprints(struct mk_broker *b, struct mk_caller *c, const struct mk_fingerprint_ask *ask,
			     struct mk_fingerprint **ret, size_t *ret_n, unsigned *ret_parts)
{
	struct mk_audit_rec rec;
	char detail[64];
	const unsigned parts = ask->parts ? ask->parts : (unsigned)(mk_store_count(b->store) / MK_FINGERPRINT_PAGE) + 1;
	struct walk w = { .b = b, .c = c, .key = ask->key };
	MK_TRY(mk_gate_may(b, c, MK_ACTION_FINGERPRINT, &rec));
	snprintf(detail, sizeof detail, "fingerprints, part %u of %u", ask->part + 1, parts);
	rec.event = "admin";
	rec.detail = detail;
	MK_TRY(mk_audit_write_synced(b->audit, &rec));
	mk_store_part(b->store, ask->part, parts, look, &w);
	if (w.err != MK_OK) {
		free(w.all);
		return w.err;
	}
	*ret = w.all;
	*ret_n = w.n;
	*ret_parts = parts;
	return MK_OK;
}
