/* SPDX-License-Identifier: Apache-2.0
 *
 * The step loop. Whatever way a run ends, `ended` is called once, as the last thing.
 */
#include "agent/fetcher/driver.h"

#include "agent/base/secret.h"

#include <stdlib.h>

void mk_answer_done(struct mk_answer *a)
{
	a->locked = mk_secret_free(a->locked);
	if (a->heap)
		mk_wipe(a->heap, a->res.body.n);
	free(a->heap);
	*a = (struct mk_answer){ 0 };
}

static void run_end(struct mk_run *run, enum mk_step verdict)
{
	struct mk_op *op = &run->op;
	if (verdict == MK_STEP_DONE)
		op->err = MK_OK;
	else if (op->err == MK_OK) /* a failure without a reason */
		op->err = MK_BUG;
	run->ended(run);
}

/* Asks what the step wants. */
static bool ask(const struct mk_run *run, const struct mk_req *req, struct mk_answer *ret)
{
	switch (req->kind) {
	case MK_REQ_FILE:
		mk_answer_file(req, run->at->in_pod, ret);
		return true;
	}
	return false;
}

static void run_on(struct mk_run *run)
{
	struct mk_answer answer = { 0 };
	enum mk_step verdict = MK_STEP_SEND;
	while (verdict == MK_STEP_SEND) {
		struct mk_req req = { 0 };
		verdict = run->at->backend->step(&run->op, run->steps > 0 ? &answer.res : NULL, &req);
		mk_answer_done(&answer);
		if (verdict == MK_STEP_SEND && (run->steps++ == MK_RUN_STEPS_MAX || !ask(run, &req, &answer)))
			verdict = mk_step_fail(&run->op, MK_BUG, "the backend asks in circles, or for what there is not");
	}
	mk_answer_done(&answer);
	run_end(run, verdict);
}

void mk_run_done(struct mk_run *run)
{
	struct mk_op *op = &run->op;
	op->leaves = mk_secret_free(op->leaves);
	if (!op->state)
		return;
	if (run->at->backend->done)
		run->at->backend->done(op);
	mk_wipe(op->state, run->at->backend->state_size);
	free(op->state);
	op->state = NULL;
}

void mk_run_begin(struct mk_run *run)
{
	struct mk_op *op = &run->op;
	const struct mk_backend *b = run->at->backend;
	op->conf = &run->at->conf;
	op->keep = run->at->keep;
	op->state = calloc(1, b->state_size > 0 ? b->state_size : 1);
	if (!op->state)
		run_end(run, mk_step_fail(op, MK_NO_MEMORY, "no memory"));
	else if (!(b->verbs & op->verb))
		run_end(run, mk_step_fail(op, MK_BUG, "the backend does not know this verb"));
	else
		run_on(run);
}
