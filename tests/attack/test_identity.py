# SPDX-License-Identifier: Apache-2.0
"""Who a caller is taken for, attacked: by becoming another program, by ending, by a process
number that is used again, by namespaces, and with the modes of the sockets thrown open."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import stat
import subprocess
import time

import pytest

from lib.instance import AGENT, BILLING, BUILD, STRANGER, SYNC, Caller, Instance, demote, held_still
from lib.racer import Racer
from lib.units import POLICY, Cgroup, UnitCaller, can_make
from lib.waiting import wait_for

pytestmark = pytest.mark.root
cgroups = pytest.mark.skipif(os.geteuid() == 0 and not can_make(), reason="cgroups cannot be made here")

LISTENERS = 'listeners = ( { name = "sync"; mode = "0600"; } );'
ASK = "/v1/tokens/acme-sap"


@contextlib.contextmanager
def started(unit, wrapper=()):
    with Instance(policy=POLICY.format(unit=unit and f'unit = "{unit}";'), conf=LISTENERS, wrapper=wrapper) as i:
        i.put("acme-sap", b"tok-sap")
        yield i.start()


@pytest.fixture(scope="module")
def plain():
    with started("") as i:
        yield i


@pytest.fixture(scope="module", params=["SO_PEERPIDFD", "as on 6.1"])
def with_unit(request):
    masked = request.param != "SO_PEERPIDFD"
    with started("billing.service", [str(BUILD / "tests" / "mask61")] if masked else ()) as i:
        i.masked = masked
        yield i


@pytest.fixture
def unit():
    with Cgroup("system.slice/billing.service") as c:
        yield c


def records(instance, event, uid):
    """How many there are of a caller; denials of one second are one record."""
    return sum(r.get("count", 1) for r in instance.audit(event) if r.get("uid") == uid)


def recorded(instance, event, uid, before):
    wait_for("its record", lambda: records(instance, event, uid) > before, 2.0)


# -- the exec race: connect, fork, become a program that looks right


@contextlib.contextmanager
def set_uid_program(instance, uid):
    """Turns whoever executes it into a process of this uid."""
    program = instance.dir / "set-uid-sleep"
    shutil.copy("/bin/sleep", program)
    os.chown(program, uid, uid)
    program.chmod(0o6755)
    yield program
    program.unlink()


def effective_uid(pid):
    return int(re.search(r"^Uid:\t\d+\t(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1])


def test_who_connected_stays_who_it_was_when_it_becomes_another_program(plain):
    """A stranger connects, forks, and turns into a process that /proc shows as the service's own."""
    before = records(plain, "deny", STRANGER)
    with set_uid_program(plain, BILLING) as program, Racer(plain.sock(), STRANGER, [program, "1000"]) as racer:
        racer.race()
        wait_for("the other program", lambda: os.readlink(f"/proc/{racer.pid}/exe") == str(program), 1.0)
        assert effective_uid(racer.pid) == BILLING  # the control: who looks at the process now sees the service
        assert racer.ask(ASK) == 403
    recorded(plain, "deny", STRANGER, before)


def test_a_service_that_becomes_another_program_is_still_the_service(plain):
    """The other side of it, and a control: the program counts for nothing, the uid for all. The audit record has the uid."""
    before = records(plain, "grant", BILLING)
    with Racer(plain.sock(), BILLING, ["/bin/sleep", "1000"]) as racer:
        assert racer.race().ask(ASK) == 200
    recorded(plain, "grant", BILLING, before)


@cgroups
def test_the_exec_race_brings_nobody_into_a_unit(with_unit, unit):
    """Outside of the unit with the service's own uid, then the unit's own program: not the unit."""
    before = records(with_unit, "deny", BILLING)
    with Racer(with_unit.sock(), BILLING, ["/bin/sleep", "1000"]) as racer:
        assert racer.race().ask(ASK) == 403
        recorded(with_unit, "deny", BILLING, before)
        unit.take(racer.pid)  # also not when it is moved there later: what counts was read at accept
        assert racer.ask(ASK) == 403
    with Racer(with_unit.sock(), BILLING, ["/bin/sleep", "1000"], cgroup=unit) as racer:  # the control
        assert racer.race().ask(ASK) == 200


# -- who connected is gone


@cgroups
def test_a_grandchild_of_a_dead_unit_process_is_denied(with_unit, unit):
    before = records(with_unit, "deny", BILLING)
    with Racer(with_unit.sock(), BILLING, cgroup=unit) as racer:
        assert racer.race().ask(ASK) == 403
        assert racer.ask(ASK) == 0  # and its connection is closed
    recorded(with_unit, "deny", BILLING, before)


def test_a_grandchild_of_a_dead_process_has_what_its_uid_may_and_no_more(plain):
    """Without a unit a connection that is handed on is delegation: it is the connector's, recorded with its uid and pid."""
    grants, denials = records(plain, "grant", BILLING), records(plain, "deny", STRANGER)
    with Racer(plain.sock(), BILLING) as racer:
        assert racer.race().ask(ASK) == 200
        wait_for("its record", lambda: any(r.get("pid") == racer.pid for r in plain.audit("grant")), 2.0)
    with Racer(plain.sock(), STRANGER) as racer:
        assert racer.race().ask(ASK) == 403
    recorded(plain, "grant", BILLING, grants)
    recorded(plain, "deny", STRANGER, denials)


# -- a number used again


class NotGiven(AssertionError):
    pass


def fork_as(pid, bound=60.0):
    """A child with this very process number, as the kernel counts on from what it is told; it only waits to be killed. Another
    process of a busy machine may have the number for a while."""
    until = time.monotonic() + bound
    while time.monotonic() < until:
        pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        child = os.fork()
        if child == 0:
            os.closerange(0, 4096)
            while True:
                signal.pause()
        if child == pid:
            return child
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        time.sleep(0.001)
    raise NotGiven(f"process number {pid} was not given again")


@cgroups
def test_a_process_number_used_again_gets_nothing_on_the_old_connection(with_unit, unit):
    first = UnitCaller(BILLING, unit)
    connection = first.connect(with_unit.sock())
    assert connection.request(ASK).status == 200
    number, before = first.pid, records(with_unit, "deny", BILLING)
    time.sleep(0.05)  # start times are told in hundredths of a second
    first.close()
    again = fork_as(number)
    try:
        unit.take(again)
        assert "billing.service" in pathlib.Path(f"/proc/{number}/cgroup").read_text()  # the control: it looks right
        assert connection.request(ASK).status == 403
    finally:
        os.kill(again, signal.SIGKILL)
        os.waitpid(again, 0)
        connection.close()
    recorded(with_unit, "deny", BILLING, before)


@cgroups
def test_a_number_used_again_before_accept_makes_nobody_of_the_unit(with_unit, unit):
    """A stranger to the unit connects and ends, and its number goes to a process of the unit, all before the agent accepts.
    Without SO_PEERPIDFD nothing tells these two apart: it stands in docs/threats.md, and the uid must still be right."""
    broker = with_unit.pids()["broker"]

    def used_again():
        """None where the number was another's for too long: who stands still for ten seconds is replaced."""
        outside = UnitCaller(BILLING if not with_unit.masked else STRANGER, None)
        with held_still(broker):
            connection = outside.connect(with_unit.sock())
            number = outside.pid
            outside.close()
            try:
                again = fork_as(number, bound=2.0)
            except NotGiven:
                connection.close()
                return None
            unit.take(again)
            return connection, again
    connection, again = next(made for _ in range(10) if (made := used_again()))
    try:
        assert connection.request(ASK).status == 403
    finally:
        os.kill(again, signal.SIGKILL)
        os.waitpid(again, 0)
        connection.close()


# -- numbers that mean nobody


def test_root_of_a_user_namespace_of_its_own_is_who_it_was_outside(plain):
    script = ("import os, socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
              "s.sendall(b'GET /v1/whoami HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n'); "
              "print(os.geteuid(), s.makefile('rb').read().decode())")

    def whoami(uid, *wrapper):
        return subprocess.run([*wrapper, "/usr/bin/python3", "-c", script, str(plain.sock())], preexec_fn=demote(uid), capture_output=True,
                              text=True, timeout=60).stdout
    inside = whoami(STRANGER, "unshare", "--user", "--map-root-user")
    assert inside.startswith("0 ") and '"service":null' in inside and f'"uid":{STRANGER}' in inside
    inside = whoami(BILLING, "unshare", "--user", "--map-root-user")  # the control
    assert inside.startswith("0 ") and '"service":"billing"' in inside and f'"uid":{BILLING}' in inside


@pytest.mark.parametrize("apart", [True, False], ids=["another pid namespace", "the same"])
def test_a_caller_without_a_process_number_is_nobody_on_a_host(apart):
    """The agent in a pid namespace of its own sees callers from outside as pid 0: their uid is right, and does not count."""
    with Instance(policy=POLICY.format(unit=""), conf=LISTENERS) as i:
        i.put("acme-sap", b"tok-sap")
        own = ["--pid", "--fork", "--kill-child", "--mount-proc"] if apart else ["--mount"]
        i.wrapper = ["/usr/bin/unshare", *own, "--", "/usr/bin/setpriv", f"--reuid={AGENT}", f"--regid={AGENT}", "--clear-groups", "--"]
        i.uid = 0
        i.start()
        assert i.token("acme-sap").status == (403 if apart else 200)
        if apart:
            wait_for("its record", lambda: any(r.get("uid") == BILLING and r.get("pid") in (0, None) for r in i.audit("deny")), 2.0)


# -- with the outer barrier removed: the mode of a socket


def forced_open(path):
    path.chmod(0o666)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666


@pytest.mark.parametrize("name, target", [("sync", ASK), ("admin", "/v1/status")])
def test_behind_a_socket_thrown_open_identity_still_refuses(plain, name, target):
    path = plain.sock(name)
    mode = stat.S_IMODE(path.stat().st_mode)
    with contextlib.closing(Caller(STRANGER)) as stranger, contextlib.closing(Caller(BILLING)) as billing:
        for caller in (stranger, billing):
            with pytest.raises(PermissionError):  # the outer barrier
                caller.connect(path)
        forced_open(path)
        before = {c.uid: records(plain, "deny", c.uid) for c in (stranger, billing)}
        try:
            for caller in (stranger, billing):
                answer = caller.get(path, target)
                assert answer.status == 403 and b"tok-" not in answer.body
                assert caller.get(path, "/v1/whoami").json()["service"] is None
            if name == "sync":  # the control: whom it is meant for gets it
                assert plain.get(ASK, uid=SYNC, sock="sync").status == 200
        finally:
            path.chmod(mode)
        for uid, n in before.items():
            recorded(plain, "deny", uid, n)


def test_a_token_is_not_to_be_had_by_a_listener_that_is_anothers(plain):
    """Billing may have it on the common socket and sync on its own: neither on the other's."""
    forced_open(plain.sock("sync"))
    try:
        assert plain.get(ASK, uid=BILLING).status == 200 and plain.get(ASK, uid=SYNC, sock="sync").status == 200
        assert plain.get(ASK, uid=SYNC).status == 403 and plain.get(ASK, uid=BILLING, sock="sync").status == 403
    finally:
        plain.sock("sync").chmod(0o600)
