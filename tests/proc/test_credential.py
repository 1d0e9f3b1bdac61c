# SPDX-License-Identifier: Apache-2.0
"""credential.sock: what LoadCredential=NAME:/run/makini/ENVIRONMENT/credential.sock in a
unit gets. By systemd itself where one can run in namespaces of its own; and by its side
of the protocol, replayed byte for byte."""

import contextlib
import os
import pathlib
import signal
import socket
import stat

import pytest

from lib.instance import AGENT, BILLING, SECTEAM, STRANGER, SYNC, Instance, demote, hold_still
from lib.systemd import Systemd, available
from lib.units import load_credential
from lib.waiting import wait_for

pytestmark = pytest.mark.root

POLICY = """
environment = "production";
services = (
  { name = "billing"; identity = { unit = "billing.service"; }; },
  { name = "sync"; identity = { uid = %d; unit = "sync@eu.service"; }; },
  { name = "one"; identity = { uid = %d; unit = "twice.service"; }; },
  { name = "two"; identity = { uid = %d; unit = "twice.service"; }; },
  { name = "root"; identity = { uid = 0; }; },
  { name = "secteam"; identity = { socket = "admin"; uid = %d; }; } );
rules = (
  { allow = "billing"; actions = [ "get" ]; connections = [ "acme-*" ]; },
  { deny = "billing"; connections = [ "acme-payroll" ]; },
  { allow = "sync"; actions = [ "get" ]; connections = [ "globex-*" ]; },
  { allow = "root"; actions = [ "get" ]; connections = [ "*" ]; },
  { allow = "secteam"; actions = [ "status" ]; connections = [ "*" ]; } );
""" % (SYNC, BILLING, STRANGER, SECTEAM)


@pytest.fixture(scope="module")
def running():
    with Instance(policy=POLICY) as i:
        for name in ("acme-sap", "acme-payroll", "globex-erp"):
            i.put(name, {"access_token": f"tok-{name}", "client_secret": "not-this"})
        i.put("acme-large", {"access_token": "x" * 16384})
        yield i.start()


def load(instance, unit, credential, **kw):
    return load_credential(instance.sock("credential"), unit, credential, **kw)


def records(instance, event, **wanted):
    return [r for r in instance.audit(event) if all(r.get(k) == v for k, v in wanted.items())]


def test_the_socket_is_there_for_root_alone(running):
    st = os.stat(running.sock("credential"))
    assert stat.S_ISSOCK(st.st_mode) and stat.S_IMODE(st.st_mode) == 0o600 and st.st_uid == AGENT


def test_a_unit_gets_the_bare_token_and_it_is_in_the_audit_log(running):
    assert load(running, "billing.service", "acme-sap") == b"tok-acme-sap"
    grant = records(running, "grant", connection="acme-sap", listener="credential")[-1]
    assert grant["service"] == "billing" and grant["action"] == "get"


def test_a_unit_of_a_service_with_an_identity_of_its_own_is_known_by_the_unit_alone(running):
    assert load(running, "sync@eu.service", "globex-erp") == b"tok-globex-erp"


def test_the_largest_token_comes_whole(running):
    assert load(running, "billing.service", "acme-large") == b"x" * 16384


@pytest.mark.parametrize("unit, credential", [
    ("billing.service", "acme-payroll"), ("billing.service", "globex-erp"), ("billing.service", "acme-nothing"),
    ("sync@eu.service", "acme-sap"), ("sync@us.service", "globex-erp"), ("other.service", "acme-sap"), ("twice.service", "acme-sap"),
    ("billing.service", "Acme-SAP"), ("billing.service", "acme_sap"), ("billing.service", "acme--sap"), ("billing.service", "a" * 64),
    ("billing.service", "../acme-sap"), ("billing.service", "acme-sap/x"), ("billing.socket", "acme-sap")])
def test_a_refusal_is_empty_and_recorded(running, unit, credential):
    before = sum(r.get("count", 1) for r in records(running, "deny", listener="credential"))
    assert load(running, unit, credential) == b""
    wait_for("its record", lambda: sum(r.get("count", 1) for r in records(running, "deny", listener="credential")) > before, 2.0)


@pytest.mark.parametrize("bind", [
    False, b"\0adf9", b"\0/unit/billing.service/acme-sap", b"\0xyz/unit/billing.service/acme-sap",
    b"\0adf9/user/billing.service/acme-sap", b"\0adf9/unit/billing.service", b"\0adf9/unit/billing.service/acme-sap\0"],
    ids=["unnamed", "random alone", "no random", "not hexadecimal", "not a unit", "no credential", "a zero byte"])
def test_root_without_systemds_address_gets_nothing(running, bind):
    assert load(running, "billing.service", "acme-sap", bind=bind) == b""


def test_another_user_gets_nothing_even_when_the_mode_is_forced_open(running):
    """The second barrier: whoever gets past the mode is not uid 0."""
    path = running.sock("credential")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            demote(BILLING)()
            try:
                load_credential(path, "billing.service", "acme-sap")
            except PermissionError:
                code = 42
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 42
    path.chmod(0o666)
    try:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                demote(BILLING)()
                code = 43 if load_credential(path, "billing.service", "acme-sap") == b"" else 44
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 43
    finally:
        path.chmod(0o600)
    wait_for("its record", lambda: records(running, "deny", listener="credential", uid=BILLING), 2.0)


def test_nothing_that_the_peer_says_is_read(running):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(b"\0abc/unit/billing.service/acme-sap")
        s.connect(str(running.sock("credential")))
        try:
            s.sendall(b"GET /v1/tokens/acme-payroll HTTP/1.1\r\nHost: agent\r\n\r\n")
        except BrokenPipeError:
            pass
        s.settimeout(10)
        data = b""
        try:
            while piece := s.recv(4096):
                data += piece
        except ConnectionResetError:
            pass
        assert data in (b"tok-acme-sap", b"")


def test_peers_that_do_not_read_or_leave_take_nothing_from_others(running):
    """Two hundred that connect and read nothing: each is answered and closed at once."""
    fds = pathlib.Path(f"/proc/{running.pids()['broker']}/fd")
    before = len(list(fds.iterdir()))
    with contextlib.ExitStack() as crowd:
        for n in range(200):
            s = crowd.enter_context(socket.socket(socket.AF_UNIX))
            s.bind(f"\0{n:x}/unit/billing.service/acme-large".encode())
            s.connect(str(running.sock("credential")))
        assert load(running, "billing.service", "acme-sap") == b"tok-acme-sap"
        wait_for("descriptors back", lambda: len(list(fds.iterdir())) <= before, 2.0)


def test_a_cold_token_is_waited_for_and_a_store_that_hangs_is_not(running):
    """The fetcher is stopped: who asks waits; once it goes on, the token comes."""
    running.put("acme-cold", b"tok-cold")
    fetcher = running.pids()["fetcher"]
    hold_still(fetcher)
    try:
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = 45 if load(running, "billing.service", "acme-cold") == b"tok-cold" else 46
            finally:
                os._exit(code)
        wait_for("it waits", lambda: running.get("/v1/status", uid=SECTEAM, sock="admin").json()["waiters"] == 1, 0.5)
        assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    finally:
        with contextlib.suppress(ProcessLookupError):  # where its supervisor has put another one in its place
            os.kill(fetcher, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 45


def test_without_a_service_that_has_a_unit_there_is_no_such_socket():
    with Instance() as i:
        i.start()
        assert not i.sock("credential").exists()
        i.put("acme-sap", b"tok-sap")
        i.write_policy(POLICY)
        assert i.reload()["event"] == "reloaded"
        assert load(i, "billing.service", "acme-sap") == b"tok-sap"
        i.write_policy(POLICY.replace("acme-*", "globex-*"))
        assert i.reload()["event"] == "reloaded"
        assert load(i, "billing.service", "acme-sap") == b""


UNIT = """
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
LoadCredential=acme-sap:{socket}
LoadCredential=acme-payroll:{socket}
ExecStart=/bin/sh -c 'cat %d/acme-sap > {out}.sap; cat %d/acme-payroll > {out}.payroll; cp /proc/self/cgroup {out}.cgroup'
"""


@pytest.mark.skipif(not available(), reason="no systemd can run in a namespace here")
def test_systemd_itself_loads_a_credential(running):
    out = running.dir / "loaded"
    unit = UNIT.format(socket=running.sock("credential"), out=out)
    with Systemd({"billing.service": unit}, "billing.service") as systemd:
        cgroup = out.parent / "loaded.cgroup"  # the last that is written
        wait_for("systemd", lambda: cgroup.exists() and "0::/system.slice/billing.service\n" in cgroup.read_text(), 5.0)
        assert (out.parent / "loaded.sap").read_bytes() == b"tok-acme-sap", systemd.said()
        assert (out.parent / "loaded.payroll").read_bytes() == b""  # denied: an empty credential
