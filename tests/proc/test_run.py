# SPDX-License-Identifier: Apache-2.0
"""makinictl run: a program with tokens in its environment, started again when they change; against a running agent."""

import os
import re
import signal
import subprocess
import time

import pytest

from lib.instance import BILLING, demote, gone
from lib.kept import CRM, SAP, Run, nothing_stays, policy, production, ran, revoke, work

pytestmark = pytest.mark.root


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
    assert r.child() != first and gone(first) and r.lines == [SAP, "tok-sap-2"]
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
    r = Run(production, "--grace", "3s", "acme-sap", "--", "bash", "-c", "trap 'echo not me' TERM; echo $MAKINI_TOKEN_ACME_SAP; while :; do sleep 0.05; done")
    r.says(SAP)
    first = r.child()
    time.sleep(1.1)
    production.put("acme-sap", b"tok-sap-2")
    r.says("tok-sap-2", 5.0)
    assert "not me" in r.lines and gone(first)
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
