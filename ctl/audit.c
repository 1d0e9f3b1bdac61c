/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl audit: the table of its commands, and keygen. The auditor's secret key is
 * made here, written once and never printed; it has no business on the agents' hosts.
 */
#include "ctl/audit.h"

#include "agent/base/file.h"
#include "agent/base/guarded.h"
#include "agent/base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define KEY_TEXT sodium_base64_ENCODED_LEN(crypto_box_SECRETKEYBYTES, sodium_base64_VARIANT_ORIGINAL)

static const char help[] =
	"makinictl audit: make an auditor's key, verify or read the audit log\n\n"
	"  keygen FILE\n"
	"      Writes a new secret key to FILE (0600; never over another file) and prints the recipient, its\n"
	"      public half, for audit.recipient in agent.conf. Keep FILE away from the agents' hosts, and a copy of it\n"
	"      safe: with it alone a log can be verified.\n\n"
	"  verify --key FILE [--all] [--env NAME] [--expect SEQ:MAC] [--json] LOG…\n"
	"      Proves that every record is as it was written: nothing edited, cut out, put in, swapped, replayed.\n"
	"      Who had the file while the agent was down may have put records of his own in the place of all behind\n"
	"      some record; that looks like a start of the agent, and only --expect finds it.\n"
	"      Segments may be named in any order. Exit code 0, or 1 and the first fault with file and line.\n"
	"        --all             also the segments set aside beside each LOG (LOG.00000000000000000001 …): these must be\n"
	"                          all, but for those that `keep` removed on record\n"
	"        --env NAME        the log must be this environment's\n"
	"        --expect SEQ:MAC  the log must still hold this record: a head noted earlier (verify prints one,\n"
	"                          `makinictl status` shows one). Only this finds a cut at the end, or a whole log rolled back\n"
	"        --no-key          only form and order; proves nothing about who wrote it\n"
	"        --json            one JSON object, for programs\n\n"
	"  tail [-n N] [-f] [--event E] [--service S] [--json] LOG\n"
	"      The last N (10) records, one line each for people, or as they are with --json.\n"
	"        -f                goes on with what is written, over rotations\n"
	"        --event E         only these: grant deny list admin config alarm epoch open close prune\n"
	"        --service S       only this service's\n\n"
	"Example:\n"
	"  makinictl audit keygen auditor.key                       # on the auditor's machine\n"
	"  makinictl audit tail -f --event deny /var/log/makini/production/audit.jsonl\n"
	"  makinictl audit verify --key auditor.key --env production --all audit.jsonl\n";

static bool write_new(const char *file, const char *text, size_t n)
{
	mk_fd fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	if (mk_write_all(fd, text, n) == MK_OK && fsync(fd) == 0)
		return true;
	const int error = errno;
	unlink(file);
	errno = error;
	return false;
}

/* The secret half stays in guarded memory but for the text on its way to the file, which is wiped. */
static int keygen(const char *file)
{
	uint8_t public_half[crypto_box_PUBLICKEYBYTES];
	char text[KEY_TEXT + 1];
	struct mk_guarded *g = NULL;
	if (sodium_init() < 0 || mk_guarded_new(crypto_box_SECRETKEYBYTES, &g) != MK_OK)
		return mk_ctl_fail(MK_EXIT_FAILED, "no guarded memory for the key (ulimit -l)");
	uint8_t *half = mk_guarded_open(g);
	crypto_box_keypair(public_half, half);
	sodium_bin2base64(text, KEY_TEXT, half, crypto_box_SECRETKEYBYTES, sodium_base64_VARIANT_ORIGINAL);
	mk_guarded_close(g);
	mk_guarded_free(g);
	text[KEY_TEXT - 1] = '\n';
	const bool written = write_new(file, text, KEY_TEXT);
	mk_wipe(text, sizeof text);
	if (!written && errno == EEXIST)
		return mk_ctl_fail(MK_EXIT_FAILED, "%s is there already; a key is never overwritten: name another file", file);
	if (!written)
		return mk_ctl_fail(MK_EXIT_FAILED, "%s cannot be written: %s", file, strerror(errno));
	sodium_bin2base64(text, KEY_TEXT, public_half, sizeof public_half, sodium_base64_VARIANT_ORIGINAL);
	printf("%s\n", text);
	fprintf(stderr, "Put it into agent.conf: audit = { recipient = \"%s\"; … };\n"
			"Keep %s offline or with the security team: without it the log cannot be verified.\n", text, file);
	return fflush(stdout) == 0 ? MK_EXIT_DONE : MK_EXIT_FAILED;
}

int mk_ctl_audit_keygen(int argc, char **argv)
{
	const char *words[1];
	size_t n = 0;
	const int rc = mk_ctl_options(argc, argv, NULL, 0, words, MK_COUNT(words), &n);
	if (rc != MK_EXIT_DONE)
		return rc;
	return n == 1 ? keygen(words[0]) : mk_ctl_usage("audit", "audit keygen wants a FILE for the secret key");
}

static const struct {
	const char *word;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{ "keygen", mk_ctl_audit_keygen },
	{ "verify", mk_ctl_audit_verify },
	{ "tail", mk_ctl_audit_tail },
};

static bool is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

int mk_ctl_audit(int argc, char **argv)
{
	const struct rlimit none = { 0, 0 };
	const char *word = argc > 0 ? argv[0] : "", *known[MK_COUNT(verbs)];
	if (is_help(word) || (argc > 1 && is_help(argv[1])))
		return fputs(help, stdout) < 0 ? MK_EXIT_FAILED : MK_EXIT_DONE;
	prctl(PR_SET_DUMPABLE, 0ul, 0ul, 0ul, 0ul); /* it may hold the auditor's key */
	setrlimit(RLIMIT_CORE, &none);
	for (size_t i = 0; i < MK_COUNT(verbs); i++) {
		known[i] = verbs[i].word;
		if (strcmp(word, known[i]) == 0)
			return verbs[i].run(argc - 1, argv + 1);
	}
	const char *near = argc > 0 ? mk_ctl_nearest(word, known, MK_COUNT(known)) : NULL;
	return near ? mk_ctl_usage("audit", "no such command: audit %s; did you mean %s?", word, near)
		    : mk_ctl_usage("audit", "audit wants keygen, verify or tail");
}
