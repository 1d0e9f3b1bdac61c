/* SPDX-License-Identifier: Apache-2.0
 *
 * The embedded store's file: every connection's current, previous and pending version,
 * with tags: a head, a sealed index (names, versions, tags, places), and each version's leaf
 * list sealed on its own (XChaCha20-Poly1305; additional data: head, and name and version)
 * under a 32-byte key, or one made from a passphrase by Argon2id. Format: docs/local-file.md.
 * Used by the `local` backend and makinictl. Nothing here touches a file. Plain values only ever lie in secrets; a get opens the index and
 * one record.
 *
 * Errors: BAD_REQUEST where bytes do not have the form; DENIED where they do not open
 * under the key (another key, or changed: the two cannot be told apart).
 */
#ifndef MK_LOCAL_FILE_H
#define MK_LOCAL_FILE_H

#include "mk/backend.h"

#define MK_LOCAL_FILE_MAX (64u * 1024 * 1024)
#define MK_LOCAL_INDEX_MAX (16u * 1024 * 1024) /* plain bytes of the index */
#define MK_LOCAL_NAMES_MAX 100000u
#define MK_LOCAL_KEY_TEXT_MAX 128 /* a key file: base64 of 32 bytes and a newline */
#define MK_LOCAL_PASSPHRASE_MAX 1024
#define MK_LOCAL_KEY_BYTES 32u
#define MK_LOCAL_ID_BYTES 8u      /* a version's id; people see it in hex */
#define MK_LOCAL_HEAD_BYTES 56u
#define MK_LOCAL_OPS_MAX 10u      /* Argon2id: what a file may ask of its reader */
#define MK_LOCAL_MEM_KIB_MIN 8u
#define MK_LOCAL_MEM_KIB_MAX (256u * 1024)

enum mk_local_kdf { MK_LOCAL_KDF_KEY = 1, MK_LOCAL_KDF_ARGON2ID = 2 };

struct mk_local_head {
	enum mk_local_kdf kdf;
	uint32_t ops, mem_kib; /* Argon2id; 0 with a key file */
	uint8_t salt[16];      /* Argon2id; zero with a key file */
	uint8_t store[16];     /* random: which store this is */
};

/* A key: a secret of 32 bytes, the caller's. */

/* From a key file's text: base64, at most one newline behind. BAD_REQUEST. */
mk_must mk_local_key_of(struct mk_span text, struct mk_secret **ret);
/* From a passphrase file's text, less one newline: 1 to 1,024 bytes. Takes a second of CPU and mem_kib. */
mk_must mk_local_key_derive(const struct mk_local_head *head, struct mk_span text, struct mk_secret **ret);
/* A fresh key and its file's text. The secret is the caller's. */
mk_must mk_local_key_make(struct mk_secret **ret, struct mk_secret **ret_text);
/* A fresh head: with Argon2id at libsodium's "moderate" cost. */
struct mk_local_head mk_local_head_make(enum mk_local_kdf kdf);
mk_must mk_local_head_read(struct mk_span file, struct mk_local_head *ret);

/* An opened store: the plain index, and the file's bytes, borrowed until mk_local_free. */
struct mk_local;

struct mk_local_version { /* zeroed: there is none */
	char id[2 * MK_LOCAL_ID_BYTES + 1];
	int64_t created_ms; /* wall clock */
	bool disabled;
	size_t at, size;    /* its sealed record in the file */
};

enum mk_local_slot { MK_LOCAL_CURRENT, MK_LOCAL_PREVIOUS, MK_LOCAL_PENDING, MK_LOCAL_SLOTS };

struct mk_local_entry {
	struct mk_name name;
	struct mk_local_version versions[MK_LOCAL_SLOTS]; /* previous only beside current; at least one */
	size_t n_tags;
	struct mk_span tags; /* for mk_local_tags; borrows the store */
};

struct mk_local_cursor { /* zeroed at the start */
	size_t index_at, record_at;
};

mk_must mk_local_open(struct mk_span file, const struct mk_secret *key, struct mk_local **ret);
struct mk_local *mk_local_free(struct mk_local *s); /* wipes */
void mk_local_freep(struct mk_local **s);

size_t mk_local_count(const struct mk_local *s);
/* Names ascending; false at the end. */
bool mk_local_next(const struct mk_local *s, struct mk_local_cursor *at, struct mk_local_entry *ret);
mk_must mk_local_find(const struct mk_local *s, const struct mk_name *name, struct mk_local_entry *ret); /* NOT_FOUND */
void mk_local_tags(const struct mk_local_entry *e, struct mk_tag tags[MK_TAGS_MAX]);
bool mk_local_has(const struct mk_local_entry *e, enum mk_local_slot slot);
/* Opens one version (NOT_FOUND where there is none) into a checked leaf list. */
mk_must mk_local_record(const struct mk_local *s, const struct mk_secret *key, const struct mk_local_entry *e,
			enum mk_local_slot slot, struct mk_secret **ret);

/* A JSON object's text as a leaf list for a put; errors as flatten.h has them. */
mk_must mk_local_leaves_of(struct mk_span json, struct mk_secret **ret);

enum mk_local_act {
	MK_LOCAL_PUT,     /* a new current version; what was current becomes previous, what was previous goes, what is pending stays */
	MK_LOCAL_REMOVE,  /* the name goes, with all its versions */
	MK_LOCAL_OFFER,   /* a new pending version; CONFLICT where there is one */
	MK_LOCAL_PROMOTE, /* the pending version becomes current, as by a put, and keeps its id */
	MK_LOCAL_DISCARD, /* the pending version goes, and the name where that was all of it */
	MK_LOCAL_DISABLE, /* `expect`, or else the current version, is not to be handed out */
	MK_LOCAL_ENABLE,
	MK_LOCAL_ACTS
};

/* One change. */
struct mk_local_change {
	struct mk_name name;
	enum mk_local_act act;
	const char *expect;        /* OFFER, PROMOTE: the id that must be current (CONFLICT); NULL or "": any, or none */
	struct mk_span leaves;     /* PUT, OFFER: a leaf list */
	const struct mk_tag *tags; /* PUT: set; one with an empty value is taken away; the others stay */
	size_t n_tags;
	int64_t now_ms;            /* PUT, OFFER */
};

struct mk_local_bytes { /* a whole file, from malloc, for mk_freep(&p); sealed, so not secret */
	uint8_t *p;
	size_t n;
};

/* The whole new file. NOT_FOUND: no such name, or no version for the act; TOO_LARGE: a limit;
 * BAD_REQUEST: a leaf list or tag that is none. ret_id: the version that was acted on ("" after a removal). */
mk_must mk_local_change(const struct mk_local *s, const struct mk_secret *key, const struct mk_local_change *change,
			struct mk_local_bytes *ret, char ret_id[2 * MK_LOCAL_ID_BYTES + 1]);
mk_must mk_local_empty(const struct mk_local_head *head, const struct mk_secret *key, struct mk_local_bytes *ret);

/* A key of 1 to 64 visible ASCII characters without '='; a value of 1 to 256 bytes of UTF-8 without control characters. */
bool mk_local_tag_ok(struct mk_span key, struct mk_span value);

#endif
