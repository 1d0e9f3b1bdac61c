# SPDX-License-Identifier: Apache-2.0
"""The stores that pass the conformance suite. Each says how it starts and stops, what its
backend is in a configuration, what it cannot do by nature, and how its vendor writes to it."""

import atexit
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time

from lint.sources import ROOT, files
from servers.openbao import OpenBao
from servers.toy import Toy

BUILD = pathlib.Path(os.environ.get("MK_BUILD", ROOT / "build" / "test")).resolve()
HERE = pathlib.Path(__file__).resolve().parent
MARK = "marker-7e1f"  # in each value that is written; nothing but a get may show it
AGENT_CONF = """
environment = "production";
runtime_dir = "{dir}/run";
state_dir = "{dir}/state";
policy = "policy.conf";
backends = ( {{ name = "store"; type = "{type}"; {keys} }} );
audit = {{ file = "{dir}/log/audit.jsonl"; recipient = "iDx393mdqe5e9kQmnCYV1gh9Dt8L7zFc1uvTnEqNQyw="; }};
"""


class Result(dict):
    """What drive printed, by attribute."""

    def __getattr__(self, key):
        return self.get(key)

    def fields_of(self):
        return {k: tuple(v) for k, v in self["fields"].items()}


class Store:
    name = type = None
    disables = True
    versions = True    # keeps the one before the current one; a version's name lasts; a change can be held against one
    integers = 64      # bits that it keeps of one; of a larger one it says so
    tags = True
    build = BUILD

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        for d in ("etc", "run", "state", "store", "log", "secrets", "tls"):
            (self.dir / d).mkdir(mode=0o700)
        self.count = 0

    # -- what a store says of itself

    def start(self):
        """Starts it; returns its keys in the configuration, as text."""
        raise NotImplementedError

    def seed(self, name, value, **tags):
        """A new current version, by the vendor's own way."""
        raise NotImplementedError

    def stop(self):
        """It does not serve any more."""
        raise NotImplementedError

    def spoil_credential(self):
        """Returns what makes it good again."""
        raise NotImplementedError

    def close(self):
        pass

    # -- the suite's hands

    def up(self):
        self.keys = self.start()
        (self.dir / "etc" / "policy.conf").write_text('environment = "production";\nservices = ();\nrules = ();\n')
        self.conf = self.dir / "etc" / "agent.conf"
        self.write_conf()
        return self

    def write_conf(self, more='timeout = "10s";'):
        self.conf.write_text(AGENT_CONF.format(dir=self.dir, type=self.type, keys=self.keys + more))

    def secret(self, name, text):
        path = self.dir / "secrets" / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def fresh(self, prefix="acme"):
        """A name that nobody used."""
        self.count += 1
        return f"{prefix}-{self.count}"

    def command(self, verb, *args):
        return [str(self.build / "tests" / "drive"), str(self.conf), "store", verb, *args]

    def spawn(self, verb, *args, value=None):
        p = subprocess.Popen(self.command(verb, *args), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PATH": "/usr/bin:/bin"})
        p.stdin.write(b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode())
        p.stdin.close()
        p.stdin = None
        return p

    def finish(self, p):
        out, err = p.communicate(timeout=60)
        assert p.returncode == 0, (p.args, p.returncode, out[:500], err[-2000:])
        result = Result(json.loads(out))
        assert MARK not in err.decode() and MARK not in (result.fault or ""), "a value in a log or a text"
        return result

    def drive(self, verb, *args, value=None):
        result = self.finish(self.spawn(verb, *args, value=value))
        assert "fields" in result or MARK not in json.dumps(result)
        assert (result.err == "OK") != bool(result.fault), result
        return result

    def again(self, verb, *args, value=None):
        """As the agent does where a store says that it is busy."""
        deadline = time.monotonic() + 20
        while (result := self.drive(verb, *args, value=value)).err in ("NOT_READY", "TIMEOUT") and time.monotonic() < deadline:
            time.sleep(0.02)
        return result

    def make(self, name, value):
        """A new current version; its name."""
        put = self.drive("put", name, value=value)
        assert put.err == "OK", put
        promoted = self.drive("promote", name)
        assert promoted.err == "OK", promoted
        return promoted.version


class Local(Store):
    name = type = "local"

    def ctl(self, *args, stdin=b""):
        subprocess.run([BUILD / "bin" / "makinictl", "local", *args, "--file", self.file, "--key-file", self.key], input=stdin, check=True,
                       capture_output=True, timeout=60)

    def start(self):
        self.file, self.key = self.dir / "store" / "tokens.store", self.dir / "secrets" / "tokens.key"
        self.ctl("init")
        return f'file = "{self.file}"; key_file = "{self.key}";'

    def seed(self, name, value, **tags):
        self.ctl("put", name, *(x for k, v in tags.items() for x in ("--tag", f"{k}={v}")), stdin=json.dumps(value).encode())

    def stop(self):
        self.file.rename(self.file.with_suffix(".gone"))

    def spoil_credential(self):
        good = self.key.read_text()
        self.key.write_text("A" * 43 + "=\n")
        return lambda: self.key.write_text(good)


class Vault(Store):
    type = "vault"
    kv, mount = 2, "secret"

    def start(self):
        self.bao = OpenBao(tls=True).start()
        return f"{self.access()} {self.prepare()}"

    def access(self):
        ca = self.dir / "tls" / "ca.pem"
        ca.write_text(self.bao.ca.read_text())
        return (f'address = "{self.bao.address}"; ca_file = "{ca}"; mount = "{self.mount}"; path = "makini/{{connection}}"; kv = {self.kv}; '
                'rate = "1000/s";')

    def prepare(self):
        """Login by AppRole."""
        self.rights()
        self.credential = self.secret("secret-id", "")
        role_id = self.secret("role-id", self.bao.approle())
        self.credential.write_text(self.bao.secret_id())
        return f'auth = {{ method = "approle"; role_id_file = "{role_id}"; secret_id_file = "{self.credential}"; }};'

    def rights(self):
        rules = "\n".join(f'path "{self.mount}/{under}makini/*" {{ capabilities = ["create", "read", "update", "patch", "delete", "list"] }}'
                          for under in ("", "data/", "metadata/", "delete/", "undelete/", "destroy/"))
        self.bao.api("PUT", "sys/policies/acl/makini", {"policy": rules})

    def seed(self, name, value, **tags):
        body = {"data": value} if self.kv == 2 else value
        self.bao.api("POST", f"{self.mount}/{'data/' if self.kv == 2 else ''}makini/{name}", body)
        if tags:
            self.bao.api("POST", f"{self.mount}/metadata/makini/{name}", {"custom_metadata": tags})

    def stop(self):
        self.bao.process.kill()
        self.bao.process.wait()

    def spoil_credential(self):
        good = self.credential.read_text()
        self.credential.write_text("00000000-0000-0000-0000-000000000000")
        return lambda: self.credential.write_text(good)

    def close(self):
        self.bao.close()


class VaultKv2(Vault):
    name, integers = "vault-kv2", 53


class VaultKv1(Vault):
    """KV 1 has no versions: a name of one is of the process that made it."""
    name, kv, mount = "vault-kv1", 1, "plain"
    disables = versions = tags = False

    def prepare(self):
        """Login by token."""
        self.bao.mount(self.mount)
        self.rights()
        self.credential = self.secret("token", self.bao.token())
        return f'auth = {{ method = "token"; token_file = "{self.credential}"; }};'


class ToyStore(Store):
    name = type = "toy"

    def start(self):
        self.build = toy_tree() / "build"
        self.toy = Toy()
        self.key = self.secret("key", self.toy.key + "\n")
        return f'address = "{self.toy.address}"; key_file = "{self.key}"; rate = "1000/s";'

    def seed(self, name, value, **tags):
        self.toy.put(name, value, **tags)

    def stop(self):
        self.toy.close()

    def close(self):
        self.toy.close()

    def spoil_credential(self):
        good = self.key.read_text()
        self.key.write_text("another")
        return lambda: self.key.write_text(good)


ALL = [Local, VaultKv2, VaultKv1, ToyStore]


@functools.cache
def toy_tree():
    """A copy of the sources, `before` beside it, with the toy's file and line in it, built."""
    base = pathlib.Path(tempfile.mkdtemp(prefix="makini-toy-"))
    atexit.register(shutil.rmtree, base, ignore_errors=True)
    base.chmod(0o755)
    before, to = base / "before", base / "after"
    for f in files():
        (before / f).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / f, before / f)
    shutil.copytree(before, to)
    shutil.copy2(HERE / "toy" / "toy.c", to / "backends" / "toy.c")
    with open(to / "include" / "mk" / "backends.def", "a") as table:
        table.write((HERE / "toy" / "toy.line").read_text())
    compiler = re.search(r"^CMAKE_C_COMPILER:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M)[1]
    for command in (["cmake", "-S", to, "-B", to / "build", "-G", "Ninja", "-DMK_TESTS=ON", "-DMK_WERROR=ON", f"-DCMAKE_C_COMPILER={compiler}",
                     "-DCMAKE_BUILD_TYPE=Debug"],
                    ["ninja", "-C", to / "build", "-j2", "drive", "makinictl", "makini-agent", "makini-broker", "makini-fetcher", "makini-reporter"]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=1800)
        assert done.returncode == 0, done.stdout.decode()[-4000:]
    return to
