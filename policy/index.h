/* SPDX-License-Identifier: Apache-2.0
 *
 * The index of a policy's patterns: one hash table, private to this folder.
 *
 * Each pattern of a rule is an entry, found by its literal and by its shape: whom it is
 * for, allow or deny, where its literal stands, which tags it asks for. To decide about a
 * name, each shape of a who costs one lookup:
 *
 *     acme           EXACT  the whole name
 *     acme-*         HEAD   the name's first 5 letters
 *     *-test         TAIL   its last 5 letters
 *     acme-*-test    MIXED  its first 5 letters; then at most MK_MIXED_MAX patterns are tried
 *
 * So the cost depends on how many shapes there are (at most 63 lengths of three kinds, for
 * each set of tag keys), never on how many rules. A rule with tags is kept under their
 * values: a deny once for each subset of its tags that may be known, an allow for all of
 * them, and for none, which tells that knowing them could matter.
 */
#ifndef MK_POLICY_INDEX_H
#define MK_POLICY_INDEX_H

#include "mk/rules.h"
#include "mk/tag.h"
#include "mk/why.h"

#define MK_MIXED_MAX    64u             /* patterns with a star inside, for one who, one effect and one beginning */
#define MK_KEYSETS_MAX  63u             /* different sets of tag keys in one policy */
#define MK_ENTRIES_MAX  (UINT32_C(1) << 22)

enum mk_shape_kind { MK_SHAPE_EXACT, MK_SHAPE_HEAD, MK_SHAPE_TAIL, MK_SHAPE_MIXED };

struct mk_shape {
	uint16_t who;
	bool deny;
	uint8_t keys;  /* the set of tag keys; 0: none */
	uint8_t mask;  /* of its keys: those whose value an entry is kept under */
	uint8_t kind;  /* enum mk_shape_kind */
	uint8_t len;   /* of the literal; EXACT: 0, it is the whole */
};

struct mk_keyset {
	uint8_t n;
	const struct mk_rule_tag *of; /* a rule that has these keys, in order; the policy's */
};

struct mk_entry_ {
	uint32_t shape, rule, actions, next; /* next + 1, 0 at the end of the chain, which is in file order */
	uint16_t pattern;
};

struct mk_index {
	struct mk_shape *shapes; /* ascending, so that those of a who are a run */
	uint32_t n_shapes;
	uint32_t *shape_at;      /* by who, and one more */
	struct mk_keyset keysets[MK_KEYSETS_MAX + 1];
	unsigned n_keysets;      /* with 0, which is empty */
	struct mk_entry_ *entries;
	uint32_t n_entries;
	uint32_t *slots, n_slots; /* head + 1, by hash; a power of two */
};

struct mk_policy;
/* index_make.c: of p->rules and p->owner. */
mk_must mk_index_make(struct mk_policy *p, struct mk_why *why);
void mk_index_done(struct mk_index *x);

/* What is looked for. A hit is an entry whose pattern matches the text, and whose tags, as far as `mask` says, are the subject's. */
struct mk_seek {
	const char *text;        /* a name; or a pattern, for what covers it; NULL: the instance, which only "*" without tags is about */
	size_t n;
	const struct mk_tag *tags;
	size_t n_tags;
	bool tags_known, tags_trusted;
	bool untagged;           /* look at rules without tags only */
	void (*hit)(struct mk_seek *s, const struct mk_shape *shape, const struct mk_entry_ *e);
	void *arg;
	unsigned work;           /* lookups and entries compared */
	/* index_seek.c's own */
	uint64_t head[MK_PATTERN_MAX + 1], tail[MK_PATTERN_MAX + 1];
	unsigned keys;           /* of which `present` and `values` tell */
	uint8_t present;
	const char *values[MK_RULE_TAGS_MAX];
};
/* index_seek.c. Begin once, then for each who. */
void mk_seek_begin(struct mk_seek *s);
void mk_seek_who(const struct mk_policy *p, struct mk_seek *s, uint32_t who);

/* Shared by making and seeking. */
static inline uint64_t mk_hash_more(uint64_t h, uint8_t c)
{
	return (h ^ c) * UINT64_C(0x100000001b3); /* FNV-1a: no caller chooses what stands in the table */
}
#define MK_HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t mk_hash_value(uint64_t h, const char *value)
{
	for (; *value; value++)
		h = mk_hash_more(h, (uint8_t)*value);
	return mk_hash_more(h, 0);
}

static inline uint32_t mk_hash_slot(const struct mk_index *x, uint64_t literal, uint64_t tags, uint32_t shape)
{
	uint64_t h = (literal ^ (tags * 31)) + shape * UINT64_C(0x9e3779b97f4a7c15);
	h ^= h >> 32;
	h *= UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(h >> 32) & (x->n_slots - 1);
}

struct mk_literal {
	enum mk_shape_kind kind;
	const char *p;
	uint8_t n;
};
struct mk_literal mk_literal_of(const struct mk_pattern *p);

/* Does the text, which may be a pattern itself, lie within the pattern? For a name: does it match. */
bool mk_pattern_covers_(const struct mk_pattern *p, const char *text, size_t n);

#endif
