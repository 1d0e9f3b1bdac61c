# SPDX-License-Identifier: Apache-2.0
"""A real agent in an emulated pod: identity is the volume that holds the socket, the
container's uid and, where policy wants it, a service-account token. Tokens and keys are
of a double (servers/jwks.py); e2e/test_kube_identity.py has the real API server."""

import errno
import json
import os
import pathlib
import signal
import socket
import time

import pytest

from lib.caller import Caller
from lib.client_socket import EDENIED, EUNAUTHENTICATED, Client
from lib.instance import AGENT
from lib.pod import Container, Pod
from lib.waiting import wait_for
from servers.jwks import AUDIENCE, CREDENTIAL, ISSUER, Issuer, JwksServer

pytestmark = pytest.mark.root

POD, OTHER_POD = "0b8b6a1e-7f0e-4b52-8f8e-00000000000a", "0b8b6a1e-7f0e-4b52-8f8e-00000000000b"
SYNC_UID, BILLING_UID = 62001, 62002

POLICY = """
environment = "production";
services = (
  {{ name = "sync"; identity = {{ socket = "sync"; uid = {sync}; kubernetes = {{ namespace = "erp"; service_account = "sync"; }}; }}; }},
  {{ name = "billing"; identity = {{ socket = "billing"; uid = {billing}; }}; }},
  {{ name = "secteam"; identity = {{ socket = "admin"; uid = 0; }}; }} );
rules = (
  {{ allow = "sync"; actions = [ "get", "list" ]; connections = [ "globex-*" ]; }},
  {{ allow = "billing"; actions = [ "get" ]; connections = [ "acme-*" ]; }},
  {{ allow = "secteam"; actions = [ "status" ]; connections = [ "*" ]; }} );
""".format(sync=SYNC_UID, billing=BILLING_UID)


def kubernetes(pod_dir, keys):
    return (f'kubernetes = {{ audience = "{AUDIENCE}"; issuer = "{ISSUER}"; pod_uid_file = "{pod_dir}/pod-uid"; {keys} }};\n'
            'limits = { head_timeout = "1m"; };')  # a request that is held back is looked for in memory meanwhile


class World:
    def __init__(self, fetched, status=200):
        self.issuer = Issuer()
        self.server = JwksServer(self.issuer, status) if fetched else None
        self.pod = Pod(POD, POLICY)
        if fetched:
            ca = self.pod.public("api-ca.pem", self.server.ca.read_text())
            token = self.pod.credential("sa-token", CREDENTIAL)
            keys = f'jwks = {{ address = "{self.server.address}"; ca_file = "{ca}"; token_file = "{token}"; }};'
        else:
            keys = f'jwks_file = "{self.pod.public("keys.json", self.issuer.jwks())}";'
        self.pod.more = kubernetes(self.pod.tls, keys)
        self.pod.write_conf()
        self.pod.put("globex-crm", b"tok-globex")
        self.pod.put("acme-sap", b"tok-acme")
        self.pod.start()
        self.sync = Container(self.pod, "sync", SYNC_UID)
        self.billing = Container(self.pod, "billing", BILLING_UID)

    def close(self):
        for c in (self.sync, self.billing, self.pod, self.server, self.issuer):
            if c:
                c.close()

    def token(self, **kw):
        return self.issuer.token(kw.pop("pod", POD), **kw)

    def get(self, token=None, target="/v1/tokens/globex-crm", who=None, scheme="Bearer"):
        who = who or self.sync
        return who.get(who.sock(), target, headers={"Authorization": f"{scheme} {token}"} if token is not None else None)

    def status(self):
        caller = Caller(0)
        try:
            return caller.get(self.pod.sock("admin"), "/v1/status").json()
        finally:
            caller.close()

    def denials(self, reason):
        return [r for r in self.pod.audit("deny") if r.get("reason") == reason]


@pytest.fixture(scope="module", params=["file", "api server"])
def world(request):
    w = World(request.param == "api server")
    if w.server:
        wait_for("keys", lambda: w.status()["token_keys"]["keys"] > 0, 2.0)
    yield w
    w.close()


@pytest.fixture
def fetched():
    w = World(True)
    wait_for("keys", lambda: w.status()["token_keys"]["keys"] > 0, 2.0)
    yield w
    w.close()


def test_socket_uid_and_token_together_make_the_service(world):
    answer = world.get(world.token())
    assert answer.status == 200 and answer.json()["access_token"] == "tok-globex"
    said = world.get(world.token(), "/v1/whoami").json()
    assert said["service"] == "sync" and said["evidence"]["account"] == {"namespace": "erp", "service_account": "sync"}
    grant = world.pod.audit("grant")[-1]
    assert grant["service"] == "sync" and grant["account"] == "erp/sync" and grant["pid"] == 0 and grant["uid"] == SYNC_UID
    world.pod.verify()


def test_a_service_that_needs_no_token_is_told_by_socket_and_uid(world):
    assert world.get(None, "/v1/tokens/acme-sap", world.billing).status == 200
    assert world.get("nonsense", "/v1/tokens/acme-sap", world.billing).status == 200  # not looked at
    assert world.get(world.token(), "/v1/tokens/acme-sap", world.billing).status == 200
    assert "account" not in world.pod.audit("grant")[-1]


def test_libmakinis_socket_lies_in_the_volume_and_a_service_that_needs_a_token_is_told_so(world):
    def client(who):
        return Client(who.socket(who.path / "makini.client.sock", kind=socket.SOCK_SEQPACKET))

    with client(world.billing) as c:  # of another pid namespace
        assert c.hello() == 0 and c.page.valid() and c.get("acme-sap").good(c.page)
        assert c.get("globex-crm").status == EDENIED
    with client(world.sync) as c:
        assert c.hello() == EUNAUTHENTICATED and c.is_closed()
    assert world.get(world.token()).status == 200


def test_without_a_token_it_is_401_and_says_how(world):
    for answer in (world.get(), world.get("", scheme="Basic"), world.get("x y", scheme="Basic"), world.get("")):
        assert answer.status == 401 and answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json()["code"] == "unauthenticated" and answer.headers["Content-Type"] == "application/problem+json"
    assert world.get(None, "/v1/health").status == 200
    said = world.get(None, "/v1/whoami").json()
    assert said["service"] is None and said["evidence"]["account"] is None and said["evidence"]["account_refused"] == "no_token"


def forgeries(w):
    good = w.token()
    head, payload, signature = good.split(".")
    stranger = Issuer()
    stranger.keys[0].kid = w.issuer.keys[0].kid
    yield "signed by another", stranger.token(POD), "wrong_signature"
    stranger.close()
    yield "another pod's", w.token(pod=OTHER_POD), "another_pod"
    yield "another audience", w.token(aud=["makini-development"]), "wrong_audience"
    yield "two audiences", w.token(aud=[AUDIENCE, "vault"]), "wrong_audience"
    yield "another issuer", w.token(iss="https://evil.example"), "wrong_issuer"
    yield "expired", w.token(seconds=-31), "expired"
    yield "not yet valid", w.token(nbf=int(time.time()) + 90), "not_yet_valid"
    yield "none", w.token(header={"alg": "none"}), "wrong_algorithm"
    yield "HS256", w.token(header={"alg": "HS256"}), "wrong_algorithm"
    yield "unknown key", w.token(header={"kid": "nobody"}), "unknown_key"
    yield "kid that is a path", w.token(header={"kid": "../../../../dev/null"}), "unknown_key"
    yield "crit", w.token(header={"crit": ["exp"]}), "malformed"
    yield "jku", w.token(header={"jku": "https://evil.example/jwks"}), "malformed"
    yield "cut", good[:-8], "wrong_signature"
    yield "four parts", good + ".e30", "malformed"
    yield "padded", f"{head}.{payload}.{signature}==", "wrong_signature"
    yield "no pod", w.token(**{"kubernetes.io": {"namespace": "erp", "serviceaccount": {"name": "sync"}}}), "another_pod"
    yield "too long", good + "a" * 4096, "malformed"


def test_every_forgery_is_401_and_whoami_says_why(world):
    seen, bodies = len(world.denials("unauthenticated")), set()
    for name, token, why in forgeries(world):
        answer = world.get(token)
        assert (name, answer.status) == (name, 401)
        bodies.add(answer.body)
        assert (name, world.get(token, "/v1/whoami").json()["evidence"].get("account_refused")) == (name, why)
    wait_for("their record", lambda: len(world.denials("unauthenticated")) > seen, 2.0)
    assert all("service" in r and r["service"] is None and r["listener"] == "sync" for r in world.denials("unauthenticated"))
    assert world.get(world.token()).status == 200  # the control
    assert bodies == {world.get().body}  # one answer for all


def test_a_genuine_token_of_another_account_is_403(world):
    for token in (world.token(account="billing"), world.token(namespace="dev")):
        answer = world.get(token)
        assert answer.status == 403 and answer.json()["code"] == "denied"
    wait_for("its record", lambda: any(r.get("account") == "dev/sync" for r in world.denials("denied")), 2.0)


def test_a_container_without_the_volume_cannot_connect(world):
    none = Container(world.pod, None, SYNC_UID)
    try:
        with pytest.raises(OSError) as e:
            none.connect(none.sock())
        assert e.value.errno == errno.ENOENT
        for other in (world.pod.service_sock("sync"), world.pod.sock("api"), world.pod.sock("admin")):
            with pytest.raises(OSError):
                none.connect(other)
    finally:
        none.close()


def test_another_services_socket_is_of_no_use_even_when_it_is_reached(world):
    """The volume is the first barrier; here it is removed."""
    intruder = Container(world.pod, "sync", BILLING_UID)
    thief = Container(world.pod, "billing", SYNC_UID)
    try:
        assert world.get(world.token(), who=intruder).status == 403  # billing's uid on sync's socket, with sync's token
        assert world.get(world.token(), "/v1/tokens/acme-sap", thief).status == 403
        assert world.get(world.token(), "/v1/tokens/globex-crm", thief).status == 403
    finally:
        intruder.close()
        thief.close()


def test_the_agents_own_uid_root_and_nobody_are_nobody(world):
    for uid in (AGENT, 0, 65534):
        c = Container(world.pod, "sync", uid)
        try:
            assert world.get(world.token(), who=c).status == 403
        finally:
            c.close()


def test_a_volume_cannot_be_written_from_the_container(world):
    pid = int(pathlib.Path(f"/proc/{world.sync.pid}/task/{world.sync.pid}/children").read_text().split()[0])
    with pytest.raises(OSError) as e:
        os.unlink(f"/proc/{pid}/root{world.sync.sock()}")
    assert e.value.errno == errno.EROFS


def test_a_kept_connection_is_the_account_of_each_request_and_no_more(world):
    connection = world.sync.connect(world.sync.sock())
    try:
        token = world.token()
        ask = lambda t, target="/v1/tokens/globex-crm": connection.request(target, headers={"Authorization": f"Bearer {t}"} if t else None)
        assert ask(token).status == 200
        assert ask(None).status == 401
        assert ask(token).status == 200
        assert ask(world.token(account="billing")).status == 403
        assert ask(None, "/v1/whoami").json()["evidence"]["account"] is None
        assert ask(token[:-4] + "AAAA").status == 401
        assert ask(token).status == 200
    finally:
        connection.close()


def test_two_authorization_headers_are_refused(world):
    connection = world.sync.connect(world.sync.sock())
    token = world.token()
    connection.send(f"GET /v1/tokens/globex-crm HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    assert connection.receive().status == 400
    connection.close()


def test_a_token_that_was_good_is_not_good_past_its_end(world):
    connection = world.sync.connect(world.sync.sock())
    try:
        tokens = []

        def ask():
            return connection.request("/v1/tokens/globex-crm", headers={"Authorization": f"Bearer {tokens[-1]}"}).status
        wait_for("a good one", lambda: tokens.append(world.token(seconds=-28)) or ask() == 200, 1.0)  # 2 seconds are left of the tolerance
        wait_for("its end", lambda: ask() == 401, 3.0)
    finally:
        connection.close()


def test_the_bearer_is_in_no_log_and_no_record(world):
    token = world.token()
    assert world.get(token).status == 200
    signature = token.split(".")[2]
    assert signature not in world.pod.log_text() and signature not in json.dumps(world.pod.audit())


def test_the_bearer_is_wiped_from_memory_with_its_request(world):
    token = world.token()
    secret = token.split(".")[2].encode()
    broker = world.pod.children()["broker"]
    connection = world.sync.connect(world.sync.sock())
    connection.send(f"GET /v1/tokens/globex-crm HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n".encode())
    wait_for("it is there (a control)", lambda: found(broker, secret), 1.0)
    connection.send(b"\r\n")
    assert connection.receive().status == 200
    gone = lambda: not any(found(broker, secret[at:at + 24]) for at in range(0, len(secret) - 24, 24))
    wait_for("wiped, though the connection stands", gone, 2.0)
    connection.close()
    wait_for("wiped", gone, 2.0)


def found(pid, needle):
    """In the memory of a process that root may look into."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps:
            parts = line.split()
            if "w" not in parts[1]:
                continue
            start, end = (int(x, 16) for x in parts[0].split("-"))
            try:
                mem.seek(start)
                if needle in mem.read(end - start):
                    return True
            except OSError:
                pass
    return False


# -- the file


def test_a_key_file_that_is_none_is_refused_and_the_old_keys_stay():
    w = World(False)
    try:
        for text, fault in (("{}", "no JSON Web Key Set"), ('{"keys":[]}', "no key that can be used"),
                            (json.dumps({"keys": [{**w.issuer.keys[0].jwk, "d": "AQAB"}]}), "private")):
            w.pod.public("keys.json", text)
            refused = w.pod.reload()
            assert refused["event"] == "reload_refused" and fault in refused["text"]
            assert w.get(w.token()).status == 200
        first, curve = w.issuer.keys[0], w.issuer.add("curve", "EC")
        assert w.get(w.token(key=curve)).status == 401
        w.issuer.keys = [curve]  # rotation: the new key, of the other kind, in place of the first
        w.pod.public("keys.json", w.issuer.jwks())
        assert w.pod.reload()["event"] == "reloaded"
        assert w.get(w.token(key=curve)).status == 200 and w.get(w.token(key=first)).status == 401
    finally:
        w.close()


# -- the API server


def test_the_keys_come_with_the_agents_own_credential(fetched):
    assert set(fetched.server.credentials) == {f"Bearer {CREDENTIAL}"}
    said = fetched.status()["token_keys"]
    assert said["from"] == "api_server" and said["keys"] == 1 and said["last_error"] == "" and said["fetched_at"]


def test_rotation_an_unknown_key_is_asked_for_at_once_but_not_for_each_token(fetched):
    before, began = fetched.server.asked, time.monotonic()
    key = fetched.issuer.add("second")
    wait_for("the new key", lambda: fetched.get(fetched.token(key=key)).status == 200, 1.0)
    assert fetched.server.asked == before + 1
    for n in range(50):
        assert fetched.get(fetched.token(header={"kid": f"made-up-{n}"})).status == 401
    assert fetched.server.asked <= before + 1 + (time.monotonic() - began) // 30  # once in thirty seconds


def test_when_the_api_server_is_down_the_last_keys_stay(fetched):
    fetched.server.down()
    try:
        assert fetched.get(fetched.token()).status == 200
        assert fetched.get(fetched.token(header={"kid": "unknown"})).status == 401
        wait_for("it is told", lambda: fetched.status()["token_keys"]["last_error"] != "", 10.0)
        assert fetched.get(fetched.token()).status == 200
        os.kill(fetched.pod.children()["broker"], signal.SIGKILL)  # the next broker gets them from the fetcher
        wait_for("keys again", lambda: fetched.get(fetched.token()).status == 200, 2.0)
    finally:
        fetched.server.up()


def test_a_fetcher_that_ends_takes_no_keys_with_it_and_the_next_one_brings_them(fetched):
    before = fetched.status()["token_keys"]["fetched_at"]
    time.sleep(1)
    os.kill(fetched.pod.children()["fetcher"], signal.SIGKILL)
    assert fetched.get(fetched.token()).status == 200
    wait_for("the next fetcher's keys", lambda: fetched.status()["token_keys"]["fetched_at"] > before, 3.0)
    assert fetched.get(fetched.token()).status == 200


def test_a_reload_takes_the_keys_from_elsewhere(fetched):
    first, second = fetched.issuer.keys[0], fetched.issuer.add("second")
    alone = json.dumps({"keys": [second.jwk]})
    by_server, path = fetched.pod.more, fetched.pod.public("keys.json", alone)
    fetched.pod.more = kubernetes(fetched.pod.tls, f'jwks_file = "{path}";')
    fetched.pod.write_conf()
    assert fetched.pod.reload()["event"] == "reloaded"
    assert fetched.status()["token_keys"]["from"] == "file"
    assert fetched.get(fetched.token(key=second)).status == 200 and fetched.get(fetched.token(key=first)).status == 401
    fetched.pod.more = by_server
    fetched.pod.write_conf()
    assert fetched.pod.reload()["event"] == "reloaded"
    wait_for("both keys", lambda: fetched.get(fetched.token(key=first)).status == 200, 2.0)
    assert fetched.get(fetched.token(key=second)).status == 200
    fetched.pod.more = ""
    fetched.pod.write_conf()
    refused = fetched.pod.reload()
    assert refused["event"] == "reload_refused" and "no section kubernetes" in refused["why"]


def test_before_there_are_keys_it_is_503_not_401():
    w = World(True, status=500)
    try:
        answer = w.get(w.token())
        assert answer.status == 503 and answer.json()["code"] == "not_ready"
        assert w.get().status == 401
        assert w.get(None, "/v1/tokens/acme-sap", w.billing).status == 200  # who needs no token is not concerned
        wait_for("it is told", lambda: w.pod.events("token_keys_failed"), 2.0)
        w.server.status = 200
        wait_for("keys", lambda: w.get(w.token()).status == 200, 20.0)
    finally:
        w.close()


def test_a_reload_changes_the_audience_at_once(fetched):
    connection = fetched.sync.connect(fetched.sync.sock())
    try:
        ask = lambda t: connection.request("/v1/tokens/globex-crm", headers={"Authorization": f"Bearer {t}"}).status
        old, new = fetched.token(), fetched.token(aud=["makini-production-2"])
        assert ask(old) == 200 and ask(new) == 401
        fetched.pod.more = fetched.pod.more.replace(f'"{AUDIENCE}"', '"makini-production-2"')
        fetched.pod.write_conf()
        assert fetched.pod.reload()["event"] == "reloaded"
        assert ask(old) == 401 and ask(new) == 200  # what the connection had seen is forgotten; the keys stay
    finally:
        connection.close()
