# SPDX-License-Identifier: Apache-2.0
"""makinictl run --files: tokens in files that nobody else sees, replaced before the program is told; and nothing of a token, in files or
in the environment, where it does not belong."""

import os
import pathlib
import secrets
import signal
import subprocess
import time

import pytest

from lib.instance import BILLING, demote, gone
from lib.kept import GONE_BOUND, SAP, SHOW, TOLD_BOUND, Run, command, content, nothing_stays, policy, production, ran, revoke, work
from lib.memscan import encodings, scan
from lib.waiting import wait_for

pytestmark = pytest.mark.root


def test_files_are_replaced_before_the_program_is_told(production):
    r = Run(production, "--files", "acme-sap", "acme-crm", "--", "bash", "-c", SHOW)
    r.says(f"up: {SAP}")
    first = r.child()
    for n in range(5):
        production.put("acme-sap", b"tok-sap-f%d" % n)
        r.says(f"hup: tok-sap-f{n}")
    assert r.child() == first and len(r.lines) == 6
    assert r.end() == 128 + signal.SIGTERM


def test_files_are_the_users_alone_and_lie_in_memory_that_is_never_swapped(production):
    script = "stat -c '%a %u %n' $MAKINI_TOKENS_DIR $MAKINI_TOKENS_DIR/*; stat -f -c %T $MAKINI_TOKENS_DIR; env | grep -c TOKEN"
    code, lines, errors = ran(production, "--files", "acme-sap", "acme-crm", "--", "sh", "-c", script)
    d = lines[0].split()[2]
    assert (code, errors) == (0, []) and lines == [f"700 {BILLING} {d}", f"400 {BILLING} {d}/acme-crm", f"400 {BILLING} {d}/acme-sap", "ramfs", "1"]


def test_files_lie_where_they_are_wanted(production, work):
    (work / "mine").write_text("mine")
    code, lines, _ = ran(production, "--files", "--files-at", work, "acme-sap", "--", "sh", "-c", "ls $MAKINI_TOKENS_DIR; echo $MAKINI_TOKENS_DIR")
    assert (code, lines) == (0, ["acme-sap", str(work)]) and [f.name for f in work.iterdir()] == ["mine"]


def test_who_may_mount_needs_no_user_namespace(production):
    root = '{ name = "ops"; identity = { uid = 0; }; }, { name = "secteam"'
    allow = '{ allow = "ops"; actions = [ "get", "watch" ]; connections = [ "acme-*" ]; }, { allow = "secteam"'
    production.write_policy(policy().replace('{ name = "secteam"', root).replace('{ allow = "secteam"', allow))
    production.reload()
    script = "cat $MAKINI_TOKENS_DIR/acme-sap; echo; wc -l < /proc/self/uid_map; readlink /proc/self/ns/user; readlink /proc/self/ns/mnt"
    lines = ran(production, "--files", "acme-sap", "--", "sh", "-c", script, user=0)[1]
    assert lines[0] == SAP and lines[2] == os.readlink("/proc/self/ns/user") and lines[3] != os.readlink("/proc/self/ns/mnt")
    lines = ran(production, "--files", "acme-sap", "--", "sh", "-c", script)[1]
    assert lines[0] == SAP and lines[2] != os.readlink("/proc/self/ns/user") and lines[3] != os.readlink("/proc/self/ns/mnt")


def holders(namespace):
    """Processes in a mount namespace."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            found += [int(p.name)] if os.readlink(p / "ns" / "mnt") == namespace else []
        except OSError:
            pass
    return found


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGKILL])
def test_files_are_seen_from_nowhere_else_and_gone_at_the_end(production, signo):
    r = Run(production, "--files", "acme-sap", "--", "sh", "-c", "echo $MAKINI_TOKENS_DIR; exec sleep 1000")
    wait_for("it runs", lambda: len(r.lines) == 1, TOLD_BOUND)
    path, child = pathlib.Path(r.lines[0]) / "acme-sap", r.child()
    namespace = os.readlink(f"/proc/{child}/ns/mnt")
    assert pathlib.Path(f"/proc/{child}/root{path}").read_text() == SAP  # as root; it is there
    assert not path.exists() and str(path.parent) not in open("/proc/self/mountinfo").read().split()
    other = subprocess.run(["cat", str(path)], preexec_fn=demote(BILLING), capture_output=True)
    assert other.returncode != 0 and SAP.encode() not in other.stdout
    assert sorted(holders(namespace)) == sorted([r.process.pid, child])
    r.end(signo)
    wait_for("all gone", lambda: gone(child) and holders(namespace) == [], GONE_BOUND)
    assert not path.exists()


def test_where_namespaces_are_not_allowed_it_says_so_and_writes_nothing(production, work):
    """In a chroot the kernel refuses user namespaces."""
    def confined(*extra):
        inner = " ".join(command(production, "run", *extra, "acme-sap", "--", "touch", str(work / "started")))
        return subprocess.run(["unshare", "-m", "sh", "-c", f"mkdir -p {production.dir}/jail; mount --rbind / {production.dir}/jail && "
                               f"exec chroot --userspec={BILLING}:{BILLING} {production.dir}/jail {inner}"], capture_output=True, env={"PATH": "/usr/bin:/bin:/usr/sbin"})
    done = confined("--files")
    assert done.returncode == 1 and b"user namespaces" in done.stderr and b"leave out --files" in done.stderr, done.stderr
    assert not (work / "started").exists()
    assert confined().returncode == 0 and (work / "started").exists()


# ---- nothing of a token where it does not belong ----

@pytest.mark.parametrize("files", [[], ["--files"]])
def test_tokens_are_in_no_argument_no_output_and_no_file(production, work, files):
    before = set(os.listdir("/tmp"))
    show = "cat $MAKINI_TOKENS_DIR/acme-sap" if files else "echo $MAKINI_TOKEN_ACME_SAP"
    r = Run(production, *files, "acme-sap", "--", "bash", "-c", f"{show} > {work}/control; trap : HUP; echo up; while :; do sleep 0.05; done")
    r.says("up")
    time.sleep(1.1)
    production.put("acme-sap", b"tok-sap-second-value")
    revoked = Run(production, *files, "--on-revoke", "end", "acme-crm", "--", "sleep", "1000")
    wait_for("it runs", lambda: pathlib.Path(f"/proc/{revoked.process.pid}/task/{revoked.process.pid}/children").read_text(), TOLD_BOUND)
    revoke(production, "acme-crm")
    revoked.ended()
    commands = b"".join(content(p) for p in pathlib.Path("/proc").glob("[0-9]*/cmdline"))
    assert str(work).encode() in commands and b"tok-sap" not in commands and b"tok-crm" not in commands
    wait_for("it has its token", lambda: (work / "control").read_text().startswith("tok-sap"), TOLD_BOUND)  # another one's start empties the file first
    r.end()
    for text in (*r.lines, *r.errors, *revoked.lines, *revoked.errors):
        assert "tok-" not in text
    for name in set(os.listdir("/tmp")) - before:
        p = pathlib.Path("/tmp") / name
        assert not p.is_file() or b"tok-sap" not in content(p)


@pytest.mark.parametrize("files", [[], ["--files"]])
def test_in_its_own_memory_a_token_lies_in_locked_pages_only(production, files):
    second = secrets.token_hex(20)
    r = Run(production, *files, "acme-sap", "acme-crm", "--", "bash", "-c", "trap 'echo told' HUP; echo up; while :; do sleep 0.05; done")
    r.says("up")
    time.sleep(1.1)
    production.put("acme-sap", second.encode())
    wait_for("told or restarted", lambda: len(r.lines) == 2, 2.0)
    hits, seen = scan(r.process.pid, encodings(second.encode()))
    assert seen > 100000 and [h for h in hits if h[0] == "raw"], "it is not even where it is held"
    assert [(h[0], h[1].name) for h in hits if not h[1].locked] == []
    r.end()
