# SPDX-License-Identifier: Apache-2.0
"""makinictl run when a token comes to its end, and when the agent goes and comes back."""

import os
import subprocess
import time

import pytest

from lib.instance import BILLING, demote, gone
from lib.kept import CRM, ENDS_LATER, SAP, SHOW, TOLD_BOUND, Run, command, nothing_stays, policy, production, revoke, work
from lib.waiting import wait_for

pytestmark = pytest.mark.root


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
    assert r.ended() == 5 and gone(child) and any("acme-crm is gone: ending" in e for e in r.errors)


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
    p = subprocess.Popen(command(production, "run", "--on-revoke", "end", "acme-sap", "--", "sh", "-c", "echo up; exec sleep 1000"), stdin=subprocess.DEVNULL,
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
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 20))
    production.put("acme-sap", {"access_token": "tok-sap-short", "expires_at": ends})
    r = Run(production, "--files", "acme-sap", "--", "bash", "-c", SHOW)
    r.says("up: tok-sap-short")
    production.stop()
    r.warns("acme-sap: its token has expired", 25.0)
    assert len(r.errors) == 2 and r.lines == ["up: tok-sap-short"]
    r.end()
