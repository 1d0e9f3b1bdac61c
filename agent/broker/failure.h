/* SPDX-License-Identifier: Apache-2.0
 *
 * When a question to a store failed last, and what that store held then: for the pause
 * before the next one. Zeroed, at_ms must be set to MK_TIME_NONE: none failed.
 */
#ifndef MK_FAILURE_H
#define MK_FAILURE_H

#include <stdint.h>

struct mk_failure {
	int64_t at_ms;   /* boot clock, or MK_TIME_NONE */
	uint8_t backend; /* that was asked last */
	uint32_t epoch;  /* of that backend */
};

#endif
