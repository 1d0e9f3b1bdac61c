# SPDX-License-Identifier: Apache-2.0
"""What `cmake --install` puts where: it works from any prefix, also one named that late."""

import re
import shutil
import subprocess

import pytest

from lib.instance import BUILD, ROOT

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


def test_a_service_builds_and_links_with_what_pkg_config_says(prefix, tmp_path):
    config = next(prefix.glob("lib*/**/pkgconfig/libmakini.pc"))
    said = subprocess.run(["pkg-config", "--cflags", "--libs", "libmakini"], capture_output=True, text=True, check=True,
                          env={"PATH": "/usr/bin:/bin", "PKG_CONFIG_PATH": str(config.parent)}).stdout.split()
    program, lib = tmp_path / "service", config.parent.parent
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o", str(program), str(ROOT / "examples/clients/libmakini.c"), *said], check=True)
    run = subprocess.run([str(program), "get", "acme-sap"], capture_output=True, text=True, env={"LD_LIBRARY_PATH": str(lib), "MAKINI_AGENT_SOCKET": "/nobody/api.sock"})
    assert run.returncode == 6 and "no agent listens" in run.stderr
    assert {p.name for p in (prefix / "include/makini").iterdir()} == {"client.h"}
    assert (lib / "libmakini.so").is_symlink() and (lib / "libmakini.so.1").is_symlink()
    assert not list(prefix.glob("**/*.a"))


def test_each_function_has_its_man_page(prefix):
    pages = prefix / "share/man/man3"
    assert {p.name for p in pages.iterdir()} == {"libmakini.3"} | {f"makini_{f}.3" for f in ("open", "get", "watch_fd", "watch_next", "close", "strerror")}
    assert all("MAKINI_EREVOKED" in p.read_text() for p in pages.iterdir())


def test_a_package_is_staged_under_another_root(tmp_path):
    subprocess.run(["cmake", "--install", str(BUILD), "--prefix", "/usr"], check=True, capture_output=True,
                   env={"PATH": "/usr/bin:/bin", "DESTDIR": str(tmp_path)})
    unit = (tmp_path / "usr/lib/systemd/system/makini-agent@.service").read_text()
    assert "ExecStart=/usr/bin/makini-agent " in unit and str(tmp_path) not in unit
    config = next(tmp_path.glob("usr/lib*/**/libmakini.pc")).read_text()
    assert "prefix=/usr\n" in config and str(tmp_path) not in config and "@" not in config
    assert (tmp_path / "usr/share/man/man3/makini_get.3").is_symlink()
