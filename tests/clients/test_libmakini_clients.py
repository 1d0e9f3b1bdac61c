# SPDX-License-Identifier: Apache-2.0
"""The examples for libmakini do what they say, in C, C++ and Python, built as their heads tell."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

from lib.instance import BILLING, BUILD, ROOT, SECTEAM, STRANGER, Instance, demote
from lib.waiting import wait_for

pytestmark = pytest.mark.root
SOURCES = ROOT / "examples" / "clients"
TOLD_BOUND = 2.0  # from a change to the line that tells it, on a free machine
HEAL_BOUND = 6.0
POLICY = """
environment = "production";
services = ( { name = "billing"; identity = { uid = %d; }; }, { name = "secteam"; identity = { socket = "admin"; uid = %d; }; } );
rules = ( { allow = "billing"; actions = [ "get", "watch" ]; connections = [ "acme-*" ]; },
          { allow = "secteam"; actions = [ "status", "revoke", "restore" ]; connections = [ "*" ]; } );
""" % (BILLING, SECTEAM)


def compiled(where, compiler, source):
    program = where / source.replace(".", "-")
    done = subprocess.run([*compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", str(program), str(where / source), f"-I{ROOT}/include",
                           f"-L{BUILD}/lib", "-lmakini"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [str(program)]


BUILDS = {
    "c": lambda d: compiled(d, ["gcc"], "libmakini.c"),
    "c++": lambda d: compiled(d, ["g++", "-std=c++11"], "libmakini.cc"),
    "python": lambda d: ["/usr/bin/python3", str(d / "libmakini.py")],
}


@pytest.fixture(scope="module")
def where():
    d = pathlib.Path(tempfile.mkdtemp(prefix="makini-clients-"))
    d.chmod(0o755)
    for f in SOURCES.glob("libmakini.*"):
        shutil.copy(f, d)
    yield d
    shutil.rmtree(d)


@pytest.fixture(scope="module", params=BUILDS)
def client(request, where):
    return BUILDS[request.param](where)


@pytest.fixture
def agent():
    with Instance(policy=POLICY) as i:
        i.put("acme-crm", b"tok-crm-1")
        yield i.start()


def environ(socket):
    return {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": str(BUILD / "lib"), "MAKINI_AGENT_SOCKET": str(socket)}


def run(client, socket, *args, uid=BILLING):
    return subprocess.run([*client, *args], capture_output=True, preexec_fn=demote(uid), env=environ(socket), timeout=100)


class Running:
    """A client that goes on, and the lines that it has printed."""

    def __init__(self, client, socket, *args):
        self.lines, self.process = [], subprocess.Popen([*client, *args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                                        preexec_fn=demote(BILLING), env=environ(socket))
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_line(self, line, bound=TOLD_BOUND):
        wait_for(f"line {line!r}", lambda: line in self.lines or self.process.poll() is not None, bound)
        assert line in self.lines, (self.lines, self.process.poll())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.reader.join()


def revoke(agent):
    agent.ctl("revoke", "acme-crm", "--socket", agent.sock("admin"))


def test_get_prints_the_token_and_nothing_else(client, agent):
    done = run(client, agent.sock(), "get", "acme-crm")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"tok-crm-1", b"")


def test_what_is_refused_has_its_exit_code_and_says_why(client, agent):
    for name, uid, code, word in (("acme-nothing", BILLING, 4, b"no store"), ("globex-erp", BILLING, 3, b"policy"), ("acme-crm", STRANGER, 3, b"policy")):
        done = run(client, agent.sock(), "get", name, uid=uid)
        assert (done.returncode, done.stdout) == (code, b"") and word in done.stderr, (name, done)
    revoke(agent)
    done = run(client, agent.sock(), "get", "acme-crm")
    assert (done.returncode, done.stdout) == (5, b"") and b"revoked" in done.stderr, done
    done = run(client, agent.run / "nobody.sock", "get", "acme-crm")
    assert (done.returncode, done.stdout) == (6, b"") and b"no agent listens" in done.stderr, done
    for args in (("take", "acme-crm"), ("get",), ()):
        assert run(client, agent.sock(), *args).returncode == 2


def test_watch_tells_a_rotation_outlives_the_broker_and_ends_with_the_token(client, agent):
    with Running(client, agent.sock(), "watch", "acme-crm") as c:
        c.wait_line("acme-crm: token of 9 bytes", bound=5.0)
        agent.put("acme-crm", b"tok-crm-of-two")
        c.wait_line("acme-crm: token of 14 bytes")
        os.kill(agent.pids()["broker"], signal.SIGKILL)
        agent.put("acme-crm", b"tok-crm-number-three")
        c.wait_line("acme-crm: token of 20 bytes", bound=HEAL_BOUND)
        revoke(agent)
        wait_for("the client's end", lambda: c.process.poll() is not None, TOLD_BOUND)
        assert c.process.returncode == 5
