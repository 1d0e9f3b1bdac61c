# SPDX-License-Identifier: Apache-2.0
"""Two environments on one host share nothing, and where they do, it is told: by their
configurations, by the tokens they hold, by the tags of their stores."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest

from lib.instance import AGENT, BILLING, POLICY, SECTEAM, Instance
from lib.systemd import Systemd, available
from lib.waiting import wait_for

pytestmark = pytest.mark.root
OTHER = AGENT + 50
MORE = POLICY.replace('actions = [ "status", "reload" ]', 'actions = [ "status", "reload", "fingerprint" ]')


@pytest.fixture()
def two():
    with Instance(policy=MORE.format(env="production")) as prod, Instance(env="development", uid=OTHER, policy=MORE.format(env="development")) as dev:
        yield prod, dev


def check(*instances, edit=None):
    files = [str(i.conf_dir / "agent.conf") for i in instances]
    return instances[0].ctl("config", "check", *files, check=False)


def test_what_cannot_be_read_is_said_not_to_be_compared(two):
    prod, dev = two
    done = prod.ctl("config", "check", *[str(i.conf_dir / "agent.conf") for i in two], check=False, user=BILLING)
    assert done.stderr.count(b"cannot be read by this user") == 2, done.stderr
    assert b"cannot be read" not in check(*two).stderr


def test_an_instance_is_not_compared_with_itself(two):
    assert separation(two[0], two[0]).returncode == 2


def test_two_instances_that_share_nothing_are_apart(two):
    done = check(*two)
    assert done.returncode == 0 and b"2 instances: apart" in done.stdout, done.stderr


def rewrite(instance, old, new):
    path = instance.conf_dir / "agent.conf"
    text = path.read_text()
    assert re.search(old, text)
    Instance._place(path, re.sub(old, new, text))


@pytest.mark.parametrize("what, fragment", [
    ("state", b"the directory"), ("runtime within", b"the directory"), ("log", b"the directory"), ("store", b"the store"), ("key", b"the credential"),
    ("key copied", b"as a copy"), ("state by a link", b"the directory"), ("store by a link", b"the store"), ("key linked", b"by a link"), ("user", b"the user")])
def test_what_two_instances_share_is_named_with_the_remedy(two, what, fragment):
    prod, dev = two
    if what == "state":
        rewrite(dev, r'state_dir = "[^"]*"', f'state_dir = "{prod.state}"')
        rewrite(dev, r'file = "(?:store/)?local.mks"', f'file = "{dev.dir}/elsewhere/local.mks"')
    elif what == "state by a link":
        (dev.dir / "link").symlink_to(prod.audit_dir)
        rewrite(dev, r'file = "[^"]*audit.jsonl"', f'file = "{dev.dir}/link/audit.jsonl"')
    elif what == "store by a link":
        (dev.secrets / "other.mks").hardlink_to(prod.store)
        rewrite(dev, r'file = "[^"]*local.mks"', f'file = "{dev.secrets}/other.mks"')
    elif what == "runtime within":
        rewrite(dev, r'runtime_dir = "[^"]*"', f'runtime_dir = "{prod.run}/inner"')
    elif what == "log":
        rewrite(dev, r'file = "[^"]*audit.jsonl"', f'file = "{prod.audit_dir}/other.jsonl"')
    elif what == "store":
        rewrite(dev, r'file = "[^"]*local.mks"', f'file = "{prod.store}"')
    elif what == "key":
        rewrite(dev, r'key_file = "[^"]*"', f'key_file = "{prod.key_file}"')
    elif what == "key copied":
        dev.key_file.write_bytes(prod.key_file.read_bytes())
    elif what == "key linked":
        dev.key_file.unlink()
        os.link(prod.key_file, dev.key_file)
    elif what == "user":
        os.chown(dev.state, AGENT, AGENT)
    done = check(prod, dev)
    assert done.returncode == 1 and fragment in done.stderr and b"production" in done.stderr and b"development" in done.stderr, done.stderr
    assert prod.key_file.read_bytes().strip() not in done.stderr


VAULT = '{{ name = "v"; type = "vault"; address = "https://127.0.0.1:8200"; mount = "{mount}"; path = "{path}"; auth = {{ method = "token"; token_file = "{token}"; }}; }}'


@pytest.mark.parametrize("ours, theirs, meet", [
    (("kv", "makini/production/{connection}"), ("kv", "makini/development/{connection}"), False),
    (("kv", "makini/{connection}"), ("kv", "makini/{connection}"), True),
    (("kv", "makini/{connection}"), ("kv", "makini/dev-{connection}"), True),
    (("kv", "makini/prod-{connection}"), ("kv", "makini/dev-{connection}"), False),
    (("kv", "makini/{connection}"), ("kv2", "makini/{connection}"), False)])
def test_paths_of_one_store_that_can_meet_are_named(ours, theirs, meet):
    def store(mount, path):
        return lambda i: VAULT.format(mount=mount, path=path, token=i.credential("token", f"s.{i.env}"))
    with Instance(backend=store(*ours)) as prod, Instance(env="development", uid=OTHER, backend=store(*theirs)) as dev:
        done = check(prod, dev)
        assert (done.returncode == 1 and b"the path" in done.stderr) == meet, done.stderr
        assert done.returncode == (1 if meet else 0)


@pytest.mark.parametrize("theirs, meet", [("makini-production", True), ("makini-development", False)])
def test_one_audience_in_two_environments_is_named(two, theirs, meet):
    for i, audience in zip(two, ("makini-production", theirs)):
        i.write_conf(f'platform = "pod"; kubernetes = {{ audience = "{audience}"; issuer = "https://c"; pod_uid_file = "/etc/podinfo/uid"; jwks = {{ }}; }};')
    done = check(*two)
    assert (done.returncode == 1 and b"the audience makini-production" in done.stderr) == meet, done.stderr
    assert done.returncode == (1 if meet else 0)


def separation(*instances):
    return instances[0].ctl("separation", "check", "--sockets", *[str(i.sock("admin")) for i in instances], check=False)


def fetched(i, *names):
    for n in names:
        assert i.get(f"/v1/tokens/{n}").status == 200


def test_a_token_that_two_instances_hold_is_named_and_never_shown(two):
    prod, dev = two
    for i in two:
        i.put("acme-own", f"tok-{i.env}-own".encode())
        i.put("acme-sap", b"tok-one-and-the-same")
    dev.put("acme-other", b"tok-one-and-the-same-2")
    prod.put("acme-crm", b"tok-one-and-the-same-2")
    for i in two:
        i.start()
    fetched(prod, "acme-own", "acme-sap", "acme-crm")
    fetched(dev, "acme-own", "acme-sap", "acme-other")
    done = separation(prod, dev)
    assert done.returncode == 1, done.stderr
    shared = [line for line in done.stdout.decode().splitlines() if line.startswith("SHARED")]
    assert len(shared) == 2 and any("acme-crm" in s and "acme-other" in s for s in shared) and not any("own" in s for s in shared)
    assert b"tok-" not in done.stdout + done.stderr and b"3 held tokens compared" in done.stdout
    for i in two:
        record = i.audit("admin")[-1]
        assert record["action"] == "fingerprint" and "fingerprints" in record["detail"]


def test_instances_without_a_token_in_common_pass(two):
    for i in two:
        i.put("acme-sap", f"tok-{i.env}".encode())
        i.start()
        fetched(i, "acme-sap")
    done = separation(*two)
    assert done.returncode == 0 and done.stdout.count(b"1 held tokens compared") == 2, done.stderr


def test_many_tokens_are_compared_in_pages(two):
    prod, dev = two
    for n in range(220):
        prod.put(f"acme-{n:03}", f"tok-{n}".encode())
    dev.put("acme-333", b"tok-133")
    for i, n in ((prod, 220), (dev, 1)):
        i.start()
        wait_for("the prefetch", lambda: i.get("/v1/status", uid=SECTEAM, sock="admin").json()["tokens"] >= n, 30.0)
    done = separation(prod, dev)
    assert done.returncode == 1 and [line.split()[1] for line in done.stdout.decode().splitlines() if line.startswith("SHARED")] in (["acme-133"], ["acme-333"])


def test_who_may_not_take_fingerprints_gets_none(two):
    prod, dev = two
    for i in two:
        i.write_policy(POLICY.format(env=i.env))
        i.put("acme-sap", b"tok-same")
        i.start()
        fetched(i, "acme-sap")
    done = separation(prod, dev)
    assert done.returncode == 3 and b"SHARED" not in done.stdout


def test_fingerprints_under_one_key_say_nothing_under_another(two):
    prod = two[0]
    prod.put("acme-sap", b"tok-same")
    prod.start()
    fetched(prod, "acme-sap")

    def take(key):
        r = prod.get("/v1/fingerprints", uid=SECTEAM, sock="admin", method="POST", body=b'{"key":"%s"}' % key)
        return r.status, r.json().get("fingerprints")
    a, b, again = take(b"A" * 43 + b"="), take(b"B" * 42 + b"A="), take(b"A" * 43 + b"=")
    assert a[0] == 200 and a == again and a[1][0]["fingerprint"] != b[1][0]["fingerprint"]
    assert take(b"AAAA")[0] == 400


@pytest.mark.parametrize("tag, require, status", [
    (None, "", 200), ("production", "", 200), ("development", "", 502), ("Production", "", 502),
    (None, "require_tag = true;", 502), ("production", "require_tag = true;", 200)])
def test_a_secret_tagged_with_another_environment_is_not_served(tag, require, status):
    with Instance() as i:
        i.write_conf(backend=require)
        i.put("acme-sap", b"tok-tagged", tags={"environment": tag} if tag else None)
        i.start()
        r = i.get("/v1/tokens/acme-sap")
        assert r.status == status and (b"tok-tagged" in r.body) == (status == 200)
        alarms = [r for r in i.audit("alarm") if r["reason"] == "environment_mismatch"]
        assert bool(alarms) == (status != 200)


def test_require_tag_holds_from_the_reload_on_also_for_what_is_held():
    with Instance() as i:
        i.put("acme-sap", b"tok-tagged")
        i.start()
        fetched(i, "acme-sap")
        i.write_conf(backend="require_tag = true;")
        assert i.reload()["event"] == "reloaded"
        shutil.move(i.store, i.dir / "away")
        assert i.get("/v1/tokens/acme-sap").status == 502
        assert b"tok-" not in i.get("/v1/tokens/acme-sap").body


def alarmed(i):
    return {(a["code"], a["subject"]) for a in i.get("/v1/status", uid=SECTEAM, sock="admin").json()["alarms"]}


def test_one_value_under_two_names_is_an_alarm_and_neithers_to_have():
    with Instance() as i:
        i.put("acme-sap", b"tok-the-same")
        i.put("acme-crm", b"tok-its-own")
        i.start()
        assert i.get("/v1/tokens/acme-sap").status == 200 and i.get("/v1/tokens/acme-crm").status == 200
        i.put("acme-crm", b"tok-the-same")
        wait_for("the refusal", lambda: i.get("/v1/tokens/acme-crm").status == 502, 2.0)
        both = [i.get(f"/v1/tokens/{n}") for n in ("acme-sap", "acme-crm")]
        assert {r.status for r in both} == {502} and not any(b"tok-" in r.body for r in both)
        assert alarmed(i) == {("one_value_two_names", "acme-sap"), ("one_value_two_names", "acme-crm")}
        assert {r["connection"] for r in i.audit("alarm") if r["reason"] == "one_value_two_names"} & {"acme-sap", "acme-crm"}
        i.put("acme-crm", b"tok-another")
        assert i.get("/v1/tokens/acme-crm").status == 200
        assert i.get("/v1/tokens/acme-crm?version=previous").status == 502, "the value that it had meanwhile is still another's"
        assert i.get("/v1/tokens/acme-sap").status == 502, "as long as it is held under the other name as the previous one"
        i.put("acme-crm", b"tok-a-third")
        assert i.get("/v1/tokens/acme-crm").status == 200 and i.get("/v1/tokens/acme-sap").status == 200
        assert alarmed(i) == set(), "the alarm of each name ends, whichever was put right"


def test_what_the_store_no_longer_has_raises_no_alarm():
    with Instance() as i:
        i.put("acme-sap", b"tok-the-same")
        i.put("acme-crm", b"tok-the-same")
        i.put("acme-hr", b"tok-hr", tags={"environment": "development"})
        i.start()
        wait_for("the alarms", lambda: alarmed(i) == {("one_value_two_names", "acme-sap"), ("one_value_two_names", "acme-crm"), ("environment_mismatch", "acme-hr")}, 3.0)
        i.rm("acme-crm")
        i.rm("acme-hr")
        assert i.get("/v1/tokens/acme-crm").status == 404 and i.get("/v1/tokens/acme-hr").status == 404
        assert alarmed(i) == set() and i.get("/v1/tokens/acme-sap").status == 200


def test_a_tag_put_on_a_secret_counts_for_its_previous_version_too():
    with Instance() as i:
        i.put("acme-sap", b"tok-one")
        i.start()
        fetched(i, "acme-sap")
        i.put("acme-sap", b"tok-two")
        assert i.get("/v1/tokens/acme-sap").status == 200
        i.put("acme-sap", b"tok-three", tags={"environment": "development"})
        assert i.get("/v1/tokens/acme-sap").status == 502
        assert i.get("/v1/tokens/acme-sap?version=previous").status == 502


def test_the_same_value_put_again_under_its_own_name_is_no_alarm():
    with Instance() as i:
        i.put("acme-sap", b"tok-a")
        i.start()
        for _ in range(3):
            i.put("acme-sap", b"tok-a")
            assert i.get("/v1/tokens/acme-sap").status == 200
        assert i.get("/v1/tokens/acme-sap?version=previous").status == 200
        assert not i.audit("alarm")


def test_an_instance_that_does_not_run_is_not_asked(two):
    """Only its directory is there, as tmpfiles make it: the two that run are compared."""
    prod, dev = two
    for i in two:
        i.put("acme-sap", f"tok-{i.env}".encode())
        i.start()
        fetched(i, "acme-sap")
    links = "; ".join(f"mkdir -p /run/makini/{i.env} && ln -s {i.sock('admin')} /run/makini/{i.env}/admin.sock" for i in two)
    inside = f"mount -t tmpfs tmpfs /run && mkdir -p /run/makini/staging && {links}; exec {prod.build}/bin/makinictl separation check"
    done = subprocess.run(["unshare", "--mount", "sh", "-c", inside], capture_output=True, timeout=30)
    assert done.returncode == 0 and done.stdout.count(b"1 held tokens compared") == 2, done.stderr
    assert b"staging" not in done.stdout + done.stderr


SEPARATION_DROP_IN = """
[Unit]
DefaultDependencies=no
[Service]
PrivateTmp=no
StandardOutput=append:{dir}/told
StandardError=append:{dir}/told
ExecStart=
ExecStart={ctl} separation check --sockets {prod} {dev}
ExecStopPost=/bin/sh -c 'echo "code $EXIT_STATUS" >> {dir}/told'
"""


@pytest.mark.skipif(not available(), reason="no systemd can run in a namespace here")
def test_the_unit_that_checks_each_day_reaches_the_admin_sockets(two, tmp_path):
    """Under systemd, with all directives of its unit: sockets of mode 0600 that are not root's."""
    prod, dev = two
    for i in two:
        i.put("acme-sap", b"tok-one-and-the-same")
        i.start()
        fetched(i, "acme-sap")
        assert i.sock("admin").stat().st_uid == i.uid != 0 and i.sock("admin").stat().st_mode & 0o777 == 0o600
    unit = pathlib.Path(__file__).resolve().parents[2].joinpath("systemd/makini-separation.service.in").read_text()
    unit = re.sub("(?m)^ExecStart=.*$", "ExecStart=/bin/false", unit)
    told = prod.dir / "told"
    drop_in = SEPARATION_DROP_IN.format(dir=prod.dir, ctl=prod.build / "bin" / "makinictl", prod=prod.sock("admin"), dev=dev.sock("admin"))
    drop_in += f"ReadWritePaths={prod.dir}\n"
    with Systemd({"makini-separation.service": unit}, "makini-separation.service", {"makini-separation.service": drop_in}):
        wait_for("the check", lambda: told.exists() and "code " in told.read_text(), 10.0)
    assert "acme-sap" in told.read_text() and "code 1" in told.read_text(), told.read_text()
