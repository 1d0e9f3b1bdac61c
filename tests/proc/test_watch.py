# SPDX-License-Identifier: Apache-2.0
"""Services are told: ?wait= and GET /v1/watch; on a running instance with the embedded store."""

import json
import os
import socket
import time

import pytest

from lib.instance import SECTEAM, STRANGER, Instance
from lib.waiting import wait_for
from lib.watching import TOLD_BOUND, Stream, connect, figures, policy, poll, polls, production, version

pytestmark = pytest.mark.root


def short_lived(i, seconds):
    """acme-short, which ends in so many seconds, or in more where it was over before it was served once; its answer, and when it ends."""
    while True:
        end = int(time.time() + seconds)
        i.put("acme-short", {"access_token": f"tok-short-{seconds}", "expires_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end))})
        a = i.token("acme-short")
        if a.status == 200:
            return a, end
        assert a.status == 410 and seconds < 60, a
        seconds *= 2


# ---- ?wait= ----

def test_a_poll_is_answered_at_once_when_it_does_not_have_what_is_current(production):
    began = time.monotonic()
    a = connect(production).request("/v1/tokens/acme-sap?wait=60s", headers={"If-None-Match": '"other"'})
    assert a.status == 200 and time.monotonic() - began < 60


def test_a_poll_waits_its_time_and_says_304(production):
    tag = production.token("acme-sap").headers["ETag"]
    thread, got = poll(production, "acme-sap", tag, "1s")
    thread.join()
    print(f"figure: wait=1s: {got[1]:.3f} s")
    assert got[0].status == 304 and got[0].headers["ETag"] == tag and got[1] >= 0.9


def test_a_poll_is_told_of_a_change_at_once(production):
    tag = production.token("acme-sap").headers["ETag"]
    thread, got = poll(production, "acme-sap", tag, "30s")
    polls(production, 1)
    production.put("acme-crm", b"tok-crm-2")  # another's
    assert not got
    production.put("acme-sap", b"tok-sap-2")
    wait_for("told", lambda: not thread.is_alive(), TOLD_BOUND)
    assert got[0].status == 200 and got[0].json()["access_token"] == "tok-sap-2"
    polls(production, 0)


def test_a_poll_ends_when_the_token_is_gone(production):
    tag = production.token("acme-sap").headers["ETag"]
    thread, got = poll(production, "acme-sap", tag, "30s")
    polls(production, 1)
    production.rm("acme-sap")
    wait_for("told", lambda: not thread.is_alive(), TOLD_BOUND)
    assert got[0].status == 404


def test_a_poll_ends_when_the_token_expires(production):
    first, _ = short_lived(production, 3)
    thread, got = poll(production, "acme-short", first.headers["ETag"], "60s")
    wait_for("told", lambda: not thread.is_alive(), 5.0)
    assert got[0].status == 410 and got[0].json()["code"] == "expired"


@pytest.mark.parametrize("query,tag", [("wait=30s", None), ("wait=61s", '"x"'), ("wait=0s", '"x"'), ("wait=soon", '"x"'), ("wait=1s&wait=1s", '"x"')])
def test_a_malformed_wait_is_400(production, query, tag):
    a = connect(production).request(f"/v1/tokens/acme-sap?{query}", headers={"If-None-Match": tag} if tag else {})
    assert a.status == 400 and a.json()["code"] == "bad_request"


def test_a_peer_that_leaves_is_noticed_at_once(production):
    tag = production.token("acme-sap").headers["ETag"]
    connections = [connect(production) for _ in range(50)]
    for c in connections:
        c.send(f"GET /v1/tokens/acme-sap?wait=60s HTTP/1.1\r\nHost: agent\r\nIf-None-Match: {tag}\r\n\r\n".encode())
    streams = [Stream(production) for _ in range(20)]
    polls(production, 50)
    assert figures(production)["streams"] == 20
    for c in connections + streams:
        c.close()
    polls(production, 0)
    wait_for("streams are gone", lambda: figures(production)["streams"] == 0, 0.5)


def test_a_right_that_is_taken_away_ends_polls_and_named_streams_at_once(production):
    tag = production.token("acme-sap").headers["ETag"]
    thread, got = poll(production, "acme-sap", tag, "60s")
    polls(production, 1)
    named, of_all = Stream(production, "?connection=acme-sap"), Stream(production)
    production.write_policy(policy(names='"acme-crm"'))
    assert production.reload()["event"] == "reloaded"
    wait_for("told", lambda: not thread.is_alive(), TOLD_BOUND)
    assert got[0].status == 403
    assert named.next() == "over"
    assert Stream(production, "?connection=acme-sap").status == 403
    production.token("acme-crm")
    production.put("acme-sap", b"tok-sap-2")
    production.put("acme-crm", b"tok-crm-2")
    assert of_all.next()[:2] == ("rotated", "acme-crm")  # the other name is silent
    production.write_policy(policy(actions='"get"'))
    assert production.reload()["event"] == "reloaded"
    assert of_all.next() == "over" and Stream(production).status == 403


def test_a_freeze_is_told_and_so_is_its_end(production):
    tag = production.token("acme-sap").headers["ETag"]
    thread, got = poll(production, "acme-sap", tag, "60s")
    polls(production, 1)
    s = Stream(production, "?connection=acme-sap")
    admin = connect(production, SECTEAM, "admin")
    assert admin.request("/v1/freeze", "POST").status == 200
    wait_for("told", lambda: not thread.is_alive(), TOLD_BOUND)
    assert got[0].status == 503 and got[0].json()["code"] == "frozen"
    assert s.next() == ("resync", None, None)
    assert admin.request("/v1/freeze", "DELETE").status == 200
    assert s.next() == ("resync", None, None)
    assert production.token("acme-sap").status == 200


def test_a_revocation_is_told_and_what_is_taken_back_and_what_comes_after_it(production):
    tag, v = production.token("acme-sap").headers["ETag"], version(production, "acme-sap")
    thread, got = poll(production, "acme-sap", tag, "60s")
    polls(production, 1)
    named, of_all = Stream(production, "?connection=acme-sap"), Stream(production)
    body = json.dumps({"connections": ["acme-sap"], "reason": "INC-1"}).encode()
    assert connect(production, SECTEAM, "admin").request("/v1/revocations", "POST", body=body).status == 200
    wait_for("told", lambda: not thread.is_alive(), TOLD_BOUND)
    assert got[0].status == 410 and got[0].json()["code"] == "revoked"
    assert named.next() == of_all.next() == ("revoked", "acme-sap", None)
    assert connect(production, SECTEAM, "admin").request("/v1/revocations/acme-sap", "DELETE").status in (200, 204)
    assert named.next() == of_all.next() == ("restored", "acme-sap", None)
    production.put("acme-sap", b"tok-sap-2")
    told = [named.next(), of_all.next()]
    assert told == [("rotated", "acme-sap", version(production, "acme-sap"))] * 2 and told[0][2] != v
    assert named.next(0.3) is None


def test_polls_beyond_the_limit_of_a_uid_are_429():
    with Instance(policy=policy(), conf="limits = { waiters_per_uid = 3; };") as i:
        i.put("acme-sap", b"tok-sap")
        i.start()
        tag = i.token("acme-sap").headers["ETag"]
        waiting = [poll(i, "acme-sap", tag, "60s") for _ in range(3)]
        polls(i, 3)
        a = connect(i).request("/v1/tokens/acme-sap?wait=60s", headers={"If-None-Match": tag})
        assert a.status == 429 and Stream(i).status == 429
        assert connect(i).request("/v1/tokens/acme-sap", headers={"If-None-Match": tag}).status == 304
        i.put("acme-sap", b"tok-sap-2")
        for thread, got in waiting:
            thread.join()
            assert got[0].status == 200


def test_at_the_end_polls_are_answered_and_streams_end_in_order(production):
    tag = production.token("acme-sap").headers["ETag"]
    waiting = [poll(production, "acme-sap", tag, "60s") for _ in range(5)]
    polls(production, 5)
    s = Stream(production)
    assert production.stop() == 0
    for thread, got in waiting:
        thread.join()
        assert got[0].status == 304
    assert s.next() == "over"


# ---- streams ----

def test_a_stream_is_told_what_happens_to_its_connections_and_not_to_others(production):
    version(production, "acme-sap"), version(production, "acme-crm")
    s = Stream(production, "?connection=acme-sap")
    assert s.status == 200 and b"Content-Type: text/event-stream" in s.head and b"no-store" in s.head
    production.put("acme-crm", b"tok-crm-2")
    production.put("acme-sap", b"tok-sap-2")
    assert s.next() == ("rotated", "acme-sap", version(production, "acme-sap"))
    production.rm("acme-sap")
    assert s.next() == ("rotated", "acme-sap", None)
    production.put("acme-sap", b"tok-sap-3")
    assert s.next() == ("rotated", "acme-sap", version(production, "acme-sap"))
    assert s.next(0.3) is None
    records = production.audit("watch")
    assert len(records) == 1 and records[0]["connection"] == "acme-sap" and records[0]["service"] == "billing"


def test_a_stream_of_all_is_told_of_what_the_agent_holds_and_never_of_values(production):
    version(production, "acme-sap"), version(production, "acme-crm")
    s = Stream(production)
    for i in range(3):
        production.put("globex-erp", b"tok-globex-%d" % i)
        production.put("acme-sap", b"tok-sap-x%d" % i)
        production.put("acme-crm", b"tok-crm-x%d" % i)
        assert {s.next()[:2], s.next()[:2]} == {("rotated", "acme-sap"), ("rotated", "acme-crm")}
    production.rm("acme-sap")
    assert s.next() == ("rotated", "acme-sap", None)
    production.put("acme-sap", b"tok-sap-again")
    assert s.next()[:2] == ("rotated", "acme-sap")
    assert b"tok-" not in s.buffer and s.next(0.3) is None


def test_one_that_does_not_exist_yet_is_told_when_it_comes(production):
    s = Stream(production, "?connection=acme-new&connection=acme-sap")
    assert s.next(0.5) is None
    production.put("acme-new", b"tok-new")
    assert s.next() == ("rotated", "acme-new", version(production, "acme-new"))


def test_before_its_end_a_token_is_told_to_expire(production):
    before = time.time()
    a, end = short_lived(production, 10)
    s = Stream(production, "?connection=acme-short")
    assert s.next(60) == ("expiring", "acme-short", a.json()["version"])
    told = time.time()
    print(f"figure: told {end - told:.3f} s before its end, of {end - before:.3f}")
    assert told >= end - (end - before) / 10  # no more than a tenth of its life is left


def test_a_stream_goes_on_where_it_ended(production):
    version(production, "acme-sap")
    s = Stream(production, "?connection=acme-sap")
    production.put("acme-sap", b"tok-sap-2")
    assert s.next()[0] == "rotated"
    s.close()
    production.put("acme-sap", b"tok-sap-3")
    second = version(production, "acme-sap")
    production.put("acme-sap", b"tok-sap-4")
    third = version(production, "acme-sap")
    again = Stream(production, "?connection=acme-sap", s.last_id)
    assert [again.next(), again.next()] == [("rotated", "acme-sap", second), ("rotated", "acme-sap", third)]
    assert again.next(0.3) is None
    for stranger in ("0123456789abcdef-1", "nonsense", s.last_id.split("-")[0] + "-99999"):
        assert Stream(production, "?connection=acme-sap", stranger).next() == ("resync", None, None)


@pytest.mark.parametrize("query,status", [("?connection=acme--x", 400), ("?connection", 400), ("?name=acme-sap", 400), ("?connection=globex-erp", 403),
                                          ("?connection=acme-sap&connection=globex-erp", 403),
                                          ("?" + "&".join(f"connection=acme-{n}" for n in range(33)), 400)])
def test_what_may_not_be_watched_is_refused(production, query, status):
    assert Stream(production, query).status == status


def test_thirty_two_names_fit_into_one_stream_and_nobody_gets_none(production):
    long = [f"acme-{n:02}-" + "x" * 55 for n in range(32)]
    s = Stream(production, "?" + "&".join(f"connection={n}" for n in long))
    assert s.status == 200
    assert " ".join(r["detail"] for r in production.audit("watch")).split() == long
    production.put(long[31], b"tok-last")
    assert s.next()[:2] == ("rotated", long[31])
    assert Stream(production, uid=STRANGER).status == 403


def test_a_stream_with_nothing_to_say_costs_nothing_and_shows_that_it_lives(production):
    version(production, "acme-sap")
    streams = [Stream(production) for _ in range(20)]
    broker = production.pids()["broker"]
    before, began = cpu(broker), time.monotonic()
    for s in streams:
        while s.comments < 2:  # hello, and a heartbeat after fifteen seconds
            assert s.next(0.05) is None and time.monotonic() - began < 150
    took, spent = time.monotonic() - began, cpu(broker) - before
    print(f"figure: {spent:.2f} s of processor in {took:.1f} s")
    assert took > 10 and spent < 3, "it spins"


def cpu(pid):
    return sum(int(x) for x in open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")


def memory(pid):
    return int(next(line for line in open(f"/proc/{pid}/status") if line.startswith("RssAnon")).split()[1])


def test_one_who_does_not_read_is_dropped_and_holds_nobody_up(production):
    version(production, "acme-sap")
    deaf = [Stream(production) for _ in range(20)]
    for s in deaf:
        s.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    good = Stream(production)
    broker = production.pids()["broker"]
    before = memory(broker)
    for n in range(500):
        production.put("acme-sap", b"tok-sap-%d" % n)
        assert good.next()[0] == "rotated"
    assert memory(broker) - before < 4096
    wait_for("dropped", lambda: figures(production)["streams"] == 1, 4.0)
    assert good.next(0.3) is None
