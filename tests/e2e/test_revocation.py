# SPDX-License-Identifier: Apache-2.0
"""A revoked token against who can write to the store: OpenBao, with the attacker's own client."""

import time

import pytest

from lib.instance import POLICY, SECTEAM, Instance
from lib.waiting import wait_for
from servers.openbao import OpenBao

from .test_vault import REFRESH, TTL, by_token, served, store, wait_served

pytestmark = pytest.mark.root

RULES = POLICY.format(env="production").replace('"status", "reload"', '"status", "reload", "revoke", "restore"')


@pytest.fixture()
def world():
    with OpenBao() as bao:
        bao.policy()
        bao.put("makini/acme-crm", access_token="tok-1")
        with Instance(backend=store(bao, by_token(bao.token())), conf=REFRESH, policy=RULES) as i:
            i.start()
            wait_served(i, "tok-1", "cold start to first token")
            yield bao, i


def admin(i, method, target, body=b""):
    return i.get(target, uid=SECTEAM, sock="admin", method=method, body=body)


def alarms(i):
    return {(a["code"], a["subject"]) for a in admin(i, "GET", "/v1/status").json()["alarms"]}


def stays_dead(i, name):
    """At each look, for longer than what is in memory counts as fresh. A busy machine's store may be late for some of them, and
    that there was none is known for five seconds."""
    seen = []

    def refused():
        seen.append(served(i, name))
        return seen[-1] == 410
    wait_for("refused", refused, TTL + 5)
    first, until = len(seen), time.monotonic() + 1.25 * TTL  # with its jitter
    while time.monotonic() < until:
        refused()
        time.sleep(0.02)
    wait_for("still refused", refused, TTL + 1)
    assert set(seen[:first]) <= {404, 410, 502, 503, 504} and set(seen[first:]) <= {410, 502, 503, 504}, set(seen)


def test_the_value_put_back_as_a_new_version_under_another_name_or_from_a_backup_stays_dead(world):
    bao, i = world
    assert admin(i, "POST", "/v1/revocations", b'{"connection":"acme-crm"}').json()["revoked"][0]["values"] >= 1
    assert served(i, "acme-crm") == 410
    bao.put("makini/acme-crm", access_token="tok-1")
    bao.put("makini/acme-other", access_token="tok-1", note="mine")
    stays_dead(i, "acme-crm")
    stays_dead(i, "acme-other")
    assert ("retired_value_back", "acme-other") in alarms(i)
    i.process.kill()
    i.process.wait()
    i.start()
    stays_dead(i, "acme-other")
    assert served(i, "acme-crm") == 410
    assert i.token("acme-crm?version=previous").status == 410
    bao.delete("makini/acme-other")
    bao.put("makini/acme-other", access_token="tok-1")
    stays_dead(i, "acme-other")
    assert "tok-1" not in i.log_text() and i.verify().returncode == 0


def test_after_a_restore_only_a_new_value_is_served(world):
    bao, i = world
    admin(i, "POST", "/v1/revocations", b'{"connection":"acme-crm"}')
    assert admin(i, "DELETE", "/v1/revocations/acme-crm").status == 200
    stays_dead(i, "acme-crm")
    assert ("retired_value_back", "acme-crm") in alarms(i)
    bao.put("makini/acme-crm", access_token="tok-2")
    wait_served(i, "tok-2", "a new value is served")
    assert i.token("acme-crm?version=previous").status == 410, "the version before is the one that was revoked"
    bao.put("makini/acme-crm", access_token="tok-1")
    wait_served(i, 410, "the old one as the newest version is refused")
