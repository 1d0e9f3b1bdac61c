# SPDX-License-Identifier: Apache-2.0
"""The policy attacked: the file in every wrong form, half written, exchanged while it is read,
and a right that is taken away under load."""

import json
import os
import signal
import socket
import stat
import subprocess
import threading
import time

import pytest

from lib.instance import AGENT, BILLING, POLICY, SECTEAM, STRANGER, Caller, Instance, demote, held_still
from lib.waiting import wait_for

pytestmark = pytest.mark.root
RIGHT = POLICY.format(env="production")
WIDE = RIGHT.replace('"acme-*"', '"*"')  # what an attacker would like to be in force


@pytest.fixture(scope="module")
def instance():
    with Instance() as i:
        i.put("acme-sap", b"tok-sap")
        i.put("acme-cold", b"tok-cold")
        i.put("globex-erp", b"tok-globex")
        yield i.start()


@pytest.fixture(autouse=True)
def right_again(instance):
    yield
    clear(instance.conf_dir / "policy.conf")
    instance.conf_dir.chmod(0o755)
    instance.write_policy(RIGHT)
    assert instance.reload()["event"] == "reloaded"


def clear(path):
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


# -- the file itself


def symlink(path):
    other = path.with_name("other.conf")
    other.write_text(WIDE)
    clear(path)
    path.symlink_to(other)


def symlinked_directory(path):
    other = path.parent.with_name("etc-other")
    other.mkdir(exist_ok=True)
    (other / "policy.conf").write_text(WIDE)
    clear(path)
    path.symlink_to(other / "policy.conf")


def fifo(path):
    clear(path)
    os.mkfifo(path, 0o644)


def device(path):
    clear(path)
    os.mknod(path, 0o644 | stat.S_IFCHR, os.makedev(1, 5))  # /dev/zero, which never ends


def directory(path):
    clear(path)
    path.mkdir()


def bound_socket(path):
    clear(path)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(path))


def mode_of(mode):
    def do(path):
        path.write_text(WIDE)
        path.chmod(mode)
    return do


def of_a_stranger(path):
    path.write_text(WIDE)
    os.chown(path, STRANGER, STRANGER)


def in_an_open_directory(path):
    path.write_text(WIDE)
    path.parent.chmod(0o777)


def missing(path):
    clear(path)


FORMS = [symlink, symlinked_directory, fifo, device, directory, bound_socket, mode_of(0o666), mode_of(0o664), of_a_stranger, in_an_open_directory, missing]
IDS = ["symlink", "symlink to elsewhere", "fifo", "device", "directory", "socket", "writable for all", "writable for a group", "of a stranger",
       "in a directory for all", "missing"]


def still_as_it_was(i):
    assert i.token("acme-sap").status == 200 and i.token("globex-erp").status == 403 and i.token("acme-payroll").status == 403


@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_a_policy_file_that_others_could_have_written_is_not_read(instance, form):
    """Its text would be a right policy, and a wide one: only the form is wrong. The old one stays, whole."""
    form(instance.conf_dir / "policy.conf")
    record = instance.reload()
    assert record["event"] == "reload_refused" and (form is in_an_open_directory or "policy.conf" in str(record)), record
    assert str(instance.conf_dir) in str(record)
    still_as_it_was(instance)
    done = subprocess.run([str(instance.build / "bin" / "makini-agent"), "--config", str(instance.conf_dir / "agent.conf"), "--check"],
                          capture_output=True, preexec_fn=demote(AGENT), timeout=60)
    assert done.returncode in (1, 78) and str(instance.conf_dir).encode() in done.stderr  # nor would it start


def test_the_same_wide_text_in_a_file_of_its_own_is_taken(instance):
    """The control of the test above."""
    instance.write_policy(WIDE)
    assert instance.reload()["event"] == "reloaded" and instance.token("globex-erp").status == 200


# -- the text


def cut(n):
    return RIGHT.encode()[:n]


TEXTS = {"empty": b"", "one byte": b"e", "blank": b"\n \n", "half": cut(len(RIGHT) // 2), "all but the last bracket": cut(len(RIGHT.rstrip()) - 2),
         "all but the first": RIGHT.replace(");", ";", 1).encode(), "zeros": b"\0" * 4096, "a NUL inside": RIGHT.replace("rules", "ru\0les").encode(),
         "noise": bytes(range(256)) * 16, "twice": (RIGHT * 2).encode(), "another environment": POLICY.format(env="development").encode(),
         "no rules": RIGHT[:RIGHT.index("rules")].encode(), "an include": b'@include "/etc/passwd"\n' + RIGHT.encode(),
         "deep": b"x = " + b"(" * 100_000}


@pytest.mark.parametrize("what", TEXTS)
def test_half_a_policy_is_none_the_old_one_stays_and_a_cold_start_is_refused(instance, what):
    path = instance.conf_dir / "policy.conf"
    path.write_bytes(TEXTS[what])
    assert instance.reload()["event"] == "reload_refused"
    still_as_it_was(instance)
    with Instance() as cold:
        (cold.conf_dir / "policy.conf").write_bytes(TEXTS[what])
        cold.spawn()
        assert cold.process.wait(60) == 78 and not cold.sock().exists()


def test_a_reload_that_was_refused_is_an_alarm_until_one_is_taken():
    def standing(i):
        said = i.get("/v1/status", uid=SECTEAM, sock="admin")
        return [a["code"] for a in json.loads(said.body)["alarms"]] if said.status == 200 else None

    with Instance() as i:
        i.start()
        assert standing(i) == []
        i.write_policy(RIGHT + "{")
        assert i.reload()["event"] == "reload_refused"
        wait_for("the alarm", lambda: standing(i) == ["reload_refused"], 2.0)
        assert [a["code"] for a in i.events("alarm")] == ["reload_refused"]
        broker = i.pids()["broker"]
        os.kill(broker, signal.SIGKILL)  # the next one is told, too
        wait_for("another broker", lambda: i.pids().get("broker", broker) != broker and standing(i) == ["reload_refused"], 5.0)
        i.write_policy(RIGHT)
        assert i.reload()["event"] == "reloaded"
        wait_for("its end", lambda: standing(i) == [], 2.0)


def test_a_policy_cut_at_any_place_is_refused(instance):
    """Each prefix, as an interrupted copy would leave it, by the parser that a reload uses."""
    path = instance.dir / "cut.conf"
    taken = []
    for n in range(0, len(RIGHT.rstrip()) - 1, 7):
        path.write_bytes(cut(n))
        if instance.ctl("policy", "check", path, check=False).returncode == 0:
            taken.append(n)
    path.write_text(RIGHT)
    assert instance.ctl("policy", "check", path).returncode == 0  # the control
    assert taken == []


def test_a_file_of_a_gigabyte_costs_neither_time_nor_memory(instance):
    path = instance.conf_dir / "policy.conf"
    with open(path, "r+b") as f:
        f.truncate(1 << 30)
    assert instance.reload()["event"] == "reload_refused"  # within the bound of any reload
    still_as_it_was(instance)


# -- exchanged while it is read


def test_each_decision_is_by_one_whole_policy_while_files_are_exchanged_without_end(instance):
    """Two policies take turns, each by rename, a thousand times a second, under reloads. One allows acme-sap, the other acme-cold. An
    answer is by the one or the other, and its record names the rule of just that one."""
    head = "environment = \"production\";\nservices = ( { name = \"billing\"; identity = { uid = %d; }; },\n" \
           "  { name = \"secteam\"; identity = { socket = \"admin\"; uid = %d; }; } );\nrules = (\n" % (BILLING, SECTEAM)
    admin = '  { allow = "secteam"; actions = [ "status", "reload" ]; connections = [ "*" ]; } );\n'
    rule = '  { allow = "billing"; actions = [ "get" ]; connections = [ "%s" ]; rate = "100000/s"; },\n'
    line = head.count("\n") + 1
    texts = {"acme-sap": (head + rule % "acme-sap" + admin, line), "acme-cold": (head + "\n\n\n" + rule % "acme-cold" + admin, line + 3)}
    stop, swaps, odd, counts = threading.Event(), [0], [], {"acme-sap": 0, "acme-cold": 0}

    def swap():
        while not stop.is_set():
            for text, _ in texts.values():
                instance.write_policy(text)
                swaps[0] += 1
                time.sleep(0.0005)

    def ask():
        caller = Caller(BILLING)
        connection = caller.connect(instance.sock())
        while not stop.is_set():
            for name in counts:
                status = connection.request(f"/v1/tokens/{name}").status
                counts[name] += status == 200
                if status not in (200, 403):
                    odd.append(status)
        connection.close()
        caller.close()

    seen = len(instance.audit("grant"))
    instance.write_policy(texts["acme-sap"][0])
    assert instance.reload()["event"] == "reloaded"
    threads = [threading.Thread(target=t) for t in (swap, ask, ask)]
    for t in threads:
        t.start()
    try:
        events = [instance.reload()["event"] for _ in range(60)]
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert set(events) == {"reloaded"} and odd == []
    assert swaps[0] > 100 and all(counts.values()), counts  # the control: both were in force
    rules = {(r["connection"], r["rule"]) for r in instance.audit("grant")[seen:] if r["connection"] in texts}
    assert rules <= {(name, number) for name, (_, number) in texts.items()}, rules
    assert len(rules) == 2


# -- a right taken away under load


RATE, CONNECTIONS = 500, 5


class Stream(threading.Thread):
    """One kept-alive connection that asks at its part of the rate; when each answer was asked for, and what it was."""

    def __init__(self, instance, name):
        super().__init__()
        self.instance, self.target, self.answers, self.stop = instance, f"/v1/tokens/{name}", [], threading.Event()

    def run(self):
        caller = Caller(BILLING)
        connection = caller.connect(self.instance.sock())
        began, n = time.monotonic(), 0
        while not self.stop.is_set():
            n += 1
            time.sleep(max(0.0, began + n * CONNECTIONS / RATE - time.monotonic()))
            asked = time.monotonic()
            status = connection.request(self.target).status
            self.answers.append((asked, time.monotonic(), status))
        connection.close()
        caller.close()


def waiters(instance):
    return instance.get("/v1/status", uid=SECTEAM, sock="admin").json()["waiters"]


def reload_by_admin(instance):
    answer = instance.get("/v1/reload", uid=SECTEAM, sock="admin", method="POST")
    acknowledged = time.monotonic()
    assert answer.status == 200, answer
    return acknowledged


@pytest.mark.parametrize("how", ["no rule", "a deny", "another uid", "no service"])
def test_after_a_reload_is_acknowledged_not_one_grant_follows_of_a_right_that_it_took_away(instance, how):
    less = {"no rule": RIGHT.replace('"acme-*"', '"initech-*"'), "a deny": RIGHT.replace('"acme-payroll"', '"acme-sap"'),
            "another uid": RIGHT.replace(f"uid = {BILLING}", f"uid = {STRANGER}"),
            "no service": RIGHT.replace('"billing"', '"other"').replace(f"uid = {BILLING}", f"uid = {STRANGER}")}[how]
    streams = [Stream(instance, "acme-sap") for _ in range(CONNECTIONS)]
    for s in streams:
        s.start()
    def more(n):
        """Waits for so many answers more."""
        total = lambda: sum(len(s.answers) for s in streams)  # noqa: E731
        seen = total()
        wait_for(f"{n} answers", lambda: total() >= seen + n, n / RATE)

    try:
        more(500)
        instance.write_policy(less)
        acknowledged = reload_by_admin(instance)
        more(350)
        begun = time.monotonic()
        instance.write_policy(RIGHT)
        again = reload_by_admin(instance)
        more(50)
    finally:
        for s in streams:
            s.stop.set()
        for s in streams:
            s.join()
    answers = sorted(a for s in streams for a in s.answers)
    before = [a for a in answers if a[1] < acknowledged]
    between = [a for a in answers if acknowledged < a[0] and a[1] < begun]
    rate = len(before) / (acknowledged - answers[0][0])
    print(f"figure: {rate:.0f} requests/s; {sum(a[2] == 200 for a in before)} grants before, {len(between)} answers after the reload was acknowledged")
    assert sum(a[2] == 200 for a in before) > 50 and len(between) > 50  # the control: there was load, and it had the right
    assert {a[2] for a in between} == {403}
    assert any(a[0] > again and a[2] == 200 for a in answers)  # and it has it again
    configs = [r["seq"] for r in instance.audit("config")][-2:]
    assert [r for r in instance.audit("grant") if configs[0] < r["seq"] < configs[1] and r["uid"] == BILLING] == []


def test_who_waits_for_a_cold_token_is_denied_when_the_reload_took_the_right(instance):
    """The fetcher is held still, so that callers wait; the reload is acknowledged; then the token comes, and is nobody's."""
    callers = [Caller(BILLING) for _ in range(8)]
    instance.put("acme-slow", b"tok-slow")
    fetcher = instance.pids()["fetcher"]
    with held_still(fetcher):
        waiting = [c.connect(instance.sock()) for c in callers]
        for w in waiting:
            w.send(b"GET /v1/tokens/acme-slow HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for("all of them wait", lambda: waiters(instance) == len(waiting), 0.5)
        instance.write_policy(RIGHT.replace('"acme-*"', '"initech-*"'))
        reload_by_admin(instance)
    assert [w.receive().status for w in waiting] == [403] * len(waiting)
    instance.write_policy(RIGHT)
    reload_by_admin(instance)
    assert [w.request("/v1/tokens/acme-slow").status for w in waiting] == [200] * len(waiting)  # the control
    for x in (*waiting, *callers):
        x.close()


def test_the_waiters_would_have_had_it_without_the_reload(instance):
    """The control of what they wait for."""
    instance.put("acme-slow-too", b"tok-slow-too")
    fetcher = instance.pids()["fetcher"]
    with held_still(fetcher):
        w = instance.caller(BILLING).connect(instance.sock())
        w.send(b"GET /v1/tokens/acme-slow-too HTTP/1.1\r\nHost: a\r\n\r\n")
        wait_for("it waits", lambda: waiters(instance) == 1, 0.5)
    assert w.receive().status == 200
    w.close()


def test_a_list_that_is_read_page_by_page_ends_with_the_right(instance):
    c = instance.caller(BILLING).connect(instance.sock())
    first = c.request("/v1/tokens?limit=1").json()
    assert first["tokens"] and first["next"]
    instance.write_policy(RIGHT.replace('"acme-*"', '"initech-*"'))
    reload_by_admin(instance)
    rest = c.request(f"/v1/tokens?limit=1&after={first['next']}").json()
    assert rest["tokens"] == [] and rest["next"] is None
    c.close()
    wait_for("health", lambda: instance.get("/v1/health").status == 200, 2.0)
