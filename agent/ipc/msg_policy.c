/* SPDX-License-Identifier: Apache-2.0
 *
 * The policy, a service, a group or a rule a message: CONF_SERVICE, CONF_GROUP,
 * CONF_RULE. What is read owns its lists; nothing is allocated before its bytes were seen.
 */
#include "agent/ipc/field.h"
#include "mk/own.h"

#include <stdlib.h>

#define EVIDENCE_ALL (MK_EVIDENCE_UID | MK_EVIDENCE_GROUP | MK_EVIDENCE_UNIT | MK_EVIDENCE_ACCOUNT)

void mk_msg_service_write(struct mk_wr *w, const struct mk_service *s)
{
	mk_wr_word(w, &s->name);
	mk_wr_word(w, &s->identity.socket);
	mk_wr_u32(w, s->identity.set);
	mk_wr_u32(w, s->identity.uid);
	mk_wr_u32(w, s->identity.gid);
	mk_wr_str(w, s->identity.unit);
	mk_wr_str(w, s->identity.account.ns);
	mk_wr_str(w, s->identity.account.name);
	mk_wr_u32(w, s->line);
}

/* A text is there exactly where its bit is set: "" would fit what is not known. */
static void rd_where_set(struct mk_rd *r, bool set, char *buf, size_t cap)
{
	mk_rd_str(r, buf, cap);
	mk_rd_need(r, set == (buf[0] != '\0'));
}

enum mk_err mk_msg_service_read(struct mk_span body, struct mk_service *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_service s = { .name = mk_rd_some_word(&r) };
	struct mk_identity *id = &s.identity;
	id->socket = mk_rd_some_word(&r);
	id->set = mk_rd_u32(&r);
	mk_rd_need(&r, (id->set & ~(unsigned)EVIDENCE_ALL) == 0);
	id->uid = mk_rd_u32(&r);
	id->gid = mk_rd_u32(&r);
	rd_where_set(&r, id->set & MK_EVIDENCE_UNIT, id->unit, sizeof id->unit);
	rd_where_set(&r, id->set & MK_EVIDENCE_ACCOUNT, id->account.ns, sizeof id->account.ns);
	rd_where_set(&r, id->set & MK_EVIDENCE_ACCOUNT, id->account.name, sizeof id->account.name);
	s.line = mk_rd_u32(&r);
	MK_TRY(mk_rd_end(&r));
	*ret = s;
	return MK_OK;
}

/* ---- lists: a count, then the items, which are allocated together ---- */

static void wr_count(struct mk_wr *w, size_t n, size_t max)
{
	w->bad = w->bad || n > max;
	mk_wr_u16(w, (uint16_t)n);
}

/* Room for as many items as are said to follow, where so many can (each has two bytes at least); NULL for none. */
static mk_must rd_room(struct mk_rd *r, size_t max, size_t size, size_t *n, void **ret)
{
	const size_t count = mk_rd_u16(r);
	mk_rd_need(r, count <= max && count * 2 <= r->n);
	if (r->bad || count == 0)
		return MK_OK;
	*ret = calloc(count, size);
	if (!*ret)
		return MK_NO_MEMORY;
	*n = count;
	return MK_OK;
}

void mk_msg_group_write(struct mk_wr *w, const struct mk_group *m)
{
	mk_wr_word(w, &m->name);
	mk_wr_u32(w, m->line);
	wr_count(w, m->n_services, MK_SERVICES_MAX);
	for (size_t i = 0; i < m->n_services && !w->bad; i++)
		mk_wr_word(w, &m->services[i]);
}

enum mk_err mk_msg_group_read(struct mk_span body, struct mk_group *ret)
{
	struct mk_rd r = mk_rd_of(body);
	mk_auto(mk_group_done) struct mk_group m = { .name = mk_rd_some_word(&r) };
	void *room = NULL;
	m.line = mk_rd_u32(&r);
	MK_TRY(rd_room(&r, MK_SERVICES_MAX, sizeof *m.services, &m.n_services, &room));
	m.services = room;
	for (size_t i = 0; i < m.n_services; i++)
		m.services[i] = mk_rd_some_word(&r);
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	m = (struct mk_group){ 0 };
	return MK_OK;
}

void mk_msg_rule_write(struct mk_wr *w, const struct mk_rule *m)
{
	mk_wr_bool(w, m->deny);
	mk_wr_word(w, &m->service);
	mk_wr_u32(w, m->actions);
	mk_wr_u32(w, m->rate_per_hour);
	mk_wr_u32(w, m->line);
	wr_count(w, m->n_patterns, MK_PATTERNS_MAX);
	for (size_t i = 0; i < m->n_patterns && !w->bad; i++)
		mk_wr_str(w, m->patterns[i].s);
	wr_count(w, m->n_tags, MK_RULE_TAGS_MAX);
	for (size_t i = 0; i < m->n_tags && !w->bad; i++) {
		mk_wr_str(w, m->tags[i].key);
		mk_wr_str(w, m->tags[i].value);
	}
	mk_wr_bool(w, m->fields_set);
	wr_count(w, m->n_fields, MK_RULE_FIELDS_MAX);
	for (size_t i = 0; i < m->n_fields && !w->bad; i++)
		mk_wr_str(w, m->fields[i].s);
}

static void rd_pattern(struct mk_rd *r, struct mk_pattern *ret)
{
	mk_rd_str(r, ret->s, sizeof ret->s);
	mk_rd_need(r, ret->s[0] != '\0');
	for (const char *p = ret->s; !r->bad && *p; p++)
		mk_rd_need(r, (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '*');
}

static void rd_some_str(struct mk_rd *r, char *buf, size_t cap)
{
	mk_rd_str(r, buf, cap);
	mk_rd_need(r, buf[0] != '\0');
}

static mk_must rd_patterns(struct mk_rd *r, struct mk_rule *m)
{
	void *room = NULL;
	MK_TRY(rd_room(r, MK_PATTERNS_MAX, sizeof *m->patterns, &m->n_patterns, &room));
	m->patterns = room;
	for (size_t i = 0; i < m->n_patterns; i++)
		rd_pattern(r, &m->patterns[i]);
	return MK_OK;
}

static mk_must rd_tags(struct mk_rd *r, struct mk_rule *m)
{
	void *room = NULL;
	MK_TRY(rd_room(r, MK_RULE_TAGS_MAX, sizeof *m->tags, &m->n_tags, &room));
	m->tags = room;
	for (size_t i = 0; i < m->n_tags; i++) {
		rd_some_str(r, m->tags[i].key, sizeof m->tags[i].key);
		rd_some_str(r, m->tags[i].value, sizeof m->tags[i].value);
	}
	return MK_OK;
}

static mk_must rd_fields(struct mk_rd *r, struct mk_rule *m)
{
	void *room = NULL;
	m->fields_set = mk_rd_bool(r);
	MK_TRY(rd_room(r, MK_RULE_FIELDS_MAX, sizeof *m->fields, &m->n_fields, &room));
	m->fields = room;
	for (size_t i = 0; i < m->n_fields; i++)
		rd_some_str(r, m->fields[i].s, sizeof m->fields[i].s);
	mk_rd_need(r, m->fields_set ? !m->deny : m->n_fields == 0);
	return MK_OK;
}

enum mk_err mk_msg_rule_read(struct mk_span body, struct mk_rule *ret)
{
	struct mk_rd r = mk_rd_of(body);
	mk_auto(mk_rule_done) struct mk_rule m = { .deny = mk_rd_bool(&r) };
	m.service = mk_rd_some_word(&r);
	m.actions = mk_rd_u32(&r);
	mk_rd_need(&r, m.actions >> MK_ACTION_COUNT == 0);
	m.rate_per_hour = mk_rd_u32(&r);
	m.line = mk_rd_u32(&r);
	MK_TRY(rd_patterns(&r, &m));
	MK_TRY(rd_tags(&r, &m));
	MK_TRY(rd_fields(&r, &m));
	MK_TRY(mk_rd_end(&r));
	*ret = m;
	m = (struct mk_rule){ 0 };
	return MK_OK;
}
