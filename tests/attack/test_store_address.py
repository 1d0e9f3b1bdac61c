# SPDX-License-Identifier: Apache-2.0
"""Whoever holds the names (a resolver, a hosts file) would turn the fetcher, with its credential, to this
host or to the metadata service: the address is looked at when the socket is made."""

import contextlib
import socket
import threading
import time

import pytest

from lib.instance import AGENT, Instance

pytestmark = pytest.mark.root


class Ear:
    """Counts who connects to a port of this host."""

    def __init__(self):
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.port, self.heard = self.sock.getsockname()[1], 0
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        with contextlib.suppress(OSError):
            while True:
                self.sock.accept()[0].close()
                self.heard += 1

    def close(self):
        self.sock.close()


def asked(host, address, followed=False):
    """What comes of a get, and how many connections this host saw, where `host` is a name for `address`. followed: one is waited for."""
    ear = Ear()

    def store(i):
        return (f'{{ name = "far"; type = "vault"; address = "https://{host}:{ear.port}"; mount = "kv"; path = "makini/{{connection}}"; timeout = "8s"; '
                f'auth = {{ method = "token"; token_file = "{i.credential("token", "s.credential")}"; }}; }}')
    with contextlib.closing(ear), Instance(backend=store) as i:
        (i.dir / "hosts").write_text(f"127.0.0.1 localhost\n{address} store.test\n")
        script = 'dir=$0 uid=$1; shift; mount --bind "$dir/hosts" /etc/hosts && exec setpriv --reuid=$uid --regid=$uid --clear-groups -- "$@"'
        i.wrapper = ["/usr/bin/unshare", "--mount", "--", "/bin/sh", "-c", script, str(i.dir), str(AGENT)]
        i.uid = 0
        i.start()
        status = i.get("/v1/tokens/acme-sap").status
        until = time.monotonic() + (10 if followed else 0.3)
        while time.monotonic() < until and not ear.heard:
            time.sleep(0.01)
        return status, ear.heard, i.log_text()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.53", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1", "0.0.0.0"])
def test_a_name_that_leads_to_this_host_or_to_link_local_addresses_is_not_followed(address):
    status, heard, log = asked("store.test", address)
    assert status in (502, 503, 504) and heard == 0
    assert "the store's name leads to a loopback or link-local address" in log and "s.credential" not in log


def test_an_address_that_was_written_as_one_is_taken_at_its_word():
    """The control: the same host, named by its digits in the configuration, is connected to."""
    status, heard, _ = asked("127.0.0.1", "127.0.0.1", followed=True)
    assert status in (502, 503, 504) and heard > 0
