/* SPDX-License-Identifier: Apache-2.0
 *
 * The public header, as the library itself reads it: what it declares is all that is not hidden.
 */
#ifndef CLIENT_API_H
#define CLIENT_API_H

#pragma GCC visibility push(default)
#include "makini/client.h"
#pragma GCC visibility pop

#endif
