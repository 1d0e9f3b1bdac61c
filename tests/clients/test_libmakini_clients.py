# SPDX-License-Identifier: Apache-2.0
"""The examples for libmakini do what they say, in C, C++ and Python, built as their heads tell."""

import os
import signal
import subprocess

import pytest

from lib.example import FIRST_BOUND, HEAL_BOUND, Client, an_agent, copied, revoke
from lib.instance import BILLING, BUILD, ROOT, STRANGER

pytestmark = pytest.mark.root


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
    with copied("libmakini.*") as d:
        yield d


@pytest.fixture(scope="module", params=BUILDS)
def client(request, where):
    return Client(BUILDS[request.param](where), PATH="/usr/bin:/bin", LD_LIBRARY_PATH=str(BUILD / "lib"))


@pytest.fixture
def agent():
    with an_agent() as a:
        yield a


def test_get_prints_the_token_and_nothing_else(client, agent):
    done = client.run(agent.sock(), "get", "acme-crm")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"tok-crm-1", b"")


def test_what_is_refused_has_its_exit_code_and_says_why(client, agent):
    for name, uid, code, word in (("acme-nothing", BILLING, 4, b"no store"), ("globex-erp", BILLING, 3, b"policy"), ("acme-crm", STRANGER, 3, b"policy")):
        found, said = client.refuses(agent.sock(), "get", name, uid=uid)
        assert found == code and word in said, (name, found, said)
    revoke(agent)
    found, said = client.refuses(agent.sock(), "get", "acme-crm")
    assert found == 5 and b"revoked" in said, (found, said)
    found, said = client.refuses(agent.run / "nobody.sock", "get", "acme-crm")
    assert found == 6 and b"no agent listens" in said, (found, said)
    for args in (("take", "acme-crm"), ("get",), ()):
        assert client.run(agent.sock(), *args).returncode == 2


def test_watch_tells_a_rotation_outlives_the_broker_and_ends_with_the_token(client, agent):
    with client.running(agent.sock(), "watch", "acme-crm") as c:
        c.wait_line("acme-crm: token of 9 bytes", bound=FIRST_BOUND)
        agent.put("acme-crm", b"tok-crm-of-two")
        c.wait_line("acme-crm: token of 14 bytes")
        os.kill(agent.pids()["broker"], signal.SIGKILL)
        agent.put("acme-crm", b"tok-crm-number-three")
        c.wait_line("acme-crm: token of 20 bytes", bound=HEAL_BOUND)
        revoke(agent)
        assert c.ended() == 5
