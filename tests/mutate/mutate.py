#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Changes the code that decides who may have what, one small wrong change at a time, and
lets the unit tests find it. What they do not find is printed, and fails, unless
explained.txt says why it is no fault.

    tests/mutate/mutate.py [--jobs N] [--list] [FILE…]

Works on copies of the tree in $TMPDIR. A change after which an optimizing compiler makes
the very same code is not counted, nor is one that does not compile."""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from mutants import functions, mutants  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXPLAINED = pathlib.Path(__file__).with_name("explained.txt")
# What is mutated: groups of files that stand for one thing. Each is judged by the unit tests that name a function of the group.
GROUPS = {
    "policy": ["policy/*.c"],
    "identity": ["agent/broker/evidence.c", "agent/broker/peer.c", "agent/broker/cgroup.c", "agent/broker/vouched.c"],
    "token verification": ["agent/broker/jw?.c", "agent/broker/jw?_*.c", "agent/broker/bearer*.c"],
}
SLOW = 10.0   # a unit test that takes longer is not used
MEMORY_MB = 2048


def run(command, cwd=None, timeout=600.0):
    """(exit code, output). A command that takes too long, or too much memory, has failed."""
    environ = {**os.environ, "ASAN_OPTIONS": f"hard_rss_limit_mb={MEMORY_MB}"}
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([str(c) for c in command], cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   env=environ, start_new_session=True)
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            code = -signal.SIGALRM
        try:
            os.killpg(process.pid, signal.SIGKILL)  # also what it left behind
        except ProcessLookupError:
            pass
        process.wait()
        out.seek(0)
        return code, out.read().decode(errors="replace")


def tests_of(files):
    """The unit tests that name a function of these files, themselves or by a header of tests/unit."""
    names = {name for f in files for _, _, kind, name in functions((ROOT / f).read_text()) if "static" not in kind}
    if not names:
        return []
    word = re.compile(r"\b(" + "|".join(map(re.escape, sorted(names))) + r")\(")
    kits = {h.name for h in ROOT.glob("tests/unit/*.h") if word.search(h.read_text())}
    return sorted(t.stem for t in ROOT.glob("tests/unit/test_*.c")
                  if word.search(t.read_text()) or kits & set(re.findall(r'#include "(?:tests/unit/)?(\w+\.h)"', t.read_text())))


@dataclasses.dataclass
class Test:
    name: str
    seconds: float
    kills: int = 0


class Bench:
    """A copy of the tree with a build directory of its own."""

    def __init__(self, directory, tests):
        self.tree, self.build = directory / "tree", directory / "build"
        shutil.copytree(ROOT, self.tree, symlinks=True, ignore=shutil.ignore_patterns("build", "build-*", ".git", "__pycache__"))
        self.must("cmake", "-S", self.tree, "-B", self.build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Debug", "-DMK_TESTS=ON", "-DMK_SANITIZE=address,undefined",
                  "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", "-DCMAKE_C_FLAGS=-w")
        self.must("ninja", "-C", self.build, "-j1", *sorted(tests))
        self.commands = {c["file"]: c for c in json.loads((self.build / "compile_commands.json").read_text())}
        self.objects = {}

    @staticmethod
    def must(*command):
        code, output = run(command)
        if code != 0:
            sys.exit(f"mutate: {' '.join(map(str, command))}\n{output[-4000:]}")

    def object(self, file):
        """What an optimizing compiler makes of the file as it now stands, or None."""
        command = self.commands[str(self.tree / file)]
        words = command["command"].split(" -o ")[0].split() + ["-fno-sanitize=all", "-O2", "-g0", "-o", "/dev/stdout", "-c", str(self.tree / file), "-S"]
        with open(self.build / "object.s", "wb") as out:
            done = subprocess.run(words, cwd=command["directory"], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.DEVNULL)
        return (self.build / "object.s").read_bytes() if done.returncode == 0 else None

    def judge(self, m, tests):
        """What became of a mutant: "no code", "same code", "killed by …" or "survived"."""
        path = self.tree / m.file
        original = path.read_text()
        if m.file not in self.objects:
            self.objects[m.file] = self.object(m.file)
        try:
            path.write_text(m.text)
            made = self.object(m.file)
            if made is None or made == self.objects[m.file]:
                return "same code" if made else "no code"
            for test in sorted(tests, key=lambda t: (-t.kills, t.seconds)):  # those that found most so far
                code, _ = run(["ninja", "-C", self.build, "-j1", test.name])
                if code != 0:
                    return "no code"
                if run([self.build / "tests" / test.name], cwd=self.build, timeout=5 + 10 * test.seconds)[0] != 0:
                    test.kills += 1
                    return f"killed by {test.name}"
            return "survived"
        finally:
            path.write_text(original)


def usable(bench, names):
    """The tests of these names; all must pass without a mutant. Slow ones are left out."""
    found = []
    for name in names:
        began = time.monotonic()
        code, output = run([bench.build / "tests" / name], cwd=bench.build)
        if code != 0:
            sys.exit(f"mutate: {name} fails without any mutant:\n{output[-3000:]}")
        found.append(Test(name, time.monotonic() - began))
    return [t for t in found if t.seconds <= SLOW]


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
    """[(mutant, group)], {group: its tests}"""
    todo, tests = [], {}
    for group, globs in GROUPS.items():
        files = sorted({str(p.relative_to(ROOT)) for g in globs for p in ROOT.glob(g)})
        picked = [f for f in files if not only or f in only]
        if not picked:
            continue
        tests[group] = tests_of(files)
        if not tests[group]:
            print(f"mutate: no unit test names a function of {group}: {', '.join(files)}: all its mutants survive")
        todo += [(m, group) for f in picked for m in mutants(f, (ROOT / f).read_text())]
    return todo, tests


def work(todo, tests, jobs, directory):
    """Yields (mutant, what became of it)."""
    benches, every = queue.Queue(), {t for names in tests.values() for t in names}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for bench in pool.map(lambda n: Bench(directory / str(n), every), range(jobs)):
            benches.put(bench)
        first = benches.get()
        order = {group: usable(first, names) for group, names in tests.items()}
        benches.put(first)

        def one(job):
            bench = benches.get()
            try:
                return job[0], bench.judge(job[0], order[job[1]])
            finally:
                benches.put(bench)

        yield from pool.map(one, todo)


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
    why, used, survivors = explanations(), set(), 0
    count = {"killed": 0, "survived": 0, "explained": 0, "same": 0, "no": 0}
    with tempfile.TemporaryDirectory(prefix="makini-mutate-") as directory:
        os.chmod(directory, 0o755)
        for m, fate in work(todo, tests, args.jobs, pathlib.Path(directory)):
            key = f"{m.file}: {m.after}"
            if fate == "survived" and key in why:
                used.add(key)
                fate = "explained"
            count[fate.split()[0]] += 1
            if fate == "survived":
                survivors += 1
                print(f"SURVIVED {m.file}:{m.line} ({m.kind})\n  - {m.before}\n  + {m.after}", flush=True)
    stale = [k for k in why if k not in used and (not args.files or k.split(":")[0] in args.files)]
    for key in stale:
        print(f"explained.txt explains what does not survive: {key}")
    print(f"mutants: {count['killed']} killed, {count['explained']} explained, {survivors} survived; "
          f"not counted: {count['same']} with the same code, {count['no']} that do not compile")
    return 0 if not survivors and not stale and count["killed"] else 1


if __name__ == "__main__":
    sys.exit(main())
