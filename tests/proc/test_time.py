# SPDX-License-Identifier: Apache-2.0
"""Time: clocks that are set, jump, stand still or start in 1970, and a machine that sleeps, never
bring a dead token back nor kill a live one unsaid.

The agent is a test build whose clocks follow a file (tests/proc/clock.c): nobody sets this machine's
clock. In suspend both clocks go on while what waits in the kernel does not, and that is what a shift
of both is."""

import datetime
import mmap
import os
import pathlib
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time

import pytest

from lib.instance import BILLING, BUILD, POLICY, SECTEAM, Instance
from lib.library import Library
from lib.waiting import wait_for

pytestmark = pytest.mark.root
HOUR = 3600
EEXPIRED = -13
DAY = 24 * HOUR
YEAR = 365 * DAY
RIGHTS = POLICY.replace('actions = [ "status", "reload" ]', 'actions = [ "status", "reload", "revoke", "restore", "freeze" ]').format(env="production")


class Clock:
    """clock.bin: seconds that the agent's clocks are ahead of the kernel's."""

    def __init__(self, path):
        path.write_bytes(bytes(24))
        with open(path, "r+b") as f:
            self.page = mmap.mmap(f.fileno(), 24)
        self.wall = self.boot = self.stands = 0

    def _write(self):
        self.page[:] = struct.pack("=qqq", int(self.wall * 1000), int(self.boot * 1000), int(self.stands * 1000))

    def set(self, wall=0, boot=0):
        """Moves them by so much more."""
        self.wall += wall
        self.boot += boot
        self._write()

    def stop(self):
        self.stands = self.now()
        self._write()

    def now(self):
        return time.time() + self.wall


@pytest.fixture()
def prefix():
    at = pathlib.Path(tempfile.mkdtemp(prefix="makini-clocked-"))
    shutil.copytree(BUILD / "clocked", at, dirs_exist_ok=True)
    shutil.copy(BUILD / "bin" / "makinictl", at / "bin")
    at.chmod(0o755)
    yield at
    shutil.rmtree(at)


@pytest.fixture()
def clock(prefix):
    return Clock(prefix / "libexec" / "makini" / "clock.bin")


@pytest.fixture()
def one(prefix, clock):
    """acme-sap has no end, acme-crm an hour."""
    with Instance(policy=RIGHTS, build=prefix) as i:
        i.put("acme-sap", b"tok-sap")
        i.put("acme-crm", lasting(clock, HOUR))
        yield i


def lasting(clock, seconds):
    end = datetime.datetime.fromtimestamp(clock.now() + seconds, datetime.timezone.utc)
    return {"access_token": "tok-crm", "expires_at": end.strftime("%Y-%m-%dT%H:%M:%SZ")}


def status(i):
    return i.get("/v1/status", uid=SECTEAM, sock="admin").json()


def alarms(i):
    return {a["code"] for a in status(i)["alarms"]}


def raised(i, *codes):
    wait_for(f"alarms {codes}", lambda: alarms(i) == set(codes), 1.0)


def served(i, name):
    r = i.token(name)
    assert r.status == 200, r.body
    return True


def refused(i, name, code):
    r = i.token(name)
    assert (r.status, r.json()["code"]) == (410, code) and b"tok-" not in r.body, r.body
    return r.json()["detail"]


def on_record(i):
    """Whether the clock was in doubt when acme-crm was refused last."""
    return [None, *(r.get("detail") for r in i.audit("deny") if r.get("connection") == "acme-crm")][-1]


def revoke(i, name):
    r = i.caller(SECTEAM).get(i.sock("admin"), "/v1/revocations", method="POST", body=b'{"connection":"%s"}' % name.encode())
    assert r.status == 200, r.body


def stopped(i):
    assert i.stop() == 0


def killed(i):
    i.process.kill()
    i.process.wait()


@pytest.mark.parametrize("end", [stopped, killed])
def test_a_start_with_the_clock_set_back_a_year_brings_nothing_back_and_says_so(one, clock, end):
    one.start()
    served(one, "acme-sap"), served(one, "acme-crm")
    revoke(one, "acme-sap")
    clock.set(wall=2 * HOUR, boot=2 * HOUR)
    refused(one, "acme-crm", "expired")
    raised(one)
    end(one)
    clock.set(wall=-YEAR)
    one.start()
    refused(one, "acme-sap", "revoked")
    assert "clock" in refused(one, "acme-crm", "expired")
    raised(one, "clock_behind")
    wait_for("the record of the refusal", lambda: on_record(one) == "clock_behind", 1.25)
    assert one.audit("alarm")[-1]["reason"] == "clock_behind"
    end(one)  # and once more: what was seen is not forgotten by a run that saw the wrong time only
    one.start()
    refused(one, "acme-sap", "revoked"), refused(one, "acme-crm", "expired")
    clock.set(wall=YEAR)
    raised(one)
    refused(one, "acme-sap", "revoked"), refused(one, "acme-crm", "expired")
    one.put("acme-crm", lasting(clock, HOUR))
    served(one, "acme-crm")  # the control
    assert one.verify().returncode == 0


def test_who_knows_that_the_clock_is_right_says_so_for_one_start(one, clock):
    one.start()
    clock.set(wall=YEAR)  # nobody noticed, for a day, and then it was put right while the agent was off
    raised(one, "clock_jumped")
    clock.set(wall=DAY, boot=DAY)
    raised(one)
    stopped(one)
    clock.set(wall=-YEAR)
    one.put("acme-crm", lasting(clock, HOUR))
    one.start()
    assert "clock" in refused(one, "acme-crm", "expired")
    raised(one, "clock_behind")
    stopped(one)
    one.write_conf('clock_behind = "accept";')
    one.start()
    served(one, "acme-crm")
    raised(one)
    assert [r.get("detail") for r in one.audit("alarm") if r["reason"] == "clock_behind"] == [None, "accepted"]
    stopped(one)
    one.write_conf()
    one.start()
    served(one, "acme-crm")
    raised(one)


def kill_broker(i):
    old = i.pids()["broker"]
    os.kill(old, signal.SIGKILL)
    wait_for("another broker", lambda: i.pids().get("broker", old) != old, 5.0)


def kill_all(i):
    killed(i)
    i.start()


@pytest.mark.parametrize("end", [kill_broker, kill_all])
def test_a_kill_with_the_clock_set_back_makes_nothing_alive_that_was_over(one, clock, end):
    one.put("acme-crm", lasting(clock, 300))
    one.start()
    served(one, "acme-crm")
    clock.set(wall=-YEAR)
    raised(one, "clock_behind")
    clock.set(wall=330, boot=330)  # less than between two times of writing the newest time down
    refused(one, "acme-crm", "expired")
    end(one)
    assert "clock" in refused(one, "acme-crm", "expired")
    raised(one, "clock_behind")
    served(one, "acme-sap")


@pytest.mark.parametrize("end", [kill_broker, kill_all])
def test_a_jump_stays_in_doubt_over_a_restart_and_is_undone_after_it(one, clock, end):
    one.start()
    clock.set(wall=YEAR)
    assert "clock" in refused(one, "acme-crm", "expired")
    end(one)
    assert "clock" in refused(one, "acme-crm", "expired")
    raised(one, "clock_jumped")
    clock.set(wall=-YEAR)
    raised(one)
    served(one, "acme-crm")
    clock.set(wall=YEAR)
    raised(one, "clock_jumped")
    stopped(one)
    clock.set(wall=-YEAR)
    one.start()
    served(one, "acme-crm")  # put right while it was off
    raised(one)


def test_who_was_refused_by_a_wrong_jump_is_told_when_it_is_undone(one, clock):
    one.start()
    served(one, "acme-crm")
    stream = one.caller(BILLING).connect(one.sock())
    stream.send(b"GET /v1/watch?connection=acme-crm HTTP/1.1\r\nHost: agent\r\n\r\n")
    wait_for("the stream", lambda: status(one)["streams"] == 1, 1.0)
    clock.set(wall=YEAR)
    refused(one, "acme-crm", "expired")
    raised(one, "clock_jumped")
    clock.set(wall=-YEAR)
    told = bytearray()

    def resync():
        try:
            told.extend(stream.sock.recv(4096, socket.MSG_DONTWAIT))
        except BlockingIOError:
            pass
        return b"event: resync" in told
    wait_for("resync", resync, 1.0)
    served(one, "acme-crm")
    stream.close()


def test_a_first_start_in_1970_works_and_is_said_until_the_clock_is_set(one, clock):
    clock.set(wall=-time.time() + 100)
    one.start()
    served(one, "acme-sap"), served(one, "acme-crm")
    raised(one, "clock_behind")
    revoke(one, "acme-sap")
    clock.set(wall=time.time() - 100)
    raised(one)
    refused(one, "acme-sap", "revoked"), served(one, "acme-crm")
    clock.set(wall=-time.time() + 100)  # back again: the time that was seen goes on
    raised(one, "clock_behind")
    clock.set(boot=HOUR + 60)
    refused(one, "acme-crm", "expired"), refused(one, "acme-sap", "revoked")


def test_a_jump_ahead_is_said_and_asked_and_undone_when_it_comes_back(one, clock):
    one.start()
    served(one, "acme-sap"), served(one, "acme-crm")
    asked = status(one)["stores"][0]["calls"]
    clock.set(wall=YEAR)
    detail = refused(one, "acme-crm", "expired")
    assert "clock" in detail and status(one)["stores"][0]["calls"] > asked
    raised(one, "clock_jumped")
    wait_for("the record of the refusal", lambda: on_record(one) == "clock_jumped", 1.25)
    served(one, "acme-sap")
    clock.set(wall=-YEAR)
    raised(one)
    served(one, "acme-sap"), served(one, "acme-crm")
    assert len(one.events("alarm_cleared")) == 1
    clock.set(wall=2 * HOUR, boot=2 * HOUR)
    assert "clock" not in refused(one, "acme-crm", "expired")


def test_a_clock_set_back_while_it_runs_prolongs_nothing(one, clock):
    one.start()
    served(one, "acme-crm")
    clock.set(wall=-YEAR)
    raised(one, "clock_behind")
    served(one, "acme-crm")
    clock.set(wall=HOUR - 60, boot=HOUR - 60)
    served(one, "acme-crm")
    clock.set(wall=120, boot=120)
    refused(one, "acme-crm", "expired")
    clock.set(wall=-YEAR)
    refused(one, "acme-crm", "expired")
    clock.set(wall=2 * YEAR)
    raised(one)
    refused(one, "acme-crm", "expired")


def test_a_frozen_clock_prolongs_nothing(one, clock):
    one.start()
    served(one, "acme-crm")
    clock.stop()
    clock.set(boot=HOUR - 60)
    served(one, "acme-crm")
    raised(one, "clock_behind")
    clock.set(boot=120)
    refused(one, "acme-crm", "expired"), served(one, "acme-sap")


def test_a_day_of_sleep_ends_what_ended_and_nothing_else(one, clock):
    one.start()
    served(one, "acme-sap"), served(one, "acme-crm")
    pids = one.pids()
    asked = status(one)["stores"][0]["calls"]
    waiting = []
    etag = one.token("acme-sap").headers["ETag"]
    poll = threading.Thread(target=lambda: waiting.append(
        Instance.get(one, "/v1/tokens/acme-sap?wait=60s", uid=BILLING, headers={"If-None-Match": etag})))
    poll.start()
    wait_for("it waits", lambda: status(one)["polls"] == 1, 1.0)
    clock.set(wall=DAY, boot=DAY)
    wait_for("a wait of 60 s is over after a day of sleep", lambda: not poll.is_alive(), 2.0)
    assert waiting[0].status == 304
    refused(one, "acme-crm", "expired"), served(one, "acme-sap")
    assert status(one)["stores"][0]["calls"] > asked  # nothing of a day ago is served unasked
    assert alarms(one) == set() and one.pids() == pids and status(one)["uptime"] >= DAY
    revoke(one, "acme-sap")
    clock.set(wall=DAY, boot=DAY)
    refused(one, "acme-sap", "revoked")


def test_a_freeze_holds_by_any_clock(one, clock):
    one.start()
    served(one, "acme-sap")
    r = one.caller(SECTEAM).get(one.sock("admin"), "/v1/freeze", method="POST", body=b"{}")
    assert r.status == 200, r.body
    for wall, boot in ((YEAR, 0), (-2 * YEAR, 0), (YEAR, 0), (DAY, DAY)):
        clock.set(wall=wall, boot=boot)
        assert one.token("acme-sap").json()["code"] == "frozen"
    stopped(one)
    clock.set(wall=-YEAR)
    one.start()
    assert one.token("acme-sap").json()["code"] == "frozen"


def test_a_wait_takes_its_time_whatever_the_wall_clock_does(one, clock):
    one.start()
    etag = one.token("acme-sap").headers["ETag"]
    for wall in (0, YEAR, -2 * YEAR):
        timer = threading.Timer(0.2, lambda: clock.set(wall=wall))
        timer.start()
        began = time.monotonic()
        r = one.get("/v1/tokens/acme-sap?wait=2s", headers={"If-None-Match": etag})
        timer.join()
        print(f"figure: wait=2s with the clock moved by {wall} s: {time.monotonic() - began:.2f} s")
        assert r.status == 304 and time.monotonic() - began >= 1.9


def test_a_client_of_libmakini_keeps_no_copy_beyond_its_end_whatever_the_clock_does(one, clock):
    one.start()
    with Library(one) as service:
        earliest = time.clock_gettime(time.CLOCK_BOOTTIME) + 9 - 1.001  # its text has whole seconds
        token = lasting(clock, 9)
        end = time.clock_gettime(time.CLOCK_BOOTTIME) + 9
        one.put("acme-crm", token)
        assert service.token("acme-crm") == "tok-crm" and service.token("acme-crm", repeated=True) == "tok-crm"
        clock.set(wall=-YEAR)
        seen = service.call("get_until", "acme-crm", "tok-crm", 60)
        while seen["first"]["rc"] == 0:  # it was asked for again, and is the same still
            assert seen["first"]["began"] < end, seen
            seen = service.call("get_until", "acme-crm", "tok-crm", 60)
        assert seen["first"]["rc"] == EEXPIRED and seen["first"]["ended"] > earliest, seen
        if seen["last"]:
            assert seen["last"]["began"] < end, seen


def test_after_a_jump_a_client_of_libmakini_asks_again_within_three_seconds(one, clock):
    one.start()
    with Library(one) as service:
        assert service.token("acme-crm") == "tok-crm" and service.token("acme-crm", repeated=True) == "tok-crm"
        clock.set(wall=YEAR)
        jumped = time.clock_gettime(time.CLOCK_BOOTTIME)
        seen = service.call("get_until", "acme-crm", "tok-crm", 30)
        print(f"figure: jump of the clock to the last copy: {(seen['last'] or {'ended': jumped})['ended'] - jumped:.3f} s (stated 3 s)")
        assert seen["first"]["rc"] == EEXPIRED and seen["first"]["began"] - jumped < 30
        assert service.token("acme-sap") == "tok-sap"
