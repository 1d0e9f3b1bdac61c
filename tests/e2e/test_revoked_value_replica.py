# SPDX-License-Identifier: Apache-2.0
"""A revoked value that is still current, or under another name, where its revocation is not known: in a second OpenBao, once
that is asked in the first one's place, as the next store in order or at the same address."""

import time

import pytest

from lib.instance import Instance
from lib.waiting import wait_for
from servers.openbao import OpenBao

from .test_revocation import RULES, admin, alarms
from .test_revoked_value_back import revoke
from .test_vault import REFRESH, TTL, by_token, served, store, wait_served

pytestmark = pytest.mark.root
SAME = "same-token-in-both"
NAMES = ("acme-crm", "acme-other", "acme-third")


def filled(bao, fresh):
    """acme-crm is tok-1; and what shows which server it was that answered."""
    bao.policy()
    bao.token(id=SAME)
    bao.put("makini/acme-crm", access_token="tok-1")
    bao.put("makini/acme-which", access_token=fresh)


def behind(bao):
    """The second server, filled as it was before the revocation, and with the value under another name."""
    filled(bao, "tok-second")
    bao.put("makini/acme-other", access_token="tok-1")
    bao.put("makini/acme-third", access_token="tok-1", note="mine", expires_in="3600")


def as_next_store(first, second):
    """(the instance's stores, what is to be done for the second one to be asked)."""
    def stores(i):
        return ", ".join(store(bao, by_token(SAME))(i).replace('name = "bao"', f'name = "{name}"') for name, bao in (("first", first), ("second", second)))
    second.start()
    return stores, lambda: behind(second)


def at_the_same_address(first, second):
    second.address, second.port = first.address, first.port
    return store(first, by_token(SAME)), lambda: behind(second.start())


def refused(i, name, what, before=()):
    """From some look on, and until then with nothing but what may come before."""
    seen = []

    def is_refused():
        seen.append(served(i, name))
        return seen[-1] == 410
    wait_for(f"{name} {what}", is_refused, TTL + 5)
    assert set(seen) <= {404, 410, 502, 503, 504, *before}, (name, set(seen))


def dead_in_each_way(i):
    """At each look, for longer than what is in memory counts as fresh."""
    for name in NAMES:
        refused(i, name, "of the second server is refused", before=["tok-2"] if name == "acme-crm" else [])
    seen, until = set(), time.monotonic() + 1.25 * TTL  # with its jitter
    while time.monotonic() < until or not seen:
        seen |= {served(i, name) for name in NAMES}
        time.sleep(0.02)
    assert 410 in seen and seen <= {410, 502, 503, 504}, seen  # a slow machine may have the second server fail, too
    for name in NAMES:
        refused(i, name, "is still refused")
    assert {("retired_value_back", name) for name in NAMES} <= alarms(i)


@pytest.mark.parametrize("way", [as_next_store, at_the_same_address])
def test_a_revoked_value_that_another_server_still_has_is_dead_there_too(way):
    first, second = OpenBao(), OpenBao()
    try:
        filled(first.start(), "tok-first")
        stores, take_over = way(first, second)
        with Instance(backend=stores, conf=REFRESH, policy=RULES) as i:
            i.start()
            wait_served(i, "tok-1", "its token")
            wait_served(i, "tok-first", "the first server's", name="acme-which")
            revoke(i, "acme-crm")
            assert admin(i, "DELETE", "/v1/revocations/acme-crm").status == 200
            refused(i, "acme-crm", "is as dead after a restore")
            first.put("makini/acme-crm", access_token="tok-2")
            wait_served(i, "tok-2", "its new value")
            first.close()
            take_over()
            wait_served(i, "tok-second", "the second server's", name="acme-which", bound=TTL + 10)
            dead_in_each_way(i)
            i.process.kill()
            i.process.wait()
            i.start()
            dead_in_each_way(i)
            second.put("makini/acme-crm", access_token="tok-3")
            second.put("makini/acme-other", access_token="tok-other")
            wait_served(i, "tok-3", "another value of it is served")
            wait_served(i, "tok-other", "and of the other name", name="acme-other")
            wait_for("no alarm of them", lambda: not alarms(i) & {("retired_value_back", "acme-crm"), ("retired_value_back", "acme-other")}, 3.0)
            assert "tok-" not in i.log_text() and i.verify().returncode == 0
    finally:
        first.close()
        second.close()
