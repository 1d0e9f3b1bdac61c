# SPDX-License-Identifier: Apache-2.0
"""Two instances on one host, and a caller of the development one who wants a token of
production: by path, header, name, body, symlink. And what a denial tells: nothing."""

import json
import os
import re
import socket
import statistics
import time

import pytest

from lib.instance import BILLING, POLICY, SECTEAM, STRANGER, SYNC, Instance
from lib.timing import distribution, times
from lib.waiting import wait_for

pytestmark = pytest.mark.root
OTHER = 61051  # the user of the development instance
DEVELOPER = 61052
SECRET = b"tok-of-production"
PROD = POLICY.format(env="production").replace("rules = (", """rules = (
  { allow = "sync"; actions = [ "get" ]; tags = { system = "sap"; }; },""")
DEV = POLICY.format(env="development").replace(f"uid = {BILLING}", f"uid = {DEVELOPER}")


@pytest.fixture(scope="module")
def two():
    with Instance(policy=PROD) as prod, Instance(env="development", uid=OTHER, policy=DEV) as dev:
        prod.write_conf(backend="trust_tags = true;")
        for name in ("acme-sap", "acme-only-here", "acme-payroll", "globex-erp"):
            prod.put(name, SECRET + b"-" + name.encode())
        dev.put("acme-sap", b"tok-of-development")
        dev.put("acme-payroll", b"tok-of-development-2")
        prod.start()
        dev.start()
        yield prod, dev


def raw(instance, uid, request, sock="api"):
    """All that is answered, as it comes."""
    c = instance.caller(uid).connect(instance.sock(sock))
    try:
        c.send(request)
        c.sock.shutdown(socket.SHUT_WR)
        data = b""
        while piece := c.sock.recv(65536):
            data += piece
        return data
    except ConnectionResetError:
        return data
    finally:
        c.close()


def ask(target, *headers, method="GET", body=b""):
    lines = [f"{method} {target} HTTP/1.1", "Host: agent", *headers] + ([f"Content-Length: {len(body)}"] if body else [])
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def timeless(answer):
    return re.sub(rb"\r\nDate: [^\r]*", b"", answer)


# -- no way across


def test_each_caller_has_its_own_environments_token_and_nothing_in_the_other(two):
    """The control of all that follows: both are there, under the same name."""
    prod, dev = two
    assert prod.token("acme-sap", uid=BILLING).json()["access_token"].encode().startswith(SECRET)
    assert dev.token("acme-sap", uid=DEVELOPER).json()["access_token"] == "tok-of-development"
    assert prod.token("acme-sap", uid=DEVELOPER).status == 403 and dev.token("acme-sap", uid=BILLING).status == 403


WAYS = {
    "query": ask("/v1/tokens/acme-only-here?environment=production"),
    "query, short": ask("/v1/tokens/acme-only-here?env=production"),
    "header": ask("/v1/tokens/acme-only-here", "X-Makini-Environment: production", "Environment: production", "X-Env: production"),
    "host": b"GET /v1/tokens/acme-only-here HTTP/1.1\r\nHost: production\r\n\r\n",
    "forwarded": ask("/v1/tokens/acme-only-here", "X-Forwarded-Host: production"),
    "absolute target": ask("http://production/v1/tokens/acme-only-here"),
    "path before": ask("/production/v1/tokens/acme-only-here"),
    "path between": ask("/v1/production/tokens/acme-only-here"),
    "path behind": ask("/v1/tokens/production/acme-only-here"),
    "path up": ask("/v1/tokens/../../production/v1/tokens/acme-only-here"),
    "path up, coded": ask("/v1/tokens/%2e%2e%2f%2e%2e%2fproduction%2facme-only-here"),
    "name": ask("/v1/tokens/production--acme-only-here"),
    "name with a colon": ask("/v1/tokens/production:acme-only-here"),
    "name as it is": ask("/v1/tokens/acme-only-here"),
    "list behind a name": ask("/v1/tokens?after=acme-a&tag=environment=production"),
    "body": ask("/v1/tokens/acme-only-here", "Content-Type: application/json", method="POST", body=b'{"environment":"production"}'),
    "body of a get": ask("/v1/tokens/acme-only-here", body=b'{"environment":"production"}'),
    "entity tag of production's": None,
    "bearer": ask("/v1/tokens/acme-only-here", "Authorization: Bearer production"),
    "cookie": ask("/v1/tokens/acme-only-here", "Cookie: environment=production"),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_that_a_development_caller_says_brings_a_production_token(two, way):
    prod, dev = two
    request = WAYS[way] or ask("/v1/tokens/acme-sap", f"If-None-Match: {prod.token('acme-sap', uid=BILLING).headers['ETag']}")
    there = raw(dev, DEVELOPER, request)
    assert there.startswith(b"HTTP/1.") and SECRET not in there and b'"environment":"production"' not in there and b"only-here" not in there
    if way == "entity tag of production's":
        assert b"tok-of-development" in there  # it is no tag of this environment: the whole answer, and this one's
    here = raw(prod, DEVELOPER, request)  # and at production's own door this uid is nobody
    assert b" 403 " in here.split(b"\r\n")[0] or b" 400 " in here.split(b"\r\n")[0] or b" 40" in here.split(b"\r\n")[0]
    assert SECRET not in here


def test_the_name_as_it_is_would_be_served_to_who_may(two):
    assert SECRET in raw(two[0], BILLING, WAYS["name as it is"])


def test_a_symlink_from_development_to_productions_sockets_brings_nothing(two):
    """The development caller may not make one there (the outer barrier); with that removed, identity still refuses."""
    prod, dev = two
    place = dev.run / "link"
    with pytest.raises(PermissionError):
        as_user(DEVELOPER, lambda: place.symlink_to(prod.run))
    dev.run.chmod(0o777)
    try:
        as_user(DEVELOPER, lambda: place.symlink_to(prod.run))
        for name in ("api", "admin"):
            if name == "admin":
                prod.sock("admin").chmod(0o666)
            answer = dev.caller(DEVELOPER).get(place / f"{name}.sock", "/v1/tokens/acme-sap" if name == "api" else "/v1/status")
            assert answer.status == 403 and SECRET not in answer.body
        assert SECRET in prod.caller(BILLING).get(place / "api.sock", "/v1/tokens/acme-sap").body  # the control: the link leads there
    finally:
        prod.sock("admin").chmod(0o600)
        place.unlink(missing_ok=True)
        dev.run.chmod(0o711)


def as_user(uid, what):
    """Does it in a process of this user; an OSError there is one here."""
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            what()
            code = 0
        except OSError as e:
            code = e.errno
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code:
        raise OSError(code, os.strerror(code))


def test_the_development_agent_itself_cannot_reach_what_is_productions(two):
    """Its user may not read production's store, key, audit log or state; production's may. Its uid is nobody at production's door."""
    prod, dev = two

    def readable(uid, path):
        try:
            as_user(uid, lambda: path.read_bytes())
            return True
        except PermissionError:
            return False
    for path in (prod.store, prod.key_file, prod.audit_log, prod.state / "state.db"):
        assert path.exists() and readable(prod.uid, path) and not readable(dev.uid, path), path
    assert prod.token("acme-sap", uid=dev.uid).status == 403


def test_productions_store_in_developments_place_is_of_no_use_without_its_key(two):
    """With the outer barrier removed: the file is copied, and readable. Its records are sealed to a key that is not there."""
    prod, _ = two
    with Instance(env="development", uid=OTHER, policy=DEV) as thief:
        thief.put("acme-sap", b"tok-of-development")
        thief.start()
        assert thief.token("acme-sap", uid=DEVELOPER).status == 200  # the control
        Instance._place(thief.state / "stolen", "", 0o600, OTHER)
        beside = thief.store.with_suffix(".new")
        beside.write_bytes(prod.store.read_bytes())
        os.chown(beside, OTHER, OTHER)
        beside.chmod(0o600)
        beside.rename(thief.store)
        answer = thief.token("acme-only-here", uid=DEVELOPER)
        assert answer.status in (502, 503) and SECRET not in answer.body
        assert SECRET not in thief.log_text().encode() + thief.audit_log.read_bytes()


# -- what a denial tells


EXISTS, MISSING = "globex-erp", "globex-xyz"  # of one length: a request's size is no answer's


@pytest.mark.parametrize("uid", [BILLING, STRANGER, SYNC])
@pytest.mark.parametrize("headers", [(), ("Accept: text/plain",), ("If-None-Match: *",), ("Connection: close",)])
def test_a_denial_is_the_same_bytes_whether_the_name_exists_or_not(two, uid, headers):
    prod, _ = two
    answers = {timeless(raw(prod, uid, ask(f"/v1/tokens/{name}", *headers))) for name in (EXISTS, MISSING, EXISTS, MISSING)}
    assert len(answers) == 1 and answers.pop().startswith(b"HTTP/1.1 403 ")
    assert SECRET in raw(prod, BILLING, ask("/v1/tokens/acme-sap"))  # the control: headers and bodies are seen


def test_a_denial_is_the_same_bytes_in_both_environments_and_for_the_others_names(two):
    """A name of production's, one of no environment: the same answer in development; but for a name that a rule covers, which is 404 there."""
    prod, dev = two
    answers = [timeless(raw(dev, uid, ask(f"/v1/tokens/{name}"))) for uid in (DEVELOPER, STRANGER) for name in (EXISTS, MISSING)]
    answers += [timeless(raw(prod, DEVELOPER, ask(f"/v1/tokens/{name}"))) for name in ("acme-only-here", "acme-nowhere", EXISTS)]
    assert len(set(answers)) == 1
    covered = [timeless(raw(dev, DEVELOPER, ask(f"/v1/tokens/{name}"))) for name in ("acme-only-here", "acme-nowhere-at")]
    assert covered[0] == covered[1] and covered[0].startswith(b"HTTP/1.1 404 ")


def test_both_denials_are_on_record_alike(two):
    prod, _ = two
    time.sleep(2.1)  # denials of one second are one record: those of other tests are written by now
    seen = len(prod.audit("deny"))
    for name in (EXISTS, MISSING):
        assert prod.token(name).status == 403
        time.sleep(1.1)
    wait_for("both records", lambda: len(prod.audit("deny")) >= seen + 2, 2.0)
    last = prod.audit("deny")[seen:]
    assert [r["connection"] for r in last] == [EXISTS, MISSING]
    without = [{k: v for k, v in r.items() if k not in ("seq", "time", "mono", "mac", "connection")} for r in last]
    assert without[0] == without[1]


def told(taken):
    return "median %.1f, p10 %.1f, p90 %.1f, p99 %.1f" % distribution(taken)


@pytest.mark.parametrize("uid, who", [(BILLING, "with rules by name"), (STRANGER, "nobody")])
def test_the_time_of_a_denial_does_not_tell_whether_the_name_exists(two, uid, who):
    """Both are compared and printed; only a gross difference fails, as machines are shared. The control: a difference there is can be seen."""
    prod, _ = two
    connection = prod.caller(uid).connect(prod.sock())
    times(connection, [EXISTS, MISSING], 200)
    taken = times(connection, [EXISTS, MISSING], 3000)
    connection.close()
    a, b = (statistics.median(taken[n]) for n in (EXISTS, MISSING))
    noise = abs(statistics.median(taken[EXISTS][::2]) - statistics.median(taken[EXISTS][1::2]))
    print(f"figure: a denial, {who}, in us: exists {told(taken[EXISTS])}; missing {told(taken[MISSING])}; "
          f"difference of medians {a - b:+.1f}, of one name's halves {noise:.1f}")
    assert max(a, b) < 10 * min(a, b)


def test_with_a_rule_by_tag_the_first_denial_of_a_name_may_take_a_fetch():
    """What is known to remain: whose rule goes by tags is decided only when the store has told the tags, so the first denial of a
    name that exists takes longer than that of one that does not. Printed; with the tags known both are the same."""
    policy = POLICY.format(env="production").replace("rules = (", """rules = (
      { allow = "sync"; actions = [ "get" ]; tags = { system = "sap"; }; },""")
    with Instance(policy=policy) as i:
        i.write_conf("refresh = { prefetch = false; };", backend="trust_tags = true;")
        i.put("acme-sap", b"tok-sap", tags={"system": "sap"})
        for n in range(100):
            i.put(f"initech-{n:03}", b"tok-%d" % n)
        i.start()
        assert i.token("acme-sap", uid=SYNC).status == 200  # the control: the rule is one
        connection = i.caller(SYNC).connect(i.sock())
        first, later = {}, {}
        for kind, base in (("exists", 0), ("missing", 500)):
            names = [f"initech-{base + n:03}" for n in range(100)]
            first[kind] = statistics.median(t for name in names for t in times(connection, [name], 1)[name])
        for kind, name in (("exists", "initech-001"), ("missing", "initech-501")):
            later[kind] = statistics.median(times(connection, [name], 1000)[name])
        connection.close()
    print("figure: a denial with a rule by tag, medians in us:", ", ".join(f"{k}: first {first[k]:.1f}, later {later[k]:.1f}" for k in first))
    assert max(later.values()) < 10 * min(later.values())


def test_the_command_line_takes_no_environment_for_a_request(two):
    """--env chooses a socket; what answers there is one environment, and says which."""
    prod, dev = two
    for uid, i in ((BILLING, prod), (DEVELOPER, dev)):
        done = i.ctl("--socket", i.sock(), "whoami", "--json", user=uid)
        assert json.loads(done.stdout)["environment"] == i.env
    assert prod.get("/v1/status", uid=SECTEAM, sock="admin").json()["environment"] == "production"
