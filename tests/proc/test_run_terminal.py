# SPDX-License-Identifier: Apache-2.0
"""makinictl run and signals: those that it is sent, and the keys of a real terminal."""

import contextlib
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time

import pytest

from lib.instance import BILLING, demote, gone
from lib.kept import ENDS_LATER, GONE_BOUND, SAP, TOLD_BOUND, Run, command, content, nothing_stays, production, ran, revoke, work
from lib.waiting import wait_for

pytestmark = pytest.mark.root


def pending(pid, signo):
    """Was it sent to it, and not taken yet?"""
    masks = re.findall(r"^S(?:ig|hd)Pnd:\t(\w+)", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)
    return any(int(m, 16) >> (signo - 1) & 1 for m in masks)


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
    wait_for("the child goes, too", lambda: gone(child), GONE_BOUND)


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
    inner = command(production, "run", "acme-sap", "--", "bash", "-c",
                    "trap 'echo asked; exit 6' TERM; o=$(sleep 0.2 > /dev/null & echo $!); while [ -e /proc/$o ] && [ $((n+=1)) -lt 1000 ]; "
                    "do sleep 0.05; done; [ -e /proc/$o ] && echo there || echo reaped; echo up; while :; do sleep 0.05; done")
    argv = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "setpriv", f"--reuid={BILLING}", f"--regid={BILLING}", "--clear-groups", *inner]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"}) as p:
        try:
            assert p.stdout.readline() == b"reaped\n" and p.stdout.readline() == b"up\n"
            first = int(pathlib.Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split()[0])
            os.kill(first, signal.SIGTERM)
            assert p.stdout.read() == b"asked\n" and p.wait(20) == 6
        finally:
            p.kill()


def test_a_program_that_ends_by_itself_ends_it_and_orphans_are_no_matter(production):
    code, lines, _ = ran(production, "acme-sap", "--", "sh", "-c", "(sleep 0.1; echo orphan) & echo done; exit 3")
    assert code == 3 and "done" in lines


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
        if master >= 0:
            os.close(master)

    def ended(self):
        """And is waited for."""
        if self.pid and os.waitpid(self.pid, os.WNOHANG)[0] == self.pid:
            self.pid = 0
        return self.pid == 0

    def close(self):
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
        self.hang_up()
        if self.pid:
            os.waitpid(self.pid, 0)


@pytest.fixture
def shell():
    with contextlib.closing(Terminal(["/bin/bash", "--norc", "--noprofile", "-i"])) as t:
        t.types("PS1='ready''> '; stty -echo\n")
        t.shows("ready> ")
        yield t


def line(i, *args):
    return " ".join(f"'{a}'" for a in command(i, "run", *args))


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
    with contextlib.closing(Terminal(command(production, "run", "acme-sap", "--", "/bin/sleep", "1000"))) as t:
        wait_for("it runs", lambda: children_named(t.pid, "sleep"), 3.0)
        child, = children_named(t.pid, "sleep")
        t.hang_up()
        wait_for("it ends", t.ended, 3.0)
        assert gone(child)
