# SPDX-License-Identifier: Apache-2.0
"""Each layer of a role's lock-down by itself: with the other one left out, what is still refused.
The roles are test builds (tests/proc/probe.c); the attempts are those of the lock-down's own tests.
And around the fetcher: what the configuration refuses, so that no rule of the kernel must be right."""

import errno
import shutil
import signal

import pytest

from lib.instance import BILLING, ROOT, Instance
from proc import test_lockdown as lockdown

pytestmark = pytest.mark.root
CHILDREN = ("broker", "fetcher", "reporter")
KILLED, EACCES, EPERM = 1000 + signal.SIGSYS, errno.EACCES, errno.EPERM

# Landlock and what every process gives up first: files, other processes, programs.
BY_LANDLOCK = {name: EACCES for name in (
    "open_passwd", "open_root", "open_outside", "open_tmp", "write_outside", "create_outside", "unlink_outside", "mkdir_outside",
    "symlink_outside", "link_outside", "exec_true", "exec_fd", "open_memory", "open_environ", "open_own_memory")} | {
    "trace": EPERM, "read_memory": EPERM, "raise_core": EPERM}
BY_SCOPE = {name: EPERM for name in ("signal_sibling", "signal_supervisor", "signal_thread")}  # since Linux 6.12

# The filter: the network, programs and processes, privileges, names of files.
BY_FILTER = {name: KILLED for name in (
    "socket_inet", "socket_inet6", "socket_unix", "socket_netlink", "socket_pair", "socket_connect", "socket_bind", "socket_listen",
    "exec_true", "exec_fd", "fork_once", "fork_namespace", "trace", "take_descriptor", "open_pidfd", "read_memory", "signal_sibling",
    "signal_supervisor", "signal_thread", "signal_pidfd", "chmod_outside", "mkdir_outside", "symlink_outside", "link_outside", "make_memfd",
    "make_ring", "load_bpf", "new_namespace", "enter_namespace", "mount_tmpfs", "change_root", "become_root", "raise_core")} | {
    "map_exec": EACCES, "map_write_exec": EACCES, "gain_exec": EACCES, "fork_clone3": errno.ENOSYS, "dump_again": EPERM}


def refused(role, drop, names):
    found = lockdown.outcomes_of(role, False, drop)
    return {n: found[n] for n in names}


@pytest.mark.parametrize("role", CHILDREN)
def test_without_the_seccomp_filter_landlock_still_keeps_files_processes_and_programs(role):
    wanted = BY_LANDLOCK | (BY_SCOPE if lockdown.NEWER else {})
    assert refused(role, "calls", wanted) == wanted
    assert refused(role, "calls", ["socket_inet", "fork_once"]) == {"socket_inet": 0, "fork_once": 0}  # the control: there is no filter


@pytest.mark.parametrize("role", CHILDREN)
def test_without_landlock_the_seccomp_filter_still_keeps_network_processes_and_privileges(role):
    assert refused(role, "files", BY_FILTER) == BY_FILTER
    if role != "reporter":  # which opens nothing at all: that is its filter's doing
        assert refused(role, "files", ["open_passwd"]) == {"open_passwd": 0}  # the control: there is no Landlock


def test_without_landlock_the_reporter_opens_no_file():
    names = ("open_passwd", "open_root", "open_outside", "open_tmp", "write_outside", "create_outside", "create_in_state")
    assert refused("reporter", "files", names) == {n: EACCES for n in names}


@pytest.mark.parametrize("drop", ["calls", "files"])
def test_with_a_layer_less_the_agent_still_serves_so_what_is_tried_is_the_real_thing(drop):
    """The control of all above: the test builds go on to serve tokens."""
    with lockdown.Scene() as scene, Instance(build=scene.prefix) as i:
        scene.tell("broker", "never", [], i.state, drop=drop)
        i.put("acme-sap", b"tok-sap")
        i.start()
        assert i.get("/v1/tokens/acme-sap", uid=BILLING).json()["access_token"] == "tok-sap"


# -- what the kernel's rules for the fetcher rest upon, refused by the configuration already

APART = {"79-key-beside-the-policy": "its key lies with the policy", "80-audit-log-beside-the-store": "the audit log lies with its store",
         "100-store-in-state-dir": "its store lies with the state", "101-key-in-state-dir": "its key lies with the state",
         "35-key-file-is-the-store": "its key is its store", "32-backends-share-a-file": "two stores are one file"}


@pytest.mark.parametrize("case", APART)
def test_a_configuration_in_which_the_fetcher_could_reach_others_files_is_refused(case):
    with Instance() as i:
        source = ROOT / "tests" / "wrong" / case
        for name in ("agent.conf", "policy.conf"):
            if (source / name).exists():
                shutil.copy(source / name, i.conf_dir / name)
        wrong = i.ctl("config", "check", i.conf_dir / "agent.conf", check=False)
        assert wrong.returncode == 1, wrong.stderr
        i.write_conf()
        i.write_policy("environment = \"production\";\nservices = ();\nrules = ();\n")
        assert i.ctl("config", "check", i.conf_dir / "agent.conf", check=False).returncode == 0  # the control
