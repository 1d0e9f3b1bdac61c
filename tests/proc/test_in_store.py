# SPDX-License-Identifier: Apache-2.0
"""revoke --in-store and restore --in-store against the embedded store: what the file says afterwards, and that the
revocation stands whatever the stores, the fetcher or the broker do meanwhile."""

import contextlib
import json
import os
import signal
import threading

import pytest

from lib.instance import AGENT, POLICY, SECTEAM, Instance, hold_still
from lib.waiting import wait_for

pytestmark = pytest.mark.root

RULES = POLICY.format(env="production").replace('"status", "reload"', '"status", "reload", "revoke", "restore", "approve"')
TWO = RULES.replace("rules = (", """rules = (
  { allow = "second"; actions = [ "approve" ]; connections = [ "*" ]; },""").replace("services = (", """services = (
  { name = "second"; identity = { socket = "admin"; uid = 61021; }; },""")
GROUP = 61031


def made(writable=True, extra="", rules=RULES, **kw):
    i = Instance(policy=rules, **kw)
    i.write_conf(extra, backend="writable = true;" if writable else "")
    i.put("acme-sap", b"tok-sap")
    i.put("acme-crm", b"tok-crm")
    return i


@pytest.fixture()
def one():
    with made() as i:
        yield i.start()


def admin(i, method, target, body=None):
    return i.get(target, uid=SECTEAM, sock="admin", method=method, body=b"" if body is None else json.dumps(body).encode())


def status(i, name):
    return i.token(name).status


def rows(i):
    text = i.ctl("local", "list", "--json", "--file", i.store, "--key-file", i.key_file, user=AGENT).stdout
    return {r["connection"]: r for r in json.loads(text)["connections"]}


def listed(i):
    """name: (version, is it disabled), by makinictl local list."""
    return {n: (r["version"], r["disabled"]) for n, r in rows(i).items()}


def ctl(i, *args):
    return i.ctl(*args, "--socket", i.sock("admin"), check=False)


def outcomes(i, start=0):
    """What the audit log says: connection, what, where, and of which version, where it is known."""
    return [(r["connection"], r["state"], r.get("detail", "")) for r in i.audit("in_store")[start:]]


def later(call):
    """call in a thread; a list that gets its result."""
    got = []
    thread = threading.Thread(target=lambda: got.append(call()), daemon=True)
    thread.start()
    return got


def test_the_store_hands_the_tokens_out_no_more_and_again_after_a_restore(one):
    versions = {n: v for n, (v, _) in listed(one).items()}
    assert status(one, "acme-sap") == 200
    done = ctl(one, "revoke", "acme-sap", "acme-crm", "--in-store", "--reason", "INC-1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode().count("store: disabled there, version") == 2
    assert listed(one) == {n: (v, True) for n, v in versions.items()}
    assert status(one, "acme-sap") == status(one, "acme-crm") == 410
    assert sorted(outcomes(one)) == sorted([(n, "asked", "") for n in versions] + [(n, "disabled", "store") for n in versions])
    written = {r["connection"]: r["version"] for r in one.audit("in_store") if r["state"] == "disabled"}
    assert written == versions

    again = json.loads(ctl(one, "revoke", "acme-sap", "--in-store", "--json").stdout)["revoked"][0]
    assert [(s["store"], s["outcome"], s["version"]) for s in again["in_store"]] == [("store", "already", versions["acme-sap"])]
    assert again["in_store_done"] is True and again["in_store"][0]["ms"] >= 0 and "code" not in again["in_store"][0]

    done = ctl(one, "restore", "acme-sap", "--value-too", "--in-store")
    assert done.returncode == 0 and b"store: enabled there" in done.stdout
    assert listed(one)["acme-sap"] == (versions["acme-sap"], False) and listed(one)["acme-crm"][1]
    wait_for("served again", lambda: status(one, "acme-sap") == 200, 5.0)
    done = ctl(one, "restore", "acme-sap", "--in-store")
    assert done.returncode == 0 and b"store: was so already" in done.stdout, "and again does no harm"
    assert "tok-" not in one.log_text() and one.verify().returncode == 0


def test_a_token_that_nobody_had_asked_for_is_known_to_be_dead_before_the_store_lets_go_of_it(one):
    assert admin(one, "POST", "/v1/revocations", {"connection": "acme-crm", "in_store": True}).json()["revoked"][0]["in_store_done"]
    wait_for("its value is known", lambda: admin(one, "GET", "/v1/status").json()["revocations"]["values"] == 1, 10.0)
    one.put("acme-other", b"tok-crm")
    wait_for("dead under another name", lambda: status(one, "acme-other") == 410, 10.0)


def test_another_version_by_then_is_disabled_as_well_as_the_one_that_was_held(one):
    assert status(one, "acme-sap") == 200
    fetcher = one.pids()["fetcher"]
    hold_still(fetcher)  # so that what is held stays the first
    one.put("acme-sap", b"tok-sap-2")
    got = later(lambda: admin(one, "POST", "/v1/revocations", {"connection": "acme-sap", "in_store": True}))
    wait_for("asked", lambda: ("acme-sap", "asked", "") in outcomes(one), 5.0)
    with contextlib.suppress(ProcessLookupError):
        os.kill(fetcher, signal.SIGCONT)
    wait_for("answered", lambda: got, 50.0)
    assert got[0].json()["revoked"][0]["in_store"][0]["outcome"] in ("disabled", "already")
    row = rows(one)["acme-sap"]
    assert row["disabled"] and row["previous_disabled"]


def test_a_store_that_is_not_writable_stays_as_it_is_and_the_revocation_stands():
    with made(writable=False) as i:
        i.start()
        before = i.store.read_bytes(), i.store.stat().st_ino
        assert status(i, "acme-sap") == 200
        done = ctl(i, "revoke", "acme-sap", "--in-store")
        assert done.returncode == 1 and b"NOT DONE" in done.stdout and b"writable = true" in done.stdout
        assert b"the revocation itself stands" in done.stderr
        assert status(i, "acme-sap") == 410 and (i.store.read_bytes(), i.store.stat().st_ino) == before
        as_json = ctl(i, "revoke", "acme-sap", "--in-store", "--json")
        assert as_json.returncode == 1 and json.loads(as_json.stdout)["revoked"][0]["in_store"][0]["outcome"] == "not_writable"
        assert ctl(i, "revoke", "acme-sap").returncode == 0, "without --in-store no store is asked, and none is missed"
        assert admin(i, "GET", "/v1/status").json()["stores"][0]["writable"] is False
        i.write_conf(backend="writable = true;")
        assert i.reload()["event"] == "reloaded"
        assert admin(i, "GET", "/v1/status").json()["stores"][0]["writable"] is True
        assert b"writable: revoke --in-store" in ctl(i, "status").stdout
        assert ctl(i, "revoke", "acme-sap", "--in-store").returncode == 0 and listed(i)["acme-sap"][1]
        i.write_conf()
        assert i.reload()["event"] == "reloaded"
        assert ctl(i, "restore", "acme-sap", "--in-store").returncode == 1 and listed(i)["acme-sap"][1], "and taken away again"


def test_a_store_file_that_cannot_be_written_is_a_failure_that_is_told(one):
    one.store.parent.chmod(0o500)
    done = ctl(one, "revoke", "acme-sap", "--in-store")
    assert done.returncode == 1 and b"store: NOT DONE (backend_error): the store file cannot be written" in done.stdout
    assert status(one, "acme-sap") == 410 and not listed(one)["acme-sap"][1]
    assert ("acme-sap", "failed", "store") in outcomes(one)
    one.store.parent.chmod(0o700)
    assert ctl(one, "revoke", "acme-sap", "--in-store").returncode == 0 and listed(one)["acme-sap"][1]


def test_a_fetcher_that_is_killed_in_the_middle_is_asked_again(one):
    assert status(one, "acme-sap") == 200
    victim = one.pids()["fetcher"]
    hold_still(victim)
    got = later(lambda: admin(one, "POST", "/v1/revocations", {"connection": "acme-sap", "in_store": True}))
    wait_for("asked", lambda: ("acme-sap", "asked", "") in outcomes(one), 5.0)
    assert status(one, "acme-sap") == 410, "in force while the store is asked"
    os.kill(victim, signal.SIGKILL)
    wait_for("answered", lambda: got, 50.0)
    assert [s["outcome"] for s in got[0].json()["revoked"][0]["in_store"]] in (["disabled"], ["already"])
    assert listed(one)["acme-sap"][1]


def test_an_agent_that_is_told_to_end_in_the_middle_answers_first(one):
    assert status(one, "acme-sap") == 200
    fetcher = one.pids()["fetcher"]
    hold_still(fetcher)
    got = later(lambda: ctl(one, "revoke", "acme-sap", "--in-store"))
    wait_for("asked", lambda: ("acme-sap", "asked", "") in outcomes(one), 5.0)
    one.stop(bound=20.0)
    wait_for("answered", lambda: got, 10.0)
    assert got[0].returncode == 1 and b"store: UNKNOWN" in got[0].stdout and b"stands" in got[0].stderr, got[0]
    assert ("acme-sap", "unknown", "store") in outcomes(one)
    one.start()
    assert status(one, "acme-sap") == 410
    assert ctl(one, "revoke", "acme-sap", "--in-store").returncode == 0


def test_a_broker_that_is_killed_in_the_middle_leaves_the_revocation_and_a_record_that_the_store_was_asked(one):
    assert status(one, "acme-sap") == 200
    pids = one.pids()
    hold_still(pids["fetcher"])
    got = later(lambda: ctl(one, "revoke", "acme-sap", "--in-store"))
    wait_for("asked", lambda: ("acme-sap", "asked", "") in outcomes(one), 5.0)
    os.kill(pids["broker"], signal.SIGKILL)
    wait_for("the caller hears that it broke off", lambda: got, 10.0)
    assert got[0].returncode == 6
    with contextlib.suppress(ProcessLookupError):
        os.kill(pids["fetcher"], signal.SIGKILL)
    wait_for("another broker", lambda: one.pids().get("broker") not in (None, pids["broker"]) and status(one, "acme-sap") == 410, 20.0)
    wait_for("and again does no harm", lambda: ctl(one, "revoke", "acme-sap", "--in-store").returncode == 0, 20.0)


def test_who_goes_away_does_not_stop_it(one):
    assert status(one, "acme-sap") == 200
    fetcher = one.pids()["fetcher"]
    hold_still(fetcher)
    body = b'{"connection":"acme-sap","in_store":true}'
    with contextlib.closing(one.caller(SECTEAM).connect(one.sock("admin"))) as c:
        c.send(b"POST /v1/revocations HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        wait_for("asked", lambda: ("acme-sap", "asked", "") in outcomes(one), 5.0)
    with contextlib.suppress(ProcessLookupError):
        os.kill(fetcher, signal.SIGCONT)
    wait_for("done all the same", lambda: ("acme-sap", "disabled", "store") in outcomes(one), 50.0)
    assert listed(one)["acme-sap"][1]


def test_the_second_person_approves_what_was_proposed_with_the_stores_part():
    with made(rules=TWO, extra='admin = { group = "61031"; two_person = [ "restore" ]; };', groups=(GROUP,)) as i:
        i.start()
        assert status(i, "acme-sap") == 200 and ctl(i, "revoke", "acme-sap", "--in-store").returncode == 0
        proposed = ctl(i, "restore", "acme-sap", "--in-store", "--value-too", "--json")
        p = json.loads(proposed.stdout)
        waits = admin(i, "GET", "/v1/status").json()["approvals"]
        assert [a["detail"] for a in waits] == ["restore acme-sap value in-store"] and listed(i)["acme-sap"][1]
        second = i.caller(61021, gid=GROUP)
        done = second.get(i.sock("admin"), f"/v1/approvals/{p['approval']}", method="POST", body=json.dumps({"digest": p["digest"]}).encode())
        assert done.status == 200 and done.json()["in_store"][0]["outcome"] == "enabled" and done.json()["in_store_done"] is True
        assert not listed(i)["acme-sap"][1]


@pytest.mark.parametrize("body, status_", [({"connection": "acme-sap", "in_store": "yes"}, 400), ({"connection": "acme-sap", "in_store": None}, 400),
                                           ({"connection": "acme-sap", "in_store": False}, 200)])
def test_in_store_is_true_or_false(one, body, status_):
    a = admin(one, "POST", "/v1/revocations", body)
    assert a.status == status_ and (status_ == 400 or "in_store" not in a.json()["revoked"][0])
    assert admin(one, "DELETE", "/v1/revocations/acme-sap?in_store=maybe").status == 400
