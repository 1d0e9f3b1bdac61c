# SPDX-License-Identifier: Apache-2.0
"""What one caller can use up: never another caller's service."""

import array
import contextlib
import http.client
import os
import select
import socket
import time

import pytest

from lib.instance import BILLING, STRANGER, SYNC, Instance
from lib.waiting import settled, wait_for

pytestmark = pytest.mark.root
LIMITS = """limits = { connections = 400; connections_per_uid = 100; head_timeout = "1s"; write_timeout = "3s"; idle_timeout = "5s"; };"""


@pytest.fixture(scope="module")
def instance():
    with Instance() as i:
        i.write_conf(LIMITS)
        i.put("acme-sap", b"tok-sap")
        i.put("acme-big", {"access_token": "x" * 16000})
        yield i.start()


def rest_of(connection):
    """What still comes up to the orderly end; a reset before that is an error."""
    connection.sock.settimeout(60)
    got = b""
    while piece := connection.sock.recv(65536):
        got += piece
    return got


def is_over(connection):
    connection.sock.setblocking(False)
    try:
        return connection.sock.recv(1, socket.MSG_PEEK) == b""
    except BlockingIOError:
        return False


def is_cut_off(connection):
    look = select.poll()
    look.register(connection.sock, 0)
    return any(events & select.POLLHUP for _, events in look.poll(0))


def cpu(pid):
    return sum(int(x) for x in open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def at_rest(pid):
    """How many descriptors it has when those of the connections before are closed."""
    return settled(lambda: descriptors(pid))


def test_one_uid_cannot_fill_the_table(instance):
    greedy = instance.caller(STRANGER)

    def crowd():
        held = [greedy.connect(instance.sock()) for _ in range(300)]
        assert instance.token("acme-sap").status == 200  # another uid is served
        alive = 0
        for c in held:
            try:
                alive += c.request("/v1/health").status == 200
            except (OSError, http.client.HTTPException):
                pass  # refused at once
        assert alive <= 100
        for c in held:
            c.close()
        return alive
    wait_for("some are served", crowd, 1.0)  # on a machine that stood still for 5 s all were idle for too long
    wait_for("the greedy one is served again", lambda: instance.get("/v1/health", uid=STRANGER).status == 200, 1.0)


def test_a_head_that_drips_is_cut_off_by_its_own_clock(instance):
    began = time.monotonic()
    c = instance.caller(STRANGER).connect(instance.sock())
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        for b in b"GET /v1/health?" + b"x" * 200:
            c.send(bytes([b]))
            time.sleep(0.1)
    took = time.monotonic() - began
    print(f"figure: dripping head cut off: {took:.2f} s (stated 1 s)")
    assert 0.5 < took < 10
    assert c.sock.recv(65536).startswith(b"HTTP/1.1 408 ")  # behind it may be a reset, if a byte came just then
    c.close()


def test_an_idle_connection_is_closed(instance):
    c = instance.caller(STRANGER).connect(instance.sock())
    began = time.monotonic()
    assert c.request("/v1/health").status == 200
    assert rest_of(c) == b""
    took = time.monotonic() - began
    print(f"figure: idle connection closed: {took:.2f} s (stated 5 s)")
    assert 2.5 < took < 50
    c.close()


def secrets_in_use(instance):
    return instance.get("/v1/status", uid=0, sock="admin").json()["secrets_in_use"]


def test_a_reader_that_never_reads_is_cut_off_and_leaves_nothing(instance):
    broker = instance.pids()["broker"]
    before, secrets = at_rest(broker), secrets_in_use(instance)
    ask = b"GET /v1/tokens/acme-big HTTP/1.1\r\nHost: a\r\n\r\n"
    held = False
    for _ in range(5):  # again where this side stood still until it was cut off
        began = time.monotonic()
        with contextlib.closing(instance.caller(BILLING).connect(instance.sock())) as c:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            c.sock.setblocking(False)
            with pytest.raises((BlockingIOError, BrokenPipeError, ConnectionResetError)):  # the control: it reads no more, because its answers are not read
                for _ in range(20000):
                    c.send(ask)
            # The control: there is a token to be wiped, and a descriptor to be closed. It may take up what was sent only now.
            wait_for("an answer that is not read", lambda: secrets_in_use(instance) > secrets or is_cut_off(c), 1.0)
            held = descriptors(broker) > before and not is_cut_off(c)
            wait_for("cut off", lambda: descriptors(broker) <= before, 4.0)
            took = time.monotonic() - began
        if held:
            break
    assert held and took > 1.5  # stated: 3 s
    assert secrets_in_use(instance) == secrets
    assert instance.token("acme-sap").status == 200


@pytest.mark.parametrize("part", [b"", b"GET", b"GET /v1/tokens/acme-sap HTTP/1.1\r\nHo", b"GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_peers_that_hang_up_at_any_point_leave_nothing(instance, part):
    broker = instance.pids()["broker"]
    before = at_rest(broker)

    def connect():
        return instance.caller(BILLING).connect(instance.sock())

    def hang_up(c, how):
        c.send(part)
        if how is not None:
            c.sock.shutdown(how)
        c.close()
    for how in (socket.SHUT_WR, None):
        held = [connect() for _ in range(30)]
        wait_for("taken", lambda: descriptors(broker) >= before + 30, 1.0)  # the control
        for c in held:
            hang_up(c, how)
        wait_for("descriptors back", lambda: descriptors(broker) <= before, 3.0)
        for _ in range(30):
            hang_up(connect(), how)  # some before they are taken
        wait_for("descriptors back", lambda: descriptors(broker) <= before, 3.0)


def test_descriptors_sent_along_are_not_kept(instance):
    broker = instance.pids()["broker"]
    before = at_rest(broker)
    c = instance.caller(BILLING).connect(instance.sock())
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(200)]
    ask, along = b"GET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n", [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
    try:
        c.sock.sendmsg([ask], along)
    except PermissionError:  # a kernel that lets the agent refuse them says so to the sender
        c.send(ask)
    assert c.receive().status == 200
    wait_for("only the connection's own stays", lambda: descriptors(broker) == before + 1, 0.5)
    here, there = socket.socketpair()
    here.sendmsg([ask], along)
    got = array.array("i", there.recvmsg(4096, socket.CMSG_SPACE(4 * len(fds)))[1][0][2])
    assert len(got) == len(fds)  # the control: so many can be sent
    for fd in [*fds, *got]:
        os.close(fd)
    for s in (here, there, c):
        s.close()


@pytest.mark.parametrize("request_line, headers, status", [
    ("GET /v1/health?" + "a" * 9000, "", 414),
    ("GET /v1/health", "X-Long: " + "b" * 20000 + "\r\n", 431),
    ("POST /v1/health", "Content-Length: 9000000\r\n", 413),
    ("GET /v1/health", "Content-Length: 99999999999999999999999999\r\n", 413)])
def test_what_is_too_large_is_refused_and_not_read(instance, request_line, headers, status):
    c = instance.caller(BILLING).connect(instance.sock())
    c.send(f"{request_line} HTTP/1.1\r\nHost: a\r\n{headers}\r\n".encode())
    head = b""
    try:
        while piece := c.sock.recv(4096):
            head += piece
    except ConnectionResetError:
        pass  # how it ends where not all was read; the answer came before
    assert head.startswith(b"HTTP/1.1 %d " % status)
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
        before = at_rest(broker)
        held = [i.caller(SYNC).connect(i.sock()) for _ in range(90)]
        wait_for("the rest is turned away", lambda: sum(is_over(c) for c in held) > 90 - 48, 0.5)  # the control: it is full
        assert descriptors(broker) >= before + 8
        assert i.get("/v1/status", uid=0, sock="admin").status == 200  # a few are left to administrators
        spent = -cpu(broker)
        time.sleep(2.0)
        spent += cpu(broker)
        print(f"figure: CPU with no descriptor left: {spent:.2f} s in 2 s")
        assert spent < 1.0
        for c in held:
            c.close()
        wait_for("descriptors back", lambda: descriptors(broker) <= before, 2.0)
        wait_for("serving again", lambda: i.token("acme-sap").status == 200, 2.0)
        assert i.pids()["broker"] == broker
