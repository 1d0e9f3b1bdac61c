# SPDX-License-Identifier: Apache-2.0
"""Services told apart by their systemd unit. The cgroups are real; only systemd, which
would have made them, is not there."""

import contextlib
import os
import pathlib
import signal
import socket

import pytest

from lib.client_socket import EDENIED, Client
from lib.instance import AGENT, BILLING, SECTEAM, STRANGER, SYNC, Instance, hold_still
from lib.units import POLICY, Cgroup, UnitCaller, can_make
from lib.waiting import settled, wait_for

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() == 0 and not can_make(), reason="cgroups cannot be made here")]

WITH = POLICY.format(unit='unit = "billing.service";')
LISTENERS = 'listeners = ( { name = "sync"; mode = "0666"; } );'


def instance_of(masked):
    i = Instance(policy=WITH, conf=LISTENERS)
    if masked:
        i.wrapper = [str(i.build / "tests" / "mask61")]
    return i


@pytest.fixture(scope="module", params=["SO_PEERPIDFD", "as on 6.1"])
def running(request):
    with instance_of(request.param != "SO_PEERPIDFD") as i:
        i.put("acme-sap", b"tok-sap")
        yield i.start()


@pytest.fixture
def unit():
    with Cgroup("system.slice/billing.service") as c:
        yield c


def get(instance, caller, name="acme-sap", sock="api"):
    return caller.get(instance.sock(sock), f"/v1/tokens/{name}")


def whoami(instance, caller):
    return caller.get(instance.sock(), "/v1/whoami").json()


def denials(instance):
    """How many there were; those of one second are one record."""
    return sum(r.get("count", 1) for r in instance.audit("deny") if r.get("reason") == "denied")


def test_the_unit_and_the_uid_together_make_the_service(running, unit):
    inside, outside, stranger = UnitCaller(BILLING, unit), UnitCaller(BILLING, None), UnitCaller(STRANGER, unit)
    try:
        assert get(running, inside).status == 200
        said = whoami(running, inside)
        assert said["service"] == "billing" and said["evidence"]["unit"] == "billing.service"
        assert get(running, outside).status == 403 and whoami(running, outside)["evidence"]["unit"] in (None, "")
        assert get(running, stranger).status == 403 and whoami(running, stranger)["evidence"]["unit"] == "billing.service"
    finally:
        for c in (inside, outside, stranger):
            c.close()


@pytest.mark.parametrize("path", [
    "system.slice/evil.service/billing.service", "user.slice/user-61002.slice/user@61002.service/app.slice/billing.service",
    "user.slice/user-61002.slice/session-1.scope/billing.service", "billing.slice/billing.service.d",
    "system.slice/notbilling.service", "makini-test/system.slice/billing.service"])
def test_a_cgroup_that_others_may_make_is_not_the_unit(running, path):
    with Cgroup(path) as c:
        caller = UnitCaller(BILLING, c)
        try:
            assert get(running, caller).status == 403
        finally:
            caller.close()


def test_a_cgroup_below_the_unit_is_the_unit(running):
    with Cgroup("system.slice/billing.service/workers") as c:
        caller = UnitCaller(BILLING, c)
        try:
            assert get(running, caller).status == 200
        finally:
            caller.close()


def test_evidence_is_what_was_at_accept(running, unit):
    """Moving a process later neither gives nor takes: the connection keeps what it was, the next one is looked at anew."""
    caller = UnitCaller(BILLING, None)
    try:
        connection = caller.connect(running.sock())
        assert connection.request("/v1/tokens/acme-sap").status == 403
        unit.take(caller.pid)
        assert connection.request("/v1/tokens/acme-sap").status == 403
        assert get(running, caller).status == 200
        connection.close()
    finally:
        caller.close()


def test_when_who_connected_has_ended_the_connection_is_denied_and_closed(running, unit):
    """The descriptor lives on with somebody else: a grandchild, here the test."""
    caller = UnitCaller(BILLING, unit)
    connection = caller.connect(running.sock())
    assert connection.request("/v1/tokens/acme-sap").status == 200
    before = denials(running)
    os.kill(caller.pid, signal.SIGKILL)
    os.waitid(os.P_PID, caller.pid, os.WEXITED | os.WNOWAIT)  # ended, and not waited for: a zombie is dead, too
    answer = connection.request("/v1/tokens/acme-sap")
    assert answer.status == 403 and answer.json()["code"] == "denied"
    assert connection.sock.recv(1) == b""
    wait_for("its record", lambda: denials(running) > before, 2.0)
    connection.close()
    connection = None
    caller.close()


def test_who_was_waited_for_is_just_as_dead(running, unit):
    caller = UnitCaller(BILLING, unit)
    connection = caller.connect(running.sock())
    assert connection.request("/v1/tokens/acme-sap").status == 200
    caller.close()
    assert connection.request("/v1/tokens/acme-sap").status == 403
    connection.close()


def test_the_unit_counts_on_libmakinis_socket_as_well_and_only_while_who_connected_lives(running, unit):
    def client(who):
        return Client(who.socket(running.run / "api.client.sock", kind=socket.SOCK_SEQPACKET))

    inside, outside = UnitCaller(BILLING, unit), UnitCaller(BILLING, None)
    try:
        with client(outside) as c:
            assert c.hello() == EDENIED
        with client(inside) as c:
            assert c.hello() == 0 and c.get("acme-sap").token == b"tok-sap"
            os.kill(inside.pid, signal.SIGKILL)
            os.waitid(os.P_PID, inside.pid, os.WEXITED | os.WNOWAIT)
            assert c.get("acme-sap").status == EDENIED and c.is_closed()
    finally:
        for who in (inside, outside):
            who.close()


def test_dead_before_accept_is_nobody(running, unit):
    """The broker is stopped, so that it accepts only when who connected has ended."""
    caller = UnitCaller(BILLING, unit)
    broker = running.pids()["broker"]
    hold_still(broker)
    try:
        connection = caller.connect(running.sock())
        caller.close()
    finally:
        with contextlib.suppress(ProcessLookupError):  # its supervisor may have taken it for dead; the next one accepts as well
            os.kill(broker, signal.SIGCONT)
    assert connection.request("/v1/tokens/acme-sap").status == 403
    connection.close()


def test_where_no_service_names_a_unit_nobody_asks_for_the_process(running):
    """The same on a listener of a service without one: who connected may end, as a descriptor that is handed on is delegation."""
    caller = UnitCaller(SYNC, None)
    connection = caller.connect(running.sock("sync"))
    assert connection.request("/v1/tokens/acme-sap").status == 200
    caller.close()
    assert connection.request("/v1/tokens/acme-sap").status == 200
    connection.close()


def test_descriptors_of_peers_come_back(running, unit):
    broker = pathlib.Path(f"/proc/{running.pids()['broker']}/fd")
    caller = UnitCaller(BILLING, unit)
    try:
        assert get(running, caller).status == 200
        before = settled(lambda: len(list(broker.iterdir())))  # that connection is closed
        with contextlib.ExitStack() as all_of_them:
            connections = [all_of_them.enter_context(contextlib.closing(caller.connect(running.sock()))) for _ in range(100)]
            assert all(c.request("/v1/tokens/acme-sap").status == 200 for c in connections)
            assert len(list(broker.iterdir())) >= before + 100
        wait_for("descriptors back", lambda: len(list(broker.iterdir())) <= before, 2.0)
    finally:
        caller.close()


def test_status_says_how_peers_are_told(running):
    processes = running.get("/v1/status", uid=SECTEAM, sock="admin").json()["processes"]
    guard = next(p["lockdown"]["guards"]["peer_pidfd"] for p in processes if p["role"] == "broker")
    newer = not running.wrapper and pidfd_works()
    assert guard == ("full" if newer else "fallback")


def pidfd_works():
    a, b = socket.socketpair(socket.AF_UNIX)
    try:
        os.close(a.getsockopt(socket.SOL_SOCKET, 77))
        return True
    except OSError:
        return False
    finally:
        a.close()
        b.close()


def test_a_reload_that_names_a_unit_makes_callers_connect_again(unit):
    with Instance(policy=POLICY.format(unit=""), conf=LISTENERS) as i:
        i.put("acme-sap", b"tok-sap")
        i.start()
        caller = UnitCaller(BILLING, unit)
        try:
            connection = caller.connect(i.sock())
            assert connection.request("/v1/tokens/acme-sap").status == 200
            i.write_policy(WITH)
            assert i.reload()["event"] == "reloaded"
            assert connection.sock.recv(1) == b""  # it was idle: no evidence of its unit was taken
            assert get(i, caller).status == 200
        finally:
            caller.close()


def test_where_proc_hides_others_a_unit_is_refused_with_the_remedy():
    with Instance(policy=WITH, conf=LISTENERS) as i:
        i.wrapper = ["/usr/bin/unshare", "--mount", "--", "/bin/sh", "-c",
                     'mount -t proc -o hidepid=invisible proc /proc && exec setpriv --reuid=$0 --regid=$0 --clear-groups -- "$@"', str(AGENT)]
        i.uid = 0
        i.spawn()
        assert i.process.wait(60) == 1
        refused = i.events("configuration_refused")
        assert refused and "ProtectProc" in refused[0]["text"]
