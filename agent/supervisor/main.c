/* SPDX-License-Identifier: Apache-2.0
 *
 * makini-agent: options, the configuration, and the exit codes that its users see: 0, 1,
 * 2 usage, 75 the state or runtime directory is held by another instance, 78 the
 * configuration is refused. Never runs as root.
 */
#include "agent/base/log.h"
#include "agent/supervisor/passed.h"
#include "agent/supervisor/sup.h"
#include "mk/own.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_HELD = 75, EXIT_CONFIG = 78 };

static const char help[] =
	"usage: makini-agent --config FILE [--check]\n"
	"\n"
	"Keeps the tokens of one environment and hands them to the services that may have\n"
	"them. Runs in the foreground, logs JSON lines to standard error, reloads on SIGHUP,\n"
	"drains and ends on SIGTERM.\n"
	"\n"
	"  -c, --config FILE   the configuration, as /etc/makini/production/agent.conf\n"
	"      --check         only parse it and the policy that it names, say what is wrong\n"
	"      --version       print the version\n"
	"      --help          print this\n"
	"\n"
	"exit codes: 0 done, 1 failed, 2 usage, 75 another instance holds state_dir or\n"
	"runtime_dir, 78 the configuration is refused\n";

struct options {
	const char *config;
	bool check, version, help;
};

static bool parse(int argc, char **argv, struct options *o)
{
	static const struct option known[] = {
		{ "config", required_argument, NULL, 'c' }, { "check", no_argument, NULL, 'k' },
		{ "version", no_argument, NULL, 'V' },      { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;
	while ((c = getopt_long(argc, argv, "c:h", known, NULL)) != -1) {
		if (c == 'c')
			o->config = optarg;
		else if (c == 'k')
			o->check = true;
		else if (c == 'V')
			o->version = true;
		else if (c == 'h')
			o->help = true;
		else
			return false; /* getopt has said why */
	}
	if (optind < argc)
		dprintf(STDERR_FILENO, "makini-agent: unexpected argument \"%s\"\n", argv[optind]);
	else if (!o->config && !o->help && !o->version)
		dprintf(STDERR_FILENO, "makini-agent: --config FILE is missing\n");
	return optind == argc && (o->config || o->help || o->version);
}

/* For people as a line, for programs as a record. */
static int fail(int code, const char *event, enum mk_err e, const struct mk_why *why)
{
	if (why->file[0] && why->line)
		dprintf(STDERR_FILENO, "%s:%u: %s\n", why->file, why->line, why->text);
	else if (why->file[0])
		dprintf(STDERR_FILENO, "%s: %s\n", why->file, why->text);
	else
		dprintf(STDERR_FILENO, "makini-agent: %s\n", why->text);
	mk_log_why(MK_ERROR, event, e, why);
	return code;
}

static int refuse_root(void)
{
	dprintf(STDERR_FILENO, "makini-agent: must not run as root. In a unit: User=makini-production. By hand:\n"
			       "  setpriv --reuid=makini-production --regid=makini-production --init-groups \\\n"
			       "    makini-agent --config FILE\n"
			       "(--check may run as root)\n");
	mk_log(MK_ERROR, "refused_root", MK_KV_S("remedy", "run it as a user of its own: User= in the unit, or setpriv"));
	return EXIT_FAILED;
}

static int check(const struct options *o)
{
	struct mk_why why = { 0 };
	struct mk_conf *c = NULL;
	const enum mk_err e = mk_conf_load(o->config, &c, &why);
	if (e != MK_OK)
		return fail(EXIT_CONFIG, "configuration_refused", e, &why);
	dprintf(STDOUT_FILENO, "%s: good: environment %s, %zu backends, %zu services, %zu rules\n", o->config, c->environment.s,
		c->n_backends, c->rules.n_services, c->rules.n_rules);
	mk_conf_free(c);
	return EXIT_DONE;
}

/* Of a start that failed. */
static int exit_of(const struct mk_sup *s, enum mk_err e)
{
	if (e == MK_STATE_HELD && s->sockets_lock_fd < 0)
		return EXIT_HELD;
	return e == MK_BAD_REQUEST ? EXIT_CONFIG : EXIT_FAILED; /* sockets that do not fit the configuration */
}

static int serve(struct mk_sup *s)
{
	struct mk_why why = { 0 };
	enum mk_err e = mk_conf_load(s->conf_file, &s->conf, &why);
	if (e == MK_OK)
		e = mk_conf_load_pod(s->conf, &why);
	if (e != MK_OK)
		return fail(e == MK_NO_MEMORY ? EXIT_FAILED : EXIT_CONFIG, "configuration_refused", e, &why);
	mk_log_env(&s->conf->environment);
	e = mk_sup_start(s, &why);
	if (e != MK_OK)
		return fail(exit_of(s, e), "start_failed", e, &why);
	e = mk_loop_run(s->loop);
	if (e != MK_OK)
		mk_log(MK_ERROR, "loop_failed", MK_KV_S("err", mk_err_word(e)));
	return e == MK_OK ? s->exit_code : EXIT_FAILED;
}

static int run(const struct options *o, char **environment)
{
	static struct mk_sup s = { .tcp_fd = -1, .lock_fd = -1, .sockets_lock_fd = -1, .head_fd = -1, .notify.fd = -1,
				   .exes = { .fd = { -1, -1, -1, -1 }, .null_fd = -1 } };
	struct mk_why why = { 0 };
	if (geteuid() == 0 || getuid() == 0)
		return refuse_root();
	enum mk_err e = mk_lockdown_early(false, &s.guards, &why);
	if (e == MK_OK)
		e = mk_passed_take(environment, &s.listeners, &why);
	if (e != MK_OK)
		return fail(exit_of(&s, e), "start_failed", e, &why);
	s.conf_file = o->config;
	mk_notify_open(&s.notify, environment);
	const int code = serve(&s);
	mk_log(code == EXIT_DONE ? MK_INFO : MK_ERROR, "ended", MK_KV_N("code", code));
	mk_sup_stop(&s);
	return code;
}

/* Nothing that was left open may reach a child; and no socket or log may come to lie where standard error should.
 * last: of what systemd passed. */
static bool tidy_descriptors(int last)
{
	close_range((unsigned)last + 1, ~0u, 0);
	int fd;
	do
		fd = open("/dev/null", O_RDWR); /* the first three stay, also in children */
	while (fd >= 0 && fd <= STDERR_FILENO);
	mk_close(fd);
	return fd >= 0;
}

/* One that comes before the loop can take it would end the process: it waits. */
static void hold_reloads(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
}

int main(int argc, char **argv, char **environment)
{
	struct options o = { 0 };
	mk_log_init("supervisor");
	if (!parse(argc, argv, &o)) {
		dprintf(STDERR_FILENO, "see makini-agent --help\n");
		return EXIT_USAGE;
	}
	if (o.help || o.version) {
		dprintf(STDOUT_FILENO, "%s", o.help ? help : "makini-agent " MK_VERSION "\n");
		return EXIT_DONE;
	}
	umask(077);
	hold_reloads();
	if (!tidy_descriptors(mk_passed_last(environment)))
		return EXIT_FAILED;
	return o.check ? check(&o) : run(&o, environment);
}
