# SPDX-License-Identifier: Apache-2.0
"""No record, no token: the audit log's disk full, read-only, gone; and what a verifier finds."""

import contextlib
import json
import os
import random
import shutil
import subprocess
import tempfile
import time

import pytest

from lib.instance import AGENT, BILLING, SECTEAM, STRANGER, Instance
from lib.waiting import wait_for

pytestmark = pytest.mark.root
SIZE = 512 * 1024


@contextlib.contextmanager
def small_disk():
    """A file system of its own for the log."""
    where = tempfile.mkdtemp(prefix="makini-log-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0755", "tmpfs", where], check=True)
    try:
        yield where
    finally:
        subprocess.run(["umount", "-l", where], check=True)
        os.rmdir(where)


@pytest.fixture
def instance():
    with small_disk() as disk, Instance(audit_dir=f"{disk}/log") as i:
        i.disk = disk
        i.put("acme-sap", b"tok-sap")
        yield i.start()


def health(instance):
    a = instance.get("/v1/health", uid=STRANGER)
    return a.status, a.json().get("reasons")


def refused(instance):
    a = instance.token("acme-sap")
    assert (b"tok-" in a.body) == (a.status == 200)
    return a.status == 503 and a.json()["code"] == "not_ready"


def heals(instance):
    wait_for("log writable to ready", lambda: health(instance) == (200, None), 2.0)
    assert instance.token("acme-sap").status == 200
    assert instance.verify().returncode == 0


def test_a_full_disk_stops_tokens_and_heals_by_itself(instance):
    served = 0
    ballast = open(f"{instance.disk}/ballast", "wb")
    with contextlib.suppress(OSError):
        while True:
            os.write(ballast.fileno(), b"x" * 4096)
    wait_for("disk full to refusal", lambda: refused(instance), 5.0)
    wait_for("health says why", lambda: health(instance) == (503, ["audit_unavailable"]), 1.0)
    for _ in range(50):
        assert refused(instance)
    status = instance.get("/v1/status", uid=SECTEAM, sock="admin")
    assert status.status == 503  # an administrative act needs its record, too
    os.ftruncate(ballast.fileno(), 0)
    ballast.close()
    heals(instance)
    served = len(instance.audit("grant"))
    assert served >= 1
    assert any(r["event"] == "alarm" for r in instance.audit())


def test_each_200_has_its_grant_record_while_the_disk_comes_and_goes(instance):
    random.seed(7)
    ok, c = 0, instance.caller(BILLING)
    ballast = open(f"{instance.disk}/ballast", "wb")
    for turn in range(6):
        if turn % 2:
            with contextlib.suppress(OSError):
                while True:
                    os.write(ballast.fileno(), b"x" * 1024)
        for _ in range(120):
            a = c.get(instance.sock(), "/v1/tokens/acme-sap")
            assert a.status in (200, 503)
            ok += a.status == 200
        os.ftruncate(ballast.fileno(), 0)
        os.lseek(ballast.fileno(), 0, os.SEEK_SET)
        wait_for("healed", lambda: health(instance)[0] == 200, 2.0)
    ballast.close()
    assert ok >= 360 and len(instance.audit("grant")) == ok
    assert instance.verify().returncode == 0


def test_a_file_limit_stops_tokens_and_not_the_broker():
    with Instance() as i:
        i.wrapper = ["prlimit", "--fsize=65536"]
        i.put("acme-sap", b"tok-sap")
        i.start()
        broker = i.pids()["broker"]
        wait_for("limit to refusal", lambda: refused(i), 5.0)
        wait_for("health says why", lambda: health(i) == (503, ["audit_unavailable"]), 1.0)
        assert i.audit_log.stat().st_size <= 65536 and i.pids()["broker"] == broker
        i.audit_log.rename(i.dir / "full.jsonl")  # a new one has room again
        wait_for("ready again", lambda: health(i) == (200, None), 2.0)
        assert i.token("acme-sap").status == 200 and i.pids()["broker"] == broker
        assert i.verify(i.dir / "full.jsonl", i.audit_log).returncode == 0


def test_a_log_that_was_removed_is_begun_anew_and_the_chain_tells(instance):
    assert instance.token("acme-sap").status == 200
    instance.audit_log.unlink()
    wait_for("a new log", lambda: instance.audit_log.exists(), 2.0)
    wait_for("serving", lambda: instance.token("acme-sap").status == 200, 2.0)
    assert instance.audit()[0]["seq"] > 1  # what is missing is visible
    assert any(r["event"] == "alarm" for r in instance.audit())


def test_no_token_leaves_while_the_logs_directory_is_gone(instance):
    assert instance.token("acme-sap").status == 200
    away = instance.audit_dir.with_name("away")
    instance.audit_dir.rename(away)
    wait_for("directory gone to refusal", lambda: time.sleep(0.05) or refused(instance), 2.0)
    wait_for("health says why", lambda: health(instance) == (503, ["audit_unavailable"]), 1.0)
    away.rename(instance.audit_dir)
    wait_for("ready again", lambda: health(instance)[0] == 200, 2.0)
    assert instance.token("acme-sap").status == 200 and instance.verify().returncode == 0


def test_a_log_directory_that_was_removed_and_made_anew_is_taken_up_by_a_fresh_broker(instance):
    assert instance.token("acme-sap").status == 200
    broker = instance.pids()["broker"]
    shutil.rmtree(instance.audit_dir)
    wait_for("directory removed to refusal", lambda: refused(instance), 2.0)
    instance.audit_dir.mkdir(mode=0o700)
    os.chown(instance.audit_dir, AGENT, AGENT)

    def serving():
        try:
            return instance.token("acme-sap").status == 200
        except ConnectionError:
            return False  # it was accepted by the broker that ended just then

    wait_for("made anew to serving", serving, 2.0)
    assert instance.pids()["broker"] != broker
    assert any(r["event"] == "alarm" for r in instance.audit())  # what is missing is said


def test_no_token_leaves_when_nothing_new_may_be_made_where_the_log_was(instance):
    os.chown(instance.audit_dir, 0, 0)
    os.chmod(instance.audit_dir, 0o555)
    instance.audit_log.unlink()  # last: nobody begins another one before that is refused
    wait_for("read-only to refusal", lambda: refused(instance), 2.0)
    os.chmod(instance.audit_dir, 0o700)
    os.chown(instance.audit_dir, AGENT, AGENT)
    wait_for("ready again", lambda: health(instance)[0] == 200, 2.0)


def test_an_agent_that_cannot_write_its_log_does_not_start():
    with Instance() as i:
        os.chown(i.audit_dir, 0, 0)
        os.chmod(i.audit_dir, 0o555)
        i.spawn()
        assert i.process.wait(60) == 1 and "audit" in i.log_text()


def test_segments_rotate_and_verify_together():
    with Instance() as i:
        i.write_conf(audit='max_size = "64KB"; keep = 4;')
        i.put("acme-sap", b"tok-sap")
        i.start()
        c = i.caller(BILLING).connect(i.sock())
        for _ in range(1500):
            assert c.request("/v1/tokens/acme-sap").status == 200
        c.close()
        segments = sorted(i.audit_dir.glob("audit.jsonl.[0-9]*"))
        assert len(segments) == 4 and all(s.stat().st_size <= 64 * 1024 for s in segments)
        assert i.stop() == 0
        assert i.verify().returncode == 0
        assert i.verify(segments[0], segments[2], i.audit_log, check=False).returncode == 1  # one left out


def test_denials_of_a_caller_are_counted_and_cannot_fill_the_disk(instance):
    c = instance.caller(STRANGER).connect(instance.sock())
    before = instance.audit_log.stat().st_size
    began = time.monotonic()
    for n in range(3000):
        assert c.request(f"/v1/tokens/name-{n}").status == 403
    c.close()
    took = time.monotonic() - began
    wait_for("the counts are written", lambda: sum(r.get("count", 1) for r in instance.audit("deny")) >= 3000, 2.0)
    assert len(instance.audit("deny")) <= 2 * took + 6
    assert instance.audit_log.stat().st_size - before < 20 * 1024 + took * 1024


def test_every_record_dropped_doubled_or_swapped_is_found(instance):
    for _ in range(5):
        instance.token("acme-sap")
    assert instance.stop() == 0
    lines = instance.audit_log.read_bytes().splitlines(keepends=True)
    assert len(lines) >= 7 and instance.verify().returncode == 0
    copy = instance.dir / "copy.jsonl"

    def found(changed, where):
        copy.write_bytes(b"".join(changed))
        done = instance.verify(copy, check=False)
        assert done.returncode == 1, (where, done.stdout)
        return done.stdout + done.stderr

    for n in range(len(lines)):
        if n < len(lines) - 1:  # the last one dropped is a log that was cut: see below
            assert str(n + 1).encode() in found(lines[:n] + lines[n + 1:], ("drop", n))
        found(lines[:n] + [lines[n]] + lines[n:], ("double", n))
    for n in range(len(lines) - 1):
        found(lines[:n] + [lines[n + 1], lines[n]] + lines[n + 2:], ("swap", n))
    copy.write_bytes(b"".join(lines[:-1]))
    done = instance.verify(copy, check=False)
    assert b"no closing record" in done.stdout  # a cut at the end shows as a log without its end …
    head = json.loads(lines[-1])  # … and, to who noted a newer head, as what it is
    anchored = instance.ctl("audit", "verify", "--key", instance.auditor_key, "--expect", f"{head['seq']}:{head['mac']}", copy, check=False)
    assert anchored.returncode == 1
    whole = instance.ctl("audit", "verify", "--key", instance.auditor_key, "--expect", f"{head['seq']}:{head['mac']}", instance.audit_log)
    assert whole.returncode == 0


def test_the_process_log_carries_heads_that_find_a_cut(instance):
    """An attacker who cuts the audit log afterwards has the process log, which left the host, against them."""
    wait_for("the first head", lambda: instance.events("audit_head"), 1.0)
    instance.token("acme-sap")
    assert instance.stop() == 0
    head = instance.events("audit_head")[-1]
    expect = ["--expect", f"{head['seq']}:{head['mac']}"]
    verify = ["audit", "verify", "--key", instance.auditor_key]
    assert instance.ctl(*verify, *expect, instance.audit_log).returncode == 0
    copy = instance.dir / "cut.jsonl"
    lines = instance.audit_log.read_bytes().splitlines(keepends=True)
    copy.write_bytes(b"".join(lines[:head["seq"] - 1]))
    assert instance.ctl(*verify, copy).returncode == 0  # the control: by itself the cut log is a sound log
    assert instance.ctl(*verify, *expect, copy, check=False).returncode == 1


def test_bits_flipped_in_a_real_log_are_found(instance):
    instance.token("acme-sap")
    assert instance.stop() == 0
    data, copy = instance.audit_log.read_bytes(), instance.dir / "copy.jsonl"
    random.seed(3)
    for bit in random.sample(range(len(data) * 8), 60):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << (bit % 8)
        copy.write_bytes(changed)
        assert instance.verify(copy, check=False).returncode == 1, bit


def test_another_environments_log_does_not_verify_as_ones_own(instance):
    instance.stop()
    with Instance(env="development") as other:
        other.start()
        other.stop()
        done = instance.ctl("audit", "verify", "--key", instance.auditor_key, other.audit_log, check=False)
        assert done.returncode == 1
        shutil.copy(other.audit_log, instance.dir / "foreign.jsonl")
        both = instance.verify(instance.audit_log, instance.dir / "foreign.jsonl", check=False)
        assert both.returncode == 1
