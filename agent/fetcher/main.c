/* SPDX-License-Identifier: Apache-2.0
 *
 * makini-fetcher: the one process that talks to the stores of tokens. Started by
 * makini-agent; keeps nothing but its stores' credentials.
 */
#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/fetcher/fetcher.h"

#include <malloc.h>
#include <sodium.h>

#define SECRETS_SMALL 192 /* credentials, keys, and for each operation under way its credential, request and answer */
#define SECRETS_LARGE 24  /* frames, and secrets in the making */
#define MAP_FROM (128 * 1024) /* bytes: so large a block is mapped, and given back with its free */

int main(void)
{
	struct mk_lockdown_report report;
	struct mk_why why = { .text = "" };
	bool locked = false;
	mk_log_init("fetcher");
	mallopt(M_MMAP_THRESHOLD, MAP_FROM); /* which a first large free would otherwise raise: an embedded store's file would stay */
	enum mk_err e = mk_lockdown_early(true, &report, &why);
	if (e == MK_OK)
		e = sodium_init() < 0 ? MK_SYSTEM : mk_secret_arena_init(SECRETS_SMALL, SECRETS_LARGE, &locked);
	if (e != MK_OK) {
		mk_log_why(MK_ERROR, "start_failed", e, &why);
		return 1;
	}
	report.state[MK_GUARD_MEMORY_LOCK] = locked ? MK_GUARD_FULL : MK_GUARD_NONE;
	return mk_fetcher_run(&report);
}
