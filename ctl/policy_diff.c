/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl policy diff: whose access changes from one policy to another. Where patterns
 * overlap in ways that policy_names.h does not know, only a name that is given tells.
 */
#include "agent/base/jw.h"
#include "ctl/policy_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_MAX  (16 * 1024)

/* What tags to suppose: of one rule, and for each other key that rules name a value that none names; NULL: none are known. */
struct suppose {
	const struct mk_rule *rule;
};
#define NO_VALUE "0q0"
static const struct mk_rule otherwise; /* asks for no tags: all keys have a value that none names, as most connections do */

struct diff {
	struct mk_loaded old, new;
	struct mk_abouts names;
	struct suppose *tags; /* owned */
	size_t n_tags;
	struct mk_tag *known; /* owned: one of each key */
	size_t n_known;
	bool json;
	size_t changes;
};

/* ---- the tags to suppose ---- */

static bool same_tags(const struct mk_rule *a, const struct mk_rule *b)
{
	if (a->n_tags != b->n_tags)
		return false;
	for (size_t i = 0; i < a->n_tags; i++)
		if (strcmp(a->tags[i].key, b->tags[i].key) != 0 || strcmp(a->tags[i].value, b->tags[i].value) != 0)
			return false;
	return true;
}

static void note_keys(struct diff *d, const struct mk_rule *r)
{
	for (size_t i = 0; i < r->n_tags; i++) {
		size_t k = 0;
		while (k < d->n_known && strcmp(d->known[k].key, r->tags[i].key) != 0)
			k++;
		if (k < d->n_known)
			continue;
		memcpy(d->known[k].key, r->tags[i].key, sizeof d->known[k].key);
		d->n_known++;
	}
}

static void know(struct diff *d, const struct mk_rule *tags)
{
	for (size_t k = 0; k < d->n_known; k++) {
		memcpy(d->known[k].value, NO_VALUE, sizeof NO_VALUE);
		for (size_t i = 0; i < tags->n_tags; i++)
			if (strcmp(tags->tags[i].key, d->known[k].key) == 0)
				memcpy(d->known[k].value, tags->tags[i].value, sizeof d->known[k].value);
	}
}

/* First, that none are known; then, that they are others than all that rules ask for; then each set that a rule asks for. */
static int suppose_tags(struct diff *d)
{
	const struct mk_policy *const both[] = { d->old.policy, d->new.policy };
	const size_t rules = mk_policy_rules(both[0]) + mk_policy_rules(both[1]);
	d->tags = calloc(rules + 2, sizeof *d->tags);
	d->known = calloc(rules * MK_RULE_TAGS_MAX + 1, sizeof *d->known);
	if (!d->tags || !d->known)
		return mk_ctl_fail(MK_EXIT_FAILED, "out of memory");
	d->tags[1].rule = &otherwise;
	d->n_tags = 2;
	for (size_t k = 0; k < MK_COUNT(both); k++)
		for (uint32_t i = 0; i < mk_policy_rules(both[k]); i++) {
			const struct mk_rule *r = mk_policy_rule(both[k], i);
			size_t known = 2;
			note_keys(d, r);
			while (known < d->n_tags && !same_tags(d->tags[known].rule, r))
				known++;
			if (r->n_tags > 0 && known == d->n_tags)
				d->tags[d->n_tags++].rule = r;
		}
	if (d->n_known == 0)
		d->n_tags = 1;
	return MK_EXIT_DONE;
}

/* ---- one answer in both ---- */

struct change {
	uint32_t gains, loses, token; /* actions; token: bit 0 gained, bit 1 lost */
	uint32_t rule;                /* in the new policy, of one of them */
};

static void compare(const struct diff *d, uint32_t old, uint32_t new, const struct mk_subject *about, struct change *ret)
{
	struct change c = { .rule = MK_NO_RULE };
	for (unsigned a = 0; a < MK_ACTION_COUNT; a++) {
		const struct mk_verdict was = mk_policy_check(d->old.policy, old, (enum mk_action)a, about);
		const struct mk_verdict is = mk_policy_check(d->new.policy, new, (enum mk_action)a, about);
		const bool had = mk_rule_grants(was.allow, "access_token"), has = mk_rule_grants(is.allow, "access_token");
		if (was.decision != is.decision) {
			*(is.decision == MK_ALLOW ? &c.gains : &c.loses) |= 1u << a;
			c.rule = is.rule;
		} else if (a == MK_ACTION_GET && had != has) {
			c.token = has ? 1 : 2;
			c.rule = is.rule;
		}
	}
	*ret = c;
}

static void print_actions(const char *word, uint32_t actions)
{
	bool first = true;
	if (!actions)
		return;
	printf(" %s ", word);
	for (unsigned a = 0; a < MK_ACTION_COUNT; a++)
		if (actions & 1u << a) {
			printf("%s%s", first ? "" : ",", mk_action_word((enum mk_action)a));
			first = false;
		}
}

static void show_line(const struct diff *d, const struct mk_word *service, const struct mk_about *about, const struct mk_rule *tags,
		      const struct change *c)
{
	const struct mk_rule *r = mk_policy_rule(d->new.policy, c->rule);
	printf("%s %s", service->s, about->name.s[0] ? about->shown.s : "(the instance)");
	for (size_t i = 0; tags && i < tags->n_tags; i++)
		printf(" %s=%s", tags->tags[i].key, tags->tags[i].value);
	fputs(tags == &otherwise ? " (tagged otherwise):" : ":", stdout);
	print_actions("gains", c->gains);
	print_actions("loses", c->loses);
	if (c->token)
		printf(" %s access_token", c->token == 1 ? "gains" : "loses");
	if (r)
		printf(" (%s:%u)\n", d->new.file, r->line);
	else
		puts(" (by no rule)");
}

static void write_actions(struct mk_jw *w, const char *key, uint32_t actions)
{
	mk_jw_key(w, key);
	mk_jw_open(w, '[');
	for (unsigned a = 0; a < MK_ACTION_COUNT; a++)
		if (actions & 1u << a)
			mk_jw_str(w, mk_span_of(mk_action_word((enum mk_action)a)));
	mk_jw_close(w, ']');
}

static void show_json(const struct diff *d, const struct mk_word *service, const struct mk_about *about, const struct mk_rule *tags,
		      const struct change *c)
{
	static char buf[JSON_MAX];
	struct mk_jw w = mk_jw_of(buf, sizeof buf);
	const struct mk_rule *r = mk_policy_rule(d->new.policy, c->rule);
	size_t n = 0;
	mk_jw_open(&w, '{');
	mk_jw_kstr(&w, "service", service->s);
	mk_jw_kstr(&w, "connection", about->name.s[0] ? about->shown.s : NULL);
	mk_jw_key(&w, "tags");
	mk_jw_open(&w, '{');
	for (size_t i = 0; tags && i < tags->n_tags; i++)
		mk_jw_kstr(&w, tags->tags[i].key, tags->tags[i].value);
	mk_jw_close(&w, '}');
	mk_jw_kbool(&w, "tags_known", tags != NULL);
	write_actions(&w, "gains", c->gains);
	write_actions(&w, "loses", c->loses);
	mk_jw_kstr(&w, "access_token", c->token == 1 ? "gained" : c->token == 2 ? "lost" : NULL);
	mk_jw_knum(&w, "rule", r ? r->line : 0);
	mk_jw_close(&w, '}');
	mk_assert(mk_jw_end(&w, &n) == MK_OK);
	printf("%s%.*s", d->changes ? "," : "", (int)n, buf);
}

/* ---- all of them ---- */

/* before: the change without any tags; the same again, with some, is not told again. */
static void ask(struct diff *d, const struct mk_word *service, const struct mk_about *about, const struct mk_rule *tags, struct change *before)
{
	const struct mk_subject s = { .name = about->name.s[0] ? &about->name : NULL, .tags = d->known, .n_tags = d->n_known,
				      .tags_known = tags != NULL, .tags_trusted = true };
	struct change c;
	if (tags)
		know(d, tags);
	compare(d, mk_policy_service_of(d->old.policy, service), mk_policy_service_of(d->new.policy, service), &s, &c);
	const bool told = tags && c.gains == before->gains && c.loses == before->loses && c.token == before->token;
	if (!tags)
		*before = c;
	if (told || (!c.gains && !c.loses && !c.token))
		return;
	if (d->json)
		show_json(d, service, about, tags, &c);
	else
		show_line(d, service, about, tags, &c);
	d->changes++;
}

static void ask_all(struct diff *d, const struct mk_word *service)
{
	for (size_t i = 0; i < d->names.n; i++) {
		struct change before = { .rule = MK_NO_RULE };
		for (size_t t = 0; t < d->n_tags; t++)
			if (t == 0 || d->names.of[i].name.s[0])
				ask(d, service, &d->names.of[i], d->tags[t].rule, &before);
	}
}

static bool same_identity(const struct mk_identity *a, const struct mk_identity *b)
{
	return mk_word_eq(&a->socket, &b->socket) && a->set == b->set && a->uid == b->uid && a->gid == b->gid &&
	       strcmp(a->unit, b->unit) == 0 && strcmp(a->account.ns, b->account.ns) == 0 &&
	       strcmp(a->account.name, b->account.name) == 0;
}

/* Who is a service changes as well who has access. */
static void show_service(struct diff *d, const struct mk_word *name, const char *what)
{
	if (d->json)
		printf("%s{\"service\":\"%s\",\"identity\":\"%s\"}", d->changes ? "," : "", name->s, what);
	else
		printf("%s: %s\n", name->s, what);
	d->changes++;
}

static void run(struct diff *d)
{
	for (uint32_t i = 0; i < mk_policy_services(d->old.policy); i++) {
		const struct mk_service *was = mk_policy_service(d->old.policy, i);
		const struct mk_service *is = mk_policy_service(d->new.policy, mk_policy_service_of(d->new.policy, &was->name));
		if (!is)
			show_service(d, &was->name, "is gone");
		else if (!same_identity(&was->identity, &is->identity))
			show_service(d, &was->name, "has another identity");
		ask_all(d, &was->name);
	}
	for (uint32_t i = 0; i < mk_policy_services(d->new.policy); i++) {
		const struct mk_word *name = &mk_policy_service(d->new.policy, i)->name;
		if (mk_policy_service_of(d->old.policy, name) != MK_NO_SERVICE)
			continue;
		show_service(d, name, "is new");
		ask_all(d, name);
	}
}

static void done(struct diff *d)
{
	mk_loaded_done(&d->old);
	mk_loaded_done(&d->new);
	mk_abouts_done(&d->names);
	free(d->tags);
	free(d->known);
}

int mk_policy_diff_command(int argc, char **argv)
{
	mk_auto(done) struct diff d = { .json = false };
	const char *words[2], *names = NULL;
	bool in_pod = false;
	size_t n = 0;
	const struct mk_option options[] = { { "--names", &names, NULL }, { "--pod", NULL, &in_pod }, { "--json", NULL, &d.json } };
	int rc = mk_ctl_options(argc, argv, options, MK_COUNT(options), words, MK_COUNT(words), &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (n != 2)
		return mk_ctl_usage("policy", "policy diff wants the paths of two policy files, the old one first");
	rc = mk_policy_load(&(struct mk_policy_source){ .policy = words[0], .in_pod = in_pod }, &d.old);
	if (rc == MK_EXIT_DONE)
		rc = mk_policy_load(&(struct mk_policy_source){ .policy = words[1], .in_pod = in_pod }, &d.new);
	if (rc == MK_EXIT_DONE)
		rc = mk_abouts_make(&d.names, &d.old.rules, &d.new.rules, names);
	if (rc == MK_EXIT_DONE)
		rc = suppose_tags(&d);
	if (rc != MK_EXIT_DONE)
		return rc;
	if (d.json)
		printf("{\"changes\":[");
	run(&d);
	if (d.json)
		puts("]}");
	else
		printf("%zu change%s\n", d.changes, d.changes == 1 ? "" : "s");
	return MK_EXIT_DONE;
}
