# SPDX-License-Identifier: Apache-2.0
"""Logins at a real OpenBao with the tokens of a real kube-apiserver, which checks them
itself (`kubernetes`), or publishes the keys to check them with (`jwt`)."""

import time

import pytest

from e2e.test_vault import REFRESH, logins, revoke, served, store, wait_served
from lib.instance import Instance
from lib.waiting import wait_for
from servers.kube import EXTRA_SECONDS, LEAST_SECONDS, KubeApi, ProjectedToken
from servers.openbao import OpenBao

pytestmark = [pytest.mark.root, pytest.mark.long]

NAMESPACE, ACCOUNT, AUDIENCE = "erp", "billing", "vault"
FS_GROUP = 61020


@pytest.fixture(scope="module")
def kube():
    with KubeApi() as server:
        server.service_account(ACCOUNT, NAMESPACE)
        yield server


@pytest.fixture(scope="module")
def bao(kube):
    with OpenBao(tls=True) as server:
        server.policy()
        server.put("makini/acme-crm", access_token="tok-1")
        trust = kube.ca.read_text()
        server.enable_auth("kubernetes")
        server.api("POST", "auth/kubernetes/config", {"kubernetes_host": kube.address, "kubernetes_ca_cert": trust,
                                                      "token_reviewer_jwt": kube.reviewer(), "disable_local_ca_jwt": True})
        server.api("POST", "auth/kubernetes/role/billing", {
            "bound_service_account_names": [ACCOUNT], "bound_service_account_namespaces": [NAMESPACE], "audience": AUDIENCE,
            "token_policies": ["makini"], "token_ttl": "1h"})
        server.enable_auth("jwt")
        server.api("POST", "auth/jwt/config", {"oidc_discovery_url": kube.issuer, "oidc_discovery_ca_pem": trust})
        server.api("POST", "auth/jwt/role/billing", {
            "role_type": "jwt", "user_claim": "sub", "bound_audiences": [AUDIENCE], "bound_subject": f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}",
            "expiration_leeway": -1, "clock_skew_leeway": -1, "token_policies": ["makini"], "token_ttl": "1h"})
        yield server


class Pod:
    """An agent in a pod: the token of its service account lies where a kubelet puts it."""

    def __init__(self, kube, bao, method):
        self.kube, self.bao, self.pods, self.refusals = kube, bao, [], 0
        self.volume = ProjectedToken(FS_GROUP)
        self.agent = Instance(conf=f'platform = "pod"; {REFRESH}', groups=(FS_GROUP,), backend=store(
            bao, f'method = "{method}"; role = "billing"; jwt_file = "{self.volume.path}";'))

    def token(self, **more):
        """A fresh pod's token."""
        self.pods.append(self.kube.pod(f"billing-{time.monotonic_ns()}", ACCOUNT, NAMESPACE))
        return self.kube.token(ACCOUNT, NAMESPACE, **{"audience": AUDIENCE, "pod": self.pods[-1], **more})

    def ends(self, how):
        """Until the server takes the token no more: it remembers those that were good for a while."""
        wait_for(how, lambda: self.kube.review(self.volume.path.read_text(), AUDIENCE) is None, 11)

    def must_log_in_again(self, value):
        """What the agent holds is good no more, and what it last saw neither."""
        self.refusals = len(self.agent.events("login_failed"))
        revoke(self.bao, logins(self.bao))
        self.bao.put("makini/acme-crm", access_token=value)

    def is_refused(self, what):
        wait_for(f"nothing is served: {what}", lambda: served(self.agent) in (502, 503), 3)
        wait_for(f"refused: {what}", lambda: len(self.agent.events("login_failed")) > self.refusals, 1)
        fault = self.agent.events("login_failed")[-1]["fault"]
        assert "role" in fault and "token" in fault, fault  # what to look at

    def __enter__(self):
        return self

    def __exit__(self, *_):
        print(self.agent.log_text()[-4000:])  # shown where the test failed
        self.agent.close()
        self.volume.close()


@pytest.fixture(params=["kubernetes", "jwt"])
def pod(request, kube, bao):
    bao.put("makini/acme-crm", access_token="tok-1")
    with Pod(kube, bao, request.param) as p:
        yield p


def test_a_projected_token_logs_in_and_is_renewed_under_the_running_agent(pod):
    first = pod.token()
    pod.volume.write(first)
    pod.agent.start()
    wait_served(pod.agent, "tok-1", "login with a pod's token")
    for n in (2, 3):
        pod.volume.write(pod.token())
        pod.kube.delete_pod(pod.pods[-2])
        pod.must_log_in_again(f"tok-{n}")
        wait_served(pod.agent, f"tok-{n}", "login with the token that replaced it")
    assert pod.agent.events("login_failed", "alarm") == []
    assert first.rsplit(".", 1)[1] not in pod.agent.log_text()


def test_a_token_for_somebody_else_is_refused_and_the_right_one_heals(pod):
    pod.volume.write(pod.token(audience="makini"))
    pod.agent.start()
    pod.is_refused("another audience")
    pod.volume.write(pod.token())
    wait_served(pod.agent, "tok-1", "the right audience", bound=5)
    pod.kube.service_account("other", NAMESPACE)
    pod.volume.write(pod.kube.token("other", NAMESPACE, audience=AUDIENCE))
    pod.must_log_in_again("tok-2")
    pod.is_refused("another service account")
    pod.volume.write(pod.token())
    wait_served(pod.agent, "tok-2", "the right service account", bound=5)


def test_an_expired_token_is_refused_and_a_new_file_heals(pod):
    token = pod.token()
    pod.volume.write(token)
    pod.agent.start()
    wait_served(pod.agent, "tok-1", "login with a pod's token")
    then = int(time.time()) - LEAST_SECONDS - EXTRA_SECONDS
    pod.volume.write(pod.kube.resign(token, iat=then, nbf=then, exp=then + LEAST_SECONDS))
    pod.must_log_in_again("tok-2")
    pod.is_refused("expired")
    pod.volume.write(pod.kube.resign(token, iat=then, nbf=then))
    wait_served(pod.agent, "tok-2", "as old a token that has not expired", bound=5)


def test_a_pods_token_ends_with_the_pod_where_the_server_is_asked(kube, bao):
    """`jwt` checks a signature and cannot know; `kubernetes` can."""
    with Pod(kube, bao, "kubernetes") as pod:
        bao.put("makini/acme-crm", access_token="tok-1")
        pod.volume.write(pod.token())
        pod.agent.start()
        wait_served(pod.agent, "tok-1", "login with a pod's token")
        kube.delete_pod(pod.pods[-1])
        pod.ends("the pod's end")
        pod.must_log_in_again("tok-2")
        pod.is_refused("the pod is gone")
        pod.volume.write(pod.token())
        wait_served(pod.agent, "tok-2", "another pod's token", bound=5)
        kube.delete_service_account(ACCOUNT, NAMESPACE)
        pod.ends("the service account's end")
        pod.must_log_in_again("tok-3")
        pod.is_refused("the service account is gone")
        kube.service_account(ACCOUNT, NAMESPACE)
        pod.volume.write(pod.token())
        wait_served(pod.agent, "tok-3", "the service account is back", bound=5)


def test_a_server_that_does_not_answer_is_an_error_and_then_heals(kube, bao):
    with Pod(kube, bao, "kubernetes") as pod:
        bao.put("makini/acme-crm", access_token="tok-1")
        pod.volume.write(pod.token())
        pod.agent.start()
        wait_served(pod.agent, "tok-1", "login with a pod's token")
        kube.pause()
        try:
            pod.must_log_in_again("tok-2")
            wait_for("an error while nobody answers", lambda: served(pod.agent) in (502, 503, 504), 5)
        finally:
            kube.resume()
        wait_served(pod.agent, "tok-2", "it answers again", bound=10)
