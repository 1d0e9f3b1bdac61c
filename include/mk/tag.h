/* SPDX-License-Identifier: Apache-2.0
 *
 * A tag of a secret, as the store tells it: a key and a value, both plain text. A word
 * of the store: whether it may be believed is the configuration's to say (trust_tags).
 */
#ifndef MK_TAG_H
#define MK_TAG_H

#include "mk/limits.h"

struct mk_tag {
	char key[MK_TAG_KEY_MAX + 1], value[MK_TAG_VALUE_MAX + 1];
};

#endif
