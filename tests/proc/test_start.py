# SPDX-License-Identifier: Apache-2.0
"""How the agent starts, and how it says that it cannot."""

import os
import re
import signal
import socket
import stat
import subprocess
import time

import pytest

from lib.instance import AGENT, BILLING, START_BOUND, STRANGER, Instance, demote
from lib.ports import free_port
from lib.waiting import wait_for

pytestmark = pytest.mark.root


@pytest.fixture
def instance():
    with Instance() as i:
        i.put("acme-sap", b"tok-sap")
        yield i


def run(instance, *args, uid=AGENT):
    done = subprocess.run([str(instance.build / "bin" / "makini-agent"), *args], capture_output=True, timeout=60,
                          preexec_fn=demote(uid) if uid else None, env={"PATH": "/usr/bin:/bin"})
    return done.returncode, done.stderr.decode()


def conf(instance):
    return ["--config", str(instance.conf_dir / "agent.conf")]


def test_as_root_it_exits_1_and_names_the_remedy(instance):
    code, said = run(instance, *conf(instance), uid=0)
    assert code == 1 and "root" in said and "User=" in said
    assert not list(instance.run.iterdir())


@pytest.mark.parametrize("args", [[], ["--config"], ["--colour"], ["--config", "x", "y"]])
def test_wrong_usage_exits_2(instance, args):
    code, said = run(instance, *args)
    assert code == 2 and said


def test_version_and_help_exit_0(instance):
    assert run(instance, "--version", uid=0)[0] == 0 and run(instance, "--help", uid=0)[0] == 0


def test_check_parses_everything_and_starts_nothing(instance):
    code, _ = run(instance, *conf(instance), "--check")
    assert code == 0 and not list(instance.run.iterdir())
    instance.write_policy("environment = \"production\";\nservices = ();\nrules = ( { alow = \"x\"; } );\n")
    code, said = run(instance, *conf(instance), "--check")
    assert code == 78 and "policy.conf:3" in said and "allow" in said


def test_a_refused_configuration_exits_78(instance):
    instance.write_conf("colour = \"red\";")
    code, said = run(instance, *conf(instance))
    assert code == 78 and "colour" in said and "agent.conf" in said


def test_of_two_agents_the_second_exits_75_and_touches_nothing(instance):
    instance.start()
    before = os.stat(instance.sock()).st_ino
    code, said = run(instance, *conf(instance))
    assert code == 75 and str(instance.state) in said
    assert os.stat(instance.sock()).st_ino == before and instance.token("acme-sap").status == 200


def test_of_two_agents_started_at_once_one_wins_and_its_sockets_work(instance):
    for _ in range(20):
        command = [str(instance.build / "bin" / "makini-agent"), *conf(instance)]
        both = [subprocess.Popen(command, stderr=open(instance.log_path, "ab"), preexec_fn=demote(AGENT), env={}) for _ in range(2)]
        try:
            wait_for("one to give up", lambda: any(p.poll() is not None for p in both), 2.0)
            loser = next(p for p in both if p.poll() is not None)
            winner = next(p for p in both if p is not loser)
            assert loser.returncode == 75
            wait_for("the other to serve", lambda: instance.sock().exists() and instance.token("acme-sap").status == 200, 2.0)
            assert winner.poll() is None
        finally:
            for p in both:
                p.terminate()
                p.wait(60)
        assert winner.returncode == 0 and not list(instance.run.glob("*.sock"))


def test_systemd_is_told_at_an_abstract_address_too_and_as_often_as_it_wants(instance):
    name = f"makini-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind("\0" + name)
        s.setblocking(False)
        instance.environ = {"NOTIFY_SOCKET": "@" + name, "WATCHDOG_USEC": "400000"}
        instance.spawn()
        said, times = [], []

        def hear():
            try:
                got = s.recv(4096).decode().split("\n")
            except BlockingIOError:
                return False
            said.extend(got)
            times.extend([time.monotonic()] * ("WATCHDOG=1" in got))
            return "READY=1" in said and len(times) >= 6
        wait_for("ready, and six signs of life, one in 0.2 s", hear, START_BOUND)  # either first: it lives before it is ready
        assert times[-1] - times[-6] < 10 * 5 * 0.2

        def reloading():
            """Once more in each second: the kernel keeps a few messages for who is late, and drops the next."""
            os.kill(instance.process.pid, signal.SIGHUP)
            until = time.monotonic() + 1
            while "RELOADING=1" not in said and time.monotonic() < until:
                hear() or time.sleep(0.005)
            return "RELOADING=1" in said
        wait_for("reloading", reloading, 1.0)
        assert any(re.fullmatch(r"MONOTONIC_USEC=\d+", line) for line in said)


@pytest.mark.parametrize("key", ["runtime_dir", "state_dir"])
def test_a_directory_that_anyone_can_swap_is_refused(instance, key):
    above = instance.dir / "above"
    above.mkdir()
    above.chmod(0o777)
    path = instance.conf_dir / "agent.conf"
    lines = [f'{key} = "{above}/own";' if line.startswith(key) else line for line in path.read_text().split("\n")]
    path.write_text("\n".join(lines))
    code, said = run(instance, *conf(instance))
    assert code == 1 and key in said and f"chmod o-w {above}" in said
    assert not list(above.iterdir())


def test_sockets_have_their_modes_from_the_first(instance):
    instance.start()
    assert stat.S_IMODE(os.stat(instance.sock()).st_mode) == 0o666
    assert stat.S_IMODE(os.stat(instance.sock("admin")).st_mode) == 0o600
    assert {p.name for p in instance.run.iterdir() if p.suffix == ".sock"} == {"api.sock", "api.client.sock", "admin.sock"}


def test_a_stale_socket_of_its_own_is_taken_over(instance):
    instance.start()
    instance.process.kill()
    instance.process.wait()
    assert instance.sock().exists()
    instance.start()
    assert instance.token("acme-sap").status == 200


@pytest.mark.parametrize("kind", ["file", "directory", "symlink", "foreign socket"])
def test_what_stands_in_a_sockets_place_is_not_touched(instance, kind):
    path, elsewhere = instance.sock(), instance.dir / "elsewhere"
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    elif kind == "symlink":
        elsewhere.write_text("precious")
        path.symlink_to(elsewhere)
    else:
        s = socket.socket(socket.AF_UNIX)
        s.bind(str(path))
        os.chown(path, STRANGER, STRANGER)
    before = os.lstat(path)
    code, said = run(instance, *conf(instance))
    assert code == 1 and str(path) in said
    after = os.lstat(path)
    assert (before.st_ino, before.st_mode) == (after.st_ino, after.st_mode)
    assert kind != "symlink" or elsewhere.read_text() == "precious"


def test_a_taken_address_of_the_reporter_refuses_the_start(instance):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        instance.write_conf(reporter=f'listen = "127.0.0.1:{port}";')
        code, said = run(instance, *conf(instance))
    assert code == 1 and f"127.0.0.1:{port}" in said and "reporter" in said


def test_the_reporter_answers_livez_and_readyz(instance):
    import http.client
    port = free_port()
    instance.write_conf(reporter=f'listen = "127.0.0.1:{port}";')
    instance.start()

    def ask(path):
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        c.request("GET", path)
        r = c.getresponse()
        return r.status, r.read()
    assert ask("/livez")[0] == 200 and ask("/readyz")[0] == 200
    assert ask("/v1/tokens/acme-sap")[0] == 404 and ask("/")[0] == 404


def test_who_trickles_bytes_at_the_reporter_does_not_keep_probes_out(instance):
    port = free_port()
    instance.write_conf(reporter=f'listen = "127.0.0.1:{port}";')
    instance.start()
    slow = []

    def crowd():
        for s in slow:
            s.close()
        slow[:] = [socket.create_connection(("127.0.0.1", port), source_address=(f"127.0.0.{2 + n % 2}", 0)) for n in range(64)]

    def trickle():
        for s in slow:
            try:
                s.send(b"G")
            except OSError:
                pass

    def probe():
        trickle()
        with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.9", 0)) as s:
            s.settimeout(1)
            try:
                s.send(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                return s.recv(100).startswith(b"HTTP/1.1 200")
            except OSError:
                return False
    wait_for("they fill it", lambda: crowd() or not probe(), 1.0)  # the control: but where they came too slowly
    wait_for("answered beside them", probe, 6.0)
    for s in slow:
        s.close()


def test_the_environment_of_the_caller_of_the_agent_reaches_no_child(instance):
    instance.environ = {"MK_CANARY": "canary", "LD_PRELOAD": "", "GLIBC_TUNABLES": "", "OPENSSL_CONF": "/nonexistent"}
    instance.start()
    for role, pid in instance.pids().items():
        if role != "supervisor":
            assert b"canary" not in open(f"/proc/{pid}/environ", "rb").read()
    assert b"canary" in open(f"/proc/{instance.supervisor()}/environ", "rb").read()  # the control: it was there to inherit


def test_children_inherit_only_named_descriptors(instance):
    with open(instance.dir / "canary", "w") as canary:
        os.set_inheritable(canary.fileno(), True)
        instance.start()
        control = subprocess.Popen(["sleep", "60"], close_fds=False, preexec_fn=demote(AGENT))  # as the agent is started

    def holds_it(pid):
        return any("canary" in os.readlink(f"/proc/{pid}/fd/{n}") for n in os.listdir(f"/proc/{pid}/fd"))
    try:
        assert holds_it(control.pid)
    finally:
        control.kill()
        control.wait()
    pids = instance.pids()
    assert set(pids) == {"supervisor", "broker", "fetcher"}
    assert [role for role, pid in pids.items() if holds_it(pid)] == []


def test_a_missing_memory_lock_is_refused_and_an_exception_is_honoured_and_shown(instance):
    instance.memlock = 0
    instance.spawn()
    assert instance.process.wait(60) == 1
    assert "memory_lock" in instance.log_text() and "exceptions" in instance.log_text()
    instance.write_conf('lockdown = { exceptions = [ "memory_lock" ]; };')
    instance.start()
    assert instance.token("acme-sap", uid=BILLING).status == 200
    status = instance.get("/v1/status", uid=0, sock="admin").json()
    broker = next(p for p in status["processes"] if p["role"] == "broker")
    assert broker["lockdown"]["guards"]["memory_lock"] == "excepted"


def test_two_instances_that_share_only_the_sockets_directory_do_not_take_each_others(instance):
    """Another state_dir, so the first lock is free; the second says no before a socket is touched."""
    instance.start()
    inode = os.stat(instance.sock()).st_ino
    other = instance.dir / "state2"
    other.mkdir(mode=0o700)
    os.chown(other, AGENT, AGENT)
    second = instance.dir / "etc2"
    second.mkdir()
    (second / "policy.conf").write_text((instance.conf_dir / "policy.conf").read_text())
    text = (instance.conf_dir / "agent.conf").read_text()
    (second / "agent.conf").write_text(text.replace(f'state_dir = "{instance.state}"', f'state_dir = "{other}"')
                                       .replace('file = "store/', f'file = "{instance.state}/store/'))
    code, said = run(instance, "--config", str(second / "agent.conf"))
    assert code == 75 and "runtime_dir" in said and str(instance.run) in said
    assert os.stat(instance.sock()).st_ino == inode and instance.token("acme-sap").status == 200
    assert instance.stop() == 0
    assert subprocess.Popen([str(instance.build / "bin" / "makini-agent"), "--config", str(second / "agent.conf"), "--check"],
                            preexec_fn=demote(AGENT), stdout=subprocess.DEVNULL).wait(20) == 0  # the control: nothing else was wrong


def test_a_reload_that_is_asked_for_before_the_agent_can_do_it_waits(instance):
    """From the first thing that main does, SIGHUP is held; before that it is the loader's, and nobody can ask for a reload."""
    def held():
        return int(re.search(r"^SigBlk:\t(\w+)", open(f"/proc/{instance.process.pid}/status").read(), re.M)[1], 16) & 1

    early = 0
    for n in range(10):
        instance.spawn()
        while not held():
            assert instance.process.poll() is None
        os.kill(instance.process.pid, signal.SIGHUP)
        early += not instance.events("ready")[n:]
        wait_for("reload", lambda: len(instance.events("reloaded")) > n, 2.0)
        assert instance.process.poll() is None and instance.stop() == 0
    assert early >= 1  # each, but where the machine did something else just then
