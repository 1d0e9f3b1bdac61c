# SPDX-License-Identifier: Apache-2.0
"""A store of our own for the conformance suite: in memory, JSON over HTTP on a free port of
loopback. Its vendor's documents, in full (a bearer key with each request but health):

GET    /health                        200 {"ok": true}
GET    /items?after=NAME&limit=N      200 {"items": [{"name", "version"}…], "more"}
GET    /items/NAME?which=W            200 {"version", "created", "tags", "value"}; W: current, previous, pending
PUT    /items/NAME/pending            201 {"version"}; the body is the value; 409 where one waits already
DELETE /items/NAME/pending            200 {}
POST   /items/NAME/promote            200 {"version"}
POST   /items/NAME/disable?version=V  200 {}; that version, or the current one, is answered with 410 from then on
POST   /items/NAME/enable?version=V   200 {}

404 where there is none. If-Match: VERSION stages or promotes only where that is the current one, else 412."""

import http.server
import json
import secrets
import threading
import time
import urllib.parse


class Item:
    def __init__(self):
        self.versions, self.pending, self.tags = [], None, {}  # versions: newest first

    def current(self):
        return self.versions[0] if self.versions else None

    def which(self, word):
        if word == "pending":
            return self.pending
        return dict(enumerate(self.versions)).get({"current": 0, "previous": 1}[word])


class Toy:
    BODY_MAX = 1 << 20

    def __init__(self):
        self.key, self.items, self.lock = secrets.token_urlsafe(24), {}, threading.Lock()
        toy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length) if length <= toy.BODY_MAX else b""
                url = urllib.parse.urlsplit(self.path)
                with toy.lock:
                    status, said = toy.route(self, url.path.strip("/").split("/"), dict(urllib.parse.parse_qsl(url.query)), body)
                out = json.dumps(said, ensure_ascii=False).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(out)))
                self.end_headers()
                self.wfile.write(out)

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def put(self, name, value, **tags):
        """As its own console would: a new current version."""
        with self.lock:
            item = self.items.setdefault(name, Item())
            item.versions = [self.version(value), *item.versions][:2]
            item.tags = tags

    @staticmethod
    def version(value):
        return {"version": secrets.token_hex(6), "created": int(time.time() * 1000), "value": value, "disabled": False}

    def route(self, request, path, query, body):
        if path == ["health"]:
            return 200, {"ok": True}
        if request.headers.get("Authorization") != f"Bearer {self.key}":
            return 401, {"error": "who are you?"}
        if path == ["items"]:
            return self.list(query)
        item, verb = self.items.get(path[1], Item()), (request.command, *path[2:])
        if verb == ("GET",):
            return self.get(item, query.get("which", "current"))
        match = request.headers.get("If-Match")
        if match and (not item.current() or item.current()["version"] != match):
            return 412, {"error": "another version"}
        if verb == ("PUT", "pending"):
            return self.stage(self.items.setdefault(path[1], item), body)
        return {("DELETE", "pending"): self.discard, ("POST", "promote"): self.promote, ("POST", "disable"): lambda i: self.disable(i, query, True),
                ("POST", "enable"): lambda i: self.disable(i, query, False)}[verb](item)

    def list(self, query):
        left = [n for n in sorted(self.items) if self.items[n].current() and n > query.get("after", "")]
        limit = int(query["limit"])
        return 200, {"items": [{"name": n, "version": self.items[n].current()["version"]} for n in left[:limit]], "more": len(left) > limit}

    def get(self, item, which):
        v = item.which(which)
        if not v:
            return 404, {"error": "no such item"}
        if v["disabled"]:
            return 410, {"error": "disabled"}
        return 200, {"version": v["version"], "created": v["created"], "tags": item.tags, "value": v["value"]}

    def stage(self, item, body):
        if item.pending:
            return 409, {"error": "one waits already"}
        item.pending = self.version(json.loads(body))
        return 201, {"version": item.pending["version"]}

    def discard(self, item):
        if not item.pending:
            return 404, {"error": "nothing waits"}
        item.pending = None
        return 200, {}

    def promote(self, item):
        if not item.pending:
            return 404, {"error": "nothing waits"}
        item.versions, item.pending = [item.pending, *item.versions][:2], None
        return 200, {"version": item.current()["version"]}

    def disable(self, item, query, to):
        found = [v for v in item.versions if v["version"] == query["version"]] if "version" in query else item.versions[:1]
        for v in found:
            v["disabled"] = to
        return (200, {}) if found else (404, {"error": "no such version"})
