/* SPDX-License-Identifier: Apache-2.0
 *
 * Whatever way a run ends, `ended` is called once, as the last thing that is done with it.
 * A run is always in one list of its instance: waiting for its turn, parked for a login,
 * or going.
 */
#include "agent/fetcher/driver.h"

#include "agent/base/clock.h"
#include "agent/base/secret.h"
#include "agent/fetcher/login.h"
#include "mk/own.h"

#include <stdlib.h>

static const char no_memory[] = "no memory";

static void move(struct mk_run *run, struct mk_runs *to)
{
	if (run->list)
		TAILQ_REMOVE(run->list, run, entry);
	run->list = to;
	if (to)
		TAILQ_INSERT_TAIL(to, run, entry);
}

static void admit(struct mk_instance *at);

static void run_end(struct mk_run *run, enum mk_err e, const char *fault)
{
	struct mk_instance *at = run->at;
	if (run->list && run->list != &at->waiting)
		at->n_going--;
	move(run, NULL);
	run->unsure = e != MK_OK && (run->walk.unsure || (run->walk.ask.sent && run->walk.req.once));
	mk_walk_done(&run->walk);
	run->timer = mk_timer_free(run->timer);
	run->op.credential = NULL;
	run->credential = mk_secret_free(run->credential);
	run->op.err = e;
	run->op.fault = fault;
	run->ended(run);
	admit(at);
}

static void on_wait_over(void *arg)
{
	struct mk_run *run = arg;
	run_end(run, MK_TIMEOUT, run->list == &run->at->waiting ? "the calls to this backend are slower than the questions" :
								  "the login to the store took too long");
}

/* A wait that ends by itself at the run's deadline. */
static mk_must wait_in(struct mk_run *run, struct mk_runs *list)
{
	if (!run->timer)
		MK_TRY(mk_timer_new(run->at->driver->loop, on_wait_over, run, &run->timer));
	const int64_t left = run->deadline_ms - mk_boot_ms();
	mk_timer_set(run->timer, left > 0 ? left : 0);
	move(run, list);
	return MK_OK;
}

static void op_free(struct mk_run *run)
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

static mk_must op_new(struct mk_run *run)
{
	const struct mk_op *old = &run->op;
	const size_t size = run->at->backend->state_size;
	char expect[sizeof old->expect];
	memcpy(expect, old->expect, sizeof expect);
	run->op = (struct mk_op){ .verb = old->verb, .conf = &run->at->conf, .keep = run->at->keep, .name = old->name,
				  .previous = old->previous, .pending = old->pending, .value = old->value, .wall_ms = mk_wall_ms(),
				  .listed = old->listed };
	memcpy(run->op.expect, expect, sizeof run->op.expect);
	run->op.state = calloc(1, size > 0 ? size : 1);
	return run->op.state ? MK_OK : MK_NO_MEMORY;
}

static enum mk_step on_step(void *owner, const struct mk_res *res, struct mk_req *out)
{
	struct mk_run *run = owner;
	return run->at->backend->step(&run->op, res, out);
}

static void park(struct mk_run *run);
static void go(struct mk_run *run);

static bool changes(enum mk_verb verb)
{
	return (verb & (MK_VERB_DISABLE | MK_VERB_ENABLE)) != 0;
}

/* The store refused the credential: once more from the start, with another. */
static void login_again(struct mk_run *run)
{
	struct mk_instance *at = run->at;
	if (!at->session || run->logged_in_again || !mk_session_refused(at->session, run->number)) {
		run_end(run, changes(run->op.verb) ? MK_DENIED : MK_BACKEND,
			"the store refuses the credential of a fresh login: give its role a policy that allows this on its path");
		return;
	}
	run->logged_in_again = true;
	run->op.credential = NULL;
	run->credential = mk_secret_free(run->credential);
	op_free(run);
	if (op_new(run) == MK_OK)
		go(run);
	else
		run_end(run, MK_NO_MEMORY, no_memory);
}

static void on_ended(void *owner, enum mk_step verdict)
{
	struct mk_run *run = owner;
	const struct mk_walk *w = &run->walk;
	enum mk_err e = w->err != MK_OK ? w->err : run->op.err;
	if (verdict == MK_STEP_LOGIN)
		login_again(run);
	else if (verdict == MK_STEP_DONE)
		run_end(run, MK_OK, NULL);
	else
		run_end(run, e != MK_OK ? e : MK_BUG /* a failure without a reason */, w->fault ? w->fault : run->op.fault);
}

static void walk(struct mk_run *run)
{
	if (run->timer)
		mk_timer_set(run->timer, -1);
	move(run, &run->at->going);
	run->op.credential = run->credential;
	run->walk = (struct mk_walk){ .at = run->at, .owner = run, .step = on_step, .ended = on_ended, .deadline_ms = run->deadline_ms,
				      .single = run->op.verb == MK_VERB_HEALTH };
	mk_walk_begin(&run->walk);
}

/* With a credential, or as soon as there is one. A store's health is asked without. */
static void go(struct mk_run *run)
{
	const bool needs_one = run->at->session && run->op.verb != MK_VERB_HEALTH;
	const enum mk_err e = needs_one ? mk_session_copy(run->at->session, &run->credential, &run->number) : MK_OK;
	if (e == MK_OK)
		walk(run);
	else if (e == MK_NOT_READY)
		park(run);
	else
		run_end(run, e, no_memory);
}

static void park(struct mk_run *run)
{
	if (wait_in(run, &run->at->parked) == MK_OK)
		mk_session_login(run->at->session);
	else
		run_end(run, MK_NO_MEMORY, no_memory);
}

/* A login ended: all who waited for it go on, or end as it did. */
static void landed(struct mk_instance *at, enum mk_err e, const char *fault)
{
	struct mk_runs waited = TAILQ_HEAD_INITIALIZER(waited);
	struct mk_run *run;
	while ((run = TAILQ_FIRST(&at->parked)))
		move(run, &waited);
	while ((run = TAILQ_FIRST(&waited))) {
		move(run, &at->going);
		if (e == MK_OK)
			go(run);
		else
			run_end(run, e, fault);
	}
}

static void admit(struct mk_instance *at)
{
	struct mk_run *run;
	if (at->admitting || at->stopped)
		return;
	at->admitting = true;
	while (at->n_going < MK_RUNS_AT_ONCE && (run = TAILQ_FIRST(&at->waiting))) {
		at->n_going++;
		move(run, &at->going);
		go(run);
	}
	at->admitting = false;
}

void mk_run_done(struct mk_run *run)
{
	op_free(run);
}

void mk_run_begin(struct mk_run *run)
{
	struct mk_instance *at = run->at;
	run->deadline_ms = mk_boot_ms() + mk_walk_time(at);
	if (op_new(run) != MK_OK) {
		run_end(run, MK_NO_MEMORY, no_memory);
	} else if (!(at->backend->verbs & run->op.verb)) {
		run_end(run, MK_METHOD, "a backend of this type cannot do that");
	} else if (at->n_going < MK_RUNS_AT_ONCE) {
		at->n_going++;
		move(run, &at->going);
		go(run);
	} else if (wait_in(run, &at->waiting) != MK_OK) {
		run_end(run, MK_NO_MEMORY, no_memory);
	}
}

enum mk_err mk_instance_init(struct mk_instance *at, struct mk_driver *driver)
{
	TAILQ_INIT(&at->waiting);
	TAILQ_INIT(&at->parked);
	TAILQ_INIT(&at->going);
	at->driver = driver;
	mk_bucket_init(&at->bucket, at->conf.calls_per_hour);
	return driver && at->login ? mk_session_new(at, landed, &at->session) : MK_OK;
}

void mk_instance_stop(struct mk_instance *at)
{
	struct mk_runs *const lists[] = { &at->waiting, &at->parked, &at->going };
	struct mk_run *run;
	at->stopped = true;
	for (size_t i = 0; i < MK_COUNT(lists); i++)
		while ((run = TAILQ_FIRST(lists[i])))
			run_end(run, MK_NOT_READY, "this backend's configuration was replaced");
	at->session = mk_session_free(at->session);
}
