# SPDX-License-Identifier: Apache-2.0
"""No token in any process's memory at rest: whole, encoded, or any 8 bytes of it."""

import base64
import os
import re
import secrets
import subprocess
import time

import pytest

from lib.instance import BILLING, SECTEAM, STRANGER, Instance
from lib.memscan import encodings, scan
from lib.waiting import settled, wait_for
from servers.openbao import OpenBao

pytestmark = pytest.mark.root


def new_token():
    return secrets.token_hex(24).encode()  # 48 characters


def at_rest(instance):
    """Until it has asked its store for nothing for a while: neither ahead of a token's end nor after a reload."""
    settled(lambda: instance.get("/v1/status", uid=SECTEAM, sock="admin").json()["stores"][0]["calls"], quiet=2.0)


@pytest.fixture(scope="module")
def scene():
    """An instance that has done everything that touches a token, then came to rest."""
    tokens = [new_token(), new_token()]
    with Instance() as i:
        i.put("acme-sap", {"access_token": tokens[0].decode(), "note": "plain"})
        i.start()
        i.put("acme-crm", tokens[1])
        assert i.token("acme-sap").json()["access_token"].encode() == tokens[0]
        c = i.caller(BILLING).connect(i.sock())
        for _ in range(1000):
            assert c.request("/v1/tokens/acme-sap").status == 200
            assert c.request("/v1/tokens/acme-crm", headers={"Accept": "text/plain"}).body == tokens[1]
        for target in ("/v1/tokens/acme-none", "/v1/tokens/acme-payroll", "/v1/tokens/AC%00", "/v1/tokens/acme-sap?x=1"):
            assert c.request(target).status >= 400
            c.close()
            c = i.caller(BILLING).connect(i.sock())
        assert i.token("acme-sap", uid=STRANGER).status == 403
        i.put("acme-odd", {"access_token": "a\nb" + tokens[0].decode()})  # an error on the way through fetcher and broker
        assert i.token("acme-odd").status == 502
        cut = i.caller(BILLING).connect(i.sock())  # asks and leaves
        cut.send(b"GET /v1/tokens/acme-sap HTTP/1.1\r\nHost: a\r\n\r\n" * 50)
        cut.close()
        assert i.reload()["event"] == "reloaded"
        assert c.request("/v1/tokens/acme-sap").status == 200
        c.close()
        at_rest(i)
        yield i, tokens


@pytest.mark.parametrize("role", ["supervisor", "broker", "fetcher"])
@pytest.mark.parametrize("which", [0, 1])
def test_no_process_holds_a_token_at_rest(scene, role, which):
    instance, tokens = scene
    hits, seen = scan(instance.pids()[role], encodings(tokens[which]))
    assert seen > 1 << 20
    assert [(name, m.name or hex(m.start), m.perms) for name, m in hits] == []


@pytest.mark.parametrize("role", ["supervisor", "broker", "fetcher"])
def test_the_scan_is_not_blind(scene, role):
    """The name of the environment lies in each of them, in the clear."""
    instance, _ = scene
    hits, _ = scan(instance.pids()[role], {"control": b"production"})
    assert hits


def found_in_a_process_that_holds(values, needles):
    """The names of the needles that a scan finds in a process with these values in its memory."""
    script = "import sys,time; x=[bytes.fromhex(h) for h in sys.stdin.read().split()]; print('up', flush=True); time.sleep(60)"
    with subprocess.Popen(["/usr/bin/python3", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as victim:
        victim.stdin.write(" ".join(v.hex() for v in values).encode())
        victim.stdin.close()
        victim.stdout.readline()
        hits, _ = scan(victim.pid, needles)
        victim.kill()
    return {name for name, _ in hits}


def test_the_scan_finds_a_planted_token_in_every_form():
    forms = encodings(new_token())
    whole = [v for k, v in forms.items() if not k.startswith("window")]
    assert found_in_a_process_that_holds(whole, forms) == set(forms)


def test_the_store_key_lies_in_the_fetchers_locked_memory_only(scene):
    instance, _ = scene
    text = instance.key_file.read_bytes().strip()
    key = base64.b64decode(text)
    needles = {"raw": key, "base64": text, **{f"w{i}": key[i:i + 8] for i in range(len(key) - 7)}}
    assert found_in_a_process_that_holds([key, text], needles) == set(needles)  # a control: it is found where it lies
    hits = {role: scan(pid, needles)[0] for role, pid in instance.pids().items()}
    assert {n for n, m in hits["fetcher"] if m.locked} == set(needles) - {"base64"}  # another: it does lie there
    for role, found in hits.items():
        assert [(n, hex(m.start), m.name) for n, m in found if role != "fetcher" or not m.locked] == [], role


def test_no_process_has_the_token_in_its_command_line_environment_or_log(scene):
    instance, tokens = scene
    for pid in instance.pids().values():
        for what in ("cmdline", "environ"):
            data = open(f"/proc/{pid}/{what}", "rb").read()
            assert not any(t in data for t in tokens)
            if what == "environ" and pid != instance.supervisor():
                assert not re.search(rb"[A-Z_]*(TOKEN|SECRET|KEY)[A-Z_]*=", data)
    everything = instance.log_text().encode() + instance.audit_log.read_bytes()
    assert not any(needle in everything for t in tokens for name, needle in encodings(t).items() if not name.startswith("window"))


def test_a_crash_leaves_no_core(scene):
    instance, _ = scene
    for role, pid in instance.pids().items():
        limits = open(f"/proc/{pid}/limits").read()
        assert re.search(r"Max core file size\s+0\s+0", limits), role
        status = open(f"/proc/{pid}/status").read()
        assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status, role
        assert re.search(r"CapEff:\t0+\n", status) and re.search(r"CapPrm:\t0+\n", status), role
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0, role  # not dumpable: the kernel gives /proc/PID to root


# -- a store on the network, by TLS


@pytest.fixture(scope="module")
def far():
    """The same with a real OpenBao: gets, misses and errors, then rest; its connection is still open."""
    token = new_token()

    def store(i):
        return (f'{{ name = "bao"; type = "vault"; address = "{bao.address}"; mount = "secret"; path = "makini/{{connection}}"; '
                f'ca_file = "{i.public("ca.pem", bao.ca.read_text())}"; '
                f'auth = {{ method = "token"; token_file = "{i.credential("token", credential)}"; }}; }}')

    with OpenBao(tls=True) as bao:
        bao.policy()
        credential = bao.token()
        bao.put("makini/acme-sap", access_token=token.decode(), note="plain")
        bao.put("makini/acme-odd", access_token="a\nb" + token.decode())
        with Instance(backend=store, conf='refresh = { ttl = "1s"; jitter = "0%"; serve_stale = "0s"; };') as i:
            i.start()
            wait_for("the first token", lambda: i.token("acme-sap").status == 200, 5)
            for _ in range(5):
                for name, status in (("acme-sap", 200), ("acme-odd", 502), ("acme-none", 404)):
                    wait_for(name, lambda: i.token(name).status == status, 2)
                time.sleep(0.5)
            assert i.reload()["event"] == "reloaded"
            wait_for("the token again", lambda: i.token("acme-sap").json().get("access_token", "").encode() == token, 5)
            at_rest(i)
            yield i, token, credential.encode()


@pytest.mark.parametrize("role", ["supervisor", "broker", "fetcher"])
def test_no_process_holds_a_token_that_came_by_tls(far, role):
    instance, token, _ = far
    hits, _ = scan(instance.pids()[role], encodings(token))
    assert [(name, m.name or hex(m.start), m.perms) for name, m in hits] == []


def test_the_credential_of_a_store_lies_in_the_fetchers_locked_memory_only(far):
    instance, _, credential = far
    for role, pid in instance.pids().items():
        hits, _ = scan(pid, {"control": b"production", **encodings(credential)})
        assert "control" in {name for name, _ in hits}, role
        assert [(name, m.name or hex(m.start)) for name, m in hits if name != "control" and (role != "fetcher" or not m.locked)] == [], role


def test_what_the_fetcher_may_show_of_its_store_is_found(far):
    """The scan sees the memory in which requests are made: the path at the store lies there in the clear."""
    hits, _ = scan(far[0].pids()["fetcher"], {"path": b"makini/{connection}"})
    assert [m for _, m in hits if not m.locked]


def test_neither_is_in_a_command_line_environment_or_log(far):
    instance, token, credential = far
    everything = instance.log_text().encode() + instance.audit_log.read_bytes()
    for pid in instance.pids().values():
        everything += b"".join(open(f"/proc/{pid}/{what}", "rb").read() for what in ("cmdline", "environ"))
    assert b"production" in everything
    for secret in (token, credential):
        assert not any(needle in everything for name, needle in encodings(secret).items() if not name.startswith("window"))
