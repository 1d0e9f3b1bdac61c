# SPDX-License-Identifier: Apache-2.0
"""Revocation when nothing is as it should be: no store, no disk, a freeze, a mistyped name, two who do it at once. Each time the
command line says what happened and what to do, by words and by its exit code."""

import contextlib
import os
import shutil
import subprocess
import threading

import pytest

from lib.instance import AGENT, Instance
from lib.waiting import wait_for

from .test_revocation import ADMINS, FIRST, GROUP, SECOND, admin, agent_killed, counted, is_dead, made, restore, revoke, status

pytestmark = pytest.mark.root


def ctl(i, *words, uid=FIRST):
    """Exit code, what it printed, what it complained of."""
    done = subprocess.run([str(i.build / "bin" / "makinictl"), *words, "--socket", str(i.sock("admin"))], capture_output=True, timeout=120,
                          preexec_fn=lambda: (os.setgroups([GROUP]), os.setresgid(uid, uid, uid), os.setresuid(uid, uid, uid)))
    assert b"tok-" not in done.stdout + done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.fixture()
def one():
    with made() as i:
        yield i.start()


# ---- names ----

def test_a_name_that_no_store_lists_is_revoked_and_said_to_be_unknown(one):
    assert one.get("/v1/tokens").status == 200, "the list of names is known"
    code, out, err = ctl(one, "revoke", "acme-spa")
    assert (code, err) == (0, "") and "acme-spa revoked at" in out and "NOTE: no store lists a connection acme-spa: was another one meant?" in out, out
    wait_for("the log's line", lambda: [r for r in one.events("revoked_not_there") if r["connection"] == "acme-spa"], 2.0)
    code, out, err = ctl(one, "revoke", "acme-sap")
    assert code == 0 and "NOTE" not in out, out
    is_dead(one, "acme-spa")
    is_dead(one, "acme-sap")


def test_what_is_no_name_revokes_nothing_and_says_so(one):
    for bad in ("Acme", "acme-*", "acme_sap", "a" * 64, "acme--sap"):
        code, out, err = ctl(one, "revoke", "acme-sap", bad)
        assert code != 0 and not out and err.startswith("makinictl"), (bad, code, err)
    assert one.token("acme-sap").status == 200
    code, out, err = ctl(one, "revoke", "acme-sap", "--reason", "x" * 257)
    assert code == 2 and "256" in err


def test_sixty_four_at_once_and_not_one_more(one):
    names = [f"acme-{n}" for n in range(63)]
    code, out, err = ctl(one, "revoke", *names, "acme-sap", "--reason", "INC-64")
    assert (code, err) == (0, "") and out.count(" revoked at ") == 64
    assert len([r for r in one.audit("revoke") if r["detail"] == "INC-64"]) == 64
    assert status(one)["revocations"]["connections"] == 64
    is_dead(one, "acme-sap")
    code, out, err = ctl(one, "revoke", *names, "acme-crm", "acme-x")
    assert code == 2 and "64" in err, (code, err)
    assert one.token("acme-crm").status == 200, "none of them"
    agent_killed(one)
    assert status(one)["revocations"]["connections"] == 64
    is_dead(one, "acme-62")


def test_twice_is_as_good_as_once_and_both_are_on_record(one):
    one.token("acme-sap")
    for reason in ("INC-1", "INC-2"):
        code, out, err = ctl(one, "revoke", "acme-sap", "--reason", reason)
        assert (code, err) == (0, "") and "1 value will not be served again" in out, out
    assert [r["detail"] for r in one.audit("revoke")] == ["INC-1", "INC-2"]
    assert counted(one) == (1, 1)
    assert restore(one, "acme-sap").status == 200, "one restore undoes both"
    code, out, err = ctl(one, "restore", "acme-sap")
    assert code == 4 and "not revoked" in err, (code, err)


def test_two_administrators_at_once_are_both_answered_and_nothing_lives(one):
    """The same names in another order."""
    for name in ("acme-sap", "acme-crm"):
        assert one.token(name).status == 200
    wrong = []

    def work(uid, names):
        for n in range(20):
            r = admin(one, uid, "POST", "/v1/revocations", {"connections": names, "reason": f"{uid}-{n}"})
            if r.status != 200 or [d["connection"] for d in r.json()["revoked"]] != names:
                wrong.append(r)
    one.caller(FIRST, gid=GROUP), one.caller(SECOND, gid=GROUP)
    threads = [threading.Thread(target=work, args=a) for a in ((FIRST, ["acme-sap", "acme-crm"]), (SECOND, ["acme-crm", "acme-sap"]))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong
    assert len(one.audit("revoke")) == 80
    agent_killed(one)
    is_dead(one, "acme-sap")
    is_dead(one, "acme-crm")
    assert one.verify().returncode == 0


def test_it_works_while_everything_is_frozen(one):
    one.token("acme-sap")
    assert admin(one, FIRST, "POST", "/v1/freeze", {"reason": "INC-3"}).status == 200
    assert one.token("acme-sap").status == 503
    code, out, err = ctl(one, "revoke", "acme-sap")
    assert (code, err) == (0, "") and "1 value will" in out
    agent_killed(one)
    assert one.token("acme-sap").status == 503
    assert status(one)["revocations"]["connections"] == 1
    assert restore(one, "acme-crm").status == 404


def test_without_an_agent_it_says_so(one):
    one.process.kill()
    one.process.wait()
    code, out, err = ctl(one, "revoke", "acme-sap")
    assert code == 6 and not out and err, (code, err)


# ---- no store ----

def test_it_needs_no_store():
    """Nothing answers there, from the start."""
    nowhere = '{ name = "bao"; type = "vault"; address = "http://127.0.0.1:9"; mount = "secret"; path = "x/{connection}"; auth = { method = "token"; token_file = "%s"; }; }'
    with Instance(policy=ADMINS, groups=(GROUP,), backend=lambda i: nowhere % i.credential("token", "t-1")) as i:
        i.write_conf('admin = { group = "61030"; };')
        i.start()
        code, out, err = ctl(i, "revoke", "acme-sap")
        assert (code, err) == (0, "") and "no value of it was in memory" in out, (code, out, err)
        is_dead(i, "acme-sap")
        agent_killed(i)
        is_dead(i, "acme-sap")


# ---- no disk ----

@contextlib.contextmanager
def on_a_small_disk(which):
    """state_dir, or the audit log's directory, on a file system of 2 MiB."""
    with Instance(policy=ADMINS, groups=(GROUP,)) as i:
        at = i.state if which == "state" else i.audit_dir
        kept = i.dir / "kept"
        shutil.copytree(at, kept, copy_function=shutil.copy2)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size=2m,mode=700,uid={AGENT},gid={AGENT}", "tmpfs", at], check=True)
        try:
            shutil.copytree(kept, at, copy_function=shutil.copy2, dirs_exist_ok=True)
            for path in [at, *at.rglob("*")]:
                os.chown(path, AGENT, AGENT)
            i.write_conf('admin = { group = "61030"; };')
            i.put("acme-sap", b"tok-sap")
            i.put("acme-crm", b"tok-crm")
            yield i.start(), at
        finally:
            i.close()
            subprocess.run(["umount", "-l", at], check=False)


def fill(at):
    with contextlib.suppress(OSError), open(at / "full", "wb") as f:
        while True:
            f.write(b"x" * 4096)
            f.flush()
    with contextlib.suppress(OSError), open(at / "full", "ab", buffering=0) as f:
        while True:
            f.write(b"x")


def test_on_a_full_disk_it_is_in_force_and_the_answer_says_for_how_long():
    with on_a_small_disk("state") as (i, at):
        assert i.token("acme-sap").status == 200
        fill(at)
        names = []
        for n in range(400):  # what the database's file has room for inside goes first
            names.append(f"acme-{n}")
            code, out, err = ctl(i, "revoke", names[-1])
            if code != 0:
                break
        assert code == 1 and not out, (code, out, err)
        assert "it is revoked now" in err and "ends with this process" in err and "make room, revoke again" in err, err
        code, out, err = ctl(i, "revoke", "acme-sap")
        assert code == 1 and "it is revoked now" in err, err
        is_dead(i, "acme-sap")
        wait_for("the log's line", lambda: [r for r in i.events("revocation_not_kept") if "free the disk" in r["remedy"]], 2.0)
        code, out, err = ctl(i, "restore", "acme-sap")
        assert code == 1 and err, "nor can it be undone: nothing is half"
        is_dead(i, "acme-sap")
        (at / "full").unlink()
        code, out, err = ctl(i, "revoke", "acme-sap", names[-1])
        assert (code, err) == (0, ""), err
        agent_killed(i)
        is_dead(i, "acme-sap")
        is_dead(i, names[-1])
        i.put("acme-crm", b"tok-sap")
        is_dead(i, "acme-crm")
        assert i.verify().returncode == 0


def test_where_only_the_log_is_full_it_is_kept_and_the_answer_says_that_it_is_not_recorded():
    with on_a_small_disk("log") as (i, at):
        assert i.token("acme-sap").status == 200
        fill(at)
        seen = []
        for n in range(400):
            code, out, err = ctl(i, "revoke", "acme-sap", "--reason", "x" * 200)
            seen.append(code)
            if code != 0:
                break
        assert code == 1 and "it is revoked now and stays so" in err and "audit log could not be written" in err, (seen, err)
        code, out, err = ctl(i, "revoke", "acme-crm")
        assert code == 1 and "stays so" in err
        assert i.token("acme-crm").status in (410, 503), "no record, no answer"
        i.process.kill()
        i.process.wait()
        (at / "full").unlink()
        i.start()
        is_dead(i, "acme-sap")
        is_dead(i, "acme-crm")


def test_on_a_state_directory_that_cannot_be_written_the_agent_does_not_start_and_says_why():
    with made() as i:
        i.start()
        revoke(i, "acme-sap")
        assert i.stop() == 0
        subprocess.run(["mount", "--bind", i.state, i.state], check=True)
        try:
            subprocess.run(["mount", "-o", "remount,ro,bind", i.state], check=True)
            i.spawn()
            wait_for("the end", lambda: i.process.poll() is not None, 5.0)
            assert i.process.returncode != 0
            said = i.log_text()
            assert "state" in said and ("cannot be" in said or "Read-only" in said), said[-1500:]
        finally:
            subprocess.run(["umount", "-l", i.state], check=True)
        i.start()
        is_dead(i, "acme-sap")


# ---- both rolled back ----

def copied(from_, to):
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(from_, to, copy_function=shutil.copy2)
    for path in [to, *to.rglob("*")]:
        os.chown(path, AGENT, AGENT)


def test_log_and_database_of_yesterday_together_are_found_by_who_has_a_newer_head_and_by_nobody_else():
    with made() as i:
        i.start()
        i.token("acme-sap")
        assert i.stop() == 0
        copied(i.state, i.dir / "state.yesterday")
        copied(i.audit_dir, i.dir / "log.yesterday")
        i.start()
        revoke(i, "acme-sap")
        is_dead(i, "acme-sap")
        assert i.stop() == 0
        head = i.audit()[-1]  # left the host with the process log, or with a copy
        expect = ["audit", "verify", "--key", i.auditor_key, "--expect", f"{head['seq']}:{head['mac']}", i.audit_log]
        assert i.ctl(*expect).returncode == 0
        copied(i.dir / "state.yesterday", i.state)
        copied(i.dir / "log.yesterday", i.audit_dir)
        i.start()
        assert i.token("acme-sap").status == 200, "nothing on this host can tell"
        assert i.verify().returncode == 0, "nor can the log itself"
        found = i.ctl(*expect, check=False)
        print(found)
        assert found.returncode == 1 and f"{head['seq']}".encode() in found.stdout + found.stderr, found
        assert i.stop() == 0
