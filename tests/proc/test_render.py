# SPDX-License-Identifier: Apache-2.0
"""makinictl render: a file with tokens in it, kept current; against a running agent."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from lib.instance import BILLING
from lib.kept import TOLD_BOUND, Command, nothing_stays, policy, production, revoke, work
from lib.waiting import wait_for

pytestmark = pytest.mark.root
TEMPLATE = 'token = "{{access_token}}"\ncrm={{acme-crm:access_token}}\n'


@pytest.fixture
def template(production):
    return production.public("app.tpl", TEMPLATE)


class Render(Command):
    def __init__(self, instance, *args, **kw):
        super().__init__(instance, "render", *args, **kw)

    def ended(self):
        code = super().ended()
        assert "tok-" not in " ".join(self.lines + self.errors)
        return code


def rendered(i, *args, **kw):
    r = Render(i, *args, **kw)
    return r.ended(), r.errors


def text_of(path):
    try:
        return path.read_text()
    except FileNotFoundError:
        return None


def becomes(path, text, bound=TOLD_BOUND):
    wait_for("the file is as it must be", lambda: text_of(path) == text, bound)


def test_once_writes_the_file_and_leaves_it(production, work, template):
    out = work / "app.conf"
    assert rendered(production, "--once", "--connection", "acme-sap", template, out) == (0, [])
    st = out.stat()
    assert (st.st_mode & 0o7777, st.st_uid) == (0o400, BILLING) and out.read_text() == 'token = "tok-sap-1"\ncrm=tok-crm-1\n'
    assert [f.name for f in work.iterdir()] == ["app.conf"]


def test_all_fields_and_quotings_are_filled_in(production, work):
    value = "it's \"a\" $tok-\\n"
    production.put("acme-odd", {"access_token": value, "expires_at": "2099-01-02T03:04:05Z"})
    tpl = production.public("odd.tpl", '{"token":{{access_token|json}},"end":{{ expires_at | json }},"type":{{token_type|json}},"env":{{environment|json}},'
                            '"of":{{connection|json}},"v":{{version|json}},"state":{{state|json}},"none":{{acme-sap:expires_at|json}},"raw":"{{"{{"}}x}}"}\n')
    assert rendered(production, "--once", "--connection", "acme-odd", tpl, work / "f.json") == (0, [])
    doc = json.loads((work / "f.json").read_text())
    assert doc.pop("v") and doc == {"token": value, "end": "2099-01-02T03:04:05Z", "type": "bearer", "env": "production", "of": "acme-odd", "state": "current",
                                    "none": None, "raw": "{{x}}"}
    tpl = production.public("sh.tpl", "X={{access_token|shell}}\nN={{acme-sap:expires_at|shell}}\n")
    assert rendered(production, "--once", "--connection", "acme-odd", tpl, work / "f.sh") == (0, [])
    got = subprocess.run(["sh", "-c", f". {work}/f.sh; printf %s \"$X$N\""], capture_output=True).stdout.decode()
    assert got == value


@pytest.mark.parametrize("text, says", [
    ("a\nb {{acces_token}}", ":2: column 5: unknown field acces_token; did you mean access_token?"),
    ("{{acme-sap:tokn}}", ":1: column 12: unknown field tokn"), ("{{access_token|jsn}}", "column 16: unknown filter jsn; did you mean json?"),
    ("{{access_token", "}} is missing"), ("{{", "the field is missing"), ("{{Acme:version}}", "not a connection's name"), ('{{"x}}', 'closing " is missing'),
    ("{{access_token|}}", "the filter is missing"), ("{{access_token version}}", "}} is missing"),
])
def test_a_template_that_is_wrong_is_refused_by_line_and_column(production, work, text, says):
    tpl = production.public("bad.tpl", text)
    (work / "f").write_text("old")
    code, errors = rendered(production, "--once", "--connection", "acme-sap", tpl, work / "f")
    assert code == 1 and says in errors[0] and str(tpl) in errors[0], errors
    assert (work / "f").read_text() == "old"


def test_a_field_without_a_connection_is_a_question(production, work, template):
    code, errors = rendered(production, "--once", template, work / "f")
    assert code == 2 and "line 1, column 10: of which connection?" in errors[0]
    plain = production.public("plain.tpl", "nothing here")
    assert rendered(production, "--once", plain, work / "f")[0] == 2
    assert rendered(production, "--once", "--connection", "acme-sap", plain, work / "f")[0] == 0 and (work / "f").read_text() == "nothing here"


@pytest.mark.parametrize("names, code, says", [("globex-erp", 3, "globex-erp: denied"), ("acme-none", 4, "acme-none: not_found"), ("acme-crm", 5, "acme-crm: revoked")])
def test_without_a_token_there_is_no_file_and_an_old_one_goes(production, work, names, code, says):
    revoke(production, "acme-crm")
    tpl = production.public("one.tpl", "{{access_token}}")
    for once in (["--once"], []):
        assert rendered(production, "--once", "--connection", "acme-sap", tpl, work / "f")[0] == 0 and (work / "f").read_text() == "tok-sap-1"
        got, errors = rendered(production, *once, "--connection", names, tpl, work / "f")
        assert got == code and any(says in e for e in errors) and any("removed" in e for e in errors), errors
        assert list(work.iterdir()) == []
    assert rendered(production, "--once", "--connection", names, tpl, work / "f")[0] == code


def test_without_an_agent_the_old_file_stays(production, work):
    tpl = production.public("one.tpl", "{{access_token}}")
    (work / "f").write_text("old")
    production.stop()
    for once in (["--once"], []):
        assert rendered(production, *once, "--connection", "acme-sap", tpl, work / "f")[0] == 6 and (work / "f").read_text() == "old"


def test_it_stays_current_and_is_removed_at_the_end(production, work, template):
    out = work / "app.conf"
    r = Render(production, "--connection", "acme-sap", template, out)
    becomes(out, 'token = "tok-sap-1"\ncrm=tok-crm-1\n')
    production.put("acme-sap", b"tok-sap-2")
    becomes(out, 'token = "tok-sap-2"\ncrm=tok-crm-1\n')
    production.put("acme-crm", b"tok-crm-2")
    becomes(out, 'token = "tok-sap-2"\ncrm=tok-crm-2\n')
    assert out.stat().st_mode & 0o7777 == 0o400 and [f.name for f in work.iterdir()] == ["app.conf"]
    assert r.end() == 0 and not out.exists() and r.errors == []
    kept = Render(production, "--keep", "--connection", "acme-sap", template, out)
    becomes(out, 'token = "tok-sap-2"\ncrm=tok-crm-2\n')
    assert kept.end(signal.SIGINT) == 0 and out.exists()


def test_a_reader_sees_the_whole_old_or_the_whole_new_file(production, work):
    tpl = production.public("long.tpl", "{{access_token}}\n" * 500)
    out = work / "f"
    r = Render(production, "--connection", "acme-sap", tpl, out)
    becomes(out, "tok-sap-1\n" * 500)
    seen, over = set(), threading.Event()

    def read():
        while not over.is_set():
            lines = out.read_text().splitlines()
            seen.add((len(lines), len(set(lines))))
    reader = threading.Thread(target=read)
    reader.start()
    try:
        for n in range(10):
            production.put("acme-sap", b"tok-sap-n%d" % n)
        becomes(out, "tok-sap-n9\n" * 500)
    finally:
        over.set()
        reader.join()
    assert seen == {(500, 1)}
    r.end()


@pytest.mark.parametrize("keep", [[], ["--keep"]])
def test_at_revocation_the_file_is_removed_and_at_restore_it_is_back(production, work, template, keep):
    out = work / "app.conf"
    r = Render(production, *keep, "--connection", "acme-sap", template, out)
    becomes(out, 'token = "tok-sap-1"\ncrm=tok-crm-1\n')
    revoke(production, "acme-crm")
    becomes(out, None)
    r.warns("acme-crm: revoked")
    production.ctl("restore", "--socket", production.sock("admin"), "acme-crm")
    production.put("acme-crm", b"tok-crm-2")
    becomes(out, 'token = "tok-sap-1"\ncrm=tok-crm-2\n')
    production.write_policy(policy(names='"acme-sap"'))
    production.reload()
    becomes(out, None, 3.0)
    r.warns("acme-crm: denied")
    assert r.process.poll() is None
    r.end()


def test_the_command_runs_after_each_change_and_sees_what_it_was(production, work):
    tpl = production.public("one.tpl", "{{access_token}}")
    out, log = work / "f", work / "log"
    r = Render(production, "--connection", "acme-sap", "--exec", f"echo \"$MAKINI_EVENT $MAKINI_CONNECTION\" $(cat {out} 2>/dev/null) >> {log}", tpl, out)
    wait_for("the command ran", lambda: text_of(log) == "rendered acme-sap tok-sap-1\n", TOLD_BOUND)
    production.put("acme-sap", b"tok-sap-2")
    wait_for("it ran again", lambda: text_of(log).endswith("rendered acme-sap tok-sap-2\n"), TOLD_BOUND)
    revoke(production, "acme-sap")
    wait_for("and again", lambda: text_of(log).endswith("removed acme-sap\n"), TOLD_BOUND)
    assert len(text_of(log).splitlines()) == 3
    r.end()
    log.unlink()
    assert rendered(production, "--once", "--connection", "acme-crm", "--exec", f"sleep 0.3; echo $MAKINI_EVENT >> {log}; kill -TERM $$", tpl, out)[0] == 0
    assert text_of(log) == "rendered\n"


def test_the_command_has_what_was_set_before_and_its_end_is_seen_also_by_one_who_was_to_ignore_it(production, work):
    def prepare():
        os.umask(0o027)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    tpl = production.public("one.tpl", "{{access_token}}")
    out, log = work / "f", work / "log"
    r = Render(production, "--connection", "acme-sap", "--exec", f"echo $(umask) $(cat {out}) >> {log}", tpl, out, prepare=prepare)
    wait_for("the command ran", lambda: text_of(log) == "0027 tok-sap-1\n", TOLD_BOUND)
    production.put("acme-sap", b"tok-sap-2")
    wait_for("it ran again", lambda: text_of(log) == "0027 tok-sap-1\n0027 tok-sap-2\n", TOLD_BOUND)
    assert r.end() == 0


def test_a_file_that_somebody_else_removed_is_gone_for_the_command_too(production, work):
    tpl = production.public("one.tpl", "{{access_token}}")
    out, log = work / "f", work / "log"
    r = Render(production, "--connection", "acme-sap", "--exec", f"echo $MAKINI_EVENT >> {log}", tpl, out)
    wait_for("the command ran", lambda: text_of(log) == "rendered\n", TOLD_BOUND)
    out.unlink()
    revoke(production, "acme-sap")
    wait_for("it ran again", lambda: text_of(log) == "rendered\nremoved\n", TOLD_BOUND)
    assert r.end() == 0


def test_a_hangup_that_is_ignored_does_not_end_it(production, work):
    tpl = production.public("one.tpl", "{{access_token}}")
    r = Render(production, "--connection", "acme-sap", tpl, work / "f", prepare=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
    becomes(work / "f", "tok-sap-1")
    r.process.send_signal(signal.SIGHUP)
    production.put("acme-sap", b"tok-sap-2")
    becomes(work / "f", "tok-sap-2")
    plain = Render(production, "--connection", "acme-sap", tpl, work / "plain")
    becomes(work / "plain", "tok-sap-2")
    assert plain.end(signal.SIGHUP) == 0 and r.process.poll() is None and r.end() == 0


def test_it_can_be_ended_while_no_answer_comes(production, work):
    tpl = production.public("one.tpl", "{{access_token}}")
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(work / "mute.sock"))
        (work / "mute.sock").chmod(0o666)
        mute.listen()
        mute.settimeout(20)
        r = Render(production, "--socket", work / "mute.sock", "--connection", "acme-sap", tpl, work / "f")
        with mute.accept()[0]:
            r.process.send_signal(signal.SIGTERM)
            assert r.process.wait(20) == -signal.SIGTERM


def test_a_file_that_cannot_be_removed_at_the_end_is_a_failure(production, work):
    tpl = production.public("one.tpl", "{{access_token}}")
    r = Render(production, "--connection", "acme-sap", tpl, work / "f")
    becomes(work / "f", "tok-sap-1")
    work.chmod(0o555)
    assert r.end() == 1 and any("cannot be removed" in e for e in r.errors)
    work.chmod(0o755)


def test_an_agent_that_goes_is_missed_once_and_found_again(production, work, template):
    out = work / "app.conf"
    r = Render(production, "--connection", "acme-sap", template, out)
    becomes(out, 'token = "tok-sap-1"\ncrm=tok-crm-1\n')
    production.stop()
    r.warns("the agent went away", 2.0)
    production.put("acme-sap", b"tok-sap-2")
    time.sleep(2)
    assert len(r.errors) == 1 and 'token = "tok-sap-1"' in out.read_text()
    production.start()
    becomes(out, 'token = "tok-sap-2"\ncrm=tok-crm-1\n', 10.0)
    r.end()


def test_what_has_expired_is_removed_also_without_an_agent(production, work):
    ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 12))
    production.put("acme-sap", {"access_token": "tok-sap-short", "expires_at": ends})
    tpl = production.public("one.tpl", "{{access_token}}")
    r = Render(production, "--connection", "acme-sap", tpl, work / "f")
    becomes(work / "f", "tok-sap-short")
    production.stop()
    becomes(work / "f", None, 15.0)
    r.warns("has expired")
    r.end()


def test_a_file_that_cannot_be_written_is_left_and_tried_again(production, work):
    tpl = production.public("one.tpl", "{{access_token}}")
    out = work / "f"
    r = Render(production, "--connection", "acme-sap", tpl, out)
    becomes(out, "tok-sap-1")
    work.chmod(0o555)
    production.put("acme-sap", b"tok-sap-2")
    r.warns("is left as it was", 2.0)
    assert out.read_text() == "tok-sap-1"
    work.chmod(0o755)
    becomes(out, "tok-sap-2", 12.0)
    r.end()


def test_places_that_others_may_write_to_are_refused(production, work, template):
    args = ("--once", "--connection", "acme-sap", template)
    for mode, code in ((0o777, 1), (0o775, 1), (0o1777, 0), (0o755, 0)):
        work.chmod(mode)
        assert rendered(production, *args, work / "f")[0] == code, oct(mode)
    os.chown(work, BILLING + 1, BILLING)
    assert rendered(production, *args, work / "f")[0] == 1
    os.chown(work, BILLING, BILLING)
    assert rendered(production, *args, work / "not-there" / "f")[0] == 1
    (work / "d").mkdir()
    assert rendered(production, *args, work / "d")[0] == 1
    target = work / "target"
    target.write_text("mine")
    (work / "link").symlink_to(target)
    assert rendered(production, *args, work / "link")[0] == 0 and target.read_text() == "mine" and not (work / "link").is_symlink()


def test_a_template_that_others_may_write_to_is_refused(production, work):
    tpl = production.public("one.tpl", "{{access_token}}")
    args = ("--once", "--connection", "acme-sap")
    assert rendered(production, *args, tpl, work / "f")[0] == 0
    tpl.chmod(0o666)
    assert rendered(production, *args, tpl, work / "f")[0] == 1
    assert rendered(production, *args, production.dir / "none.tpl", work / "f")[0] == 1
    own = work / "own.tpl"
    own.write_text("{{access_token}}")
    os.chown(own, BILLING, BILLING)
    code, errors = rendered(production, *args, own, own)
    assert code == 2 and "template itself" in errors[0] and own.read_text() == "{{access_token}}"


def test_killed_in_the_middle_it_leaves_a_whole_file(production, work):
    tpl = production.public("one.tpl", "{{access_token}}")
    r = Render(production, "--connection", "acme-sap", tpl, work / "f")
    becomes(work / "f", "tok-sap-1")
    assert r.end(signal.SIGKILL) == -signal.SIGKILL and text_of(work / "f") == "tok-sap-1"
    for name in (".f.0123456789abcdef", ".f.0123456789abcdeg", ".g.0123456789abcdef", "f.0123456789abcdef"):  # the first as one in the middle of a write would leave it
        (work / name).write_text("tok-sap-1")
        os.chown(work / name, BILLING, BILLING)
    again = Render(production, "--connection", "acme-sap", tpl, work / "f")
    production.put("acme-sap", b"tok-sap-2")
    becomes(work / "f", "tok-sap-2", 2.0)
    left = [".f.0123456789abcdeg", ".g.0123456789abcdef", "f", "f.0123456789abcdef"]
    wait_for("only what is not its own is left", lambda: sorted(f.name for f in work.iterdir()) == left, TOLD_BOUND)
    again.end()


@pytest.mark.parametrize("args", [[], ["a"], ["a", "b", "c"], ["--exec", "", "a", "b"], ["--connection", "acme--sap", "TPL", "f"]])
def test_what_is_asked_for_wrongly_is_refused(production, template, args):
    assert rendered(production, *[str(template) if a == "TPL" else a for a in args])[0] == 2
