# SPDX-License-Identifier: Apache-2.0
"""Freeze, thaw and the second person: at once, on record, and kept over restarts and kills."""

import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import threading

import pytest

from lib.instance import AGENT, BILLING, POLICY, Instance
from lib.waiting import wait_for

pytestmark = pytest.mark.root
FIRST, SECOND, READER = 61021, 61022, 61023
GROUP = 61030

ADMINS = POLICY.replace("services = (", """services = (
  {{ name = "first"; identity = {{ socket = "admin"; uid = %d; }}; }},
  {{ name = "second"; identity = {{ socket = "admin"; uid = %d; }}; }},
  {{ name = "reader"; identity = {{ socket = "admin"; uid = %d; }}; }},""" % (FIRST, SECOND, READER)).replace("rules = (", """rules = (
  {{ allow = "first"; actions = [ "freeze", "thaw", "approve", "status", "reload", "explain" ]; connections = [ "*" ]; }},
  {{ allow = "second"; actions = [ "freeze", "thaw", "approve", "status", "reload" ]; connections = [ "*" ]; }},
  {{ allow = "reader"; actions = [ "status" ]; connections = [ "*" ]; }},""")




@pytest.fixture(scope="module")
def shared():
    group = f"makini-test-{os.getpid()}"
    subprocess.run(["groupadd", "-o", "-g", str(GROUP), group], check=True, capture_output=True)
    try:
        with Instance(policy=ADMINS.format(env="production"), groups=(GROUP,)) as i:
            i.write_conf(f'admin = {{ group = "{group}"; }};')
            i.put("acme-sap", b"tok-sap")
            i.put("acme-crm", b"tok-crm")
            yield i.start()
    finally:
        subprocess.run(["groupdel", group], check=False, capture_output=True)


def admin(i, uid, method, target, body=None):
    """One call by a member of the group: status and document."""
    data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return i.caller(uid, gid=GROUP).get(i.sock("admin"), target, method=method, body=data)


@pytest.fixture(autouse=True)
def thawed(shared):
    yield
    if status(shared)["freeze"]["frozen"]:
        thaw(shared)


def status(i):
    return admin(i, READER, "GET", "/v1/status").json()


def thaw(i):
    p = admin(i, FIRST, "DELETE", "/v1/freeze")
    assert p.status == 202, p.body
    done = admin(i, SECOND, "POST", f"/v1/approvals/{p.json()['approval']}", {"digest": p.json()["digest"]})
    assert done.status == 200 and done.json()["frozen"] is False, done.body
    return p.json()


def test_a_freeze_stops_every_hand_out_at_once_and_takes_one_person(shared):
    assert shared.token("acme-sap").status == 200
    with contextlib.closing(shared.caller(BILLING).connect(shared.sock())) as c:
        assert c.request("/v1/tokens/acme-sap").status == 200
        done = admin(shared, FIRST, "POST", "/v1/freeze", {"reason": "INC-1"})
        assert done.status == 200 and done.json()["frozen"] is True and done.json()["reason"] == "INC-1"
        for r in (shared.token("acme-sap"), c.request("/v1/tokens/acme-sap"), shared.token("acme-crm")):
            assert r.status == 503 and r.json()["code"] == "frozen" and b"tok-" not in r.body
    assert shared.get("/v1/health").json()["reasons"] == ["frozen"]
    assert shared.token("acme-payroll").status == 403, "what was denied stays denied, and tells nothing of the freeze"
    records = shared.audit("freeze")
    assert records[-1]["uid"] == FIRST and records[-1]["detail"] == "INC-1"


def test_a_thaw_takes_another_person_and_what_was_proposed(shared):
    admin(shared, FIRST, "POST", "/v1/freeze")
    p = admin(shared, FIRST, "DELETE", "/v1/freeze")
    assert p.status == 202 and set(p.json()) == {"approval", "digest", "expires_at"}
    target = f"/v1/approvals/{p.json()['approval']}"
    assert shared.token("acme-sap").status == 503, "a proposal alone changes nothing"
    same = admin(shared, FIRST, "POST", target, {"digest": p.json()["digest"]})
    assert same.status == 409 and "another person" in same.json()["detail"]
    wrong = admin(shared, SECOND, "POST", target, {"digest": "0" * 64})
    assert wrong.status == 409 and "digest" in wrong.json()["detail"]
    assert admin(shared, SECOND, "POST", target).status == 400, "without its digest nothing is approved"
    assert admin(shared, READER, "POST", target, {"digest": p.json()["digest"]}).status == 403
    assert admin(shared, SECOND, "POST", "/v1/approvals/0123456789abcdef", {"digest": "0" * 64}).status == 404
    assert shared.token("acme-sap").status == 503
    waiting = status(shared)["approvals"]
    assert [w["approval"] for w in waiting] == [p.json()["approval"]] and waiting[0]["uid"] == FIRST and waiting[0]["action"] == "thaw"
    done = admin(shared, SECOND, "POST", target, {"digest": p.json()["digest"]})
    assert done.status == 200 and shared.token("acme-sap").status == 200
    assert admin(shared, SECOND, "POST", target, {"digest": p.json()["digest"]}).status == 404, "once"
    proposal, approval = shared.audit("proposal")[-1], shared.audit("approval")[-1]
    assert proposal["detail"] == approval["detail"] and (proposal["uid"], approval["uid"]) == (FIRST, SECOND)


def test_an_approval_ends_the_freeze_that_was_seen_and_no_later_one(shared):
    admin(shared, FIRST, "POST", "/v1/freeze", {"reason": "a drill"})
    p = admin(shared, FIRST, "DELETE", "/v1/freeze").json()
    assert admin(shared, SECOND, "POST", "/v1/freeze", {"reason": "a real one"}).status == 200
    assert status(shared)["approvals"] == []
    late = admin(shared, SECOND, "POST", f"/v1/approvals/{p['approval']}", {"digest": p["digest"]})
    assert late.status == 404 and "frozen anew" in late.json()["detail"] and shared.token("acme-sap").status == 503
    thaw(shared)


def test_a_thaw_of_nothing_is_no_proposal_for_later(shared):
    done = admin(shared, FIRST, "DELETE", "/v1/freeze")
    assert done.status == 200 and done.json() == {"frozen": False} and status(shared)["approvals"] == []


def test_too_many_proposals_are_said_to_be_too_many(shared):
    admin(shared, FIRST, "POST", "/v1/freeze")
    answers = [admin(shared, FIRST, "DELETE", "/v1/freeze") for _ in range(9)]
    assert [a.status for a in answers] == [202] * 8 + [429] and "proposals" in answers[8].json()["detail"]
    assert len(shared.audit("proposal")) >= 8
    p = admin(shared, SECOND, "DELETE", "/v1/freeze").json()
    assert admin(shared, FIRST, "POST", f"/v1/approvals/{p['approval']}", {"digest": p["digest"]}).status == 200


def test_only_who_may_can_freeze(shared):
    assert admin(shared, READER, "POST", "/v1/freeze").status == 403
    assert shared.get("/v1/freeze", method="POST").status == 404, "not on a service's socket"
    assert admin(shared, AGENT, "POST", "/v1/freeze").status == 403, \
        "the agent's own uid is nobody"
    assert shared.token("acme-sap").status == 200


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"reason":1}', b'{"reason":"a","reason":"b"}', b'{"why":"x"}', b'{"reason":"a\\u0000"}', b'{"reason":"a\\nb"}',
                                  b'{"reason":"' + b"x" * 300 + b'"}'])
def test_a_freeze_whose_reason_cannot_be_read_freezes_all_the_same(shared, body):
    assert admin(shared, FIRST, "POST", "/v1/freeze", body).status == 200
    assert shared.token("acme-sap").status == 503


def test_a_body_where_none_belongs_and_one_too_large_are_refused(shared):
    assert admin(shared, FIRST, "DELETE", "/v1/freeze", {"x": "y"}).status == 400
    assert admin(shared, FIRST, "GET", "/v1/status", {"x": "y"}).status == 400
    assert admin(shared, FIRST, "POST", "/v1/freeze", b"x" * 9000).status == 413
    assert shared.token("acme-sap").status == 200
    other = admin(shared, FIRST, "PUT", "/v1/freeze")
    assert other.status == 405 and other.headers["allow"] == "POST, DELETE"


@pytest.mark.parametrize("how", ["broker killed", "agent stopped", "agent killed"])
def test_a_freeze_outlives_the_process(shared, how):
    admin(shared, FIRST, "POST", "/v1/freeze", {"reason": how})
    if how == "broker killed":
        broker = shared.pids()["broker"]
        os.kill(broker, signal.SIGKILL)
        wait_for("a new broker", lambda: shared.pids().get("broker") not in (None, broker), 2.0)
    elif how == "agent stopped":
        assert shared.stop() == 0
        shared.start()
    else:
        shared.process.kill()
        shared.process.wait()
        shared.start()
    for _ in range(20):
        r = shared.token("acme-sap")
        assert r.status == 503 and b"tok-" not in r.body
    wait_for("it says so", lambda: status(shared).get("freeze", {}).get("reason") == how, 2.0)
    assert shared.verify().returncode == 0


def test_a_freeze_under_load_is_followed_by_no_grant(shared):
    seen, stop = [], threading.Event()

    def ask():
        c = shared.caller(BILLING).connect(shared.sock())
        while not stop.is_set():
            seen.append((len(done), c.request("/v1/tokens/acme-sap").status))
        c.close()
    done = []
    t = threading.Thread(target=ask)
    t.start()
    try:
        wait_for("some grants", lambda: len(seen) > 50, 5.0)
        assert admin(shared, FIRST, "POST", "/v1/freeze").status == 200
        done.append(1)
        wait_for("some more answers", lambda: len([s for s in seen if s[0]]) > 50, 5.0)
    finally:
        stop.set()
        t.join()
    assert {s for d, s in seen if d} == {503} and 200 in {s for d, s in seen if not d}


def test_what_a_proposer_may_not_do_any_more_is_not_done(shared):
    admin(shared, FIRST, "POST", "/v1/freeze")
    p = admin(shared, FIRST, "DELETE", "/v1/freeze").json()
    shared.write_policy(ADMINS.format(env="production").replace('allow = "first"; actions = [ "freeze", "thaw",', 'allow = "first"; actions = [ "freeze",'))
    assert shared.reload()["event"] == "reloaded"
    r = admin(shared, SECOND, "POST", f"/v1/approvals/{p['approval']}", {"digest": p["digest"]})
    shared.write_policy(ADMINS.format(env="production"))
    assert shared.reload()["event"] == "reloaded"
    assert r.status == 409 and "may not" in r.json()["detail"] and shared.token("acme-sap").status == 503


def test_the_state_database_is_the_agents_alone_and_names_its_generation_in_the_audit_log(shared):
    db = shared.state / "state.db"
    assert db.stat().st_mode & 0o777 == 0o600 and db.stat().st_uid == AGENT
    admin(shared, FIRST, "POST", "/v1/freeze")
    thaw(shared)
    before = [r["state"] for r in shared.audit("epoch")]
    wait_for("an epoch record", lambda: len(shared.audit("epoch")) > len(before), 12.0)
    assert shared.audit("epoch")[-1]["state"] >= 4
    for path in (db, pathlib.Path(f"{db}-wal")):
        assert b"tok-" not in path.read_bytes()


def test_the_command_line_says_what_is_so(shared):
    def ctl(*words, uid=FIRST, stdin=b""):
        return subprocess.run([str(shared.build / "bin" / "makinictl"), *words, "--socket", str(shared.sock("admin"))], input=stdin, capture_output=True,
                              preexec_fn=lambda: (os.setgroups([GROUP]), os.setresgid(uid, uid, uid), os.setresuid(uid, uid, uid)), timeout=60)
    done = ctl("freeze", "--reason", "INC-2")
    assert done.returncode == 0 and b"frozen since" in done.stdout and b"nothing is handed out" in done.stdout
    assert b"FROZEN since" in ctl("status").stdout and b"makinictl thaw ends it" in ctl("status").stdout
    proposed = ctl("thaw")
    assert proposed.returncode == 0 and b"another person" in proposed.stdout
    words = next(line.split()[1:] for line in proposed.stdout.decode().splitlines() if line.strip().startswith("makinictl approve"))
    assert b"waiting for approval" in ctl("status").stdout and b"the freeze of" in ctl("status").stdout
    assert ctl("approve", words[1], uid=SECOND).returncode == 2, "without a terminal nobody was asked"
    same = ctl(*words[:4])
    assert same.returncode == 1 and b"another person" in same.stderr
    approved = ctl(*words[:4], uid=SECOND)
    assert approved.returncode == 0 and b"hand-outs go on" in approved.stdout
    assert ctl(*words[:4], uid=SECOND).returncode == 4
    assert ctl("freeze", uid=BILLING).returncode == 3


def test_the_policy_in_force_explains_itself_to_who_may_ask(shared):
    def explain(uid=FIRST, **body):
        return admin(shared, uid, "POST", "/v1/policy/explain", body)
    yes = explain(**{"as": "billing", "connection": "acme-sap"})
    assert yes.status == 200 and yes.json()["decision"] == "allow" and yes.json()["rule"]["line"] > 0, yes.body
    no = explain(**{"as": "billing", "connection": "acme-payroll"}).json()
    assert no["decision"] == "deny" and no["rule"]["deny"] == "billing" and "narrow or remove" in no["remedy"]
    assert explain(**{"as": "first", "action": "freeze"}).json()["decision"] == "allow"
    assert explain(**{"as": "nobody-of-that-name", "connection": "acme-sap"}).status == 400
    assert explain(**{"as": "billing", "connection": "Acme"}).status == 400
    assert explain(uid=READER, **{"as": "billing", "connection": "acme-sap"}).status == 403
    assert shared.audit("admin")[-1]["action"] == "explain"


def test_another_environments_database_keeps_the_agent_from_starting():
    with Instance(env="development") as dev, Instance() as prod:
        dev.start()
        dev.stop()
        for name in ("state.db", "state.db-wal"):
            if (dev.state / name).exists():
                (prod.state / name).write_bytes((dev.state / name).read_bytes())
                os.chown(prod.state / name, AGENT, AGENT)
                (prod.state / name).chmod(0o600)
        prod.spawn()
        wait_for("the end", lambda: prod.process.poll() is not None, 3.0)
        assert prod.process.returncode != 0 and "development" in prod.log_text()


def test_the_instances_own_database_is_taken_and_a_broken_one_refused():
    with Instance() as i:
        i.start()
        i.stop()
        with contextlib.closing(sqlite3.connect(i.state / "state.db")) as db:
            assert db.execute("SELECT environment FROM instance").fetchone() == ("production",)
        os.chown(i.state / "state.db", AGENT, AGENT)
        for beside in i.state.glob("state.db-*"):
            os.chown(beside, AGENT, AGENT)
        i.start()
        i.stop()
        junk = (i.state / "state.db").read_bytes()
        (i.state / "state.db").write_bytes(b"x" * 4096 + junk[4096:])
        i.spawn()
        wait_for("the end", lambda: i.process.poll() is not None, 3.0)
        assert i.process.returncode != 0 and "restore it from a backup" in i.log_text()
