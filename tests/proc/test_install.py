# SPDX-License-Identifier: Apache-2.0
"""What `cmake --install` puts where: it works from any prefix, also one named that late."""

import re
import shutil
import subprocess

import pytest

from lib.instance import BUILD

pytestmark = pytest.mark.skipif(not (BUILD / "cmake_install.cmake").exists(), reason="not a build tree")


@pytest.fixture
def prefix(tmp_path):
    subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(tmp_path)], check=True, capture_output=True)
    return tmp_path


def test_the_unit_starts_what_was_installed_with_it(prefix):
    unit = prefix / "lib/systemd/system/makini-agent@.service"
    program = re.search(r"^ExecStart=(\S+) --config /etc/makini/%i/agent.conf$", unit.read_text(), re.M)[1]
    assert program == f"{prefix}/bin/makini-agent" and "@" not in program
    assert subprocess.run([program, "--version"], capture_output=True).stdout.startswith(b"makini-agent ")
    if shutil.which("systemd-analyze"):
        shown = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
        assert shown.returncode == 0 and "makini" not in shown.stderr, shown.stderr


def test_the_executables_lie_where_the_agent_looks_for_them(prefix):
    assert {p.name for p in (prefix / "bin").iterdir()} >= {"makini-agent", "makinictl"}
    assert {p.name for p in (prefix / "libexec/makini").iterdir()} == {"makini-broker", "makini-fetcher", "makini-reporter"}


def test_a_package_is_staged_under_another_root(tmp_path):
    subprocess.run(["cmake", "--install", str(BUILD), "--prefix", "/usr"], check=True, capture_output=True,
                   env={"PATH": "/usr/bin:/bin", "DESTDIR": str(tmp_path)})
    unit = (tmp_path / "usr/lib/systemd/system/makini-agent@.service").read_text()
    assert "ExecStart=/usr/bin/makini-agent " in unit and str(tmp_path) not in unit
