/* SPDX-License-Identifier: Apache-2.0
 *
 * The policy, a service or a rule a message: CONF_SERVICE, CONF_RULE. A rule that is
 * read owns its patterns; nothing is allocated before its bytes were seen.
 */
#include "agent/ipc/field.h"
#include "mk/own.h"

#include <stdlib.h>

#define EVIDENCE_ALL (MK_EVIDENCE_UID | MK_EVIDENCE_GROUP)

void mk_msg_service_write(struct mk_wr *w, const struct mk_service *s)
{
	mk_wr_word(w, &s->name);
	mk_wr_word(w, &s->identity.socket);
	mk_wr_u32(w, s->identity.set);
	mk_wr_u32(w, s->identity.uid);
	mk_wr_u32(w, s->identity.gid);
	mk_wr_u32(w, s->line);
}

enum mk_err mk_msg_service_read(struct mk_span body, struct mk_service *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_service s = { .name = mk_rd_some_word(&r) };
	s.identity.socket = mk_rd_some_word(&r);
	s.identity.set = mk_rd_u32(&r);
	mk_rd_need(&r, (s.identity.set & ~(unsigned)EVIDENCE_ALL) == 0);
	s.identity.uid = mk_rd_u32(&r);
	s.identity.gid = mk_rd_u32(&r);
	s.line = mk_rd_u32(&r);
	MK_TRY(mk_rd_end(&r));
	*ret = s;
	return MK_OK;
}

void mk_msg_rule_write(struct mk_wr *w, const struct mk_rule *m)
{
	mk_wr_bool(w, m->deny);
	mk_wr_word(w, &m->service);
	mk_wr_u32(w, m->actions);
	mk_wr_u32(w, m->rate_per_hour);
	mk_wr_u32(w, m->line);
	w->bad = w->bad || m->n_patterns > MK_PATTERNS_MAX;
	mk_wr_u16(w, (uint16_t)m->n_patterns);
	for (size_t i = 0; i < m->n_patterns && !w->bad; i++)
		mk_wr_str(w, m->patterns[i].s);
}

static void rd_pattern(struct mk_rd *r, struct mk_pattern *ret)
{
	mk_rd_str(r, ret->s, sizeof ret->s);
	mk_rd_need(r, ret->s[0] != '\0');
	for (const char *p = ret->s; !r->bad && *p; p++)
		mk_rd_need(r, (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' || *p == '*');
}

static mk_must rd_patterns(struct mk_rd *r, size_t n, struct mk_pattern **ret)
{
	mk_rd_need(r, n <= MK_PATTERNS_MAX && n * sizeof(uint32_t) <= r->n); /* each has at least its length */
	if (r->bad || n == 0)
		return mk_rd_end(r);
	mk_auto(mk_freep) struct mk_pattern *p = calloc(n, sizeof *p);
	if (!p)
		return MK_NO_MEMORY;
	for (size_t i = 0; i < n; i++)
		rd_pattern(r, &p[i]);
	MK_TRY(mk_rd_end(r));
	*ret = MK_TAKE(p);
	return MK_OK;
}

enum mk_err mk_msg_rule_read(struct mk_span body, struct mk_rule *ret)
{
	struct mk_rd r = mk_rd_of(body);
	struct mk_rule m = { .deny = mk_rd_bool(&r) };
	m.service = mk_rd_some_word(&r);
	m.actions = mk_rd_u32(&r);
	mk_rd_need(&r, m.actions >> MK_ACTION_COUNT == 0);
	m.rate_per_hour = mk_rd_u32(&r);
	m.line = mk_rd_u32(&r);
	m.n_patterns = mk_rd_u16(&r);
	MK_TRY(rd_patterns(&r, m.n_patterns, &m.patterns));
	*ret = m;
	return MK_OK;
}
