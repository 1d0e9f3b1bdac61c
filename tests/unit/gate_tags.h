/* SPDX-License-Identifier: Apache-2.0
 *
 * A gate whose policy goes by tags, a fetcher that brings them, and a stream that waits for them.
 */
#ifndef MK_TEST_GATE_TAGS_H
#define MK_TEST_GATE_TAGS_H

#include "agent/broker/tell.h"
#include "tests/unit/gate_fix.h"

#define SAP "sap"

/* Adds a rule for sync, with one tag and, where `fields` is given, these fields. */
static inline void add_tagged(struct mk_rules *r, bool deny, const char *pattern, const char *key, const char *value, const char *const *fields,
		       size_t n_fields)
{
	add_rule(r, deny, "sync", pattern, 20 + (unsigned)r->n_rules);
	struct mk_rule *rule = &r->rules[r->n_rules - 1];
	if (key) {
		rule->tags = calloc(1, sizeof *rule->tags);
		assert_non_null(rule->tags);
		snprintf(rule->tags[0].key, sizeof rule->tags[0].key, "%s", key);
		snprintf(rule->tags[0].value, sizeof rule->tags[0].value, "%s", value);
		rule->n_tags = 1;
	}
	if (!fields)
		return;
	rule->fields_set = true;
	rule->fields = calloc(n_fields + 1, sizeof *rule->fields);
	assert_non_null(rule->fields);
	for (; rule->n_fields < n_fields; rule->n_fields++)
		snprintf(rule->fields[rule->n_fields].s, sizeof rule->fields[0].s, "%s", fields[rule->n_fields]);
}

/* sync may get what is tagged system=sap, but nothing of zone=us. */
static inline struct mk_pending *by_tags(uint32_t generation, bool trusted)
{
	struct mk_pending *p = configuration(generation, false);
	add_tagged(&p->rules, false, "*", "system", SAP, NULL, 0);
	add_tagged(&p->rules, true, "*", "zone", "us", NULL, 0);
	p->stores[0].trust_tags = p->stores[1].trust_tags = trusted;
	return p;
}

static inline void answer_tagged(const char *version, const char *token, const char *system, const char *zone)
{
	static uint8_t leaves[4096];
	size_t n = 0;
	const struct mk_leaf t = { mk_span_of("/access_token"), MK_LEAF_STRING, mk_span_of(token) };
	struct mk_msg_fetched m = { .ref = fix.get.ref, .meta = { .created_ms = MK_TIME_NONE } };
	assert_int_equal(mk_leaves_add(leaves, sizeof leaves, &n, &t), MK_OK);
	snprintf(m.meta.version, sizeof m.meta.version, "%s", version);
	const char *const tags[][2] = { { "system", system }, { "zone", zone } };
	for (size_t i = 0; i < MK_COUNT(tags); i++)
		if (tags[i][1]) {
			snprintf(m.meta.tags[m.meta.n_tags].key, sizeof m.meta.tags[0].key, "%s", tags[i][0]);
			snprintf(m.meta.tags[m.meta.n_tags++].value, sizeof m.meta.tags[0].value, "%s", tags[i][1]);
		}
	m.leaves = mk_span(leaves, n);
	send_fetched(&m);
}

static inline void names_are(const char *one, const char *two)
{
	const char *const names[] = { one, two };
	answer_names(false, names, two ? 2 : 1);
}

struct stream {
	struct mk_waiter wait; /* first: woken gets its address */
	struct mk_caller c;
	struct mk_watcher w;
	enum mk_err err;
	unsigned retry;
};

static inline void stream_opens(struct mk_waiter *wait)
{
	struct stream *s = (struct stream *)wait;
	const struct mk_watch_ask ask = { .last_id = { 0 } };
	s->err = mk_gate_watch(fix.b, &s->c, &ask, &s->wait, &s->w, &s->retry);
}

#endif
