/* SPDX-License-Identifier: Apache-2.0
 *
 * What would end a test, or must not stay with it, done by a child of it.
 */
#ifndef MK_TEST_CHILD_H
#define MK_TEST_CHILD_H

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its exit code, 99 where fn came back; 128 and the signal that ended it. */
static inline int child(void (*fn)(void))
{
	const pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		signal(SIGSEGV, SIG_DFL); /* cmocka's handler would go on with the next test */
		signal(SIGBUS, SIG_DFL);
		fn();
		_exit(99);
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif
