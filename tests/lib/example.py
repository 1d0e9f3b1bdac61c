# SPDX-License-Identifier: Apache-2.0
"""The programs of examples/clients as a service runs them: copied where other users can read them, with an environment of
their own, once or until they end; and the agent that they ask."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading

from .instance import BILLING, ROOT, SECTEAM, Instance, demote
from .waiting import wait_for

SOURCES = ROOT / "examples" / "clients"
TOLD_BOUND = 2.0  # from a change to the line that tells it, on a free machine
HEAL_BOUND = 6.0  # from the broker's death to a stream that was taken up again
FIRST_BOUND = 5.0  # from a client's start to its first line
POLICY = """
environment = "production";
services = ( { name = "billing"; identity = { uid = %d; }; }, { name = "secteam"; identity = { socket = "admin"; uid = %d; }; } );
rules = ( { allow = "billing"; actions = [ "get", "watch" ]; connections = [ "acme-*" ]; },
          { allow = "secteam"; actions = [ "status", "revoke", "restore" ]; connections = [ "*" ]; } );
""" % (BILLING, SECTEAM)


@contextlib.contextmanager
def copied(pattern):
    """A directory with the examples that the pattern names."""
    with tempfile.TemporaryDirectory(prefix="makini-clients-") as name:
        where = pathlib.Path(name)
        where.chmod(0o755)
        for f in SOURCES.glob(pattern):
            shutil.copy(f, where)
        yield where


@contextlib.contextmanager
def an_agent():
    """One that is ready and has a token for acme-crm."""
    with Instance(policy=POLICY) as i:
        i.put("acme-crm", b"tok-crm-1")
        yield i.start()


def revoke(agent):
    agent.ctl("revoke", "acme-crm", "--socket", agent.sock("admin"))


class Client:
    """A program, and what stands in its environment beside the agent's socket."""

    def __init__(self, argv, **environ):
        self.argv, self.environ = [str(a) for a in argv], environ

    def how(self, socket, uid):
        return {"preexec_fn": demote(uid), "env": {**self.environ, "MAKINI_AGENT_SOCKET": str(socket)}}

    def run(self, socket, *args, uid=BILLING):
        return subprocess.run([*self.argv, *args], capture_output=True, timeout=100, **self.how(socket, uid))

    def refuses(self, socket, *args, uid=BILLING):
        """(exit code, what it says), where it prints no token."""
        done = self.run(socket, *args, uid=uid)
        assert done.stdout == b"", done
        return done.returncode, done.stderr

    def running(self, socket, *args):
        return Running([*self.argv, *args], self.how(socket, BILLING))


class Running:
    """A client that goes on, and the lines that it has printed."""

    def __init__(self, argv, how):
        self.lines, self.process = [], subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                                        start_new_session=True, **how)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_line(self, line, bound=TOLD_BOUND):
        """Ends, and fails, with the last line too: what was printed before an end is read before it is missed."""
        wait_for(f"line {line!r}", lambda: line in self.lines or not self.reader.is_alive(), bound)
        assert line in self.lines, (self.lines, self.process.poll())

    def ended(self, bound=TOLD_BOUND):
        wait_for("the client's end", lambda: self.process.poll() is not None, bound)
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(ProcessLookupError):  # also what it left in its group, which may hold its output open
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.reader.join()
