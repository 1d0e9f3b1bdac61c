# SPDX-License-Identifier: Apache-2.0
"""makinictl watch: events are printed, or run a command; against a running agent."""

import json
import signal
import time

import pytest

from lib.instance import BILLING, STRANGER, hold_still
from lib.kept import Command, nothing_stays
from lib.waiting import wait_for
from lib.watching import TOLD_BOUND, Stream, figures, policy, production, version

pytestmark = pytest.mark.root


class Watch(Command):
    def __init__(self, instance, *args, **kw):
        super().__init__(instance, "watch", *args, **kw)


def streams(i, n):
    wait_for("streams are open", lambda: figures(i)["streams"] == n, 1.0)


def test_the_command_prints_events_and_outlives_the_agent(production):
    v = version(production, "acme-sap")
    plain, json_ = Watch(production, "acme-sap", "acme-crm"), Watch(production, "--json")
    streams(production, 2)
    production.put("acme-sap", b"tok-sap-2")
    second = version(production, "acme-sap")
    wait_for("printed", lambda: plain.lines == [f"rotated   acme-sap {second}"], TOLD_BOUND)
    wait_for("printed", lambda: [json.loads(x) for x in json_.lines] == [{"event": "rotated", "connection": "acme-sap", "version": second}], TOLD_BOUND)
    assert second != v and production.stop() == 0
    production.put("acme-sap", b"tok-sap-3")
    time.sleep(1)
    production.start()
    wait_for("back", lambda: plain.lines[1:2] == ["resync    - -"] and len(json_.lines) > 1 and json.loads(json_.lines[1])["event"] == "resync", 5.0)
    version(production, "acme-sap")  # so that the new agent knows it, too
    production.rm("acme-sap")
    wait_for("printed", lambda: plain.lines[-1] == "rotated   acme-sap -", 2.0)
    assert plain.errors == ["makinictl: the stream ended; connecting again"]
    assert plain.end() == json_.end() == -signal.SIGTERM


def test_the_command_runs_another_for_each_event(production):
    out = production.dir / "out"
    out.mkdir()
    out.chmod(0o777)
    version(production, "acme-sap")
    w = Watch(production, "--exec", f'echo "$MAKINI_EVENT $MAKINI_CONNECTION $MAKINI_VERSION" >> {out}/log; while [ ! -e {out}/go ]; do sleep 0.05; done')
    s = Stream(production)
    streams(production, 2)
    production.put("acme-sap", b"tok-sap-first")
    wait_for("it runs", lambda: (out / "log").exists(), TOLD_BOUND)
    for n in range(5):  # while it runs
        production.put("acme-sap", b"tok-sap-x%d" % n)
    last = version(production, "acme-sap")
    while (told := s.next()) != ("rotated", "acme-sap", last):  # so it has been told as well
        assert told[0] == "rotated", told
    (out / "go").touch()
    wait_for("the last is told", lambda: (out / "log").exists() and (out / "log").read_text().endswith(f"rotated acme-sap {last}\n"), 2.0)
    assert len((out / "log").read_text().splitlines()) < 5 and w.lines == []
    w.end()


def test_the_command_ends_when_it_cannot_get_better(production):
    def ends(*args, user=BILLING):
        w = Watch(production, *args, user=user)
        return w.process.wait(20), w
    assert ends("globex-erp")[0] == 3
    assert ends(user=STRANGER)[0] == 3
    assert ends("acme--x")[0] == 2 and ends("--exec", "")[0] == 2 and ends(*[f"acme-{n}" for n in range(33)])[0] == 2
    code, w = ends("--json", "globex-erp")
    wait_for("printed", lambda: w.lines and json.loads(w.lines[0])["code"] == "denied", 1.0)
    open_one = Watch(production)
    streams(production, 1)
    production.write_policy(policy(actions='"get"'))
    production.reload()
    assert open_one.process.wait(20) == 3
    assert ends("acme-sap")[0] == 3
    production.stop()
    assert ends("acme-sap")[0] == 6


@pytest.mark.long
def test_the_command_stays_connected_while_there_is_nothing_but_signs_of_life(production):
    w = Watch(production, "acme-sap")
    streams(production, 1)
    time.sleep(70)  # more than the 45 s of silence that it takes for a dead agent
    assert w.errors == [] and figures(production)["streams"] == 1
    hold_still(production.pids()["broker"])
    wait_for("taken for dead", lambda: w.errors[:1] == ["makinictl: the stream ended; connecting again"], 6.0)  # the watchdog's kill
    w.end()
