# SPDX-License-Identifier: Apache-2.0
"""A thousand who watch or wait are all told, and find their way back."""

import os
import signal
import time

import pytest

from lib.watching import Stream, connect, polls, production, version

pytestmark = pytest.mark.root


def many(i, n, query="?connection=acme-sap", last_ids=None):
    """In steps: a service may open 1,000 a second."""
    opened = []
    for first in range(0, n, 500):
        some = [Stream(i, query, last_ids[k] if last_ids else None, read=False) for k in range(first, min(n, first + 500))]
        for s in some:
            s.read_head()
            assert s.status == 200
        opened += some
    return opened


def all_get(streams, event, connection):
    for s in streams:
        got = s.next(20)
        assert got[:2] == (event, connection), got


def test_a_thousand_streams_are_told_and_find_their_way_back_after_a_restart(production):
    version(production, "acme-sap")
    streams = many(production, 1000)
    began = time.monotonic()
    production.put("acme-sap", b"tok-sap-2")
    all_get(streams, "rotated", "acme-sap")
    print(f"figure: put to the last of 1,000 streams: {time.monotonic() - began:.3f} s")
    ids = [s.last_id for s in streams]
    assert len(set(ids)) == 1
    os.kill(production.pids()["broker"], signal.SIGKILL)
    for s in streams:
        assert s.next(20) == "over"
        s.close()
    production.put("acme-sap", b"tok-sap-3")
    again = many(production, 1000, last_ids=ids)
    all_get(again, "resync", None)
    version(production, "acme-sap")  # so that the new broker knows it, too
    production.put("acme-sap", b"tok-sap-4")
    while (last := again[0].next(20))[2] != version(production, "acme-sap"):
        assert last[0] == "rotated"
    for s in again[1:]:
        assert s.next(20)[:2] == ("rotated", "acme-sap")
    production.rm("acme-sap")
    all_get(again[:10], "rotated", "acme-sap")


def test_a_thousand_polls_are_all_answered_by_one_change(production):
    tag = production.token("acme-sap").headers["ETag"]
    waiting = [connect(production) for _ in range(1000)]
    for c in waiting:
        c.send(f"GET /v1/tokens/acme-sap?wait=60s HTTP/1.1\r\nHost: agent\r\nIf-None-Match: {tag}\r\n\r\n".encode())
    polls(production, 1000)
    began = time.monotonic()
    production.put("acme-sap", b"tok-sap-2")
    assert {(a.status, a.json()["access_token"]) for a in (c.receive() for c in waiting)} == {(200, "tok-sap-2")}
    print(f"figure: put to the last of 1,000 polls: {time.monotonic() - began:.3f} s")
    assert len(production.audit("grant")) == 1001
    polls(production, 0)
