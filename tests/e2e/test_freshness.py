# SPDX-License-Identifier: Apache-2.0
"""How fresh a token is, and who decides that: on a running instance with the embedded store."""

import time

import pytest

from lib.instance import BILLING, SECTEAM, Instance
from lib.waiting import wait_for

pytestmark = pytest.mark.root
PREFETCH_BOUND = 2.0  # seconds from ready to the last of a few tokens, stated for the embedded store


@pytest.fixture(scope="module")
def production():
    with Instance(conf="refresh = { prefetch = false; };") as instance:
        instance.put("acme-sap", b"tok-sap-1")
        instance.put("acme-crm", b"tok-crm-1")
        yield instance.start()


def calls(instance):
    return instance.get("/v1/status", uid=SECTEAM, sock="admin").json()["stores"][0]["calls"]


def ask(instance, query, name="acme-sap"):
    a = instance.get(f"/v1/tokens/{name}?{query}")
    assert a.status == 200, a
    return a.headers["X-Cache"], a.json()


def test_an_answer_older_than_max_age_is_fetched_again(production):
    production.token("acme-sap")
    time.sleep(2.2)
    assert ask(production, "max_age=1h")[0] == "hit"
    assert ask(production, "max_age=1s")[0] == "miss"
    seen = []

    def is_hit():
        seen.append(ask(production, "max_age=1s"))
        return seen[-1][0] == "hit"
    wait_for("a hit", is_hit, 0.5)  # where the machine stands still for a second, the next answer is none
    assert seen[-1][1]["age"] <= 1 and seen[-1][1]["stale"] is False


@pytest.mark.parametrize("query", ["max_age=10", "max_age=", "max_age=soon", "max_age=-1s", "max_age=1s&max_age=2s", "not=", "not=" + "a" * 65])
def test_a_malformed_wish_is_400(production, query):
    a = production.get(f"/v1/tokens/acme-sap?{query}")
    assert a.status == 400 and a.json()["code"] == "bad_request"


def test_a_version_that_was_refused_is_fetched_past_the_cache_once_a_second_at_most(production):
    version = production.token("acme-crm").json()["version"]
    time.sleep(1.1)
    assert ask(production, "not=another", "acme-crm")[0] == "hit"
    before, began = calls(production), time.monotonic()
    answers = [ask(production, f"not={version}", "acme-crm") for _ in range(500)]
    took = time.monotonic() - began
    assert answers[0][0] == "miss" and {body["version"] for _, body in answers} == {version}
    assert 1 <= calls(production) - before <= took + 1


def test_what_is_missing_is_asked_for_once_and_a_put_is_seen_at_once(production):
    assert production.token("acme-new").status == 404
    before, began = calls(production), time.monotonic()
    assert {production.token("acme-new").status for _ in range(200)} == {404}
    assert calls(production) - before <= 1 + (time.monotonic() - began) / 5  # once in five seconds
    for i in range(10):
        production.put("acme-new", f"tok-new-{i}".encode())
        assert production.token("acme-new").json()["access_token"] == f"tok-new-{i}"
        production.rm("acme-new")
        assert production.token("acme-new").status == 404


def test_what_is_used_is_fetched_again_before_it_ends():
    with Instance(conf='refresh = { ttl = "2s"; prefetch = false; };') as i:
        i.put("acme-sap", b"tok-sap")
        i.start()
        i.token("acme-sap")

        def eight_seconds():
            began, seen, missed = time.monotonic(), [], 0
            while time.monotonic() - began < 8:
                a = i.token("acme-sap")
                missed += a.headers["X-Cache"] != "hit"
                seen.append(int(a.headers["Age"]))
                time.sleep(0.02)
            assert max(seen) <= 2, max(seen)
            return missed
        # four where nothing were fetched ahead; one is a machine that stood still for a moment, and no machine does so in each round
        rounds = []
        while not rounds or (rounds[-1] > 1 and len(rounds) < 5):
            rounds.append(eight_seconds())
        assert rounds[-1] <= 1, rounds
        assert calls(i) >= 4


def test_after_a_start_the_first_request_finds_its_token_in_memory():
    with Instance() as i:
        for name in ("acme-sap", "acme-crm", "acme-payroll", "globex-erp"):
            i.put(name, f"tok-{name}".encode())
        i.start()
        wait_for("ready to prefetched", lambda: i.events("prefetched"), PREFETCH_BOUND)
        wait_for("the last answer", lambda: i.get("/v1/status", uid=SECTEAM, sock="admin").json()["tokens"] == 2, 1.0)
        assert i.events("prefetched")[0]["tokens"] == 2  # not what is denied, nor what no rule allows to get
        assert not i.audit("grant")
        assert i.token("acme-sap").headers["X-Cache"] == "hit"
        i.put("acme-crm", b"tok-second")
        assert i.token("acme-crm").json()["access_token"] == "tok-second"
        assert i.reload()["event"] == "reloaded"
        wait_for("reload to prefetched", lambda: len(i.events("prefetched")) == 2, PREFETCH_BOUND)
        assert b"tok-" not in i.audit_log.read_bytes()


def test_without_a_store_it_starts_says_why_and_heals():
    with Instance(conf="refresh = { prefetch = false; };") as i:
        i.put("acme-sap", b"tok-sap")
        aside = i.store.with_name("aside")
        i.store.rename(aside)
        i.start()
        assert i.token("acme-sap").status in (502, 503, 504)
        health = i.get("/v1/health", uid=BILLING)
        assert health.status == 503 and health.json()["reasons"] == ["backend_unavailable"]
        aside.rename(i.store)
        assert i.token("acme-sap").json()["access_token"] == "tok-sap"
        wait_for("healed", lambda: i.get("/v1/health").status == 200, 5.0)
