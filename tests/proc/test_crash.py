# SPDX-License-Identifier: Apache-2.0
"""Processes are killed, stopped, told to end: who notices, and for how long."""

import os
import re
import signal
import subprocess
import threading
import time

import pytest

from lib.instance import AGENT, BILLING, Caller, Instance, demote, gone, hold_still
from lib.waiting import wait_for

pytestmark = pytest.mark.root


@pytest.fixture
def instance():
    with Instance() as i:
        i.put("acme-sap", b"tok-sap")
        yield i.start()


class Load(threading.Thread):
    """One client that asks again and again over fresh connections; counts what it saw."""

    def __init__(self, instance):
        super().__init__()
        self.caller, self.path = Caller(BILLING), instance.sock()
        self.ok, self.not_ready, self.refused, self.cut, self.gap = 0, 0, 0, 0, 0.0
        self.go_on, self.last = True, time.monotonic()

    def once(self):
        try:
            connection = self.caller.connect(self.path, timeout=20)
        except OSError:
            self.refused += 1
            return
        try:
            status = connection.request("/v1/tokens/acme-sap").status
        except Exception:
            self.cut += 1  # the broker died with this request in its hands
            return
        finally:
            connection.close()
        if status == 200:
            now = time.monotonic()
            self.gap, self.last, self.ok = max(self.gap, now - self.last), now, self.ok + 1
        elif status == 503:
            self.not_ready += 1
        else:
            raise AssertionError(status)

    def run(self):
        while self.go_on:
            self.once()

    def end(self):
        self.go_on = False
        self.join()
        self.caller.close()


@pytest.mark.parametrize("role", ["broker", "fetcher"])
def test_a_killed_child_refuses_nobody_a_connection_and_is_soon_back(instance, role):
    clients = [Load(instance) for _ in range(3)]
    for c in clients:
        c.start()
    try:
        for _ in range(3):
            time.sleep(0.3)
            before = sum(c.ok for c in clients)
            pid = instance.pids()[role]
            os.kill(pid, signal.SIGKILL)
            wait_for(f"{role} killed to another in its place", lambda: instance.pids().get(role, pid) != pid, 0.5)
            wait_for(f"{role} killed to the next answers", lambda: sum(c.ok for c in clients) > before + 3, 0.5)
            time.sleep(0.7)
    finally:
        for c in clients:
            c.end()
    print(f"figure: {role} killed under load: longest gap between answers {max(c.gap for c in clients):.3f} s (stated 0.5 s), "
          f"cut {sum(c.cut for c in clients)}, 503 {sum(c.not_ready for c in clients)}, ok {sum(c.ok for c in clients)}")
    assert sum(c.refused for c in clients) == 0
    assert max(c.gap for c in clients) < 5.0
    assert sum(c.cut for c in clients) <= 3 * len(clients) and (role == "broker" or sum(c.cut for c in clients) == 0)
    assert instance.verify().returncode == 0
    assert len(instance.audit("grant")) >= sum(c.ok for c in clients)


def test_a_fetcher_that_died_does_not_take_cached_tokens_along(instance):
    assert instance.token("acme-sap").status == 200
    broker = instance.pids()["broker"]
    os.kill(instance.pids()["fetcher"], signal.SIGKILL)
    assert instance.token("acme-sap").status == 200
    assert instance.pids()["broker"] == broker


def test_children_end_with_a_killed_supervisor(instance):
    pids = [p for r, p in instance.pids().items() if r != "supervisor"]
    assert len(pids) >= 2 and all(os.path.exists(f"/proc/{p}") for p in pids)
    instance.process.kill()
    wait_for("supervisor killed to all children gone", lambda: all(gone(p) for p in pids), 1.0)
    instance.process.wait()


def test_children_end_with_a_supervisor_that_is_killed_while_it_starts():
    with Instance() as i:
        i.put("acme-sap", b"tok-sap")
        seen = 0
        for n in range(20):
            before = len(i.events("child_started"))
            i.spawn()
            if n % 2:
                wait_for("a first child", lambda: len(i.events("child_started")) > before, 2.0)
            time.sleep(n * 0.0007)
            i.process.kill()
            i.process.wait()
            pids = [r["pid"] for r in i.events("child_started")[before:]]
            seen += len(pids)
            wait_for("all children gone", lambda: all(gone(p) for p in pids), 1.0)
        assert seen >= 10
        i.start()
        assert i.token("acme-sap").status == 200


def test_a_child_that_cannot_be_started_is_tried_again_without_haste(instance):
    time.sleep(10.5)  # what has lived this long is started again at once when it ends

    def nofile(soft):
        subprocess.run(["prlimit", "--pid", str(instance.process.pid), f"--nofile={soft}:"], check=True, preexec_fn=demote(AGENT))

    nofile(4)
    began = time.monotonic()
    os.kill(instance.pids()["broker"], signal.SIGKILL)
    wait_for("the next start to fail", lambda: instance.events("child_not_started"), 1.0)
    time.sleep(1)
    wait_for("another start to fail", lambda: len(instance.events("child_not_started")) >= 2, 1.0)
    assert len(instance.events("child_not_started")) <= 8 + (time.monotonic() - began) / 5  # the longest wait, after 6.3 s
    nofile(1024)
    wait_for("served again", lambda: "broker" in instance.pids() and instance.token("acme-sap").status == 200, 5.0)


def children(pid):
    return [int(p) for p in open(f"/proc/{pid}/task/{pid}/children").read().split()]


def test_as_process_1_of_a_container_it_buries_the_orphans_of_others():
    with Instance() as i:
        command = ["unshare", "--pid", "--fork", "setpriv", f"--reuid={AGENT}", f"--regid={AGENT}", "--clear-groups",
                   str(i.build / "bin" / "makini-agent"), "--config", str(i.conf_dir / "agent.conf")]
        i.process = subprocess.Popen(command, stderr=open(i.log_path, "ab"), env={"PATH": "/usr/bin:/bin"})
        wait_for("ready", lambda: i.events("ready"), 2.0)
        pid = children(i.process.pid)[0]
        try:
            own = children(pid)
            assert re.search(r"^NSpid:.*\t1$", open(f"/proc/{pid}/status").read(), re.M) and len(own) == 2
            subprocess.run(["nsenter", "-t", str(pid), "-p", "sh", "-c", "sleep 60 > /dev/null 2>&1 &"], check=True)
            wait_for("an orphan", lambda: len(children(pid)) == 3, 1.0)
            os.kill(*set(children(pid)) - set(own), signal.SIGKILL)
            wait_for("it is buried", lambda: children(pid) == own, 1.0)
        finally:
            os.kill(pid, signal.SIGTERM)
            assert i.process.wait(60) == 0  # it is drained as anywhere, though process 1 has no default for signals


def test_after_a_killed_supervisor_the_next_one_starts_and_the_chain_goes_on(instance):
    assert instance.token("acme-sap").status == 200
    instance.process.kill()
    instance.process.wait()
    instance.start()
    assert instance.token("acme-sap").status == 200
    assert instance.verify().returncode == 0


@pytest.mark.parametrize("role", ["broker", "fetcher"])
def test_a_stopped_child_is_found_by_the_watchdog_and_replaced(instance, role):
    pid = instance.pids()[role]
    hold_still(pid)
    wait_for(f"{role} stopped to replaced", lambda: instance.pids().get(role, pid) != pid, 12.0)
    wait_for("served again", lambda: instance.token("acme-sap").status == 200, 1.0)


def test_sigterm_drains_and_leaves_nothing_behind(instance):
    assert instance.token("acme-sap").status == 200
    pids = instance.pids()
    assert instance.stop() == 0
    assert all(not os.path.exists(f"/proc/{p}") for p in pids.values())
    assert not list(instance.run.glob("*.sock")) and "STOPPING=1" in instance.notifications()
    assert instance.audit()[-1]["event"] == "close" and instance.verify().returncode == 0


def test_started_with_sigchld_ignored_it_still_hears_of_its_children():
    ignore = "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    with Instance(wrapper=["/usr/bin/python3", "-c", ignore]) as i:
        i.put("acme-sap", b"tok-sap")
        i.start()
        broker = i.pids()["broker"]
        os.kill(broker, signal.SIGKILL)
        wait_for("broker killed to another in its place", lambda: i.pids().get("broker", broker) != broker, 0.5)
        assert i.token("acme-sap").status == 200


def test_a_storm_of_signals_changes_nothing(instance):
    for _ in range(300):
        os.kill(instance.process.pid, signal.SIGHUP)
    assert instance.token("acme-sap").status == 200
    for _ in range(20):
        os.kill(instance.process.pid, signal.SIGTERM)
    wait_for("drain", lambda: instance.process.poll() is not None, 5.0)
    assert instance.process.returncode == 0
