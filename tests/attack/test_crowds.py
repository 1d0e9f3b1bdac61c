# SPDX-License-Identifier: Apache-2.0
"""What one uid can use up by numbers: ten thousand connections that idle, drip or never read,
descriptors sent along without end. Others are served meanwhile; after it all is as before."""

import array
import contextlib
import os
import pathlib
import re
import resource
import select
import signal
import socket
import statistics
import time

import pytest

from lib.instance import BILLING, BUILD, STRANGER, Instance, held_still
from lib.waiting import PATIENCE, settled, wait_for

pytestmark = pytest.mark.root
CROWD = 10_000
TABLE = 12_000  # of descriptors
STATED = 0.05  # seconds for another uid's request meanwhile
SO_PASSRIGHTS = 83  # since Linux 6.16 a socket may refuse descriptors altogether


def can_refuse():
    with socket.socket(socket.AF_UNIX) as s:
        try:
            s.setsockopt(socket.SOL_SOCKET, SO_PASSRIGHTS, 0)
            return True
        except OSError:
            return False


REFUSES = can_refuse()


def cpu(pid):
    return sum(int(x) for x in open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident(pid):
    return int(re.search(r"^VmRSS:\s+(\d+)", open(f"/proc/{pid}/status").read(), re.M)[1]) // 1024


def denied(instance):
    return sum(r.get("count", 1) for r in instance.audit("deny") if r.get("uid") == STRANGER)


class Crowd:
    """A process of a uid with many connections, and one habit. says(): how many it has, as it last told."""

    def __init__(self, path, uid, count, habit):
        self.told, out = os.pipe()
        os.set_blocking(self.told, False)
        self.count, self.text = 0, b""
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(self.told)
                resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                self._be(str(path), count, habit, out)
            finally:
                os._exit(0)
        os.close(out)

    @staticmethod
    def _be(path, count, habit, out):
        socks = []
        for n in range(count):
            s = socket.socket(socket.AF_UNIX)
            s.setblocking(False)
            while True:
                try:
                    s.connect(path)
                    break
                except BlockingIOError:  # the queue of who knocks is full
                    time.sleep(0.002)
            socks.append(s)
            if habit == "never reads":
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
            if n % 100 == 99 or n == count - 1:
                os.write(out, b"%d\n" % (n + 1))
        if habit == "drips":
            for k in range(60):
                began = time.monotonic()
                for s in socks:
                    with contextlib.suppress(OSError):
                        s.send(b"GET /v1/health HTTP/1.1\r\nX-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"[k:k + 1])
                time.sleep(max(0.0, 1.0 - (time.monotonic() - began)))
        elif habit == "never reads":
            ask = b"GET /v1/tokens/acme-sap HTTP/1.1\r\nHost: a\r\n\r\n" * 20
            while True:
                for s in socks:
                    with contextlib.suppress(OSError):
                        s.send(ask)
                time.sleep(0.2)
        while True:
            signal.pause()

    def says(self):
        with contextlib.suppress(BlockingIOError):
            self.text += os.read(self.told, 1 << 16)
        numbers = self.text.split()
        return int(numbers[-1]) if numbers else 0

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.told)


def meanwhile(instance, seconds, connection):
    """How long another uid's requests take, on a connection it has and by a new one."""
    taken = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for ask in (lambda: connection.request("/v1/tokens/acme-sap"), lambda: instance.token("acme-sap")):
            began = time.monotonic()
            assert ask().status == 200
            taken.append(time.monotonic() - began)
        time.sleep(0.02)
    return taken


@pytest.fixture(scope="module")
def roomy():
    """More of one uid than the crowd is: nothing but the agent's own thrift protects it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < TABLE:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, TABLE))  # root may
    with Instance(nofile=TABLE) as i:
        i.write_conf("limits = { connections = 22000; connections_per_uid = 11000; head_timeout = \"20s\"; idle_timeout = \"5m\"; write_timeout = \"20s\"; };")
        i.put("acme-sap", b"tok-sap")
        yield i.start()


@pytest.mark.parametrize("habit", ["idles", "drips", "never reads"])
def test_ten_thousand_connections_of_one_uid_take_nothing_from_another(roomy, habit):
    instance = roomy
    wait_for("a broker", lambda: "broker" in instance.pids(), 2.0)  # whatever came of the test before
    broker = instance.pids()["broker"]
    other = instance.caller(BILLING).connect(instance.sock())
    assert other.request("/v1/tokens/acme-sap").status == 200
    before, memory = settled(lambda: descriptors(broker)), resident(broker)
    asked = denied(instance)
    quiet = -cpu(broker)
    time.sleep(2.0)
    quiet += cpu(broker)
    crowd = Crowd(instance.sock(), STRANGER, CROWD, habit)
    try:
        taken = []
        began = time.monotonic()
        while crowd.says() < CROWD and time.monotonic() - began < 120:
            taken += meanwhile(instance, 0.3, other)
        if habit == "never reads":  # the control: they came and asked; answers that one uid leaves unread have an end, which ends most of them
            assert crowd.says() == CROWD
            wait_for("what they asked is on record", lambda: denied(instance) > asked + CROWD, 3.0)
        else:
            wait_for("all of them taken", lambda: descriptors(broker) >= before + CROWD * 0.99, 3.0)  # the control: they are there
        busy = -cpu(broker)
        taken += meanwhile(instance, 5.0, other)
        busy += cpu(broker)
        heavy = resident(broker)
        if habit == "idles":
            assert busy < 2.0
    finally:
        crowd.close()
    back = wait_for("descriptors back", lambda: descriptors(broker) <= before, 3.0)
    time.sleep(0.5)
    rest = -cpu(broker)
    time.sleep(2.0)
    rest += cpu(broker)
    print(f"figure: 10,000 connections of one uid, each {habit}: another uid's request took median {statistics.median(taken) * 1000:.2f} ms, "
          f"longest {max(taken) * 1000:.1f} ms (stated {STATED * 1000:.0f}), {len(taken)} of them; broker's CPU {busy:.2f} s in 5 s, "
          f"then at rest {rest:.2f} in 2 s (before {quiet:.2f}); memory {memory}, {heavy}, {resident(broker)} MiB; all back in {back:.2f} s")
    assert statistics.median(taken) < PATIENCE * STATED
    assert rest < 0.6 and other.request("/v1/tokens/acme-sap").status == 200
    other.close()
    assert instance.pids()["broker"] == broker


def test_with_limits_as_they_come_a_crowd_gets_its_part_and_no_more():
    """The outer barrier, which the tests above had removed: connections_per_uid."""
    with Instance() as i:
        i.put("acme-sap", b"tok-sap")
        i.start()
        broker = i.pids()["broker"]
        before = settled(lambda: descriptors(broker))
        crowd = Crowd(i.sock(), STRANGER, 3000, "idles")
        try:
            wait_for("all of them knocked", lambda: crowd.says() >= 3000, 5.0)
            wait_for("its part", lambda: descriptors(broker) >= before + 1000, 2.0)  # the control
            wait_for("the rest turned away", lambda: descriptors(broker) <= before + 1024 + 8, 2.0)
            assert i.token("acme-sap").status == 200
        finally:
            crowd.close()
        wait_for("descriptors back", lambda: descriptors(broker) <= before, 3.0)


def flood(connection, messages, per_message):
    """Sends messages with so many descriptors each, as many as the kernel lets; how many descriptors got out."""
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(per_message)]
    sent = 0
    try:
        for _ in range(messages):
            sent += bool(connection.sendmsg([b"G"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))], socket.MSG_DONTWAIT)) * len(fds)
    except OSError:
        pass
    finally:
        for fd in fds:
            os.close(fd)
    return sent


@pytest.mark.parametrize("masked", [False, True], ids=["this kernel", "as on 6.1"])
def test_a_flood_of_descriptors_leaves_none_in_the_broker(masked):
    """253 with each message, as many as there may be, on many connections, to a broker that stands still and finds them all at once."""
    with Instance(wrapper=[str(BUILD / "tests" / "mask61")] if masked else ()) as i:
        i.put("acme-sap", b"tok-sap")
        i.start()
        broker = i.pids()["broker"]
        before = settled(lambda: descriptors(broker))
        caller = i.caller(STRANGER)
        socks = [caller.connect(i.sock()).sock for _ in range(40)]
        wait_for("taken", lambda: descriptors(broker) >= before + 40, 1.0)
        with held_still(broker):
            sent = sum(flood(s, 4, 253) for s in socks)
        print(f"figure: descriptors that the kernel let through to a broker {'as on 6.1' if masked else 'here'}: {sent}")
        here, there = socket.socketpair()
        assert flood(here, 4, 253) >= 253 * 4  # the control: a socket that takes them gets them
        here.close()
        there.close()
        assert sent >= 40 * 253 if masked else sent == 0 or not REFUSES
        assert i.token("acme-sap").status == 200
        for _ in range(200):
            assert descriptors(broker) <= before + 41
            time.sleep(0.001)
        for s in socks:
            s.close()
        wait_for("descriptors back", lambda: descriptors(broker) <= before, 3.0)
        assert i.pids()["broker"] == broker and not [r for r in i.audit("grant") if r["uid"] == STRANGER]


def abstract_names(text):
    return {line.split()[6]: line.split()[7] for line in text.splitlines()[1:] if len(line.split()) > 7 and line.split()[7].startswith("@")}


def sockets(pid):
    """Inodes of the sockets that it holds; a descriptor may be closed while they are looked at."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found |= set(re.findall(r"^socket:\[(\d+)\]$", os.readlink(f"/proc/{pid}/fd/{fd}")))
    return found


def test_no_process_of_the_agent_listens_at_an_abstract_address():
    """Whoever shares the network namespace reaches those, whatever the modes of directories. There are none, and one made up leads nowhere."""
    with Instance() as i:
        i.put("acme-sap", b"tok-sap")
        i.start()
        with socket.socket(socket.AF_UNIX) as own:
            own.bind(f"\0makini-control-{os.getpid()}")
            own.listen()
            found = abstract_names(pathlib.Path("/proc/net/unix").read_text())
            assert any(name.startswith("@makini-control") for name in found.values())  # the control
            for role, pid in i.pids().items():
                inodes = sockets(pid)
                assert inodes and not inodes & set(found), (role, [found[i] for i in inodes & set(found)])
        for name in (f"\0{i.sock()}", f"\0{i.run.name}/api.sock", "\0makini", "\0/run/makini/production/api.sock"):
            with socket.socket(socket.AF_UNIX) as s, pytest.raises(ConnectionRefusedError):
                s.connect(name)


def test_connections_that_are_opened_and_dropped_without_end_leave_nothing(roomy):
    """A storm of five seconds, some with half a head; another uid is served, and after it nothing is left."""
    instance = roomy
    broker = instance.pids()["broker"]
    before = settled(lambda: descriptors(broker))
    other = instance.caller(BILLING).connect(instance.sock())
    pid = os.fork()
    if pid == 0:
        try:
            os.setresuid(STRANGER, STRANGER, STRANGER)
            while True:
                s = socket.socket(socket.AF_UNIX)
                s.connect(str(instance.sock()))
                s.send(b"GET /v1/tokens/acme-sap HTTP/1.1\r\nHo")
                s.close()
        finally:
            os._exit(0)
    try:
        taken = meanwhile(instance, 5.0, other)
        assert select.select([], [], [], 0) == ([], [], [])
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        other.close()
    print(f"figure: meanwhile a request took median {statistics.median(taken) * 1000:.2f} ms, longest {max(taken) * 1000:.1f} ms")
    assert statistics.median(taken) < PATIENCE * STATED
    wait_for("descriptors back", lambda: descriptors(broker) <= before, 3.0)
