# SPDX-License-Identifier: Apache-2.0
"""Groups, tags, fields and the policy in the shadow, on a running instance."""

import pytest

from lib.instance import BILLING, SECTEAM, STRANGER, SYNC, Instance
from lib.waiting import wait_for

pytestmark = pytest.mark.root

POLICY = """
environment = "production";
services = (
  {{ name = "billing"; identity = {{ uid = {billing}; }}; }},
  {{ name = "sync"; identity = {{ uid = {sync}; }}; }},
  {{ name = "secteam"; identity = {{ socket = "admin"; uid = {secteam}; }}; }} );
groups = ( {{ name = "readers"; services = [ "billing", "sync" ]; }} );
rules = (
  {{ allow = "readers"; actions = [ "get" ]; connections = [ "shared-*" ]; }},
  {{ allow = "sync"; actions = [ "get" ]; tags = {{ system = "sap"; }}; }},
  {{ deny = "readers"; tags = {{ zone = "us"; }}; connections = [ "erp-*" ]; }},
  {{ allow = "billing"; actions = [ "get" ]; connections = [ "erp-*" ]; fields = [ "base_url" ]; }},
  {{ allow = "secteam"; actions = [ "status", "reload" ]; connections = [ "*" ]; }} );
"""
SERVICES = dict(billing=BILLING, sync=SYNC, secteam=SECTEAM)


@pytest.fixture(scope="module")
def instance():
    with Instance(policy=POLICY.format(**SERVICES)) as i:
        i.write_conf(backend="trust_tags = true;", extra='refresh = { prefetch = false; };')
        i.put("shared-one", b"tok-shared")
        i.put("erp-eu", b"tok-erp-eu", tags={"system": "sap", "zone": "eu"})
        i.put("erp-us", b"tok-erp-us", tags={"system": "sap", "zone": "us"})
        i.put("erp-old", b"tok-erp-old", tags={"system": "r3", "zone": "eu"})
        yield i.start()


def bare(a):
    return a.status, {k: v for k, v in a.headers.items() if k != "Date"}, a.body


def test_a_groups_rule_is_for_each_service_in_it_and_for_no_other(instance):
    for uid in (BILLING, SYNC):
        assert instance.token("shared-one", uid=uid).json()["access_token"] == "tok-shared"
    assert instance.token("shared-one", uid=STRANGER).status == 403


def test_a_token_is_given_by_its_tags_though_it_was_never_fetched(instance):
    assert instance.token("erp-eu", uid=SYNC).json()["access_token"] == "tok-erp-eu"
    assert instance.audit("grant")[-1]["rule"] == 10


def test_a_denial_is_the_same_byte_for_byte_whatever_is_in_the_store(instance):
    answers = [bare(instance.token(n, uid=SYNC)) for n in ("erp-us", "erp-old", "erp-none", "other") for _ in range(2)]
    assert answers[0][0] == 403 and all(a == answers[0] for a in answers)


def test_the_list_shows_what_tags_allow(instance):
    assert instance.token("erp-eu", uid=SYNC).status == 200
    assert instance.token("erp-us", uid=SYNC).status == 403
    names = [t["connection"] for t in instance.get("/v1/tokens", uid=SYNC).json()["tokens"]]
    assert "erp-eu" in names and "erp-us" not in names and "erp-old" not in names


def test_without_access_token_the_answer_has_none(instance):
    a = instance.token("erp-eu", uid=BILLING)
    body = a.json()
    assert a.status == 200 and "access_token" not in body and "token_type" not in body and b"tok-" not in a.body
    assert (body["connection"], body["state"], body["fields"]) == ("erp-eu", "current", {})
    denied = instance.get("/v1/tokens/erp-eu", headers={"Accept": "text/plain"})
    assert denied.status == 403 and denied.json()["code"] == "denied"
    assert a.headers["ETag"] != instance.token("erp-eu", uid=SYNC).headers["ETag"]
    assert instance.audit("grant")[-2]["detail"] == "without access_token"


def test_whoami_shows_the_groups_rules_with_tags_and_fields(instance):
    rules = instance.get("/v1/whoami", uid=BILLING).json()["rules"]
    assert [r.get("allow") or r.get("deny") for r in rules] == ["readers", "readers", "billing"]
    assert rules[1]["tags"] == {"zone": "us"} and rules[2]["fields"] == ["base_url"] and "fields" not in rules[0]


def test_a_tag_that_is_taken_away_takes_the_token_away(instance):
    instance.put("erp-moves", b"tok-moves", tags={"system": "sap", "zone": "eu"})
    wait_for("the name to be known", lambda: instance.token("erp-moves", uid=SYNC).status == 200, 5.0)
    instance.put("erp-moves", b"tok-moves", tags={"zone": "us"})
    wait_for("the tag to be seen", lambda: instance.token("erp-moves", uid=SYNC).status == 403, 5.0)
    instance.put("erp-moves", b"tok-moves", tags={"zone": "eu"})
    wait_for("and seen again", lambda: instance.token("erp-moves", uid=SYNC).status == 200, 5.0)


def test_tags_of_a_backend_that_is_not_trusted_allow_nothing():
    with Instance(policy=POLICY.format(**SERVICES)) as i:
        i.put("erp-eu", b"tok-erp-eu", tags={"system": "sap", "zone": "eu"})
        i.put("shared-one", b"tok-shared")
        i.start()
        assert i.token("shared-one", uid=SYNC).status == 200  # it works at all
        assert i.token("erp-eu", uid=SYNC).status == 403


def test_a_policy_in_the_shadow_is_compared_and_changes_nothing(instance):
    new = POLICY.format(**SERVICES).replace('[ "shared-*" ]', '[ "shared-one-*" ]')
    instance._place(instance.conf_dir / "policy-next.conf", new)
    instance.write_conf(backend="trust_tags = true;", extra='policy_shadow = "policy-next.conf";')
    assert instance.reload()["event"] == "reloaded"
    try:
        for _ in range(5):
            assert instance.token("shared-one", uid=BILLING).status == 200
        status = instance.get("/v1/status", uid=SECTEAM, sock="admin").json()["policy_shadow"]
        assert status["would_deny"] == 5 and status["would_allow"] == 0 and status["decisions"] >= 5
        seen = instance.events("policy_shadow_differs")
        assert [e["count"] for e in seen] == [1, 2, 4] and seen[0]["would"] == "deny" and seen[0]["connection"] == "shared-one"
        assert b"policy_shadow" not in instance.audit_log.read_bytes()
        assert "shadow policy: " in instance.ctl("status", "--socket", instance.sock("admin")).stdout.decode()
        instance._place(instance.conf_dir / "policy-next.conf", new.replace('allow = "readers"', 'allow = "raeders"'))
        refused = instance.reload()
        assert refused["event"] == "reload_refused" and refused["file"].endswith("/policy-next.conf")
        assert "raeders" in str(refused) and 'did you mean "readers"' in str(refused)
        assert instance.token("shared-one", uid=BILLING).status == 200
    finally:
        instance.write_conf(backend="trust_tags = true;")
        assert instance.reload()["event"] == "reloaded"
    assert instance.get("/v1/status", uid=SECTEAM, sock="admin").json()["policy_shadow"] is None


def test_a_right_that_a_reload_takes_away_is_gone_when_the_reload_is_done(instance):
    before = POLICY.format(**SERVICES)
    try:
        for _ in range(3):
            instance.write_policy(before)
            assert instance.reload()["event"] == "reloaded"
            assert instance.token("shared-one", uid=SYNC).status == 200
            instance.write_policy(before.replace('services = [ "billing", "sync" ]', 'services = [ "billing" ]'))
            assert instance.reload()["event"] == "reloaded"
            assert instance.token("shared-one", uid=SYNC).status == 403
    finally:
        instance.write_policy(before)
        assert instance.reload()["event"] == "reloaded"
