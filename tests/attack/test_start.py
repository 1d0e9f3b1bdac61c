# SPDX-License-Identifier: Apache-2.0
"""Local files and the start: what lies in a socket's or a directory's place, two agents at
once, and what the environment of whoever starts the agent brings along."""

import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from lib.instance import AGENT, BILLING, STRANGER, Instance, demote, gone
from lib.waiting import wait_for

pytestmark = pytest.mark.root


@pytest.fixture
def instance():
    with Instance() as i:
        i.put("acme-sap", b"tok-sap")
        yield i


def set_key(instance, key, value):
    path = instance.conf_dir / "agent.conf"
    lines = [f'{key} = "{value}";' if line.startswith(key) else line for line in path.read_text().split("\n")]
    Instance._place(path, "\n".join(lines))


def ends(instance):
    """The exit code of a start that is refused, and what was said."""
    instance.spawn()
    return instance.process.wait(60), instance.log_text()


def serves(instance):
    """Does it answer with the token? One that is about to begin or to end may have a socket and not answer there."""
    try:
        return instance.token("acme-sap").status == 200
    except (OSError, http.client.HTTPException):
        return False


# -- what lies in a directory's place


@pytest.mark.parametrize("key", ["runtime_dir", "state_dir"])
@pytest.mark.parametrize("owner", ["stranger", "agent"])
def test_a_symlink_in_a_directorys_place_is_not_followed(instance, key, owner):
    """Whoever laid it, and wherever it leads: here to a directory that would do."""
    target = instance.dir / "target"
    shutil.copytree(getattr(instance, {"runtime_dir": "run", "state_dir": "state"}[key]), target)
    subprocess.run(["chown", "-R", f"{AGENT}:{AGENT}", target], check=True)
    mode = {"runtime_dir": 0o711, "state_dir": 0o700}[key]
    target.chmod(mode)
    place = instance.dir / "place"
    place.symlink_to(target)
    uid = STRANGER if owner == "stranger" else AGENT
    os.lchown(place, uid, uid)
    set_key(instance, key, place)
    code, said = ends(instance)
    assert code == 1 and str(place) in said and not list(target.glob("*.sock"))
    place.unlink()
    target.rename(place)  # the control: the same directory at that very place
    instance.start()
    if key == "runtime_dir":
        instance.run = place
    assert instance.get("/v1/health").status == 200


@pytest.mark.parametrize("key", ["runtime_dir", "state_dir"])
def test_a_directory_of_a_stranger_is_refused(instance, key):
    path = getattr(instance, {"runtime_dir": "run", "state_dir": "state"}[key])
    for p in (path, *path.rglob("*")):
        os.chown(p, STRANGER, STRANGER)
    path.chmod(0o777)
    code, said = ends(instance)
    assert code == 1 and str(path) in said
    assert not list(instance.run.glob("*.sock"))


# -- with the outer barrier removed: the directory of the sockets is open to all


def as_user(uid, script, *args):
    return subprocess.run(["/usr/bin/python3", "-c", script, *map(str, args)], preexec_fn=demote(uid), capture_output=True, text=True, timeout=60)


def test_a_socket_that_a_stranger_put_in_the_agents_place_ends_at_the_next_reload_or_start(instance):
    """What a caller reaches there meanwhile is the stranger's and has no token. The agent never serves on it and never removes it."""
    instance.start()
    path = instance.sock()
    script = ("import os, socket, sys; os.path.lexists(sys.argv[1]) and os.unlink(sys.argv[1]); s = socket.socket(socket.AF_UNIX); "
              "s.bind(sys.argv[1]); os.chmod(sys.argv[1], 0o666)")
    done = as_user(STRANGER, script, path)
    assert done.returncode != 0 and "Permission" in done.stderr  # the outer barrier
    instance.run.chmod(0o777)
    try:
        assert as_user(STRANGER, script, path).returncode == 0
        foreign = os.lstat(path)
        assert foreign.st_uid == STRANGER
        record = instance.reload()
        assert record["event"] == "reload_refused" and str(path) in str(record), record
        assert instance.stop() == 0
        left = os.lstat(path)
        assert (left.st_ino, left.st_uid) == (foreign.st_ino, STRANGER)  # it was not removed
        code, said = ends(instance)
        assert code == 1 and str(path) in said  # and is not taken for its own
    finally:
        instance.run.chmod(0o711)
    path.unlink()
    instance.start()  # the control
    assert instance.token("acme-sap").status == 200


def test_names_that_were_made_beforehand_do_not_turn_its_work_elsewhere(instance):
    """In an open directory a stranger laid symlinks under names like those that the agent uses on the way."""
    precious = instance.dir / "precious"
    precious.write_text("precious")
    os.chown(precious, AGENT, AGENT)
    for directory in (instance.run, instance.audit_dir, instance.state):
        for name in ("api.sock.new", "api.sock.tmp", ".api.sock", "api.new", "state.db.new", "audit.jsonl.new", "lock.new"):
            (directory / name).symlink_to(precious)
    instance.start()
    assert instance.token("acme-sap").status == 200 and instance.reload()["event"] == "reloaded"
    assert precious.read_text() == "precious" and precious.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("what", ["audit.jsonl", "state.db", "lock"])
def test_a_symlink_in_a_files_place_is_not_followed(instance, what):
    """As the agent's own user could be made to lay one: nothing is written through it."""
    instance.start()
    assert instance.stop() == 0
    found = [p for d in (instance.audit_dir, instance.state) for p in d.iterdir() if p.name == what or p.name.endswith(what)]
    assert found, (what, list(instance.state.iterdir()))
    precious = instance.dir / "precious"
    precious.write_text("precious")
    os.chown(precious, AGENT, AGENT)
    found[0].unlink()
    found[0].symlink_to(precious)
    instance.spawn()
    wait_for("an end or a start", lambda: instance.process.poll() is not None or "READY=1" in instance.notifications(), 2.0)
    served = serves(instance)
    assert precious.read_text() == "precious"
    assert not served or not found[0].is_symlink()


# -- two at once


def test_two_agents_at_once_leave_one_chain_of_records_and_one_opening(instance):
    """Twice twenty starts at the same moment: the loser writes nothing, so the audit log still verifies and counts the winners only."""
    starts = 0
    for _ in range(10):
        command = [str(instance.build / "bin" / "makini-agent"), "--config", str(instance.conf_dir / "agent.conf")]
        both = [subprocess.Popen(command, stderr=open(instance.log_path, "ab"), preexec_fn=demote(AGENT), env={}) for _ in range(2)]
        try:
            wait_for("one to give up", lambda: any(p.poll() is not None for p in both), 2.0)
            wait_for("the other to serve", lambda: serves(instance), 2.0)
            starts += 1
        finally:
            for p in both:
                p.terminate()
                p.wait(60)
        assert sorted(p.returncode for p in both) == [0, 75]
    assert len([r for r in instance.audit("open") if r.get("why") == "start"]) == starts
    assert b"OK" in instance.verify().stdout


def test_a_copy_of_the_configuration_does_not_make_a_second_agent_of_one_state(instance):
    """Another file, another directory for the sockets: the lock lies with the state."""
    instance.start()
    other = instance.dir / "other"
    other.mkdir()
    run = instance.dir / "run2"
    run.mkdir(mode=0o711)
    os.chown(run, AGENT, AGENT)
    for name in ("agent.conf", "policy.conf"):
        shutil.copy(instance.conf_dir / name, other / name)
    path = other / "agent.conf"
    path.write_text(path.read_text().replace(f'runtime_dir = "{instance.run}"', f'runtime_dir = "{run}"'))
    done = subprocess.run([str(instance.build / "bin" / "makini-agent"), "--config", str(path)], preexec_fn=demote(AGENT), env={}, capture_output=True,
                          timeout=60)
    assert done.returncode == 75 and not list(run.iterdir())
    assert instance.token("acme-sap").status == 200


# -- the starter's environment


LIBRARY = """
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
unsigned la_version(unsigned v) { return v; }
__attribute__((constructor)) static void begin(void)
{
    char path[256];
    int n = snprintf(path, sizeof path, "%s/loaded.%d", DIR, getpid());
    if (n > 0) close(open(path, O_WRONLY | O_CREAT, 0666));
}
"""


@pytest.fixture(scope="module")
def library():
    """Says in a directory who loaded it."""
    d = pathlib.Path(tempfile.mkdtemp(prefix="makini-preload-"))
    d.chmod(0o777)
    (d / "x.c").write_text(LIBRARY)
    subprocess.run(["gcc", "-shared", "-fPIC", f'-DDIR="{d}"', "-o", d / "evil.so", d / "x.c"], check=True)
    (d / "gconv-modules").write_text("module INTERNAL EVIL// evil 1\nmodule EVIL// INTERNAL evil 1\n")
    (d / "openssl.cnf").write_text(f"openssl_conf = x\n[x]\nengines = y\n[y]\nevil = z\n[z]\nengine_id = evil\ndynamic_path = {d}/evil.so\ninit = 1\n")
    yield d
    shutil.rmtree(d)


HOSTILE = {"LD_PRELOAD": "{d}/evil.so", "LD_AUDIT": "{d}/evil.so", "LD_LIBRARY_PATH": "{d}", "GCONV_PATH": "{d}", "OPENSSL_CONF": "{d}/openssl.cnf",
           "OPENSSL_MODULES": "{d}", "OPENSSL_ENGINES": "{d}", "SSL_CERT_FILE": "{d}/x", "MALLOC_PERTURB_": "0", "MALLOC_TRACE": "{d}/trace", "MALLOC_CHECK_": "3",
           "GLIBC_TUNABLES": "glibc.malloc.check=3:glibc.malloc.tcache_count=0", "HTTPS_PROXY": "http://127.0.0.1:9", "LOCPATH": "{d}", "TZ": ":{d}/x",
           "CURL_CA_BUNDLE": "{d}/x", "RES_OPTIONS": "debug", "TMPDIR": "{d}", "SQLITE_TMPDIR": "{d}", "MAKINI_TEST": "x"}


OWN = (b"", b"LANG=C\0")  # what the agent itself gives a child


def test_nothing_in_the_starters_environment_reaches_the_processes_that_hold_tokens(instance, library):
    """The supervisor itself is what its starter makes of it, which could as well have started another program; it holds no token."""
    instance.environ = {k: v.format(d=library) for k, v in HOSTILE.items()}
    instance.start()
    assert instance.token("acme-sap").status == 200
    pids = instance.pids()
    supervisor = pids.pop("supervisor")
    assert "evil.so" in pathlib.Path(f"/proc/{supervisor}/maps").read_text()  # the control: the library does get loaded
    loaded = {int(p.suffix[1:]) for p in library.glob("loaded.*")}
    assert supervisor in loaded and set(pids) >= {"broker", "fetcher"}
    for role, pid in pids.items():
        assert pathlib.Path(f"/proc/{pid}/environ").read_bytes() in OWN, role
        assert str(library) not in pathlib.Path(f"/proc/{pid}/maps").read_text() and pid not in loaded, role
    assert not (library / "trace").exists()
    assert instance.stop() == 0


def test_a_child_that_is_started_again_is_clean_too(instance, library):
    instance.environ = {k: v.format(d=library) for k, v in HOSTILE.items()}
    instance.start()
    old = instance.pids()["broker"]
    os.kill(old, signal.SIGKILL)
    wait_for("another broker", lambda: instance.pids().get("broker", old) != old, 2.0)
    wait_for("serving", lambda: serves(instance), 2.0)
    for role, pid in instance.pids().items():
        if role != "supervisor":
            assert pathlib.Path(f"/proc/{pid}/environ").read_bytes() in OWN, role
            assert "evil.so" not in pathlib.Path(f"/proc/{pid}/maps").read_text(), role


def test_no_command_line_and_no_environment_says_more_than_where_the_configuration_is(instance):
    instance.start()
    key = instance.key_file.read_bytes().strip()
    assert instance.token("acme-sap").status == 200
    for role, pid in instance.pids().items():
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
        everything = b"".join(words) + pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        assert b"tok-" not in everything and key not in everything and b"acme" not in everything, role
        assert len(words) == (3 if role == "supervisor" else 1), (role, words)


def test_a_process_that_took_a_stale_sockets_path_before_is_not_followed_by_descriptor(instance):
    """A socket that outlived a killed agent, held by nobody: who connects is refused, not served by something else."""
    instance.start()
    children = [pid for role, pid in instance.pids().items() if role != "supervisor"]
    assert len(children) == 2 and not any(map(gone, children))
    instance.process.kill()
    instance.process.wait()
    wait_for("the children ended too", lambda: all(map(gone, children)), 2.0)
    with socket.socket(socket.AF_UNIX) as s, pytest.raises(ConnectionRefusedError):
        s.connect(str(instance.sock()))
    instance.start()
    assert instance.token("acme-sap", uid=BILLING).status == 200
