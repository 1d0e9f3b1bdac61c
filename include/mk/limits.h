/* SPDX-License-Identifier: Apache-2.0
 *
 * Limits that more than one folder must agree on. A limit of one file stands at the
 * head of that file.
 */
#ifndef MK_LIMITS_H
#define MK_LIMITS_H

#define MK_TOKEN_MAX     16384 /* bytes of one access token */
#define MK_SECRET_MAX    65536 /* bytes of one secret as a leaf list (see leaf.h) */
#define MK_LEAVES_MAX    256   /* leaves of one secret */
#define MK_POINTER_MAX   1024  /* bytes of one JSON Pointer */
#define MK_DEPTH_MAX     32    /* nesting of a secret's JSON */
#define MK_VERSION_MAX   64    /* bytes of a store's version id */
#define MK_TAGS_MAX      16    /* tags of one secret */
#define MK_TAG_KEY_MAX   64
#define MK_TAG_VALUE_MAX 256

#define MK_SERVICES_MAX  1024
#define MK_RULES_MAX     16384
#define MK_PATTERNS_MAX  256   /* connections named in one rule */
#define MK_RULE_TAGS_MAX 8     /* tags named in one rule */
#define MK_RULE_FIELDS_MAX 32  /* fields named in one rule */
#define MK_FIELD_MAX     64    /* bytes of a field's name */
#define MK_GROUPS_OF_SERVICES_MAX 256
#define MK_UNIT_MAX      255   /* bytes of a systemd unit's name */
#define MK_K8S_NAMESPACE_MAX 63
#define MK_K8S_ACCOUNT_MAX   253
#define MK_POD_UID_MAX   63
#define MK_LISTENERS_MAX 64    /* without admin */
#define MK_BACKENDS_MAX  16
#define MK_PATH_MAX      1024  /* bytes of a path in the configuration */
#define MK_SOCKET_PATH_MAX 107 /* unix(7): sun_path without its NUL */

#endif
