/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernel's interface as lock-down uses it, in our own words: Debian 12's headers
 * are of 6.1 and know neither the newer Landlock rights and scopes nor MDWE. Only the
 * files of this folder include it. Nothing here decides anything.
 */
#ifndef MK_LOCK_KERNEL_H
#define MK_LOCK_KERNEL_H

#include <stdint.h>

/* Landlock, first in 5.13 (ABI 1). */
#define MK_LL_VERSION 1u /* flag of landlock_create_ruleset */
#define MK_LL_RULE_PATH 1

#define MK_LL_EXECUTE     (1ull << 0)
#define MK_LL_WRITE_FILE  (1ull << 1)
#define MK_LL_READ_FILE   (1ull << 2)
#define MK_LL_READ_DIR    (1ull << 3)
#define MK_LL_REMOVE_DIR  (1ull << 4)
#define MK_LL_REMOVE_FILE (1ull << 5)
#define MK_LL_MAKE_CHAR   (1ull << 6)
#define MK_LL_MAKE_DIR    (1ull << 7)
#define MK_LL_MAKE_REG    (1ull << 8)
#define MK_LL_MAKE_SOCK   (1ull << 9)
#define MK_LL_MAKE_FIFO   (1ull << 10)
#define MK_LL_MAKE_BLOCK  (1ull << 11)
#define MK_LL_MAKE_SYM    (1ull << 12)
#define MK_LL_REFER       (1ull << 13) /* ABI 2, 5.19 */
#define MK_LL_TRUNCATE    (1ull << 14) /* ABI 3, 6.2 */
#define MK_LL_IOCTL_DEV   (1ull << 15) /* ABI 5, 6.10 */

#define MK_LL_SCOPE_ABSTRACT (1ull << 0) /* ABI 6, 6.12 */
#define MK_LL_SCOPE_SIGNAL   (1ull << 1)
#define MK_LL_ABI_SCOPES 6

struct mk_ll_ruleset {
	uint64_t handled_fs;
	uint64_t handled_net; /* ABI 4 */
	uint64_t scoped;      /* ABI 6 */
};
#define MK_LL_RULESET_SIZE_1 8u /* what a kernel before ABI 4 takes */

struct mk_ll_path {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed));

/* Memory-deny-write-execute, 6.3. */
#define MK_PR_SET_MDWE 65
#define MK_PR_GET_MDWE 66
#define MK_PR_MDWE_REFUSE_EXEC_GAIN 1ul

#endif
