/* SPDX-License-Identifier: Apache-2.0
 *
 * makinictl audit: keys are never overwritten or readable by others, verify's exit code
 * and words tell good from bad, tail prints nothing that a terminal obeys.
 */
#include "audit_kit.h"

#include "ctl/audit.h"

#include <signal.h>

static struct kit kit;
static char key[128];

/* Runs `audit WORDS…`; what it printed on standard output. */
static int run(char *out, size_t cap, ...)
{
	char *argv[16];
	int argc = 0;
	va_list ap;
	va_start(ap, cap);
	for (const char *word; argc < 15 && (word = va_arg(ap, const char *));)
		argv[argc++] = strdup(word);
	va_end(ap);
	argv[argc] = NULL;
	fflush(NULL);
	const int file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	const int saved = dup(1), saved_err = dup(2);
	dup2(file, 1);
	dup2(null, 2);
	const int rc = mk_ctl_audit(argc, argv);
	fflush(NULL);
	dup2(saved, 1);
	dup2(saved_err, 2);
	const ssize_t n = pread(file, out, cap - 1, 0);
	assert_true(n >= 0);
	out[n] = '\0';
	close(saved);
	close(saved_err);
	close(null);
	close(file);
	while (argc > 0)
		free(argv[--argc]);
	return rc;
}

static int setup(void **state)
{
	static char out[8192];
	size_t n = 0;
	(void)state;
	kit_init(&kit);
	snprintf(key, sizeof key, "%s/auditor.key", kit.dir);
	assert_int_equal(run(out, sizeof out, "keygen", key, NULL), 0);
	assert_int_equal(sodium_base642bin(kit.conf.recipient, 32, out, strlen(out) - 1, NULL, &n, NULL,
					   sodium_base64_VARIANT_ORIGINAL), 0);
	assert_int_equal(n, 32);
	kit_open(&kit);
	assert_int_equal(kit_write(&kit, "acme-1"), MK_OK);
	assert_int_equal(kit_write(&kit, "acme-2"), MK_OK);
	kit_close(&kit);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kit_done(&kit);
	return 0;
}

static void a_key_is_private_and_never_overwritten(void **state)
{
	(void)state;
	char out[1024], before[256], after[256];
	struct stat st;
	assert_int_equal(stat(key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	const size_t n = kit_read(key, before, sizeof before);
	assert_int_equal(run(out, sizeof out, "keygen", key, NULL), 1);
	assert_string_equal(out, "");
	assert_int_equal(kit_read(key, after, sizeof after), n);
	assert_memory_equal(before, after, n);
	assert_int_equal(chmod(key, 0644), 0);
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, kit.file, NULL), 1); /* a key that others read is none */
	assert_int_equal(chmod(key, 0600), 0);
}

static void verify_says_what_holds_and_what_does_not(void **state)
{
	(void)state;
	static char out[8192], log[65536];
	char bad[160];
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, kit.file, NULL), 0);
	assert_non_null(strstr(out, "\nOK: every record is as it was written\n"));
	assert_non_null(strstr(out, "records 1 to 4"));
	char head[128] = "", *at = strstr(out, "head 4:");
	assert_non_null(at);
	snprintf(head, sizeof head, "%.66s", at + 5);
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, "--expect", head, kit.file, NULL), 0);
	assert_int_equal(run(out, sizeof out, "verify", "--no-key", kit.file, NULL), 0);
	assert_null(strstr(out, "\nOK"));
	assert_non_null(strstr(out, "proves nothing"));
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, "--env", "development", kit.file, NULL), 1);
	assert_non_null(strstr(out, "foreign_environment"));

	snprintf(bad, sizeof bad, "%s/tampered", kit.dir);
	const size_t n = kit_read(kit.file, log, sizeof log);
	char *name = memmem(log, n, "acme-2", 6);
	assert_non_null(name);
	name[5] = '3';
	kit_spill(bad, log, n);
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, bad, NULL), 1);
	assert_non_null(strstr(out, "/tampered:3: edited"));
	assert_non_null(strstr(out, "NOT OK: 1 faults"));
	assert_int_equal(run(out, sizeof out, "verify", "--json", "--key", key, bad, NULL), 1);
	assert_non_null(strstr(out, "\"kind\":\"edited\""));
	assert_non_null(strstr(out, "\"ok\":false,\"proven\":false"));
	head[3] = head[3] == '0' ? '1' : '0'; /* a head that never was */
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, "--expect", head, kit.file, NULL), 1);
}

static void an_empty_log_is_not_good(void **state)
{
	(void)state;
	char out[4096], empty[160];
	snprintf(empty, sizeof empty, "%s/empty", kit.dir);
	kit_spill(empty, "", 0);
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, empty, NULL), 1);
	assert_non_null(strstr(out, "NOT OK: there is no record"));
}

static void segments_are_found_and_sorted(void **state)
{
	(void)state;
	static char out[8192];
	char first[160];
	struct kit k;
	kit_init(&k);
	memcpy(k.conf.recipient, kit.conf.recipient, 32);
	k.conf.max_size = 16384;
	k.conf.keep = 9;
	kit_open(&k);
	for (int i = 0; i < 120; i++)
		assert_int_equal(kit_write(&k, "acme-1"), MK_OK);
	kit_close(&k);
	snprintf(first, sizeof first, "%s.%020d", k.file, 1);
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, "--all", k.file, NULL), 0);
	assert_non_null(strstr(out, "records 1 to"));
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, "--all", k.file, first, k.file, NULL), 0); /* none twice */
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, k.file, first, NULL), 1); /* one between is missing */
	assert_non_null(strstr(out, "cut"));
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, k.file, NULL), 0);
	assert_non_null(strstr(out, "were not named"));
	assert_int_equal(unlink(first), 0);
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, "--all", k.file, NULL), 1); /* the oldest was not pruned */
	assert_non_null(strstr(out, "no record says that `keep` removed them"));
	kit_done(&k);
}

static void segments_removed_by_keep_are_not_missed(void **state)
{
	(void)state;
	static char out[8192];
	struct kit k;
	kit_init(&k);
	memcpy(k.conf.recipient, kit.conf.recipient, 32);
	k.conf.max_size = 16384;
	k.conf.keep = 1;
	kit_open(&k);
	for (int i = 0; i < 200; i++)
		assert_int_equal(kit_write(&k, "acme-1"), MK_OK);
	kit_close(&k);
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, "--all", k.file, NULL), 0);
	assert_non_null(strstr(out, "were removed by `keep`, as recorded"));
	kit_done(&k);
}

static void wrong_use_is_told_with_its_code(void **state)
{
	(void)state;
	static char out[8192];
	assert_int_equal(run(out, sizeof out, NULL), 2);
	assert_int_equal(run(out, sizeof out, "verfy", NULL), 2);
	assert_int_equal(run(out, sizeof out, "keygen", NULL), 2);
	assert_int_equal(run(out, sizeof out, "verify", kit.file, NULL), 2);
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, "--no-key", kit.file, NULL), 2);
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, "--expect", "7", kit.file, NULL), 2);
	assert_int_equal(run(out, sizeof out, "verify", "--key", key, "--env", "Prod!", kit.file, NULL), 2);
	assert_int_equal(run(out, sizeof out, "tail", "-n", "x", kit.file, NULL), 2);
	assert_int_equal(run(out, sizeof out, "tail", "/nowhere/log", NULL), 1);
	assert_int_equal(run(out, sizeof out, "--help", NULL), 0);
	assert_non_null(strstr(out, "Example:"));
}

static void tail_shows_the_last_and_nothing_a_terminal_obeys(void **state)
{
	(void)state;
	static char out[8192];
	char log[160];
	assert_int_equal(run(out, sizeof out, "tail", "-n", "2", kit.file, NULL), 0);
	assert_non_null(strstr(out, "grant  service=billing"));
	assert_non_null(strstr(out, "connection=acme-2"));
	assert_null(strstr(out, "acme-1"));
	assert_int_equal(run(out, sizeof out, "tail", "--event", "open", "--json", kit.file, NULL), 0);
	assert_int_equal(strncmp(out, "{\"seq\":1,", 9), 0);
	assert_int_equal(run(out, sizeof out, "tail", "--service", "nobody", kit.file, NULL), 0);
	assert_string_equal(out, "");
	snprintf(log, sizeof log, "%s/odd", kit.dir);
	kit_spill(log, "\x1b]0;x\a \xc2\x9b" "31m\r\n", 14);
	assert_int_equal(run(out, sizeof out, "tail", log, NULL), 0);
	assert_non_null(strstr(out, "NOT A RECORD: \\x1b]0;x\\x07 \\xc2\\x9b31m\\x0d\n"));
	assert_int_equal(run(out, sizeof out, "tail", "--json", log, NULL), 0);
	assert_string_equal(out, ""); /* for programs only records; the rest is told on standard error, as above */
}

/* `tail -f` in a process of its own, its output in a file. */
static pid_t follow(const char *log, const char *to)
{
	char *argv[] = { (char[]){ "tail" }, (char[]){ "-f" }, (char[]){ "-n" }, (char[]){ "9" }, (char[]){ "--json" }, strdup(log), NULL };
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), 1);
		_exit(mk_ctl_audit(MK_COUNT(argv) - 1, argv));
	}
	free(argv[5]);
	return pid;
}

/* Many segments come and go between two looks. */
static void tail_follows_over_rotations_and_misses_nothing(void **state)
{
	(void)state;
	static char out[KIT_BYTES_MAX];
	char to[160];
	struct kit k;
	size_t n = 0;
	kit_init(&k);
	k.conf.max_size = 16384;
	k.conf.keep = 99;
	kit_open(&k);
	snprintf(to, sizeof to, "%s/shown", k.dir);
	const pid_t pid = follow(k.file, to);
	for (int i = 0; i < 1000 && (access(to, R_OK) < 0 || kit_count(to, "{\"seq\":1,") == 0); i++) /* until it follows */
		usleep(50000);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(kit_write(&k, "acme-1"), MK_OK);
		if (i == 500)
			usleep(300000); /* and in the middle of one */
	}
	const uint64_t last = kit_status(&k).seq;
	uint64_t seq = 0;
	for (int i = 0; i < 1000 && seq != last; i++) {
		usleep(50000);
		n = kit_read(to, out, sizeof out - 1);
		out[n] = '\0';
		seq = 0;
		for (const char *p = out; (p = strstr(p, "{\"seq\":")); p++)
			if (strtoull(p + 7, NULL, 10) == seq + 1)
				seq++;
	}
	kill(pid, SIGTERM);
	waitpid(pid, NULL, 0);
	assert_int_equal(seq, last); /* each of them, in order */
	kit_done(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_key_is_private_and_never_overwritten),
		cmocka_unit_test(verify_says_what_holds_and_what_does_not),
		cmocka_unit_test(an_empty_log_is_not_good),
		cmocka_unit_test(segments_are_found_and_sorted),
		cmocka_unit_test(segments_removed_by_keep_are_not_missed),
		cmocka_unit_test(wrong_use_is_told_with_its_code),
		cmocka_unit_test(tail_shows_the_last_and_nothing_a_terminal_obeys),
		cmocka_unit_test(tail_follows_over_rotations_and_misses_nothing),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
