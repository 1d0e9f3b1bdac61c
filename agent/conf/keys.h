/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration by tables: a section is a struct and a table of its keys; a key has a
 * kind, which says how its text becomes a field. One walker reads them all, in the
 * table's order, and reports unknown keys (with the nearest name), wrong types,
 * missing keys and values out of range, each with file and line.
 */
#ifndef MK_CONF_KEYS_H
#define MK_CONF_KEYS_H

#include "mk/limits.h"
#include "mk/name.h"
#include "mk/why.h"

#include <libconfig.h>

struct mk_reader {
	const char *file;
	char dir[MK_PATH_MAX];       /* of the file; paths are relative to it */
	char state_dir[MK_PATH_MAX]; /* once it is known: a store's file is relative to it */
	bool in_pod;
	struct mk_why *why;
};

struct mk_key;
/* Reads s (of a type that the kind takes) into *at. */
typedef enum mk_err mk_key_fn(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s, void *at);

struct mk_kind {
	const char *want; /* for "… must be …" */
	unsigned types;   /* bits 1 << CONFIG_TYPE_* */
	mk_key_fn *read;
};

struct mk_section {
	const struct mk_key *keys;
	size_t n;
};

struct mk_key {
	const char *name;
	const struct mk_kind *kind;
	size_t at;          /* offset of the field in the section's struct */
	bool required;
	int64_t min, max;   /* of kinds with a range */
	const char *range;  /* the same for people: "1s to 24h" */
	const void *more;   /* what the kind needs: words, a mk_section, a mk_list */
};

/* A list of groups: `item` reads one of them. base is the struct that holds the list. */
struct mk_list {
	size_t max;
	enum mk_err (*item)(struct mk_reader *r, const config_setting_t *s, void *base);
};

#define MK_SECTION(table) { (table), sizeof(table) / sizeof((table)[0]) }

/* Into the field's type:                      type of the field */
extern const struct mk_kind mk_kind_word;      /* struct mk_word */
extern const struct mk_kind mk_kind_path;      /* char[MK_PATH_MAX], absolute */
extern const struct mk_kind mk_kind_store;     /* char[MK_PATH_MAX], relative to state_dir */
extern const struct mk_kind mk_kind_duration;  /* int64_t, ms */
extern const struct mk_kind mk_kind_size;      /* uint64_t, bytes */
extern const struct mk_kind mk_kind_percent;   /* uint8_t */
extern const struct mk_kind mk_kind_rate;      /* uint32_t, per hour */
extern const struct mk_kind mk_kind_count;     /* uint32_t */
extern const struct mk_kind mk_kind_bool;      /* bool */
extern const struct mk_kind mk_kind_choice;    /* unsigned: index in more, const char *const[] that ends with NULL */
extern const struct mk_kind mk_kind_flags;     /* uint32_t: bits 1 << index in more, the same; a list */
extern const struct mk_kind mk_kind_mode;      /* mode_t */
extern const struct mk_kind mk_kind_user;      /* uid_t, by name */
extern const struct mk_kind mk_kind_uid;       /* uid_t, by number */
extern const struct mk_kind mk_kind_group;     /* gid_t */
extern const struct mk_kind mk_kind_key32;     /* uint8_t[32], an X25519 public key */
extern const struct mk_kind mk_kind_address;   /* struct sockaddr_storage; AF_UNSPEC for "none" */
extern const struct mk_kind mk_kind_section;   /* a struct; more: mk_section */
extern const struct mk_kind mk_kind_list;      /* at: the struct itself; more: mk_list */

/* Reads a group by its table into base: all keys known, then each in the table's order. */
mk_must mk_keys_read(struct mk_reader *r, const struct mk_section *t, const config_setting_t *group, void *base);
/* The two halves of it, for a section where one key decides how others are read. */
mk_must mk_keys_known(struct mk_reader *r, const struct mk_section *t, const config_setting_t *group);
mk_must mk_keys_read_one(struct mk_reader *r, const struct mk_key *k, const config_setting_t *group, void *base);

bool mk_keys_has(const config_setting_t *group, const char *name);
/* The line of a member, or of the group where it has none of that name. */
unsigned mk_keys_line(const config_setting_t *group, const char *name);
unsigned mk_setting_line(const config_setting_t *s);

/* An error at a setting: mk_keys_refuse(r, s, "…"). */
#define mk_keys_refuse(r, s, ...) mk_why_at((r)->why, MK_BAD_REQUEST, (r)->file, mk_setting_line(s), __VA_ARGS__)

/* A string value, or "". */
const char *mk_keys_text(const config_setting_t *s);
/* A string value that is not what its kind wants. */
enum mk_err mk_keys_unfit(struct mk_reader *r, const struct mk_key *k, const config_setting_t *s);

/* A value as it may be shown in an error: cut, without control characters. */
#define MK_SHOWN_MAX 72
const char *mk_shown(const char *text, char buf[MK_SHOWN_MAX]);

/* " (did you mean "x"?)", or "" where nothing is near. */
#define MK_HINT_MAX 96
const char *mk_hint(const char *wrong, const char *const *words, size_t n, char buf[MK_HINT_MAX]);
/* The words of a NULL-ended list: "a, b, c", cut where it does not fit. */
const char *mk_words_joined(const char *const *words, size_t n, char *buf, size_t cap);

#endif
