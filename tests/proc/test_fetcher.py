# SPDX-License-Identifier: Apache-2.0
"""makini-fetcher alone, between a supervisor and a broker that this test plays: what it
answers, and how it ends."""

import json
import os
import pathlib
import re
import socket
import struct
import subprocess

import pytest

from lib.instance import BUILD, ROOT, whole_lines

DEF = (ROOT / "agent" / "ipc" / "ipc.def").read_text()
TYPES = {name: n for n, name in enumerate(re.findall(r"^MK_MSG\((\w+),", DEF, re.M))}
NAMES = {n: name for name, n in TYPES.items()}
ERRORS = re.findall(r"^\tX\((\w+), \d+", (ROOT / "include" / "mk" / "err.h").read_text(), re.M)
BROKER = 1  # enum mk_role
PATIENCE = 60  # seconds, for what takes milliseconds


def text(s):
    return struct.pack("<I", len(s)) + s.encode()


def short(s):
    return bytes([len(s)]) + s.encode()


# What a backend without a network leaves empty: CA, proxy, calls an hour; address, namespace, mount, path, KV version;
# the login's method, mount, role, three files, wrapped, three files.
NO_HTTP = text("") * 2 + struct.pack("<I", 0) + text("") * 4 + b"\0" + text("") * 6 + b"\0" + text("") * 3


class Link:
    """One end of a SEQPACKET link: frames by name."""

    def __init__(self):
        self.sock, self.peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock.settimeout(PATIENCE)
        self.generation = 1

    def send(self, name, body=b"", fds=()):
        head = struct.pack("<HHII", TYPES[name], 0, self.generation, len(body))
        socket.send_fds(self.sock, [head + body], list(fds))

    def recv(self):
        """The next frame but those on how the backends fare, which come when they will."""
        name, body = "ENDPOINT_STATE", b""
        while name == "ENDPOINT_STATE":
            packet = self.sock.recv(1 << 17)
            if not packet:
                return None, b""
            kind, zero, _, length = struct.unpack_from("<HHII", packet)
            assert zero == 0 and length == len(packet) - 12
            name, body = NAMES[kind], packet[12:]
        return name, body


class Fetcher:
    def __init__(self, directory, key="key", wrapper=(), ready=True, **conf):
        self.dir = pathlib.Path(directory)
        self.store, self.key = self.dir / "store", self.dir / key
        self.log = self.dir / "log"
        if not self.store.exists():
            self.ctl("init")
        self.supervisor, self.broker = Link(), Link()
        self.process = self.spawn(wrapper)
        if ready:
            self.configure(**conf)
            name, body = self.supervisor.recv()
            assert name == "READY", body
            self.guards = body[4:]

    def spawn(self, wrapper):
        fd = self.supervisor.peer.fileno()

        def prepare():
            os.dup2(fd, 3, inheritable=True)

        process = subprocess.Popen([*wrapper, str(BUILD / "libexec" / "makini" / "makini-fetcher")], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=open(self.log, "ab"), close_fds=False, preexec_fn=prepare,
                                   env={k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")})
        self.supervisor.peer.close()
        return process

    def begin(self):
        generation = self.supervisor.generation
        self.supervisor.send("CONF_BEGIN", struct.pack("<I", generation) + short("test") + bytes([0]) + struct.pack("<I", 0))

    def backend(self, index=0, kind="local", file=None, key=None, writable=False):
        self.supervisor.send("CONF_BACKEND", bytes([index]) + short("store") + text(kind) + text(str(file or self.store)) +
                             text(str(key or self.key)) + text("") + struct.pack("<q??", 10000, False, writable) + NO_HTTP)

    def configure(self, **kw):
        self.begin()
        self.backend(**kw)
        self.peer()
        self.supervisor.send("CONF_END", struct.pack("<I", self.supervisor.generation))

    def peer(self):
        self.supervisor.send("PEER", bytes([BROKER]), [self.broker.peer.fileno()])
        self.broker.peer.close()

    def ctl(self, *args, stdin=b""):
        return subprocess.run([str(BUILD / "bin" / "makinictl"), "local", *args, "--file", str(self.store), "--key-file", str(self.key)],
                              input=stdin, check=True, capture_output=True).stdout.decode()

    def put(self, name, value, *args):
        return self.ctl("put", name, *args, stdin=value.encode()).split()[1]

    def get(self, name, previous=False, backend=0):
        """The error's name, or (version, leaves)."""
        ref = os.urandom(8)
        self.broker.send("FETCH_BEGIN", ref + bytes([backend]) + short(name) + bytes([previous]))
        kind, body = self.broker.recv()
        assert kind == "FETCH_DONE" and body[:8] == ref
        if body[8]:
            return ERRORS[body[8]]
        (n,) = struct.unpack_from("<I", body, 9)
        version, rest = body[13:13 + n].decode(), body[13 + n + 9:]
        assert rest[0] == 0, "tags are not read here"
        return version, rest[1:]

    def mark(self, name, enable=False, version="", backend=0):
        """Disables or enables a version: the error's name, or (was so already, version)."""
        ref = os.urandom(8)
        self.broker.send("WRITE_BEGIN", ref + bytes([backend, enable]) + short(name) + text(version))
        kind, body = self.broker.recv()
        assert kind == "WRITE_DONE" and body[:8] == ref
        (n,) = struct.unpack_from("<I", body, 11)
        return ERRORS[body[8]] if body[8] else (bool(body[9]), body[15:15 + n].decode())

    def list(self, after=""):
        ref = os.urandom(8)
        self.broker.send("LIST_BEGIN", ref + bytes([0]) + (b"\1" + short(after) if after else b"\0"))
        kind, body = self.broker.recv()
        assert kind == "LIST_DONE" and body[:8] == ref
        if body[8]:
            return ERRORS[body[8]]
        more, n = struct.unpack_from("<?H", body, 9)
        at, names = 12, []
        for _ in range(n):
            names.append(body[at + 1:at + 1 + body[at]].decode())
            at += 1 + body[at]
            at += 4 + struct.unpack_from("<I", body, at)[0]
        return names, more

    def logged(self):
        return [json.loads(line) for line in whole_lines(self.log.read_text())]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture
def fetcher(tmp_path):
    with Fetcher(tmp_path) as f:
        yield f


def test_what_was_put_is_fetched_and_the_version_before(fetcher):
    first = fetcher.put("acme-sap", "tok-first\n")
    second = fetcher.put("acme-sap", '{"access_token":"tok-second","expires_in":3600}')
    version, leaves = fetcher.get("acme-sap")
    assert version == second and b"tok-second" in leaves and b"/expires_in" in leaves
    version, leaves = fetcher.get("acme-sap", previous=True)
    assert version == first and b"tok-first" in leaves


def test_a_name_that_is_not_there_is_not_found_and_is_not_logged(fetcher):
    assert fetcher.get("nobody") == "NOT_FOUND"
    fetcher.put("acme-sap", "tok")
    assert fetcher.get("acme-sap", previous=True) == "NOT_FOUND"
    assert fetcher.logged() == []


def test_a_put_is_seen_at_once(fetcher):
    for i in range(50):
        fetcher.put("acme-sap", f"tok-{i}")
        assert b"tok-%d" % i in fetcher.get("acme-sap")[1]


def test_names_come_in_pages(fetcher):
    names = [f"conn-{i:03}" for i in range(210)]
    for name in names:
        fetcher.put(name, "tok")
    page, more = fetcher.list()
    assert more and page == names[:200]
    assert fetcher.list(after=page[-1]) == (names[200:], False)
    assert fetcher.list(after="zzz") == ([], False)


def test_a_store_that_is_gone_is_the_backends_error_and_it_heals(fetcher):
    fetcher.put("acme-sap", "tok")
    aside = fetcher.dir / "aside"
    fetcher.store.rename(aside)
    for _ in range(5):
        assert fetcher.get("acme-sap") == "BACKEND"
    aside.rename(fetcher.store)
    assert b"tok" in fetcher.get("acme-sap")[1]
    events = [(r["event"], r.get("err")) for r in fetcher.logged()]
    assert events == [("backend_failed", "backend_error"), ("backend_recovered", None)]


def test_a_changed_file_is_refused_and_nothing_of_it_is_logged(fetcher):
    fetcher.put("acme-sap", "tok-in-the-file")
    good = fetcher.store.read_bytes()
    fetcher.store.write_bytes(good[:70] + bytes([good[70] ^ 1]) + good[71:])
    assert fetcher.get("acme-sap") == "BACKEND"
    assert "does not open" in fetcher.logged()[-1]["fault"]
    fetcher.store.write_bytes(good[:-1])
    assert fetcher.get("acme-sap") == "BACKEND"
    fetcher.store.write_bytes(b"")
    assert fetcher.get("acme-sap") == "BACKEND"
    fetcher.store.write_bytes(good)
    assert b"tok-in-the-file" in fetcher.get("acme-sap")[1]
    assert "tok-in" not in fetcher.log.read_text()


def test_a_key_and_store_exchanged_under_the_running_process_are_taken(fetcher):
    fetcher.put("acme-sap", "tok-old")
    assert b"tok-old" in fetcher.get("acme-sap")[1]
    fetcher.store.unlink()
    fetcher.key.unlink()
    fetcher.ctl("init")
    fetcher.put("acme-sap", "tok-new")
    assert b"tok-new" in fetcher.get("acme-sap")[1]


def test_a_key_that_others_can_read_is_refused_with_the_remedy(tmp_path):
    with Fetcher(tmp_path, ready=False) as f:
        f.key.chmod(0o644)
        f.configure()
        assert f.supervisor.recv()[0] == "READY"
        assert f.get("acme-sap") == "BACKEND"
        assert "0600" in f.logged()[-1]["fault"]


def test_an_unknown_backend_index_is_not_ready(fetcher):
    assert fetcher.get("acme-sap", backend=3) == "NOT_READY"


def test_it_answers_pings_and_drains_to_exit_0(fetcher):
    fetcher.supervisor.send("PING", struct.pack("<I", 77))
    assert fetcher.supervisor.recv() == ("PONG", struct.pack("<I", 77))
    fetcher.supervisor.send("DRAIN", struct.pack("<I", 1))
    assert fetcher.process.wait(PATIENCE) == 0


def test_it_ends_with_its_supervisor(fetcher):
    fetcher.supervisor.sock.close()
    assert fetcher.process.wait(PATIENCE) == 1


def test_a_broker_that_left_is_followed_by_another(fetcher):
    fetcher.put("acme-sap", "tok")
    fetcher.broker.sock.close()
    fetcher.broker = Link()
    fetcher.peer()
    assert b"tok" in fetcher.get("acme-sap")[1]
    fetcher.broker = Link()  # the old one still there
    fetcher.peer()
    assert b"tok" in fetcher.get("acme-sap")[1]


def packet(name, body=b"", length=None):
    return struct.pack("<HHII", TYPES.get(name, 9999), 0, 1, len(body) if length is None else length) + body


@pytest.mark.parametrize("broken", [
    pytest.param(b"\0" * 5, id="no head"), pytest.param(packet("unknown"), id="unknown type"),
    pytest.param(packet("FETCH_BEGIN", b"short"), id="short body"), pytest.param(packet("FETCH_BEGIN", b"x", 2), id="wrong length"),
    pytest.param(packet("FETCH_BEGIN", b"\0" * 9 + b"\x01Z\0"), id="bad name"), pytest.param(packet("PING", b"\0" * 4), id="wrong sender"),
    pytest.param(packet("FETCH_BEGIN", b"\0" * 600), id="too long")])
def test_a_broken_message_ends_the_fetcher(fetcher, broken):
    fetcher.broker.sock.send(broken)
    assert fetcher.process.wait(PATIENCE) == 1
    assert fetcher.logged()[-1]["event"] == "link_dropped"


def test_a_new_generation_with_the_same_directories_is_taken_and_others_are_refused(fetcher, tmp_path):
    fetcher.put("acme-sap", "tok")
    fetcher.supervisor.generation = 2
    fetcher.begin()
    fetcher.backend()
    fetcher.supervisor.send("CONF_END", struct.pack("<I", 2))
    name, body = fetcher.supervisor.recv()
    assert name == "READY" and body[:4] == struct.pack("<I", 2)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    fetcher.supervisor.generation = 3
    fetcher.begin()
    fetcher.backend(file=elsewhere / "store")
    fetcher.supervisor.send("CONF_END", struct.pack("<I", 3))
    name, body = fetcher.supervisor.recv()
    assert name == "REFUSED" and b"afresh" in body
    assert b"tok" in fetcher.get("acme-sap")[1]


@pytest.mark.parametrize("wrong, said", [({"kind": "vaults"}, b"vaults"), ({"file": "/nonexistent/store"}, b"/nonexistent")])
def test_a_first_configuration_that_cannot_be_taken_is_refused_and_ends_it(tmp_path, wrong, said):
    with Fetcher(tmp_path, ready=False) as f:
        f.configure(**wrong)
        name, body = f.supervisor.recv()
        assert name == "REFUSED" and said in body
        assert f.process.wait(PATIENCE) == 1


def test_signals_to_the_group_leave_it_to_its_supervisor(fetcher):
    for signo in (1, 2, 13, 15, 10, 12):
        os.kill(fetcher.process.pid, signo)
    fetcher.supervisor.send("PING", struct.pack("<I", 5))
    assert fetcher.supervisor.recv()[0] == "PONG"


@pytest.fixture
def writing(tmp_path):
    (tmp_path / "apart").mkdir()
    with Fetcher(tmp_path / "apart", writable=True) as f:
        yield f


def test_a_backend_that_is_not_writable_is_not_changed_whatever_the_broker_asks(fetcher):
    fetcher.put("acme-sap", "tok")
    before = fetcher.store.read_bytes(), fetcher.store.stat().st_ino
    for enable in (False, True):
        assert fetcher.mark("acme-sap", enable=enable) == "DENIED"
    assert (fetcher.store.read_bytes(), fetcher.store.stat().st_ino) == before
    assert [r["event"] for r in fetcher.logged()] == ["write_refused"] * 2
    assert b"tok" in fetcher.get("acme-sap")[1], "and it lives"


def test_a_writable_backend_is_changed_and_changed_back(writing):
    first = writing.put("acme-sap", "tok-first")
    second = writing.put("acme-sap", "tok-second")
    mode = writing.store.stat().st_mode
    assert writing.mark("acme-sap") == (False, second)
    assert writing.get("acme-sap") == "DISABLED"
    inode = writing.store.stat().st_ino
    assert writing.mark("acme-sap") == (True, second), "again: it was so already"
    assert writing.store.stat().st_ino == inode, "and nothing is written"
    assert writing.mark("acme-sap", version=first) == (False, first)
    assert writing.get("acme-sap", previous=True) == "DISABLED"
    assert writing.mark("acme-sap", enable=True) == (False, second)
    assert b"tok-second" in writing.get("acme-sap")[1] and writing.store.stat().st_mode == mode
    assert sorted(p.name for p in writing.dir.iterdir()) == ["key", "log", "store"], "nothing is left beside"
    assert writing.mark("acme-never") == "NOT_FOUND" and writing.mark("acme-sap", version="0" * 16) == "NOT_FOUND"


def test_a_right_to_write_is_neither_gained_nor_kept_by_a_new_configuration(tmp_path):
    for was in (False, True):
        (tmp_path / str(was)).mkdir()
        with Fetcher(tmp_path / str(was), writable=was) as f:
            f.supervisor.generation = 2
            f.begin()
            f.backend(writable=not was)
            f.supervisor.send("CONF_END", struct.pack("<I", 2))
            name, body = f.supervisor.recv()
            assert name == "REFUSED" and b"afresh" in body
