# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between the agent and its store: each fault ends in the right error within
the deadline, what is held is kept and served, memory stays flat, nothing of what the store
sent is seen anywhere, and all heals when the fault is over.

A fault mostly waits (for deadlines, for breakers to close), so all that were selected run
at the same time, each with an agent and a proxy of its own before one OpenBao; a test then
judges what its run saw."""

import concurrent.futures
import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest

from lib.instance import BILLING, SECTEAM, Instance
from lib.waiting import PATIENCE, wait_for
from servers import faults
from servers.faults import CANARY, GOOD, Canary, Certificates, Fault, Proxy, chunked, head, secret, whole, wrong_secret
from servers.openbao import OpenBao

pytestmark = pytest.mark.root

TIMEOUT = 2.0           # of an operation, as configured
LONG = 8.0              # where no time is measured
HEAL = 8.0              # a breaker's first pause is 5 s
LOGIN_HEAL = 8.0        # so is that after the first logins that were refused, or less
PAUSED = 62.0           # the longest pause that a store may ask for
FLAT = 8 << 20          # bytes by which the fetcher may grow while a fault goes on
CALLS = 12              # that a fault may cause: two questions and looks at its health, until the breaker opens after five
AT_ONCE = 10

BACKEND, TIME, NOT_READY, SERVED = (502, "backend_error"), (504, "timeout"), (503, "not_ready"), (200, None)


def redirect(status, to):
    return whole(status, CANARY, f"Location: {to}")


# claim -> (fault, status and code of a cold token, what the agent's log says of it, further expectations)
MATRIX = {
    # the connection
    "a refused connection": (Fault(closed=True), BACKEND, "refuses connections", {"silent": True}),
    "a connection that nobody greets": (Fault(raw=faults.hold), TIME, "no connection to the store in time", {"silent": True}),
    "a reset in the handshake": (Fault(raw=faults.reset_in_handshake), BACKEND, "TLS could not be agreed|connection to the store broke", {"silent": True}),
    "a reset after the handshake": (Fault(faults.reset_after_handshake), BACKEND, "connection to the store broke|without an answer", {"silent": True}),
    "plain HTTP where TLS belongs": (Fault(raw=faults.speak(f"HTTP/1.1 400 {CANARY}\r\n\r\n")), BACKEND, "TLS could not be agreed", {}),
    "a request that nobody answers": (Fault(faults.hold), TIME, "did not come in time", {"silent": True}),
    "a head that drips": (Fault(faults.drip(head(200, length=10))), TIME, "did not come in time", {"silent": True}),
    "a body that drips": (Fault(faults.drip(head(length=len(GOOD)) + GOOD.encode(), 160)), TIME, "did not come in time", {}),
    "a body cut off": (Fault(faults.cut_without_goodbye(head(length=5000) + GOOD.encode(), 400)), BACKEND, "cut off|broke", {}),
    "a body cut off in good order": (Fault(faults.cut(head(length=5000) + GOOD.encode(), 400)), BACKEND, "cut off", {}),
    "a body without length cut off": (Fault(faults.cut_without_goodbye(head() + GOOD.encode(), -40)), BACKEND, "broke|not what was asked for", {}),
    "chunks cut off": (Fault(faults.cut(head(200, "Transfer-Encoding: chunked") + chunked(GOOD.encode()), -40)), BACKEND, "cut off|broke", {}),
    "a head cut off": (Fault(faults.cut_without_goodbye(head(length=10), -2)), BACKEND, "cut off|broke|without an answer|not what was asked for", {}),

    # certificates
    "an expired certificate": (Fault(context="expired"), BACKEND, "has expired", {"silent": True}),
    "a certificate that is not valid yet": (Fault(context="early"), BACKEND, "not valid yet", {"silent": True}),
    "a certificate of a foreign authority": (Fault(context="foreign"), BACKEND, "unknown authority", {"silent": True}),
    "a self-signed certificate": (Fault(context="own"), BACKEND, "self-signed", {"silent": True}),
    "a certificate for another host": (Fault(context="wrong_address"), BACKEND, "for another", {"silent": True}),
    "TLS 1.1": (Fault(context="old_tls"), BACKEND, "TLS could not be agreed", {"silent": True}),

    # sizes
    "a body of 2 GB": (Fault(faults.endless(head(length=2 * faults.GIB), b"\0")), BACKEND, "larger than", {}),
    "a body of 2 GB that says no length": (Fault(faults.endless(head() + f'{{"data":"{CANARY}'.encode(), b" ")), BACKEND, "larger than", {}),
    "endless chunks": (Fault(faults.endless(head(200, "Transfer-Encoding: chunked"), b"1\r\n[\r\n")), BACKEND, "larger than", {}),
    "a chunk's endless extension": (Fault(faults.endless(head(200, "Transfer-Encoding: chunked") + b"1;", b"a")), TIME, "did not come in time", {"much": True}),
    "endless trailers": (Fault(faults.endless(head(200, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n", b"X-More: a\r\n")), BACKEND, "larger than", {}),
    "endless headers": (Fault(faults.endless(head()[:-2], b"X-More: a\r\n")), BACKEND, "larger than", {}),
    "one endless header": (Fault(faults.endless(head()[:-2] + b"X-More: ", b"a")), BACKEND, "one header of the store's answer is larger", {}),
    "endless interim answers": (Fault(faults.endless(b"", f"HTTP/1.1 100 {CANARY}\r\n\r\n".encode())), BACKEND, "larger than", {}),
    "a packed bomb": (Fault(faults.packed), BACKEND, "larger than|not what was asked for", {}),
    "a packed bomb in chunks": (Fault(faults.packed_chunks), BACKEND, "", {}),

    # contents
    "JSON 3,000 deep": (whole(200, '{"data":' * 3000 + f'"{CANARY}"' + "}" * 3000), BACKEND, "not what was asked for", {}),
    "a value 3,000 deep": (wrong_secret("[" * 3000 + f'"{CANARY}"' + "]" * 3000), BACKEND, "not what was asked for", {}),
    "duplicate keys": (wrong_secret(f'"{CANARY}"', more=f',"access_token":"{CANARY}2"'), BACKEND, "not what was asked for", {}),
    "UTF-8 that is none": (whole(200, secret(f'"{CANARY}').encode() + b"\xff\xfe" + b'"}}}'), BACKEND, "not what was asked for", {}),
    "UTF-8 that is none, in the token": (whole(200, secret(f'"{CANARY}#"').encode().replace(b"#", b"\xc0\xaf")), BACKEND, "not what was asked for", {}),
    "a token with CR LF": (wrong_secret(f'"{CANARY}\\r\\nX-Injected: 1"'), BACKEND, "access_token has control characters", {}),
    "a token with NUL": (wrong_secret(f'"{CANARY}\\u0000"'), BACKEND, "control characters|not what was asked for", {}),
    "a token of no bytes": (wrong_secret('""'), BACKEND, "access_token is empty", {}),
    "a token of 17 KB": (wrong_secret(f'"{CANARY}{"a" * 17000}"'), BACKEND, "longer than 16,384 bytes", {}),
    "a token of a megabyte": (wrong_secret(f'"{CANARY}{"a" * (1 << 20)}"'), BACKEND, "larger than", {}),
    "a token that is a number": (wrong_secret("17"), BACKEND, "access_token is not a string", {}),
    "a secret of 10,000 leaves": (wrong_secret(f'"{CANARY}"', more="".join(f',"k{n}":{n}' for n in range(5000))), BACKEND, "not what|larger|leaves", {}),
    "an error with status 200": (whole(200, json.dumps({"errors": [CANARY]})), BACKEND, "not what was asked for", {}),
    "an empty body": (whole(200, ""), BACKEND, "not what was asked for", {}),
    "a page of HTML": (whole(200, f"<html>{CANARY}</html>", "Content-Type: text/html"), BACKEND, "not what was asked for", {}),
    "a destroyed version with status 200": (whole(200, GOOD.replace('"destroyed":false', '"destroyed":true')), BACKEND, "not what was asked for", {}),
    "a version that is none": (wrong_secret(f'"{CANARY}"', version=-1), BACKEND, "not what was asked for", {}),

    # statuses
    "a 404 that is not the store's": (whole(404, f"<html>{CANARY}</html>"), BACKEND, "no such engine", {}),
    "a 403": (whole(403, json.dumps({"errors": [CANARY]})), BACKEND, r"refuses the token of token_file \(403\)", {}),
    "a 401": (whole(401, CANARY), BACKEND, "a status that its API does not", {}),
    "a storm of 429": (whole(429, CANARY, "Retry-After: 1"), BACKEND, r"\(429\)", {}),
    "a storm of 429 that names a date": (faults.dated_storm(), BACKEND, r"\(429\)", {}),
    "a 429 for a year": (whole(429, CANARY, "Retry-After: 31536000"), BACKEND, r"\(429\)", {"heal": PAUSED}),
    "a 429 until no date": (whole(429, CANARY, "Retry-After: " + "9" * 40), BACKEND, r"\(429\)", {}),
    "a storm of 503": (whole(503, json.dumps({"errors": [CANARY]}), "Retry-After: 1"), BACKEND, r"\(503\)", {}),
    "a storm of 500": (whole(500, CANARY), BACKEND, r"\(5xx\)", {}),
    "a 500 now and then": (faults.flap(), SERVED, None, {}),

    # redirects: {canary} is a listener where nobody may come
    "a redirect to a file": (redirect(302, "file:///etc/passwd"), BACKEND, "redirect", {}),
    "a redirect to the metadata address": (redirect(307, "http://169.254.169.254/latest/meta-data/"), BACKEND, "redirect", {}),
    "a redirect to another host": (lambda canary: redirect(301, f"http://127.0.0.1:{canary}/"), BACKEND, "redirect", {}),
    "a redirect to another host in TLS": (lambda canary: redirect(308, f"https://localhost:{canary}/"), BACKEND, "redirect", {}),
    "a refresh and a link elsewhere": (lambda canary: whole(200, CANARY, f"Refresh: 0;url=http://127.0.0.1:{canary}/",
                                                             f"Alt-Svc: http/1.1=\":{canary}\"", f"Location: http://127.0.0.1:{canary}/"),
                                       BACKEND, "not what was asked for", {}),
}


# of a login by approle, which comes before the first question: claim -> (fault, status and code, what the log says)
LOGINS = {
    "a login's token with CR LF": (faults.login(client_token=f"{CANARY}\r\nX-Vault-Namespace: other"), BACKEND, "token|credential|not what was asked"),
    "a login's token with NUL": (faults.login(client_token=f"{CANARY}\0"), BACKEND, "token|credential|not what was asked"),
    "a login's token of no bytes": (faults.login(client_token=""), BACKEND, "token|credential|not what was asked"),
    "a login's token of a megabyte": (faults.login(client_token=CANARY * 40000), BACKEND, "larger than"),
    "a login's token that is none": (faults.login(), BACKEND, "refuses the credential of a fresh login"),
    "a login's token that lives for ever": (faults.login(lease_duration=1 << 62), BACKEND, "refuses|not what was asked"),
    "a login's token that is over": (faults.login(lease_duration=-5), BACKEND, "refuses|not what was asked"),
    "a login without auth": (whole(200, json.dumps({"auth": None, "errors": [CANARY]})), BACKEND, "not what was asked"),
    "a login of 2 GB": (Fault(faults.endless(head(), f'{{"auth":"{CANARY}'.encode())), BACKEND, "larger than"),
    "a login that nobody answers": (Fault(lambda peer, _: faults.drip(head())(peer, _)), TIME, "time"),
    "a login that is redirected": (lambda canary: redirect(307, f"http://127.0.0.1:{canary}/"), BACKEND, "redirect"),
    "a login that is refused": (whole(400, json.dumps({"errors": [CANARY]})), BACKEND, "refuses|400"),
    "a login that fails": (whole(500, CANARY), BACKEND, "5xx"),
}


class Memory:
    """A process's anonymous memory now, and the most that it ever held since begin()."""

    def __init__(self, pid):
        self.pid = pid

    def begin(self):
        with open(f"/proc/{self.pid}/clear_refs", "w") as f:
            f.write("5")  # the high-water mark starts again from here
        self.before = self.read()

    def read(self):
        text = open(f"/proc/{self.pid}/status").read()
        return {key: int(re.search(rf"^{key}:\s+(\d+) kB", text, re.M)[1]) << 10 for key in ("VmHWM", "VmRSS", "RssAnon")}

    def grown(self):
        now = self.read()
        return now["RssAnon"] - self.before["RssAnon"], now["VmHWM"] - self.before["VmRSS"]


def by_token(token):
    return lambda i: f'method = "token"; token_file = "{i.credential("token", token)}";'


def by_approle(role_id, secret_id):
    return lambda i: (f'method = "approle"; role_id_file = "{i.credential("role-id", role_id)}"; '
                      f'secret_id_file = "{i.credential("secret-id", secret_id)}";')


def backend(proxy, auth, address=None, ca=True, timeout=TIMEOUT):
    def text(i):
        authority = f'ca_file = "{i.public("ca.pem", proxy.certificates.ca)}";' if ca else ""
        return (f'{{ name = "bao"; type = "vault"; address = "{address or proxy.address}"; mount = "secret"; path = "makini/{{connection}}"; '
                f'timeout = "{timeout:.0f}s"; {authority} auth = {{ {auth(i)} }}; }}')
    return text


CONF = 'refresh = { ttl = "1h"; jitter = "0%"; serve_stale = "1h"; prefetch = false; };'


def all_answers(answer):
    return answer.body + str(answer.headers).encode()


def seen_where(i, answers, needle):
    """In which of the agent's logs and answers a text is."""
    places = {"log": i.log_text().encode(), "audit": i.audit_log.read_bytes(), "answers": b"".join(map(all_answers, answers))}
    return [name for name, data in places.items() if needle.encode() in data]


class LoginRun:
    """One agent whose first login goes wrong."""

    def __init__(self, bao, certificates, number, fault, role_id):
        name = f"acme-login-{number}"
        bao.api("POST", f"secret/data/makini/{name}", {"data": {"access_token": f"tok-{name}"}})
        proxy, canary = Proxy(bao, certificates), Canary()
        proxy.set(faults.of_login(fault(canary.port) if callable(fault) else fault))
        secret_id = bao.secret_id()
        try:
            with Run.starting:
                agent = Instance(backend=backend(proxy, by_approle(role_id, secret_id)), conf=CONF)
                agent.start()
                agent.caller(BILLING)
            with agent:
                began = time.monotonic()
                self.cold_answer = agent.token(name)
                self.took = time.monotonic() - began
                self.leaks = seen_where(agent, [self.cold_answer], CANARY) + seen_where(agent, [self.cold_answer], secret_id)
                self.faults = [r.get("fault", "") for r in agent.events("backend_failed", "login_failed")]
                self.canaries, self.redirected, self.calls = proxy.canaries, canary.seen, len(proxy.requests)
                proxy.set(faults.PASS)
                last = []
                self.healed = wait_for("healed", lambda: time.sleep(0.1) or last.append(agent.token(name)) or last[-1].status == 200, LOGIN_HEAL)
                self.later = last[-1].json()["access_token"]
                self.value = f"tok-{name}"
        finally:
            proxy.close()
            canary.close()


class Run:
    """One agent through one fault: everything that its test judges."""

    starting = threading.Lock()  # forks, one at a time

    def __init__(self, bao, certificates, number, fault, heal=HEAL):
        self.known, self.cold = f"acme-known-{number}", f"acme-cold-{number}"
        self.heal, self.answers = heal, []
        self.bao, self.proxy, self.canary = bao, Proxy(bao, certificates), Canary()
        self.fault = fault(self.canary.port) if callable(fault) else fault
        try:
            with Run.starting:
                self.write(1)
                self.agent = Instance(backend=backend(self.proxy, by_token(bao.token())), conf=CONF)
                self.agent.start()
                for uid in (SECTEAM, BILLING):
                    self.agent.caller(uid)
                self.get(self.known)
            with self.agent:
                self.go_through()
        finally:
            self.proxy.close()
            self.canary.close()

    def write(self, n):
        for name in (self.known, self.cold):
            self.bao.api("POST", f"secret/data/makini/{name}", {"data": {"access_token": f"tok-{name}-{n}"}})

    def get(self, name, query=""):
        self.answers.append(self.agent.token(name + query))
        return self.answers[-1]

    def go_through(self):
        wait_for("served", lambda: self.get(self.known).status == 200, TIMEOUT)
        assert self.answers[-1].json()["access_token"] == f"tok-{self.known}-1"
        fetched = time.monotonic()
        self.memory = Memory(self.agent.pids()["fetcher"])
        time.sleep(max(0, fetched + 1.1 - time.monotonic()))
        self.memory.begin()
        self.proxy.set(self.fault)
        before = len(self.proxy.requests), self.proxy.accepted
        began = time.monotonic()
        self.cold_answer = self.get(self.cold)
        self.cold_took = time.monotonic() - began
        began = time.monotonic()
        self.known_answer = self.get(self.known, "?not=1")
        self.known_took = time.monotonic() - began
        self.answers.append(self.agent.get("/v1/status", uid=SECTEAM, sock="admin"))
        self.answers.append(self.agent.get("/v1/tokens"))
        self.grown = self.memory.grown()
        self.canaries, self.sent, self.redirected = self.proxy.canaries, self.proxy.sent, self.canary.seen
        self.leaks = seen_where(self.agent, self.answers, CANARY)
        self.finds = seen_where(self.agent, self.answers, self.known)
        self.faults = [r.get("fault", "") for r in self.agent.events("backend_failed", "secret_unusable", "login_failed")]
        self.calls = max(len(self.proxy.requests) - before[0], self.proxy.accepted - before[1])
        self.same_fetcher = self.memory.pid == self.agent.pids()["fetcher"]
        self.proxy.set(faults.PASS)
        self.write(2)
        self.healed = wait_for("healed", self.is_new, self.heal)
        self.leaks_later = seen_where(self.agent, self.answers, CANARY)

    def is_new(self):
        time.sleep(0.1)
        new = [self.get(n, "?not=1") for n in (self.known, self.cold)]
        return [a.status == 200 and a.json()["access_token"] for a in new] == [f"tok-{n}-2" for n in (self.known, self.cold)]


@pytest.fixture(scope="module")
def bao():
    with OpenBao(tls=True) as server:
        server.policy()
        yield server


@pytest.fixture(scope="module")
def certificates():
    with Certificates() as made:
        yield made


@pytest.fixture(scope="module")
def runs(request, bao, certificates):
    """Begins the runs of all selected faults; claim -> future."""
    claims = [i.callspec.params["claim"] for i in request.session.items if i.module is request.module and "claim" in i.fixturenames]
    claims.sort(key=lambda c: -MATRIX[c][3].get("heal", 0) if c in MATRIX else 0)  # the longest first
    faults.bomb()  # which takes a while to pack
    role_id = bao.approle()

    def once(n, claim):
        if claim in LOGINS:
            return LoginRun(bao, certificates, n, LOGINS[claim][0], role_id)
        return Run(bao, certificates, n, MATRIX[claim][0], MATRIX[claim][3].get("heal", HEAL))

    def go(n, claim):
        """Once; and again where it was too late for another error: a busy machine may be slower than the store's timeout, but not each time."""
        expected = (LOGINS.get(claim) or MATRIX[claim])[1]
        for attempt in range(4):
            run = once(n + 1000 * attempt, claim)
            if run.cold_answer.status != TIME[0] or expected == TIME:
                break
        return run

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        begun = {claim: pool.submit(go, n, claim) for n, claim in enumerate(claims)}
        yield begun
        for future in begun.values():
            future.cancel()


@pytest.mark.parametrize("claim", MATRIX, ids=[c.replace(" ", "-") for c in MATRIX])
def test_a_fault_is_an_error_in_time_that_costs_and_tells_nothing_and_heals(runs, claim):
    run = runs[claim].result()
    _, (status, code), said, more = MATRIX[claim]
    print(f"figure: {claim}: cold {run.cold_took:.2f} s, known {run.known_took:.2f} s (stated {TIMEOUT} s), sent {run.sent >> 10} KiB, "
          f"grown {run.grown[0] >> 10} KiB, at most {run.grown[1] >> 10} KiB, healed after {run.healed:.1f} s")
    # the right error, in time
    assert run.cold_answer.status == status, run.cold_answer
    assert code is None or run.cold_answer.json()["code"] == code
    assert said is None or any(re.search(said, f) for f in run.faults), run.faults
    assert max(run.cold_took, run.known_took) < TIMEOUT * PATIENCE
    # what is held stays
    assert run.known_answer.status == 200, run.known_answer
    if status != 200:
        held = run.known_answer.json()
        assert held["access_token"].endswith("-1") and held["version"] == "1" and held["stale"] is True, held
    # it costs nothing
    assert run.same_fetcher
    assert run.sent < 64 << 20 or more.get("much"), run.sent  # libcurl counts no extensions: that ends with the deadline
    assert run.grown[0] < FLAT // 2 and run.grown[1] < FLAT, run.grown
    assert run.calls <= CALLS, run.calls  # nor the store
    # it tells nothing, and leads nowhere
    assert run.leaks == [] and run.leaks_later == []
    assert run.redirected == 0
    # the controls: there was something to tell, and the search finds what is there
    assert (run.canaries > 0) != more.get("silent", False)
    assert set(run.finds) >= {"audit", "answers"}


@pytest.mark.parametrize("claim", LOGINS, ids=[c.replace(" ", "-") for c in LOGINS])
def test_a_login_that_goes_wrong_is_an_error_in_time_that_tells_nothing_and_heals(runs, claim):
    run = runs[claim].result()
    _, (status, code), said = LOGINS[claim]
    print(f"figure: {claim}: {run.took:.2f} s (stated {TIMEOUT} s), {run.calls} calls, healed after {run.healed:.1f} s")
    assert (run.cold_answer.status, run.cold_answer.json()["code"]) == (status, code)
    assert any(re.search(said, f) for f in run.faults), run.faults
    assert run.took < TIMEOUT * PATIENCE and run.calls <= CALLS
    assert run.leaks == [] and run.redirected == 0
    assert run.canaries > 0 or claim == "a login that nobody answers"
    assert run.later == run.value


def test_a_canary_is_found_where_somebody_comes():
    canary = Canary()
    assert faults.knock(canary.port) == 0 and canary.seen == 1
    canary.close()


@pytest.fixture
def through(bao, certificates):
    """An agent before a proxy, and what a token is called there; for what is no fault of one answer."""
    bao.api("POST", "secret/data/makini/acme-crm", {"data": {"access_token": "tok-crm-1"}})
    proxy = Proxy(bao, certificates)
    yield proxy
    proxy.close()


def test_a_name_that_does_not_exist_is_an_error_and_heals_with_the_configuration(through, bao):
    token = by_token(bao.token())
    with Instance(backend=backend(through, token), conf=CONF) as i:
        i.start()
        wait_for("served", lambda: i.token("acme-crm").json().get("access_token") == "tok-crm-1", TIMEOUT)
        i.backend = backend(through, token, address=f"https://store-{CANARY}.invalid:8200")
        i.write_conf(CONF)
        assert i.reload()["event"] == "reloaded"
        began = time.monotonic()
        cold = i.token("acme-cold")
        print(f"figure: no such host: {time.monotonic() - began:.2f} s (stated {TIMEOUT} s)")
        assert cold.status in (502, 504) and cold.json()["code"] in ("backend_error", "timeout")
        assert re.search("name (cannot be|was not) resolved", str(i.events("backend_failed")))
        held = i.token("acme-crm")
        assert held.status == 200 and held.json()["access_token"] == "tok-crm-1" and held.json()["stale"] is True
        assert seen_where(i, [cold, held], CANARY) == []
        i.backend = backend(through, token)
        i.write_conf(CONF)
        assert i.reload()["event"] == "reloaded"
        bao.api("POST", "secret/data/makini/acme-crm", {"data": {"access_token": "tok-crm-2"}})
        wait_for("healed", lambda: i.token("acme-crm").json().get("access_token") == "tok-crm-2", 2)


def test_a_store_that_is_sealed_is_an_error_that_names_it_and_heals(certificates):
    with OpenBao(tls=True) as own:
        own.policy()
        proxy = Proxy(own, certificates)
        own.api("POST", "secret/data/makini/acme-crm", {"data": {"access_token": "tok-crm-1"}})
        with Instance(backend=backend(proxy, by_token(own.token()), timeout=LONG), conf=CONF) as i:
            i.start()
            assert i.token("acme-crm").json()["access_token"] == "tok-crm-1"
            own.seal()
            time.sleep(1.1)
            cold = i.token("acme-cold")
            assert (cold.status, cold.json()["code"]) == BACKEND
            assert "sealed" in str(i.events("backend_failed"))
            held = i.token("acme-crm?not=1").json()
            assert held["access_token"] == "tok-crm-1" and held["stale"] is True
            own.unseal()
            own.api("POST", "secret/data/makini/acme-crm", {"data": {"access_token": "tok-crm-2"}})
            wait_for("healed", lambda: i.token("acme-crm?not=1").json().get("access_token") == "tok-crm-2", HEAL)
        proxy.close()


def test_the_starters_environment_names_no_proxy_and_no_authority(through, bao, tmp_path):
    trap, keys, authority = Canary(), tmp_path / "keys", tmp_path / "ca.pem"
    authority.write_text(through.certificates.ca)
    tmp_path.chmod(0o777)
    names = ("https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY")
    environ = {**{n: f"http://127.0.0.1:{trap.port}" for n in names}, "SSL_CERT_FILE": str(authority), "CURL_CA_BUNDLE": str(authority),
               "SSLKEYLOGFILE": str(keys), "no_proxy": "", "NO_PROXY": ""}
    with Instance(backend=backend(through, by_token(bao.token()), timeout=LONG), conf=CONF, environ=environ) as i:
        i.start()
        assert i.token("acme-crm").json()["access_token"] == "tok-crm-1"
    with Instance(backend=backend(through, by_token(bao.token()), ca=False, timeout=LONG), conf=CONF, environ=environ) as i:
        i.start()
        assert i.token("acme-crm").json()["code"] == "backend_error"
        assert "unknown authority" in str(i.events("backend_failed", "login_failed"))
    assert trap.seen == 0 and not keys.exists()
    # the control: another program takes all of them at their word
    subprocess.run([sys.executable, "-c", f"import urllib.request\nurllib.request.urlopen('{through.address}', timeout=5)"], env=environ, capture_output=True)
    assert trap.seen == 1
    alone = {k: v for k, v in environ.items() if "proxy" not in k.lower()}
    done = subprocess.run(["curl", "-s", "-o", os.devnull, through.address + "/v1/sys/health"], env=alone)
    assert done.returncode == 0 and keys.exists()
    trap.close()
