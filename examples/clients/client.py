#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A token from the Makini Agent in Python, with the standard library alone.

  client.py get NAME     prints the token
  client.py wait NAME    a line for each new token, by long poll, until it is dead
  client.py watch NAME   a line for each event and each new token, by the stream, until it is dead

Exit codes: 1 failed, 2 usage, 3 denied, 4 not found, 5 revoked, expired or disabled, 6 unavailable."""

import http.client
import json
import os
import socket
import sys
import time

EXIT_CODES = {403: 3, 404: 4, 410: 5, 429: 6, 502: 6, 503: 6, 504: 6}
STREAM_SILENCE = 45  # seconds: the agent says something every 15


class Refused(Exception):
    def __init__(self, status, code):
        super().__init__(f"{status} {code}")
        self.exit_code = EXIT_CODES.get(status, 1)


class Agent(http.client.HTTPConnection):
    """A connection to the agent: keep it, a new one costs several times what a request costs."""

    def __init__(self, path, timeout):
        super().__init__("agent", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)

    def ask(self, target, headers):
        try:
            self.request("GET", target, headers=headers)
            answer = self.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
            self.close()  # a connection that was quiet for long has been closed: once more
            self.request("GET", target, headers=headers)
            answer = self.getresponse()
        if answer.status not in (200, 304):
            raise Refused(answer.status, json.loads(answer.read())["code"])
        return answer


class Token:
    """One connection's token, as it is now."""

    def __init__(self, path, name):
        self.agent, self.name, self.etag, self.value = Agent(path, 90), name, None, None

    def get(self, wait=""):
        """Asks; with wait="30s" not before it changes. True where it is another than before."""
        headers = {"If-None-Match": self.etag} if self.etag else {}
        query = f"?wait={wait}" if wait and self.etag else ""
        answer = self.agent.ask(f"/v1/tokens/{self.name}{query}", headers)
        body = answer.read()
        if answer.status == 304:
            return False
        self.etag, self.value = answer.headers["ETag"], json.loads(body)["access_token"]
        return True


def events(path, name):
    """What happens to a connection, without end: an event's name, and "" whenever a stream has begun."""
    last = None
    while True:
        try:
            stream = Agent(path, STREAM_SILENCE).ask(f"/v1/watch?connection={name}", {"Last-Event-ID": last} if last else {})
            yield ""
            kind = None
            for line in stream:
                key, _, value = line.decode().rstrip("\n").partition(": ")
                if key == "id":
                    last = value
                elif key == "event":
                    kind = value
                elif not line.strip() and kind:
                    yield kind
                    kind = None
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(1)  # the agent is being restarted, or silent


def show(changed, token):
    if changed:
        print(f"token of {len(token.value)} bytes", flush=True)


def main(argv, path):
    if len(argv) != 3 or argv[1] not in ("get", "wait", "watch") or not path:
        print(__doc__ + "\nMAKINI_AGENT_SOCKET names the agent's socket", file=sys.stderr)
        return 2
    token = Token(path, argv[2])
    if argv[1] == "get":
        token.get()
        sys.stdout.write(token.value)
    elif argv[1] == "wait":
        while True:
            show(token.get(wait="30s"), token)
    else:
        for event in events(path, argv[2]):  # first the stream, then the token: then no change falls between
            if event:
                print("event", event, flush=True)
            if event != "expiring":
                show(token.get(), token)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv, os.environ.get("MAKINI_AGENT_SOCKET")))
    except Refused as e:
        print(f"client: {e}", file=sys.stderr)
        sys.exit(e.exit_code)
    except OSError as e:
        print(f"client: the agent cannot be reached at {os.environ['MAKINI_AGENT_SOCKET']}: {e.strerror or e}", file=sys.stderr)
        sys.exit(6)
    except KeyboardInterrupt:
        sys.exit(130)
