/* SPDX-License-Identifier: Apache-2.0
 *
 * The store of tokens: by connection the current and the previous version, sealed,
 * with plain meta data. It fetches nothing and decides nothing. Entries are looked up by
 * name at each use; pointers to them end with the handler, or with the next call that puts
 * or removes. What ends in _ returns plaintext and is the gate's alone.
 */
#ifndef MK_STORE_H
#define MK_STORE_H

#include "agent/broker/failure.h"
#include "agent/broker/record.h"
#include "agent/broker/seal.h"
#include "agent/broker/statekey.h"
#include "mk/tag.h"

#define MK_STORE_MAX       16384u                /* connections */
#define MK_STORE_BYTES_MAX (128u * 1024 * 1024)  /* of sealed values */

/* There may be ten thousand: small, and NULL in what is not held. */
struct mk_version {
	bool held;                 /* is there one */
	bool used;                 /* handed out since it was fetched */
	bool disabled;             /* the store has switched it off; no value is kept */
	uint8_t backend;           /* that it came from */
	uint32_t epoch;            /* of that backend when the fetch began */
	uint32_t token_room;       /* bytes of the token as JSON */
	char *version;             /* owned; the type stands behind it, where it is not the usual one */
	const char *token_type;    /* borrows */
	int64_t first_ms;          /* wall clock: when this version was first fetched */
	int64_t expires_ms;        /* wall clock, or MK_TIME_NONE */
	int64_t fetched_ms;        /* boot clock */
	struct mk_failure failure; /* of the last fetch since then, if it failed */
	struct mk_tag *tags;       /* owned; as the store told them with this version */
	size_t n_tags;
	uint64_t mark;             /* of the token (marks.h); 0: none */
	uint8_t print[MK_PRINT];   /* of the token (statekey.h); zeros: none */
	struct mk_sealed *sealed;  /* NULL where disabled */
};

struct mk_entry {
	struct mk_name name;
	uint16_t jitter;           /* random: this entry's part of the jitter, of 65,535 */
	struct mk_version at[MK_SLOT_PREVIOUS + 1]; /* by enum mk_slot */
	struct mk_entry *next;     /* the store's */
};

/* What a fetch brought. */
struct mk_fetched {
	struct mk_name name;
	enum mk_slot slot;
	const char *version;
	int64_t created_ms;
	bool disabled;             /* leaves are not looked at */
	struct mk_span leaves;
	const struct mk_tag *tags; /* borrowed */
	size_t n_tags;
	uint8_t backend;
	uint32_t epoch;
	int64_t wall_ms, boot_ms;  /* now */
};

struct mk_store;
mk_must mk_store_new(struct mk_seal *seal, struct mk_store **ret); /* borrows seal */
struct mk_store *mk_store_free(struct mk_store *s);
/* What is put from now on has a fingerprint under this key, which is borrowed. */
void mk_store_print(struct mk_store *s, struct mk_statekey *key);

struct mk_entry *mk_store_find(struct mk_store *s, const struct mk_name *name); /* NULL: none */
const struct mk_version *mk_entry_newest(const struct mk_entry *e); /* of the versions held, what was fetched last; NULL: none */
size_t mk_store_count(const struct mk_store *s);

/* Seals and keeps it. Another version than the one that was current makes that one the previous. On any error what
 * was there stays: BACKEND (*fault: the field), NO_MEMORY (also at MK_STORE_MAX and MK_STORE_BYTES_MAX). A result older than
 * what is held (by epoch of the same backend) is dropped with OK. */
mk_must mk_store_put(struct mk_store *s, const struct mk_fetched *f, const char **fault);
/* A fetch failed: remembered, for the pause before the next. */
void mk_store_failed(struct mk_store *s, const struct mk_name *name, enum mk_slot slot, const struct mk_failure *failure);
/* The store says that there is none (of PREVIOUS: no previous one). */
void mk_store_remove(struct mk_store *s, const struct mk_name *name, enum mk_slot slot);
/* Its value goes, as of one that is disabled; what else is known of it stays: its tags, its fingerprint. */
void mk_store_wipe(struct mk_store *s, const struct mk_name *name, enum mk_slot slot);
void mk_store_clear(struct mk_store *s);
/* Drops what was fetched longer than max_age_ms ago and so can never be served again. */
void mk_store_sweep(struct mk_store *s, int64_t boot_ms, int64_t max_age_ms);

/* Every entry of one of `parts` parts of the store. `look` may not put or remove. */
void mk_store_part(struct mk_store *s, size_t part, size_t parts, void (*look)(void *arg, const struct mk_entry *e), void *arg);

/* Is this version's token held under another name, too? Then it is neither's to have. */
bool mk_store_twice(const struct mk_store *s, const struct mk_name *name, const struct mk_version *v);

/* Bytes that mk_store_open_ needs. */
size_t mk_store_plain_len(const struct mk_version *v);
mk_must mk_store_open_(struct mk_store *s, const struct mk_entry *e, enum mk_slot slot, struct mk_secret *into);

#endif
