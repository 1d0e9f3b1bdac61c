# SPDX-License-Identifier: Apache-2.0
"""What status says of a store that works, is gone, is sealed, and comes back; of calls as they are and as they were foreseen."""

import contextlib
import json
import re
import time

import pytest

from lib.instance import BILLING, POLICY, SECTEAM, Instance
from lib.waiting import wait_for
from servers.openbao import TOKEN, OpenBao

pytestmark = pytest.mark.root

REFRESH = 'refresh = { ttl = "2s"; jitter = "10%"; serve_stale = "1h"; };'
NO_LISTS = POLICY.format(env="production").replace('"list"', '"get"')
FORECAST_FACTOR = 1.5  # of what really goes over the wire, in steady use of all known tokens; the arithmetic itself is held to 5 % in a unit test
STEADY = 1.0           # seconds between two uses of a token that are steady use: half its time
TOLD_BOUND = 2.0       # seconds from an answer to status: a change of kind is told within one
HEAL_BOUND = 12.0      # a breaker that opened twice, the look at stores that fail, and a login


@pytest.fixture
def bao():
    with OpenBao() as server:
        fill(server)
        yield server


def fill(server):
    server.policy()
    for name in ("acme-crm", "acme-sap"):
        server.put(f"makini/{name}", access_token=f"tok-{name}")


def store(bao, more=""):
    return lambda i: (f'{{ name = "bao"; type = "vault"; address = "{bao.address}"; mount = "secret"; path = "makini/{{connection}}"; timeout = "8s"; '
                      f'auth = {{ method = "token"; token_file = "{i.credential("token", TOKEN)}"; }}; {more} }}')


def status(i):
    return i.get("/v1/status", uid=SECTEAM, sock="admin").json()


def first(i):
    return status(i)["stores"][0]


def page(i):
    return i.ctl("status", "--socket", i.sock("admin")).stdout.decode()


def use(i):
    return [i.token(n).status for n in ("acme-crm", "acme-sap")]


def test_a_store_that_works_goes_and_comes_back(bao):
    with Instance(backend=store(bao), conf=REFRESH) as i:
        i.start()
        wait_for("served", lambda: use(i) == [200, 200], 5.0)
        wait_for("counted", lambda: first(i)["calls_last_hour"] >= 3, 12.0)
        s = first(i)
        assert (s["name"], s["type"], s["health"], s["breaker"], s["last_error"]) == ("bao", "vault", "ok", "closed", None)
        assert s["last_ok"] and s["limit_per_hour"] == 180000 and s["login"]["state"] == "ok"
        text = page(i)
        assert "alarms: none" in text and "  ok       bao (vault): answered" in text and "FAILING" not in text

        bao.process.kill()
        bao.process.wait()

        def gone():
            use(i)
            s = first(i)
            e = s["last_error"] or {"code": None, "text": "", "at": None}
            return (s["health"] == "failing" and s["breaker"] == "open" and e["code"] == "backend_error" and "connect" in e["text"]
                    and e["at"] is not None)
        wait_for("failing, and left alone", gone, 15.0)
        text = page(i)
        assert "  FAILING  bao (vault)" in text and "breaker" in text and " ago: " in text
        assert json.loads(i.ctl("status", "--json", "--socket", i.sock("admin")).stdout)["stores"][0]["health"] == "failing"

        bao.start()
        fill(bao)
        wait_for("ok again", lambda: use(i) == [200, 200] and first(i)["health"] == "ok" and first(i)["breaker"] == "closed", HEAL_BOUND)
        assert first(i)["last_error"]["code"] in ("backend_error", "timeout")  # what was, with its time: it may have been slow to come up
        wait_for("and the page", lambda: re.search("last error: (backend_error|timeout)", page(i)), 2.0)
        assert "tok-" not in page(i) and TOKEN not in json.dumps(status(i)["stores"])


def test_a_sealed_store_says_so(bao):
    with Instance(backend=store(bao), conf=REFRESH) as i:
        i.start()
        wait_for("served", lambda: use(i) == [200, 200], 5.0)
        bao.seal()
        try:
            def failing():
                use(i)
                s = first(i)  # one reading: an answer to what was asked before the sealing may still come
                return s["health"] == "failing" and "sealed" in (s["last_error"] or {}).get("text", "")
            wait_for("sealed", failing, 8.0)
            assert "sealed" in page(i)
        finally:
            bao.unseal()
        wait_for("ok again", lambda: use(i) == [200, 200] and first(i)["health"] == "ok", HEAL_BOUND)


def test_the_forecast_is_what_goes_over_the_wire(bao):
    names = [f"acme-{n}" for n in range(20)]  # each has its own jitter: of two, it would be a toss
    for name in names:
        bao.api("POST", f"secret/data/makini/{name}", {"data": {"access_token": f"tok-{name}"}})
    with Instance(policy=NO_LISTS, backend=store(bao), conf=REFRESH) as i:
        i.start()
        with contextlib.closing(i.caller(BILLING).connect(i.sock())) as c:
            ask = "".join(f"GET /v1/tokens/{n} HTTP/1.1\r\nHost: agent\r\n\r\n" for n in ("acme-crm", "acme-sap", *names)).encode()

            def use_all():
                c.send(ask)
                return [c.receive().status for _ in range(2 + len(names))]
            wait_for("served", lambda: set(use_all()) == {200}, 5.0)
            time.sleep(2)
            before, began = first(i)["calls"], time.monotonic()
            last, steady = began, 0.0
            while time.monotonic() - began < 12:
                use_all()
                now = time.monotonic()
                last, steady = now, steady + min(now - last, STEADY)  # who stood still for longer did not use them meanwhile
                time.sleep(0.05)
            s = first(i)
        calls, an_hour, took = s["calls"] - before, s["forecast_per_hour"], time.monotonic() - began
        print(f"figure: calls an hour: {calls * 3600 / took:.0f}, forecast {an_hour}; steady use for {steady:.1f} of {took:.1f} s")
        assert an_hour * steady / 3600 / FORECAST_FACTOR < calls < an_hour * took / 3600 * FORECAST_FACTOR, (calls, s)


def test_a_rate_that_the_configuration_will_exceed_is_told(bao):
    with Instance(backend=store(bao, 'rate = "10/m";'), conf=REFRESH) as i:
        i.start()
        wait_for("served", lambda: use(i) == [200, 200], 5.0)
        s = first(i)
        assert s["limit_per_hour"] == 600 < s["forecast_per_hour"]
        assert "WARNING: the forecast exceeds the limit" in page(i)


def test_an_unwrap_that_failed_stands_until_a_login_succeeds(bao):
    role_id = bao.approle()

    def auth(i):
        return store(bao)(i).replace('method = "token"', f'method = "approle"; wrapped = true; secret_id_file = "{i.secrets}/secret-id"; '
                                     f'role_id_file = "{i.credential("role-id", role_id)}"').replace(f'token_file = "{i.secrets}/token"; ', "")

    with Instance(backend=auth, conf=REFRESH) as i:
        stolen = bao.secret_id(wrapped=True)
        bao.api("POST", "sys/wrapping/unwrap", token=stolen)
        i.credential("secret-id", stolen)
        i.start()
        wait_for("refused", lambda: use(i) == [502, 502], 2.0)
        wait_for("alarm", lambda: status(i)["alarms"], TOLD_BOUND)
        alarm = status(i)["alarms"][0]
        assert (alarm["code"], alarm["subject"], alarm["count"]) == ("unwrap_failed", "bao", 1) and alarm["since"]
        wait_for("told of the login", lambda: first(i)["login"]["state"] == "failing", TOLD_BOUND)
        done = i.ctl("status", "--socket", i.sock("admin"))
        assert done.returncode == 0 and b"!! ALARM unwrap_failed of bao" in done.stdout and b"login FAILING" in done.stdout
        assert [r["code"] for r in i.events("alarm")] == ["unwrap_failed"]
        i.credential("secret-id", bao.secret_id(wrapped=True))
        wait_for("cleared", lambda: use(i) == [200, 200] and not status(i)["alarms"], 20.0)
        assert i.events("alarm_cleared") and stolen not in i.log_text()


def test_of_a_file_reads_are_counted_and_there_is_no_limit_and_no_login():
    with Instance(conf=REFRESH) as i:
        i.put("acme-crm", b"tok-crm")
        i.start()
        assert i.token("acme-crm").status == 200
        wait_for("counted", lambda: first(i)["calls_last_hour"] > 0, 12.0)
        s = first(i)
        assert s["health"] == "ok" and s["breaker"] == "closed" and s["limit_per_hour"] is None and s["login"] is None
