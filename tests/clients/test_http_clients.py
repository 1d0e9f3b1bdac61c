# SPDX-License-Identifier: Apache-2.0
"""The examples in examples/clients do what they say, in each language, with Debian's own toolchains."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import pytest

from lib.instance import BILLING, ROOT, SECTEAM, STRANGER, Instance, demote
from lib.waiting import wait_for

pytestmark = pytest.mark.root
SOURCES = ROOT / "examples" / "clients"
TOLD_BOUND = 2.0  # from a change to the line that tells it, on a free machine
HEAL_BOUND = 6.0  # from the broker's death to a stream that was taken up again
POLICY = """
environment = "production";
services = ( { name = "billing"; identity = { uid = %d; }; }, { name = "secteam"; identity = { socket = "admin"; uid = %d; }; } );
rules = ( { allow = "billing"; actions = [ "get", "watch" ]; connections = [ "acme-*" ]; },
          { allow = "secteam"; actions = [ "status", "revoke", "restore" ]; connections = [ "*" ]; } );
""" % (BILLING, SECTEAM)


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
    d = pathlib.Path(tempfile.mkdtemp(prefix="makini-clients-"))
    d.chmod(0o755)
    for f in SOURCES.iterdir():
        shutil.copy(f, d)
    yield d
    shutil.rmtree(d)


@pytest.fixture(scope="module", params=BUILDS)
def client(request, where):
    return [str(a) for a in BUILDS[request.param](where)]


@pytest.fixture
def agent():
    with Instance(policy=POLICY) as i:
        i.put("acme-crm", b"tok-crm-1")
        yield i.start()


def environ(socket):
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "MAKINI_AGENT_SOCKET": str(socket)}


def run(client, socket, *args, uid=BILLING):
    return subprocess.run([*client, *args], capture_output=True, preexec_fn=demote(uid), env=environ(socket), timeout=100)


class Running:
    """A client that goes on, and the lines that it has printed."""

    def __init__(self, client, socket, *args):
        self.lines, self.process = [], subprocess.Popen([*client, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                                        preexec_fn=demote(BILLING), env=environ(socket), start_new_session=True)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_line(self, line, times=1, bound=TOLD_BOUND):
        wait_for(f"line {line!r}", lambda: self.lines.count(line) >= times or self.process.poll() is not None, bound)
        assert self.lines.count(line) >= times, (self.lines, self.process.poll())

    def ended(self, bound=TOLD_BOUND):
        wait_for("the client's end", lambda: self.process.poll() is not None, bound)
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.reader.join()


def revoke(agent):
    agent.ctl("revoke", "acme-crm", "--socket", agent.sock("admin"))


def test_get_prints_the_token_and_nothing_else(client, agent):
    done = run(client, agent.sock(), "get", "acme-crm")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"tok-crm-1", b"")


def test_what_is_refused_has_its_exit_code_and_says_why(client, agent):
    for name, uid, code, word in (("acme-nothing", BILLING, 4, b"not_found"), ("globex-erp", BILLING, 3, b"denied"), ("acme-crm", STRANGER, 3, b"denied")):
        done = run(client, agent.sock(), "get", name, uid=uid)
        assert (done.returncode, done.stdout) == (code, b"") and word in done.stderr, (name, done)
    revoke(agent)
    done = run(client, agent.sock(), "get", "acme-crm")
    assert (done.returncode, done.stdout) == (5, b"") and b"revoked" in done.stderr, done
    done = run(client, agent.run / "nobody.sock", "get", "acme-crm")
    assert (done.returncode, done.stdout) == (6, b"") and b"cannot be reached" in done.stderr, done
    assert run(client, agent.sock(), "take", "acme-crm").returncode == 2


def test_a_long_poll_tells_a_rotation_and_ends_with_the_token(client, agent):
    with Running(client, agent.sock(), "wait", "acme-crm") as c:
        c.wait_line("token of 9 bytes", bound=5.0)
        agent.put("acme-crm", b"tok-crm-of-two")
        c.wait_line("token of 14 bytes")
        revoke(agent)
        assert c.ended() == 5


def test_a_stream_that_is_refused_has_its_exit_code_too(client, agent):
    with Running(client, agent.sock(), "watch", "globex-erp") as c:
        assert c.ended() == 3
    revoke(agent)
    with Running(client, agent.sock(), "watch", "acme-crm") as c:
        assert c.ended() == 5


def test_a_stream_is_tried_again_until_there_is_an_agent(client, agent):
    agent.stop()
    with Running(client, agent.sock(), "watch", "acme-crm") as c:
        time.sleep(1)  # so that it tries meanwhile
        agent.start()
        c.wait_line("token of 9 bytes", bound=HEAL_BOUND)


def test_a_long_poll_outlives_the_broker(client, agent):
    with Running(client, agent.sock(), "wait", "acme-crm") as c:
        c.wait_line("token of 9 bytes", bound=5.0)
        time.sleep(0.5)  # so that it waits
        broker = agent.pids()["broker"]
        os.kill(broker, signal.SIGKILL)
        wait_for("another broker", lambda: agent.pids().get("broker", broker) != broker, 5.0)
        agent.put("acme-crm", b"tok-crm-of-two")
        c.wait_line("token of 14 bytes", bound=HEAL_BOUND)


def test_a_stream_tells_a_rotation_outlives_the_broker_and_ends_with_the_token(client, agent):
    with Running(client, agent.sock(), "watch", "acme-crm") as c:
        c.wait_line("token of 9 bytes", bound=5.0)
        agent.put("acme-crm", b"tok-crm-of-two")
        c.wait_line("event rotated")
        c.wait_line("token of 14 bytes")
        broker = agent.pids()["broker"]
        os.kill(broker, signal.SIGKILL)
        wait_for("another broker", lambda: agent.pids().get("broker", broker) != broker, 5.0)
        agent.put("acme-crm", b"tok-crm-of-number-three")
        c.wait_line("token of 23 bytes", bound=HEAL_BOUND)
        revoke(agent)
        assert c.ended() == 5
    assert all("tok-" not in line for line in c.lines)
