# SPDX-License-Identifier: Apache-2.0
"""What one caller can use up: never another caller's service."""

import os
import socket
import time

import pytest

from lib.instance import BILLING, STRANGER, SYNC, Instance
from lib.waiting import wait_for

pytestmark = pytest.mark.root
LIMITS = """limits = { connections = 400; connections_per_uid = 100; head_timeout = "1s"; write_timeout = "1s"; idle_timeout = "2s"; };"""


@pytest.fixture(scope="module")
def instance():
    with Instance() as i:
        i.write_conf(LIMITS)
        i.put("acme-sap", b"tok-sap")
        i.put("acme-big", {"access_token": "x" * 16000})
        yield i.start()


def ended(connection, patience=20):
    connection.sock.settimeout(patience)
    try:
        while connection.sock.recv(65536):
            pass
    except ConnectionError:
        pass


def cpu(pid):
    return sum(int(x) for x in open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_one_uid_cannot_fill_the_table(instance):
    greedy = instance.caller(STRANGER)
    held = [greedy.connect(instance.sock()) for _ in range(300)]
    assert instance.token("acme-sap").status == 200  # another uid is served
    alive = 0
    for c in held:
        try:
            alive += c.request("/v1/health").status == 200
        except (OSError, Exception):
            pass
    assert 1 <= alive <= 100
    for c in held:
        c.close()
    wait_for("the greedy one is served again", lambda: instance.get("/v1/health", uid=STRANGER).status == 200, 1.0)


def test_a_head_that_drips_is_cut_off_by_its_own_clock(instance):
    c = instance.caller(STRANGER).connect(instance.sock())
    began = time.monotonic()
    try:
        for b in b"GET /v1/health HTTP/1.1\r\nHost: a\r\nX-Slow: " + b"x" * 200:
            c.send(bytes([b]))
            time.sleep(0.1)
    except OSError:
        pass
    took = time.monotonic() - began
    print(f"figure: dripping head cut off: {took:.2f} s (stated 1 s)")
    assert took < 10
    c.close()


def test_an_idle_connection_is_closed(instance):
    c = instance.caller(STRANGER).connect(instance.sock())
    assert c.request("/v1/health").status == 200
    began = time.monotonic()
    ended(c)
    print(f"figure: idle connection closed: {time.monotonic() - began:.2f} s (stated 2 s)")
    c.close()


def test_a_reader_that_never_reads_is_cut_off_and_leaves_nothing(instance):
    broker = instance.pids()["broker"]
    before = descriptors(broker)
    c = instance.caller(BILLING).connect(instance.sock())
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    c.sock.setblocking(False)
    ask = b"GET /v1/tokens/acme-big HTTP/1.1\r\nHost: a\r\n\r\n"
    try:
        for _ in range(2000):
            c.send(ask)
    except BlockingIOError:
        pass
    except OSError:
        pass
    wait_for("cut off", lambda: descriptors(broker) <= before, 2.0)
    c.close()
    status = instance.get("/v1/status", uid=0, sock="admin").json()
    assert status["secrets_in_use"] <= 1
    assert instance.token("acme-sap").status == 200


@pytest.mark.parametrize("part", [b"", b"GET", b"GET /v1/tokens/acme-sap HTTP/1.1\r\nHo", b"GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_peers_that_hang_up_at_any_point_leave_nothing(instance, part):
    broker = instance.pids()["broker"]
    before = descriptors(broker)
    for how in (socket.SHUT_WR, None):
        for _ in range(30):
            c = instance.caller(BILLING).connect(instance.sock())
            c.send(part)
            if how is not None:
                c.sock.shutdown(how)
            c.close()
    wait_for("descriptors back", lambda: descriptors(broker) <= before, 3.0)


def test_descriptors_sent_along_are_not_kept(instance):
    import array
    broker = instance.pids()["broker"]
    before = descriptors(broker)
    c = instance.caller(BILLING).connect(instance.sock())
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(200)]
    try:
        c.sock.sendmsg([b"GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        assert c.receive().status == 200
    except OSError:
        pass  # a kernel that lets the agent refuse them says so to the sender
    assert descriptors(broker) <= before + 1
    for fd in fds:
        os.close(fd)
    c.close()


@pytest.mark.parametrize("request_line, headers, statuses", [
    ("GET /v1/health?" + "a" * 9000, "", {400, 413, 414, 431}),
    ("GET /v1/health", "X-Long: " + "b" * 20000 + "\r\n", {400, 413, 431}),
    ("POST /v1/health", "Content-Length: 9000000\r\n", {405, 413}),
    ("GET /v1/health", "Content-Length: 99999999999999999999999999\r\n", {400, 413})])
def test_what_is_too_large_is_refused_and_not_read(instance, request_line, headers, statuses):
    c = instance.caller(BILLING).connect(instance.sock())
    c.send(f"{request_line} HTTP/1.1\r\nHost: a\r\n{headers}\r\n".encode())
    head = b""
    try:
        while piece := c.sock.recv(4096):
            head += piece
    except ConnectionError:
        pass
    assert head == b"" or int(head.split()[1]) in statuses
    c.close()


def test_at_rest_it_uses_no_cpu(instance):
    pids = instance.pids()
    time.sleep(1.0)
    before = {r: cpu(p) for r, p in pids.items()}
    time.sleep(3.0)
    spent = {r: cpu(p) - before[r] for r, p in pids.items()}
    print("figure: CPU at rest, seconds in 3:", spent)
    assert sum(spent.values()) < 0.6


def test_out_of_descriptors_it_neither_spins_nor_dies_and_recovers():
    """The table of descriptors is small; clients take all there are."""
    with Instance(nofile=48) as i:
        i.put("acme-sap", b"tok-sap")
        i.start()
        assert i.token("acme-sap").status == 200
        broker = i.pids()["broker"]
        held = [i.caller(SYNC).connect(i.sock()) for _ in range(90)]
        time.sleep(0.5)
        before = cpu(broker)
        time.sleep(2.0)
        spent = cpu(broker) - before
        print(f"figure: CPU with no descriptor left: {spent:.2f} s in 2 s")
        assert spent < 1.0
        for c in held:
            c.close()
        wait_for("serving again", lambda: i.token("acme-sap").status == 200, 2.0)
        assert i.pids()["broker"] == broker
