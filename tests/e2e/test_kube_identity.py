# SPDX-License-Identifier: Apache-2.0
"""Services told by the service-account tokens of a real kube-apiserver, whose keys the
agent fetches with its own pod's credential. Only the pods are emulated."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from lib.pod import Container, Pod
from lib.waiting import wait_for
from servers.kube import KubeApi, ProjectedToken
from servers.openbao import b64, openssl

pytestmark = [pytest.mark.root, pytest.mark.long]

NAMESPACE, AUDIENCE, SYNC_UID, FS_GROUP = "erp", "makini-production", 62001, 61020

POLICY = f"""
environment = "production";
services = (
  {{ name = "sync"; identity = {{ socket = "sync"; uid = {SYNC_UID}; kubernetes = {{ namespace = "{NAMESPACE}"; service_account = "sync"; }}; }}; }} );
rules = ( {{ allow = "sync"; actions = [ "get" ]; connections = [ "globex-*" ]; }} );
"""


@pytest.fixture(scope="module")
def kube():
    with KubeApi(audiences=(AUDIENCE, "makini-development")) as server:
        server.service_account("sync", NAMESPACE)
        server.service_account("billing", NAMESPACE)
        yield server


class World:
    def __init__(self, kube):
        self.kube, self.objects = kube, kube.pod("sync-0", "sync", NAMESPACE)
        self.volume = ProjectedToken(FS_GROUP)
        self.volume.write(kube.token("sync", NAMESPACE, pod=self.objects))  # for the API server itself, as a kubelet mounts it
        self.pod = Pod(self.objects.uid, POLICY, services=("sync",), groups=(FS_GROUP,))
        ca = self.pod.public("api-ca.pem", kube.ca.read_text())
        self.pod.more = (f'kubernetes = {{ audience = "{AUDIENCE}"; issuer = "{kube.issuer}"; pod_uid_file = "{self.pod.tls}/pod-uid"; '
                         f'jwks = {{ address = "{kube.address}"; ca_file = "{ca}"; token_file = "{self.volume.path}"; }}; }};')
        self.pod.write_conf()
        self.pod.put("globex-crm", b"tok-globex")
        self.pod.start()
        self.sync = Container(self.pod, "sync", SYNC_UID)
        wait_for("keys", lambda: self.get(self.token()) == 200, 3.0)

    def token(self, account="sync", **kw):
        return self.kube.token(account, NAMESPACE, **{"audience": AUDIENCE, "pod": self.objects, **kw})

    def ask(self, token, target="/v1/tokens/globex-crm"):
        return self.sync.get(self.sync.sock(), target, headers={"Authorization": f"Bearer {token}"})

    def get(self, token):
        return self.ask(token).status

    def why(self, token):
        return self.ask(token, "/v1/whoami").json()["evidence"].get("account_refused")

    def close(self):
        for c in (self.sync, self.pod, self.volume):
            c.close()


@pytest.fixture(scope="module")
def world(kube):
    w = World(kube)
    yield w
    w.close()


def test_a_real_token_of_this_pod_and_audience_is_taken(world):
    token = world.token()
    assert world.kube.review(token, AUDIENCE)[0] == f"system:serviceaccount:{NAMESPACE}:sync"
    assert world.ask(token).json()["access_token"] == "tok-globex"
    assert world.ask(token, "/v1/whoami").json()["evidence"]["account"] == {"namespace": NAMESPACE, "service_account": "sync"}


def test_real_tokens_that_are_not_ours_are_refused(world):
    other = world.kube.pod("sync-1", "sync", NAMESPACE)
    assert (world.get(world.token(pod=other)), world.why(world.token(pod=other))) == (401, "another_pod")
    assert world.why(world.token(pod=None)) == "another_pod"                   # bound to the account alone
    assert world.why(world.token(audience="makini-development")) == "wrong_audience"
    assert world.why(world.token(audience=None)) == "wrong_audience"           # for the API server
    billing = world.kube.pod("billing-0", "billing", NAMESPACE)
    assert world.why(world.token("billing", pod=billing)) == "another_pod"
    assert world.get(world.token()) == 200


def test_claims_that_no_token_request_gives_are_refused_though_the_servers_key_signed_them(world):
    now, good = int(time.time()), world.token()
    resign = lambda **claims: world.kube.resign(good, **claims)
    assert world.get(resign()) == 200
    assert world.why(resign(exp=now - 31)) == "expired" and world.get(resign(exp=now - 10)) == 200
    assert world.why(resign(nbf=now + 40)) == "not_yet_valid"
    assert world.why(resign(iss="https://evil.example")) == "wrong_issuer"
    assert world.why(resign(aud=[AUDIENCE, "vault"])) == "wrong_audience"
    assert world.why(resign(exp=None)) == "wrong_claims"
    assert world.why(resign(sub="system:serviceaccount:erp:billing")) == "wrong_claims"


def test_forged_signatures_are_refused(world):
    head, payload, signature = world.token().split(".")
    said = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    part = lambda **changed: b64(json.dumps({**said, **changed}).encode())
    public = (world.kube.dir / "sa.pub").read_bytes()
    der = openssl("pkey", "-pubin", "-in", world.kube.dir / "sa.pub", "-outform", "DER")
    for secret in (public, public.strip(), der):
        text = f"{part(alg='HS256')}.{payload}"
        assert world.why(f"{text}.{b64(hmac.digest(secret, text.encode(), hashlib.sha256))}") == "wrong_algorithm"
    assert world.why(f"{part(alg='none')}.{payload}.") == "wrong_algorithm"
    assert world.why(f"{part(kid='../../../../dev/null')}.{payload}.{signature}") == "unknown_key"
    assert world.why(f"{head}.{payload}.{world.token().split('.')[2]}") == "wrong_signature"


def test_when_the_api_server_does_not_answer_tokens_are_still_verified(world):
    token = world.token()
    world.kube.pause()
    try:
        assert world.get(token) == 200 and world.get(world.kube.resign(token, exp=int(time.time()) - 60)) == 401
    finally:
        world.kube.resume()


def test_a_deleted_pods_token_lives_on_to_its_end_which_the_documents_say(world):
    token = world.token()
    world.kube.delete_pod(world.objects)
    assert world.get(token) == 200
