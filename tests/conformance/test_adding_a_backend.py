# SPDX-License-Identifier: Apache-2.0
"""That another backend is one file and one line, as docs/adding-a-backend.md says: the toy, in a
copy of the tree. That it is a good one says test_conformance.py, which it passes as it stands."""

import pathlib
import re
import subprocess

import pytest

from conformance.stores import HERE, ROOT, ToyStore, toy_tree
from lib.instance import Instance
from lib.waiting import wait_for
from lint import rules
from servers.toy import Toy


@pytest.fixture(scope="module")
def tree():
    return toy_tree()


def test_the_difference_is_one_file_and_one_line(tree):
    def all_in(root):
        return {f.relative_to(root) for f in root.rglob("*") if f.is_file() and root / "build" not in f.parents}
    before, after = tree.parent / "before", tree
    assert len(all_in(before)) > 300 and all_in(after) - all_in(before) == {pathlib.Path("backends/toy.c")}
    changed = [f for f in all_in(before) if (before / f).read_bytes() != (after / f).read_bytes()]
    assert changed == [pathlib.Path("include/mk/backends.def")]
    old, new = ((root / changed[0]).read_text().splitlines() for root in (before, after))
    assert new[:-1] == old and new[-1].startswith("MK_BACKEND(toy, ")


def test_the_file_keeps_the_rules_of_a_backend(tree):
    path, text = pathlib.Path("backends/toy.c"), (HERE / "toy" / "toy.c").read_text()
    for rule in (rules.layer_complaints, rules.banned_complaints, rules.size_complaints, rules.spdx_complaints):
        assert rule(path, text) == []
    undefined = subprocess.run(["nm", "-u", tree / "build" / "lib" / "libmkbackends.a"], check=True, capture_output=True).stdout.decode()
    assert rules.symbol_complaints("mkbackends", {line.split()[-1] for line in undefined.splitlines() if " U " in line}) == []


def test_the_new_type_is_known_with_its_keys_and_no_others(tree, tmp_path):
    store = ToyStore(tmp_path).up()
    try:
        ctl = [tree / "build" / "bin" / "makinictl", "config", "check", store.conf]
        assert subprocess.run(ctl, capture_output=True).returncode == 0
        for more, said in (('kv = 1;', b"keys here: name, type, timeout, trust_tags, require_tag, writable, ca_file, rate, address, key_file"),
                           ('key_fil = "k";', b'(did you mean "key_file"?)')):
            store.write_conf(more)
            done = subprocess.run(ctl, capture_output=True)
            assert done.returncode == 1 and said in done.stderr + done.stdout, done
        store.type = "toi"
        store.write_conf("")
        done = subprocess.run(ctl, capture_output=True)
        assert b'(did you mean "toy"?); known: local, vault, toy' in done.stderr + done.stdout, done
    finally:
        store.close()


def test_what_the_page_quotes_is_the_toys():
    page = (ROOT / "docs" / "adding-a-backend.md").read_text()
    sources = [f.read_text() for f in (HERE / "toy" / "toy.c", HERE / "toy" / "toy.line", HERE / "stores.py")]
    quoted = re.findall(r"^```\w*\n(.*?)^```$", page, re.M | re.S)
    assert len(quoted) == 4 and [q for q in quoted if not any(q in text for text in sources)] == []


@pytest.mark.root
def test_the_agent_serves_from_it(tree):
    toy = Toy()
    toy.put("acme-crm", {"access_token": "tok-toy-1"}, environment="production")
    backend = lambda i: f'{{ name = "toys"; type = "toy"; address = "{toy.address}"; key_file = "{i.credential("toy.key", toy.key)}"; }}'
    try:
        with Instance(build=tree / "build", backend=backend, conf='refresh = { ttl = "2s"; jitter = "10%"; serve_stale = "0s"; };') as i:
            i.start()
            wait_for("served", lambda: i.token("acme-crm").json().get("access_token") == "tok-toy-1", 3.0)
            wait_for("one that never was", lambda: i.token("acme-never").status == 404, 3.0)
            toy.put("acme-crm", {"access_token": "tok-toy-2"})
            wait_for("a new version is served", lambda: i.token("acme-crm").json().get("access_token") == "tok-toy-2", 3.0)
            stores = lambda: i.get("/v1/status", uid=0, sock="admin").json()["stores"]
            wait_for("told", lambda: [(s["name"], s["type"], s["health"]) for s in stores()] == [("toys", "toy", "ok")], 3.0)
            assert toy.key not in i.log_text() and "tok-toy" not in i.log_text()
    finally:
        toy.close()
