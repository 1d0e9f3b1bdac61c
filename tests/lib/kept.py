# SPDX-License-Identifier: Apache-2.0
"""makinictl run, render and watch: an agent with two tokens that a service may get and watch, and such a command with what it
says, line by line. A file of tests imports the fixtures that it uses."""

import contextlib
import os
import pathlib
import signal
import subprocess
import threading

import pytest

from .instance import BILLING, SECTEAM, Instance, demote
from .waiting import wait_for

TOLD_BOUND = 1.0  # seconds from the end of a put in the embedded store to a program that was told or started again, or to a file
POLICY = """
environment = "production";
services = ( { name = "billing"; identity = { uid = %d; }; }, { name = "secteam"; identity = { socket = "admin"; uid = %d; }; } );
rules = ( { allow = "billing"; actions = [ %s ]; connections = [ %s ]; %s },
          { allow = "secteam"; actions = [ "status", "freeze", "thaw", "revoke", "restore" ]; connections = [ "*" ]; } );
"""
GONE_BOUND = 1.0  # seconds from the end of run to the end of what it held
SAP, CRM = "tok-sap-1", "tok-crm-1"

# Says what the file holds: at its start and when it is told.
SHOW = "show() { echo \"$1:\" $(cat $MAKINI_TOKENS_DIR/acme-sap 2>&1); }; trap 'show hup' HUP; show up; while :; do sleep 0.05; done"

# Asked to end, it does so when it finds that file.
ENDS_LATER = "trap 'echo asked; while [ ! -e $1 ]; do sleep 0.05; done; exit 4' TERM; echo up; while :; do sleep 0.05; done"


def policy(actions='"get", "watch"', names='"acme-*"', rate='rate = "100000/s";'):
    return POLICY % (BILLING, SECTEAM, actions, names, rate)


@contextlib.contextmanager
def started(policy, conf=""):
    """Two tokens are billing's, the third is not."""
    with Instance(policy=policy) as i:
        i.write_conf(conf + " admin = { two_person = []; };")
        i.put("acme-sap", SAP.encode())
        i.put("acme-crm", CRM.encode())
        i.put("globex-erp", b"tok-globex")
        yield i.start()


@pytest.fixture
def production():
    with started(policy()) as i:
        yield i


@pytest.fixture
def work(production):
    """A directory that the program may write to."""
    d = production.dir / "work"
    d.mkdir()
    os.chown(d, BILLING, BILLING)
    return d


@pytest.fixture(autouse=True)
def nothing_stays():
    """Also when a test fails."""
    yield
    while Command.living:
        p = Command.living.pop().process
        if p.poll() is None:
            p.kill()
            p.wait()


def revoke(i, *names):
    i.ctl("revoke", "--socket", i.sock("admin"), "--reason", "test", *names)


def command(i, which, *args):
    return [str(i.build / "bin" / "makinictl"), which, "--socket", str(i.sock()), *map(str, args)]


class Command:
    """A running command of a user; its output line by line."""

    living = []

    def __init__(self, instance, which, *args, user=BILLING, env=None, prepare=None):
        self.which, self.lines, self.errors = which, [], []

        def before():
            demote(user)()
            if prepare:
                prepare()
        self.process = subprocess.Popen(command(instance, which, *args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=before, env={"PATH": "/usr/bin:/bin", **(env or {})})
        Command.living.append(self)
        self.readers = [threading.Thread(target=lambda p=p, t=t: [t.append(x.decode().rstrip("\n")) for x in p], daemon=True)
                        for p, t in ((self.process.stdout, self.lines), (self.process.stderr, self.errors))]
        for r in self.readers:
            r.start()

    def warns(self, text, bound=TOLD_BOUND):
        wait_for(f"{self.which} says {text}", lambda: any(text in e for e in self.errors), bound)

    def end(self, signo=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(signo)
        return self.ended()

    def ended(self):
        code = self.process.wait(60)
        for r in self.readers:
            r.join(20)
        return code


class Run(Command):
    """makinictl run; what its program says is among the lines."""

    def __init__(self, instance, *args, **kw):
        super().__init__(instance, "run", *args, **kw)

    def says(self, line, bound=TOLD_BOUND):
        wait_for(f"it says {line}", lambda: line in self.lines, bound)

    def child(self):
        return int(pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])


def ran(i, *args, **kw):
    """To its end: code, output, errors."""
    r = Run(i, *args, **kw)
    code = r.ended()
    return code, r.lines, r.errors


def content(path):
    """Nothing where it is gone by now."""
    try:
        return path.read_bytes()
    except OSError:
        return b""
