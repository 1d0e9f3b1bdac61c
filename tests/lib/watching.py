# SPDX-License-Identifier: Apache-2.0
"""Services that are told: an agent with the tokens of lib/kept.py and short write timeouts, requests that wait, streams of events."""

import json
import threading
import time

import pytest

from . import kept
from .instance import BILLING, SECTEAM
from .waiting import wait_for

LIMITS = """limits = { connections = 40000; connections_per_uid = 16000; waiters_per_uid = 1500; write_timeout = "2s"; };"""
TOLD_BOUND = 0.5  # seconds from the end of a put in the embedded store to the last who waited, stated for a few


def policy(**kw):
    """By the rate that a service has where its rule names none."""
    return kept.policy(rate="", **kw)


@pytest.fixture
def production():
    with kept.started(policy(), LIMITS) as i:
        yield i


def figures(i):
    return i.get("/v1/status", uid=SECTEAM, sock="admin").json()


def connect(i, uid=BILLING, sock="api"):
    return i.caller(uid).connect(i.sock(sock))


class Stream:
    """One open GET /v1/watch: its head read, its events as they come."""

    def __init__(self, instance, query="", last_id=None, uid=BILLING, read=True):
        self.connection = connect(instance, uid)
        self.sock = self.connection.sock
        headers = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
        self.connection.send(f"GET /v1/watch{query} HTTP/1.1\r\nHost: agent\r\n{headers}\r\n".encode())
        self.buffer, self.last_id, self.comments, self.over = b"", last_id, 0, False
        if read:
            self.head = self.read_head()

    def read_head(self):
        self.sock.settimeout(20)
        raw = b""
        while not raw.endswith(b"\r\n\r\n"):
            one = self.sock.recv(1)
            assert one, raw
            raw += one
        self.status = int(raw.split()[1])
        return raw

    def piece(self, timeout):
        """What comes next of the body, without its chunks' sizes; False when it is over."""
        self.sock.settimeout(timeout)
        line = b""
        while not line.endswith(b"\r\n"):
            one = self.sock.recv(1)
            if not one:
                return False
            line += one
        n, got = int(line, 16), b""
        while len(got) < n + 2:
            more = self.sock.recv(n + 2 - len(got))
            if not more:
                return False
            got += more
        self.buffer += got[:-2]
        return n > 0

    def next(self, timeout=30):
        """(event, connection, version), None when nothing came in time, "over" at the end."""
        while True:
            while b"\n\n" in self.buffer:
                text, self.buffer = self.buffer.split(b"\n\n", 1)
                fields = {}
                for line in text.decode().split("\n"):
                    key, _, value = line.partition(":")
                    fields[key] = value.strip()
                self.comments += "" in fields
                self.last_id = fields.get("id", self.last_id)
                if "event" in fields:
                    data = json.loads(fields["data"])
                    return fields["event"], data["connection"], data["version"]
            try:
                if self.over or not self.piece(timeout):
                    self.over = True
                    return "over"
            except TimeoutError:
                return None

    def close(self):
        self.connection.close()


def poll(i, name, tag, wait="10s", uid=BILLING):
    """A request that waits, in a thread; its answer and the seconds that it took come into the list."""
    got, connection = [], connect(i, uid)

    def run():
        began = time.monotonic()
        answer = connection.request(f"/v1/tokens/{name}?wait={wait}", headers={"If-None-Match": tag})
        got.extend((answer, time.monotonic() - began))
        connection.close()
    thread = threading.Thread(target=run)
    thread.start()
    return thread, got


def polls(i, n):
    wait_for("polls wait", lambda: figures(i)["polls"] == n, 1.0)


def version(i, name):
    return i.token(name).json()["version"]
