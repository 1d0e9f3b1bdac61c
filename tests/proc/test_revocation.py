# SPDX-License-Identifier: Apache-2.0
"""Revocation: from its return no answer carries the token, and the value stays dead whatever
name, version, restart, kill or old database it comes back by."""

import base64
import contextlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import threading

import pytest

from lib.instance import AGENT, BILLING, POLICY, Instance, held_still
from lib.waiting import settled, wait_for

pytestmark = pytest.mark.root
FIRST, SECOND, READER = 61021, 61022, 61023
GROUP = 61030  # by its number: it needs no name

ADMINS = POLICY.replace("services = (", """services = (
  {{ name = "first"; identity = {{ socket = "admin"; uid = %d; }}; }},
  {{ name = "second"; identity = {{ socket = "admin"; uid = %d; }}; }},
  {{ name = "reader"; identity = {{ socket = "admin"; uid = %d; }}; }},""" % (FIRST, SECOND, READER)).replace("rules = (", """rules = (
  {{ allow = "first"; actions = [ "revoke", "restore", "freeze", "approve", "status", "reload" ]; connections = [ "*" ]; }},
  {{ allow = "second"; actions = [ "revoke", "restore", "approve" ]; connections = [ "acme-*" ]; }},
  {{ allow = "second"; actions = [ "approve", "status" ]; connections = [ "*" ]; }},
  {{ deny = "second"; actions = [ "revoke" ]; connections = [ "acme-vip" ]; }},
  {{ allow = "reader"; actions = [ "status" ]; connections = [ "*" ]; }},""").format(env="production")


def made(extra="", admin="", **kw):
    i = Instance(policy=ADMINS, groups=(GROUP,), **kw)
    i.write_conf('admin = { group = "61030"; %s };%s' % (admin, extra))
    i.put("acme-sap", b"tok-sap")
    i.put("acme-crm", b"tok-crm")
    return i


@pytest.fixture()
def one():
    with made() as i:
        yield i.start()


def admin(i, uid, method, target, body=None):
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return i.caller(uid, gid=GROUP).get(i.sock("admin"), target, method=method, body=data)


def revoke(i, *names, uid=FIRST, reason="INC-1"):
    r = admin(i, uid, "POST", "/v1/revocations", {"connections": list(names), "reason": reason})
    assert r.status == 200, r.body
    return r.json()["revoked"]


def restore(i, name, query="", uid=FIRST):
    return admin(i, uid, "DELETE", f"/v1/revocations/{name}{query}")


def status(i):
    return admin(i, READER, "GET", "/v1/status").json()


def counted(i):
    """Connections and values that are revoked."""
    found = status(i)["revocations"]
    return found["connections"], found["values"]


def alarms(i):
    return {(a["code"], a["subject"]) for a in status(i)["alarms"]}


def is_dead(i, name, query=""):
    r = i.token(name + query)
    assert r.status == 410 and r.json()["code"] == "revoked" and b"tok-" not in r.body, r
    return True


def broker_killed(i):
    broker = i.pids()["broker"]
    os.kill(broker, signal.SIGKILL)
    wait_for("a new broker", lambda: i.pids().get("broker") not in (None, broker), 2.0)


def agent_killed(i):
    i.process.kill()
    i.process.wait()
    i.start()


def agent_stopped(i):
    assert i.stop() == 0
    i.start()


STARTS = [broker_killed, agent_stopped, agent_killed]


def test_a_revoked_token_is_gone_at_once_and_says_how_long_each_step_took(one):
    assert one.token("acme-sap").status == 200
    done = revoke(one, "acme-sap")
    assert [d["connection"] for d in done] == ["acme-sap"] and done[0]["values"] == 1
    steps = done[0]["steps"]
    assert list(steps) == ["decided_us", "in_force_us", "recorded_us", "kept_us", "aborted_us", "wiped_us", "woken_us"]
    assert sorted(steps.values()) == list(steps.values()) and steps["decided_us"] >= 0
    print(f"figure: {steps}")
    is_dead(one, "acme-sap")
    is_dead(one, "acme-sap", "?version=previous")
    assert one.token("acme-crm").status == 200
    assert one.token("acme-payroll").status == 403, "what was denied tells nothing"
    record = one.audit("revoke")[-1]
    assert record["connection"] == "acme-sap" and record["uid"] == FIRST and record["detail"] == "INC-1"
    assert one.audit("deny")[-1]["reason"] == "denied" or one.audit("deny")[-1]["reason"] == "revoked"
    listed = {t["connection"]: t["state"] for t in one.get("/v1/tokens").json()["tokens"]}
    assert listed == {"acme-sap": "revoked", "acme-crm": "current"}
    assert counted(one) == (1, 1)
    assert one.verify().returncode == 0


@pytest.mark.parametrize("start", STARTS)
def test_it_outlives_the_process(one, start):
    one.token("acme-sap")
    revoke(one, "acme-sap")
    start(one)
    for _ in range(20):
        is_dead(one, "acme-sap")
    one.put("acme-crm", b"tok-sap")
    is_dead(one, "acme-crm")
    assert ("retired_value_back", "acme-crm") in alarms(one)
    assert one.verify().returncode == 0


def test_the_value_stays_dead_under_the_same_name_as_a_new_version_and_under_another(one):
    assert one.token("acme-sap").status == 200
    revoke(one, "acme-sap")
    one.put("acme-sap", b"tok-sap")
    is_dead(one, "acme-sap")
    one.put("acme-other", b"tok-sap")
    is_dead(one, "acme-other")
    one.put("acme-other", b" tok-sap ")
    is_dead(one, "acme-other")
    one.put("acme-other", {"access_token": "tok-sap", "token_type": "bearer", "extra": "x"})
    is_dead(one, "acme-other")
    assert ("retired_value_back", "acme-other") in alarms(one)
    one.put("acme-other", b"tok-other")
    assert one.token("acme-other").status == 200
    assert ("retired_value_back", "acme-other") not in alarms(one)


def test_a_restore_needs_a_new_value_unless_it_names_the_value_too(one):
    assert one.token("acme-sap").status == 200
    revoke(one, "acme-sap")
    assert restore(one, "acme-sap").json() == {"restored": "acme-sap", "values_too": False}
    is_dead(one, "acme-sap")
    one.put("acme-sap", b"tok-new")
    assert one.token("acme-sap").json()["access_token"] == "tok-new"
    one.put("acme-sap", b"tok-sap")
    is_dead(one, "acme-sap")
    agent_killed(one)
    is_dead(one, "acme-sap")
    one.put("acme-sap", b"tok-new")
    assert one.token("acme-sap").status == 200
    one.put("acme-sap", b"tok-sap")
    assert restore(one, "acme-sap", "?values=too").status == 200
    assert one.token("acme-sap").json()["access_token"] == "tok-sap"
    assert restore(one, "acme-sap", "?values=too").status == 404


def test_a_previous_value_dies_with_the_current_one(one):
    assert one.token("acme-sap").status == 200
    one.put("acme-sap", b"tok-two")
    assert one.token("acme-sap").json()["access_token"] == "tok-two"
    assert revoke(one, "acme-sap")[0]["values"] == 2
    one.put("acme-b", b"tok-sap")
    one.put("acme-c", b"tok-two")
    is_dead(one, "acme-b")
    is_dead(one, "acme-c")


def test_a_value_that_nobody_had_asked_for_is_looked_up_and_retired():
    with made('refresh = { prefetch = false; };') as i:
        i.start()
        with held_still(i.pids()["fetcher"]):
            assert revoke(i, "acme-sap")[0]["values"] == 0
            assert status(i)["revocations"] == {"connections": 1, "values": 0, "to_look_up": 1, "to_look_up_first": ["acme-sap"]}
        wait_for("its value", lambda: status(i)["revocations"] == {"connections": 1, "values": 1, "to_look_up": 0, "to_look_up_first": []}, 12.0)
        agent_killed(i)
        i.put("acme-crm", b"tok-sap")
        is_dead(i, "acme-crm")


def test_all_or_none_and_only_who_may(one):
    assert one.token("acme-sap").status == 200
    both = {"connections": ["acme-sap", "acme-vip"]}
    assert admin(one, SECOND, "POST", "/v1/revocations", both).status == 403
    assert one.token("acme-sap").status == 200, "none of them"
    assert admin(one, READER, "POST", "/v1/revocations", {"connection": "acme-sap"}).status == 403
    assert restore(one, "acme-sap", uid=READER).status == 403
    assert one.get("/v1/revocations", method="POST").status == 404, "not on a service's socket"
    assert one.token("acme-sap").status == 200
    assert [d["connection"] for d in revoke(one, "acme-sap", "acme-crm", uid=SECOND)] == ["acme-sap", "acme-crm"]
    is_dead(one, "acme-sap")
    is_dead(one, "acme-crm")
    assert [r["connection"] for r in one.audit("revoke")] == ["acme-sap", "acme-crm"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{}", b'{"connections":[]}', b'{"connections":"acme-sap"}', b'{"connection":["acme-sap"]}', b'{"connections":["acme-sap","acme-sap"]}',
                                  b'{"connection":"acme-sap","connections":["acme-crm"]}', b'{"connection":"Acme"}', b'{"connection":"acme-sap\\u0000"}', b'{"connection":"acme-sap","x":1}',
                                  b'{"connection":"acme-sap","reason":1}', b'{"connection":"acme-sap","in_store":1}', json.dumps({"connections": [f"acme-{n}" for n in range(65)]}).encode()])
def test_what_is_not_a_revocation_revokes_nothing(body):
    with made() as i:
        i.start()
        r = admin(i, FIRST, "POST", "/v1/revocations", body)
        assert r.status == 400, r.body
        assert counted(i) == (0, 0)


def test_no_answer_carries_the_token_from_the_return_of_revoke_on(one):
    """40 connections, more than 10,000 requests."""
    returned, seen, lock = [], [], threading.Lock()
    stop = threading.Event()

    def ask():
        c, mine = one.caller(BILLING).connect(one.sock()), []
        while not stop.is_set():
            before = bool(returned)
            try:
                r = c.request("/v1/tokens/acme-sap")
            except Exception:  # cut off on the way
                with contextlib.suppress(OSError):
                    c.close()
                with lock:
                    c = one.caller(BILLING).connect(one.sock())
                mine.append((before, 0, False))
                continue
            mine.append((before, r.status, b"tok-sap" in r.body))
        c.close()
        with lock:
            seen.extend(mine)
            counts.append(len(mine))
    counts = []
    one.token("acme-sap")
    one.caller(BILLING)
    threads = []
    for _ in range(40):
        with lock:
            t = threading.Thread(target=ask)
            t.start()
            threads.append(t)
        t.join(0.01)
    grants = lambda: status(one)["audit"]["grants"]
    wait_for("many grants", lambda: grants() > 5000, 60.0)
    done = revoke(one, "acme-sap")
    returned.append(1)
    seq = status(one)["audit"]["grants"]
    stop_at = threading.Event()
    stop_at.wait(6.0)
    stop.set()
    for t in threads:
        t.join()
    after = [s for s in seen if s[0]]
    assert len(seen) > 10_000 and len(after) > 1000
    statuses = [status for _, status, _ in after]
    assert not any(carries for _, _, carries in after) and set(statuses) <= {0, 410, 429}
    assert statuses.count(0) <= 40, "each connection is cut off once at most: one whose last answer had been read notices at its next request"
    assert any(carries for before, _, carries in seen if not before)
    assert status(one)["audit"]["grants"] == seq, "no grant after its return"
    print(f"figure: {done[0]['steps']}")


@pytest.mark.parametrize("revoked", ["acme-big", "acme-twin"])  # the same value under a second name
def test_an_unfinished_answer_is_cut_off_before_the_call_returns(revoked):
    """A caller that does not read: what its socket's buffer holds left earlier, the rest never comes."""
    with made(' limits = { write_timeout = "60s"; };') as i:  # which would cut it off as well
        big = "tok-" + "x" * 15000
        i.put("acme-big", {"access_token": big})
        i.start()
        assert i.token("acme-big").status == 200
        c = i.caller(BILLING).connect(i.sock())
        c.sock.setsockopt(1, 8, 4096)  # SO_RCVBUF has no say in a Unix socket; many answers have
        for _ in range(60):
            c.send(b"GET /v1/tokens/acme-big HTTP/1.1\r\nHost: agent\r\n\r\n")
        wait_for("some answers", lambda: status(i)["audit"]["grants"] > 5, 5.0)
        settled(lambda: status(i)["audit"]["grants"])  # full buffers
        if revoked != "acme-big":
            i.put(revoked, {"access_token": big})
            assert i.token(revoked).status == 502  # one value, two names
        done = revoke(i, revoked)
        assert done[0]["aborted"] == 1
        got = b""
        with contextlib.suppress(OSError):
            while chunk := c.sock.recv(65536):
                got += chunk
        assert got.count(b"HTTP/1.1 200") <= status(i)["audit"]["grants"] < 60
        assert got.count(b"HTTP/1.1 410") == 0, "the connection ended there"
        c.close()


def test_a_restore_may_take_two_persons_a_revocation_never():
    with made(admin='two_person = [ "restore" ];') as i:
        i.start()
        i.token("acme-sap")
        revoke(i, "acme-sap")
        p = restore(i, "acme-sap", "?values=too", uid=SECOND)
        assert p.status == 202
        is_dead(i, "acme-sap")
        waiting = status(i)["approvals"]
        assert waiting[0]["action"] == "restore" and waiting[0]["detail"] == "restore acme-sap value"
        done = admin(i, FIRST, "POST", f"/v1/approvals/{p.json()['approval']}", {"digest": p.json()["digest"]})
        assert done.status == 200 and done.json() == {"restored": "acme-sap", "values_too": True}, done.body
        assert i.token("acme-sap").json()["access_token"] == "tok-sap"
        assert i.reload()["event"] == "reloaded"
        i.write_conf('admin = { group = "61030"; two_person = [ "revoke" ]; };')
        refused = i.reload()
        assert refused["event"] == "reload_refused" and "to revoke must never wait" in i.log_text()


def copied(i, to):
    to.mkdir()
    for f in i.state.glob("state.db*"):
        shutil.copy2(f, to / f.name)
        os.chown(to / f.name, AGENT, AGENT)


def put_back(i, came):
    for f in i.state.glob("state.db*"):
        f.unlink()
    for f in came.glob("state.db*"):
        shutil.copy2(f, i.state / f.name)
        os.chown(i.state / f.name, AGENT, AGENT)


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_yesterdays_state_database_is_refused_with_the_remedy_or_accepted_with_an_alarm(how):
    with made() as i:
        i.start()
        i.token("acme-sap")
        i.stop()
        copied(i, i.dir / "yesterday")
        i.start()
        i.token("acme-sap")
        revoke(i, "acme-sap")
        is_dead(i, "acme-sap")
        if how == "killed":
            i.process.kill()
            i.process.wait()
        else:
            i.stop()
        put_back(i, i.dir / "yesterday")
        for _ in range(6):  # nor does it pass by being tried again
            i.spawn()
            wait_for("the end", lambda: i.process.poll() is not None, 5.0)
            assert i.process.returncode not in (0, None)
        assert "older than the audit log" in i.log_text() and "rollback" in i.log_text()
        i.write_conf('admin = { group = "61030"; }; revocation = { rollback = "accept"; };')
        i.start()
        assert ("state_rolled_back", "") in alarms(i)
        assert i.token("acme-sap").status == 200, "what it forgot it forgot: the remedy says to revoke again"
        revoke(i, "acme-sap")
        is_dead(i, "acme-sap")
        i.write_conf('admin = { group = "61030"; };')
        agent_stopped(i)
        assert ("state_rolled_back", "") not in alarms(i)
        is_dead(i, "acme-sap")
        assert i.verify().returncode == 0


def test_the_state_key_is_made_once_and_another_one_is_refused(one):
    key = one.state / "state.key"
    assert key.stat().st_mode & 0o777 == 0o600 and key.stat().st_uid == AGENT
    text = key.read_text()
    assert len(base64.b64decode(text)) == 32
    one.token("acme-sap")
    revoke(one, "acme-sap")
    agent_stopped(one)
    assert key.read_text() == text
    with contextlib.closing(sqlite3.connect(f"file:{one.state}/state.db?mode=ro", uri=True)):
        pass
    one.stop()
    for f in one.state.glob("state.db*"):
        data = f.read_bytes()
        assert b"tok-sap" not in data and base64.b64decode(text) not in data
    for wrong, says in ((None, "put it back"), (base64.b64encode(b"y" * 32).decode(), "not the one that state.db was made with"), ("nonsense", "is no state key")):
        key.unlink(missing_ok=True)
        if wrong is not None:
            key.write_text(wrong)
            key.chmod(0o600)
            os.chown(key, AGENT, AGENT)
        one.spawn()
        wait_for("the end", lambda: one.process.poll() is not None, 5.0)
        assert one.process.returncode != 0 and says in one.events("configuration_refused")[-1]["text"]
    key.write_text(text)
    key.chmod(0o600)
    os.chown(key, AGENT, AGENT)
    one.start()
    is_dead(one, "acme-sap")


def test_the_state_key_may_be_a_file_of_its_own():
    with made() as i:
        path = i.credential("state", base64.b64encode(bytes(range(32))).decode() + "\n")
        i.write_conf('admin = { group = "61030"; }; state_key = { file = "%s"; };' % path)
        i.start()
        assert not (i.state / "state.key").exists()
        i.token("acme-sap")
        revoke(i, "acme-sap")
        agent_killed(i)
        i.put("acme-crm", b"tok-sap")
        is_dead(i, "acme-crm")
        i.write_conf('admin = { group = "61030"; };')
        assert i.reload()["event"] == "reload_refused" and "state_key cannot change" in i.log_text()


def test_the_command_line_says_what_happened(one):
    def ctl(*words, uid=FIRST):
        return subprocess.run([str(one.build / "bin" / "makinictl"), *words, "--socket", str(one.sock("admin"))], capture_output=True,
                              preexec_fn=lambda: (os.setgroups([GROUP]), os.setresgid(uid, uid, uid), os.setresuid(uid, uid, uid)), timeout=60)
    one.token("acme-sap")
    done = ctl("revoke", "acme-sap", "acme-crm", "--reason", "INC-2")
    assert done.returncode == 0 and b"acme-sap revoked at" in done.stdout and b"acme-crm revoked at" in done.stdout, done
    assert b"revoked: 2 connections" in ctl("status").stdout
    assert ctl("revoke").returncode == 2
    assert b"what the store has of it is looked up now" in done.stdout and re.search(rb"\n  ms: decided \d+\.\d, .*, services woken \d+\.\d\n", done.stdout)
    assert ctl("revoke", "acme-sap", uid=READER).returncode == 3
    assert b"as soon as the store has another value" in ctl("restore", "acme-sap").stdout
    both = ctl("restore", "acme-sap", "acme-crm", "--value-too")
    assert both.returncode == 0 and both.stdout.count(b"with whatever the store has") == 2
    assert ctl("restore", "acme-sap").returncode == 4
    assert one.token("acme-sap").status == 200
