# SPDX-License-Identifier: Apache-2.0
"""revoke --in-store and restore --in-store against real OpenBao servers: what each store says it did, and what its
own client and hvac then see there."""

import json

import hvac
import pytest

from lib.instance import POLICY, SECTEAM, Instance
from lib.waiting import wait_for
from servers.openbao import TOKEN, OpenBao

from .test_vault import REFRESH, served, wait_served

pytestmark = pytest.mark.root

RULES = POLICY.format(env="production").replace('"status", "reload"', '"status", "reload", "revoke", "restore"')
WRITES = """
path "secret/delete/makini/*" { capabilities = ["update"] }
path "secret/undelete/makini/*" { capabilities = ["update"] }"""


def backend(bao, name, token, more=""):
    """One backend's text; token: the file's path."""
    return (f'{{ name = "{name}"; type = "vault"; address = "{bao.address}"; mount = "secret"; path = "makini/{{connection}}"; timeout = "2s"; '
            f'auth = {{ method = "token"; token_file = "{token}"; }}; {more} }}')


def writer(bao):
    """A token that reads, and may disable and enable."""
    bao.policy()
    rules = bao.api("GET", "sys/policies/acl/makini")["data"]["policy"]
    bao.api("PUT", "sys/policies/acl/makini-in-store", {"policy": rules + WRITES})
    return bao.token(policies=("makini-in-store",))


def instance(*stores):
    """stores: (server, name, token, more)."""
    def text(i):
        return ", ".join(backend(bao, name, i.credential(f"token-{name}", token), more) for bao, name, token, more in stores)
    return Instance(backend=text, conf=REFRESH, policy=RULES)


def ctl(i, *args):
    return i.ctl(*args, "--socket", i.sock("admin"), check=False)


def stores_of(done):
    """{connection: {store: (outcome, code, version)}} of an answer."""
    return {r["connection"]: {s["store"]: (s["outcome"], s.get("code"), s["version"]) for s in r["in_store"]}
            for r in json.loads(done.stdout)["revoked"]}


def deleted(bao, path, version, mount="secret"):
    """Does hvac see it as deleted, and not destroyed?"""
    kv = hvac.Client(url=bao.address, token=TOKEN).secrets.kv.v2
    v = kv.read_secret_metadata(path=path, mount_point=mount)["data"]["versions"][version]
    return v["deletion_time"] != "" and not v["destroyed"]


@pytest.fixture(scope="module")
def bao():
    with OpenBao() as server:
        yield server


def test_a_version_is_deleted_in_the_store_and_had_back(bao):
    bao.put("makini/acme-crm", access_token="tok-0")
    bao.put("makini/acme-crm", access_token="tok-1")
    bao.put("makini/acme-sap", access_token="tok-sap")
    with instance((bao, "eu", writer(bao), "writable = true;")) as i:
        i.start()
        wait_served(i, "tok-1", "cold start to first token")
        done = ctl(i, "revoke", "acme-crm", "acme-sap", "--in-store", "--json")
        assert done.returncode == 0, done
        assert stores_of(done) == {"acme-crm": {"eu": ("disabled", None, "2")}, "acme-sap": {"eu": ("disabled", None, "1")}}
        assert deleted(bao, "makini/acme-crm", "2") and deleted(bao, "makini/acme-sap", "1")
        assert deleted(bao, "makini/acme-crm", "1"), "the version before, which was to be had, too"
        assert "tok-1" not in bao.cli("kv", "get", "-mount=secret", "makini/acme-crm")
        assert served(i) == 410
        text = ctl(i, "revoke", "acme-crm", "--in-store")
        assert text.returncode == 0 and b"eu: was so already, version 2" in text.stdout
        assert ctl(i, "restore", "acme-crm", "--value-too", "--in-store").returncode == 0
        assert not deleted(bao, "makini/acme-crm", "2") and deleted(bao, "makini/acme-crm", "1"), "the current one only"
        wait_served(i, "tok-1", "served again")
        assert "tok-" not in i.log_text() and i.verify().returncode == 0


def test_what_was_put_in_since_is_deleted_as_well_as_what_was_held(bao):
    bao.put("makini/acme-new", access_token="tok-held")
    with instance((bao, "eu", writer(bao), "writable = true;")) as i:
        i.write_conf('refresh = { ttl = "1h"; };')
        i.start()
        wait_served(i, "tok-held", "held", name="acme-new")
        bao.put("makini/acme-new", access_token="tok-newer")
        assert served(i, "acme-new") == "tok-held", "from memory"
        done = ctl(i, "revoke", "acme-new", "--in-store", "--json")
        assert stores_of(done)["acme-new"]["eu"] == ("disabled", None, "2")
        assert deleted(bao, "makini/acme-new", "1") and deleted(bao, "makini/acme-new", "2")


def test_a_credential_without_the_right_fails_and_the_revocation_stands(bao):
    bao.put("makini/acme-crm", access_token="tok-9")
    bao.policy()
    with instance((bao, "eu", bao.token(), "writable = true;")) as i:
        i.start()
        wait_served(i, "tok-9", "served")
        done = ctl(i, "revoke", "acme-crm", "--in-store", "--json")
        assert done.returncode == 1 and stores_of(done)["acme-crm"]["eu"] == ("failed", "denied", None)
        text = ctl(i, "revoke", "acme-crm", "--in-store")
        assert text.returncode == 1 and b"eu: NOT DONE (denied): the store refuses the credential" in text.stdout and b"the revocation itself stands" in text.stderr
        assert served(i) == 410
        data = bao.api("GET", "secret/data/makini/acme-crm")["data"]
        assert data["data"]["access_token"] == "tok-9"
        bao.put("makini/acme-sap", access_token="tok-other")
        wait_served(i, "tok-other", "the store serves on", name="acme-sap")
        stores = i.get("/v1/status", uid=SECTEAM, sock="admin").json()["stores"]
        assert stores[0]["health"] == "ok" and stores[0]["writable"] is True


def test_kv_1_cannot(bao):
    bao.mount("old")
    bao.put("makini/acme-crm", mount="old", access_token="tok-old")
    with instance((bao, "old", TOKEN, "writable = true; kv = 1;")) as i:
        i._place(i.conf_dir / "agent.conf", (i.conf_dir / "agent.conf").read_text().replace('mount = "secret"', 'mount = "old"'))
        i.start()
        wait_served(i, "tok-old", "served")
        done = ctl(i, "revoke", "acme-crm", "--in-store", "--json")
        assert done.returncode == 1 and stores_of(done)["acme-crm"]["old"] == ("cannot", None, None)
        assert served(i) == 410
        assert bao.api("GET", "old/makini/acme-crm")["data"]["access_token"] == "tok-old"


def test_of_two_replicas_one_is_down_and_one_lacks_the_name(bao):
    with OpenBao() as other:
        for server in (bao, other):
            server.put("makini/acme-crm", access_token="tok-both")
        bao.put("makini/acme-sap", access_token="tok-here")
        with instance((bao, "eu", writer(bao), "writable = true;"), (other, "us", writer(other), "writable = true;")) as i:
            i.start()
            wait_served(i, "tok-both", "served")
            current = i.token("acme-crm").json()["version"]
            done = ctl(i, "revoke", "acme-sap", "--in-store", "--json")
            assert done.returncode == 0, "the second store has nothing of that name to hand out"
            assert {k: v[0] for k, v in stores_of(done)["acme-sap"].items()} == {"eu": "disabled", "us": "not_found"}
            other.process.kill()
            other.process.wait()
            done = ctl(i, "revoke", "acme-crm", "--in-store", "--json")
            assert done.returncode == 1
            got = stores_of(done)["acme-crm"]
            assert got["eu"] == ("disabled", None, current) and got["us"][0] == "failed" and got["us"][1] in ("backend_error", "timeout", "not_ready")
            assert deleted(bao, "makini/acme-crm", current) and served(i) == 410


def test_a_store_that_hangs_does_not_hang_the_caller(bao):
    with OpenBao() as other:
        for server in (bao, other):
            server.put("makini/acme-hang", access_token="tok-hang")
        with instance((bao, "eu", writer(bao), "writable = true;"), (other, "us", writer(other), "writable = true;")) as i:
            i.start()
            wait_served(i, "tok-hang", "served", name="acme-hang")
            other.pause()
            done = []
            took = wait_for("an answer while one store hangs", lambda: done.append(ctl(i, "revoke", "acme-hang", "--in-store", "--json")) or done, 5.0)
            got = stores_of(done[0])["acme-hang"]
            assert got["eu"][0] == "disabled" and got["us"][0] in ("failed", "unknown") and done[0].returncode == 1 and took > 0
            other.resume()
            wait_for("and again when it is back", lambda: ctl(i, "revoke", "acme-hang", "--in-store").returncode == 0, 40.0)
            assert deleted(other, "makini/acme-hang", "1")


def test_nothing_is_changed_in_a_store_that_is_not_writable_whatever_its_credential_could(bao):
    bao.put("makini/acme-ro", access_token="tok-ro")
    with instance((bao, "eu", TOKEN, "")) as i:
        i.start()
        wait_served(i, "tok-ro", "served", name="acme-ro")
        done = ctl(i, "revoke", "acme-ro", "--in-store", "--json")
        assert done.returncode == 1 and stores_of(done)["acme-ro"]["eu"] == ("not_writable", None, None)
        assert bao.api("GET", "secret/data/makini/acme-ro")["data"]["data"]["access_token"] == "tok-ro"
