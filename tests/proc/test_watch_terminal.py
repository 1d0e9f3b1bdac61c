# SPDX-License-Identifier: Apache-2.0
"""makinictl watch in a real terminal: a pseudo-terminal that is its controlling one, keys and all."""

import os
import pty
import re
import signal
import subprocess
import threading

import pytest

from lib.instance import BILLING, SECTEAM, Instance, demote, hold_still
from lib.waiting import wait_for

pytestmark = pytest.mark.root
POLICY = """
environment = "production";
services = ( { name = "billing"; identity = { uid = %d; }; }, { name = "secteam"; identity = { socket = "admin"; uid = %d; }; } );
rules = ( { allow = "billing"; actions = [ %%s ]; connections = [ "acme-*" ]; },
          { allow = "secteam"; actions = [ "status", "revoke", "restore" ]; connections = [ "*" ]; } );
""" % (BILLING, SECTEAM)
TOLD_BOUND = 1.0


@pytest.fixture
def production():
    with Instance(policy=POLICY % '"get", "watch"', conf="admin = { two_person = []; };") as i:
        i.put("acme-sap", b"tok-1")
        yield i.start()


@pytest.fixture(autouse=True)
def nothing_stays():
    """Also when a test fails."""
    yield
    while Terminal.living:
        t = Terminal.living.pop()
        if t.process.poll() is None:
            os.killpg(t.process.pid, signal.SIGKILL)
            t.process.wait()


class Terminal:
    """A command of a user's with a terminal of its own; what is shown there, without colours or anything else but text."""

    living = []

    def __init__(self, *args, user=BILLING, env=None):
        self.master, slave = pty.openpty()
        os.chmod(os.ttyname(slave), 0o666)

        def enter():
            demote(user)()
            import fcntl
            import termios
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen([str(a) for a in args], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=enter, env={"PATH": "/usr/bin:/bin", "TERM": "xterm", **(env or {})})
        Terminal.living.append(self)
        os.close(slave)
        self.text = ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            try:
                got = os.read(self.master, 4096)
            except OSError:  # nobody has the terminal open any more
                return
            if not got:
                return
            self.text += got.decode()

    def lines(self):
        return self.text.split("\r\n")[:-1]

    def type(self, keys):
        os.write(self.master, keys)

    def shows(self, *lines):
        wait_for(lines[-1], lambda: self.lines()[-len(lines):] == list(lines), TOLD_BOUND)

    def ends(self):
        code = self.process.wait(20)
        self.reader.join(20)  # what it said last has been read
        return code


UNDER_A_SHELL = ("/bin/sh", "-c", 'trap : INT; "$@"; echo "code $?"; sleep 1', "sh")  # which has the terminal, and survives the key


def watch(i, *args, under=(), streams=1):
    t = Terminal(*under, i.build / "bin" / "makinictl", "watch", "--socket", i.sock(), *args)
    wait_for("it is open", lambda: i.get("/v1/status", uid=SECTEAM, sock="admin").json()["streams"] == streams, TOLD_BOUND)
    return t


def admin(i, target, method, body=b""):
    a = i.caller(SECTEAM).connect(i.sock("admin"))
    assert a.request(target, method, headers={"Content-Type": "application/json"} if body else None, body=body).status == 200
    a.close()


REVOKE = b'{"connections":["acme-sap"],"reason":"a test"}'
SAY = 'echo "<$MAKINI_EVENT $MAKINI_CONNECTION $MAKINI_VERSION>"'


def version(i):
    return i.token("acme-sap").json()["version"]


def test_rotation_revocation_restart_and_denial_are_shown_as_they_happen(production):
    version(production)
    t = watch(production, "acme-sap")
    production.put("acme-sap", b"tok-2")
    t.shows(f"rotated   acme-sap {version(production)}")
    admin(production, "/v1/revocations", "POST", REVOKE)
    t.shows("revoked   acme-sap -")
    admin(production, "/v1/revocations/acme-sap", "DELETE")
    t.shows("restored  acme-sap -")
    production.put("acme-sap", b"tok-3")
    t.shows(f"rotated   acme-sap {version(production)}")
    os.kill(production.pids()["broker"], signal.SIGKILL)
    t.shows("makinictl: the stream ended; connecting again", "resync    - -")
    production.write_policy(POLICY % '"get"')
    assert production.reload()["event"] == "reloaded"
    assert t.ends() == 3
    assert t.lines()[-2] == "makinictl: the stream ended; connecting again" and re.match(r"makinictl: .*(denied|may not)", t.lines()[-1])
    assert "tok-" not in t.text and "\033" not in t.text


def test_a_command_is_run_for_each_and_for_the_last_one_before_a_denial_ends_it(production):
    version(production)
    t = watch(production, "--exec", f"{SAY}; sleep 0.2")
    production.put("acme-sap", b"tok-2")
    v = version(production)
    t.shows(f"<rotated acme-sap {v}>")
    admin(production, "/v1/revocations", "POST", REVOKE)
    t.shows("<revoked acme-sap >")
    admin(production, "/v1/revocations/acme-sap", "DELETE")
    t.shows("<restored acme-sap >")
    os.kill(production.pids()["broker"], signal.SIGKILL)
    t.shows("makinictl: the stream ended; connecting again", "<resync  >")
    other = watch(production, streams=2)
    hold_still(t.process.pid)
    admin(production, "/v1/revocations", "POST", REVOKE)
    other.shows("revoked   acme-sap -")  # and so the one that stands still has it before it
    production.write_policy(POLICY % '"get"')
    assert production.reload()["event"] == "reloaded"
    t.process.send_signal(signal.SIGCONT)
    assert t.ends() == 3
    assert "<revoked acme-sap >" in t.lines()[-3:], t.lines()


def test_a_key_ends_it_and_its_command(production):
    version(production)
    t = watch(production, "--exec", f"trap 'echo bye; exit 0' INT; {SAY}; sleep 300", under=UNDER_A_SHELL)
    production.put("acme-sap", b"tok-2")
    t.shows(f"<rotated acme-sap {version(production)}>")
    t.type(b"\x03")
    wait_for("both heard it", lambda: {"bye", "code 130"} <= {x.removeprefix("^C") for x in t.lines()}, TOLD_BOUND)
    wait_for("closed", lambda: production.get("/v1/status", uid=SECTEAM, sock="admin").json()["streams"] == 0, TOLD_BOUND)


def test_a_stop_and_a_continue_lose_nothing(production):
    version(production)
    t = watch(production, "acme-sap")
    t.process.send_signal(signal.SIGTSTP)
    production.put("acme-sap", b"tok-2")
    second = version(production)
    production.put("acme-sap", b"tok-3")
    third = version(production)
    t.process.send_signal(signal.SIGCONT)
    t.shows(f"rotated   acme-sap {second}", f"rotated   acme-sap {third}")
    t.type(b"\x03")
    assert t.ends() == -signal.SIGINT


def test_where_there_is_no_agent_it_says_so_and_ends(production):
    production.stop()
    t = Terminal(production.build / "bin" / "makinictl", "watch", "--socket", production.sock(), "--exec", SAY, "acme-sap")
    assert t.ends() == 6
    assert len(t.lines()) == 1 and str(production.sock()) in t.lines()[0], t.lines()


def test_an_agent_that_is_started_again_later_is_found(production):
    version(production)
    t = watch(production, "--exec", SAY, "acme-sap")
    assert production.stop() == 0
    t.shows("makinictl: the stream ended; connecting again")
    production.put("acme-sap", b"tok-2")
    production.start()
    wait_for("back", lambda: t.lines()[-1] == "<resync  >", 9.0)
    version(production)  # so that the new agent knows it, too
    production.put("acme-sap", b"tok-3")
    t.shows(f"<rotated acme-sap {version(production)}>")
    t.type(b"\x03")
    assert t.ends() == -signal.SIGINT


def test_render_in_a_terminal_goes_through_all_of_it_and_a_key_ends_it_and_its_file(production):
    work = production.dir / "work"
    work.mkdir()
    os.chown(work, BILLING, BILLING)
    out, tpl = work / "f", production.public("one.tpl", "<{{access_token}}>")

    def render(*args):
        return Terminal(production.build / "bin" / "makinictl", "render", "--socket", production.sock(), *args, tpl, out)

    def becomes(text, bound=TOLD_BOUND):
        wait_for(f"the file is {text}", lambda: (out.read_text() if out.exists() else None) == text, bound)
    t = render("--connection", "acme-sap")
    becomes("<tok-1>")
    production.put("acme-sap", b"tok-2")
    becomes("<tok-2>")
    admin(production, "/v1/revocations", "POST", REVOKE)
    becomes(None)
    t.shows(f"makinictl: {out}: removed, as acme-sap is gone", "makinictl: acme-sap: revoked: the token is revoked")
    admin(production, "/v1/revocations/acme-sap", "DELETE")
    production.put("acme-sap", b"tok-3")
    becomes("<tok-3>")
    assert production.stop() == 0
    t.shows("makinictl: the agent went away; what it gave stays in use, and it is looked for")
    production.put("acme-sap", b"tok-4")
    production.start()
    becomes("<tok-4>", 10.0)
    t.type(b"\x03")
    assert t.ends() == 0 and not out.exists() and "tok-" not in t.text
    t = render("--connection", "globex-erp")
    assert t.ends() == 3 and "denied" in t.text and not out.exists()
    production.stop()
    t = render("--connection", "acme-sap")
    assert t.ends() == 6 and str(production.sock()) in t.text and not out.exists()
