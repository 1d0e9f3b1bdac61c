/* SPDX-License-Identifier: Apache-2.0
 *
 * The command table, the help that is made from it, and the way in.
 */
#include "ctl/ctl.h"

#include <stdio.h>
#include <string.h>

#define SOCKET_HELP                                                                          \
	"  --socket PATH   this socket\n"                                                   \
	"  --env NAME      the socket of this instance under /run/makini\n"                 \
	"  --json          the agent's answer, for programs; also when it is an error\n"

const struct mk_command mk_commands[] = {
	{ "get", "NAME", "print a connection's token",
	  "Prints the bare token; without a newline unless it goes to a terminal.\n\n" SOCKET_HELP
	  "  --version previous   the token before the current one\n\n"
	  "Example, without the token in any process's arguments, which others can see:\n"
	  "  { printf 'Authorization: Bearer '; makinictl get acme-sap; } | curl -H @- https://api.example\n",
	  mk_ctl_get },
	{ "list", "", "list the connections this caller may read",
	  "Names, states and versions; never values.\n\n" SOCKET_HELP
	  "  --limit N       at most N\n  --after NAME    those after this name\n\n"
	  "Example:\n  makinictl list --env production\n",
	  mk_ctl_list },
	{ "watch", "[NAME...]", "tell what happens to connections, as it happens",
	  "One line an event: rotated, revoked, restored, expiring, and resync (something may have been missed: look again at all).\n"
	  "\"rotated\" without a version: there is no current one any more. Without NAME: all that this caller may watch. Needs the\n"
	  "action \"watch\". A stream that breaks off is opened again and goes on where it was. Begin it, then get the tokens.\n\n" SOCKET_HELP
	  "  --exec CMD      run CMD by /bin/sh for each event instead of printing it, one at a time; the event is in MAKINI_EVENT,\n"
	  "                  MAKINI_CONNECTION and MAKINI_VERSION; of what comes meanwhile the last of each connection is kept\n\n"
	  "Example:\n  makinictl watch acme-sap --exec 'kill -HUP $(cat billing.pid)'\n",
	  mk_ctl_watch },
	{ "run", "NAME... -- CMD ARGS", "run a program with tokens, and keep them current",
	  "Gets the tokens, or does not start CMD (exit code 3, 4, 5 or 6); then runs it and returns its exit code (128+N: ended by signal N;\n"
	  "126, 127: it cannot be run, found). Each token is in CMD's environment: acme-crm in MAKINI_TOKEN_ACME_CRM, or, written VAR=NAME, in\n"
	  "VAR. A process's environment can be read by all processes of the same user. Needs the action \"watch\", too.\n\n"
	  "  --socket PATH, --env NAME   the agent's socket\n"
	  "  --files           not in the environment: one file a token, named after the connection, in the directory\n"
	  "                    MAKINI_TOKENS_DIR, which only CMD and what it starts can see, in memory and never swapped\n"
	  "  --files-at DIR    lay them over this directory; else over /mnt, /media or /srv, whichever is empty\n"
	  "  --on-change DO    when a token has changed: restart (the default), signal=NAME (with --files: signal=HUP is the default) or\n"
	  "                    ignore\n"
	  "  --on-revoke DO    when one is gone (revoked, expired, denied ...): the same, or end; its file is removed in any case\n"
	  "  --grace TIME      how long after SIGTERM it is killed; 10s unless given\n\n"
	  "CMD has descriptors 0 to 2 only. When makinictl run is killed, so is CMD. An agent that goes away does not end it.\n\n"
	  "Examples:\n  makinictl run acme-crm -- ./import\n"
	  "  makinictl run --files --on-revoke end acme-crm acme-sap -- /usr/bin/billing\n",
	  mk_ctl_run },
	{ "render", "TEMPLATE FILE", "write tokens into a file, and keep it current",
	  "In the template {{access_token}} stands for that field of --connection, {{acme-crm:access_token}} for that of acme-crm;\n"
	  "{{access_token|json}} and {{access_token|shell}} quote it; {{\"{{\"}} is a plain {{. Fields: access_token, token_type, version,\n"
	  "expires_at, environment, connection, state. FILE belongs to the caller, mode 0400, and is replaced whole. Goes on until it\n"
	  "is ended; needs the action \"watch\". FILE is removed when a token is gone (revoked, expired, denied ...) and at the end.\n\n"
	  "  --socket PATH, --env NAME   the agent's socket\n"
	  "  --connection NAME the one whose fields have no name before them\n"
	  "  --once            write it, leave it there, and do not go on\n"
	  "  --keep            leave FILE at the end\n"
	  "  --exec CMD        run CMD by /bin/sh after each change; MAKINI_EVENT is rendered or removed, MAKINI_CONNECTION and\n"
	  "                    MAKINI_VERSION what changed\n\n"
	  "Example:\n  makinictl render --connection acme-crm app.tpl /run/app/app.conf --exec 'systemctl reload app'\n",
	  mk_ctl_render },
	{ "whoami", "", "who the agent takes this caller for, and why",
	  "The service, the evidence for it, and the rules that name it. Start here when a token is denied.\n\n" SOCKET_HELP
	  "\nExample:\n  runuser -u billing -- makinictl whoami --env production\n",
	  mk_ctl_whoami },
	{ "status", "", "the state of an instance (admin socket)",
	  "Alarms first, then the audit log, processes and their lock-down, and each store: health, breaker, last error, calls.\n"
	  "Needs the action \"status\". Exit code 0 also when something is wrong: `health` is for probes.\n\n" SOCKET_HELP
	  "\nExample:\n  makinictl status --env production\n",
	  mk_ctl_status },
	{ "health", "[--live|--ready]", "for probes: does it live, does it serve",
	  "--live: it answers. --ready (the default): it serves tokens; if not, exit code 6, and why. Waits 5 s at most.\n\n" SOCKET_HELP
	  "\nExample (a Kubernetes probe):\n  exec: { command: [ makinictl, health, --live ] }\n",
	  mk_ctl_health },
	{ "freeze", "[--reason TEXT]", "stop all hand-outs of an instance at once (admin socket)",
	  "One person is enough. It outlives restarts; health says \"frozen\", services get 503. Needs the action \"freeze\".\n\n" SOCKET_HELP
	  "  --reason TEXT   for the audit log and status\n\n"
	  "Example:\n  makinictl freeze --env production --reason 'INC-4711: a laptop was stolen'\n",
	  mk_ctl_freeze },
	{ "thaw", "", "let hand-outs go on (admin socket)",
	  "Takes two persons, unless admin.two_person says otherwise: prints what the second one types. Needs the action \"thaw\".\n\n" SOCKET_HELP
	  "\nExample:\n  makinictl thaw --env production\n",
	  mk_ctl_thaw },
	{ "revoke", "NAME...", "make tokens dead at once (admin socket)",
	  "All names or none. When it returns, no answer carries the tokens any more, and none will, not after a restart\n"
	  "either. The values of now are dead under any name or version, out of any store or backup, too; what the store has beyond them is\n"
	  "looked up at once, and dead then. One person is enough. Needs the action \"revoke\".\n\n" SOCKET_HELP
	  "  --reason TEXT   for the audit log\n"
	  "  --in-store      then disable the tokens in each store that the configuration says is writable, too; a line for each store says\n"
	  "                  what it did, and the code is 1 where one did not: the revocation stands either way\n\n"
	  "Example:\n  makinictl revoke acme-sap acme-crm --env production --reason 'INC-4711: a laptop was stolen'\n",
	  mk_ctl_revoke },
	{ "restore", "NAME...", "undo a revocation (admin socket)",
	  "The connections are served again as soon as the store has another value than those that were revoked. May take two persons\n"
	  "(admin.two_person). Needs the action \"restore\".\n\n" SOCKET_HELP
	  "  --value-too     the values that were revoked may be served again, too: only if they never leaked\n"
	  "  --in-store      then enable the stores' current versions again, too; asked for again it does no harm\n\n"
	  "Example:\n  makinictl restore acme-sap --env production\n",
	  mk_ctl_restore },
	{ "approve", "ID", "approve what another person proposed (admin socket)",
	  "Shows what it is and asks; --digest answers for a terminal. The proposer's uid cannot approve. Needs the actions\n\"approve\" and \"status\".\n\n" SOCKET_HELP
	  "  --digest DIGEST   the one that the proposer was told: approves that, or nothing\n\n"
	  "Example:\n  makinictl approve 4be1c0d23f5a6978 --env production\n",
	  mk_ctl_approve },
	{ "config", "check FILE...", "check an agent.conf and its policy; of several, that they are apart",
	  "By the agent's own parser, without an agent. Exit code 0, or 1 and FILE:LINE: what is wrong and the remedy.\n"
	  "With several files also: no two instances share a user, a directory, a store's path or a credential.\n\n"
	  "Example:\n  makinictl config check /etc/makini/production/agent.conf && systemctl reload makini-agent@production\n",
	  mk_ctl_config },
	{ "separation", "check [ENV...]", "do two instances hold the same token? (admin sockets)",
	  "Compares keyed fingerprints, under a key made for this run, of the tokens that each instance holds in memory; prints names,\n"
	  "never values. Without ENV: all under /run/makini. Needs the action \"fingerprint\" in each. Exit code 1 where one is shared.\n\n"
	  "  --sockets   the words are paths of admin sockets\n\n"
	  "Example:\n  makinictl separation check production development\n",
	  mk_ctl_separation },
	{ "policy", "check|explain|test|diff ...", "check, explain, test and compare policies, from their files",
	  "  policy check FILE [--env NAME]    is it a policy, and that environment's\n"
	  "  policy explain --as SERVICE --get NAME   (or --action ACTION [--connection NAME])\n"
	  "                                    what it decides, by which rule, and what would have to change\n"
	  "  policy test FILE                  cases with the decisions they must have; exit code 1 where one has not\n"
	  "  policy diff OLD NEW               whose access changes\n\n"
	  "  --policy FILE, --config FILE, --env NAME   explain, test: the policy; else the only one under /etc/makini\n"
	  "  --tag KEY=VALUE   explain: suppose this tag, may be given several times\n"
	  "  --names FILE      diff: ask for these names, too, one a line; - is standard input\n"
	  "  --pod             the policy is for a pod\n"
	  "  --json            explain, test, diff: for programs\n\n"
	  "Users and groups are looked up on this host; where they do not exist, write uid and numbers.\n\n"
	  "Example:\n  makinictl policy explain --as billing --get acme-sap --env production\n",
	  mk_ctl_policy },
	{ "audit", "keygen|verify|tail ...", "make an auditor's key, verify or read the audit log", NULL, mk_ctl_audit },
	{ "local", "init|put|list|rm ...", "the embedded store: a sealed file", NULL, mk_ctl_local },
};
const size_t mk_commands_n = MK_COUNT(mk_commands);

static const struct mk_command *command_of(const char *name)
{
	for (size_t i = 0; i < mk_commands_n; i++)
		if (strcmp(mk_commands[i].name, name) == 0)
			return &mk_commands[i];
	return NULL;
}

static int unknown(const char *name)
{
	const char *known[MK_COUNT(mk_commands)];
	for (size_t i = 0; i < mk_commands_n; i++)
		known[i] = mk_commands[i].name;
	const char *near = mk_ctl_nearest(name, known, mk_commands_n);
	if (near)
		return mk_ctl_fail(MK_EXIT_USAGE, "unknown command %s; did you mean %s?", name, near);
	return mk_ctl_fail(MK_EXIT_USAGE, "unknown command %s; makinictl help lists them", name);
}

static int overview(FILE *to)
{
	fputs("makinictl: talk to the Makini Agent\n\n", to);
	for (size_t i = 0; i < mk_commands_n; i++)
		fprintf(to, "  makinictl %-8s %-26s %s\n", mk_commands[i].name, mk_commands[i].arguments, mk_commands[i].brief);
	fputs("\nhelp COMMAND tells more. The socket: --socket PATH, --env NAME, MAKINI_AGENT_SOCKET\n"
	      "(get, list, watch, run, render, whoami, health), or the only instance under /run/makini.\n"
	      "Exit codes: 0 done, 1 failed, 2 usage, 3 denied, 4 not found, 5 revoked, expired or\n"
	      "disabled, 6 unavailable.\n", to);
	return to == stdout ? MK_EXIT_DONE : MK_EXIT_USAGE;
}

static int help(const char *name)
{
	const struct mk_command *c = command_of(name);
	if (!c)
		return unknown(name);
	if (!c->help) { /* it has words of its own, each with its help */
		char *argv[] = { (char[]){ "--help" }, NULL };
		return c->run(1, argv);
	}
	printf("makinictl %s %s: %s\n\n%s", c->name, c->arguments, c->brief, c->help);
	return MK_EXIT_DONE;
}

static bool is_help(const char *word)
{
	return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* Options may stand before the command, too: then the command moves to the front. */
static void command_first(int argc, char **argv)
{
	int at = 1;
	while (at < argc && (strncmp(argv[at], "--socket", 8) == 0 || strncmp(argv[at], "--env", 5) == 0 || strcmp(argv[at], "--json") == 0))
		at += strchr(argv[at], '=') || strcmp(argv[at], "--json") == 0 ? 1 : 2;
	if (at >= argc)
		return;
	char *command = argv[at];
	memmove(&argv[2], &argv[1], (size_t)(at - 1) * sizeof argv[0]);
	argv[1] = command;
}

/* "help" alone could be a connection's name. */
static bool asks_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static int run(int argc, char **argv)
{
	if (is_help(argv[1]))
		return argc > 2 && argv[2][0] != '-' ? help(argv[2]) : overview(stdout);
	if (strcmp(argv[1], "--version") == 0) {
		puts("makinictl " MK_VERSION);
		return MK_EXIT_DONE;
	}
	if (argv[1][0] == '-')
		return mk_ctl_fail(MK_EXIT_USAGE, "which command? makinictl help lists them");
	const struct mk_command *c = command_of(argv[1]);
	if (!c)
		return unknown(argv[1]);
	if (c->help && asks_help(argc - 2, argv + 2))
		return help(argv[1]);
	return c->run(argc - 2, argv + 2);
}

int mk_ctl_main(int argc, char **argv)
{
	if (argc < 2)
		return overview(stderr);
	command_first(argc, argv);
	const int rc = run(argc, argv);
	if (fflush(stdout) != 0 && rc == MK_EXIT_DONE)
		return mk_ctl_fail(MK_EXIT_FAILED, "standard output cannot be written");
	return rc;
}
