# SPDX-License-Identifier: Apache-2.0
"""Pods emulated with namespaces, as there is no kubelet here. The agent runs in a pid and
mount namespace of its own; each container is a process in another, a sibling's, so that
the kernel tells its pid as 0. A container sees one volume, read-only, and nothing of the
others, nor of the agent's directories. Root only."""

import ctypes
import os
import pathlib
import signal
import subprocess

from .caller import Caller
from .instance import AGENT, Instance

LIBC = ctypes.CDLL(None, use_errno=True)
NEWNS, NEWPID = 0x20000, 0x20000000
MOUNT_PROC = 'mount -t proc proc /proc && exec setpriv --reuid=$0 --regid=$0 {groups} -- "$@"'


class Pod(Instance):
    """An agent with platform = "pod" and one volume (an emptyDir) per service: .volume(name)."""

    def __init__(self, uid_text, policy, conf="", services=("sync", "billing"), env="production", backend=None, groups=()):
        self.services = services
        self.pod_uid = uid_text
        self.more = conf
        super().__init__(env=env, policy=policy, backend=backend, groups=groups)
        self.volumes = self.dir / "volumes"
        self.volumes.mkdir(mode=0o755)
        for s in services:
            self.volume(s).mkdir()
            self.volume(s).chmod(0o777)
        self.public("pod-uid", uid_text)
        self.write_conf()

    def volume(self, service):
        return self.volumes / service

    def service_sock(self, service):
        return self.volume(service) / "makini.sock"

    def write_conf(self, extra="", **kw):
        listeners = ", ".join(f'{{ name = "{s}"; path = "{self.dir}/volumes/{s}/makini.sock"; mode = "0666"; }}' for s in self.services)
        super().write_conf(f'platform = "pod";\nlisteners = ( {listeners} );\n{self.more}\n{extra}', **kw)

    def spawn(self, *extra):
        groups = f"--groups={','.join(map(str, self.groups))}" if self.groups else "--clear-groups"
        self.uid = 0  # the wrapper makes it the agent's
        self.wrapper = ["/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child", "--", "/bin/sh", "-c", MOUNT_PROC.format(groups=groups), str(AGENT)]
        try:
            return super().spawn(*extra)
        finally:
            self.uid = AGENT

    def supervisor(self):
        return int(pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def children(self):
        """Pids as this namespace sees them, by role."""
        top = self.supervisor()
        pids = pathlib.Path(f"/proc/{top}/task/{top}/children").read_text().split()
        return {pathlib.Path(f"/proc/{p}/cmdline").read_text().split("\0")[0].rsplit("-", 1)[-1]: int(p) for p in pids}

    def stop(self, bound=5.0):
        if self.process and self.process.poll() is None:
            os.kill(self.supervisor(), signal.SIGTERM)
            self.process.wait(bound * 10)
        return self.process and self.process.returncode


class Container(Caller):
    """A process of one uid in namespaces of its own. It sees the volume of `service` (None: of none) at .path, read-only."""

    def __init__(self, pod, service, uid, gid=None):
        self.path = pod.dir / "mnt"
        self.path.mkdir(exist_ok=True)
        self.pod, self.service = pod, service
        super().__init__(uid, gid)

    def sock(self):
        return self.path / "makini.sock"

    @staticmethod
    def _unshare(what):
        if LIBC.unshare(what) != 0:
            raise OSError(ctypes.get_errno(), "unshare")

    def enter(self):
        """Between fork and setuid: the namespaces. Returns in the grandchild, which is process 1 there."""
        self._unshare(NEWNS)
        run = lambda *command: subprocess.run(command, check=True)
        run("mount", "--make-rprivate", "/")
        if self.service:
            run("mount", "--bind", str(self.pod.volume(self.service)), str(self.path))
            run("mount", "-o", "remount,bind,ro,nosuid,nodev", str(self.path))
        for hidden in (self.pod.volumes, self.pod.run, self.pod.state, self.pod.secrets):
            run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(hidden))
        self._unshare(NEWPID)  # last: the first child is process 1, and must stay
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
            os._exit(0)
        LIBC.prctl(1, signal.SIGKILL)
