# SPDX-License-Identifier: Apache-2.0
"""makinictl as its users meet it: with an agent, without one, and with something else
behind the socket."""

import contextlib
import json
import os
import pathlib
import pty
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from lib.instance import BILLING, BUILD, ROOT, STRANGER, SYNC, Instance, demote
from lib.waiting import wait_for

CTL = str(BUILD / "bin" / "makinictl")
AGENT_EXE = str(BUILD / "bin" / "makini-agent")
CALLS = [["get", "acme"], ["get", "acme", "--json"], ["list"], ["list", "--json"], ["whoami"], ["status"], ["health"], ["health", "--live"]]
DONE, FAILED, USAGE, DENIED, NOT_FOUND, GONE, UNAVAILABLE = range(7)


def ctl(*args, user=None, env=None, groups=(), **more):
    return subprocess.run([CTL, *map(str, args)], capture_output="stdout" not in more, env={"PATH": "/usr/bin:/bin", **(env or {})},
                          preexec_fn=demote(user, groups) if user else None, timeout=30, **more)


@pytest.fixture(scope="module")
def instance():
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with Instance() as i:
        for n in range(203):
            i.put(f"acme-{n:03}", b"tok-%d" % n)
        i.put("acme-payroll", b"tok-payroll")
        i.put("acme-past", {"access_token": "tok-past", "expires_at": "2001-01-01T00:00:00Z"})
        yield i.start()


# -- with an agent

def test_get_prints_the_bare_token_and_nothing_else(instance):
    done = ctl("get", "acme-007", "--socket", instance.run / "api.sock", user=BILLING)
    assert (done.returncode, done.stdout, done.stderr) == (DONE, b"tok-7", b"")


def test_get_ends_the_line_on_a_terminal(instance):
    ours, theirs = pty.openpty()
    done = ctl("get", "acme-007", "--socket", instance.run / "api.sock", user=BILLING, stdout=theirs)
    os.close(theirs)
    line = b""
    with open(ours, "rb", buffering=0) as terminal, contextlib.suppress(OSError):  # EIO: its end
        while piece := terminal.read(100):
            line += piece
    assert done.returncode == DONE and line == b"tok-7\r\n"


def test_the_versions_of_a_token(instance):
    at = "--socket", instance.run / "api.sock"
    instance.put("acme-000", b"tok-second")
    assert ctl("get", "acme-000", "--version", "previous", *at, user=BILLING).stdout == b"tok-0"
    assert ctl("get", "acme-001", "--version=previous", *at, user=BILLING).returncode == NOT_FOUND
    assert ctl("get", "acme-001", "--version", "older", *at, user=BILLING).returncode == USAGE


@pytest.mark.parametrize("name, user, code, word", [
    ("acme-payroll", BILLING, DENIED, b"denied"), ("acme-nothing", BILLING, NOT_FOUND, b"not_found"),
    ("acme-past", BILLING, GONE, b"expired"), ("acme-001", STRANGER, DENIED, b"denied"), ("help", BILLING, DENIED, b"denied")])
def test_what_is_no_token_is_an_exit_code_and_a_word(instance, name, user, code, word):
    at = "--socket", instance.run / "api.sock"
    done = ctl("get", name, *at, user=user)
    assert done.returncode == code and done.stdout == b"" and b"makinictl: " + word in done.stderr and b"tok-" not in done.stderr
    done = ctl("get", name, "--json", *at, user=user)
    assert done.returncode == code and json.loads(done.stdout)["code"] == word.decode() and done.stderr == b""


def test_list_goes_through_all_pages_and_prints_one_document(instance):
    at = "--socket", instance.run / "api.sock"
    names = [f"acme-{n:03}" for n in range(203)] + ["acme-past"]
    lines = ctl("list", *at, user=BILLING).stdout.decode().splitlines()
    assert [line.split()[0] for line in lines] == ["CONNECTION", *names]
    whole = json.loads(ctl("list", "--json", *at, user=BILLING).stdout)
    assert [t["connection"] for t in whole["tokens"]] == names and whole["next"] is None
    part = json.loads(ctl("list", "--json", "--limit", "201", *at, user=BILLING).stdout)
    assert [t["connection"] for t in part["tokens"]] == names[:201] and part["next"] == names[200]
    rest = json.loads(ctl("list", "--json", "--after", part["next"], *at, user=BILLING).stdout)
    assert [t["connection"] for t in rest["tokens"]] == names[201:]
    assert ctl("list", "--json", *at, user=STRANGER).returncode == DENIED


def test_whoami_shows_service_evidence_and_rules(instance):
    at = "--socket", instance.run / "api.sock"
    text = ctl("whoami", *at, user=BILLING, groups=[4, 61900]).stdout.decode()
    assert re.search(r"^service: +billing$", text, re.M) and f"uid {BILLING}" in text and "groups 4 61900" in text
    assert re.search(r"^allow .*get.* on acme-\*$", text, re.M) and re.search(r"^deny .* on acme-payroll$", text, re.M)
    assert json.loads(ctl("whoami", "--json", *at, user=SYNC).stdout)["service"] == "sync"
    done = ctl("whoami", *at, user=STRANGER)
    assert done.returncode == DONE and b"nobody" in done.stdout


def test_status_is_one_page_and_one_document(instance):
    done = ctl("status", "--socket", instance.run / "admin.sock")
    assert done.returncode == DONE and done.stdout.startswith(b"production: ready\n")
    for word in (b"audit: writable", b"supervisor", b"broker", b"fetcher", b"locked down", b"store ", b"alarms: none"):
        assert word in done.stdout
    assert json.loads(ctl("status", "--json", "--socket", instance.run / "admin.sock").stdout)["environment"] == "production"
    assert ctl("status", "--socket", instance.run / "api.sock").returncode == NOT_FOUND


def test_a_socket_that_may_not_be_opened_is_denied_with_the_remedy(instance):
    done = ctl("status", "--socket", instance.run / "admin.sock", user=BILLING)
    assert done.returncode == DENIED and b"may not be opened by this user: join" in done.stderr
    done = ctl("get", "acme", "--socket", instance.secrets / "x.sock", user=BILLING)
    assert done.returncode == DENIED and b"may not search" in done.stderr


def test_health_is_0_when_ready(instance):
    at = "--socket", instance.run / "api.sock"
    assert ctl("health", *at, user=STRANGER).stdout == b"ready\n"
    assert ctl("health", "--live", *at, user=STRANGER).returncode == DONE
    assert json.loads(ctl("health", "--ready", "--json", *at).stdout)["status"] == "ready"
    assert ctl("health", "--ready", "--live", *at).returncode == USAGE


def test_output_that_cannot_be_written_is_a_failure(instance):
    for words in (["get", "acme-001"], ["list"], ["whoami"], ["health"], ["get", "acme-001", "--json"]):
        with open("/dev/full", "wb") as full:
            done = ctl(*words, "--socket", instance.run / "api.sock", user=BILLING, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == FAILED and b"standard output" in done.stderr, words


# -- without one

@pytest.mark.parametrize("words", CALLS)
def test_a_path_without_an_agent_says_so(tmp_path, words):
    (tmp_path / "file").write_text("")
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "stale"))
    stale.close()
    for name, text in (("none", b"is not there: is the agent running?"), ("file", b"is not a socket"), ("", b"is not a socket"),
                       ("file/below", b"is not a socket"), ("stale", b"nobody listens there")):
        done = ctl(*words, "--socket", tmp_path / name)
        assert done.returncode == UNAVAILABLE and text in done.stderr and done.stdout == b"", name


@pytest.mark.parametrize("value, code, text", [
    ("unix:///run/x.sock", UNAVAILABLE, b"unix:///run/x.sock (from MAKINI_AGENT_SOCKET) is not there"),
    ("x" * 200, USAGE, b"(from MAKINI_AGENT_SOCKET) is longer than 107 bytes"),
    ("/", UNAVAILABLE, b"/ (from MAKINI_AGENT_SOCKET) is not a socket")])
def test_nonsense_in_the_environment_is_told_where_it_comes_from(value, code, text):
    done = ctl("get", "acme", env={"MAKINI_AGENT_SOCKET": value})
    assert done.returncode == code and text in done.stderr


def test_an_empty_socket_option_is_not_another_socket(instance):
    done = ctl("get", "acme-001", "--socket", "", env={"MAKINI_AGENT_SOCKET": str(instance.run / "api.sock")}, user=BILLING)
    assert done.returncode == USAGE and done.stdout == b""


def test_the_options_win_over_the_environment(instance):
    done = ctl("get", "acme-001", "--socket", instance.run / "api.sock", env={"MAKINI_AGENT_SOCKET": "/nowhere"}, user=BILLING)
    assert done.stdout == b"tok-1"
    done = ctl("get", "acme-001", env={"MAKINI_AGENT_SOCKET": str(instance.run / "api.sock")}, user=BILLING)
    assert done.stdout == b"tok-1"


INSTANCES = """
import json, os, socket, subprocess, sys
keep = []
def sock(env, name):
    os.makedirs("/run/makini/" + env, exist_ok=True)
    keep.append(socket.socket(socket.AF_UNIX))
    keep[-1].bind("/run/makini/%s/%s.sock" % (env, name))
def run(*words):
    d = subprocess.run([sys.argv[1], *words], capture_output=True, text=True, env={})
    return d.returncode, d.stderr
said = [run("whoami")]
sock("production", "api"); sock("production", "admin")
os.makedirs("/run/makini/Not-An-Instance"); open("/run/makini/file", "w"); os.makedirs("/run/makini/empty")
said += [run("whoami"), run("status")]
sock("development", "api")
said += [run("whoami"), run("status"), run("whoami", "--env", "prodution"), run("whoami", "--env", "development"),
         run("--env=production", "whoami"), run("whoami", "--env", "../x"), run("whoami", "--env", "")]
print(json.dumps(said))
"""


@pytest.mark.root
def test_the_only_instance_is_found_and_of_several_one_must_be_named():
    done = subprocess.run(["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh", sys.executable, "-c", INSTANCES, CTL],
                          capture_output=True, check=True)
    none, only, only_admin, several, admin, typo, development, production, bad, empty = json.loads(done.stdout)
    assert none[0] == UNAVAILABLE and "no api.sock under /run/makini" in none[1]
    assert only[0] == UNAVAILABLE and "/run/makini/production/api.sock: nobody listens" in only[1]
    assert only_admin[0] == UNAVAILABLE and "/run/makini/production/admin.sock" in only_admin[1]
    assert several[0] == USAGE and "--env production" in several[1] and "--env development" in several[1]
    assert "file" not in several[1] and "empty" not in several[1] and "Not" not in several[1]
    assert admin[0] == UNAVAILABLE and "/run/makini/production/admin.sock" in admin[1]  # just one has an admin socket
    assert typo[0] == UNAVAILABLE and "prodution/api.sock is not there" in typo[1] and "--env production" in typo[1]
    assert "/run/makini/development/api.sock" in development[1] and "/run/makini/production/api.sock" in production[1]
    assert bad[0] == USAGE and empty[0] == USAGE


# -- with something else behind the socket

class Foreign:
    """A server that says one thing to all; None: nothing, and keeps the connection."""

    def __init__(self, path, answer):
        self.path, self.answer, self.open = path, answer, []
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(str(path))
        os.chmod(path, 0o777)
        self.sock.listen(64)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                c, _ = self.sock.accept()
            except OSError:
                return
            self.open.append(c)
            if self.answer is not None:
                try:
                    c.recv(65536)
                    c.sendall(self.answer)
                except OSError:
                    pass
                c.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def http(status, body, kind="application/json"):
    return b"HTTP/1.1 %d X\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s" % (status, kind.encode(), len(body), body)


@pytest.mark.parametrize("answer", [
    b"\x00\x01garbage\xff\n", http(200, b"<html>secret", "text/html"), http(404, b"no", "text/html"), http(503, b"[]"),
    b"HTTP/1.1 302 F\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n", http(200, b"x" * 200000, "text/plain")],
    ids=["noise", "html", "404", "503", "redirect", "too-much"])
def test_a_foreign_server_is_not_taken_for_an_agent(tmp_path, answer):
    with Foreign(tmp_path / "s", answer):
        for words in CALLS:
            done = ctl(*words, "--socket", tmp_path / "s")
            assert done.returncode == UNAVAILABLE and done.stdout == b"" and b"is no agent" in done.stderr, words


@pytest.mark.parametrize("body", [b"{}", b"[]", b"7", b'{"tokens":7,"next":8}', b'{"tokens":[]}', b"{", b'{"environment":1}'])
def test_json_without_an_agents_form_is_not_taken_for_an_answer(tmp_path, body):
    with Foreign(tmp_path / "s", http(200, body)):
        for words in CALLS:
            if words[:1] == ["get"]:
                continue
            done = ctl(*words, "--socket", tmp_path / "s")
            assert done.returncode == UNAVAILABLE and b"is no agent" in done.stderr, words


def test_a_list_that_does_not_go_on_ends(tmp_path):
    with Foreign(tmp_path / "s", http(200, b'{"tokens":[],"next":"acme"}')):
        assert ctl("list", "--socket", tmp_path / "s").returncode == UNAVAILABLE


def test_what_a_terminal_would_act_on_is_not_printed(tmp_path):
    with Foreign(tmp_path / "s", http(403, b'{"code":"denied","detail":"\\u001b[2Jgone\\u009b2J\\u0000"}', "application/problem+json")):
        done = ctl("whoami", "--socket", tmp_path / "s")
    assert done.returncode == UNAVAILABLE  # NUL is no JSON text of an agent
    with Foreign(tmp_path / "t", http(403, b'{"code":"denied","detail":"\\u001b[2Jgone\\u009b2J"}', "application/problem+json")):
        done = ctl("whoami", "--socket", tmp_path / "t")
    assert done.returncode == DENIED and b"?[2Jgone??2J" in done.stderr and b"\x1b" not in done.stderr


def test_status_without_a_lock_down_does_not_read_as_locked_down(tmp_path):
    body = b'{"environment":"x","processes":[{"role":"broker"},{"role":"fetcher","lockdown":{"guards":{"seccomp":"none"}}}]}'
    with Foreign(tmp_path / "s", http(200, body)):
        text = ctl("status", "--socket", tmp_path / "s").stdout.decode()
    assert "lock-down: not reported" in text and "lock-down: seccomp none" in text and "locked down" not in text


def test_a_probe_does_not_wait_long_for_a_server_that_hangs(tmp_path):
    with Foreign(tmp_path / "s", None):
        begun = time.monotonic()
        done = ctl("health", "--live", "--socket", tmp_path / "s")
    assert done.returncode == UNAVAILABLE and b"no answer within 5 s" in done.stderr and time.monotonic() - begun < 50


@pytest.mark.root
def test_a_get_leaves_no_core_and_no_debugger_of_its_user():
    with tempfile.TemporaryDirectory() as name, Foreign(pathlib.Path(name) / "s", None) as server:
        os.chmod(name, 0o755)
        p = subprocess.Popen([CTL, "get", "acme", "--socket", str(server.path)], preexec_fn=demote(BILLING))
        try:
            wait_for("the call", lambda: server.open, 5.0)
            assert os.stat(f"/proc/{p.pid}/mem").st_uid == 0  # not dumpable: root's
            assert re.search(r"^Max core file size +0 ", pathlib.Path(f"/proc/{p.pid}/limits").read_text(), re.M)
        finally:
            p.kill()
            p.wait()


# -- words and options

@pytest.mark.parametrize("words", [
    [], ["--env"], ["--json"], ["nothing"], ["get"], ["get", "a", "b"], ["get", "A"], ["get", "a", "--colour"], ["get", "a", "--json=x"],
    ["get", "a", "--socket"], ["get", "--socket", "--json", "a"], ["get", "a", "--socket", "/x", "--env", "y"], ["list", "a"],
    ["list", "--limit", "0"], ["list", "--limit", "x"], ["list", "--after", "A"], ["whoami", "a"], ["status", "a"], ["health", "a"],
    ["config"], ["config", "chek", "x"], ["config", "check"], ["policy"], ["policy", "check"],
    ["policy", "check", "x", "--env", "A"], ["help", "nothing"], ["local", "lits"]])
def test_wrong_usage_ends_with_2_and_a_word_of_help(words):
    done = ctl(*words)
    assert done.returncode == USAGE and done.stdout == b"" and b"makinictl" in done.stderr


@pytest.mark.parametrize("words", [
    ["get", "acme", "s3cr3t"], ["get", "acme", "--token=s3cr3t"], ["local", "put", "acme", "s3cr3t", "--file", "f", "--key-file", "k"],
    ["local", "put", "acme", "--value=s3cr3t", "--file", "f", "--key-file", "k"], ["local", "put", "acme", "x", "s3cr3t"]])
def test_a_secret_in_the_wrong_place_is_not_repeated(words):
    done = ctl(*words)
    assert done.returncode == USAGE and b"s3cr3t" not in done.stdout + done.stderr


def test_near_misses_are_named():
    assert b"did you mean status?" in ctl("statu").stderr and b"did you mean --socket?" in ctl("get", "a", "--soket", "x").stderr


def test_every_command_has_help_that_names_all_its_options():
    overview = ctl("help").stdout.decode()
    commands = re.findall(r"^  makinictl (\w+)", overview, re.M)
    assert commands == ["get", "list", "watch", "run", "render", "whoami", "status", "health", "freeze", "thaw", "revoke", "restore", "approve", "config", "separation", "policy", "audit", "local"]
    for command in commands:
        done = ctl("help", command)
        assert done.returncode == DONE and done.stderr == b"" and b"Example" in done.stdout
        assert ctl(command, "--help").stdout == done.stdout
        offered = set(re.findall(r"--[a-z-]+", done.stdout.decode()))
        for other in ("--socket", "--env", "--json", "--version", "--limit", "--after", "--live", "--ready"):
            if command in ("audit", "local", "policy"):
                continue  # words of their own
            words = {"config": ["check", "/nope"], "separation": ["check"], "policy": ["check", "/nope"], "get": ["a"]}.get(command, [])
            value = {"--env": ["x"], "--socket": ["/nope"], "--version": ["previous"], "--limit": ["1"], "--after": ["a"]}.get(other, [])
            program = ["--", "true"] if command == "run" else []
            known = b"unknown option" not in ctl(command, *words, other, *value, *program).stderr
            assert known == (other in offered), f"{command} {other}"


def test_the_manual_names_every_command_and_option():
    page = (ROOT / "docs/man/makinictl.1").read_text().replace("\\-", "-")
    for command in re.findall(r"^  makinictl (\w+)", ctl("help").stdout.decode(), re.M):
        assert re.search(rf"^\.It Cm {command}\b", page, re.M), command
        for option in re.findall(r"--([a-z-]+)", ctl("help", command).stdout.decode()):
            if command not in ("audit", "local"):  # "help" tells them
                assert re.search(rf"Fl -{option}\b", page), f"{command} --{option}"


# -- files

def wrong():
    return sorted(d.name for d in (ROOT / "tests/wrong").iterdir() if d.is_dir())


@pytest.mark.parametrize("name", wrong())
def test_config_check_and_the_agents_own_check_agree(tmp_path, name):
    tmp_path.chmod(0o755)
    for file in ("agent.conf", "policy.conf"):
        (tmp_path / file).write_bytes((ROOT / "tests/wrong" / name / file).read_bytes())
        (tmp_path / file).chmod(0o644)
    ours = ctl("config", "check", tmp_path / "agent.conf")
    agents = subprocess.run([AGENT_EXE, "--config", str(tmp_path / "agent.conf"), "--check"], capture_output=True)
    if name == "00-right":
        assert (ours.returncode, agents.returncode) == (DONE, 0)
        return
    assert (ours.returncode, agents.returncode) == (FAILED, 78) and ours.stdout == b""
    assert ours.stderr.splitlines()[0] == agents.stderr.splitlines()[0]
    place = (ROOT / "tests/wrong" / name / "expect").read_text().split(" ")[0]
    assert f"/{place} ".encode() in ours.stderr


def test_policy_check_takes_the_files_environment_or_the_one_that_is_named(instance):
    file = instance.conf_dir / "policy.conf"
    assert b": ok: environment production, 3 services, 4 rules" in ctl("policy", "check", file).stdout
    assert ctl("policy", "check", file, "--env", "production").returncode == DONE
    done = ctl("policy", "check", file, "--env", "development")
    assert done.returncode == FAILED and re.search(rb"policy\.conf:2: .*\"development\"", done.stderr)
    assert ctl("policy", "check", instance.conf_dir / "none").returncode == FAILED
