# SPDX-License-Identifier: Apache-2.0
"""libmakini in a service with many threads, built with it by AddressSanitizer, by ThreadSanitizer, and under valgrind, while a running
agent rotates, revokes, restores, and loses its broker. (With an agent that lies: tests/unit/test_libmakini*.c.)"""

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
        return subprocess.Popen([*self.below, str(self.program), str(i.sock()), *NAMES, *mistake], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, preexec_fn=demote(BILLING), env={"PATH": "/usr/bin:/bin", "HOME": "/", **OPTIONS})


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
    def __init__(self, process):
        self.process = process

    def seen(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1]
        return json.loads(line)

    def more(self, what, than, by=20, bound=5.0):
        """Waits until so many more were seen of it than then; what is seen now."""
        wait_for(f"more that are {what}", lambda: self.seen()[what] >= than[what] + by, bound)
        return self.seen()


def put(i, name):
    """Another value each time: none that was revoked."""
    i.put(name, f"tok-{name}-{next(NUMBERS)}".encode())


def test_a_service_with_many_threads_makes_no_mistake_in_memory_or_between_threads(tool, agent):
    process = tool.start(agent)
    try:
        busy = Busy(process)
        seen = busy.more("repeated", busy.seen())
        for _ in range(3):
            put(agent, "acme-sap")
            put(agent, "acme-crm")
            seen = busy.more("told", seen, by=1)
            ctl(agent, "revoke", "acme-sap")
            seen = busy.more("revoked", seen)
            ctl(agent, "restore", "acme-sap")
            put(agent, "acme-sap")
            seen = busy.more("opened", busy.more("repeated", seen), by=2)
        os.kill(agent.pids()["broker"], signal.SIGKILL)
        seen = busy.more("away", seen, by=1)
        seen = busy.more("opened", busy.more("repeated", seen), by=2)
        out, errors = process.communicate(timeout=300)
        seen = json.loads(out)
        print(f"figure: {seen}")
        assert (process.returncode, errors) == (0, "")
        assert seen["wrong"] == 0 and seen["other"] == 0, seen
    finally:
        process.kill()
        process.communicate()


def test_a_mistake_would_have_been_seen(tool, agent):
    for mistake, words in tool.mistakes.items():
        process = tool.start(agent, mistake)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == FOUND and words in errors and CAME_TO_LIGHT_IN[mistake] in errors, (mistake, process.returncode, errors[-3000:])
