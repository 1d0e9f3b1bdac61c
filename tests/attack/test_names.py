# SPDX-License-Identifier: Apache-2.0
"""What a caller writes: names that look like others, that lead elsewhere, that a log or a
terminal would act on. And where secrets must not stand: command lines, environments, pages."""

import json
import re
import socket
import subprocess
import time
import urllib.request

import pytest

from lib.instance import BILLING, SECTEAM, STRANGER, Instance
from lib.memscan import encodings
from lib.ports import free_port
from lib.waiting import wait_for

pytestmark = pytest.mark.root
TOKEN = b"tok-4f1c2d9e8b7a6055"
NAMES = {
    "up": "../acme-sap", "slash": "acme/sap", "dot": ".", "dots": "..", "empty": "", "64 letters": "a" * 64, "300 letters": "a" * 300,
    "upper twin": "ACME-sap", "one upper": "acme-Sap", "Cyrillic a": "\u0430cme-sap", "zero width": "acme-\u200bsap", "override": "\u202eacme-sap",
    "composed": "acme-s\u00e4p", "decomposed": "acme-sa\u0308p", "fullwidth": "acme\uff0dsap", "blank behind": "acme-sap%20", "tab": "acme-sap%09",
    "NUL": "acme-sap%00", "NUL and more": "acme-sap%00payroll", "coded letter": "%61cme-sap", "coded twice": "%2561cme-sap", "overlong": "acme%c0%adsap",
    "semicolon": "acme-sap;x", "dot behind": "acme-sap.", "two hyphens": "acme--sap", "hyphen first": "-acme-sap", "star": "acme-*", "comma": "acme-sap,acme-crm",
    "backslash": "acme\\sap", "quote": "acme\"sap", "percent": "acme%", "underscore": "acme_sap", "slash behind": "acme-sap/", "number sign": "acme-sap%23",
}
NASTY = {
    "line ends": b"acme\r\n{\"event\":\"grant\"}", "coded line ends": b"acme%0d%0a{\"event\":\"grant\"}", "escape": b"acme\x1b[2J\x1b]0;owned\x07",
    "formats": b"%n%s%x%p%n", "bytes": bytes(range(128, 256)), "quotes": b"\"},{\"event\":\"grant\",\"x\":\"", "long": b"A" * 1_000_000,
    "UTF-8 separators": "acme\u2028grant\u0085x".encode(), "bidirectional": "acme\u202egrant".encode(), "backspaces": b"acme\x08\x08\x08\x08grant",
}


@pytest.fixture(scope="module")
def instance():
    port = free_port()
    with Instance() as i:
        i.write_conf(reporter=f'listen = "127.0.0.1:{port}";')
        i.put("acme-sap", {"access_token": TOKEN.decode(), "note": "private-note"})
        i.put("acme-payroll", b"tok-payroll")
        i.put("globex-erp", b"tok-globex")
        i.start()
        i.reporter = f"http://127.0.0.1:{port}"
        assert i.token("acme-sap").json()["access_token"] == TOKEN.decode()  # the control: one of all these names is right
        yield i


def raw(instance, uid, data):
    c = instance.caller(uid).connect(instance.sock())
    got = b""
    try:
        try:
            c.send(data)
            c.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before all of it was read
        while piece := c.sock.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    finally:
        c.close()
    return got


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_only_looks_like_one_is_refused_and_never_made_one(instance, name):
    answer = raw(instance, BILLING, b"GET /v1/tokens/" + NAMES[name].encode() + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert re.match(rb"HTTP/1\.1 40[0-9] ", answer), answer[:100]
    assert TOKEN not in answer and b"tok-" not in answer


def test_what_is_no_name_stands_in_no_record_as_it_was_written(instance):
    instance.get("/v1/tokens/ACME-unspoken", uid=STRANGER)
    instance.get("/v1/tokens/acme-recorded", uid=STRANGER)
    time.sleep(2.1)
    instance.get("/v1/tokens/acme-recorded-too", uid=STRANGER)
    wait_for("its record", lambda: "acme-recorded-too" in instance.audit_log.read_text(), 2.0)
    text = instance.audit_log.read_text()
    assert "ACME" not in text and "unspoken" not in text


@pytest.mark.parametrize("uid, name", [(BILLING, "globex-erp"), (BILLING, "globex-unknown"), (BILLING, "acme-payroll"), (STRANGER, "acme-sap")])
def test_a_name_that_is_unknown_and_one_that_is_forbidden_are_both_on_record(instance, uid, name):
    time.sleep(2.1)  # what was denied to it before is written: the first of a second has a record of its own
    seen = len(instance.audit("deny"))
    assert instance.token(name, uid=uid).status == 403

    def records():
        return [r for r in instance.audit("deny")[seen:] if (r.get("connection"), r["uid"], r["reason"]) == (name, uid, "denied")]
    wait_for("its record", records, 2.0)
    record = records()[0]
    assert record["service"] == ("billing" if uid == BILLING else None)


# -- what is written into logs


def whole(text):
    """The records of a log, each a line by itself, and nothing that a terminal would act on. The last one may be half written."""
    text = text[:text.rfind("\n") + 1]
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", text)
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("what", NASTY)
@pytest.mark.parametrize("where", ["name", "query", "header", "method", "user agent"])
def test_nothing_of_a_caller_makes_a_line_or_an_escape_in_a_log(instance, what, where):
    text = NASTY[what]
    head = {"name": b"GET /v1/tokens/%b HTTP/1.1\r\nHost: a\r\n\r\n", "query": b"GET /v1/tokens/acme-sap?wait=%b HTTP/1.1\r\nHost: a\r\n\r\n",
            "header": b"GET /v1/tokens/acme-sap HTTP/1.1\r\nHost: a\r\nX-%b: x\r\n\r\n", "method": b"%b /v1/tokens/acme-sap HTTP/1.1\r\nHost: a\r\n\r\n",
            "user agent": b"GET /v1/tokens/globex-erp HTTP/1.1\r\nHost: a\r\nUser-Agent: %b\r\n\r\n"}[where].replace(b"%b", text)
    known = {"seq", "event", "env", "mac"}
    raw(instance, STRANGER, head)
    assert instance.get("/v1/health", uid=STRANGER).status == 200
    records = whole(instance.audit_log.read_text(errors="surrogateescape"))
    assert [r["seq"] for r in records] == list(range(1, len(records) + 1)) and all(known <= set(r) for r in records)
    assert not [r for r in records if r["event"] == "grant" and r.get("uid") == STRANGER]
    said = instance.log_text()
    whole(said)
    for piece in (b"owned", b"AAAAAAAA", b"%n", b"%s"):
        assert piece.decode() not in said


def test_the_check_of_lines_would_see_an_escape_and_a_second_line():
    for bad in ('{"a":"\x1b[2J"}\n', '{"a":"\u202e"}\n', '{"a":1}\nx\n'):
        with pytest.raises((AssertionError, json.JSONDecodeError)):
            whole(bad)


def test_the_log_verifies_after_all_that(instance):
    assert b"OK" in instance.verify().stdout


# -- where a secret must not stand


def pages(instance):
    for page in ("/", "/status.json", "/metrics", "/livez", "/readyz", "/incidents.atom"):
        try:
            with urllib.request.urlopen(instance.reporter + page, timeout=30) as answer:
                yield page, answer.read()
        except urllib.error.HTTPError as e:
            yield page, e.read()


def test_no_page_status_version_or_log_tells_a_token_a_key_or_on_tcp_a_name(instance):
    assert instance.token("acme-sap").status == 200
    on_tcp = b"".join(text for _, text in pages(instance))
    assert on_tcp
    for word in (b"acme", b"globex", b"billing", b"private-note"):
        assert word not in on_tcp
    told = on_tcp + instance.get("/v1/status", uid=SECTEAM, sock="admin").body + instance.get("/v1/whoami").body + instance.get("/v1/tokens").body
    told += b"".join(instance.ctl(*words, user=uid).stdout for words, uid in (
        (("--version",), None), (("--help",), None), (("--socket", instance.sock("admin"), "status"), None),
        (("--socket", instance.sock("admin"), "status", "--json"), None), (("--socket", instance.sock(), "whoami"), BILLING),
        (("--socket", instance.sock(), "list"), BILLING)))
    told += subprocess.run([str(instance.build / "bin" / "makini-agent"), "--version"], capture_output=True).stdout
    told += instance.log_text().encode() + instance.audit_log.read_bytes()
    assert b"acme-sap" in told and b"production" in told  # the control: these do tell
    needles = {f"{what}, {k}": v for what, secret in (("token", TOKEN), ("key", instance.key_file.read_bytes().strip()))
               for k, v in encodings(secret).items() if not k.startswith("window")}
    assert [name for name, needle in needles.items() if needle in told] == []
    control = TOKEN + b" " + told
    assert [name for name, needle in needles.items() if needle in control] == ["token, raw"]


def test_a_secret_that_is_offered_as_an_argument_is_not_taken(instance):
    """A command line is for all to read: makinictl knows no option that takes a value of a secret."""
    done = instance.ctl("local", "put", "acme-new", TOKEN.decode(), "--file", instance.store, "--key-file", instance.key_file, user=instance.uid,
                        check=False)
    assert done.returncode == 2 and TOKEN not in done.stdout + done.stderr


def test_errors_to_callers_repeat_nothing_of_theirs_and_nothing_of_ours(instance):
    """Whatever goes wrong: no path of this machine, no word of the store, nothing of the request."""
    instance.put("acme-odd", {"access_token": "a\nb"})
    seen = []
    for target in ("/v1/tokens/acme-odd", "/v1/tokens/acme-none", "/v1/tokens/marker--x", "/v1/marker", "/v1/tokens/acme-sap?marker=1"):
        answer = instance.get(target)
        assert answer.status >= 400
        seen.append(answer.body)
    instance.rm("acme-odd")
    text = b"".join(seen)
    assert b"marker" not in text and str(instance.dir).encode() not in text and b"/" + b"local.mks" not in text and b"access_token" not in text
    assert wait_for("health", lambda: instance.get("/v1/health").status == 200, 2.0) is not None
