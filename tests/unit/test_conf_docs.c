/* SPDX-License-Identifier: Apache-2.0
 *
 * docs/configuration.md against the parser: its tables name each key that the parser
 * takes and no other, with the parser's ranges and defaults. The page is read, not
 * repeated here.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_files.h"

#define ROWS_MAX 120
#define CELL_MAX 160

struct row {
	char section[32], key[40], kind[CELL_MAX], value[CELL_MAX], range[CELL_MAX]; /* value: the default; range: in auth, the methods that have the key */
};

static struct row rows[ROWS_MAX];
static size_t n_rows;

static const char *const types[] = {
#define MK_BACKEND(name, keys) #name,
#include "mk/backends.def"
#undef MK_BACKEND
};
#define N_TYPES (sizeof types / sizeof types[0])

/* The next cell of a line, without the blanks around it; false at the line's end. */
static bool cell(char **at, char out[CELL_MAX])
{
	char *begin = *at + strspn(*at, " ");
	char *end = strchr(begin, '|');
	if (!end)
		return false;
	*at = end + 1;
	while (end > begin && end[-1] == ' ')
		end--;
	snprintf(out, CELL_MAX, "%.*s", (int)(end - begin), begin);
	return true;
}

/* "`a` or `b`" are two keys. */
static void add(const char *section, char *keys, const char *kind, const char *value, const char *range)
{
	for (char *k = strchr(keys, '`'); k; k = strchr(k, '`')) {
		char *end = strchr(k + 1, '`');
		assert_true(end && n_rows < ROWS_MAX);
		struct row *r = &rows[n_rows++];
		snprintf(r->section, sizeof r->section, "%s", section);
		snprintf(r->key, sizeof r->key, "%.*s", (int)(end - k - 1), k + 1);
		snprintf(r->kind, sizeof r->kind, "%s", kind);
		snprintf(r->value, sizeof r->value, "%s", value);
		snprintf(r->range, sizeof r->range, "%s", range);
		k = end + 1;
	}
}

static void read_line(char *line, char section[32], bool *ranged)
{
	char key[CELL_MAX], kind[CELL_MAX], value[CELL_MAX], range[CELL_MAX] = "";
	char *at = line + 1;
	if (strncmp(line, "#### ", 5) == 0 || strncmp(line, "### ", 4) == 0 || strncmp(line, "## ", 3) == 0)
		snprintf(section, 32, "%s", strchr(line, ' ') + 1);
	if (strncmp(line, "In `identity`", 13) == 0)
		snprintf(section, 32, "identity");
	for (size_t i = 0; i < N_TYPES; i++) {
		char head[40];
		snprintf(head, sizeof head, "`%s` is ", types[i]);
		if (strncmp(line, head, strlen(head)) == 0)
			snprintf(section, 32, "%s", types[i]);
	}
	if (strncmp(line, "| key |", 7) == 0)
		*ranged = strstr(line, "| range |") || strstr(line, "| for `method` |");
	if (strncmp(line, "| `", 3) != 0 || !cell(&at, key) || !cell(&at, kind) || !cell(&at, value) || (*ranged && !cell(&at, range)))
		return;
	add(section, key, kind, value, range);
}

static int read_page(void **state)
{
	static char text[TEXT_MAX];
	char section[32] = "", *rest = text;
	bool ranged = false;
	size_t n = 0;
	(void)state;
	if (!source_text("docs/configuration.md", text, &n))
		return -1;
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
		read_line(line, section, &ranged);
	return n_rows > 40 ? 0 : -1;
}

#define ENVIRONMENT "environment = \"production\";\n"
#define POD "platform = \"pod\";\n"
#define BACKEND(more) "backends = ( { name = \"a\"; type = \"local\"; file = \"store/s\"; key_file = \"keys/k\"; " more " } );\n"
#define VAULT(auth, more)                                                                                            \
	"backends = ( { name = \"a\"; type = \"vault\"; address = \"https://h\"; mount = \"kv\"; path = \"{connection}\"; " \
	"auth = { method = " auth " }; " more " } );\n"
#define APPROLE "\"approle\"; role_id_file = \"keys/r\"; secret_id_file = \"keys/s\";"
#define AUTH "auth of a vault"
#define AUDIT(more) "audit = { recipient = \"" KEY "\"; " more " };\n"
#define SECTION(name) { #name, ENVIRONMENT BACKEND("") AUDIT("") #name " = { %s };", .policy = false }

/* Where in a configuration a section's keys stand. */
static const struct place {
	const char *section, *text;
	bool policy;
	const char *with;   /* a section of the page whose keys stand there, too */
	const char *method; /* as the page quotes it */
} places[] = {
	{ "agent.conf", ENVIRONMENT BACKEND("") AUDIT("") "%s", .policy = false },
	{ "local", ENVIRONMENT AUDIT("") BACKEND("%s"), .with = "backends" },
	{ "vault", ENVIRONMENT AUDIT("") VAULT(APPROLE, "%s"), .with = "backends" },
	{ AUTH, ENVIRONMENT AUDIT("") VAULT(APPROLE "%s", ""), .method = "`approle`" },
	{ AUTH, ENVIRONMENT AUDIT("") VAULT("\"token\"; %s", ""), .method = "`token`" },
	{ AUTH, ENVIRONMENT AUDIT("") VAULT("\"kubernetes\"; %s", ""), .method = "`kubernetes`" },
	{ AUTH, ENVIRONMENT AUDIT("") VAULT("\"jwt\"; %s", ""), .method = "`jwt`" },
	{ AUTH, ENVIRONMENT AUDIT("") VAULT("\"cert\"; %s", ""), .method = "`cert`" },
	{ "audit", ENVIRONMENT BACKEND("") AUDIT("%s"), .policy = false },
	{ "listeners", ENVIRONMENT BACKEND("") AUDIT("") "listeners = ( { name = \"sync\"; %s } );", .policy = false },
	{ "kubernetes", ENVIRONMENT POD BACKEND("") AUDIT("") "kubernetes = { %s };", .policy = false },
	{ "jwks", ENVIRONMENT POD BACKEND("") AUDIT("") "kubernetes = { audience = \"a\"; issuer = \"i\"; pod_uid_file = \"u\"; jwks = { %s }; };",
	  .policy = false },
	SECTION(refresh),
	SECTION(admin),
	SECTION(limits),
	SECTION(proxy),
	SECTION(reporter),
	SECTION(lockdown),
	SECTION(state_key),
	SECTION(revocation),
	{ "policy.conf", "environment = \"x\"; services = (); rules = (); %s", .policy = true },
	{ "services", "environment = \"x\"; services = ( { %s } ); rules = ();", .policy = true },
	{ "identity", "environment = \"x\"; services = ( { name = \"a\"; identity = { %s }; } ); rules = ();", .policy = true },
	{ "groups", "environment = \"x\"; services = (); groups = ( { %s } ); rules = ();", .policy = true },
	{ "rules", "environment = \"x\"; services = (); rules = ( { %s } );", .policy = true },
};
#define N_PLACES (sizeof places / sizeof places[0])

static const struct place *place_of(const char *section)
{
	for (size_t i = 0; i < N_PLACES; i++)
		if (strcmp(places[i].section, section) == 0 || (places[i].with && strcmp(places[i].with, section) == 0))
			return &places[i];
	fail_msg("docs/configuration.md has a section \"%s\" that this test does not know", section);
	return NULL;
}

/* Does the page say that the key may stand at that place? */
static bool belongs(const struct row *r, const struct place *p)
{
	if (strcmp(r->section, p->section) != 0)
		return p->with && strcmp(r->section, p->with) == 0;
	if (!p->method || !r->range[0] || strcmp(r->range, "all") == 0)
		return true;
	return (strncmp(r->range, "all but ", 8) == 0) != (strstr(r->range, p->method) != NULL);
}

#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static enum mk_err parse(const struct place *p, const char *setting, struct mk_conf *c, struct mk_why *why)
{
	char text[1024];
	struct mk_rules r = { 0 };
	snprintf(text, sizeof text, p->text, setting);
	if (!p->policy)
		return mk_conf_parse(mk_span_of(text), "/etc/makini/production/agent.conf", c, why);
	const enum mk_err e = mk_conf_parse_policy(mk_span_of(text), "policy.conf", NULL, false, &r, why);
	mk_rules_done(&r);
	return e;
}

/* Is the word one of "a, b, c"? */
static bool listed(const char *list, const char *word)
{
	const size_t n = strlen(word);
	for (const char *at = strstr(list, word); at; at = strstr(at + 1, word))
		if ((at == list || at[-1] == ' ') && (at[n] == ',' || at[n] == '\0'))
			return true;
	return false;
}

static size_t words_in(const char *list)
{
	size_t n = 1;
	for (; *list; list++)
		n += *list == ',';
	return n;
}

static void the_page_names_each_key_that_the_parser_takes_and_no_other(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_PLACES; i++) {
		struct mk_conf c = { 0 };
		struct mk_why why = { 0 };
		size_t documented = 0;
		assert_int_equal(parse(&places[i], "zzz = 1;", &c, &why), MK_BAD_REQUEST);
		const char *keys = strstr(why.text, "keys here: ");
		if (!keys)
			fail_msg("%s: %s", places[i].section, why.text);
		for (size_t k = 0; k < n_rows; k++) {
			if (!belongs(&rows[k], &places[i]))
				continue;
			documented++;
			if (!listed(keys + 11, rows[k].key))
				fail_msg("%s: \"%s\" is on the page, but the parser knows: %s", rows[k].section, rows[k].key, keys + 11);
		}
		if (documented != words_in(keys + 11))
			fail_msg("%s: the page has %zu keys, the parser: %s", places[i].section, documented, keys + 11);
	}
}

static const char *beyond(const char *kind)
{
	static const char *const values[][2] = { { "duration", "\"99999d\"" }, { "size", "\"999999GB\"" }, { "number", "2000000000" } };
	for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
		if (strcmp(values[i][0], kind) == 0)
			return values[i][1];
	return NULL;
}

static void the_page_has_the_parsers_ranges(void **state)
{
	unsigned seen = 0;
	(void)state;
	for (size_t i = 0; i < n_rows; i++) {
		struct mk_conf c = { 0 };
		struct mk_why why = { 0 };
		char setting[256], want[CELL_MAX + 16];
		if (!rows[i].range[0] || !beyond(rows[i].kind))
			continue;
		snprintf(setting, sizeof setting, "%s = %s;", rows[i].key, beyond(rows[i].kind));
		snprintf(want, sizeof want, "it must be %s", rows[i].range);
		assert_int_equal(parse(place_of(rows[i].section), setting, &c, &why), MK_BAD_REQUEST);
		if (!strstr(why.text, want))
			fail_msg("%s: the page says \"%s\", the parser \"%s\"", rows[i].key, rows[i].range, why.text);
		seen++;
	}
	assert_true(seen >= 11);
}

/* "`5m`" or "`/run/makini/ENV`" as a value to write; false for words that describe one. */
static bool written(const char *value, char out[CELL_MAX])
{
	const size_t n = strlen(value);
	const char *env = strstr(value, "ENV");
	if (n < 3 || value[0] != '`' || value[n - 1] != '`')
		return false;
	const bool bare = value[1] != '/' && strncmp(value + 1, "policy", 6) != 0 && strncmp(value + 1, "http", 4) != 0; /* these stand there without quotes */
	const char *quote = bare ? "" : "\"";
	if (env)
		snprintf(out, CELL_MAX, "%s%.*sproduction%.*s%s", quote, (int)(env - value - 1), value + 1,
			 (int)(n - 4 - (size_t)(env - value)), env + 3, quote);
	else
		snprintf(out, CELL_MAX, "%s%.*s%s", quote, (int)(n - 2), value + 1, quote);
	return true;
}

static bool same(const struct mk_conf *a, const struct mk_conf *b)
{
	return memcmp(&a->refresh, &b->refresh, sizeof a->refresh) == 0 && memcmp(&a->limits, &b->limits, sizeof a->limits) == 0 &&
	       memcmp(&a->reporter_addr, &b->reporter_addr, sizeof a->reporter_addr) == 0 && a->reporter_on == b->reporter_on &&
	       strcmp(a->audit.file, b->audit.file) == 0 && a->audit.max_size == b->audit.max_size && a->audit.keep == b->audit.keep &&
	       strcmp(a->runtime_dir, b->runtime_dir) == 0 && strcmp(a->state_dir, b->state_dir) == 0 &&
	       strcmp(a->policy_file, b->policy_file) == 0 && a->platform == b->platform && a->n_listeners == b->n_listeners &&
	       a->listeners[a->n_listeners - 1].mode == b->listeners[b->n_listeners - 1].mode &&
	       a->backends[0].timeout_ms == b->backends[0].timeout_ms && a->backends[0].trust_tags == b->backends[0].trust_tags &&
	       a->backends[0].kv == b->backends[0].kv && a->backends[0].calls_per_hour == b->backends[0].calls_per_hour &&
	       a->backends[0].auth.wrapped == b->backends[0].auth.wrapped && strcmp(a->kubernetes.address, b->kubernetes.address) == 0 &&
	       strcmp(a->kubernetes.ca_file, b->kubernetes.ca_file) == 0 && strcmp(a->kubernetes.token_file, b->kubernetes.token_file) == 0;
}

static void the_page_has_the_parsers_defaults(void **state)
{
	unsigned seen = 0;
	(void)state;
	for (size_t i = 0; i < n_rows; i++) {
		const struct place *p = place_of(rows[i].section);
		struct mk_conf silent = { 0 }, said = { 0 };
		struct mk_why why = { 0 };
		char value[CELL_MAX], setting[CELL_MAX + 64];
		if (p->policy || !written(rows[i].value, value))
			continue;
		snprintf(setting, sizeof setting, "%s = %s;", rows[i].key, value);
		if (parse(p, "", &silent, &why) != MK_OK || parse(p, setting, &said, &why) != MK_OK)
			fail_msg("%s: %s", setting, why.text);
		if (!same(&silent, &said))
			fail_msg("%s %s is not what the parser assumes where the key is left out", rows[i].section, setting);
		mk_conf_done(&silent);
		mk_conf_done(&said);
		seen++;
	}
	assert_true(seen >= 22);
}

static void another_value_than_the_default_is_seen_to_be_another(void **state)
{
	static const char *const others[][2] = { { "refresh", "ttl = \"6m\";" },       { "audit", "keep = 11;" },
						 { "limits", "idle_timeout = \"61s\";" }, { "agent.conf", "state_dir = \"/x\";" },
						 { "backends", "timeout = \"9s\";" },  { "reporter", "listen = \"127.0.0.1:1\";" },
						 { "vault", "kv = 1;" },		  { "vault", "rate = \"51/s\";" },
						 { AUTH, "wrapped = true;" } };
	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		struct mk_conf silent = { 0 }, said = { 0 };
		assert_int_equal(parse(place_of(others[i][0]), "", &silent, NULL), MK_OK);
		assert_int_equal(parse(place_of(others[i][0]), others[i][1], &said, NULL), MK_OK);
		assert_false(same(&silent, &said));
		mk_conf_done(&silent);
		mk_conf_done(&said);
	}
}

static void each_type_of_backend_has_its_table(void **state)
{
	(void)state;
	for (size_t i = 0, n; i < N_TYPES; i++) {
		for (n = 0; n < n_rows && strcmp(rows[n].section, types[i]) != 0;)
			n++;
		if (n == n_rows)
			fail_msg("docs/configuration.md has no table of keys below a line \"`%s` is …\"", types[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_page_names_each_key_that_the_parser_takes_and_no_other),
		cmocka_unit_test(the_page_has_the_parsers_ranges),
		cmocka_unit_test(the_page_has_the_parsers_defaults),
		cmocka_unit_test(another_value_than_the_default_is_seen_to_be_another),
		cmocka_unit_test(each_type_of_backend_has_its_table),
	};
	return cmocka_run_group_tests(tests, read_page, NULL);
}
