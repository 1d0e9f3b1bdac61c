/* SPDX-License-Identifier: Apache-2.0
 *
 * The step loop, for runs and logins alike.
 */
#include "agent/fetcher/walk.h"

#include "agent/base/secret.h"

#include <stdlib.h>

#define TIMEOUT_MS 5000 /* where the configuration names none */

static void walk_on(struct mk_walk *w, const struct mk_res *res);

static void on_answer(struct mk_ask *a)
{
	struct mk_walk *w = a->owner;
	w->fault = a->call.res.err != MK_OK ? a->call.fault : NULL;
	w->told |= a->call.res.err == MK_OK;
	w->unsure = w->req.once && a->tried && (a->call.res.err != MK_OK || a->call.res.status >= 500);
	walk_on(w, &a->call.res);
}

static enum mk_step fail(struct mk_walk *w, enum mk_err e, const char *fault)
{
	w->err = e;
	w->fault = fault;
	return MK_STEP_FAIL;
}

static void replace(struct mk_walk *w, struct mk_answer *file)
{
	if (!w->at->may_write)
		w->fault = "this fetcher may not write: its lock-down lets it read the store only";
	file->res.err = w->at->may_write ? mk_answer_replace(&w->req, w->at->in_pod, &w->mark) : MK_DENIED;
}

/* SEND: what the step asked for will be answered, or is: then res is set. */
static enum mk_step ask(struct mk_walk *w, struct mk_answer *file, const struct mk_res **ret_res)
{
	if (w->steps++ == MK_WALK_STEPS_MAX)
		return fail(w, MK_BUG, "the backend asks in circles");
	if (w->req.kind == MK_REQ_FILE || w->req.kind == MK_REQ_REPLACE) {
		w->fault = NULL;
		if (w->req.kind == MK_REQ_FILE)
			mk_answer_file(&w->req, w->at->in_pod, file, &w->mark);
		else
			replace(w, file);
		*ret_res = &file->res;
		return MK_STEP_SEND;
	}
	if (w->req.kind != MK_REQ_HTTP || !w->at->driver)
		return fail(w, MK_BUG, "the backend asks for what there is not");
	w->ask = (struct mk_ask){ .at = w->at, .deadline_ms = w->deadline_ms, .single = w->single, .answered = on_answer, .owner = w };
	*ret_res = NULL;
	return mk_ask_begin(&w->ask, &w->req) == MK_OK ? MK_STEP_SEND : fail(w, MK_NO_MEMORY, "no memory");
}

static void walk_on(struct mk_walk *w, const struct mk_res *res)
{
	struct mk_answer file = { 0 };
	enum mk_step verdict;
	do {
		w->req = (struct mk_req){ 0 };
		verdict = w->step(w->owner, res, &w->req);
		mk_answer_done(&file);
		mk_ask_done(&w->ask);
		if (verdict == MK_STEP_SEND)
			verdict = ask(w, &file, &res);
		if (verdict == MK_STEP_SEND && !res)
			return;
	} while (verdict == MK_STEP_SEND);
	mk_answer_done(&file);
	w->ended(w->owner, verdict);
}

int64_t mk_walk_time(const struct mk_instance *at)
{
	return at->conf.timeout_ms > 0 ? at->conf.timeout_ms : TIMEOUT_MS;
}

void mk_walk_begin(struct mk_walk *w)
{
	w->steps = 0;
	w->err = MK_OK;
	w->fault = NULL;
	w->told = false;
	w->unsure = false;
	w->mark.set = false;
	w->ask = (struct mk_ask){ 0 };
	walk_on(w, NULL);
}

void mk_walk_done(struct mk_walk *w)
{
	mk_ask_done(&w->ask);
}

void mk_answer_done(struct mk_answer *a)
{
	a->locked = mk_secret_free(a->locked);
	if (a->heap)
		mk_wipe(a->heap, a->res.body.n);
	free(a->heap);
	*a = (struct mk_answer){ 0 };
}
