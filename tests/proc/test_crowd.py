# SPDX-License-Identifier: Apache-2.0
"""Crowds: tens of thousands of requests, streams and long polls around a revocation, and clients that live through all of it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time

import pytest

from lib.instance import BILLING, BUILD, SECTEAM, Instance, demote
from lib.waiting import wait_for

pytestmark = pytest.mark.root
TOKEN = "tok-crowd-" + "x" * 490
POLICY = """
environment = "production";
services = ( { name = "billing"; identity = { uid = %d; }; }, { name = "secteam"; identity = { socket = "admin"; uid = %d; }; } );
rules = ( { allow = "billing"; actions = [ "get", "watch" ]; connections = [ "acme-*" ]; rate = "1000000/s"; },
          { allow = "secteam"; actions = [ "status", "revoke", "restore" ]; connections = [ "*" ]; } );
""" % (BILLING, SECTEAM)
CONF = """limits = { connections = 40000; connections_per_uid = 16000; waiters_per_uid = 4096; head_timeout = "1m"; idle_timeout = "5m"; };
admin = { two_person = []; };"""


@pytest.fixture
def production():
    with Instance(policy=POLICY, conf=CONF) as i:
        i.put("acme-sap", TOKEN.encode())
        yield i.start()


def figures(i):
    return i.get("/v1/status", uid=SECTEAM, sock="admin").json()


def program(i, name, *args, admin=True):
    """A program of tests/proc as the service, with a connection of the security team's."""
    sock = i.caller(SECTEAM).connect(i.sock("admin")).sock
    return subprocess.Popen([str(i.build / "tests" / name), str(i.sock()), *map(str, args[:2]), str(sock.fileno()), *map(str, args[2:])],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=demote(BILLING),
                            pass_fds=[sock.fileno()])


def test_from_the_return_of_a_revocation_no_answer_carries_the_token(production):
    requests, connections, watchers, polls, pages = 100000, 50, 1000, 1000, 20
    p = program(production, "revoking", "acme-sap", TOKEN, requests, connections, watchers, polls, pages)
    assert p.stdout.readline() == b"ready\n", p.stderr.read().decode()
    wait_for("all wait", lambda: [figures(production)[k] for k in ("streams", "polls")] == [watchers, polls], 2.0)
    out, err = p.communicate(b"go\n", timeout=300)
    got = json.loads(out)
    print(f"figure: {got}")
    assert p.returncode == 0 and got["wrong"] == 0, err.decode()
    assert got["before"] >= requests // 2 and got["with_token"] >= got["before"]  # it did carry it
    assert got["late"] > 1000 and got["late_with_token"] == 0
    assert (got["told"], got["polled"], got["pages_refused"]) == (watchers, polls, pages)
    assert got["gets_repeated"] > 1000 and got["gets_late"] > 0 and got["gets_late_with_token"] == 0
    grants = [r for r in production.audit("grant", "revoke")]
    assert grants[-1]["event"] == "revoke" and sum(r["event"] == "revoke" for r in grants) == 1  # no grant after it


class Services:
    """A running tests/proc/following: clients that follow one connection, as one user."""

    def __init__(self, instance, name, n, uid=BILLING):
        self.n = n
        self.process = subprocess.Popen([str(instance.build / "tests" / "following"), str(instance.sock()), name, str(n)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=demote(uid))

    def ask(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(60) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()  # after a failure it would go on asking
        self.process.wait()


def all_believe(services, what):
    """All clients of all of them; returns the time of the last change on the monotonic clock, in seconds."""
    for s in services:
        s.ask(what)
    got = [s.answer() for s in services]
    print(f"figure: {what}: {got}")
    assert sum(g["right"] for g in got) == sum(s.n for s in services), got
    return max(g["last_us"] for g in got) / 1e6


def version(i, name, uid=BILLING):
    got = []
    wait_for("its version", lambda: got.append(i.token(name, uid=uid)) or got[-1].status == 200, 5.0)  # 429 while the crowd does not read its answers
    return got[-1].json()["version"]


def admin(i, target, method, **body):
    a = i.caller(SECTEAM).connect(i.sock("admin"))
    answer = a.request(target, method, headers={"Content-Type": "application/json"} if body else None, body=json.dumps(body).encode() if body else b"")
    a.close()
    assert answer.status == 200, answer
    return answer.json()


def kill_broker(i, meanwhile=lambda: None):
    before = i.pids()["broker"]
    os.kill(before, signal.SIGKILL)
    meanwhile()
    wait_for("back", lambda: i.pids().get("broker", before) != before, 5.0)
    wait_for("served", lambda: i.get("/v1/health").status == 200, 5.0)  # 429 while the crowd does not read its answers


def test_a_thousand_services_live_through_kills_rotations_and_a_revocation_and_are_all_right(production):
    with Services(production, "acme-sap", 1000) as followers:
        all_believe([followers], version(production, "acme-sap"))
        for n in range(3):
            production.put("acme-sap", b"tok-a-%d" % n)
            kill_broker(production, lambda: n == 1 and production.put("acme-sap", b"tok-b"))
            all_believe([followers], version(production, "acme-sap"))
        admin(production, "/v1/revocations", "POST", connections=["acme-sap"], reason="a test")
        kill_broker(production)
        all_believe([followers], "410")
        admin(production, "/v1/revocations/acme-sap", "DELETE")
        production.put("acme-sap", b"tok-c")
        all_believe([followers], version(production, "acme-sap"))
        production.rm("acme-sap")
        all_believe([followers], "404")
        production.put("acme-sap", b"tok-d")
        all_believe([followers], version(production, "acme-sap"))
        followers.close()


def pss(pid):
    return int(re.search(r"^Pss:\s+(\d+)", open(f"/proc/{pid}/smaps_rollup").read(), re.M)[1])


CROWD = [BILLING + 100 + n for n in range(4)]  # no uid may have all of them
DEAF_UID = BILLING + 110
CROWD_POLICY = """
environment = "production";
services = ( %s, { name = "secteam"; identity = { socket = "admin"; uid = %d; }; } );
rules = ( %s, { allow = "secteam"; actions = [ "status", "revoke", "restore" ]; connections = [ "*" ]; } );
""" % (", ".join('{ name = "s%d"; identity = { uid = %d; }; }' % (u, u) for u in [*CROWD, DEAF_UID]), SECTEAM,
       ", ".join('{ allow = "s%d"; actions = [ "get", "watch" ]; connections = [ "acme-*" ]; rate = "1000000/s"; }' % u for u in [*CROWD, DEAF_UID]))
DEAF = 200
SANITIZED = b"__asan_init" in (BUILD / "libexec" / "makini" / "makini-broker").read_bytes()
EACH = 64 if SANITIZED else 16  # KiB of PSS that a stream may take


def test_ten_thousand_services_take_bounded_memory_and_are_all_right_beside_some_that_do_not_read():
    each = 2500
    conf = CONF.replace("idle_timeout", 'write_timeout = "5m"; idle_timeout')
    with Instance(policy=CROWD_POLICY, conf=conf) as i, contextlib.ExitStack() as all_of_them:
        i.put("acme-sap", TOKEN.encode())
        i.start()
        broker = i.pids()["broker"]
        before = pss(broker)
        services = [all_of_them.enter_context(Services(i, "acme-sap", each, uid)) for uid in CROWD]
        wait_for("all are open", lambda: figures(i)["streams"] == each * len(CROWD), 20.0)
        grown = pss(broker) - before
        print(f"figure: {grown / (each * len(CROWD)):.1f} KiB of PSS a stream")
        assert grown < EACH * each * len(CROWD)
        all_believe(services, version(i, "acme-sap", CROWD[0]))
        deaf = all_of_them.enter_context(Services(i, "acme-sap", 0, DEAF_UID))
        deaf.ask(f"deaf {DEAF}")
        assert deaf.answer() == {"deaf": DEAF}
        wait_for("they are there", lambda: figures(i)["streams"] == each * len(CROWD) + DEAF, 5.0)
        for n in range(3):
            i.put("acme-sap", b"tok-%d" % n)
            all_believe(services, version(i, "acme-sap", CROWD[0]))
        called = time.monotonic()
        admin(i, "/v1/revocations", "POST", connections=["acme-sap"], reason="a test")
        returned = time.monotonic()
        last = all_believe(services, "410")
        print(f"figure: a revocation took {returned - called:.3f} s, and {last - called:.3f} s to the last of {each * len(CROWD)} services, which asked again")
        assert pss(broker) - before < 1.25 * EACH * each * len(CROWD)
        for s in [*services, deaf]:
            s.close()
        wait_for("all are gone", lambda: figures(i)["streams"] == 0, 5.0)
