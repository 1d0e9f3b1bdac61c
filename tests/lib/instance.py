# SPDX-License-Identifier: Apache-2.0
"""One running instance of the agent in a directory of its own, with real users.

As root each instance runs under an unprivileged uid, and callers are processes of
other uids. Nothing outlives close(): processes, files, users."""

import atexit
import contextlib
import ctypes
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile

from .caller import Caller
from .waiting import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]


def within_reach(build):
    """Where other users can run what was built: they have no way into a checkout in a private home, so root's tests take a copy."""
    if os.geteuid() != 0 or all(p.stat().st_mode & 0o001 for p in (build, *build.parents)):
        return build
    copy = pathlib.Path(tempfile.mkdtemp(prefix="makini-build-"))
    atexit.register(shutil.rmtree, copy)
    copy.chmod(0o755)
    for part in ("bin", "lib", "libexec", "probe", "clocked", "tests"):
        if (build / part).exists():
            shutil.copytree(build / part, copy / part, symlinks=True)
    return copy


BUILD = within_reach(pathlib.Path(os.environ.get("MK_BUILD", ROOT / "build" / "test")).resolve())

AGENT, BILLING, SYNC, STRANGER = 61001, 61002, 61003, 61005
SECTEAM = 0  # admin.sock without a group is root's
LIBC, PR_SET_PDEATHSIG = ctypes.CDLL(None), 1
START_BOUND = 2.0  # seconds from start to ready, stated for a cold start with a local store

POLICY = """
environment = "{env}";
services = (
  {{ name = "billing"; identity = {{ uid = %d; }}; }},
  {{ name = "sync"; identity = {{ uid = %d; }}; }},
  {{ name = "secteam"; identity = {{ socket = "admin"; uid = %d; }}; }} );
rules = (
  {{ allow = "billing"; actions = [ "get", "watch" ]; connections = [ "acme-*" ]; rate = "100000/s"; }},
  {{ deny = "billing"; connections = [ "acme-payroll" ]; }},
  {{ allow = "sync"; actions = [ "list" ]; connections = [ "globex-*" ]; }},
  {{ allow = "secteam"; actions = [ "status", "reload" ]; connections = [ "*" ]; }} );
""" % (BILLING, SYNC, SECTEAM)


def demote(uid, groups=()):
    def do():
        os.setgroups(list(groups))
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    return do


def below(pid):
    """All processes that descend from it, nearest first."""
    found = []
    with contextlib.suppress(OSError):  # it may end while it is looked at
        for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            for child in map(int, task.read_text().split()):
                found += [child, *below(child)]
    return found


def gone(pid):
    """Has it ended? A zombie, whose parent has not looked yet, has, once all its threads have: until then its files are open."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z" and len(os.listdir(f"/proc/{pid}/task")) == 1
    except OSError:
        return True


def hold_still(pid):
    """Stops it by SIGSTOP, and returns when all its threads stand still: until it takes the signal it goes on."""
    os.kill(pid, signal.SIGSTOP)

    def stands_still():
        states = {t.read_text().rsplit(")", 1)[1].split()[0] for t in pathlib.Path(f"/proc/{pid}/task").glob("*/stat")}
        assert states and "Z" not in states, f"{pid} has ended"
        return states == {"T"}
    wait_for("it stands still", stands_still, 1.0)


@contextlib.contextmanager
def held_still(pid):
    """For as long as this lasts. Who stands still for ten seconds is replaced by its supervisor."""
    hold_still(pid)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def whole_lines(text):
    """Without the last one while it has no end: a reader may see a part of what is being written."""
    return text.splitlines()[:None if text.endswith("\n") else -1]


class Instance:
    def __init__(self, env="production", policy=None, conf="", build=None, uid=AGENT, audit_dir=None, wrapper=(), key="key",
                 environ=None, groups=(), memlock=None, nofile=None, backend=None):
        self.env, self.uid, self.build, self.wrapper = env, uid, pathlib.Path(build or BUILD), list(wrapper)
        self.groups, self.memlock, self.nofile = groups, memlock, nofile
        self.environ = dict(environ or {})
        self.backend = backend  # in place of the local store: a text, or what makes one of this instance
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="makini-test-"))
        self.dir.chmod(0o755)
        self.conf_dir, self.tls, self.run, self.state, self.secrets = (self.dir / n for n in ("etc", "tls", "run", "state", "secrets"))
        self.audit_dir = pathlib.Path(audit_dir or self.dir / "log")
        for d, mode in ((self.conf_dir, 0o755), (self.tls, 0o755), (self.run, 0o711), (self.state, 0o700), (self.secrets, 0o700), (self.audit_dir, 0o700)):
            d.mkdir(exist_ok=True)
            d.chmod(mode)
            if d not in (self.conf_dir, self.tls):
                os.chown(d, uid, uid)
        self.log_path = self.dir / "stderr.jsonl"
        self.audit_log = self.audit_dir / "audit.jsonl"
        self.auditor_key = self.dir / "auditor.key"
        self.key_file, self.store = self.secrets / "local.key", self.state / "store" / "local.mks"
        self.process, self.callers = None, {}
        self.recipient = self.ctl("audit", "keygen", self.auditor_key).stdout.decode().strip()
        self.ctl("local", "init", "--file", self.store, "--key-file", self.key_file, user=uid)
        self.write_policy(policy or POLICY.format(env=env))
        self.write_conf(conf)

    # -- files

    def write_policy(self, text):
        self._place(self.conf_dir / "policy.conf", text)

    def write_conf(self, extra="", backend="", reporter='listen = "none";', audit=""):
        local = f'{{ name = "store"; type = "local"; file = "store/local.mks"; key_file = "{self.key_file}"; {backend} }}'
        stores = self.backend(self) if callable(self.backend) else self.backend or local
        self._place(self.conf_dir / "agent.conf", f"""
environment = "{self.env}";
runtime_dir = "{self.run}";
state_dir = "{self.state}";
policy = "policy.conf";
backends = ( {stores} );
audit = {{ file = "{self.audit_log}"; recipient = "{self.recipient}"; {audit} }};
reporter = {{ {reporter} }};
{extra}
""")

    def credential(self, name, text):
        """A file that only the agent reads, replaced at once; its path."""
        path = self.secrets / name
        self._place(path, text, 0o600, self.uid)
        return path

    def public(self, name, text):
        """A file that all may read, such as a certificate; its path."""
        self._place(self.tls / name, text)
        return self.tls / name

    @staticmethod
    def _place(path, text, mode=0o644, owner=0):
        beside = path.with_name(path.name + ".new")
        beside.touch(mode=mode)
        beside.write_text(text)
        beside.chmod(mode)
        if os.geteuid() == 0:
            os.chown(beside, owner, owner)
        beside.rename(path)

    # -- commands

    def ctl(self, *args, user=None, check=True, stdin=b"", env=None):
        """makinictl as root or as a user."""
        done = subprocess.run([str(self.build / "bin" / "makinictl"), *map(str, args)], input=stdin, capture_output=True,
                              preexec_fn=demote(user) if user else None, env=env or {"PATH": "/usr/bin:/bin"}, timeout=120)
        if check and done.returncode != 0:
            raise AssertionError(f"makinictl {args}: {done.returncode}: {done.stderr.decode()}")
        return done

    def put(self, name, value, tags=None):
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        extra = [x for k, v in (tags or {}).items() for x in ("--tag", f"{k}={v}")]
        return self.ctl("local", "put", name, "--file", self.store, "--key-file", self.key_file, *extra, stdin=data, user=self.uid)

    def rm(self, name):
        return self.ctl("local", "rm", name, "--file", self.store, "--key-file", self.key_file, user=self.uid)

    # -- the process

    def spawn(self, *extra):
        """Starts the agent without waiting for it."""
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        notify_path = self.dir / "notify"
        notify_path.unlink(missing_ok=True)
        self.notify.bind(str(notify_path))
        notify_path.chmod(0o777)
        self.notify.setblocking(False)
        self.said = []
        env = {"PATH": "/usr/bin:/bin", "NOTIFY_SOCKET": str(notify_path), **self.environ}
        limits = ((resource.RLIMIT_MEMLOCK, self.memlock), (resource.RLIMIT_NOFILE, self.nofile))

        def prepare():
            for which, value in limits:
                if value is not None:
                    resource.setrlimit(which, (value, value))
            demote(self.uid, self.groups)()
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # it ends with these tests also when they are killed

        self.process = subprocess.Popen(
            [*self.wrapper, str(self.build / "bin" / "makini-agent"), "--config", str(self.conf_dir / "agent.conf"), *extra],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(self.log_path, "ab"), env=env, preexec_fn=prepare,
            close_fds=False)  # what a test made inheritable is inherited
        return self

    def start(self):
        self.spawn()
        wait_for("exec to ready", self._ready, START_BOUND)
        return self

    def _ready(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the agent ended with {self.process.returncode}:\n{self.log_text()[-4000:]}")
        return "READY=1" in self.notifications()

    def notifications(self):
        while True:
            try:
                self.said += self.notify.recv(4096).decode().split("\n")
            except BlockingIOError:
                return self.said

    def reload(self):
        """SIGHUP, and waits for the log to say how it went; returns that record."""
        seen = len(self.events("reloaded", "reload_refused"))
        os.kill(self.supervisor(), signal.SIGHUP)
        wait_for("reload", lambda: len(self.events("reloaded", "reload_refused")) > seen, 2.0)
        return self.events("reloaded", "reload_refused")[seen]

    def supervisor(self):
        """The supervisor's pid. Below a wrapper it is its first child's parent, as the kernel says."""
        if not self.wrapper:
            return self.process.pid
        living = (pathlib.Path(f"/proc/{r['pid']}/status") for r in self.events("child_started"))
        return next(int(re.search(r"^PPid:\t(\d+)", s.read_text(), re.M)[1]) for s in living if s.exists())

    def stop(self, bound=5.0):
        """SIGTERM; returns the exit code."""
        if self.process is None or self.process.poll() is not None:
            return self.process and self.process.returncode
        os.kill(self.process.pid, signal.SIGTERM)
        wait_for("drain", lambda: self.process.poll() is not None, bound)
        return self.process.returncode

    def close(self):
        for caller in self.callers.values():
            caller.close()
        if os.environ.get("MK_COVERAGE") == "1":  # one that is killed leaves no counters
            try:
                self.stop(bound=0.5)
            except (AssertionError, ProcessLookupError):
                pass
        if self.process and self.process.poll() is None:
            for pid in reversed([self.process.pid, *below(self.process.pid)]):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)  # a wrapper does not take along what changed its user
            self.process.wait()
        if hasattr(self, "notify"):
            self.notify.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # -- what it said

    def log_text(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def logs(self):
        return [json.loads(line) for line in whole_lines(self.log_text()) if line.startswith("{")]

    def events(self, *names):
        return [r for r in self.logs() if r["event"] in names]

    def pids(self):
        """Living children by role: the latest of each."""
        pids = {"supervisor": self.supervisor()}
        for record in self.events("child_started", "child_ended"):
            if record["event"] == "child_started":
                pids[record["child"]] = record["pid"]
            elif pids.get(record["child"]) == record["pid"]:
                del pids[record["child"]]
        return pids

    def audit(self, *events):
        """Audit records of all segments, oldest first."""
        files = sorted(self.audit_dir.glob("audit.jsonl.*")) + [self.audit_log]
        records = [json.loads(line) for f in files if f.exists() for line in whole_lines(f.read_text())]
        return [r for r in records if not events or r["event"] in events]

    def verify(self, *files, check=True):
        files = files or [*sorted(self.audit_dir.glob("audit.jsonl.[0-9]*")), self.audit_log]
        return self.ctl("audit", "verify", "--key", self.auditor_key, *files, check=check)

    # -- callers

    def caller(self, uid, gid=None, groups=()):
        key = (uid, gid, tuple(groups))
        if key not in self.callers:
            self.callers[key] = Caller(uid, gid, groups)
        return self.callers[key]

    def sock(self, name="api"):
        return self.run / f"{name}.sock"

    def get(self, target, uid=BILLING, sock="api", **kw):
        return self.caller(uid).get(self.sock(sock), target, **kw)

    def token(self, name, uid=BILLING):
        return self.get(f"/v1/tokens/{name}", uid=uid)
