# SPDX-License-Identifier: Apache-2.0
"""Between a revocation's arrival and its acknowledgement each system call that writes is the
broker's last: after a restart it is in force, or was not acknowledged. (That each fails is
tests/unit/test_revoke_faults.c: strace cannot make a call fail below a filter.) And the last of the
whole agent, as when its host is switched off, but for what its kernel had not yet brought to the disk."""

import collections
import contextlib
import http.client
import os
import re
import shutil
import signal
import subprocess
import threading

import pytest

from lib.instance import gone
from lib.waiting import wait_for

from .test_revocation import FIRST, admin, counted, is_dead, made, restore

pytestmark = [pytest.mark.root, pytest.mark.skipif(not shutil.which("strace"), reason="no strace here")]

CALLS = ["write", "pwrite64", "fdatasync", "fsync", "ftruncate"]
WRITES = [*CALLS, "writev", "pwritev", "sendto", "sendmsg", "fallocate", "msync"]  # to whatever
MOST = 12  # of one call in one revocation, the log's and the database's together


@pytest.fixture(scope="module")
def instance():
    with made() as i:
        yield i.start()


class Faults:
    """strace on the broker: the n-th of a call is its last."""

    def __init__(self, i, call, what, n, everywhere=False):
        self.out = i.dir / "strace.out"
        self.out.write_text("")
        files = [] if everywhere else ["-P", i.state / "state.db", "-P", i.state / "state.db-wal", "-P", i.audit_log]
        self.process = subprocess.Popen(["strace", "-f", "-o", self.out, "-p", str(i.pids()["broker"]), "-e", f"trace={call}", *files,
                                         "-e", f"inject={call}:{what}:when={n}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = b""
        while b"attached" not in said:
            line = self.process.stderr.readline()
            assert line, said
            said += line

    def end(self, answered):
        if not answered:  # the broker died: strace ends with it, when it has written that down
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
        self.process.kill()  # the broker goes on, if it lives
        self.process.wait()
        self.process.stderr.close()
        return bool(re.search("INJECTED|killed by SIGKILL", self.out.read_text()))


def healthy(i):
    try:
        return i.get("/v1/health").status == 200
    except (OSError, http.client.HTTPException):  # the one that died had taken the connection
        return False


def revoked(i):
    try:
        return admin(i, FIRST, "POST", "/v1/revocations", {"connection": "acme-sap", "reason": "INC-1"}).status
    except Exception:
        return 0


def heal(i):
    """As before: the log writable, acme-sap served."""
    wait_for("a log that can be written", lambda: healthy(i), 70.0)
    assert restore(i, "acme-sap", "?values=too").status in (200, 404)
    wait_for("its token", lambda: i.token("acme-sap").status == 200, 5.0)


def each(i, call, what):
    """Every n until one is not reached. Yields after the call, with its status."""
    reached = 0
    for n in range(1, MOST + 1):
        heal(i)
        faults = Faults(i, call, what, n)
        status = revoked(i)
        hit = faults.end(status != 0)
        yield status, hit
        reached += hit
        if not hit:
            break
    else:
        raise AssertionError(f"{call} is called more than {MOST} times: not every one was reached")
    figures.append((call, what, reached))


figures = []


@pytest.mark.parametrize("call", CALLS)
def test_a_kill_at_each_write_leaves_it_in_force_or_not_acknowledged(instance, call):
    for status, hit in each(instance, call, "signal=SIGKILL"):
        assert status == 200 or hit
        wait_for("a broker", lambda: healthy(instance), 5.0)
        if status == 200:
            is_dead(instance, "acme-sap")
        assert instance.verify().returncode == 0


def test_there_were_writes_to_be_killed_at():
    reached = {(call, what): n for call, what, n in figures}
    assert reached.get(("write", "signal=SIGKILL"), 0) >= 2 and reached.get(("pwrite64", "signal=SIGKILL"), 0) >= 2, reached


def switched_off(i, call, n):
    """The whole agent at once, when its broker has made the n-th such call or acknowledged. (The answer's status or 0, was the call made?)"""
    answer, faults = [], Faults(i, call, "signal=SIGSTOP", n, everywhere=True)
    processes = list(i.pids().values())  # the supervisor first, which would start others
    asking = threading.Thread(target=lambda: answer.append(revoked(i)))
    asking.start()
    wait_for("the call, or the answer", lambda: answer or "stopped by SIGSTOP" in faults.out.read_text(), 10.0)
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):  # one dies with its parent
            os.kill(pid, signal.SIGKILL)
    i.process.wait()
    wait_for("all of it gone", lambda: all(map(gone, processes)), 5.0)
    asking.join()
    faults.end(answered=False)
    return answer[0], "stopped by SIGSTOP" in faults.out.read_text()


def wholly_dead(i):
    """Is it, name and value, or is it wholly alive? What is half of each fails."""
    if counted(i) == (1, 1):
        is_dead(i, "acme-sap")
        assert restore(i, "acme-sap").status == 200
        return is_dead(i, "acme-sap")
    assert counted(i) == (0, 0)
    assert i.token("acme-sap").json()["access_token"] == "tok-sap"
    return False


def test_the_whole_agent_switched_off_at_each_write_has_it_in_force_or_did_not_acknowledge_it():
    reached, seen = collections.Counter(), collections.Counter()
    with made() as i:
        i.start()
        for call in WRITES:
            for n in range(1, 4 * MOST):
                heal(i)
                answer, hit = switched_off(i, call, n)
                i.start()
                dead = wholly_dead(i)
                assert hit or answer == 200
                assert dead or answer != 200, f"{call} {n}: acknowledged, and not in force"
                assert i.verify().returncode == 0
                reached[call] += hit
                seen[call, answer, dead] += 1
                if not hit:
                    break
            else:
                raise AssertionError(f"{call}: not every one was reached")
    print(f"figure: switched off at {dict(reached)}: (call, answer, dead): {dict(seen)}")
    assert reached["write"] >= 2 and reached["pwrite64"] >= 2 and reached["fdatasync"] >= 2
    for call in ("pwrite64", "fdatasync"):
        assert seen[call, 0, False] and seen[call, 0, True], "some of them are before it is kept, others before it is acknowledged"
    assert seen["sendmsg", 200, True] > 1, "one of them is the acknowledgement, and once it was not reached"


def calls_of_one(i):
    """Which calls one revocation makes, and how many of each."""
    out = i.dir / "counted.out"
    heal(i)
    tracer = subprocess.Popen(["strace", "-f", "-o", out, "-p", str(i.pids()["broker"])], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while b"attached" not in tracer.stderr.readline():
        assert tracer.poll() is None
    assert revoked(i) == 200
    tracer.terminate()
    tracer.wait(20)
    tracer.stderr.close()
    return collections.Counter(re.findall(r"^\d+ +([a-z0-9_]+)\(", out.read_text(), re.M))


@pytest.mark.long
def test_a_kill_at_each_call_of_any_kind_leaves_it_in_force_or_not_acknowledged(instance):
    """Also those between the writes: from before the request is read until after its answer is sent."""
    kills = 0
    for call, times in sorted(calls_of_one(instance).items()):
        for n in range(1, times + 1):
            heal(instance)
            faults = Faults(instance, call, "signal=SIGKILL", n, everywhere=True)
            status = revoked(instance)
            kills += faults.end(status != 0)
            wait_for("a broker", lambda: healthy(instance), 5.0)
            if status == 200:
                is_dead(instance, "acme-sap")
    print(f"figure: kills: {kills}")
    assert kills > 25 and instance.verify().returncode == 0
