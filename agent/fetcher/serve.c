/* SPDX-License-Identifier: Apache-2.0
 *
 * What the broker asks: one secret, one page of names, or a change to one secret, which is made
 * in a backend that is writable and in no other, whatever the broker says. Each question gets exactly one
 * answer, with the question's own reference. The leaf list goes from the operation's
 * secret through one more secret (the message) into the link; it is parsed nowhere here.
 */
#include "agent/base/clock.h"
#include "agent/base/log.h"
#include "agent/base/secret.h"
#include "agent/fetcher/fetcher.h"
#include "agent/ipc/msg_write.h"
#include "mk/own.h"

#include <stdio.h>
#include <stdlib.h>

#define TELL_AGAIN_MS (60 * 1000) /* a fault that stays is told once in a minute */

/* One question: it lives from the broker's message until its answer. */
struct question {
	struct mk_run run; /* first: `ended` gets its address */
	struct mk_fetcher *fetcher;
	struct mk_ref ref;
	uint32_t broker;   /* whose question it is */
	struct mk_listed listed[MK_LIST_PAGE_MAX];
};

_Static_assert(offsetof(struct question, run) == 0, "a run's address is its question's");

static void question_done(struct question *q)
{
	struct mk_fetcher *f = q->fetcher;
	mk_run_done(&q->run);
	free(q);
	f->questions--;
	mk_fetcher_drained(f);
}

static void tell(struct mk_instance *at, const struct mk_op *op)
{
	const int64_t now = mk_boot_ms();
	mk_endpoint_ended(at, op->err, op->fault);
	if (!at->conf.address[0]) /* a file: no request of HTTP stands for it */
		mk_endpoint_called(&at->endpoint, now);
	if (op->err == MK_OK || op->err == MK_NOT_FOUND || op->err == MK_DISABLED) {
		if (at->last_fault)
			mk_log(MK_INFO, "backend_recovered", MK_KV_S("backend", at->conf.name.s));
		at->last_fault = NULL;
		return;
	}
	if (at->last_fault == op->fault && now - at->told_ms < TELL_AGAIN_MS)
		return;
	at->last_fault = op->fault;
	at->told_ms = now;
	mk_log(MK_WARN, "backend_failed", MK_KV_S("backend", at->conf.name.s), MK_KV_S("connection", op->name.s),
	       MK_KV_S("err", mk_err_word(op->err)), MK_KV_S("fault", op->fault ? op->fault : ""));
}

/* A broker that left will be noticed by reading; one that does not read has a deadline of its own. */
static void sent(enum mk_err e)
{
	if (e != MK_OK)
		mk_log(MK_WARN, "answer_dropped", MK_KV_S("err", mk_err_word(e)));
}

static mk_must send_fetched(struct mk_fetcher *f, const struct mk_msg_fetched *m)
{
	mk_auto(mk_secret_freep) struct mk_secret *body = NULL;
	const size_t cap = mk_msgs[MK_MSG_FETCH_DONE].max;
	size_t n = 0;
	if (!f->broker)
		return MK_OK;
	MK_TRY(mk_secret_new(cap, &body));
	struct mk_wr w = mk_wr_of(mk_secret_buf(body), cap);
	mk_msg_fetched_write(&w, m);
	MK_TRY(mk_wr_end(&w, &n));
	return mk_link_send(f->broker, MK_MSG_FETCH_DONE, mk_span(mk_secret_buf(body), n), -1);
}

/* Never without an answer: where the secret itself cannot go, the error goes. */
static void answer_fetch(struct mk_fetcher *f, struct mk_ref ref, const struct mk_op *op)
{
	struct mk_msg_fetched m = { .ref = ref, .err = op->err, .meta = op->meta };
	if (op->err == MK_OK)
		m.leaves = mk_secret_span(op->leaves);
	enum mk_err e = send_fetched(f, &m);
	if (e == MK_TOO_LARGE || e == MK_NO_MEMORY)
		e = send_fetched(f, &(struct mk_msg_fetched){ .ref = ref, .err = e });
	sent(e);
}

static void fetch_ended(struct mk_run *run)
{
	struct question *q = (struct question *)(void *)run;
	tell(run->at, &run->op);
	mk_fetcher_tell(q->fetcher);
	if (q->broker == q->fetcher->broker_number)
		answer_fetch(q->fetcher, q->ref, &run->op);
	question_done(q);
}

static mk_must send_listed(struct mk_fetcher *f, const struct mk_msg_listed *m)
{
	const size_t cap = mk_msgs[MK_MSG_LIST_DONE].max;
	mk_auto(mk_freep) uint8_t *body = malloc(cap);
	size_t n = 0;
	if (!f->broker)
		return MK_OK;
	if (!body)
		return MK_NO_MEMORY;
	struct mk_wr w = mk_wr_of(body, cap);
	mk_msg_listed_write(&w, m);
	MK_TRY(mk_wr_end(&w, &n));
	return mk_link_send(f->broker, MK_MSG_LIST_DONE, mk_span(body, n), -1);
}

static void list_ended(struct mk_run *run)
{
	struct question *q = (struct question *)(void *)run;
	const struct mk_op *op = &run->op;
	const struct mk_msg_listed m = { q->ref, op->err, op->more, q->listed, op->n_listed };
	tell(run->at, op);
	mk_fetcher_tell(q->fetcher);
	if (q->broker == q->fetcher->broker_number)
		sent(send_listed(q->fetcher, &m));
	question_done(q);
}

/* NOT_READY: of a generation that is not in force here yet, or no more. */
static mk_must question_new(struct mk_fetcher *f, uint8_t backend, struct mk_ref ref, struct question **ret)
{
	if (backend >= f->now->n)
		return MK_NOT_READY;
	struct question *q = calloc(1, sizeof *q);
	if (!q)
		return MK_NO_MEMORY;
	q->fetcher = f;
	q->ref = ref;
	q->broker = f->broker_number;
	q->run.at = f->now->instances[backend];
	f->questions++;
	*ret = q;
	return MK_OK;
}

static mk_must on_fetch(struct mk_fetcher *f, const struct mk_frame *frame)
{
	struct mk_msg_fetch m;
	MK_TRY(mk_msg_fetch_read(frame->body, &m));
	struct question *q = NULL;
	const enum mk_err e = question_new(f, m.backend, m.ref, &q);
	if (e != MK_OK) {
		sent(send_fetched(f, &(struct mk_msg_fetched){ .ref = m.ref, .err = e }));
		return MK_OK;
	}
	q->run.op.verb = MK_VERB_GET;
	q->run.op.name = m.name;
	q->run.op.previous = m.previous;
	q->run.ended = fetch_ended;
	mk_run_begin(&q->run);
	return MK_OK;
}

static mk_must on_list(struct mk_fetcher *f, const struct mk_frame *frame)
{
	struct mk_msg_list m;
	MK_TRY(mk_msg_list_read(frame->body, &m));
	struct question *q = NULL;
	const enum mk_err e = question_new(f, m.backend, m.ref, &q);
	if (e != MK_OK) {
		sent(send_listed(f, &(struct mk_msg_listed){ .ref = m.ref, .err = e }));
		return MK_OK;
	}
	q->run.op.verb = MK_VERB_LIST;
	q->run.op.name = m.after;
	q->run.op.listed = q->listed;
	q->run.ended = list_ended;
	mk_run_begin(&q->run);
	return MK_OK;
}

static mk_must send_written(struct mk_fetcher *f, const struct mk_msg_written *m)
{
	uint8_t buf[512];
	size_t n = 0;
	if (!f->broker)
		return MK_OK;
	struct mk_wr w = mk_wr_of(buf, sizeof buf);
	mk_msg_written_write(&w, m);
	MK_TRY(mk_wr_end(&w, &n));
	return mk_link_send(f->broker, MK_MSG_WRITE_DONE, mk_span(buf, n), -1);
}

/* That a change is refused says nothing of how the store serves. */
static void tell_written(struct mk_run *run)
{
	const struct mk_op *op = &run->op;
	if (op->err == MK_OK)
		tell(run->at, op);
	else
		mk_log(MK_WARN, "backend_not_changed", MK_KV_S("backend", run->at->conf.name.s), MK_KV_S("connection", op->name.s),
		       MK_KV_S("err", mk_err_word(op->err)), MK_KV_S("fault", op->fault ? op->fault : ""));
}

static void write_ended(struct mk_run *run)
{
	struct question *q = (struct question *)(void *)run;
	const struct mk_op *op = &run->op;
	const bool ok = op->err == MK_OK;
	struct mk_msg_written m = { .ref = q->ref, .err = op->err, .already = ok && op->already, .unsure = run->unsure };
	if (ok)
		memcpy(m.version, op->meta.version, sizeof m.version);
	else if (op->fault)
		snprintf(m.fault, sizeof m.fault, "%s", op->fault);
	tell_written(run);
	mk_fetcher_tell(q->fetcher);
	if (q->broker == q->fetcher->broker_number)
		sent(send_written(q->fetcher, &m));
	question_done(q);
}

static mk_must on_write(struct mk_fetcher *f, const struct mk_frame *frame)
{
	struct mk_msg_write m;
	MK_TRY(mk_msg_write_read(frame->body, &m));
	struct question *q = NULL;
	const bool refused = m.backend < f->now->n && !f->now->instances[m.backend]->conf.writable;
	const enum mk_err e = refused ? MK_DENIED : question_new(f, m.backend, m.ref, &q);
	if (refused)
		mk_log(MK_ERROR, "write_refused", MK_KV_S("backend", f->now->instances[m.backend]->conf.name.s),
		       MK_KV_S("fault", "the broker asks for a change in a backend that is not writable"));
	if (e != MK_OK) {
		sent(send_written(f, &(struct mk_msg_written){ .ref = m.ref, .err = e }));
		return MK_OK;
	}
	q->run.op.verb = m.verb;
	q->run.op.name = m.name;
	memcpy(q->run.op.expect, m.version, sizeof q->run.op.expect);
	q->run.ended = write_ended;
	mk_run_begin(&q->run);
	return MK_OK;
}

void mk_fetcher_tell_keys(void *arg, const struct mk_msg_keys *m)
{
	struct mk_fetcher *f = arg;
	const size_t cap = mk_msgs[MK_MSG_KEYS].max;
	mk_auto(mk_freep) uint8_t *body = malloc(cap);
	size_t n = 0;
	if (!f->broker || !body)
		return;
	struct mk_wr w = mk_wr_of(body, cap);
	mk_msg_keys_write(&w, m);
	const enum mk_err e = mk_wr_end(&w, &n);
	sent(e == MK_OK ? mk_link_send(f->broker, MK_MSG_KEYS, mk_span(body, n), -1) : e);
}

static mk_must on_wanted(struct mk_fetcher *f, const struct mk_frame *frame)
{
	struct mk_msg_number m;
	MK_TRY(mk_msg_number_read(frame->body, &m));
	if (f->now->keys)
		mk_keys_wanted(f->now->keys);
	return MK_OK;
}

enum mk_err mk_fetcher_on_broker(struct mk_fetcher *f, const struct mk_frame *frame)
{
	if (frame->type == MK_MSG_KEYS_WANTED)
		return on_wanted(f, frame);
	if (frame->type == MK_MSG_WRITE_BEGIN)
		return on_write(f, frame);
	return frame->type == MK_MSG_FETCH_BEGIN ? on_fetch(f, frame) : on_list(f, frame);
}
