/* SPDX-License-Identifier: Apache-2.0
 *
 * The decision is the compiled policy's; the walk over the rules only gathers what else
 * would have to change.
 */
#include "policy/explain.h"

#include "policy/policy_.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- gathering ---- */

static bool is_about(const struct mk_rule *r, enum mk_action action, const struct mk_name *name)
{
	if (!(r->actions & 1u << action) || (!name && r->n_tags > 0))
		return false;
	for (size_t i = 0; i < r->n_patterns; i++)
		if (name ? mk_pattern_match(&r->patterns[i], name) : strcmp(r->patterns[i].s, "*") == 0)
			return true;
	return false;
}

static void add(struct mk_explained_rules *to, uint32_t rule)
{
	if (to->n < MK_EXPLAIN_RULES_MAX)
		to->rule[to->n++] = rule;
	else
		to->more++;
}

static const char *value_of(const struct mk_subject *s, const char *key)
{
	for (size_t i = 0; s->tags_known && i < s->n_tags; i++)
		if (strcmp(s->tags[i].key, key) == 0)
			return s->tags[i].value;
	return NULL;
}

/* Unknown tags hold for a deny, and not for an allow. */
static bool tags_hold(const struct mk_rule *r, const struct mk_subject *s)
{
	if (!r->deny && r->n_tags > 0 && !s->tags_trusted)
		return false;
	for (size_t i = 0; i < r->n_tags; i++) {
		const char *value = value_of(s, r->tags[i].key);
		if (value ? strcmp(value, r->tags[i].value) != 0 : !r->deny)
			return false;
	}
	return true;
}

void mk_policy_explain(const struct mk_policy *p, uint32_t service, enum mk_action action, const struct mk_subject *about,
		       struct mk_explained *ret)
{
	struct mk_explained e = { .service = service, .action = action, .about = *about };
	e.verdict = mk_policy_check(p, service, action, about);
	for (uint32_t i = 0; action < MK_ACTION_COUNT && i < p->rules.n_rules; i++) {
		const struct mk_rule *r = &p->rules.rules[i];
		if (!mk_policy_concerns(p, i, service) || !is_about(r, action, about->name))
			continue;
		const bool holds = tags_hold(r, about);
		e.allowed = e.allowed || (!r->deny && holds);
		if (r->deny && holds)
			add(&e.denies, i);
		else if (!r->deny && !holds)
			add(&e.tagged, i);
	}
	*ret = e;
}

/* ---- telling ---- */

struct text {
	char *p;
	size_t n;
};

static void say(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *t, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const int n = vsnprintf(t->p + t->n, MK_EXPLAIN_TEXT_MAX - t->n, fmt, ap);
	va_end(ap);
	if (n > 0)
		t->n = t->n + (size_t)n < MK_EXPLAIN_TEXT_MAX ? t->n + (size_t)n : MK_EXPLAIN_TEXT_MAX - 1;
}

static void say_place(struct text *t, const struct mk_policy *p, const char *file, uint32_t rule)
{
	say(t, "%s:%u", file, p->rules.rules[rule].line);
}

/* A tag that is not known denies: often no rule is wrong, but the connection lacks a tag. */
static void say_unknown(struct text *t, const struct mk_rule *r, const struct mk_subject *about)
{
	for (size_t i = 0; i < r->n_tags; i++)
		if (!value_of(about, r->tags[i].key)) {
			say(t, " (it denies while the tag \"%s\" is not known: give it one other than \"%s\")", r->tags[i].key,
			    r->tags[i].value);
			return;
		}
}

static void say_denies(struct text *t, const struct mk_policy *p, const struct mk_explained *e, const char *file)
{
	for (size_t i = 0; i < e->denies.n; i++) {
		const struct mk_rule *r = &p->rules.rules[e->denies.rule[i]];
		say(t, "%s the deny for \"%s\" at ", i ? "; narrow or remove" : "narrow or remove", r->service.s);
		say_place(t, p, file, e->denies.rule[i]);
		say_unknown(t, r, &e->about);
	}
	if (e->denies.more)
		say(t, "; and %zu more", e->denies.more);
}

static void say_tagged(struct text *t, const struct mk_policy *p, const struct mk_explained *e, const char *file)
{
	for (size_t i = 0; i < e->tagged.n; i++) {
		const struct mk_rule *r = &p->rules.rules[e->tagged.rule[i]];
		say(t, "tag it ");
		for (size_t k = 0; k < r->n_tags; k++)
			say(t, "%s%s=%s", k ? " and " : "", r->tags[k].key, r->tags[k].value);
		say(t, ", for the allow at ");
		say_place(t, p, file, e->tagged.rule[i]);
		say(t, "%s; or ", e->about.tags_trusted ? "" : " (and let the backend say trust_tags = true)");
	}
}

static void say_allow(struct text *t, const struct mk_policy *p, const struct mk_explained *e)
{
	const struct mk_service *s = mk_policy_service(p, e->service);
	say(t, "add a rule such as { allow = \"%s\"; actions = [ \"%s\" ]; connections = [ \"%s\" ]; }", s ? s->name.s : "",
	    mk_action_word(e->action), e->about.name ? e->about.name->s : "*");
}

void mk_explain_remedy(const struct mk_policy *p, const struct mk_explained *e, const char *file, char text[MK_EXPLAIN_TEXT_MAX])
{
	struct text t = { text, 0 };
	text[0] = '\0';
	if (e->verdict.decision == MK_ALLOW || !mk_policy_service(p, e->service))
		return;
	say_denies(&t, p, e, file);
	if (e->allowed)
		return;
	if (e->denies.n > 0)
		say(&t, "; and ");
	say_tagged(&t, p, e, file);
	say_allow(&t, p, e);
}

static void write_lines(struct mk_jw *w, const struct mk_policy *p, const char *key, const struct mk_explained_rules *rules)
{
	mk_jw_key(w, key);
	mk_jw_open(w, '[');
	for (size_t i = 0; i < rules->n; i++)
		mk_jw_num(w, p->rules.rules[rules->rule[i]].line);
	mk_jw_close(w, ']');
}

static void write_rule(struct mk_jw *w, const struct mk_rule *r, const char *file)
{
	if (!r) {
		mk_jw_knull(w, "rule");
		return;
	}
	mk_jw_key(w, "rule");
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "file", file);
	mk_jw_knum(w, "line", r->line);
	mk_jw_kstr(w, r->deny ? "deny" : "allow", r->service.s);
	mk_jw_close(w, '}');
}

static void write_fields(struct mk_jw *w, const struct mk_rule *allow)
{
	if (!allow || !allow->fields_set) {
		mk_jw_knull(w, "fields");
		return;
	}
	mk_jw_key(w, "fields");
	mk_jw_open(w, '[');
	for (size_t i = 0; i < allow->n_fields; i++)
		mk_jw_str(w, mk_span_of(allow->fields[i].s));
	mk_jw_close(w, ']');
}

void mk_explain_json(const struct mk_policy *p, const struct mk_explained *e, const char *file, struct mk_jw *w)
{
	const struct mk_service *s = mk_policy_service(p, e->service);
	const struct mk_verdict *v = &e->verdict;
	char remedy[MK_EXPLAIN_TEXT_MAX];
	mk_explain_remedy(p, e, file, remedy);
	mk_jw_open(w, '{');
	mk_jw_kstr(w, "service", s ? s->name.s : NULL);
	mk_jw_kstr(w, "action", mk_action_word(e->action));
	mk_jw_kstr(w, "connection", e->about.name ? e->about.name->s : NULL);
	mk_jw_kstr(w, "decision", v->decision == MK_ALLOW ? "allow" : "deny");
	write_rule(w, mk_policy_rule(p, v->rule), file);
	write_lines(w, p, "denied_by", &e->denies);
	mk_jw_kbool(w, "tags_known", e->about.tags_known);
	mk_jw_kbool(w, "tags_matter", v->tags_matter);
	mk_jw_knum(w, "rate_per_hour", v->rate_per_hour);
	write_fields(w, v->allow);
	mk_jw_kstr(w, "remedy", remedy);
	mk_jw_close(w, '}');
}
