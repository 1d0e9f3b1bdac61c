# SPDX-License-Identifier: Apache-2.0
"""A real systemd as process 1 of namespaces of its own: process ids, mounts, cgroups. It
sees the host's files, a /run of its own, and no units but those that it is given."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from .units import trees

SYSTEMD = "/lib/systemd/systemd"

SETUP = """
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount --make-rshared /
mount --bind "$0/passwd" /etc/passwd
mount --bind "$0/group" /etc/group
exec env -i container=makini PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_UNIT_PATH="$0" %s --system --unit="$1" \
    --log-target=console --show-status=no
""" % SYSTEMD


def available():
    """Is there one, and may this user give it what it needs?"""
    if os.geteuid() != 0 or not os.path.exists(SYSTEMD):
        return False
    with_own = ["unshare", "--pid", "--fork", "--mount", "--cgroup", "--ipc", "--uts", "--kill-child"]
    probe = "mount --make-rprivate / && umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup"
    return subprocess.run([*with_own, "sh", "-c", probe], capture_output=True).returncode == 0


class Systemd:
    """units: text by file name; start: the unit that is its goal; drop_ins: text by unit; users: uid by name, beside the host's."""

    def __init__(self, units, start, drop_ins=None, users=None):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="makini-systemd-"))
        self.dir.chmod(0o755)
        for name, text in units.items():
            (self.dir / name).write_text(text)
        for file, line in (("passwd", "{0}:x:{1}:{1}::/nonexistent:/usr/sbin/nologin\n"), ("group", "{0}:x:{1}:\n")):
            added = "".join(line.format(name, uid) for name, uid in (users or {}).items())
            (self.dir / file).write_text(pathlib.Path("/etc", file).read_text() + added)
        for name, text in (drop_ins or {}).items():
            (self.dir / f"{name}.d").mkdir()
            (self.dir / f"{name}.d" / "test.conf").write_text(text)
        self.log = self.dir / "log"
        self.places = [tree / f"makini-systemd-{os.getpid()}-{self.dir.name[-6:]}" for tree in trees()]
        for place in self.places:
            place.mkdir()

        def move():
            for place in self.places:
                (place / "cgroup.procs").write_text(str(os.getpid()))

        self.process = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--mount", "--cgroup", "--ipc", "--uts", "--kill-child", "--", "/bin/sh", "-c", SETUP,
             str(self.dir), start],
            stdin=subprocess.DEVNULL, stdout=open(self.log, "ab"), stderr=subprocess.STDOUT, preexec_fn=move)

    def said(self):
        return self.log.read_text(errors="replace")

    def close(self):
        os.kill(self.process.pid, signal.SIGKILL)  # unshare; --kill-child ends process 1, and with it all of its namespace
        self.process.wait()
        for place in self.places:
            for _ in range(100):
                dirs = sorted((p.parent for p in place.rglob("cgroup.procs")), key=lambda p: -len(p.parts))
                try:
                    for d in dirs:
                        d.rmdir()
                    break
                except OSError:
                    subprocess.run(["sleep", "0.05"])
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
