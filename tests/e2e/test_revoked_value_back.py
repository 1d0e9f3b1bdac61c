# SPDX-License-Identifier: Apache-2.0
"""A revoked value that comes back in OpenBao by other ways than a write: undeleted, rolled back to, out of a backup
of the whole server; and one that could not be asked for when it was revoked."""

import json
import shutil
import subprocess

import pytest

from lib.instance import Instance
from lib.waiting import wait_for
from servers.openbao import TOKEN, OpenBao, Refused, find_bao

from .test_revocation import RULES, admin, alarms, stays_dead
from .test_vault import REFRESH, by_token, served, store, wait_served

pytestmark = pytest.mark.root


class Kept(OpenBao):
    """A server that keeps its data, so that there are backups of it."""

    def start(self):
        data = self.dir / "data"
        data.mkdir()
        (self.dir / "bao.hcl").write_text(f'''
storage "raft" {{ path = "{data}" node_id = "one" }}
listener "tcp" {{ address = "127.0.0.1:{self.port}" tls_disable = true }}
api_addr = "{self.address}"
cluster_addr = "http://127.0.0.1:{self.port + 1 if self.port < 65535 else 1}"
disable_mlock = true
''')
        self.process = subprocess.Popen([find_bao(), "server", f"-config={self.dir}/bao.hcl"], stdin=subprocess.DEVNULL, stdout=open(self.log, "ab"),
                                        stderr=subprocess.STDOUT, env={"PATH": "/usr/bin:/bin", "HOME": str(self.dir)})
        wait_for("an answer", lambda: self._state() in (501, 503, 200), 3.0)
        made = self.api("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, token="")
        self.key, root = made["keys"][0], made["root_token"]
        self.unseal()
        wait_for("the leader", lambda: self._state() == 200, 3.0)
        self.api("POST", "auth/token/create", {"id": TOKEN, "policies": ["root"], "no_parent": True}, token=root)
        self.api("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        wait_for("the mount", self._mounted, 3.0)
        return self

    def _state(self):
        try:
            return self.health()
        except OSError:
            return 0

    def _mounted(self):
        try:
            self.put("probe", x="y")
            return True
        except RuntimeError:
            return False

    def unseal(self):
        self.api("PUT", "sys/unseal", {"key": self.key}, token="")

    def back_to(self, snapshot):
        self.cli("operator", "raft", "snapshot", "restore", "-force", snapshot)

        def serves():
            try:
                if self._state() == 503:
                    self.unseal()
                return self._state() == 200 and self.api("GET", "secret/data/makini/acme-crm") is not None
            except (Refused, OSError):
                return False
        wait_for("the server as it was", serves, 3.0)


def instance(bao, refresh=REFRESH):
    return Instance(backend=store(bao, by_token(bao.token())), conf=refresh, policy=RULES)


def revoke(i, *names):
    r = admin(i, "POST", "/v1/revocations", json.dumps({"connections": list(names)}).encode())
    assert r.status == 200, r.body
    return r.json()["revoked"]


def revocations(i):
    return admin(i, "GET", "/v1/status").json()["revocations"]


def values(i):
    return revocations(i)["values"]


def looked_up(i):
    """What is put before that is taken for the revoked value."""
    wait_for("the store has said what it has", lambda: revocations(i)["to_look_up"] == 0, 12.0)  # a store that failed is asked again after ten


@pytest.fixture(scope="module")
def bao():
    with OpenBao() as server:
        server.policy()
        yield server


@pytest.mark.skipif(not find_bao() or not shutil.which("openssl"), reason="no OpenBao here")
def test_a_backup_of_the_whole_store_brings_no_revoked_value_back():
    with Kept() as bao:
        bao.policy()
        bao.put("makini/acme-crm", access_token="tok-1")
        with instance(bao) as i:
            i.start()
            wait_served(i, "tok-1", "its token")
            bao.cli("operator", "raft", "snapshot", "save", bao.dir / "yesterday.snap")
            revoke(i, "acme-crm")
            looked_up(i)
            bao.put("makini/acme-crm", access_token="tok-2")
            assert admin(i, "DELETE", "/v1/revocations/acme-crm").status == 200
            wait_served(i, "tok-2", "the new one")
            bao.back_to(bao.dir / "yesterday.snap")
            wait_served(i, 410, "the old one from the backup is refused", bound=3.0)
            stays_dead(i, "acme-crm")
            assert ("retired_value_back", "acme-crm") in alarms(i)
            bao.put("makini/acme-crm", access_token="tok-3")
            wait_served(i, "tok-3", "another one is served", bound=3.0)
            assert ("retired_value_back", "acme-crm") not in alarms(i)


def test_a_version_that_is_undeleted_or_rolled_back_to_stays_dead(bao):
    bao.put("makini/acme-undo", access_token="tok-undo")
    with instance(bao) as i:
        i.start()
        wait_served(i, "tok-undo", "its token", name="acme-undo")
        revoke(i, "acme-undo")
        bao.delete("makini/acme-undo")
        assert admin(i, "DELETE", "/v1/revocations/acme-undo").status == 200
        wait_served(i, 410, "it is deleted there", name="acme-undo")
        bao.cli("kv", "undelete", "-mount=secret", "-versions=1", "makini/acme-undo")
        wait_for("the alarm", lambda: i.token("acme-undo").status == 410 and ("retired_value_back", "acme-undo") in alarms(i), 3.0)
        stays_dead(i, "acme-undo")
        bao.put("makini/acme-undo", access_token="tok-next")
        wait_served(i, "tok-next", "a new one", name="acme-undo")
        bao.cli("kv", "rollback", "-mount=secret", "-version=1", "makini/acme-undo")
        wait_served(i, 410, "version 1 as version 3", name="acme-undo")
        stays_dead(i, "acme-undo")


def test_what_was_revoked_while_the_store_was_down_is_dead_once_it_is_back(bao):
    """Nobody had asked for it, so nothing of it was in memory; then the broker is killed, too."""
    bao.put("makini/acme-cold", access_token="tok-cold")
    with instance(bao, REFRESH.replace("refresh = {", "refresh = { prefetch = false;")) as i:
        i.start()
        bao.pause()
        try:
            done = revoke(i, "acme-cold")
            assert done[0]["values"] == 0
            assert served(i, "acme-cold") == 410
            i.process.kill()
            i.process.wait()
            i.start()
            assert served(i, "acme-cold") == 410 and revocations(i) == {"connections": 1, "values": 0, "to_look_up": 1, "to_look_up_first": ["acme-cold"]}
            assert "could not be looked up there yet: acme-cold\n" in i.ctl("status", "--socket", i.sock("admin")).stdout.decode()
        finally:
            bao.resume()
        looked_up(i)
        assert values(i) == 1
        bao.put("makini/acme-elsewhere", access_token="tok-cold")
        wait_served(i, 410, "under another name", name="acme-elsewhere", bound=3.0)
        stays_dead(i, "acme-elsewhere")


def test_a_rotation_that_the_agent_had_not_seen_yet_dies_as_well(bao):
    bao.put("makini/acme-late", access_token="tok-late-1")
    with instance(bao, 'refresh = { ttl = "10m"; };') as i:
        i.start()
        wait_served(i, "tok-late-1", "its token", name="acme-late")
        bao.put("makini/acme-late", access_token="tok-late-2")
        assert served(i, "acme-late") == "tok-late-1", "what is in memory counts for ten minutes"
        assert revoke(i, "acme-late")[0]["values"] == 1
        wait_for("both values", lambda: values(i) == 2, 3.0)
        bao.put("makini/acme-twice", access_token="tok-late-2")
        assert served(i, "acme-twice") == 410
