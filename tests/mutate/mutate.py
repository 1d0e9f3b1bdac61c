#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Changes the code that decides who may have what, one small wrong change at a time, and
lets the unit tests find it. What they do not find is printed, and fails, unless
explained.txt says why it is no fault.

    tests/mutate/mutate.py [--jobs N] [--list] [FILE…]

Works on a copy of the tree in $TMPDIR. A change after which an optimizing compiler makes
the very same code is not counted, nor is one that does not compile."""

import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from mutants import mutants  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXPLAINED = pathlib.Path(__file__).with_name("explained.txt")
# What is mutated, and the unit tests that must find it: groups of files that stand for one thing.
# policy/explain.c is no part: it puts into words what check.c has decided, and decides nothing.
GROUPS = {
    "policy": (["policy/*.c"], ["test_policy*", "test_pattern"]),
    "identity": (["agent/broker/evidence.c", "agent/broker/peer.c", "agent/broker/cgroup.c", "agent/broker/vouched.c"],
                 ["test_evidence", "test_peer*", "test_cgroup"]),
    "token verification": (["agent/token/*.c", "agent/broker/bearer*.c"], ["test_token*", "test_bearer*"]),
}
LEFT_OUT = {"policy/explain.c"}
MEMORY_MB = 2048


def kill(group):
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(command, cwd=None, timeout=600.0, until=None):
    """(exit code, output). A command that takes too long, or too much memory, or writes `until`, has failed."""
    environ = {**os.environ, "ASAN_OPTIONS": f"hard_rss_limit_mb={MEMORY_MB}"}
    output = []
    process = subprocess.Popen([str(c) for c in command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env=environ, start_new_session=True)
    alarm = threading.Timer(timeout, kill, [process.pid])
    alarm.start()
    for line in process.stdout:
        output.append(line)
        if until and until in line:
            kill(process.pid)
    code = process.wait()
    alarm.cancel()
    kill(process.pid)  # also what it left behind
    return code, b"".join(output).decode(errors="replace")


class Test:
    """A unit test and how its program is linked."""

    def __init__(self, name, link):
        self.name, self.link, self.seconds = name, link, 0.0
        self.kills = collections.Counter()  # by file

    def worth(self, file):
        """Kills that a second of it has brought: those that bring most are tried first."""
        return (self.kills[file] + 1) / (self.seconds + 0.05)


class Bench:
    """A copy of the tree, built once. A mutant costs one object and the links of the tests that try it: its object stands
    before the libraries, so that theirs is not asked for."""

    def __init__(self, directory, jobs, tests):
        self.tree, self.build, self.rooms = directory / "tree", directory / "build", directory
        shutil.copytree(ROOT, self.tree, symlinks=True, ignore=shutil.ignore_patterns("build", "build-*", ".git", "__pycache__"))
        self.must("cmake", "-S", self.tree, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DMK_TESTS=ON", "-DMK_SANITIZE=address,undefined",
                  "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", "-DCMAKE_C_FLAGS=-w", "-DCMAKE_C_FLAGS_DEBUG=")
        self.must("ninja", "-C", self.build, f"-j{jobs}", *sorted(tests))
        self.compile = {c["file"]: c["command"].split(" -o ")[0].split() for c in json.loads((self.build / "compile_commands.json").read_text())}
        self.same = {}

    def must(self, *command):
        code, output = run(command, cwd=self.build if self.build.exists() else None)
        if code != 0:
            sys.exit(f"mutate: {' '.join(map(str, command))}\n{output[-4000:]}")
        return output

    def test(self, name):
        """A test that passes without a mutant."""
        last = self.must("ninja", "-C", self.build, "-t", "commands", name).strip().splitlines()[-1]
        test = Test(name, shlex.split(last.removeprefix(": && ").removesuffix(" && :")))
        began = time.monotonic()
        self.must(self.build / "tests" / name)
        test.seconds = time.monotonic() - began
        return test

    def optimized(self, file, source):
        """What an optimizing compiler makes of this source of the file."""
        words = [*self.compile[str(self.tree / file)], "-fno-sanitize=all", "-O2", "-o", source.with_suffix(".s"), "-S", "-c", source]
        return source.with_suffix(".s").read_bytes() if run(words, cwd=self.build)[0] == 0 else b""

    def survives(self, m, source, obj, tests):
        """Whether all tests pass with this object."""
        program = source.with_suffix("")
        for test in sorted(tests, key=lambda t: -t.worth(m.file)):
            at = test.link.index("-o")
            self.must(*test.link[:at], obj, "-o", program, *test.link[at + 2:])
            if run([program], cwd=self.build, timeout=2 + 10 * test.seconds, until=b"[  FAILED  ]")[0] != 0:
                test.kills[m.file] += 1
                return False
        return True

    def judge(self, m, tests):
        """What became of a mutant: "no" (does not compile), "same" (code), "killed" or "survived"."""
        with tempfile.TemporaryDirectory(dir=self.rooms) as room:
            os.chmod(room, 0o755)
            source, obj = pathlib.Path(room, "mutant.c"), pathlib.Path(room, "mutant.o")
            source.write_text(m.text)
            if run([*self.compile[str(self.tree / m.file)], "-o", obj, "-c", source], cwd=self.build)[0] != 0:
                return "no"
            if not self.survives(m, source, obj, tests):
                return "killed"
            if m.file not in self.same:
                shutil.copy(self.tree / m.file, source)
                self.same[m.file] = self.optimized(m.file, source)
                source.write_text(m.text)
            return "same" if self.optimized(m.file, source) == self.same[m.file] else "survived"


def explanations():
    """{"FILE: line as mutated": reason}"""
    found = {}
    for n, line in enumerate(EXPLAINED.read_text().splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        key, mark, reason = line.partition(" ## ")
        if not mark or not reason.strip():
            sys.exit(f"{EXPLAINED}:{n}: FILE: LINE AS MUTATED ## REASON")
        found[" ".join(key.split())] = reason
    return found


def plan(only):
    """[(mutant, group)], {group: names of its tests}"""
    todo, tests = [], {}
    for group, (globs, stems) in GROUPS.items():
        files = sorted({str(p.relative_to(ROOT)) for g in globs for p in ROOT.glob(g)} - LEFT_OUT)
        picked = [f for f in files if not only or f in only]
        if not picked:
            continue
        tests[group] = sorted(t.stem for s in stems for t in ROOT.glob(f"tests/unit/{s}.c"))
        todo += [(m, group) for f in picked for m in mutants(f, (ROOT / f).read_text())]
    return todo, tests


def work(todo, tests, jobs, directory):
    """Yields (mutant, group, what became of it)."""
    bench = Bench(directory, jobs, {t for names in tests.values() for t in names})
    of = {group: [bench.test(name) for name in names] for group, names in tests.items()}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda job: (*job, bench.judge(job[0], of[job[1]])), todo)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    p.add_argument("--list", action="store_true", help="the mutants, without trying them")
    p.add_argument("files", nargs="*")
    args = p.parse_args()
    todo, tests = plan(args.files)
    if args.list:
        for m, _ in todo:
            print(f"{m.file}:{m.line}: {m.kind}: {m.after}")
        print(f"{len(todo)} mutants; tests: {tests}")
        return 0
    why, used, began = explanations(), set(), time.monotonic()
    count = {group: collections.Counter() for group in tests}
    with tempfile.TemporaryDirectory(prefix="makini-mutate-") as directory:
        os.chmod(directory, 0o755)
        for m, group, fate in work(todo, tests, args.jobs, pathlib.Path(directory)):
            key = f"{m.file}: {m.after}"
            if fate == "survived" and key in why:
                used.add(key)
                fate = "explained"
            count[group][fate] += 1
            if fate == "survived":
                print(f"SURVIVED {m.file}:{m.line} ({m.kind})\n  - {m.before}\n  + {m.after}", flush=True)
    stale = [k for k in why if k not in used and (not args.files or k.split(":")[0] in args.files)]
    for key in stale:
        print(f"explained.txt explains what does not survive: {key}")
    for group, c in count.items():
        print(f"{group}: {c['killed']} killed, {c['explained']} explained, {c['survived']} survived; "
              f"not counted: {c['same']} with the same code, {c['no']} that do not compile")
    print(f"{len(todo)} mutants in {(time.monotonic() - began) / 60:.1f} minutes")
    good = count and not stale and all(c["killed"] and not c["survived"] for c in count.values())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
