# SPDX-License-Identifier: Apache-2.0
"""The files for systemd, as `cmake --install` puts them: systemd's own tools judge them."""

import re
import shutil
import subprocess

import pytest

from lib.instance import BUILD

pytestmark = [pytest.mark.skipif(not (BUILD / "cmake_install.cmake").exists(), reason="not a build tree"),
              pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze")]

EXPOSURE = 1.2  # and no more, of systemd-analyze's 10


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    path = tmp_path_factory.mktemp("prefix")
    subprocess.run(["cmake", "--install", str(BUILD), "--prefix", str(path)], check=True, capture_output=True)
    return path


def run(*args):
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=120)


def exposure(unit):
    shown = run("systemd-analyze", "security", "--offline=true", unit)
    return float(re.search(r"exposure level for \S+: ([\d.]+)", shown.stdout)[1])


def units(prefix):
    return prefix / "lib/systemd/system"


@pytest.mark.parametrize("name", ["makini-agent@.service", "makini-separation.service"])
def test_its_exposure_is_small(prefix, name):
    unit = units(prefix) / name
    assert run("systemd-analyze", "security", "--offline=true", f"--threshold={int(EXPOSURE * 10)}", unit).returncode == 0
    assert exposure(unit) <= EXPOSURE


@pytest.mark.parametrize("directive", ["NoNewPrivileges", "CapabilityBoundingSet", "ProtectSystem", "SystemCallFilter", "IPAddressDeny",
                                       "RestrictNamespaces", "MemoryDenyWriteExecute", "UMask", "User"])
def test_a_directive_less_is_noticed(prefix, tmp_path, directive):
    """The positive control: the judge sees each of them."""
    text = (units(prefix) / "makini-agent@.service").read_text()
    less = re.sub(rf"^{directive}=.*\n", "", text, flags=re.M)
    assert less != text
    worse = tmp_path / "makini-agent@.service"
    worse.write_text(less)
    assert exposure(worse) > EXPOSURE


def test_systemd_finds_no_fault(prefix, tmp_path):
    files = sorted(units(prefix).iterdir())
    assert {f.name for f in files} == {"makini-agent@.service", "makini-agent@.socket", "makini-agent-client@.socket", "makini-separation.service", "makini-separation.timer"}
    shown = run("systemd-analyze", "verify", "--man=no", *files)
    assert not [line for line in shown.stderr.splitlines() if "makini" in line], shown.stderr
    broken = tmp_path / "makini-agent@.service"
    broken.write_text((units(prefix) / "makini-agent@.service").read_text().replace("UMask=", "UMaks="))
    assert "UMaks" in run("systemd-analyze", "verify", "--man=no", broken).stderr


def test_the_examples_have_no_fault(prefix, tmp_path):
    """Drop-ins beside the unit that they are for; example units by themselves."""
    examples = prefix / "share/doc/makini-agent/examples"
    shutil.copytree(units(prefix), tmp_path, dirs_exist_ok=True)
    drop_ins = tmp_path / "makini-agent@production.service.d"
    drop_ins.mkdir()
    names = {f.name for f in examples.iterdir() if f.is_file()}
    assert names == {"stores.conf", "groups.conf", "credentials.conf", "makini-listener-sync@.socket", "makini-listener-sync-client@.socket", "billing.service"}
    for f in examples.glob("*.conf"):
        shutil.copy(f, drop_ins)
    shutil.copy(tmp_path / "makini-agent@.service", tmp_path / "makini-agent@production.service")
    for f in (*examples.glob("*.socket"), *examples.glob("*.service")):
        text = f.read_text().replace("/usr/bin/billing", "/usr/bin/true")
        (tmp_path / f.name).write_text(text)
    shown = run("systemd-analyze", "verify", "--man=no", tmp_path / "makini-agent@production.service", tmp_path / "billing.service",
                tmp_path / "makini-listener-sync@.socket", tmp_path / "makini-listener-sync-client@.socket")
    assert not [line for line in shown.stderr.splitlines() if "makini" in line or "billing" in line], shown.stderr


def test_users_and_directories(prefix):
    shown = run("systemd-sysusers", "--dry-run", prefix / "lib/sysusers.d/makini.conf")
    assert shown.returncode == 0 and "Fail" not in shown.stderr, shown.stderr
    users = (prefix / "lib/sysusers.d/makini.conf").read_text()
    dirs = (prefix / "lib/tmpfiles.d/makini.conf").read_text()
    for env in ("production", "development"):
        assert re.search(rf"^u makini-{env} ", users, re.M)
        assert re.search(rf"^d /run/makini/{env} +0711 makini-{env} ", dirs, re.M)


def test_directories_are_made_as_the_agent_wants_them(prefix, tmp_path):
    """systemd-tmpfiles in another root, with its users."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nmakini-production:x:7001:7001::/:/bin/false\nmakini-development:x:7002:7002::/:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nmakini-production:x:7001:\nmakini-development:x:7002:\n")
    shown = run("systemd-tmpfiles", "--create", f"--root={root}", prefix / "lib/tmpfiles.d/makini.conf")
    if shown.returncode != 0:
        pytest.skip(f"systemd-tmpfiles cannot do that here: {shown.stderr[-200:]}")
    st = (root / "run/makini/production").stat()
    assert (st.st_uid, st.st_mode & 0o7777) == (7001, 0o711)


def test_the_unit_says_nothing_that_would_blind_the_agent(prefix):
    text = (units(prefix) / "makini-agent@.service").read_text()
    directives = dict(re.findall(r"^(\w+)=(.*)$", text, re.M))
    assert directives["ProtectProc"] == "default"  # units of callers are read in /proc
    assert not {"PrivateUsers", "ProcSubset", "PrivateNetwork", "RootDirectory", "DynamicUser"} & set(directives)
    checked, told = re.findall(r"^ExecReload=(.*)$", text, re.M)
    assert checked.endswith("/makini-agent --config /etc/makini/%i/agent.conf --check") and told == "/bin/kill -HUP $MAINPID"
    assert directives["Type"] == "notify" and int(directives["WatchdogSec"]) <= 10
    assert "@" not in re.sub(r"makini-agent@|makini-listener-sync@|%i|@system-service|~?@\w+|#.*", "", text)
