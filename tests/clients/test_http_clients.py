# SPDX-License-Identifier: Apache-2.0
"""The examples in examples/clients do what they say, in each language, with Debian's own toolchains."""

import contextlib
import os
import signal
import socket
import subprocess
import time

import pytest

from lib.example import FIRST_BOUND, HEAL_BOUND, Client, an_agent, copied, revoke
from lib.instance import BILLING, SECTEAM, STRANGER
from lib.waiting import PATIENCE, wait_for

pytestmark = pytest.mark.root


def make(*argv, cwd):
    done = subprocess.run([str(a) for a in argv], cwd=cwd, capture_output=True, text=True,
                          env={**os.environ, "GOCACHE": str(cwd / "go-cache"), "GOFLAGS": "", "GO111MODULE": "off"})
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"


BUILDS = {
    "curl": lambda d: ["sh", d / "client.sh"],
    "python": lambda d: ["/usr/bin/python3", d / "client.py"],
    "node": lambda d: ["node", d / "client.mjs"],
    "go": lambda d: make("go", "vet", "client.go", cwd=d) or make("go", "build", "-o", d / "client-go", "client.go", cwd=d) or [d / "client-go"],
    "java": lambda d: make("javac", "-Xlint:all", "-Werror", "-d", d / "java", "Client.java", cwd=d) or
    ["java", "-XX:TieredStopAtLevel=1", "-cp", d / "java", "Client"],
    "rust": lambda d: make("rustc", "--edition", "2021", "-D", "warnings", "-o", d / "client-rust", "client.rs", cwd=d) or [d / "client-rust"],
}


@pytest.fixture(scope="module")
def where():
    with copied("*") as d:
        yield d


@pytest.fixture(scope="module", params=BUILDS)
def client(request, where):
    return Client(BUILDS[request.param](where), PATH="/usr/local/bin:/usr/bin:/bin", HOME="/nonexistent")


@pytest.fixture
def agent():
    with an_agent() as a:
        yield a


def test_get_prints_the_token_and_nothing_else(client, agent):
    done = client.run(agent.sock(), "get", "acme-crm")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"tok-crm-1", b"")


def test_what_is_refused_has_its_exit_code_and_says_why(client, agent):
    for name, uid, code, word in (("acme-nothing", BILLING, 4, b"not_found"), ("globex-erp", BILLING, 3, b"denied"), ("acme-crm", STRANGER, 3, b"denied")):
        found, said = client.refuses(agent.sock(), "get", name, uid=uid)
        assert found == code and word in said, (name, found, said)
    revoke(agent)
    found, said = client.refuses(agent.sock(), "get", "acme-crm")
    assert found == 5 and b"revoked" in said, (found, said)
    found, said = client.refuses(agent.run / "nobody.sock", "get", "acme-crm")
    assert found == 6 and b"cannot be reached" in said, (found, said)
    assert client.run(agent.sock(), "take", "acme-crm").returncode == 2


def test_a_long_poll_tells_a_rotation_and_ends_with_the_token(client, agent):
    with client.running(agent.sock(), "wait", "acme-crm") as c:
        c.wait_line("token of 9 bytes", bound=FIRST_BOUND)
        agent.put("acme-crm", b"tok-crm-of-two")
        c.wait_line("token of 14 bytes")
        revoke(agent)
        assert c.ended() == 5


def test_a_stream_that_is_refused_has_its_exit_code_too(client, agent):
    with client.running(agent.sock(), "watch", "globex-erp") as c:
        assert c.ended() == 3
    revoke(agent)
    with client.running(agent.sock(), "watch", "acme-crm") as c:
        assert c.ended() == 5


def another_broker(agent):
    broker = agent.pids()["broker"]
    os.kill(broker, signal.SIGKILL)
    wait_for("another broker", lambda: agent.pids().get("broker", broker) != broker, 5.0)


@contextlib.contextmanager
def hangs_up(path):
    """Where the agent listens, somebody who hangs up: a function that returns when that was done to one, and nobody is there any more."""
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))
        os.chmod(path, 0o777)
        s.listen()
        s.settimeout(FIRST_BOUND * PATIENCE)

        def once():
            s.accept()[0].close()
            os.unlink(path)
            s.close()
        yield once


def test_a_stream_is_tried_again_until_there_is_an_agent(client, agent):
    agent.stop()
    with hangs_up(agent.sock()) as tried, client.running(agent.sock(), "watch", "acme-crm") as c:
        tried()
        time.sleep(1.5)  # nobody is there at all for its next try, a second later
        agent.start()
        c.wait_line("token of 9 bytes", bound=HEAL_BOUND)


def test_a_long_poll_outlives_the_broker(client, agent):
    with client.running(agent.sock(), "wait", "acme-crm") as c:
        c.wait_line("token of 9 bytes", bound=FIRST_BOUND)
        wait_for("its poll", lambda: agent.get("/v1/status", uid=SECTEAM, sock="admin").json()["polls"] == 1, FIRST_BOUND)
        another_broker(agent)
        agent.put("acme-crm", b"tok-crm-of-two")
        c.wait_line("token of 14 bytes", bound=HEAL_BOUND)


def test_a_stream_tells_a_rotation_outlives_the_broker_and_ends_with_the_token(client, agent):
    with client.running(agent.sock(), "watch", "acme-crm") as c:
        c.wait_line("token of 9 bytes", bound=FIRST_BOUND)
        agent.put("acme-crm", b"tok-crm-of-two")
        c.wait_line("event rotated")
        c.wait_line("token of 14 bytes")
        another_broker(agent)
        agent.put("acme-crm", b"tok-crm-of-number-three")
        c.wait_line("token of 23 bytes", bound=HEAL_BOUND)
        revoke(agent)
        assert c.ended() == 5
    assert all("tok-" not in line for line in c.lines)
