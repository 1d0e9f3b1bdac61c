/* SPDX-License-Identifier: Apache-2.0
 *
 * A gate whose tokens lie in stores that may be written, and a call that waits for what they say.
 */
#ifndef MK_TEST_IN_STORE_KIT_H
#define MK_TEST_IN_STORE_KIT_H

#include "gate_fix.h"
#include "agent/broker/in_store.h"

#define ADMIN 4009u

static struct mk_in_store *job;
static unsigned told;
static bool begun_over;

static inline void on_done(void *arg)
{
	assert_ptr_equal(arg, &told);
	told++;
}

static inline void writable(bool first, bool second)
{
	fix.b->replicas[0].writable = first;
	fix.b->replicas[1].writable = second;
}

static inline void revoked(const struct mk_name *name, bool is)
{
	assert_int_equal(mk_revoked_room(&fix.b->revoked, 1, 0), MK_OK);
	if (is)
		mk_revoked_add(&fix.b->revoked, name);
	else
		mk_revoked_drop(&fix.b->revoked, name, false);
}

static inline void begin_of(enum mk_verb verb, const char *const *names, size_t n)
{
	struct mk_caller c = { .service = MK_NO_SERVICE, .evidence = { .known = true, .socket = { "admin" }, .uid = ADMIN, .pid = 9 } };
	struct mk_name list[64];
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(mk_name_of(mk_span_of(names[i]), &list[i]), MK_OK);
		revoked(&list[i], verb == MK_VERB_DISABLE);
	}
	told = 0;
	fix.writes = 0;
	assert_int_equal(mk_in_store_new(fix.b, &c, verb, list, n, &job), MK_OK);
	begun_over = mk_in_store_begin(job, on_done, &told);
	pump();
}

static inline void begin(enum mk_verb verb, const char *name)
{
	begin_of(verb, &name, 1);
}

static inline void answer_write(unsigned i, struct mk_msg_written m)
{
	uint8_t body[512];
	size_t n = 0;
	m.ref = fix.write[i].ref;
	struct mk_wr w = mk_wr_of(body, sizeof body);
	mk_msg_written_write(&w, &m);
	assert_int_equal(mk_wr_end(&w, &n), MK_OK);
	assert_int_equal(mk_link_send(fix.fetcher, MK_MSG_WRITE_DONE, mk_span(body, n), -1), MK_OK);
	pump();
}

static inline void well(unsigned i, const char *version)
{
	struct mk_msg_written m = { .err = MK_OK };
	snprintf(m.version, sizeof m.version, "%s", version);
	answer_write(i, m);
}

static inline void assert_outcome(size_t name, size_t store, enum mk_stored_outcome o)
{
	assert_string_equal(mk_stored_word(MK_VERB_DISABLE, mk_in_store_of(job, name, store)->outcome), mk_stored_word(MK_VERB_DISABLE, o));
}

static inline unsigned in_log(const char *text)
{
	char line[4096];
	unsigned n = 0;
	FILE *f = fopen(fix.log, "re");
	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		n += strstr(line, "\"event\":\"in_store\"") && strstr(line, text);
	fclose(f);
	return n;
}

static inline int end(void **state)
{
	job = mk_in_store_free(job);
	return fix_drop(state);
}

#endif
