# SPDX-License-Identifier: Apache-2.0
"""A reload takes all or nothing; a wrong configuration leaves the running agent as it is."""

import os
import threading

import pytest

from lib.instance import BILLING, POLICY, ROOT, STRANGER, SYNC, Caller, Instance
from lib.waiting import wait_for

pytestmark = pytest.mark.root
WRONG = sorted(p for p in (ROOT / "tests" / "wrong").iterdir() if p.is_dir())


@pytest.fixture(scope="module")
def instance():
    with Instance() as i:
        i.put("acme-sap", b"tok-sap")
        i.put("globex-erp", b"tok-globex")
        yield i.start()


@pytest.fixture(autouse=True)
def right_again(instance):
    yield
    instance.write_policy(POLICY.format(env="production"))
    instance.write_conf()
    assert instance.reload()["event"] == "reloaded"


def test_there_are_thirty_wrong_ones_and_a_right_one():
    assert len([p for p in WRONG if not p.name.startswith("00")]) >= 30 and any(p.name.startswith("00") for p in WRONG)


@pytest.mark.parametrize("case", [p for p in WRONG if not p.name.startswith("00")], ids=lambda p: p.name)
def test_a_wrong_configuration_is_refused_with_its_line_and_the_agent_goes_on(instance, case):
    pids, served = instance.pids(), instance.token("acme-sap")
    for name in ("agent.conf", "policy.conf"):
        source = case / name
        if source.exists():
            Instance._place(instance.conf_dir / name, source.read_text())
    record = instance.reload()
    where, line, fragment = (case / "expect").read_text().strip().split(":", 2)
    assert record["event"] == "reload_refused" and record["file"].endswith("/" + where), record
    assert record["line"] == int(line) and fragment.strip() in record["why"], record
    assert instance.token("acme-sap").json()["version"] == served.json()["version"]
    assert instance.pids() == pids


def test_each_key_of_a_store_takes_effect_by_a_fresh_fetcher_and_nothing_else_brings_one():
    def store(i):
        return (f'{{ name = "bao"; type = "vault"; address = "https://127.0.0.1:1"; namespace = "a"; mount = "secret"; path = "makini/{{connection}}"; '
                f'kv = 2; rate = "50/s"; timeout = "5s"; ca_file = "{i.public("ca.pem", "none")}"; trust_tags = false; '
                f'auth = {{ method = "token"; token_file = "{i.credential("token", "none")}"; }}; }}')

    with Instance(backend=store) as i:
        conf = store(i)
        i.public("other.pem", "none"), i.credential("other", "none")
        i.start()
        changes = [("127.0.0.1:1", "127.0.0.1:2"), ('namespace = "a"', 'namespace = "b"'), ('mount = "secret"', 'mount = "other"'),
                   ("makini/{", "agent/{"), ("kv = 2", "kv = 1"), ("50/s", "40/s"), ('"5s"', '"6s"'), ("ca.pem", "other.pem"),
                   ("trust_tags = false", "trust_tags = true"), ("/token", "/other"), ('name = "bao"', 'name = "vault"'), ("127.0.0.1:2", "192.0.2.1:2")]
        for old, new in changes:
            before = i.pids()["fetcher"]
            conf = conf.replace(old, new)
            i.backend = conf
            i.write_conf()
            assert new in conf and i.reload()["event"] == "reloaded"
            after = i.pids()["fetcher"]
            assert after != before, new
            i.write_policy(POLICY.format(env="production") + f"# {new}\n")
            assert i.reload()["event"] == "reloaded"
            assert i.pids()["fetcher"] == after
        i.write_conf('proxy = { url = "http://127.0.0.1:9"; };')  # which a store on this host has no use for
        assert i.reload()["event"] == "reloaded" and i.pids()["fetcher"] != after


def test_a_new_right_holds_from_the_reload_on(instance):
    assert instance.token("globex-erp", uid=SYNC).status == 403
    instance.write_policy(POLICY.format(env="production").replace('[ "list" ]', '[ "get" ]'))
    assert instance.reload()["event"] == "reloaded"
    assert instance.token("globex-erp", uid=SYNC).status == 200


def test_a_right_taken_away_is_gone_on_open_connections_too(instance):
    c = instance.caller(BILLING).connect(instance.sock())
    assert c.request("/v1/tokens/acme-sap").status == 200
    instance.write_policy(POLICY.format(env="production").replace('[ "acme-*" ]', '[ "initech-*" ]'))
    assert instance.reload()["event"] == "reloaded"
    assert c.request("/v1/tokens/acme-sap").status == 403
    c.close()


def test_a_listener_comes_and_goes_with_the_configuration(instance):
    extra = 'listeners = ( { name = "side"; path = "side.sock"; mode = "0666"; } );'
    policy = POLICY.format(env="production").replace(
        "services = (", 'services = ( { name = "side"; identity = { socket = "side"; uid = %d; }; },' % STRANGER).replace(
        "rules = (", 'rules = ( { allow = "side"; actions = [ "get" ]; connections = [ "globex-erp" ]; },')
    instance.write_conf(extra)
    instance.write_policy(policy)
    assert instance.reload()["event"] == "reloaded"
    assert instance.get("/v1/tokens/globex-erp", uid=STRANGER, sock="side").status == 200
    assert instance.get("/v1/tokens/globex-erp", uid=STRANGER).status == 403
    instance.write_policy(POLICY.format(env="production"))
    instance.write_conf()
    assert instance.reload()["event"] == "reloaded"
    assert not instance.sock("side").exists()


@pytest.mark.parametrize("key, text", [("state_dir", 'state_dir = "{dir}/other";'), ("environment", 'environment = "staging";')])
def test_what_cannot_change_under_a_running_agent_is_refused_and_named(instance, key, text):
    path = instance.conf_dir / "agent.conf"
    lines = [line for line in path.read_text().split("\n") if not line.startswith(key)]
    Instance._place(path, "\n".join(lines) + "\n" + text.format(dir=instance.dir) + "\n")
    if key == "environment":
        instance.write_policy(POLICY.format(env="staging"))
    record = instance.reload()
    assert record["event"] == "reload_refused" and key in record["why"]


def test_an_administrator_is_told_file_line_and_reason(instance):
    instance.write_policy("environment = \"production\";\nservices = ( { nmae = \"x\"; } );\n")
    a = instance.get("/v1/reload", method="POST", uid=0, sock="admin")
    assert a.status == 409 and "policy.conf:2" in a.json()["detail"] and str(instance.dir) not in a.json()["detail"]
    assert instance.get("/v1/reload", method="POST", uid=0, sock="admin", headers={}).status == 409


def test_reloads_under_load_lose_no_request(instance):
    stop, bad = threading.Event(), []

    def load():
        caller = Caller(BILLING)
        while not stop.is_set():
            try:
                status = caller.get(instance.sock(), "/v1/tokens/acme-sap").status
            except Exception as e:
                status = repr(e)
            if status != 200:
                bad.append(status)
        caller.close()

    threads = [threading.Thread(target=load) for _ in range(3)]
    for t in threads:
        t.start()
    for _ in range(20):
        assert instance.reload()["event"] == "reloaded"
    stop.set()
    for t in threads:
        t.join()
    assert bad == []


def test_a_changed_store_gets_a_fresh_fetcher_and_the_broker_stays(instance):
    pids = instance.pids()
    instance.write_conf(backend='timeout = "3s";')
    assert instance.reload()["event"] == "reloaded"
    assert instance.token("acme-sap").status == 200
    now = instance.pids()
    assert now["broker"] == pids["broker"] and now["fetcher"] != pids["fetcher"]
    wait_for("the old fetcher drained", lambda: not os.path.exists(f"/proc/{pids['fetcher']}"), 2.0)
