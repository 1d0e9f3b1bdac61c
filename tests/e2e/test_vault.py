# SPDX-License-Identifier: Apache-2.0
"""Tokens from a real OpenBao, written by its own client, as a service gets them."""

import contextlib
import time

import hvac
import pytest

from lib.instance import Instance
from lib.waiting import wait_for
from servers.openbao import TOKEN, OpenBao, Refused

pytestmark = pytest.mark.root

TTL = 2.0
REFRESH = 'refresh = { ttl = "2s"; jitter = "10%"; serve_stale = "0s"; };'
FAULTS = ("backend_failed", "login_failed", "alarm")


def store(bao, auth, more=""):
    """For Instance(backend=…): auth and more are texts, or made of the instance."""
    def text(instance):
        ca = f'ca_file = "{instance.public("ca.pem", bao.ca.read_text())}";' if bao.tls else ""
        return (f'{{ name = "bao"; type = "vault"; address = "{bao.address}"; mount = "secret"; path = "makini/{{connection}}"; {ca} '
                f'auth = {{ {auth(instance) if callable(auth) else auth} }}; {more} }}')
    return text


def by_token(token):
    return lambda i: f'method = "token"; token_file = "{i.credential("token", token)}";'


def served(instance, name="acme-crm"):
    a = instance.token(name)
    return a.json()["access_token"] if a.status == 200 else a.status


def wait_served(instance, value, what, name="acme-crm", bound=TTL + 1):
    """Until it is a token's value, or a status; returns that answer."""
    last = []

    def is_served():
        last.append(instance.token(name))
        return value == (last[-1].json()["access_token"] if last[-1].status == 200 else last[-1].status)
    wait_for(what, is_served, bound)
    return last[-1]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "tls"])
def bao(request):
    with OpenBao(tls=request.param) as server:
        server.policy()
        yield server


@pytest.fixture(scope="module")
def tls():
    with OpenBao(tls=True) as server:
        server.policy()
        yield server


def test_a_fetcher_with_open_connections_ends_in_order(bao):
    bao.put("makini/acme-end", access_token="tok-end")
    with Instance(backend=store(bao, by_token(bao.token()))) as i:
        i.start()
        wait_served(i, "tok-end", "cold start to first token", name="acme-end")
        fetcher = i.pids()["fetcher"]
        assert i.stop() == 0
        ended = [r for r in i.events("child_ended") if r["pid"] == fetcher]
        assert [(r["status"], r["signal"]) for r in ended] == [(0, 0)]


def test_what_the_vendors_client_writes_is_served_renewed_and_taken_away(bao):
    bao.put("makini/acme-crm", access_token="tok-1", expires_in="3600")
    with Instance(backend=store(bao, by_token(bao.token())), conf=REFRESH) as i:
        i.start()
        a = wait_served(i, "tok-1", "cold start to first token")
        assert a.json()["version"] == "1" and a.headers["X-Cache"] in ("hit", "miss")
        wait_served(i, 404, "one that never was", name="acme-never")
        bao.put("makini/acme-crm", access_token="tok-2")
        assert wait_served(i, "tok-2", "a new version is served").json()["version"] == "2"
        bao.delete("makini/acme-crm")
        wait_served(i, 410, "a deleted secret stops being served, and is told from one that never was")
        bao.put("makini/acme-crm", access_token="tok-3")
        wait_served(i, "tok-3", "and is served again")
        assert "tok-" not in i.log_text()


def test_what_hvac_writes_is_served_renewed_and_taken_away(tls):
    where = {"path": "makini/acme-hvac", "mount_point": "secret"}
    kv = hvac.Client(url=tls.address, token=TOKEN, verify=str(tls.ca)).secrets.kv.v2
    kv.create_or_update_secret(secret={"access_token": "tok-hvac-1", "expires_in": 3600, "roles": ["reader", {"of": None}]}, **where)
    with Instance(backend=store(tls, by_token(tls.token())), conf=REFRESH) as i:
        i.start()
        assert wait_served(i, "tok-hvac-1", "a token by hvac", name="acme-hvac").json()["expires_at"]
        kv.create_or_update_secret(secret={"access_token": "tok-hvac-2"}, cas=1, **where)
        wait_served(i, "tok-hvac-2", "its new version", name="acme-hvac")
        kv.delete_latest_version_of_secret(**where)
        wait_served(i, 410, "deleted", name="acme-hvac")
        kv.undelete_secret_versions(versions=[2], **where)
        wait_served(i, "tok-hvac-2", "had back", name="acme-hvac", bound=5 + TTL)
        kv.delete_metadata_and_all_versions(**where)
        wait_served(i, 404, "gone with all it was", name="acme-hvac")


def test_a_deletion_time_in_the_future_is_still_valid(tls):
    tls.put("makini/acme-later", access_token="tok-later")
    tls.api("POST", "secret/metadata/makini/acme-later", {"delete_version_after": "1h", "custom_metadata": {"system": "sap"}})
    tls.put("makini/acme-later", access_token="tok-later-2")
    with Instance(backend=store(tls, by_token(tls.token())), conf=REFRESH) as i:
        i.start()
        wait_served(i, "tok-later-2", "a secret that will be deleted", name="acme-later")


def test_kv1_and_a_namespace(tls):
    tls.mount("kv1")
    tls.cli("kv", "put", "-mount=kv1", "makini/acme-one", "access_token=tok-kv1")
    tls.policy("kv1", mount="kv1")
    conf = store(tls, by_token(tls.token(policies=["kv1"])), "kv = 1;")
    with Instance(backend=lambda i: conf(i).replace('mount = "secret"', 'mount = "kv1"'), conf=REFRESH) as i:
        i.start()
        wait_served(i, "tok-kv1", "a token of KV 1", name="acme-one")
        tls.cli("kv", "put", "-mount=kv1", "makini/acme-one", "access_token=tok-kv1-b")
        wait_served(i, "tok-kv1-b", "its new value", name="acme-one")
    tls.namespace("team")
    tls.policy(namespace="team")
    tls.put("makini/acme-crm", namespace="team", access_token="tok-of-team")
    with Instance(backend=store(tls, by_token(tls.token(namespace="team")), 'namespace = "team";'), conf=REFRESH) as i:
        i.start()
        wait_served(i, "tok-of-team", "a token in a namespace")


@pytest.fixture(scope="module")
def methods(tls):
    """name -> (auth text of an instance, function that replaces the credential; the one before is good no more)."""
    role_id, new_jwt, cluster, new_certificate = tls.approle(), tls.jwt(), tls.kubernetes(), tls.cert()
    tokens, accounts, ids = [], [], []

    def token(i):
        tokens.append(tls.token())
        i.credential("token", tokens[-1])
        if len(tokens) > 1:
            tls.revoke(tokens[-2])

    def secret_id(i):
        ids.append(tls.secret_id())
        i.credential("secret-id", ids[-1])
        if len(ids) > 1:
            tls.api("POST", "auth/approle/role/billing/secret-id/destroy", {"secret_id": ids[-2]})

    def account(i):
        accounts.append(cluster.service_account("billing"))
        i.credential("jwt", accounts[-1])
        if len(accounts) > 1:
            cluster.revoke(accounts[-2])

    def certificate(i):
        pem, key = new_certificate()
        i.credential("client.key", key)
        i.public("client.pem", pem)

    def approle(i, wrapped):
        return (f'method = "approle"; role_id_file = "{i.credential("role-id", role_id)}"; secret_id_file = "{i.secrets}/secret-id"; '
                f'wrapped = {wrapped};')

    return {
        "token": (lambda i: f'method = "token"; token_file = "{i.secrets}/token";', token),
        "approle": (lambda i: approle(i, "false"), secret_id),
        "approle wrapped": (lambda i: approle(i, "true"), lambda i: i.credential("secret-id", tls.secret_id(wrapped=True))),
        "jwt": (lambda i: f'method = "jwt"; role = "billing"; jwt_file = "{i.secrets}/jwt";', lambda i: i.credential("jwt", new_jwt())),
        "kubernetes": (lambda i: f'method = "kubernetes"; role = "billing"; jwt_file = "{i.secrets}/jwt";', account),
        "cert": (lambda i: f'method = "cert"; role = "billing"; cert_file = "{i.tls}/client.pem"; cert_key_file = "{i.secrets}/client.key";',
                 certificate),
    }


def logins(bao):
    """All tokens but root."""
    return [a for a in bao.api("LIST", "auth/token/accessors")["data"]["keys"]
            if "root" not in bao.api("POST", "auth/token/lookup-accessor", {"accessor": a})["data"]["policies"]]


def revoke(bao, accessors):
    """What the agent holds is refused from now on."""
    for accessor in accessors:
        with contextlib.suppress(Refused):  # rotating may have revoked it
            bao.api("POST", "auth/token/revoke-accessor", {"accessor": accessor})


@pytest.mark.parametrize("name", ["token", "approle", "approle wrapped", "jwt", "kubernetes", "cert"])
def test_each_login_and_its_credential_rotated_under_the_running_agent(tls, methods, name):
    auth, rotate = methods[name]
    tls.put("makini/acme-crm", access_token="tok-1")
    with Instance(backend=store(tls, auth), conf=REFRESH) as i:
        rotate(i)
        i.start()
        wait_served(i, "tok-1", f"login by {name}")
        before = logins(tls)
        rotate(i)
        revoke(tls, before)  # not sooner: the fresh login might come before the credential that it is to read
        tls.put("makini/acme-crm", access_token="tok-2")
        wait_served(i, "tok-2", f"fresh login by {name}")
        assert i.events("alarm") == []
        if name == "approle wrapped":  # it was the agent that opened it
            with pytest.raises(Refused):
                tls.api("POST", "sys/wrapping/unwrap", token=(i.secrets / "secret-id").read_text())


def test_a_credential_is_renewed_and_replaced_ahead_of_its_end(tls, methods):
    """A token of 8 s that can only be renewed; and a login whose tokens end for good after 12 s."""
    auth, rotate = methods["approle"]
    tls.put("makini/acme-crm", access_token="tok-0")
    tls.api("POST", "auth/approle/role/billing", {"token_policies": ["makini"], "token_ttl": "6s", "token_max_ttl": "12s"})
    with Instance(backend=store(tls, by_token("later")), conf=REFRESH) as one, Instance(backend=store(tls, auth), conf=REFRESH) as two:
        rotate(two)
        one.credential("token", tls.token(ttl="8s"))
        both, began, n = (one.start(), two.start()), time.monotonic(), 0
        while time.monotonic() - began < 14:
            n += 1
            tls.put("makini/acme-crm", access_token=f"tok-{n}")
            for i in both:
                wait_served(i, f"tok-{n}", "served under a credential that was renewed")
        for i in both:
            assert i.events(*FAULTS) == []


def test_names_are_listed_page_by_page(tls):
    for n in range(450):
        tls.api("POST", f"secret/data/pages/acme-{n:03}", {"data": {"access_token": "x"}})
    tls.api("POST", "secret/data/pages/acme-1--pending", {"data": {"access_token": "x"}})
    tls.policy("pages", prefix="pages/")
    conf = store(tls, by_token(tls.token(policies=["pages"])))
    with Instance(backend=lambda i: conf(i).replace("makini/{", "pages/{"), conf=REFRESH) as i:
        i.start()
        names, after = [], ""
        while after is not None:
            page = i.get(f"/v1/tokens?limit=100{after and '&after=' + after}")
            assert page.status == 200, page.body
            names += [t["connection"] for t in page.json()["tokens"]]
            after = page.json()["next"]
        assert names == [f"acme-{n:03}" for n in range(450)]


def test_starts_without_a_credential_and_heals(tls, methods):
    auth, rotate = methods["approle"]
    tls.put("makini/acme-crm", access_token="tok-1")
    with Instance(backend=store(tls, auth), conf=REFRESH) as i:
        i.start()
        assert served(i) in (502, 503, 504)
        rotate(i)
        wait_served(i, "tok-1", "a credential that came later", bound=5)


def test_a_secret_id_that_somebody_else_unwrapped_is_an_alarm(tls, methods):
    auth, rotate = methods["approle wrapped"]
    with Instance(backend=store(tls, auth), conf=REFRESH) as i:
        rotate(i)
        stolen = (i.secrets / "secret-id").read_text()
        tls.api("POST", "sys/wrapping/unwrap", token=stolen)
        i.start()
        wait_served(i, 502, "refused")
        wait_for("an alarm", lambda: i.events("alarm"), 2)
        assert stolen not in i.log_text()


def test_another_authority_than_its_own_is_not_trusted(tls):
    with OpenBao(tls=True) as other:
        conf = store(tls, by_token(tls.token()))
        with Instance(backend=lambda i: conf(i).replace("ca.pem", i.public("other.pem", other.ca.read_text()).name), conf=REFRESH) as i:
            i.start()
            wait_served(i, 502, "refused")


def test_a_sealed_store_is_an_error_and_then_heals(tls, methods):
    tls.put("makini/acme-crm", access_token="tok-1")
    with Instance(backend=store(tls, by_token(tls.token())), conf=REFRESH) as i:
        i.start()
        wait_served(i, "tok-1", "before it is sealed")
        tls.seal()
        try:
            wait_for("an error while it is sealed", lambda: served(i) in (502, 503, 504), TTL + 2)
        finally:
            tls.unseal()
        wait_served(i, "tok-1", "unsealed again", bound=10)
