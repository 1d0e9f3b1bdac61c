# SPDX-License-Identifier: Apache-2.0
"""makinictl run: a program with tokens, kept current; against a running agent, also in a real terminal."""

import fcntl
import os
import pathlib
import pty
import re
import secrets
import select
import signal
import struct
import subprocess
import termios
import threading
import time

import pytest

from lib.instance import BILLING, SECTEAM, Instance, demote
from lib.memscan import encodings, scan
from lib.waiting import wait_for

pytestmark = pytest.mark.root
TOLD_BOUND = 1.0  # seconds from the end of a put in the embedded store to a program that was told or started again
GONE_BOUND = 1.0  # seconds from the end of run to the end of what it held
POLICY = """
environment = "production";
services = ( { name = "billing"; identity = { uid = %d; }; }, { name = "secteam"; identity = { socket = "admin"; uid = %d; }; } );
rules = ( { allow = "billing"; actions = [ %s ]; connections = [ %s ]; rate = "100000/s"; },
          { allow = "secteam"; actions = [ "status", "freeze", "thaw", "revoke", "restore" ]; connections = [ "*" ]; } );
"""
NAMES = '"acme-*"'
SAP, CRM = "tok-sap-first-value-4711", "tok-crm-first-value-4712"


def policy(actions='"get", "watch"', names=NAMES):
    return POLICY % (BILLING, SECTEAM, actions, names)


@pytest.fixture(autouse=True)
def nothing_stays():
    """Also when a test fails."""
    yield
    while Run.living:
        p = Run.living.pop().process
        if p.poll() is None:
            p.kill()
            p.wait()


@pytest.fixture
def production():
    with Instance(policy=policy()) as i:
        i.write_conf(" admin = { two_person = []; };")
        i.put("acme-sap", SAP.encode())
        i.put("acme-crm", CRM.encode())
        i.put("globex-erp", b"tok-globex")
        yield i.start()


@pytest.fixture
def work(production):
    """A directory that the program may write to."""
    d = production.dir / "work"
    d.mkdir()
    os.chown(d, BILLING, BILLING)
    return d


def command(i, *args):
    return [str(i.build / "bin" / "makinictl"), "run", "--socket", str(i.sock()), *map(str, args)]


class Run:
    """A running makinictl run of a user; its output line by line."""

    living = []

    def __init__(self, instance, *args, user=BILLING, env=None, prepare=None):
        self.lines, self.errors = [], []

        def before():
            demote(user)()
            if prepare:
                prepare()
        self.process = subprocess.Popen(command(instance, *args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=before, env={"PATH": "/usr/bin:/bin", **(env or {})})
        Run.living.append(self)
        self.readers = [threading.Thread(target=lambda p=p, t=t: [t.append(x.decode().rstrip("\n")) for x in p], daemon=True)
                        for p, t in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))]
        for r in self.readers:
            r.start()

    def says(self, line, bound=TOLD_BOUND):
        wait_for(f"it says {line}", lambda: line in self.lines, bound)

    def warns(self, text, bound=TOLD_BOUND):
        wait_for(f"run says {text}", lambda: any(text in e for e in self.errors), bound)

    def end(self, signo=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(signo)
        return self.ended()

    def ended(self):
        code = self.process.wait(60)
        for r in self.readers:
            r.join(20)
        return code

    def child(self):
        return int(pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])


def ran(i, *args, **kw):
    """To its end: code, output, errors."""
    r = Run(i, *args, **kw)
    code = r.ended()
    return code, r.lines, r.errors


# Asked to end, it does so when it finds that file.
ENDS_LATER = "trap 'echo asked; while [ ! -e $1 ]; do sleep 0.05; done; exit 4' TERM; echo up; while :; do sleep 0.05; done"


def pending(pid, signo):
    """Was it sent to it, and not taken yet?"""
    masks = re.findall(r"^S(?:ig|hd)Pnd:\t(\w+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)
    return any(int(m, 16) >> (signo - 1) & 1 for m in masks)


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def revoke(i, *names):
    i.ctl("revoke", "--socket", i.sock("admin"), "--reason", "test", *names)


# ---- the environment ----

def test_tokens_are_in_the_environment_of_the_program_and_its_code_is_returned(production):
    code, lines, errors = ran(production, "acme-sap", "CRM=acme-crm", "--", "sh", "-c", "echo $MAKINI_TOKEN_ACME_SAP $CRM; exit 7", env={"CRM": "old"})
    assert (code, lines, errors) == (7, [f"{SAP} {CRM}"], [])
    assert ran(production, "acme-sap", "--", "sh", "-c", "kill -9 $$")[0] == 128 + 9
    assert ran(production, "acme-sap", "--", "/usr/bin/env", "-u", "MAKINI_TOKEN_ACME_SAP")[1:] == (["PATH=/usr/bin:/bin"], [])


@pytest.mark.parametrize("files", [[], ["--files"]])
def test_thirty_two_tokens_are_as_many_as_there_can_be(production, files):
    names = [f"acme-n{n}" for n in range(32)]
    for n in names:
        production.put(n, f"tok-{n}-".encode() + b"x" * 6000)
    show = "cat $MAKINI_TOKENS_DIR/* | wc -c" if files else "env | grep ^MAKINI_TOKEN_ACME_N | cut -d= -f2 | wc -c"
    assert ran(production, *files, *names, "--", "sh", "-c", show)[:2] == (0, [str(sum(len(f"tok-{n}-") + 6000 for n in names) + (0 if files else 32))])
    assert ran(production, *files, *names, "acme-sap", "--", "true")[0] == 2


def test_the_program_gets_three_descriptors_and_what_was_set_before(production):
    def prepare():
        os.umask(0o027)
        os.dup2(0, 77)
        os.set_inheritable(77, True)
    script = "umask; ulimit -Hc; ls /proc/$$/fd | tr '\\n' ' '; grep -E '^Sig(Blk|Ign)' /proc/$$/status"
    inside = ran(production, "acme-sap", "--", "bash", "-c", script, prepare=prepare)[1]
    plain = subprocess.run(["bash", "-c", script], stdin=subprocess.DEVNULL, capture_output=True, preexec_fn=lambda: (demote(BILLING)(), prepare()),
                           close_fds=False).stdout.decode().splitlines()
    assert inside[:2] == plain[:2] and inside[0] == "0027"
    assert inside[2].split("SigBlk")[0].split() == ["0", "1", "2"] and "77" in plain[2].split()
    assert re.findall(r"Sig\w+:\t\w+", " ".join(inside)) == re.findall(r"Sig\w+:\t\w+", " ".join(plain))


@pytest.mark.parametrize("args, code, says", [
    (["globex-erp"], 3, "globex-erp: denied"), (["acme-sap", "globex-erp"], 3, "globex-erp: denied"), (["acme-none"], 4, "acme-none: not_found"),
    (["acme-crm"], 5, "acme-crm: revoked"), (["acme-sap", "acme-crm"], 5, "acme-crm: revoked"),
])
def test_without_all_of_its_tokens_no_program_is_started(production, work, args, code, says):
    revoke(production, "acme-crm")
    for files in ([], ["--files"]):
        got, _, errors = ran(production, *files, *args, "--", "touch", work / "started")
        assert got == code and any(says in e for e in errors), errors
    assert not (work / "started").exists()
    assert ran(production, "acme-sap", "--", "touch", work / "started")[0] == 0 and (work / "started").exists()


def test_without_an_agent_no_program_is_started(production, work):
    assert ran(production, "acme-sap", "--", "touch", work / "control")[0] == 0 and (work / "control").exists()
    production.stop()
    for files in ([], ["--files"]):
        assert ran(production, *files, "acme-sap", "--", "touch", work / "started")[0] == 6
    assert not (work / "started").exists()


def test_who_may_not_watch_is_told_what_it_takes(production):
    production.write_policy(policy(actions='"get"'))
    production.reload()
    code, _, errors = ran(production, "acme-sap", "--", "true")
    assert code == 3 and 'the action "watch"' in errors[-1]
    assert ran(production, "--on-change", "ignore", "--on-revoke", "ignore", "acme-sap", "--", "true")[0] == 0


@pytest.mark.parametrize("args, code", [
    (["acme-sap"], 2), (["acme-sap", "--"], 2), (["--", "true"], 2), (["acme-sap", "acme-sap", "--", "true"], 2), (["1X=acme-sap", "--", "true"], 2),
    (["A=acme-sap", "A=acme-crm", "--", "true"], 2), (["--files", "A=acme-sap", "--", "true"], 2), (["--on-change", "end", "acme-sap", "--", "true"], 2),
    (["--on-revoke", "signal=KILL", "acme-sap", "--", "true"], 2), (["--grace", "10", "acme-sap", "--", "true"], 2), (["acme--sap", "--", "true"], 2),
    (["--files-at", "/mnt", "acme-sap", "--", "true"], 2), (["--files", "--files-at", "mnt", "acme-sap", "--", "true"], 2),
    (["--files", "--files-at", "/not-there", "acme-sap", "--", "true"], 1), (["acme-sap", "--", "not-a-program"], 127),
    (["acme-sap", "--", "/not/a/program"], 127), (["acme-sap", "--", "/etc/passwd"], 126), (["acme-sap", "--", "/usr"], 126),
    (["--on-change", "signal=HUP", "--on-revoke", "end", "--grace", "1s", "acme-sap", "--", "true"], 0),
])
def test_what_is_asked_for_wrongly_is_refused(production, args, code):
    assert ran(production, *args)[0] == code


# ---- changes ----

def test_the_program_is_started_again_with_the_new_token(production):
    r = Run(production, "acme-sap", "acme-crm", "--", "sh", "-c", "echo $MAKINI_TOKEN_ACME_SAP; exec sleep 1000")
    r.says(SAP)
    first = r.child()
    time.sleep(1.1)  # it lives a second at least
    production.put("acme-sap", b"tok-sap-2")
    r.says("tok-sap-2", 2.0)
    assert r.child() != first and not alive(first) and r.lines == [SAP, "tok-sap-2"]
    r.warns("restarting")
    assert r.end() == 128 + signal.SIGTERM


def test_one_that_changes_all_the_time_is_restarted_less_and_less_often(production):
    r = Run(production, "acme-sap", "--", "sh", "-c", "echo $MAKINI_TOKEN_ACME_SAP; exec sleep 1000")
    r.says(SAP)
    began = time.monotonic()
    for n in range(40):
        production.put("acme-sap", b"tok-sap-n%d" % n)
        time.sleep(0.1)
    r.says("tok-sap-n39", 10.0)
    took = time.monotonic() - began
    assert 2 <= len(r.lines) <= 3 + took / 2, r.lines
    r.end()


def test_one_that_ignores_the_request_to_end_is_killed_after_its_grace(production):
    r = Run(production, "--grace", "500ms", "acme-sap", "--", "bash", "-c", "trap 'echo not me' TERM; echo $MAKINI_TOKEN_ACME_SAP; while :; do sleep 0.05; done")
    r.says(SAP)
    first = r.child()
    time.sleep(1.1)
    production.put("acme-sap", b"tok-sap-2")
    r.says("tok-sap-2", 2.0)
    assert "not me" in r.lines and not alive(first)
    r.warns("did not end")
    assert r.end(signal.SIGKILL) == -signal.SIGKILL


def test_a_program_that_is_told_to_ignore_changes_keeps_what_it_has(production):
    r = Run(production, "--on-change", "ignore", "acme-sap", "CRM=acme-crm", "--", "sh", "-c", "echo up; exec sleep 1000")
    told = Run(production, "--on-change", "signal=USR1", "acme-sap", "--", "bash", "-c", "trap 'echo told' USR1; echo up; while :; do sleep 0.05; done")
    r.says("up")
    told.says("up")
    first = r.child()
    production.put("acme-sap", b"tok-sap-2")
    told.says("told")
    assert r.child() == first and r.lines == ["up"] and r.errors == []
    r.end()
    told.end()


# ---- files ----

SHOW = "show() { echo \"$1:\" $(cat $MAKINI_TOKENS_DIR/acme-sap 2>&1); }; trap 'show hup' HUP; show up; while :; do sleep 0.05; done"


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
    wait_for("all gone", lambda: not alive(child) and holders(namespace) == [], GONE_BOUND)
    assert not path.exists()


def test_where_namespaces_are_not_allowed_it_says_so_and_writes_nothing(production, work):
    """In a chroot the kernel refuses user namespaces."""
    def confined(*extra):
        inner = " ".join(command(production, *extra, "acme-sap", "--", "touch", str(work / "started")))
        return subprocess.run(["unshare", "-m", "sh", "-c", f"mkdir -p {production.dir}/jail; mount --rbind / {production.dir}/jail && "
                               f"exec chroot --userspec={BILLING}:{BILLING} {production.dir}/jail {inner}"], capture_output=True, env={"PATH": "/usr/bin:/bin:/usr/sbin"})
    done = confined("--files")
    assert done.returncode == 1 and b"user namespaces" in done.stderr and b"leave out --files" in done.stderr, done.stderr
    assert not (work / "started").exists()
    assert confined().returncode == 0 and (work / "started").exists()


# ---- the end of a token ----

def test_at_revocation_the_file_goes_and_the_program_is_told(production):
    r = Run(production, "--files", "acme-sap", "acme-crm", "--", "bash", "-c", SHOW)
    r.says(f"up: {SAP}")
    revoke(production, "acme-sap")
    wait_for("told", lambda: any(x.startswith("hup: cat:") for x in r.lines), TOLD_BOUND)
    r.warns("acme-sap: revoked")
    production.ctl("restore", "--socket", production.sock("admin"), "--value-too", "acme-sap")
    r.says(f"hup: {SAP}")
    r.end()


@pytest.mark.parametrize("files", [[], ["--files"]])
def test_at_revocation_the_program_is_ended_if_told_so(production, files):
    r = Run(production, *files, "--on-revoke", "end", "acme-sap", "acme-crm", "--", "sh", "-c", "echo up; exec sleep 1000")
    r.says("up")
    child = r.child()
    revoke(production, "acme-crm")
    assert r.ended() == 5 and not alive(child) and any("acme-crm is gone: ending" in e for e in r.errors)


def test_a_revocation_during_a_restart_is_the_end_if_told_so(production, work):
    r = Run(production, "--grace", "60s", "--on-revoke", "end", "acme-sap", "acme-crm", "--", "bash", "-c", ENDS_LATER, "sh", work / "end")
    r.says("up")
    time.sleep(1.1)
    production.put("acme-sap", b"tok-sap-2")
    r.says("asked", 2.0)
    revoke(production, "acme-crm")
    r.warns("acme-crm is gone: ending")
    (work / "end").touch()
    assert r.ended() == 5 and r.lines == ["up", "asked"] and any("acme-crm is gone: ending" in e for e in r.errors), (r.lines, r.errors)


def test_a_program_that_keeps_its_file_from_being_removed_is_ended_all_the_same(production):
    r = Run(production, "--files", "--on-revoke", "end", "acme-sap", "--", "sh", "-c", "cd $MAKINI_TOKENS_DIR; rm -f acme-sap; mkdir acme-sap; echo up; exec sleep 1000")
    r.says("up")
    revoke(production, "acme-sap")
    assert r.ended() == 5 and any("cannot be removed" in e for e in r.errors), r.errors


def test_standard_error_that_nobody_reads_holds_no_revocation_up(production):
    inner, outer = os.pipe()
    os.set_blocking(outer, False)
    with open("/proc/sys/fs/pipe-max-size") as f, pytest.raises(BlockingIOError):
        for _ in range(int(f.read())):
            os.write(outer, b"x" * 64)
    os.set_blocking(outer, True)
    p = subprocess.Popen(command(production, "--on-revoke", "end", "acme-sap", "--", "sh", "-c", "echo up; exec sleep 1000"), stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=outer, preexec_fn=demote(BILLING), env={"PATH": "/usr/bin:/bin"})
    try:
        assert p.stdout.readline() == b"up\n"
        revoke(production, "acme-sap")
        assert p.wait(20) == 5
    finally:
        p.kill()
        p.wait()
        os.close(inner)
        os.close(outer)


def test_a_revocation_does_not_wait_as_long_as_changes_that_come_all_the_time(production):
    r = Run(production, "acme-sap", "acme-crm", "--", "sh", "-c", "echo ${MAKINI_TOKEN_ACME_SAP:-none}; exec sleep 1000")
    r.says(SAP)
    n = 0
    while len(r.lines) < 5:  # the next pause is sixteen seconds then
        production.put("acme-sap", b"tok-sap-n%d" % n)
        time.sleep(0.1)
        n += 1
    r.lines.clear()
    revoke(production, "acme-sap")
    r.says("none", 1.0)
    r.end()


def test_at_revocation_a_program_is_started_again_without_that_token(production):
    r = Run(production, "acme-sap", "acme-crm", "--", "sh", "-c", "echo ${MAKINI_TOKEN_ACME_SAP:-none} ${MAKINI_TOKEN_ACME_CRM:-none}; exec sleep 1000",
            env={"MAKINI_TOKEN_ACME_SAP": "from outside"})
    r.says(f"{SAP} {CRM}")
    time.sleep(1.1)
    revoke(production, "acme-sap")
    r.says(f"none {CRM}", 2.0)
    r.end()


def test_a_denial_while_it_runs_is_the_end_of_the_token(production):
    r = Run(production, "--files", "--on-revoke", "end", "acme-sap", "acme-crm", "--", "sh", "-c", "echo up; exec sleep 1000")
    r.says("up")
    production.write_policy(policy(names='"acme-sap"'))
    production.reload()
    assert r.ended() == 3 and any("acme-crm: denied" in e for e in r.errors)


def test_who_may_not_watch_any_more_still_learns_of_a_revocation(production):
    r = Run(production, "--on-revoke", "end", "acme-sap", "acme-crm", "--", "sh", "-c", "echo up; exec sleep 1000")
    r.says("up")
    production.write_policy(policy(actions='"get"'))
    production.reload()
    r.warns('the action "watch"', 2.0)
    time.sleep(1)  # so that it has asked once
    revoke(production, "acme-crm")
    wait_for("it ends", lambda: r.process.poll() is not None, 8.0)
    assert r.ended() == 5 and any("acme-crm: revoked" in e for e in r.errors), r.errors


def test_a_token_that_is_gone_from_the_store_ends_with_the_code_for_that(production):
    r = Run(production, "--on-revoke", "end", "acme-sap", "--", "sh", "-c", "echo up; exec sleep 1000")
    r.says("up")
    production.rm("acme-sap")
    assert r.ended() == 4


# ---- an agent that goes and comes back ----

def test_an_agent_that_goes_is_missed_once_and_found_again(production):
    r = Run(production, "--files", "acme-sap", "--", "bash", "-c", SHOW)
    r.says(f"up: {SAP}")
    first = r.child()
    production.stop()
    r.warns("the agent went away", 2.0)
    production.put("acme-sap", b"tok-sap-2")
    time.sleep(2)
    assert len(r.errors) == 1 and r.child() == first and r.lines == [f"up: {SAP}"]
    production.start()
    r.says("hup: tok-sap-2", 10.0)
    r.warns("the agent answers again")
    assert len(r.errors) == 2 and r.child() == first
    production.put("acme-sap", b"tok-sap-3")
    r.says("hup: tok-sap-3")
    r.end()


def test_a_token_that_expires_while_no_agent_is_there_is_said(production):
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 12))
    production.put("acme-sap", {"access_token": "tok-sap-short", "expires_at": ends})
    r = Run(production, "--files", "acme-sap", "--", "bash", "-c", SHOW)
    r.says("up: tok-sap-short")
    production.stop()
    r.warns("acme-sap: its token has expired", 15.0)
    assert len(r.errors) == 2 and r.lines == ["up: tok-sap-short"]
    r.end()


# ---- signals ----

COUNT = r"""
import os, signal, time
seen = []
def on(n, _):
    seen.append(n)
    os.write(1, f"got {signal.Signals(n).name} {seen.count(n)}\n".encode())  # not print: a signal may come in the middle of another one
for n in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCONT, signal.SIGTERM):
    signal.signal(n, on)
os.write(1, b"ready\n")
while True:
    time.sleep(0.05)
"""


def test_signals_are_passed_on_once_each(production):
    r = Run(production, "acme-sap", "--", "/usr/bin/python3", "-c", COUNT)
    r.says("ready", 3.0)
    for name in ("SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT", "SIGTERM"):
        r.process.send_signal(getattr(signal, name))
        r.says(f"got {name} 1")
    time.sleep(0.3)
    assert len(r.lines) == 9, r.lines
    child = r.child()
    assert r.end(signal.SIGKILL) == -signal.SIGKILL
    wait_for("the child goes, too", lambda: not alive(child), GONE_BOUND)


def test_one_who_ends_it_during_a_restart_means_it(production, work):
    r = Run(production, "--grace", "60s", "acme-sap", "--", "bash", "-c", ENDS_LATER, "sh", work / "end")
    r.says("up")
    time.sleep(1.1)
    production.put("acme-sap", b"tok-sap-2")
    r.says("asked", 2.0)
    r.process.send_signal(signal.SIGTERM)
    wait_for("it heard", lambda: not pending(r.process.pid, signal.SIGTERM), TOLD_BOUND)
    (work / "end").touch()
    assert r.ended() == 4 and r.lines.count("up") == 1


def test_as_process_1_of_a_container_it_passes_signals_on_and_reaps(production):
    inner = command(production, "acme-sap", "--", "bash", "-c",
                    "trap 'echo asked; exit 6' TERM; (sleep 0.2 & ); while cat /proc/*/comm 2>/dev/null | grep -q sleep && [ $((n+=1)) -lt 1000 ]; "
                    "do sleep 0.05; done; cat /proc/*/comm 2>/dev/null | grep -c sleep; echo up; while :; do sleep 0.05; done")
    p = subprocess.Popen(["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "setpriv", f"--reuid={BILLING}", f"--regid={BILLING}", "--clear-groups", *inner],
                         stdout=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"})
    assert p.stdout.readline() == b"0\n" and p.stdout.readline() == b"up\n"
    first = int(pathlib.Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split()[0])
    os.kill(first, signal.SIGTERM)
    assert p.stdout.read() == b"asked\n" and p.wait(20) == 6


def test_a_program_that_ends_by_itself_ends_it_and_orphans_are_no_matter(production):
    code, lines, _ = ran(production, "acme-sap", "--", "sh", "-c", "(sleep 0.1; echo orphan) & echo done; exit 3")
    assert code == 3 and "done" in lines


# ---- nothing of a token where it does not belong ----

def content(path):
    """Nothing where it is gone by now."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


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


# ---- a terminal ----

class Terminal:
    """A process on a terminal of its own, whose session it leads."""

    def __init__(self, argv, user=BILLING, rows=24, columns=80):
        self.text = ""
        pid, self.master = pty.fork()
        if pid == 0:
            try:
                demote(user)()
                os.execve(argv[0], argv, {"PATH": "/usr/bin:/bin", "TERM": "dumb", "PS1": "$ ", "HOME": "/"})
            finally:
                os._exit(99)
        self.pid = pid
        self.resize(rows, columns)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        while True:
            try:
                if not select.select([self.master], [], [], 0.1)[0]:
                    continue
                data = os.read(self.master, 4096)
            except (OSError, ValueError):
                return
            if not data:
                return
            self.text += data.decode(errors="replace")

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def types(self, text):
        os.write(self.master, text.encode())

    def shows(self, pattern, times=1, bound=3.0):
        wait_for(f"the terminal shows {pattern}", lambda: len(re.findall(pattern, self.text)) >= times, bound)

    def hang_up(self):
        master, self.master = self.master, -1
        self.reader.join(20)
        os.close(master)

    def close(self):
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.hang_up()
        os.waitpid(self.pid, 0)


@pytest.fixture
def shell():
    t = Terminal(["/bin/bash", "--norc", "--noprofile", "-i"])
    t.types("PS1='ready''> '; stty -echo\n")
    t.shows("ready> ")
    yield t
    t.close()


def line(i, *args):
    return " ".join(f"'{a}'" for a in command(i, *args))


@pytest.fixture
def counter(work):
    path = work / "count.py"
    path.write_text(COUNT)
    return path


def test_ctrl_c_reaches_the_program_once(production, shell, counter):
    shell.types(line(production, "acme-sap", "--", "/usr/bin/python3", counter) + "; echo code=$?\n")
    shell.shows("ready\r")
    shell.types("\x03")
    shell.shows("got SIGINT 1")
    shell.types("\x1c")
    shell.shows("got SIGQUIT 1")
    shell.resize(30, 100)
    shell.shows("got SIGWINCH 1")
    time.sleep(0.3)
    assert len(re.findall("got ", shell.text)) == 3, shell.text
    shell.types("\x1a")  # not caught: it stops
    shell.shows("Stopped")
    shell.types("kill -KILL %1; fg; echo over\n")
    shell.shows("over\r")


def test_ctrl_c_ends_what_does_not_catch_it(production, shell):
    shell.types(line(production, "acme-sap", "--", "sleep", "1000") + "; echo code=$?\n")
    wait_for("it runs", lambda: children_named(shell.pid, "sleep"), 3.0)
    shell.types("\x03")
    shell.shows("code=130")


def children_named(pid, name):
    """All descendants with that name."""
    found = []
    for child in content(pathlib.Path(f"/proc/{pid}/task/{pid}/children")).split():
        found += [int(child)] if content(pathlib.Path(f"/proc/{int(child)}/comm")).decode().strip() == name else []
        found += children_named(int(child), name)
    return found


def state(pid):
    return content(pathlib.Path(f"/proc/{pid}/stat")).decode().rpartition(")")[2][1:2]  # none when it is gone


def test_ctrl_z_and_fg_stop_and_continue_both(production, shell):
    ticks = "n=0; while :; do n=$((n+1)); echo tick=$n.; sleep 0.1; done"
    shell.types(line(production, "acme-sap", "--", "bash", "-c", ticks) + "; echo code=$?\n")
    shell.shows(r"tick=3\.")
    for _ in range(3):
        before = shell.text.count("Stopped")
        shell.types("\x1a")
        wait_for("stopped", lambda: shell.text.count("Stopped") > before, 3.0)
        run, = children_named(shell.pid, "makinictl")
        wait_for("both are stopped", lambda: state(run) == "T" and all(state(b) == "T" for b in children_named(run, "bash")), 1.0)
        seen = len(re.findall("tick=", shell.text))
        shell.types("fg\n")
        wait_for("it goes on", lambda: len(re.findall("tick=", shell.text)) > seen + 2, 3.0)
        assert state(run) != "T"
    shell.types("\x1a")
    wait_for("stopped", lambda: state(run) == "T", 3.0)
    shell.types("bg\n")
    wait_for("it runs in the background", lambda: state(run) != "T", 3.0)
    shell.types("kill %1; wait; echo over\n")
    shell.shows("over\r")


def test_changes_while_it_is_stopped_come_when_it_goes_on(production, shell):
    shell.types(line(production, "acme-sap", "--", "bash", "-c", "echo have=$MAKINI_TOKEN_ACME_SAP; exec sleep 1000") + "; echo code=$?\n")
    shell.shows("have=" + SAP)
    shell.types("\x1a")
    shell.shows("Stopped")
    production.put("acme-sap", b"tok-sap-2")
    shell.types("fg\n")
    shell.shows("have=tok-sap-2", bound=5.0)
    shell.types("\x03")
    wait_for("back in the shell", lambda: not children_named(shell.pid, "makinictl"), 3.0)


def test_a_denied_name_a_revocation_and_no_agent_each_end_with_their_code_in_a_terminal(production, shell):
    shell.types(line(production, "globex-erp", "--", "true") + "; echo code=$?\n")
    shell.shows("denied")
    shell.shows("code=3")
    shell.types(line(production, "--on-revoke", "end", "acme-sap", "--", "bash", "-c", "echo have=$MAKINI_TOKEN_ACME_SAP; exec sleep 1000") + "; echo code=$?\n")
    shell.shows("have=" + SAP)
    revoke(production, "acme-sap")
    shell.shows("acme-sap: revoked")
    shell.shows("code=5")
    assert production.stop() == 0
    shell.types(line(production, "acme-crm", "--", "true") + "; echo code=$?\n")
    shell.shows("code=6")


def test_one_in_the_background_that_reads_or_writes_is_stopped_as_a_job_is(production, shell):
    shell.types(line(production, "acme-sap", "--", "cat") + " &\n")
    wait_for("stopped for reading", lambda: [state(p) for p in children_named(shell.pid, "makinictl")] == ["T"], 3.0)
    shell.types("fg\n")
    wait_for("it reads", lambda: [state(p) for p in children_named(shell.pid, "cat")] == ["S"], 3.0)
    shell.types("hello\n")
    shell.shows("hello\r")
    shell.types("\x04")
    wait_for("it ends", lambda: not children_named(shell.pid, "makinictl"), 3.0)
    shell.types("stty tostop; " + line(production, "acme-sap", "--", "sh", "-c", "sleep 0.3; echo written=$((1+1))") + " &\n")
    wait_for("stopped for writing", lambda: [state(p) for p in children_named(shell.pid, "makinictl")] == ["T"], 3.0)
    assert "written=2" not in shell.text
    shell.types("fg\n")
    shell.shows("written=2")


def test_a_shell_in_it_has_job_control_of_its_own(production, shell):
    shell.types(line(production, "acme-sap", "--", "/bin/bash", "--norc", "--noprofile", "-i") + "; echo code=$?\n")
    wait_for("the inner shell runs", lambda: len(children_named(shell.pid, "bash")) == 1, 3.0)
    shell.types("PS1='inner''> '\n")
    shell.shows("inner> ")
    shell.types("sleep 1000\n")
    wait_for("it sleeps", lambda: children_named(shell.pid, "sleep"), 3.0)
    shell.types("\x1a")
    shell.shows("Stopped")
    shell.shows("inner> ", 2)
    shell.types("kill -9 %1; echo token=$MAKINI_TOKEN_ACME_SAP\n")
    shell.shows("token=" + SAP)
    wait_for("the job is gone", lambda: not children_named(shell.pid, "sleep"), 3.0)
    shell.types("\n")
    shell.shows("Killed")
    shell.types("exit 5\n")
    shell.shows("code=5")
    shell.types("echo back=$((3+3))\n")
    shell.shows("back=6")


def test_a_terminal_that_hangs_up_ends_the_program(production):
    """As ssh -t runs it: it leads the session itself."""
    t = Terminal(command(production, "acme-sap", "--", "/bin/sleep", "1000"))
    wait_for("it runs", lambda: children_named(t.pid, "sleep"), 3.0)
    child, = children_named(t.pid, "sleep")
    t.hang_up()
    wait_for("it ends", lambda: os.waitpid(t.pid, os.WNOHANG)[0] == t.pid, 3.0)
    assert not alive(child)
