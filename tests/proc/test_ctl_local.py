# SPDX-License-Identifier: Apache-2.0
"""makinictl local: the embedded store from the command line, by real users, through a
pipe and through a terminal."""

import concurrent.futures
import json
import os
import pty
import signal
import stat
import subprocess
import termios
import time

import pytest

from lib.instance import AGENT, BUILD, demote

CTL = str(BUILD / "bin" / "makinictl")


class Store:
    def __init__(self, directory):
        self.dir, self.file, self.key = directory, directory / "store", directory / "key"
        assert self.run("init").returncode == 0

    def args(self, *words):
        return [CTL, "local", *words, "--file", str(self.file), "--key-file", str(self.key)]

    def run(self, *words, stdin=b"", user=None):
        return subprocess.run(self.args(*words), input=stdin, capture_output=True, preexec_fn=demote(user) if user else None)

    def put(self, name, value, *more):
        done = self.run("put", name, *more, stdin=value)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().split()[1]

    def list(self):
        return {c["connection"]: c for c in json.loads(self.run("list", "--json").stdout)["connections"]}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def test_init_makes_two_private_files_and_overwrites_neither(store):
    assert stat.S_IMODE(store.file.stat().st_mode) == 0o600 and stat.S_IMODE(store.key.stat().st_mode) == 0o600
    before = store.file.read_bytes(), store.key.read_bytes()
    done = store.run("init")
    assert done.returncode == 1 and b"never overwritten" in done.stderr
    store.file.unlink()
    done = store.run("init")
    assert done.returncode == 1 and str(store.key).encode() in done.stderr
    assert not store.file.exists() and store.key.read_bytes() == before[1]


def test_init_follows_no_link_and_wants_a_directory_of_its_owner(tmp_path):
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "store").symlink_to(tmp_path / "victim")
    s = Store.__new__(Store)
    s.file, s.key = tmp_path / "store", tmp_path / "key"
    assert s.run("init").returncode == 1
    assert (tmp_path / "victim").read_text() == "precious" and not s.key.exists()
    (tmp_path / "store").unlink()
    tmp_path.chmod(0o777)
    done = s.run("init")
    assert done.returncode == 1 and b"chmod" in done.stderr
    assert not s.file.exists() and not s.key.exists()


def test_versions_move_on_and_tags_stay(store):
    first = store.put("acme-sap", b"one\n", "--tag", "system=sap", "--tag=customer=acme")
    second = store.put("acme-sap", b'{"access_token":"two"}', "--tag", "customer=")
    row = store.list()["acme-sap"]
    assert (row["version"], row["previous"], row["tags"]) == (second, first, {"system": "sap"})
    assert store.run("rm", "acme-sap").returncode == 0
    assert store.list() == {}
    assert store.run("rm", "acme-sap").returncode == 4


def test_no_put_is_lost_when_many_come_at_once(store):
    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        ids = dict(zip(range(120), pool.map(lambda i: store.put(f"conn-{i % 60}", b"tok-%d" % i), range(120))))
    rows = store.list()
    assert len(rows) == 60
    for i in range(60):
        assert {rows[f"conn-{i}"]["version"], rows[f"conn-{i}"]["previous"]} == {ids[i], ids[i + 60]}
    assert sorted(p.name for p in store.dir.iterdir()) == ["key", "store"]


def test_values_are_never_printed_nor_taken_from_arguments(store):
    store.put("acme-sap", b"tok-secret-value")
    for words in (["list"], ["list", "--json"], ["put", "acme-sap", "tok-secret-value"]):
        done = store.run(*words)
        assert b"secret-value" not in done.stdout
    assert store.run("put", "acme-sap", "tok-argument").returncode == 2
    assert b"secret-value" not in store.file.read_bytes()


@pytest.mark.parametrize("text, said", [
    (b"", b"empty"), (b"\n", b"empty"), (b" \n\t\n", b"empty"), (b"tok\r\n", b"control character"), (b"a\nb\n", b"control character"),
    (b"tok\0en", b"control character"), (b"tok\x1b[0m", b"control character"), (b"\xff\xfe", b"UTF-8"), (b'"quoted"\n', b"jq -r"), (b"[1]", b"jq -r"),
    (b"{}", b"empty"), (b'{"a":', b"JSON"), (b'{"a":1,"a":2}', b"twice"), (b'{"a":1}{', b"JSON"), (b"x" * 16385, b"16384"), (b"x" * 65537, b"64 KiB"),
    (b'{"a":"' + b"x" * 70000 + b'"}', b"64 KiB"), (b'{"a":[' + b"1," * 300 + b"1]}", b"256")])
def test_input_that_is_no_token_is_refused_and_changes_nothing(store, text, said):
    before = store.file.read_bytes()
    done = store.run("put", "acme-sap", stdin=text)
    assert done.returncode == 1 and said in done.stderr and done.stdout == b""
    assert store.file.read_bytes() == before


def test_the_longest_token_is_taken(store):
    store.put("acme-sap", b"x" * 16384)
    store.put("acme-json", json.dumps({"access_token": "x" * 65000}).encode())


@pytest.mark.parametrize("words", [
    [], ["lst"], ["put"], ["put", "A"], ["put", "a--b"], ["put", "a", "b"], ["list", "x"], ["list", "--tag", "a=b"], ["put", "a", "--json"],
    ["put", "a", "--tag", "novalue"], ["put", "a", "--tag", "=v"], ["put", "a", "--tag", "k=v\n"], ["put", "a", "--tag"], ["rm", "a", "--wrong"]])
def test_usage_is_exit_2(store, words):
    done = store.run(*words, stdin=b"tok") if words else subprocess.run([CTL, "local"], capture_output=True)
    assert done.returncode == 2 and b"makinictl" in done.stderr


def test_the_store_wants_its_own_key(store, tmp_path):
    store.put("acme-sap", b"tok")
    (tmp_path / "other").mkdir()
    other = Store(tmp_path / "other")
    other.file = store.file
    done = other.run("list")
    assert done.returncode == 1 and b"another store's key, or the file was changed" in done.stderr
    store.key.chmod(0o644)
    done = store.run("list")
    assert done.returncode == 1 and b"chmod o-r" in done.stderr


def test_a_passphrase_takes_the_place_of_a_key_file(tmp_path):
    words = ["--file", str(tmp_path / "store"), "--passphrase-file", str(tmp_path / "pass")]
    assert subprocess.run([CTL, "local", "init", *words], capture_output=True).returncode == 4
    assert not (tmp_path / "store").exists()
    (tmp_path / "pass").touch(0o600)
    assert subprocess.run([CTL, "local", "init", *words], capture_output=True).returncode == 1
    assert not (tmp_path / "store").exists()
    (tmp_path / "pass").write_text("correct horse battery staple\n")
    assert subprocess.run([CTL, "local", "init", *words], capture_output=True).returncode == 0
    assert subprocess.run([CTL, "local", "put", "acme", *words], input=b"tok", capture_output=True).returncode == 0
    (tmp_path / "pass").write_text("correct horse battery staple")
    assert subprocess.run([CTL, "local", "list", *words], capture_output=True).returncode == 0
    (tmp_path / "pass").write_text("wrong")
    done = subprocess.run([CTL, "local", "list", *words], capture_output=True)
    assert done.returncode == 1 and b"does not open" in done.stderr and b"wrong" not in done.stderr


@pytest.mark.root
def test_root_changes_a_users_store_and_owner_and_mode_stay(tmp_path):
    tmp_path.chmod(0o711)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o711)
    home = tmp_path / "home"
    home.mkdir(0o700)
    os.chown(home, AGENT, AGENT)
    s = Store.__new__(Store)
    s.file, s.key = home / "store", home / "key"
    assert s.run("init", user=AGENT).returncode == 0
    s.file.chmod(0o640)
    os.chown(s.file, AGENT, 12)
    s.put("acme", b"tok")
    st = s.file.stat()
    assert (st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (AGENT, 12, 0o640)
    assert s.run("put", "acme", stdin=b"tok", user=AGENT).returncode == 0


class Terminal:
    def __init__(self, args):
        self.master, slave = pty.openpty()
        self.slave = os.dup(slave)
        self.echoed_before = self.echoes()
        self.process = subprocess.Popen(args, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: __import__("fcntl").ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.shown = b""

    def echoes(self):
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def until(self, condition):
        for _ in range(12000):
            os.set_blocking(self.master, False)
            try:
                self.shown += os.read(self.master, 4096)
            except (BlockingIOError, OSError):
                pass
            if condition():
                return True
            time.sleep(0.005)
        return False


def test_a_terminal_gets_a_hint_and_shows_nothing(store):
    t = Terminal(store.args("put", "acme-sap"))
    assert t.echoed_before
    assert t.until(lambda: b"Ctrl-D" in t.shown and not t.echoes())
    os.write(t.master, b"tok-typed\n\x04")
    assert t.until(lambda: t.process.poll() is not None)
    assert t.until(lambda: b"acme-sap" in t.shown)
    assert t.process.returncode == 0 and b"typed" not in t.shown and t.echoes()


@pytest.mark.parametrize("how", ["key", signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_terminal_is_put_back_as_it_was(store, how):
    before = store.file.read_bytes()
    t = Terminal(store.args("put", "acme-sap"))
    assert t.until(lambda: not t.echoes())
    if how == "key":
        os.write(t.master, b"tok-ty\x03")
    else:
        t.process.send_signal(how)
    assert t.until(lambda: t.process.poll() is not None)
    assert t.process.returncode == 1 and t.echoes() and store.file.read_bytes() == before


def test_a_line_that_a_terminal_would_cut_is_refused(store):
    t = Terminal(store.args("put", "acme-sap"))
    assert t.until(lambda: not t.echoes())
    for _ in range(50):
        os.set_blocking(t.master, True)
        os.write(t.master, b"x" * 100)
        time.sleep(0.001)
    os.write(t.master, b"\n\x04")
    assert t.until(lambda: t.process.poll() is not None)
    assert t.until(lambda: b"4095" in t.shown)
    assert t.process.returncode == 1
