# SPDX-License-Identifier: Apache-2.0
"""Listeners that systemd made (LISTEN_FDS): taken by their names, left as they are. By a
launcher that does as systemd does, and by systemd itself where one can run in namespaces."""

import grp
import os
import pathlib
import signal
import socket
import stat

import pytest

from lib.client_socket import Client, open_client
from lib.instance import AGENT, BILLING, SYNC, Instance
from lib.systemd import Systemd, available
from lib.waiting import wait_for

pytestmark = pytest.mark.root

POLICY = """
environment = "production";
services = (
  { name = "billing"; identity = { uid = %d; }; },
  { name = "sync"; identity = { socket = "sync"; uid = %d; }; } );
rules = (
  { allow = "billing"; actions = [ "get" ]; connections = [ "acme-*" ]; },
  { allow = "sync"; actions = [ "get" ]; connections = [ "acme-*" ]; } );
""" % (BILLING, SYNC)
CONF = 'listeners = ( { name = "sync"; mode = "0600"; } );'

# Puts descriptors at 3, 4, … and names this very process, which then becomes the agent.
LAUNCH = """
import os, sys
fds = [int(x) for x in sys.argv[1].split(",") if x]
high = [os.dup2(fd, 200 + i) for i, fd in enumerate(fds)]
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i, inheritable=True)
os.closerange(3 + len(fds), 300)
os.environ.update(LISTEN_PID=sys.argv[3] or str(os.getpid()), LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[4], sys.argv[4:])
"""


class Activated(Instance):
    """sockets: by name."""

    def __init__(self, sockets, names=None, pid="", **kw):
        super().__init__(policy=POLICY, conf=CONF, **kw)
        self.sockets = sockets(self) if callable(sockets) else sockets
        for s in self.sockets.values():
            s.set_inheritable(True)
        fds = ",".join(str(s.fileno()) for s in self.sockets.values())
        self.wrapper = ["/usr/bin/python3", "-c", LAUNCH, fds, ":".join(self.sockets) if names is None else names, pid]
        self.put("acme-sap", b"tok-sap")

    def supervisor(self):
        return self.process.pid

    def close(self):
        for s in self.sockets.values():
            s.close()
        super().close()


class File:
    """One that is passed as if it were a socket."""

    def __init__(self, path):
        self.f = open(path, "w+b", buffering=0)

    def set_inheritable(self, yes):
        os.set_inheritable(self.f.fileno(), yes)

    def fileno(self):
        return self.f.fileno()

    def close(self):
        self.f.close()


def listening(path, mode=0o666, kind=socket.SOCK_STREAM, listen=True):
    s = socket.socket(socket.AF_UNIX, kind)
    s.bind(str(path) if not isinstance(path, bytes) else path)
    if not isinstance(path, bytes):
        os.chmod(path, mode)
    if listen and kind != socket.SOCK_DGRAM:
        s.listen(100)
    return s


def ended(instance):
    instance.spawn()
    return instance.process.wait(20), instance.log_text()


def test_a_listener_is_taken_by_its_name_with_the_file_that_systemd_made():
    with Activated(lambda i: {"sync": listening(i.dir / "elsewhere.sock", 0o666)}) as i:
        path = i.dir / "elsewhere.sock"
        before = os.stat(path)
        i.start()
        assert i.caller(SYNC).get(path, "/v1/tokens/acme-sap").body.count(b"tok-sap") == 1
        assert not i.sock("sync").exists()        # not made beside it
        assert i.token("acme-sap").status == 200  # the others are its own
        after = os.stat(path)
        assert (after.st_ino, after.st_mode, after.st_uid, after.st_gid) == (before.st_ino, before.st_mode, before.st_uid, before.st_gid)
        assert stat.S_IMODE(after.st_mode) == 0o666  # not the configuration's 0600
        assert i.stop() == 0
        assert path.exists() and not i.sock().exists()


def test_libmakinis_socket_is_taken_by_its_name_too():
    make = lambda i: {"sync": listening(i.dir / "else.sock"), "sync.client": listening(i.dir / "else.client.sock", kind=socket.SOCK_SEQPACKET)}  # noqa: E731
    with Activated(make) as i:
        before = os.stat(i.dir / "else.client.sock")
        i.start()
        for _ in range(2):
            with Client(i.caller(SYNC).socket(i.dir / "else.client.sock", kind=socket.SOCK_SEQPACKET)) as c:
                assert c.hello() == 0 and c.get("acme-sap").token == b"tok-sap"
            assert i.reload()["event"] == "reloaded"
        after = os.stat(i.dir / "else.client.sock")
        assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode) and not (i.run / "sync.client.sock").exists()
        with open_client(i, BILLING) as c:  # the others are the agent's own
            assert c.get("acme-sap").token == b"tok-sap"
        assert i.stop() == 0 and (i.dir / "else.client.sock").exists()


def test_without_it_the_agent_makes_it_beside_the_listener_with_that_ones_access_or_says_that_it_does_not():
    with Activated(lambda i: {"api": listening(i.sock("api"), 0o660), "sync": listening(i.dir / "elsewhere.sock")}) as i:
        os.chown(i.sock("api"), AGENT, AGENT)
        i.start()
        st = os.stat(i.run / "api.client.sock")
        assert stat.S_IMODE(st.st_mode) == 0o660 and st.st_gid == AGENT  # systemd's, not the 0666 that api has otherwise
        said = i.events("libmakini_not_served")
        assert [r["listener"] for r in said] == ["sync"] and "FileDescriptorName" in said[0]["remedy"]
        assert not list(i.run.glob("sync*")) and not list(i.dir.glob("elsewhere.client*"))
        assert i.reload()["event"] == "reloaded"
        assert stat.S_IMODE(os.stat(i.run / "api.client.sock").st_mode) == 0o660
        assert i.stop() == 0
        assert i.sock("api").exists() and not (i.run / "api.client.sock").exists()


def test_who_knocked_before_the_agent_was_there_is_answered():
    with Activated(lambda i: {"sync": listening(i.dir / "early.sock")}) as i:
        early = i.caller(SYNC).connect(i.dir / "early.sock")
        i.start()
        assert early.request("/v1/tokens/acme-sap").status == 200


def test_it_survives_reloads_and_brokers():
    with Activated(lambda i: {"sync": listening(i.dir / "sync.sock")}) as i:
        path = i.dir / "sync.sock"
        i.start()
        kept = i.caller(SYNC).connect(path)
        for _ in range(3):
            assert i.reload()["event"] == "reloaded"
            assert kept.request("/v1/tokens/acme-sap").status == 200
            assert i.caller(SYNC).get(path, "/v1/tokens/acme-sap").status == 200
        os.kill(i.pids()["broker"], signal.SIGKILL)
        assert i.caller(SYNC).get(path, "/v1/tokens/acme-sap").status == 200


def test_a_reload_cannot_take_away_a_listener_that_systemd_holds():
    with Activated(lambda i: {"sync": listening(i.dir / "sync.sock")}) as i:
        i.start()
        i.write_conf("")
        i.write_policy(POLICY.replace('socket = "sync"', 'socket = "api"'))
        record = i.reload()
        assert record["event"] == "reload_refused" and '"sync"' in record["why"]
        assert i.caller(SYNC).get(i.dir / "sync.sock", "/v1/tokens/acme-sap").status == 200


ALONE = POLICY.replace('socket = "sync"; uid = %d' % SYNC, 'socket = "sync"')


def test_a_socket_that_all_may_open_makes_nobody_a_service_by_itself():
    """0666 is what a socket unit gives that names no SocketMode=."""
    with Activated(lambda i: {"sync": listening(i.dir / "sync.sock")}) as i:
        i.write_policy(ALONE)
        code, said = ended(i)
        assert code == 78 and "would be everybody" in said and "SocketMode=0660" in said, said
    with Activated(lambda i: {"sync": listening(i.dir / "sync.sock", 0o660)}) as i:  # root's: nobody else opens it
        i.write_policy(ALONE)
        i.start()
        os.chmod(i.dir / "sync.sock", 0o666)
        record = i.reload()
        assert record["event"] == "reload_refused" and "would be everybody" in record["why"]
        i.write_policy(POLICY)
        assert i.reload()["event"] == "reloaded"


def test_a_name_that_is_no_listener_is_refused():
    with Activated(lambda i: {"other": listening(i.dir / "other.sock")}) as i:
        code, said = ended(i)
        assert code == 78 and '"other"' in said and "socket unit" in said


@pytest.mark.parametrize("what, remedy", [
    ("datagram", "ListenStream"), ("not listening", "ListenStream"), ("abstract", "abstract"), ("tcp", "ListenStream"),
    ("client stream", "ListenSequentialPacket"), ("client of nobody", "no listener"), ("client of admin", "no listener"),
    ("file", "ListenStream"), ("default name", "FileDescriptorName"), ("no name", "FileDescriptorName"), ("twice", "two sockets")])
def test_what_is_no_listening_socket_at_a_path_is_refused(what, remedy):
    def make(i):
        if what == "datagram":
            return {"sync": listening(i.dir / "s", kind=socket.SOCK_DGRAM)}
        if what == "not listening":
            return {"sync": listening(i.dir / "s", listen=False)}
        if what == "abstract":
            return {"sync": listening(f"\0makini-{os.getpid()}".encode())}
        if what == "tcp":
            s = socket.socket()
            s.bind(("127.0.0.1", 0))
            s.listen()
            return {"sync": s}
        if what.startswith("client"):
            kind = socket.SOCK_STREAM if what == "client stream" else socket.SOCK_SEQPACKET
            return {{"client of nobody": "other.client", "client of admin": "admin.client"}.get(what, "sync.client"): listening(i.dir / "s", kind=kind)}
        if what == "file":
            return {"sync": File(i.dir / "s")}
        return {"a": listening(i.dir / "a"), "b": listening(i.dir / "b")}

    names = {"default name": "makini-agent@production.socket:sync", "no name": "", "twice": "sync:sync"}.get(what)
    with Activated(make, names=names) as i:
        code, said = ended(i)
        assert code == 78 and remedy in said, said


def test_what_is_meant_for_another_process_is_closed_and_not_used():
    with Activated(lambda i: {"sync": listening(i.dir / "sync.sock")}, pid="1") as i:
        i.start()
        assert i.sock("sync").exists()
        inode = os.fstat(i.sockets["sync"].fileno()).st_ino
        for pid in i.pids().values():
            links = [os.readlink(p) for p in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
            assert f"socket:[{inode}]" not in links


def test_a_descriptor_that_is_passed_reaches_no_process_but_supervisor_and_broker():
    with Activated(lambda i: {"sync": listening(i.dir / "sync.sock")}) as i:
        i.start()
        inode = os.fstat(i.sockets["sync"].fileno()).st_ino
        have = {role for role, pid in i.pids().items()
                if f"socket:[{inode}]" in [os.readlink(p) for p in pathlib.Path(f"/proc/{pid}/fd").iterdir()]}
        assert have == {"supervisor", "broker"}


SOCKET = """
[Unit]
DefaultDependencies=no
[Socket]
ListenStream={dir}/passed.sock
FileDescriptorName=sync
SocketMode=0660
SocketUser=root
SocketGroup=daemon
Service=makini-agent@production.service
"""
AGENT_DROP_IN = """
[Unit]
DefaultDependencies=no
Requires=passed.socket
After=passed.socket
[Service]
PrivateTmp=no
BindPaths={dir}
RuntimeDirectory=
StateDirectory=
LogsDirectory=
ConfigurationDirectory=
StandardError=append:{log}
"""
CALLER = """
[Unit]
DefaultDependencies=no
Requires=makini-agent@production.service
After=makini-agent@production.service
[Service]
Type=oneshot
User=mkbilling
SupplementaryGroups=daemon
LoadCredential=acme-sap:{run}/credential.sock
ExecStart=/bin/sh -c 'cd {out}; cp %d/acme-sap credential; curl -s --unix-socket {run}/api.sock http://agent/v1/whoami > whoami; \\
  curl -s -H "Accept: text/plain" --unix-socket {run}/api.sock http://agent/v1/tokens/acme-sap > token; \\
  curl -s -o passed -w "%%{{http_code}}" --unix-socket {dir}/passed.sock http://agent/v1/health > passed.status; : > {name}.done'
"""
UNITS_POLICY = """
environment = "production";
services = (
  { name = "billing"; identity = { user = "mkbilling"; unit = "billing.service"; }; },
  { name = "sync"; identity = { socket = "sync"; uid = %d; }; } );
rules = ( { allow = "billing"; actions = [ "get" ]; connections = [ "acme-*" ]; } );
""" % SYNC


@pytest.mark.skipif(not available(), reason="no systemd can run in a namespace here")
def test_under_systemd_with_all_directives_of_its_unit():
    """The unit as it is installed but for the place of its files, a socket unit, and two callers of one user: one is the
    service's unit, the other is not. systemd makes the cgroups, passes the socket and loads the credentials."""
    text = pathlib.Path(__file__).resolve().parents[2].joinpath("systemd/makini-agent@.service.in").read_text()
    with Instance(policy=POLICY, conf=CONF) as i:
        i.put("acme-sap", b"tok-sap")
        i.write_policy(UNITS_POLICY)
        i.log_path.touch()
        out = {name: i.dir / f"out-{name}" for name in ("billing", "other")}
        for d in out.values():
            d.mkdir()
            os.chown(d, BILLING, BILLING)
        units = {f"{n}.service": CALLER.format(run=i.run, out=d, dir=i.dir, name=n) for n, d in out.items()}
        units |= {"both.target": "[Unit]\nDefaultDependencies=no\nWants=billing.service other.service\n",
                  "makini-agent@.service": text.replace("@MK_BINDIR@", str(i.build / "bin")).replace(
                      "/etc/makini/%i/agent.conf", str(i.conf_dir / "agent.conf")),
                  "passed.socket": SOCKET.format(dir=i.dir)}
        drop_ins = {"makini-agent@production.service": AGENT_DROP_IN.format(dir=i.dir, log=i.log_path)}
        with Systemd(units, "both.target", drop_ins, users={"makini-production": AGENT, "mkbilling": BILLING}):
            wait_for("systemd", lambda: all((d / f"{n}.done").exists() for n, d in out.items()) or i.events("ended"), 5.0)
            assert i.events("ready") and not i.events("ended"), i.log_text()
            st = os.stat(i.dir / "passed.sock")
            assert stat.S_IMODE(st.st_mode) == 0o660 and (st.st_uid, st.st_gid) == (0, grp.getgrnam("daemon").gr_gid)
            read = lambda n, what: (out[n] / what).read_text()  # noqa: E731
            assert read("billing", "token") == "tok-sap" and read("billing", "credential") == "tok-sap"
            assert '"unit":"billing.service"' in read("billing", "whoami") and '"service":"billing"' in read("billing", "whoami")
            assert read("billing", "passed.status") == "200"
            assert "denied" in read("other", "token") and read("other", "credential") == ""
            assert '"unit":"other.service"' in read("other", "whoami") and '"service":null' in read("other", "whoami")
