# SPDX-License-Identifier: Apache-2.0
"""Every lock-down claim, tried from inside each role, on this kernel and with the newer
features masked as on a 6.1 kernel. The control: the same executable makes the same
attempts without the lock-down step, as the same user, and gets through.

The roles are test builds (tests/proc/probe.c): the product's code, with attempts after
the last lock-down step. A new attempt needs a row in ROWS, or a test fails."""

import ctypes
import errno
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from lib.instance import AGENT, BUILD, SECTEAM, Instance, demote
from lib.ports import free_port
from lib.waiting import wait_for

pytestmark = [pytest.mark.root]

ROLES = ("supervisor", "broker", "fetcher", "reporter")
MASK = BUILD / "tests" / "mask61"
OK, KILLED = 0, 1000 + signal.SIGSYS
EACCES, EPERM = errno.EACCES, errno.EPERM
libc = ctypes.CDLL(None, use_errno=True)
NEWER = libc.syscall(444, None, 0, 1) >= 6  # landlock_create_ruleset's version: 6.12, which has all that is masked
REACHED = "the kernel itself, whatever it says"  # a control that no unprivileged user may, or not everywhere


class Row:
    """control: without lock-down. Roles: killed, unless said otherwise here, with the reason."""

    def __init__(self, control=OK, why="", every=KILLED, masked=None, **roles):
        self.control, self.why, self.every, self.roles, self.masked = control, why, every, roles, masked or {}

    def expected(self, role, masked):
        if (masked or not NEWER) and role in self.masked:
            return self.masked[role]
        return self.roles.get(role, self.every)


ROWS = {}


def claims(**rows):
    ROWS.update(rows)


claims(
    # The supervisor makes the listeners, and its filter is its children's upper bound.
    socket_inet=Row(supervisor=OK, why="only the supervisor makes listeners"),
    socket_inet6=Row(supervisor=OK),
    socket_unix=Row(supervisor=OK),
    socket_netlink=Row(supervisor=errno.EAFNOSUPPORT, why="name services try it: in no role is there such a socket"),
    socket_pair=Row(supervisor=OK, why="its links"),
    socket_connect=Row(errno.ENOTSOCK, supervisor=errno.ENOTSOCK, why="name services are asked at a reload"),
    socket_bind=Row(errno.ENOTSOCK, supervisor=errno.ENOTSOCK),
    socket_listen=Row(errno.ENOTSOCK, supervisor=errno.ENOTSOCK),
)
claims(
    exec_true=Row(supervisor=EACCES, why="it starts what lies in libexec"),
    exec_fd=Row(),
    fork_once=Row(supervisor=OK),
    fork_namespace=Row(REACHED, why="a namespace would give capabilities again"),
    fork_clone3=Row(every=errno.ENOSYS, why="its flags cannot be seen by a filter"),
)
claims(
    # The sibling of a child is another child, that of the supervisor an unprotected process of the same user.
    trace=Row(), take_descriptor=Row(errno.EBADF), open_pidfd=Row(), read_memory=Row(),
    open_memory=Row(every=EACCES), open_environ=Row(every=EACCES),
    open_own_memory=Row(every=EACCES),
    signal_sibling=Row(supervisor=EPERM, masked={"supervisor": OK}, why="it ends its children; 6.1 cannot tell them from others"),
    signal_thread=Row(supervisor=EPERM, masked={"supervisor": OK}),
    signal_supervisor=Row(REACHED, supervisor=EPERM, masked={"supervisor": OK}),
    signal_pidfd=Row(errno.EBADF),
    signal_by_owner=Row(),
    read_limits=Row(),
)
claims(
    open_passwd=Row(supervisor=OK, every=EACCES, why="users of the policy are looked up at a reload"),
    open_shadow=Row(EACCES, every=EACCES),
    open_root=Row(supervisor=OK, every=EACCES, why="a reload may name any file"),
    open_outside=Row(supervisor=OK, every=EACCES),
    open_tmp=Row(every=EACCES),
    write_outside=Row(every=EACCES),
    create_outside=Row(every=EACCES),
    create_in_state=Row(supervisor=OK, broker=OK, every=EACCES),
    chmod_outside=Row(supervisor=OK, why="Landlock knows no chmod; the supervisor sets its sockets' modes"),
    unlink_outside=Row(supervisor=EACCES, broker=EACCES),
    mkdir_outside=Row(),
    symlink_outside=Row(), link_outside=Row(),
)
claims(
    map_exec=Row(supervisor=OK, every=EACCES, why="children's libraries are mapped under its filter"),
    map_write_exec=Row(every=EACCES), gain_exec=Row(every=EACCES),
    make_memfd=Row(supervisor=OK, why="only the supervisor makes pages that others are to share"),
    make_ring=Row(REACHED), use_keyring=Row(REACHED), load_bpf=Row(REACHED), watch_faults=Row(REACHED), watch_perf=Row(REACHED),
    new_namespace=Row(REACHED), enter_namespace=Row(errno.EBADF), mount_tmpfs=Row(REACHED), change_root=Row(REACHED),
    become_root=Row(REACHED), gain_capability=Row(REACHED, supervisor=EPERM, why="children drop theirs under its filter"),
    raise_core=Row(supervisor=EPERM), dump_again=Row(every=EPERM),
    outlive_parent=Row(supervisor=OK, why="its own parent; children set theirs under its filter"),
    read_implies_exec=Row(),
    type_at_terminal=Row(errno.ENOTTY),
)


class Scene:
    """A prefix with the probe's executables, a victim of the same user, and what the attempts aim at."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="makini-probe-"))
        self.victim = None
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise

    def _make(self):
        self.dir.chmod(0o755)
        self.prefix, self.outside = self.dir / "p", self.dir / "outside"
        shutil.copytree(BUILD / "probe", self.prefix)
        shutil.copy(BUILD / "bin" / "makinictl", self.prefix / "bin")
        self.libexec = self.prefix / "libexec" / "makini"
        self.outside.mkdir()
        for name in ("file", "victim"):
            (self.outside / name).write_text("outside\n")
        for path in (self.outside, *self.outside.iterdir()):
            os.chown(path, AGENT, AGENT)
        self.victim = subprocess.Popen(["/bin/sleep", "1000"], preexec_fn=demote(AGENT))

    def tell(self, role, when, names, state, sibling=None, drop="nothing"):
        text = f"role {role}\nwhen {when}\ndrop {drop}\nstate {state}\noutside {self.outside}\ntry {' '.join(names)}\n"
        (self.libexec / "probe.txt").write_text(text)
        if sibling:
            self.add_sibling(sibling)

    def add_sibling(self, pid):
        with open(self.libexec / "probe.txt", "a") as f:
            f.write(f"sibling {pid}\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.victim:
            self.victim.kill()
            self.victim.wait()
        shutil.rmtree(self.dir)
        for left in ("/tmp/makini-probe", "/tmp/makini-probe-link"):
            pathlib.Path(left).unlink(missing_ok=True)


def said(log):
    """What the probe said: outcomes by attempt, the attempt begun last, whether it came to its end."""
    records = [json.loads(line) for line in log.splitlines() if line.startswith('{"event":"probe') and line.endswith("}")]
    tried = [r["attempt"] for r in records if r["event"] == "probe_try"]
    return ({r["attempt"]: r["outcome"] for r in records if r["event"] == "probe"}, tried[-1] if tried else None,
            any(r["event"] == "probe_done" for r in records))


def child_of(record):
    return record.get("child", record["role"])


def ended(instance, role):
    """The signal or status by which the role ended, if it did."""
    if role == "supervisor":
        code = instance.process.poll()
        return None if code is None else (-code if code < 0 else code - 128 if instance.wrapper and code > 128 else -1)
    records = [r for r in instance.events("child_ended") if child_of(r) == role]
    return records[0].get("signal", -1) if records else None


def run_once(role, names, masked, drop="nothing"):
    """Attempts in this order until one kills the role. Returns their outcomes. drop: a layer that all roles go without."""
    with Scene() as scene, Instance(build=scene.prefix, wrapper=[str(MASK)] if masked else ()) as i:
        i.write_conf(reporter=f'listen = "127.0.0.1:{free_port()}";')
        scene.tell(role, "after", names, i.state, scene.victim.pid if role == "supervisor" else None, drop)
        i.spawn()
        if role != "supervisor":
            target = "fetcher" if role == "broker" else "broker"
            started = []
            wait_for(f"{target} to start", lambda: started.extend(r["pid"] for r in i.events("child_started") if child_of(r) == target)
                     or started, 2.0)
            scene.add_sibling(started[0])
        wait_for(f"attempts of the {role}", lambda: said(i.log_text())[2] or ended(i, role) is not None, 5.0)
        outcomes, last, done = said(i.log_text())
        if not done:
            assert last is not None and last not in outcomes, f"the {role} did not come to its attempts:\n{i.log_text()[-3000:]}"
            outcomes[last] = 1000 + ended(i, role)
        return outcomes


@functools.lru_cache(maxsize=None)
def outcomes_of(role, masked, drop="nothing"):
    found, left = {}, list(ROWS)
    while left:
        new = run_once(role, left, masked, drop)
        assert new, f"no attempt of {left} was made"
        found.update(new)
        left = [name for name in left if name not in found]
    return found


@functools.lru_cache(maxsize=None)
def controls_of(role):
    """Started by hand, with a link as descriptor 3, so that it comes as far as its first lock-down step."""
    exe = "bin/makini-agent" if role == "supervisor" else f"libexec/makini/makini-{role}"
    args = ["--config", "/none"] if role == "supervisor" else []
    ours, link = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with Scene() as scene, ours, link:
        scene.tell(role, "before", ["*"], scene.outside, scene.victim.pid)
        command = ["/bin/bash", "-c", f'exec "$0" "$@" 3<&{link.fileno()}', str(scene.prefix / exe), *args]
        done = subprocess.run(command, preexec_fn=demote(AGENT), stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
                              pass_fds=(link.fileno(),))
        return said(done.stderr.decode())[0]


@pytest.mark.parametrize("role", ROLES)
def test_without_lock_down_every_attempt_gets_through(role):
    found = controls_of(role)
    assert set(found) == set(ROWS)
    wrong = {n: found[n] for n, row in ROWS.items() if found[n] >= 1000 or row.control not in (REACHED, found[n])}
    assert wrong == {}


@pytest.mark.parametrize("masked", [False, True], ids=["this-kernel", "as-6.1"])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("attempt", ROWS)
def test_the_kernel_refuses(attempt, role, masked):
    outcome, row = outcomes_of(role, masked)[attempt], ROWS[attempt]
    assert outcome == row.expected(role, masked), f"{role}: {attempt}: {row.why}"


# -- seen from outside

LOOK = """
import ctypes, os, sys
pid, libc = int(sys.argv[1]), ctypes.CDLL(None, use_errno=True)
def opened(name):
    try:
        os.close(os.open(f"/proc/{pid}/{name}", os.O_RDONLY))
        return 0
    except OSError as e:
        return e.errno
def called(result):
    return 0 if result >= 0 else ctypes.get_errno()
pidfd = os.pidfd_open(pid)
ctypes.set_errno(0)
print(opened("mem"), opened("environ"), called(libc.syscall(438, pidfd, 0, 0)), called(libc.ptrace(0x4206, pid, 0, 0)))
"""  # pidfd_getfd, PTRACE_SEIZE


def look_at(pid):
    """A process of the same user, not locked down: memory, environment, a descriptor, tracing."""
    done = subprocess.run(["/usr/bin/python3", "-c", LOOK, str(pid)], preexec_fn=demote(AGENT), capture_output=True, timeout=60)
    return [int(word) for word in done.stdout.split()]


@pytest.fixture(scope="module", params=[False, True], ids=["this-kernel", "as-6.1"])
def running(request):
    with Instance(wrapper=[str(MASK)] if request.param else ()) as i:
        i.write_conf(reporter=f'listen = "127.0.0.1:{free_port()}";')
        i.start()
        i.masked = request.param
        yield i


def status_of(pid):
    return dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())


def pid_of(instance, role):
    pids = {child_of(r): r["pid"] for r in instance.events("child_started")}
    return pids[role] if role != "supervisor" else int(status_of(pids["broker"])["PPid"])


@pytest.mark.parametrize("role", ROLES)
def test_a_process_of_the_same_user_cannot_look_inside(running, role):
    with Scene() as scene:
        assert look_at(scene.victim.pid) == [0, 0, 0, 0]
    assert look_at(pid_of(running, role)) == [EACCES, EACCES, EPERM, EPERM]


@pytest.mark.parametrize("role", ROLES)
def test_the_kernel_says_what_each_process_gave_up(running, role):
    pid = pid_of(running, role)
    status = status_of(pid)
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert {status[c] for c in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {"0" * 16}
    assert status["Uid"].split() == [str(AGENT)] * 4
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.M)
    assert status["Umask"] == "0077"


@pytest.mark.parametrize("role", ROLES)
def test_all_threads_are_filtered(running, role):
    pid = pid_of(running, role)
    threads = list(pathlib.Path(f"/proc/{pid}/task").iterdir())
    assert len(threads) == (2 if role == "broker" else 1)
    filters = {line for t in threads for line in (t / "status").read_text().splitlines() if line.startswith("Seccomp_filters")}
    assert len(filters) == 1


GUARDS = {  # (a newer kernel, 6.1); where nothing else is said, full on both
    "mdwe": {"every": ("full", "fallback")},
    "signal_scope": {"every": ("full", "fallback"), "supervisor": ("full", "none")},
    "memory_lock": {"every": ("full", "full"), "supervisor": ("unused", "unused"),
                    "reporter": ("unused", "unused")},
    "memfd_secret": {"every": ("unused", "unused"), "broker": ("full", "fallback")},
    "peer_pidfd": {"every": ("unused", "unused"), "broker": ("full", "fallback")},
}


@pytest.mark.parametrize("role", ROLES)
def test_status_says_what_is_in_force(running, role):
    processes = running.get("/v1/status", uid=SECTEAM, sock="admin").json()["processes"]
    guards = next(p["lockdown"]["guards"] for p in processes if p["role"] == role)
    old = running.masked or not NEWER
    wanted = {g: GUARDS.get(g, {}).get(role, GUARDS.get(g, {}).get("every", ("full", "full")))[old] for g in guards}
    assert guards == wanted and set(GUARDS) < set(guards)


ASK = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.syscall(444, None, 0, 1), libc.prctl(66, 0, 0, 0, 0), libc.syscall(447, 0) >= 0)
"""  # Landlock's version, PR_GET_MDWE, memfd_secret


@pytest.mark.skipif(not NEWER, reason="nothing to mask")
def test_the_mask_hides_what_6_1_has_not():
    def ask(*wrapper):
        return subprocess.run([*wrapper, "/usr/bin/python3", "-c", ASK], capture_output=True, timeout=60).stdout.split()
    assert ask(str(MASK)) == [b"2", b"-1", b"False"]
    assert int(ask()[0]) >= 6 and ask()[1:] == [b"0", b"True"]


# -- a kernel that lacks what is required

def test_without_landlock_it_says_so_and_does_not_start():
    with Instance(wrapper=[str(MASK), "--without-landlock"]) as i:
        i.spawn()
        wait_for("exit", lambda: i.process.poll() is not None, 2.0)
        assert i.process.returncode == 1 and '\\"landlock\\"' in i.log_text() and "exceptions" in i.log_text()


def test_only_the_named_exception_lets_it_start():
    with Instance(wrapper=[str(MASK), "--without-landlock"]) as i:
        i.write_conf('lockdown = { exceptions = [ "mdwe" ]; };')
        i.spawn()
        wait_for("exit", lambda: i.process.poll() is not None, 2.0)
        i.write_conf('lockdown = { exceptions = [ "landlock" ]; };')
        i.start()
        i.put("acme-sap", b"tok-sap")
        assert i.token("acme-sap").status == 200
