/* SPDX-License-Identifier: Apache-2.0
 *
 * Asks the kernel what it really did with a mapping. Whether memory is locked is read
 * from /proc/self/smaps and never concluded from a call that seemed to succeed.
 */
#ifndef MK_VM_H
#define MK_VM_H

#include <stdbool.h>
#include <stddef.h>

/* Every page of [p, p+n) lies in mappings that are locked (`lo`) and left out of dumps (`dd`).
 * False also where /proc cannot be read. */
bool mk_vm_locked(const void *p, size_t n);

#endif
