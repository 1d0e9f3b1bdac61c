# SPDX-License-Identifier: Apache-2.0
"""The service API as a service sees it, on a running instance with real users."""

import json
import subprocess
import time

import pytest

from lib.instance import AGENT, BILLING, SECTEAM, STRANGER, SYNC, Instance, demote

pytestmark = pytest.mark.root
KEYS = ["connection", "environment", "access_token", "token_type", "version", "state", "expires_at", "age", "stale", "fields"]


def test_a_token_comes_as_json_with_all_its_keys(production):
    a = production.token("acme-sap")
    body = a.json()
    assert a.status == 200 and list(body) == KEYS
    assert body["connection"] == "acme-sap" and body["environment"] == "production"
    assert body["access_token"] == "tok-acme-sap-1" and body["token_type"] == "Bearer"
    assert body["expires_at"] == "2100-01-01T00:00:00Z" and body["state"] == "current"
    assert body["stale"] is False and body["fields"] == {} and isinstance(body["age"], int)
    assert a.headers["Content-Type"].startswith("application/json") and "no-store" in a.headers["Cache-Control"]
    assert a.headers["ETag"].startswith('"') and int(a.headers["Age"]) >= 0


def test_the_second_answer_comes_from_the_cache(production):
    production.token("acme-crm")
    assert production.token("acme-crm").headers["X-Cache"] == "hit"


def test_text_plain_is_the_bare_token(production):
    a = production.get("/v1/tokens/acme-crm", headers={"Accept": "text/plain"})
    assert (a.status, a.body) == (200, b"tok-acme-crm") and a.headers["Content-Type"].startswith("text/plain")


def test_an_unchanged_token_is_304_and_no_grant(production):
    tag = production.token("acme-sap").headers["ETag"]
    before = len(production.audit("grant"))
    a = production.get("/v1/tokens/acme-sap", headers={"If-None-Match": tag})
    assert (a.status, a.body) == (304, b"") and a.headers["ETag"] == tag
    assert len(production.audit("grant")) == before
    assert production.get("/v1/tokens/acme-sap", headers={"If-None-Match": '"other"'}).status == 200


def bare(a):
    return a.status, {k: v for k, v in a.headers.items() if k != "Date"}, a.body


@pytest.mark.parametrize("uid", [SYNC, STRANGER])
def test_to_know_the_tag_is_no_right(production, uid):
    tag = production.token("acme-sap").headers["ETag"]
    denial = bare(production.token("acme-sap", uid=uid))
    assert denial[0] == 403 and "ETag" not in denial[1]
    for header, may in ((tag, 304), ('"x"', 200), ("*", 304)):
        ask = {"headers": {"If-None-Match": header}}
        assert production.get("/v1/tokens/acme-sap", **ask).status == may  # the control: it means something to who may
        assert bare(production.get("/v1/tokens/acme-sap", uid=uid, **ask)) == denial


def test_what_is_forbidden_and_what_does_not_exist_look_the_same(production):
    forbidden, missing = bare(production.token("globex-erp")), bare(production.token("globex-nothing"))
    assert forbidden[0] == 403 and forbidden == missing
    assert bare(production.token("acme-payroll"))[0] == 403  # a deny rule beats an allow rule


def test_a_missing_token_that_a_rule_covers_is_404(production):
    a = production.token("acme-nothing")
    assert a.status == 404 and a.json()["code"] == "not_found"


@pytest.mark.parametrize("uid", [STRANGER, 65534, 0, AGENT])
def test_nobody_gets_nothing(production, uid):
    a = production.token("acme-sap", uid=uid)
    assert a.status == 403 and a.json()["code"] == "denied" and b"tok-" not in a.body
    assert production.get("/v1/whoami", uid=uid).json()["service"] is None


def test_a_service_on_a_socket_that_is_not_its_own_is_nobody(production):
    assert production.get("/v1/whoami", uid=SECTEAM).json()["service"] is None  # secteam's is the admin socket


def test_whoami_says_service_evidence_and_rules(production):
    who = production.get("/v1/whoami").json()
    assert who["service"] == "billing" and who["environment"] == "production"
    assert who["evidence"]["uid"] == BILLING and who["evidence"]["socket"] == "api"
    assert any(r.get("allow") and "acme-*" in r["connections"] for r in who["rules"])


def test_the_list_holds_just_what_the_caller_may_read(production):
    body = production.get("/v1/tokens").json()
    assert [t["connection"] for t in body["tokens"]] == ["acme-crm", "acme-sap"] and body["next"] is None
    assert set(body["tokens"][0]) == {"connection", "version", "state", "expires_at"}
    assert [t["connection"] for t in production.get("/v1/tokens", uid=SYNC).json()["tokens"]] == ["globex-erp"]


def test_the_list_goes_on_after_its_continuation_token(production):
    first = production.get("/v1/tokens?limit=1").json()
    assert [t["connection"] for t in first["tokens"]] == ["acme-crm"] and first["next"] == "acme-crm"
    rest = production.get(f"/v1/tokens?limit=1&after={first['next']}").json()
    assert [t["connection"] for t in rest["tokens"]] == ["acme-sap"] and rest["next"] is None


def test_list_does_not_imply_get(production):
    assert production.token("globex-erp", uid=SYNC).status == 403


def test_health_is_for_everyone(production):
    a = production.get("/v1/health", uid=STRANGER)
    assert a.status == 200 and a.json() == {"status": "ready", "environment": "production"}


@pytest.mark.parametrize("target, status", [
    ("/v1/tokens/ACME", 400), ("/v1/tokens/a--b", 400), ("/v1/tokens/acme%2dsap", 400), ("/v1/tokens/acme%00payroll", 400),
    ("/v1/tokens/../health", 400), ("/v1/tokens/" + "a" * 64, 400), ("/v1/tokens/acme-sap?version=older", 400),
    ("/v1/tokens/acme-sap?colour=red", 400), ("/v1/tokens?limit=0", 400), ("/v1/tokens?limit=1001", 400),
    ("/v1/nothing", 404), ("/", 404)])
def test_a_bad_request_gets_a_problem_document(production, target, status):
    a = production.get(target)
    assert a.status == status and a.headers["Content-Type"] == "application/problem+json"
    body = a.json()
    assert body["status"] == status and body["code"] and body["title"]
    assert "acme" not in json.dumps(body)  # nothing of what the caller wrote


def test_a_wrong_method_says_which_are_right(production):
    a = production.get("/v1/tokens/acme-sap", method="DELETE")
    assert a.status == 405 and "GET" in a.headers["Allow"]


@pytest.mark.parametrize("raw", [
    b"GET /v1/tokens/acme-sap HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET /v1/tokens/acme-sap HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
    b"GET /v1/tokens/acme-sap HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET /v1/tokens/acme-sap HTTP/1.1\r\nHost: a\r\nOrigin: http://evil\r\n\r\n",
    b"GET /v1/tokens/acme-sap HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
    b"GET http://agent/v1/tokens/acme-sap HTTP/1.1\r\nHost: a\r\n\r\n",
    b"CONNECT agent:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n"])
def test_what_is_not_plain_http_gets_no_token_and_the_connection_ends(production, raw):
    c = production.caller(BILLING).connect(production.sock())
    c.send(raw)
    answer = b""
    while piece := c.sock.recv(65536):
        answer += piece
    c.close()
    assert b"tok-" not in answer and b" 200 " not in answer.split(b"\r\n")[0]
    assert answer.count(b"HTTP/1.") <= 1


def test_a_thousand_pipelined_requests_are_answered_in_order(production):
    c = production.caller(BILLING).connect(production.sock())
    names = ["acme-sap", "acme-crm"] * 500
    c.send(b"".join(f"GET /v1/tokens/{n} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for n in names))
    assert [c.receive().json()["connection"] for _ in names] == names
    c.close()


def test_a_new_version_is_served_at_once_and_the_one_before_it_stays_to_be_asked_for(production):
    for i in range(2, 12):
        production.put("acme-sap", {"access_token": f"tok-acme-sap-{i}"})
        a = production.token("acme-sap").json()
        assert a["access_token"] == f"tok-acme-sap-{i}"
        before = production.get("/v1/tokens/acme-sap?version=previous").json()
        assert before["access_token"] == f"tok-acme-sap-{i - 1}" and before["state"] == "previous"
        assert before["version"] != a["version"]


def test_a_removed_token_is_gone_at_once(production):
    production.put("acme-brief", b"tok-brief")
    assert production.token("acme-brief").status == 200
    production.rm("acme-brief")
    assert production.token("acme-brief").status == 404


@pytest.mark.parametrize("value, code", [
    ({"access_token": "x", "expires_in": 1000}, "expired"), ({"colour": "red"}, "backend_error"),
    ({"access_token": 5}, "backend_error"), ({"access_token": "a\r\nb"}, "backend_error"),
    ({"access_token": "x", "expires_at": "yesterday"}, "backend_error"), ({"access_token": ""}, "backend_error")])
def test_a_record_that_is_no_token_is_an_error_and_not_a_guess(production, value, code):
    if value.get("expires_in") == 1000:
        value = {"access_token": "x", "expires_at": "2001-01-01T00:00:00Z"}
    production.put("acme-odd", value)
    a = production.token("acme-odd")
    assert a.json()["code"] == code and a.status in (410, 502)


def test_each_answer_with_a_token_has_its_grant_record(production):
    before = len(production.audit("grant"))
    answers = [production.token(n) for n in ("acme-sap", "acme-crm", "acme-payroll", "acme-none") for _ in range(25)]
    assert len(production.audit("grant")) - before == sum(a.status == 200 for a in answers) == 50


def test_the_rate_of_a_rule_is_kept():
    policy = """environment = "production";
services = ( { name = "billing"; identity = { uid = %d; }; }, { name = "sync"; identity = { uid = %d; }; } );
rules = ( { allow = [ "billing" ]; actions = [ "get" ]; connections = [ "*" ]; rate = "20/h"; },
          { allow = "sync"; actions = [ "get" ]; connections = [ "*" ]; } );""" % (BILLING, SYNC)
    with Instance(policy=policy.replace('[ "billing" ]', '"billing"')) as i:
        i.put("acme-sap", b"tok")
        i.start()
        answers = [i.token("acme-sap") for _ in range(40)]
        refused = [a for a in answers if a.status == 429]
        assert refused and answers[0].status == 200 and all(int(a.headers["Retry-After"]) >= 1 for a in refused)
        assert i.token("acme-sap", uid=SYNC).status == 200  # another service's right is untouched
        assert len(i.audit("grant")) == sum(a.status == 200 for a in answers) + 1


def test_curl_and_makinictl_read_the_same(production):
    url = ["curl", "-sS", "--unix-socket", str(production.sock()), "-H", "Accept: text/plain", "http://agent/v1/tokens/acme-crm"]
    by_curl = subprocess.run(url, capture_output=True, preexec_fn=demote(BILLING), check=True).stdout
    by_ctl = production.ctl("get", "acme-crm", "--socket", production.sock(), user=BILLING).stdout
    assert by_curl == by_ctl == b"tok-acme-crm"


@pytest.mark.parametrize("args, uid, code", [
    (["get", "acme-sap"], BILLING, 0), (["get", "acme-payroll"], BILLING, 3), (["get", "acme-none"], BILLING, 4),
    (["get"], BILLING, 2), (["get", "NOT-A-NAME"], BILLING, 2), (["gte", "x"], BILLING, 2), (["health", "--ready"], STRANGER, 0),
    (["list"], BILLING, 0), (["list"], STRANGER, 3), (["whoami"], STRANGER, 0)])
def test_makinictl_exit_codes(production, args, uid, code):
    where = ["--socket", production.sock()] if args[0] != "gte" and len(args) + (args[0] != "get") > 1 else []
    done = production.ctl(*args, *where, user=uid, check=False)
    assert done.returncode == code, done.stderr
    assert code == 0 or done.stderr


def test_makinictl_says_what_to_do_when_there_is_no_agent(production):
    done = production.ctl("get", "acme-sap", "--socket", "/nonexistent/api.sock", check=False)
    assert done.returncode == 6 and b"is the agent running" in done.stderr


def test_status_and_reload_are_for_those_with_the_action(production):
    a = production.get("/v1/status", uid=SECTEAM, sock="admin")
    assert a.status == 200
    body = a.json()
    assert sorted(p["role"] for p in body["processes"]) == ["broker", "fetcher", "supervisor"]  # its reporter listens nowhere
    assert body["audit"]["writable"] is True and body["stores"][0]["name"] == "store"
    assert production.get("/v1/reload", method="POST", uid=SECTEAM, sock="admin").status == 200
    done = production.ctl("status", "--socket", production.sock("admin"), user=SECTEAM)
    assert b"ready" in done.stdout and b"audit: writable" in done.stdout


def test_the_admin_socket_serves_no_tokens(production):
    assert production.get("/v1/tokens/acme-sap", uid=SECTEAM, sock="admin").status == 404
    with pytest.raises(PermissionError):
        production.get("/v1/health", uid=BILLING, sock="admin")  # 0600: only root and the agent open it


def test_age_grows(production):
    production.put("acme-aging", b"tok")
    first = production.token("acme-aging").json()["age"]
    time.sleep(1.1)
    assert production.token("acme-aging").json()["age"] > first


def test_the_log_verifies_at_the_end(production):
    done = production.verify()
    assert done.returncode == 0, done.stdout
    assert b"tok-" not in production.audit_log.read_bytes() and "tok-" not in production.log_text()
