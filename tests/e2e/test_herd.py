# SPDX-License-Identifier: Apache-2.0
"""Many who ask for the same at once cost the store one call, and all get their answer."""

import resource
import selectors
import time

import pytest

from lib.instance import BILLING, SECTEAM, Instance
from lib.waiting import PATIENCE, wait_for
from servers.faults import PASS, Certificates, Fault, Proxy
from servers.openbao import OpenBao

pytestmark = pytest.mark.root

CLIENTS = 1000
DEADLINE = 2.0  # seconds from the store's answer to the last client's, stated
CONF = """
refresh = { ttl = "1h"; prefetch = false; };
limits = { connections = 4096; connections_per_uid = 1024; waiters_per_uid = 1024; };
"""


@pytest.fixture(scope="module", autouse=True)
def descriptors():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(before[1], 8192)), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(scope="module")
def store():
    with OpenBao(tls=True) as bao, Certificates() as certificates:
        bao.policy()
        bao.api("POST", "secret/data/makini/acme-cold", {"data": {"access_token": "tok-cold-" + "x" * 500}})
        proxy = Proxy(bao, certificates)
        yield bao, proxy
        proxy.close()


@pytest.fixture
def agent(store):
    bao, proxy = store

    def backend(i):
        return (f'{{ name = "bao"; type = "vault"; address = "{proxy.address}"; mount = "secret"; path = "makini/{{connection}}"; timeout = "8s"; '
                f'ca_file = "{i.public("ca.pem", proxy.certificates.ca)}"; '
                f'auth = {{ method = "token"; token_file = "{i.credential("token", bao.token())}"; }}; }}')

    with Instance(backend=backend, conf=CONF) as i:
        proxy.set(PASS)
        proxy.requests.clear()
        i.start()
        yield i


class Gate:
    """Keeps all questions for secrets until it is opened."""

    def __init__(self, proxy):
        self.proxy, self.asked = proxy, 0
        proxy.set(Fault(self.answer))
        self.is_open = False

    def answer(self, peer, request):
        if "/data/" in request.path:
            self.asked += 1
            while not self.is_open and not peer.wait(0.01):
                pass
        self.proxy.forward(peer, request)
        return True


def crowd(agent, n):
    """n connections of one service."""
    caller = agent.caller(BILLING)
    return [caller.connect(agent.sock()) for _ in range(n)]


def ask_all(connections, target):
    for c in connections:
        c.send(f"GET {target} HTTP/1.1\r\nHost: agent\r\n\r\n".encode())


def answers_of(connections):
    """All answers, read as they come; and how long the last one took."""
    began, answers = time.monotonic(), []
    with selectors.DefaultSelector() as ready:
        for c in connections:
            ready.register(c.sock, selectors.EVENT_READ, c)
        while len(answers) < len(connections) and time.monotonic() - began < DEADLINE * PATIENCE:
            for key, _ in ready.select(1.0):
                ready.unregister(key.fileobj)
                answers.append(key.data.receive())
    return answers, time.monotonic() - began


def one_call_for_all(agent, proxy, name, n):
    """Lets n clients ask for a cold name, then the store answer."""
    gate = Gate(proxy)
    connections = crowd(agent, n)
    try:
        ask_all(connections, f"/v1/tokens/{name}")
        wait_for("the question at the store", lambda: gate.asked, 1.0)
        time.sleep(0.5)  # and the others, who are to wait
        assert not any(readable(c) for c in connections)
        gate.is_open = True
        answers, took = answers_of(connections)
    finally:
        for c in connections:
            c.close()
    print(f"figure: {n} clients for {name}: the last answer {took:.3f} s after the store's (stated {DEADLINE} s)")
    assert len(answers) == n
    return answers


def readable(connection):
    with selectors.DefaultSelector() as ready:
        ready.register(connection.sock, selectors.EVENT_READ)
        return bool(ready.select(0))


def asked(proxy, name):
    return sum(r.path.endswith(f"/data/makini/{name}") for r in proxy.requests)


def test_a_thousand_clients_for_one_cold_token_are_one_call_and_all_get_it(agent, store):
    _, proxy = store
    answers = one_call_for_all(agent, proxy, "acme-cold", CLIENTS)
    assert {a.status for a in answers} == {200}, sorted({(a.status, a.body) for a in answers if a.status != 200})
    assert {a.json()["access_token"] for a in answers} == {"tok-cold-" + "x" * 500}
    assert asked(proxy, "acme-cold") == 1
    assert len(agent.audit("grant")) == CLIENTS  # each hand-out has its record
    assert agent.verify().returncode == 0
    # the control: who counts sees the next one
    wait_for("a second later", lambda: agent.token("acme-cold?not=1").headers["X-Cache"] == "miss", 1.5)
    assert asked(proxy, "acme-cold") == 2


def test_a_hundred_clients_for_what_is_not_there_are_one_call(agent, store):
    _, proxy = store
    began = time.monotonic()
    answers = one_call_for_all(agent, proxy, "acme-nowhere", 100)
    assert {a.status for a in answers} == {404}
    assert {agent.token("acme-nowhere").status for _ in range(100)} == {404}
    assert 1 <= asked(proxy, "acme-nowhere") <= 1 + (time.monotonic() - began) / 5  # that there is none is known for five seconds


def test_a_thousand_clients_for_what_the_store_does_not_give_are_few_calls_and_all_hear_of_it(agent, store):
    _, proxy = store
    proxy.set(Fault(closed=True))
    connections = crowd(agent, CLIENTS)
    try:
        ask_all(connections, "/v1/tokens/acme-cold")
        answers, _ = answers_of(connections)
    finally:
        for c in connections:
            c.close()
    assert len(answers) == CLIENTS and {a.status for a in answers} <= {502, 503}
    assert agent.get("/v1/status", uid=SECTEAM, sock="admin").json()["stores"][0]["calls"] <= 5
