# SPDX-License-Identifier: Apache-2.0
"""A fetcher that was taken over sends what it should not: it loses its link and its life,
and nobody else loses anything."""

import os
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from lib.instance import BUILD, ROOT, Instance
from lib.waiting import wait_for

pytestmark = pytest.mark.root

TABLE = re.findall(r"^MK_MSG\((\w+),\s+(\w+),\s+(\w+),", (ROOT / "agent/ipc/ipc.def").read_text(), re.M)
SAMPLES = re.findall(r"^\t\{ MK_MSG_(\w+), ", (ROOT / "tests/unit/messages.h").read_text(), re.M)
DIRECTION = {name: (source, to) for name, source, to in TABLE}
SPOILT = [("cut", 1), ("cut", 7), ("cut", 60), ("extend", 1), ("extend", 40000), ("reserved", 0), ("length", 0), ("length", 70000),
          ("type", 27), ("type", 255), ("fd", 0), ("fds", 0)]


def allowed(name, link):
    source, to = DIRECTION[name]
    return source in ("FET", "KID") and to == {"broker": "BRK", "supervisor": "SUP"}[link]


def cases():
    """Each message that it may not send, on each link; and each that it may, spoilt in each way."""
    for n, name in enumerate(SAMPLES):
        for link in ("broker", "supervisor"):
            if not allowed(name, link):
                yield f"{link} {n} whole 0", f"{name} on the {link}'s link"
            else:
                for op, number in SPOILT:
                    yield f"{link} {n} {op} {number}", f"{name} to the {link}, {op} {number}"


ALL = list(cases())


@pytest.fixture(scope="module")
def prefix():
    """The executables with the hostile fetcher in the fetcher's place."""
    top = tempfile.mkdtemp(prefix="makini-hostile-")
    os.chmod(top, 0o755)
    for sub in ("bin", "libexec/makini"):
        shutil.copytree(BUILD / sub, f"{top}/{sub}")
    lib = f"{top}/libexec/makini"
    os.rename(f"{lib}/makini-fetcher", f"{lib}/makini-fetcher.real")
    shutil.copy(BUILD / "tests" / "hostile", f"{lib}/makini-fetcher")
    plan = f"{top}/libexec/plan"
    yield top, plan
    shutil.rmtree(top)


def set_plan(path, text):
    with open(path + ".new", "w") as f:
        f.write(text)
    os.rename(path + ".new", path)


def started_hostile(i):
    """Waits until it has read its plan, and says so."""
    wait_for("hostile one started", lambda: len(i.events("hostile")) > i.hostile_before, 6.0)
    return i.events("hostile")[-1]["pid"]


def ended_hostile(i, pid):
    return any(r["pid"] == pid for r in i.events("child_ended"))


@pytest.fixture(scope="module")
def instance(prefix):
    top, plan = prefix
    set_plan(plan, "real")
    with Instance(build=top) as i:
        i.plan = plan
        i.put("acme-sap", b"tok-sap")
        i.start()
        assert i.token("acme-sap").status == 200
        yield i


def attack(i, text):
    """A hostile fetcher sends what `text` says; the broker keeps its tokens, and a true fetcher follows."""
    broker, fetcher, i.hostile_before = i.pids()["broker"], i.pids()["fetcher"], len(i.events("hostile"))
    set_plan(i.plan, text)
    os.kill(fetcher, signal.SIGKILL)
    hostile = started_hostile(i)
    set_plan(i.plan, "real")
    wait_for(f"'{text}' to the end of its sender", lambda: ended_hostile(i, hostile), 1.0)
    assert i.token("acme-sap").status == 200  # served all the while
    assert i.pids()["broker"] == broker


CHOSEN = ALL[::max(1, len(ALL) // 24)]


@pytest.mark.parametrize("text", [c[0] for c in CHOSEN], ids=[c[1] for c in CHOSEN])
def test_a_message_against_the_table_costs_its_sender_its_life_and_nobody_else_anything(prefix, text):
    top, plan = prefix
    set_plan(plan, "real")
    with Instance(build=top) as i:
        i.plan = plan
        i.put("acme-sap", b"tok-sap")
        i.start()
        assert i.token("acme-sap").status == 200
        attack(i, text)
        i.put("acme-sap", b"tok-new")
        wait_for("fetching again", lambda: i.token("acme-sap").json().get("access_token") == "tok-new", 1.0)
        assert i.verify().returncode == 0


@pytest.mark.long
def test_every_message_in_every_wrong_way(prefix):
    top, plan = prefix
    for n in range(0, len(ALL), 6):  # a fresh instance now and then, or the back-off makes it long
        set_plan(plan, "real")
        with Instance(build=top) as i:
            i.plan = plan
            i.put("acme-sap", b"tok-sap")
            i.start()
            assert i.token("acme-sap").status == 200
            for text, _ in ALL[n:n + 6]:
                attack(i, text)
            assert i.verify().returncode == 0
    print(f"figure: {len(ALL)} messages against the table")


def test_answers_to_nothing_change_nothing(instance):
    """FETCH_DONE and LIST_DONE, well formed, for references that nobody waits for: no error, no effect."""
    broker, fetcher, instance.hostile_before = instance.pids()["broker"], instance.pids()["fetcher"], len(instance.events("hostile"))
    set_plan(instance.plan, f"flood broker {SAMPLES.index('FETCH_DONE')} 20000")
    os.kill(fetcher, signal.SIGKILL)
    started_hostile(instance)
    set_plan(instance.plan, "real")
    for _ in range(50):
        assert instance.token("acme-sap").json()["access_token"] == "tok-sap"
    assert instance.pids()["broker"] == broker
    if "fetcher" in instance.pids():
        os.kill(instance.pids()["fetcher"], signal.SIGKILL)
    instance.put("acme-sap", b"tok-sap-2")
    wait_for("fetching again", lambda: instance.token("acme-sap").json().get("access_token") == "tok-sap-2", 1.0)


def test_the_cases_cover_each_message_on_both_links():
    assert len(SAMPLES) >= 27 and set(SAMPLES) == set(DIRECTION)
    assert len(ALL) > 2 * len(SAMPLES)
    assert subprocess.run([BUILD / "tests" / "hostile"], capture_output=True).returncode != 0  # it is what runs, and no stand-in
