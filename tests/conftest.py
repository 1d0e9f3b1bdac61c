# SPDX-License-Identifier: Apache-2.0
"""Shared by all Python tests: the path, what needs root, what runs in --long only."""

import os
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))


def pytest_configure(config):
    for signo in (signal.SIGHUP, signal.SIGQUIT):  # as nohup and a shell's & would have it, all programs here would ignore them
        signal.signal(signo, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "root: needs a second uid, so root")
    config.addinivalue_line("markers", "long: takes minutes; only in scripts/test --long")
    config.addinivalue_line("filterwarnings", "error::pytest.PytestUnhandledThreadExceptionWarning")  # a thread's assert counts, too


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector):
    """A test file without a test is a mistake that nobody would see."""
    report = (yield).get_result()
    if isinstance(collector, pytest.Module) and report.passed and not report.result:
        report.outcome, report.longrepr = "failed", f"{collector.nodeid} holds no test"


def pytest_collection_modifyitems(config, items):
    if os.environ.get("MK_LONG") != "1":
        config.hook.pytest_deselected(items=[i for i in items if i.get_closest_marker("long")])
        items[:] = [i for i in items if not i.get_closest_marker("long")]
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("root"):
                item.add_marker(pytest.mark.skip(reason="needs root"))
