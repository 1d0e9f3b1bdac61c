# SPDX-License-Identifier: Apache-2.0
"""A caller that is two processes: one connects and then becomes something else, or ends;
the other, forked before that, holds the connection and speaks on it."""

import os
import subprocess

from .instance import demote

SCRIPT = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
print(os.getpid(), flush=True)
sys.stdin.readline()
if os.fork() == 0:
    for target in iter(sys.stdin.readline, ""):
        s.sendall(f"GET {target.strip()} HTTP/1.1\\r\\nHost: agent\\r\\n\\r\\n".encode())
        sys.stdout.buffer.write(s.recv(65536).split(b"\\r\\n\\r\\n", 1)[0].split(b"\\r\\n")[0] + b"\\n")
        sys.stdout.flush()
    os._exit(0)
if sys.argv[2:]:
    os.execv(sys.argv[2], sys.argv[2:])
os._exit(0)
"""


class Racer:
    """becomes: the command that who connected turns into; none: it ends."""

    def __init__(self, path, uid, becomes=(), cgroup=None, groups=()):
        def prepare():
            if cgroup:
                cgroup.take(os.getpid())
            demote(uid, groups)()
        self.process = subprocess.Popen(["/usr/bin/python3", "-c", SCRIPT, str(path), *map(str, becomes)], preexec_fn=prepare,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.pid = int(self.process.stdout.readline())

    def race(self):
        """Who connected turns into something else now; the other one is left with the connection."""
        self.process.stdin.write("go\n")
        if len(self.process.args) == 4:
            self.process.wait(30)
        return self

    def ask(self, target):
        """The status of the answer; 0 where there was none."""
        self.process.stdin.write(target + "\n")
        line = self.process.stdout.readline().split()
        return int(line[1]) if len(line) > 1 else 0

    def close(self):
        self.process.stdin.close()  # the one that speaks ends
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
