# SPDX-License-Identifier: Apache-2.0
"""A child that was taken over sends what it should not: it loses its link and its life,
and nobody else loses anything."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

from lib.instance import BUILD, ROOT, Instance, hold_still
from lib.ports import free_port
from lib.waiting import wait_for

pytestmark = pytest.mark.root

TABLE = re.findall(r"^MK_MSG\((\w+),\s+(\w+),\s+(\w+),", (ROOT / "agent/ipc/ipc.def").read_text(), re.M)
SAMPLES = re.findall(r"^\t\{ MK_MSG_(\w+), ", (ROOT / "tests/unit/messages.h").read_text(), re.M)
DIRECTION = {name: (source, to) for name, source, to in TABLE}
SPOILT = [("cut", 1), ("cut", 7), ("cut", 60), ("extend", 1), ("extend", 40000), ("reserved", 0), ("length", 0), ("length", 70000),
          ("type", 0), ("type", 255), ("fd", 0), ("fds", 0)]
SHORT = {"broker": "BRK", "fetcher": "FET", "reporter": "REP", "supervisor": "SUP"}


def allowed(name, role, link):
    source, to = DIRECTION[name]
    return source in (SHORT[role], "KID") and to == SHORT[link]


def cases(role, links):
    """Each message that it may not send, on each link; and each that it may, spoilt in each way."""
    for n, name in enumerate(SAMPLES):
        for link in links:
            if not allowed(name, role, link):
                yield role, f"{link} {n} whole 0", f"{role}: {name} on the {link}'s link"
            else:
                for op, number in SPOILT:
                    yield role, f"{link} {n} {op} {number}", f"{role}: {name} to the {link}, {op} {number}"


OF_FETCHER = list(cases("fetcher", ("broker", "supervisor")))
OF_BROKER = list(cases("broker", ("supervisor",)))
OF_REPORTER = list(cases("reporter", ("supervisor",)))
ALL = OF_FETCHER + OF_BROKER + OF_REPORTER


@pytest.fixture(scope="module")
def top():
    """The executables with the hostile one in each child's place; without a plan it is the true one."""
    top = tempfile.mkdtemp(prefix="makini-hostile-")
    os.chmod(top, 0o755)
    for sub in ("bin", "libexec/makini"):
        shutil.copytree(BUILD / sub, f"{top}/{sub}")
    for role in ("broker", "fetcher", "reporter"):
        exe = f"{top}/libexec/makini/makini-{role}"
        os.rename(exe, exe + ".real")
        shutil.copy(BUILD / "tests" / "hostile", exe)
    yield top
    shutil.rmtree(top)


class Hostile(Instance):
    def plan(self, role, text):
        path = f"{self.build}/libexec/plan.makini-{role}"
        with open(path + ".new", "w") as f:
            f.write(text)
        os.rename(path + ".new", path)

    def no_plan(self):
        for name in ("plan.makini-broker", "plan.makini-fetcher", "plan.makini-reporter", "go"):
            path = self.build / "libexec" / name
            path.unlink(missing_ok=True)

    def ready(self):
        self.no_plan()
        self.put("acme-sap", b"tok-sap")
        self.reporter = f'listen = "127.0.0.1:{free_port()}";'
        self.write_conf(reporter=self.reporter)
        self.start()
        assert self.token("acme-sap").status == 200
        return self

    def replace(self, role, text):
        """Puts one that does what `text` says in the role's place, and what follows it is true again; returns its pid."""
        before = len(self.events("hostile"))
        self.plan(role, text)
        os.kill(self.pids()[role], signal.SIGKILL)
        wait_for("hostile one started", lambda: len(self.events("hostile")) > before, 6.0)
        self.no_plan()
        return self.events("hostile")[-1]["pid"]

    def ended(self, pid):
        return any(r["pid"] == pid for r in self.events("child_ended"))

    def was_killed(self, pid):
        """By the supervisor, for a broken rule; not by a filter, by itself, or because it answers no question."""
        said = [r["why"] for r in self.events("child_killed") if r["pid"] == pid]
        return any(text in why for why in said[:1] for text in ("link was dropped", "broke the rules")) and any(
            r["pid"] == pid and r["signal"] == signal.SIGKILL for r in self.events("child_ended"))

    def others(self, role):
        return {r: p for r, p in self.pids().items() if r != role}

    def attack(self, role, text):
        """It is ended for it, a true one follows, and the others stay."""
        others = self.others(role)
        hostile = self.replace(role, text)
        wait_for(f"{role} '{text}' to its end", lambda: self.ended(hostile), 1.0)
        wait_for("a true one in its place", lambda: self.pids().get(role, hostile) != hostile, 6.0)
        assert self.was_killed(hostile)
        assert self.token("acme-sap").status == 200 or role == "broker"
        wait_for("served", lambda: self.token("acme-sap").status == 200, 1.0)
        assert self.others(role) == others


@pytest.fixture
def instance(top):
    with Hostile(build=top) as i:
        yield i.ready()


CHOSEN = OF_FETCHER[::max(1, len(OF_FETCHER) // 24)] + OF_BROKER[::max(1, len(OF_BROKER) // 10)] + OF_REPORTER[::max(1, len(OF_REPORTER) // 5)]


@pytest.mark.parametrize("role, text", [c[:2] for c in CHOSEN], ids=[c[2] for c in CHOSEN])
def test_a_message_against_the_table_costs_its_sender_its_life_and_nobody_else_anything(instance, role, text):
    instance.attack(role, text)
    instance.put("acme-sap", b"tok-new")
    wait_for("fetching again", lambda: instance.token("acme-sap").json().get("access_token") == "tok-new", 1.0)
    assert instance.verify().returncode == 0


@pytest.mark.long
def test_every_message_in_every_wrong_way(top):
    for n in range(0, len(ALL), 2):  # a fresh instance now and then: the back-off doubles with each
        with Hostile(build=top) as i:
            i.ready()
            for role, text, _ in ALL[n:n + 2]:
                i.attack(role, text)
            assert i.verify().returncode == 0
    print(f"figure: {len(ALL)} messages against the table")


@pytest.mark.parametrize("role", ["broker", "fetcher", "reporter"])
def test_a_second_answer_to_one_configuration_is_against_the_rules(instance, role):
    """Each READY has effects on others (a fetcher's brings the broker a new link), so one is all that a child has."""
    instance.attack(role, "again")


def test_a_fetcher_that_leaves_the_broker_and_answers_its_supervisor_is_replaced(instance):
    instance.attack("fetcher", "leave broker")
    instance.put("acme-sap", b"tok-new")
    wait_for("fetching again", lambda: instance.token("acme-sap").json().get("access_token") == "tok-new", 1.0)


def test_a_fetcher_that_just_ends_is_not_said_to_have_broken_a_rule(instance):
    for _ in range(3):
        before = instance.pids()["fetcher"]
        os.kill(before, signal.SIGKILL)
        wait_for("the next one", lambda: instance.pids().get("fetcher", before) != before, 2.0)
        time.sleep(1.5)  # the broker would have said so by now
    assert instance.events("child_killed") == []


@pytest.mark.parametrize("role", ["fetcher", "reporter"])
def test_one_that_keeps_to_the_rules_stays(instance, role):
    """The control: what ends the others is what they send."""
    hostile = instance.replace(role, "flood supervisor 0 0")
    time.sleep(0.3)
    assert not instance.ended(hostile) and instance.pids()[role] == hostile


def test_answers_to_nothing_change_nothing(instance):
    """FETCH_DONE and LIST_DONE, well formed, for references that nobody waits for: no error, no effect."""
    broker = instance.pids()["broker"]
    hostile = instance.replace("fetcher", f"flood broker {SAMPLES.index('FETCH_DONE')} 20000")
    for _ in range(50):
        assert instance.token("acme-sap").json()["access_token"] == "tok-sap"
    assert instance.pids()["broker"] == broker
    with contextlib.suppress(ProcessLookupError):
        os.kill(hostile, signal.SIGKILL)
    instance.put("acme-sap", b"tok-sap-2")
    wait_for("fetching again", lambda: instance.token("acme-sap").json().get("access_token") == "tok-sap-2", 1.0)


def test_a_broker_that_asks_for_pages_without_end_takes_no_descriptors_from_its_supervisor(instance):
    supervisor = instance.supervisor()
    count = lambda: len(os.listdir(f"/proc/{supervisor}/fd"))  # noqa: E731
    before = count()
    for _ in range(5):  # again where we looked away while it was given them
        hostile = instance.replace("broker", f"flood supervisor {SAMPLES.index('PAGE_WANTED')} 20000")
        most = [before]

        def ended():
            most[0] = max(most[0], count())
            return instance.ended(hostile)

        wait_for("it reads nothing, and is ended for that", ended, 12.0)
        print(f"figure: {most[0]} descriptors at most, {before} before")
        assert most[0] < before + 1000
        wait_for("served again", lambda: instance.pids().get("broker", hostile) != hostile and instance.token("acme-sap").status == 200, 6.0)
        wait_for("none is left", lambda: count() <= before + 2, 1.0)
        if most[0] > before + 10:
            break
    assert most[0] > before + 10  # it was given some: the control


def hold_a_reload(i):
    """A reload that waits for its next fetcher, which is there and says READY only when it is let go."""
    i.plan("fetcher", "hold")
    before = len(i.events("hostile"))
    i.write_conf(backend='timeout = "3s";', reporter=i.reporter)
    os.kill(i.process.pid, signal.SIGHUP)
    wait_for("the next fetcher started", lambda: len(i.events("hostile")) > before, 1.0)
    i.no_plan()


def let_go(i):
    (i.build / "libexec" / "go").touch()


def test_a_reload_whose_broker_dies_before_the_next_fetcher_is_ready_is_taken_by_the_next_broker(instance):
    hold_a_reload(instance)
    for n in range(7):  # the back-off grows, so that nobody is there for a while after the last one
        wait_for("the next broker", lambda: "broker" in instance.pids(), 5.0)
        pid = instance.pids()["broker"]
        os.kill(pid, signal.SIGKILL)
        wait_for("killed", lambda: instance.ended(pid), 1.0)
        nobody = n >= 4 and "broker" not in instance.pids()
        if nobody:
            break
    assert nobody
    let_go(instance)
    wait_for("reloaded", lambda: instance.events("reloaded"), 1.0)
    assert instance.process.poll() is None
    instance.no_plan()
    wait_for("the next broker", lambda: "broker" in instance.pids(), 5.0)
    os.kill(instance.pids()["fetcher"], signal.SIGKILL)  # the one that was held serves nobody
    wait_for("served", lambda: instance.token("acme-sap").status == 200, 1.0)


def test_told_to_end_in_the_midst_of_a_reload_it_drains_and_exits_0(instance):
    hold_a_reload(instance)
    hold_still(instance.pids()["fetcher"])
    instance.process.send_signal(signal.SIGTERM)
    let_go(instance)
    wait_for("drained", lambda: instance.process.poll() is not None, 5.0)
    assert instance.process.returncode == 0 and not list(instance.run.glob("*.sock"))
    assert instance.events("reload_refused") and not instance.events("reloaded")


def test_the_cases_cover_each_message_on_all_links():
    assert len(TABLE) >= 27 and set(SAMPLES) == set(DIRECTION)
    assert len(ALL) > 4 * len(SAMPLES)
    assert subprocess.run([BUILD / "tests" / "hostile"], capture_output=True).returncode != 0  # it is what runs, and no stand-in


@pytest.mark.long
def test_a_broker_that_never_takes_a_new_configuration_is_ended_and_the_old_one_stays(instance):
    """It answers all questions, so it is not taken for dead; but a reload has 30 seconds."""
    deaf = instance.replace("broker", "deaf")
    before = len(instance.events("reload_refused"))
    os.kill(instance.process.pid, signal.SIGHUP)
    time.sleep(12)
    assert not instance.ended(deaf)  # the control: it is not the questions that end it
    wait_for("the reload to be given up", lambda: len(instance.events("reload_refused")) > before, 30.0)
    assert any("in time" in r["why"] for r in instance.events("child_killed") if r["pid"] == deaf)
    wait_for("served", lambda: instance.token("acme-sap").status == 200, 2.0)
    assert instance.reload()["event"] == "reloaded"
