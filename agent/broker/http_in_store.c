/* SPDX-License-Identifier: Apache-2.0
 *
 * The wait for the stores, and how it is told what each did.
 */
#include "agent/broker/http_in_store.h"

#include "agent/broker/http_acts.h"
#include "agent/broker/http_reply.h"
#include "mk/own.h"

#include <stdlib.h>

struct mk_acted *mk_acted_free(struct mk_acted *a)
{
	if (a)
		a->work = mk_in_store_free(a->work);
	free(a);
	return NULL;
}

bool mk_acted_new(struct mk_conn *c, enum mk_verb verb, const struct mk_name *names, size_t n, enum MHD_Result *ret)
{
	struct mk_acted *a = calloc(1, sizeof *a);
	const enum mk_err e = a ? mk_in_store_new(c->http->broker, &c->caller, verb, names, n, &a->work) : MK_NO_MEMORY;
	if (e == MK_OK) {
		memcpy(a->names, names, n * sizeof *names);
		c->acted = a;
		return true;
	}
	free(a);
	*ret = e == MK_TOO_LARGE ? mk_reply_refused(c, MK_HINT_IN_STORE_MOST, NULL) : mk_reply_err(c, e, 0);
	return false;
}

static void on_done(void *arg)
{
	mk_conn_wake(arg);
}

enum MHD_Result mk_acted_begin(struct mk_conn *c, enum MHD_Result (*answer)(struct mk_conn *c))
{
	return mk_in_store_begin(c->acted->work, on_done, c) ? answer(c) : mk_conn_suspend(c);
}

void mk_acted_write(struct mk_jw *w, const struct mk_acted *a, size_t name)
{
	const struct mk_in_store *j = a->work;
	mk_jw_key(w, "in_store");
	mk_jw_open(w, '[');
	for (size_t i = 0; i < mk_in_store_stores(j); i++) {
		const struct mk_stored *s = mk_in_store_of(j, name, i);
		mk_jw_open(w, '{');
		mk_jw_kstr(w, "store", mk_in_store_store(j, i)->s);
		mk_jw_kstr(w, "outcome", mk_stored_word(mk_in_store_verb(j), s->outcome));
		if (s->err != MK_OK)
			mk_jw_kstr(w, "code", mk_err_word(s->err));
		if (s->fault[0])
			mk_jw_kstr(w, "text", s->fault);
		mk_jw_kstr(w, "version", s->version[0] ? s->version : NULL);
		mk_jw_knum(w, "ms", s->ms);
		mk_jw_close(w, '}');
	}
	mk_jw_close(w, ']');
	mk_jw_kbool(w, "in_store_done", mk_in_store_all_done(j, name));
}
