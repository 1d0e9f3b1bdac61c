# SPDX-License-Identifier: Apache-2.0
"""libmakini in a service with many threads, built with it by AddressSanitizer, by ThreadSanitizer, and under valgrind, while a running
agent rotates, revokes, restores, and loses its broker. (With an agent that lies: tests/unit/test_libmakini*.c.)"""

import contextlib
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import pytest

from lib.instance import BILLING, ROOT, Instance, demote
from lib.waiting import wait_for

from .test_libmakini import ADMINS, ctl

pytestmark = pytest.mark.root
FOUND = 9  # exit code of a run in which something was found
NAMES, NUMBERS = ("acme-sap", "acme-crm"), itertools.count()
OPTIONS = {"ASAN_OPTIONS": f"exitcode={FOUND}:detect_leaks=1", "LSAN_OPTIONS": f"exitcode={FOUND}", "UBSAN_OPTIONS": "print_stacktrace=1",
           "TSAN_OPTIONS": f"exitcode={FOUND}"}
VALGRIND = ["valgrind", "-q", "--fair-sched=yes", f"--error-exitcode={FOUND}", "--leak-check=full", "--show-leak-kinds=definite,indirect",
            "--errors-for-leak-kinds=definite,indirect"]
# name: (what it is built with, what it runs below, the mistakes that it must see and in which words)
TOOLS = {
    "asan": (["-fsanitize=address,undefined", "-fno-sanitize-recover=all"], [], {"overflow": "heap-buffer-overflow", "leak": "detected memory leaks"}),
    "tsan": (["-fsanitize=thread"], [], {"race": "data race"}),
    "valgrind": ([], VALGRIND, {"overflow": "Invalid write", "leak": "definitely lost"}),
}
CAME_TO_LIGHT_IN = {"overflow": "makini_get", "race": "makini_get", "leak": "makini_open"}


class Tool:
    def __init__(self, name, where):
        flags, self.below, self.mistakes = TOOLS[name]
        self.program = where / f"busy-{name}"
        sources = [ROOT / "tests" / "proc" / "busy.c", *sorted((ROOT / "client").glob("*.c"))]
        done = subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-g", "-O1", "-fno-omit-frame-pointer", "-Wall", "-Wextra", "-Werror", *flags,
                               f"-I{ROOT}", f"-I{ROOT}/include", "-pthread", "-o", str(self.program), *map(str, sources)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def start(self, i, *mistake):
        return Busy([*self.below, str(self.program), str(i.sock()), *NAMES, *mistake])


@pytest.fixture(scope="module", params=TOOLS)
def tool(request):
    where = pathlib.Path(tempfile.mkdtemp(prefix="makini-busy-"))
    where.chmod(0o755)
    yield Tool(request.param, where)
    shutil.rmtree(where)


@pytest.fixture(scope="module")
def agent():
    with Instance(policy=ADMINS) as i:
        i.write_conf("admin = { two_person = []; };")
        for name in NAMES:
            put(i, name)
        yield i.start()


class Busy:
    def __init__(self, command):
        self.errors = tempfile.TemporaryFile("w+")  # a pipe that nobody reads would hold it up
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
                                        preexec_fn=demote(BILLING), env={"PATH": "/usr/bin:/bin", "HOME": "/", **OPTIONS})

    def seen(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.found()
        return json.loads(line)

    def more(self, what, than, by=20, bound=5.0, each=lambda: None):
        """Waits until so many more were seen of it than then, with each() ahead of each look; what is seen now."""
        def is_more():
            each()
            return self.seen()[what] >= than[what] + by
        wait_for(f"more that are {what}", is_more, bound)
        return self.seen()

    def ended(self):
        """(exit code, what it printed last, what was found)"""
        out, _ = self.process.communicate(timeout=300)
        return self.process.returncode, out, self.found()

    def found(self):
        self.errors.seek(0)
        return self.errors.read()

    def kill(self):
        self.process.kill()
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()
        self.errors.close()


def put(i, name):
    """Another value each time: none that was revoked."""
    i.put(name, f"tok-{name}-{next(NUMBERS)}".encode())


def test_a_service_with_many_threads_makes_no_mistake_in_memory_or_between_threads(tool, agent):
    busy = tool.start(agent)
    try:
        seen = busy.more("repeated", busy.seen())
        for _ in range(3):
            # Who got the new value before its watch was looked at is not told of it: then there is another one.
            seen = busy.more("told", seen, by=1, each=lambda: [put(agent, name) for name in NAMES])
            ctl(agent, "revoke", NAMES[0])
            seen = busy.more("revoked", seen)
            ctl(agent, "restore", NAMES[0])
            put(agent, NAMES[0])
            seen = busy.more("opened", busy.more("repeated", busy.more("first", seen)), by=2)
        os.kill(agent.pids()["broker"], signal.SIGKILL)
        seen = busy.more("away", seen, by=1)
        seen = busy.more("opened", busy.more("repeated", busy.more("first", seen)), by=2)
        code, out, found = busy.ended()
        seen = json.loads(out)
        print(f"figure: {seen}")
        assert (code, found) == (0, "")
        assert seen["wrong"] == 0 and seen["other"] == 0, seen
    finally:
        busy.kill()


def test_a_mistake_would_have_been_seen(tool, agent):
    for mistake, words in tool.mistakes.items():
        busy = tool.start(agent, mistake)
        try:
            code, _, found = busy.ended()
            assert code == FOUND and words in found and CAME_TO_LIGHT_IN[mistake] in found, (mistake, code, found[-3000:])
        finally:
            busy.kill()
