# SPDX-License-Identifier: Apache-2.0
"""Processes in the cgroups of systemd units, without systemd: real cgroups, made where
systemd would make them, in the trees that /proc/PID/cgroup calls systemd's. And systemd's
side of LoadCredential= from a socket, byte for byte."""

import os
import pathlib
import re
import secrets
import socket

from .caller import Caller
from .instance import BILLING, SECTEAM, SYNC

# unit: a key of billing's identity, or nothing
POLICY = """
environment = "production";
services = (
  {{ name = "billing"; identity = {{ uid = %d; {unit} }}; }},
  {{ name = "sync"; identity = {{ socket = "sync"; uid = %d; }}; }},
  {{ name = "secteam"; identity = {{ socket = "admin"; uid = %d; }}; }} );
rules = (
  {{ allow = "billing"; actions = [ "get" ]; connections = [ "acme-*" ]; }},
  {{ allow = "sync"; actions = [ "get" ]; connections = [ "acme-*" ]; }},
  {{ allow = "secteam"; actions = [ "status" ]; connections = [ "*" ]; }} );
""" % (BILLING, SYNC, SECTEAM)


def trees():
    """Where systemd's own hierarchies are mounted: cgroup v2, and v1's name=systemd on hybrid hosts."""
    found = []
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options = line.split()[:4]
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(pathlib.Path(where))
    return found


def own_places():
    """This process's directories in those trees."""
    text = pathlib.Path("/proc/self/cgroup").read_text()
    places = []
    for tree in trees():
        v1 = re.search(r"^\d+:name=systemd:(.*)$", text, re.M)
        v2 = re.search(r"^0::(.*)$", text, re.M)
        kind = v2 if (tree / "cgroup.controllers").exists() else v1
        if kind:
            places.append(pathlib.Path(f"{tree}{kind[1]}"))
    return places


class Cgroup:
    """A path below all of systemd's trees, such as system.slice/billing.service; removed with what was made for it."""

    def __init__(self, path):
        self.dirs, self.made = [], []
        for tree in trees():
            at = tree
            for part in pathlib.PurePath(path).parts:
                at = at / part
                try:
                    at.mkdir()
                    self.made.append(at)
                except FileExistsError:
                    pass
            self.dirs.append(at)

    def take(self, pid):
        for d in self.dirs:
            (d / "cgroup.procs").write_text(str(pid))

    def close(self):
        for at in reversed(self.made):
            for pid in (at / "cgroup.procs").read_text().split():
                for place in own_places():  # whoever is left goes to where the test is
                    try:
                        (place / "cgroup.procs").write_text(pid)
                    except OSError:
                        pass
            try:
                at.rmdir()
            except OSError:
                pass  # another test is in it, or it was there before

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def can_make():
    try:
        with Cgroup(f"makini-test-{os.getpid()}.slice") as c:
            return bool(c.made)
    except OSError:
        return False


class UnitCaller(Caller):
    """A service's process: of a uid, in a unit's cgroup."""

    def __init__(self, uid, cgroup, groups=()):
        super().__init__(uid, groups=groups)
        if cgroup:
            cgroup.take(self.pid)


def address(unit, credential):
    """What systemd 252 binds to: asprintf("@%" PRIx64 "/unit/%s/%s")."""
    return f"\0{secrets.randbits(64):x}/unit/{unit}/{credential}".encode()


def load_credential(path, unit, credential, bind=True, timeout=30.0):
    """As systemd reads it: binds, connects, says that it will write nothing, reads to the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(timeout)
        if bind:
            s.bind(bind if isinstance(bind, bytes) else address(unit, credential))
        s.connect(str(path))
        s.shutdown(socket.SHUT_WR)
        data = b""
        while True:
            try:
                piece = s.recv(65536)
            except ConnectionResetError:
                return data
            if not piece:
                return data
            data += piece
