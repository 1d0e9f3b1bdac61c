# SPDX-License-Identifier: Apache-2.0
"""NAME.client.sock, byte by byte, without the library: who is let in, what the page says and that nobody but the broker can make
it say anything, and that words have moved by the time an act is acknowledged."""

import contextlib
import ctypes
import errno
import json
import mmap
import os
import signal
import socket
import stat
import struct
import time

import pytest

from lib.client_socket import (Answer, EBACKEND, EDENIED, EFROZEN, ENOTFOUND, ENOTREADY, ERATE, EREVOKED, ETIMEOUT, F_SEAL_FUTURE_WRITE, F_SEAL_GROW, F_SEAL_SEAL,
                               F_SEAL_SHRINK, GET, HELLO, MAGIC, NEVER, PAGE, VERSION, WATCH, CHANGED, WORDS, Page, boot_ns, connect, open_client)
from lib.instance import BILLING, BUILD, LIBC, STRANGER, SYNC, Instance, hold_still
from lib.waiting import settled, wait_for

pytestmark = pytest.mark.root
FALLOC_PUNCH_HOLE, FALLOC_KEEP_SIZE = 2, 1
VALID_NS = 3_000_000_000

POLICY = """
environment = "production";
services = (
  { name = "billing"; identity = { uid = %d; }; },
  { name = "sync"; identity = { uid = %d; }; },
  { name = "secteam"; identity = { socket = "admin"; uid = 0; }; } );
rules = (
  { allow = "billing"; actions = [ "get", "watch" ]; connections = [ "acme-*" ]; rate = "100000/s"; },
  { deny = "billing"; connections = [ "acme-payroll" ]; },
  { deny = "billing"; connections = [ "acme-tagged" ]; tags = { hold = "yes"; }; },
  { allow = "sync"; actions = [ "get" ]; connections = [ "acme-sap", "globex-*" ]; rate = "2/m"; },
  { allow = "secteam"; actions = [ "status", "reload", "revoke", "restore", "freeze", "thaw" ]; connections = [ "*" ]; } );
""" % (BILLING, SYNC)


@pytest.fixture()
def one():
    with Instance(policy=POLICY, conf='admin = { two_person = []; };') as i:
        i.put("acme-sap", b"tok-sap")
        i.put("acme-crm", {"access_token": "tok-crm", "token_type": "mac", "expires_in": 3600})
        yield i.start()


def admin(i, method, target, body=None):
    r = i.get(target, uid=0, sock="admin", method=method, body=b"" if body is None else json.dumps(body).encode())
    assert r.status in (200, 204), r.body
    return r


def status(i):
    return admin(i, "GET", "/v1/status").json()


def connections(i):
    return status(i)["connections"]


def revoke(i, *names):
    admin(i, "POST", "/v1/revocations", {"connections": list(names), "reason": "INC-1"})


def is_good(answer, page):
    """A page is not valid for a moment where its broker was kept from renewing it; a word that has moved never comes back."""
    wait_for("it is good", lambda: answer.good(page), 1.0)
    return True


def is_valid(page):
    wait_for("it is valid", page.valid, 1.0)
    return True


def moved(answer, page):
    return page.word(answer.index) != answer.word


def stop(pid):
    """And waits until it stands still: a moment by which it does."""
    hold_still(pid)
    return boot_ns()


def fds(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


# -- who is let in


def test_a_service_gets_its_page_and_the_token_that_http_gives(one):
    with open_client(one, BILLING) as c:
        assert c.environment == b"production" and c.page.head() == (MAGIC, VERSION, WORDS, 3000) and is_valid(c.page)
        a, http = c.get("acme-crm"), one.token("acme-crm").json()
        assert (a.token.decode(), a.type.decode(), a.version.decode()) == (http["access_token"], http["token_type"], http["version"])
        assert 3500 < a.expires / 1000 - time.time() <= 3600 and is_good(a, c.page)
        assert 3500 < (a.until - boot_ns()) / 1e9 <= 3600  # by its expiry, though ttl and serve_stale are longer
        b = c.get("acme-sap")
        assert (b.token, b.type, b.expires, b.flags) == (b"tok-sap", b"bearer", NEVER, 0) and b.index != a.index
        assert (b.until - boot_ns()) / 1e9 <= 300 + 3600  # ttl and serve_stale, as they are by default
        assert c.get("acme-sap").index == b.index


def test_each_get_is_a_record_of_its_own_and_says_by_which_way(one):
    with open_client(one, BILLING) as c:
        before = len(one.audit("grant"))
        for _ in range(3):
            c.get("acme-sap")
        records = one.audit("grant")[before:]
        assert len(records) == 3
        assert all((r["service"], r["connection"], r["uid"], r["listener"], r["detail"]) == ("billing", "acme-sap", BILLING, "api", "libmakini")
                   for r in records)
        one.token("acme-sap")
        assert "detail" not in one.audit("grant")[-1]


def test_what_policy_denies_and_what_is_not_there_is_told_as_over_http(one):
    one.put("acme-payroll", b"tok-pay")
    with open_client(one, BILLING) as c:
        assert c.get("acme-payroll").status == EDENIED
        assert c.get("globex-sap").status == EDENIED
        assert c.get("acme-none").status == ENOTFOUND
        assert c.get("acme-sap").token == b"tok-sap"  # and the connection goes on
    with open_client(one, SYNC) as c:
        assert c.get("globex-none").status == ENOTFOUND
        again = c.get("globex-none")
        assert again.status == ERATE and again.retry_after >= 1


def test_who_is_nobody_is_told_so_and_gets_no_page(one):
    with connect(one, STRANGER) as c:
        assert c.hello() == EDENIED and c.is_closed()
    wait_for("the refusal is recorded", lambda: any(r.get("uid") == STRANGER for r in one.audit("deny")), 1.0)
    with connect(one, 0) as c:  # root, too, unless a service names it
        assert c.hello() == EDENIED and c.is_closed()


def test_the_sockets_stand_beside_their_listeners_with_the_same_access(one):
    one.write_conf('listeners = ( { name = "sync"; mode = "0640"; }, { name = "other"; path = "else.sock"; } );')
    assert one.reload()["event"] == "reloaded"
    for name in ("api", "sync", "else"):
        http, client = os.stat(one.run / f"{name}.sock"), os.stat(one.run / f"{name}.client.sock")
        assert stat.S_ISSOCK(client.st_mode) and (http.st_mode, http.st_uid, http.st_gid) == (client.st_mode, client.st_uid, client.st_gid)
    assert not list(one.run.glob("admin.client*"))
    with pytest.raises(OSError) as e:
        one.caller(BILLING).socket(one.run / "api.client.sock")  # not a stream
    assert e.value.errno == errno.EPROTOTYPE
    with open_client(one, BILLING) as c:
        one.write_conf()
        assert one.reload()["event"] == "reloaded"
        assert sorted(p.name for p in one.run.glob("*.client.sock")) == ["api.client.sock"]
        assert c.get("acme-sap").token == b"tok-sap"
    one.stop()
    assert not list(one.run.glob("*.sock"))


def test_a_path_that_leaves_no_room_for_it_is_refused_by_name(one):
    long = "n" * (107 - len(str(one.run)) - len("/.sock") - 3)
    one.write_conf('listeners = ( { name = "sync"; path = "%s.sock"; } );' % long)
    assert one.reload()["event"] == "reload_refused"
    said = str(one.events("reload_refused")[-1])
    assert ".client" in said and long[:20] in said
    assert one.token("acme-sap").status == 200


# -- the page


def test_nobody_who_holds_the_page_can_write_cut_or_grow_it(one):
    with open_client(one, BILLING) as c, open_client(one, BILLING) as other:
        word, fd = c.get("acme-sap").word, c.page.fd
        wanted = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE
        assert c.page.seals() & wanted == wanted
        tries = [lambda: os.pwrite(fd, b"x", 0), lambda: os.ftruncate(fd, 0), lambda: os.ftruncate(fd, 2 * PAGE),
                 lambda: os.posix_fallocate(fd, 0, 2 * PAGE), lambda: mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)]
        again = os.open(f"/proc/self/fd/{fd}", os.O_RDWR)  # the tests are root: whoever may open it anew is no better off
        tries += [lambda: os.pwrite(again, b"x", 0), lambda: mmap.mmap(again, PAGE, mmap.MAP_SHARED, mmap.PROT_WRITE)]
        for n, attempt in enumerate(tries):
            with pytest.raises(OSError) as e:
                attempt()
            assert e.value.errno in (errno.EPERM, errno.EACCES), n
        assert LIBC.fallocate(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(PAGE)) == -1
        at = ctypes.c_void_p(LIBC_mmap(fd))
        assert LIBC.mprotect(at, PAGE, mmap.PROT_READ | mmap.PROT_WRITE) == -1
        os.close(again)
        assert other.page.head() == (MAGIC, VERSION, WORDS, 3000) and is_valid(other.page) and other.get("acme-sap").word == word


def LIBC_mmap(fd):
    LIBC.mmap.restype = ctypes.c_void_p
    LIBC.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    at = LIBC.mmap(None, PAGE, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
    assert at not in (None, ctypes.c_void_p(-1).value)
    return at


def test_clients_of_one_service_share_a_page_and_those_of_two_do_not(one):
    with open_client(one, BILLING) as a, open_client(one, BILLING) as b, open_client(one, SYNC) as s:
        ino = [os.fstat(c.page.fd).st_ino for c in (a, b, s)]
        assert ino[0] == ino[1] != ino[2]
        a.get("acme-crm")
        mine, theirs = a.get("acme-sap"), s.get("acme-sap")
        before = [s.page.word(n) for n in range(WORDS)]
        revoke(one, "acme-crm")  # of which sync knows nothing
        assert [s.page.word(n) for n in range(WORDS)] == before
        revoke(one, "acme-sap")
        assert not mine.good(b.page) and not theirs.good(s.page)  # one act, all pages


def test_it_is_renewed_each_second_three_seconds_ahead_and_never_more(one):
    with open_client(one, BILLING) as c:
        seen, began = [], time.monotonic()
        while len(seen) < 4 and time.monotonic() - began < 40:
            until, now = c.page.valid_until(), boot_ns()
            assert until - now <= VALID_NS
            if until not in seen:
                seen.append(until)
            time.sleep(0.01)
        assert len(seen) == 4 and seen == sorted(seen)
        print(f"figure: three renewals in {time.monotonic() - began:.2f} s (stated 3 s)")


def test_a_broker_that_hangs_ends_it_within_three_seconds(one):
    with open_client(one, BILLING) as c:
        a = c.get("acme-sap")
        broker = one.pids()["broker"]
        stopped = stop(broker)
        assert c.page.valid_until() <= stopped + VALID_NS
        wait_for("a hanging broker's page is over", lambda: not a.good(c.page), 3.0)
        with contextlib.suppress(ProcessLookupError):
            os.kill(broker, signal.SIGCONT)


def test_a_broker_that_is_killed_leaves_a_page_that_ends_and_the_next_one_has_another(one):
    with open_client(one, BILLING) as c:
        a, old = c.get("acme-sap"), one.pids()["broker"]
        os.kill(old, signal.SIGKILL)
        assert c.is_closed()  # and so its end was read when nobody could move it any more
        until = c.page.valid_until()
        assert until <= boot_ns() + VALID_NS
        wait_for("the next broker", lambda: one.pids().get("broker") not in (None, old), 2.0)
        with open_client(one, BILLING) as d:
            assert os.fstat(c.page.fd).st_ino != os.fstat(d.page.fd).st_ino and d.get("acme-sap").token == b"tok-sap"
            wait_for("the old page is over", lambda: not a.good(c.page), 3.0)
            assert c.page.valid_until() == until


def test_it_is_not_valid_while_nobody_is_connected_and_what_was_held_is_asked_for_again(one):
    with open_client(one, BILLING) as c:
        a = c.get("acme-sap")
        page, c.page = c.page, None
    wait_for("without a client it is not valid", lambda: page.valid_until() == 0, 1.0)
    with open_client(one, BILLING) as d:
        assert os.fstat(d.page.fd).st_ino == os.fstat(page.fd).st_ino and is_valid(page) and moved(a, page)
    page.close()


def test_when_the_agent_ends_nothing_is_valid_any_more(one):
    with open_client(one, BILLING) as c:
        a = c.get("acme-sap")
        assert is_good(a, c.page)
        one.stop()
        assert c.page.valid_until() == 0 and not a.good(c.page) and c.is_closed()


# -- acts


def test_by_the_return_of_a_revocation_its_word_has_moved_and_no_other(one):
    with open_client(one, BILLING) as c:
        sap, crm = c.get("acme-sap"), c.get("acme-crm")
        assert is_good(sap, c.page) and is_good(crm, c.page)
        revoke(one, "acme-sap")
        assert not sap.good(c.page) and moved(sap, c.page) and is_good(crm, c.page)
        assert c.get("acme-sap").status == EREVOKED
        one.get("/v1/revocations/acme-sap?values=too", uid=0, sock="admin", method="DELETE")
        word = c.page.word(sap.index)
        assert c.get("acme-sap").token == b"tok-sap" and word > sap.word


def test_an_answer_that_was_on_its_way_is_of_no_use_after_the_return_of_a_revocation(one):
    """A get is sent, then a revocation; whichever the broker takes first, what is read afterwards is refused or not good."""
    seen = {"refused": 0, "overtaken": 0}
    with open_client(one, BILLING) as c:
        for _ in range(200):
            assert is_good(c.get("acme-sap"), c.page)
            c.send(GET, b"\x08acme-sap")
            revoke(one, "acme-sap")
            kind, status, number, body, _ = c.receive()
            answer = Answer(status, body)
            assert (kind, number) == (GET, c.number) and (status == EREVOKED or (status == 0 and not answer.good(c.page)))
            seen["overtaken" if status == 0 else "refused"] += 1
            admin(one, "DELETE", "/v1/revocations/acme-sap?values=too")
    print(f"figure: of 200 gets beside a revocation: {seen}")


def test_by_the_return_of_a_restore_the_word_has_moved(one):
    with open_client(one, BILLING) as c:
        index = c.get("acme-sap").index
        revoke(one, "acme-sap")
        word = c.page.word(index)
        admin(one, "DELETE", "/v1/revocations/acme-sap?values=too")
        assert c.page.word(index) > word


def test_by_the_return_of_a_freeze_nothing_is_valid_and_by_that_of_a_thaw_all_is_asked_for_again(one):
    with open_client(one, BILLING) as c:
        a = c.get("acme-sap")
        admin(one, "POST", "/v1/freeze", {"reason": "drill"})
        assert c.page.valid_until() == 0 and c.page.word(a.index) > a.word
        assert c.get("acme-sap").status == EFROZEN
        end = time.monotonic() + 1.5  # longer than a renewal takes
        while time.monotonic() < end:
            assert c.page.valid_until() == 0
            time.sleep(0.05)
        admin(one, "DELETE", "/v1/freeze")
        assert is_valid(c.page) and not a.good(c.page)
        assert is_good(c.get("acme-sap"), c.page)


def test_a_rotation_in_the_store_moves_the_word_though_nobody_asks(one):
    with open_client(one, BILLING) as c:
        a, crm = c.get("acme-sap"), c.get("acme-crm")
        one.put("acme-sap", b"tok-2")
        wait_for("from a change in the store to the word", lambda: moved(a, c.page), 1.0)
        b = c.get("acme-sap")
        assert b.token == b"tok-2" and is_good(b, c.page) and is_good(crm, c.page)
        one.rm("acme-sap")
        wait_for("a token that is gone moves it, too", lambda: moved(b, c.page), 1.0)
        assert c.get("acme-sap").status == ENOTFOUND and is_good(crm, c.page)


def test_tags_that_deny_move_the_word_though_the_token_is_the_same(one):
    with open_client(one, BILLING) as c:
        one.put("acme-tagged", b"tok-tagged", tags={"hold": "no"})
        a = c.get("acme-tagged")
        assert is_good(a, c.page)
        one.put("acme-tagged", b"tok-tagged", tags={"hold": "yes"})
        wait_for("from a tag in the store to the word", lambda: moved(a, c.page), 1.0)
        assert c.get("acme-tagged").status == EDENIED


def test_one_value_under_two_names_is_neither_clients_any_more(one):
    with open_client(one, BILLING) as c:
        a = c.get("acme-sap")
        one.put("acme-twin", b"tok-sap")
        assert c.get("acme-twin").status == EBACKEND
        assert moved(a, c.page) and c.get("acme-sap").status == EBACKEND


def test_by_the_return_of_a_reload_all_is_asked_for_again(one):
    with open_client(one, BILLING) as c:
        a = c.get("acme-sap")
        one.write_policy(POLICY.replace('"acme-*"', '"acme-crm"'))
        admin(one, "POST", "/v1/reload")
        assert not a.good(c.page) and moved(a, c.page)
        assert c.get("acme-sap").status == EDENIED and c.get("acme-crm").token == b"tok-crm"


def test_whoever_is_another_service_or_nobody_after_a_reload_is_cut_off(one):
    with open_client(one, BILLING) as c, open_client(one, SYNC) as s:
        a = c.get("acme-sap")
        one.write_policy(POLICY.replace('name = "billing"', 'name = "invoices"').replace('"billing"', '"invoices"'))
        admin(one, "POST", "/v1/reload")
        assert c.page.valid_until() == 0 and not a.good(c.page) and c.is_closed()
        assert s.get("acme-sap").token == b"tok-sap"
        with open_client(one, BILLING) as d:
            assert os.fstat(d.page.fd).st_ino != os.fstat(c.page.fd).st_ino


def test_who_watches_is_told_once_for_many_moves_and_need_not_read(one):
    with open_client(one, BILLING) as c, open_client(one, BILLING) as w:
        c.get("acme-sap")
        w.watch()
        w.sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            w.receive()
        w.sock.settimeout(30)
        revoke(one, "acme-sap")
        kind, status, number, body, got = w.receive()
        assert (kind, status, number, body, got) == (CHANGED, 0, 0, b"", [])
        for _ in range(400):  # more than its socket holds
            admin(one, "DELETE", "/v1/revocations/acme-sap?values=too")
            revoke(one, "acme-sap")
        assert w.receive()[0] == CHANGED
        w.send(WATCH)  # twice is against the rules
        end = False
        with contextlib.suppress(ConnectionError):
            while w.receive() is not None:
                pass
        end = True
        assert end and c.get("acme-crm").token == b"tok-crm"


# -- until when


def test_a_copy_is_good_no_longer_than_its_token_and_no_longer_than_the_agent_would_serve_it():
    """With a store that cannot be asked: neither past ttl and serve_stale nor past the expiry, though the page goes on being valid."""
    with Instance(policy=POLICY, conf='refresh = { ttl = "1s"; serve_stale = "2s"; prefetch = false; };') as i:
        i.put("acme-sap", b"tok-sap")
        i.start()
        with open_client(i, BILLING) as c:
            got = []

            def short_lived():  # again, where it was over before we had it
                i.put("acme-short", {"access_token": "tok-short", "expires_in": 2})
                got.append(c.get("acme-short"))
                return got[-1].status == 0

            wait_for("a token of two seconds", short_lived, 2.0)
            short, sap = got[-1], c.get("acme-sap")
            assert sap.until - boot_ns() <= 3e9 and short.until - boot_ns() <= 2e9
            fetcher = i.pids()["fetcher"]
            hold_still(fetcher)
            wait_for("their ends", lambda: boot_ns() >= max(short.until, sap.until), 3.0)
            assert not moved(sap, c.page) and is_valid(c.page)
            again = c.get("acme-sap")  # the supervisor may have put another fetcher in its place by now
            assert again.status in (EBACKEND, ETIMEOUT, ENOTREADY) or (again.age <= 1 and not again.flags)
            with contextlib.suppress(ProcessLookupError):
                os.kill(fetcher, signal.SIGCONT)


# -- callers that misbehave


def frame(kind, body=b"", version=VERSION, zero=0, number=1):
    return struct.pack("<BBHI", version, kind, zero, number) + body


BAD = {
    "empty": b"\0", "short head": frame(HELLO)[:7], "another version": frame(HELLO, version=2), "version 0": frame(HELLO, version=0),
    "no such type": frame(9), "a broker's type": frame(CHANGED), "not zero": frame(HELLO, zero=1), "hello with more": frame(HELLO, b"x"),
    "too long": frame(HELLO, b"x" * 200), "get without hello": frame(GET, b"\x08acme-sap"), "watch without hello": frame(WATCH),
}
BAD_LATER = {
    "hello twice": frame(HELLO), "get without a name": frame(GET), "an empty name": frame(GET, b"\0"), "a name cut off": frame(GET, b"\x09acme-sap"),
    "more than the name": frame(GET, b"\x08acme-sapx"), "not a name": frame(GET, b"\x08ACME-SAP"), "a path": frame(GET, b"\x08../../ab"),
    "a NUL": frame(GET, b"\x08acme\0sap"), "as long as can be said": frame(GET, b"\xff" + b"a" * 110), "watch with more": frame(WATCH, b"x"),
}


@pytest.mark.parametrize("bad", [pytest.param((False, v), id=k) for k, v in BAD.items()] + [pytest.param((True, v), id=k) for k, v in BAD_LATER.items()])
def test_a_frame_that_breaks_the_rules_closes_that_connection_alone(shared, bad):
    later, raw = bad
    with open_client(shared, BILLING) as bystander, connect(shared, BILLING) as c:
        if later:
            assert c.hello() == 0
        c.sock.send(raw)
        assert c.is_closed()
        assert bystander.get("acme-sap").token == b"tok-sap"


def test_a_frame_that_brings_a_descriptor_leaves_none_behind(shared):
    broker = shared.pids()["broker"]
    before = settled(lambda: fds(broker))  # those of the tests before are closed
    with connect(shared, BILLING) as c, contextlib.suppress(PermissionError):  # where the kernel refuses it at once
        socket.send_fds(c.sock, [frame(HELLO)], [0, 1])
        assert c.is_closed()
    wait_for("none is left", lambda: fds(broker) <= before, 1.0)


@pytest.fixture(scope="module")
def shared():
    with Instance(policy=POLICY, conf='limits = { head_timeout = "1m"; connections_per_uid = 80; };') as i:
        i.put("acme-sap", b"tok-sap")
        yield i.start()


def test_who_connects_and_never_says_hello_is_closed(one):
    with open_client(one, BILLING) as d:
        one.write_conf('limits = { head_timeout = "1s"; };')
        assert one.reload()["event"] == "reloaded"
        began = time.monotonic()
        with connect(one, BILLING) as c:
            assert c.is_closed()
        took = time.monotonic() - began
        print(f"figure: closed after {took:.2f} s (stated 1 s)")
        assert took > 0.9
        assert d.get("acme-sap").token == b"tok-sap"  # who said it stays as long as it likes


def is_turned_away(i, uid):
    """Told why where its HELLO came before it was looked at, closed at once where not."""
    with connect(i, uid) as c, contextlib.suppress(ConnectionError):
        c.send(HELLO)
        said = c.receive()
        return said is None or (said[:2] == (HELLO, ERATE) and c.is_closed())
    return True


def test_connections_of_a_uid_are_counted_together_with_those_of_http(shared):
    nobody_else(shared)
    with contextlib.ExitStack() as all_of_them:
        http = [all_of_them.enter_context(contextlib.closing(shared.caller(BILLING).connect(shared.sock()))) for _ in range(16)]
        assert {c.request("/v1/health").status for c in http} == {200}  # and so each is counted
        clients = [all_of_them.enter_context(open_client(shared, BILLING)) for _ in range(64)]
        assert len({os.fstat(c.page.fd).st_ino for c in clients}) == 1
        assert is_turned_away(shared, BILLING)  # the 81st
        with open_client(shared, SYNC):
            pass  # others are let in
        assert all(c.get("acme-sap").token == b"tok-sap" for c in clients)
    wait_for("room again", lambda: can_open(shared, BILLING), 1.0)


def nobody_else(i):
    """Waits until only the connection that asks is open."""
    wait_for("nobody else is there", lambda: connections(i) == 1, 1.0)


def can_open(i, uid):
    with connect(i, uid) as c:
        with contextlib.suppress(ConnectionError, BrokenPipeError, TypeError):
            return c.hello() == 0
    return False


def test_who_asks_and_never_reads_is_cut_off_and_nobody_else_notices(shared):
    with open_client(shared, BILLING) as c, open_client(shared, BILLING) as other:
        ask = frame(GET, b"\x08acme-sap")
        c.sock.setblocking(False)

        def cut_off():
            with contextlib.suppress(BlockingIOError):
                try:
                    for _ in range(100):
                        c.sock.send(ask)
                except (BrokenPipeError, ConnectionResetError):
                    return True
            return False

        wait_for("cut off", cut_off, 2.0)
        assert other.get("acme-sap").token == b"tok-sap"


def test_pages_that_nobody_reads_are_few_and_others_get_theirs(shared):
    with contextlib.ExitStack() as open_ones:
        nobody_else(shared)
        open_ones.enter_context(open_client(shared, BILLING))  # there is a page, and so each is answered in its turn
        unread = [open_ones.enter_context(connect(shared, BILLING)) for _ in range(70)]
        for c in unread:
            c.send(HELLO)
        with connect(shared, BILLING) as c:
            assert c.hello() == ENOTREADY
        with open_client(shared, SYNC) as c:
            assert c.get("acme-sap").token == b"tok-sap"
        for c in unread[:10]:  # who reads makes room
            c.page = Page(*c.receive()[4])
        with open_client(shared, BILLING) as c:
            assert c.get("acme-sap").token == b"tok-sap"
        for c in unread[20:40]:  # a connection that we end goes on being counted while its page is unread
            with contextlib.suppress(ConnectionError, BrokenPipeError):
                c.sock.send(b"bad")
        with contextlib.ExitStack() as more:
            opened = [more.enter_context(connect(shared, BILLING)) for _ in range(10)]
            for c in opened:
                c.send(HELLO)
            with connect(shared, BILLING) as c:
                assert c.hello() == ENOTREADY
    wait_for("room again", lambda: can_open(shared, BILLING), 1.0)


def test_a_thousand_connections_leave_no_descriptor_in_any_process(shared):
    with open_client(shared, BILLING):  # its page stays
        pids = [shared.pids()[r] for r in ("supervisor", "broker")]
        before = settled(lambda: [fds(p) for p in pids])  # those of the tests before are closed
        for _ in range(1000):
            with open_client(shared, BILLING):
                pass
        wait_for("all are closed", lambda: all(fds(p) <= n for p, n in zip(pids, before)), 1.0)


# -- waiting


@pytest.fixture()
def stuck():
    """With a fetcher that answers nothing."""
    with Instance(policy=POLICY, conf='refresh = { prefetch = false; };') as i:
        i.put("acme-sap", b"tok-sap")
        i.put("acme-crm", b"tok-crm")
        i.start()
        with open_client(i, BILLING) as c:
            c.get("acme-sap")
        i.stuck = i.pids()["fetcher"]
        hold_still(i.stuck)
        yield i
        with contextlib.suppress(ProcessLookupError):
            os.kill(i.stuck, signal.SIGCONT)


def waiters(i):
    return admin(i, "GET", "/v1/status").json()["waiters"]


def ask(c, name):
    c.send(GET, bytes([len(name)]) + name.encode())


def test_who_leaves_while_it_waits_is_forgotten_and_who_asks_twice_is_cut_off(stuck):
    with open_client(stuck, BILLING) as a, open_client(stuck, BILLING) as b, open_client(stuck, BILLING) as other:
        ask(a, "acme-crm")
        ask(b, "acme-crm")
        wait_for("two wait", lambda: waiters(stuck) == 2, 1.0)
        a.sock.close()
        wait_for("one has left", lambda: waiters(stuck) == 1, 1.0)
        ask(b, "acme-crm")
        assert b.is_closed()
        wait_for("nobody waits", lambda: waiters(stuck) == 0, 1.0)
        assert other.get("acme-sap").token == b"tok-sap"


def test_a_revocation_ends_the_wait_of_who_waits_for_it(stuck):
    with open_client(stuck, BILLING) as c:
        ask(c, "acme-crm")
        wait_for("it waits", lambda: waiters(stuck) == 1, 1.0)
        revoke(stuck, "acme-crm")
        kind, status, _, _, _ = c.receive()
        assert (kind, status) == (GET, EREVOKED)
        assert c.get("acme-sap").token == b"tok-sap"


def test_an_answer_that_waited_has_a_word_that_is_good(stuck):
    with open_client(stuck, BILLING) as c:
        ask(c, "acme-crm")
        wait_for("it waits", lambda: waiters(stuck) == 1, 1.0)
        with contextlib.suppress(ProcessLookupError):
            os.kill(stuck.stuck, signal.SIGCONT)
        kind, status, _, _, _ = c.receive()
        assert (kind, status) == (GET, 0)
        assert is_good(c.get("acme-crm"), c.page)


def test_without_a_supervisor_that_answers_there_is_no_page_but_an_answer(one):
    stop(one.supervisor())
    try:
        with connect(one, SYNC) as c:
            began = time.monotonic()
            assert c.hello() == ENOTREADY
            print(f"figure: no page: told after {time.monotonic() - began:.1f} s (stated 5 s)")
    finally:
        os.kill(one.supervisor(), signal.SIGCONT)
    wait_for("a page after all", lambda: can_open(one, SYNC), 2.0)


def test_status_counts_clients_and_pages(one):
    with open_client(one, BILLING), open_client(one, BILLING), open_client(one, SYNC):
        said = admin(one, "GET", "/v1/status").json()["libmakini"]
        assert said == {"clients": 3, "pages": 2}
        text = one.ctl("status", "--socket", one.sock("admin")).stdout.decode()
        assert "3 clients of libmakini (2 services)" in text


def test_a_kernel_without_the_newer_seals_serves_it_as_well():
    with Instance(policy=POLICY, wrapper=[str(BUILD / "tests" / "mask61")]) as i:
        i.put("acme-sap", b"tok-sap")
        i.start()
        with open_client(i, BILLING) as c:
            wanted = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE
            assert c.page.seals() & wanted == wanted and is_good(c.get("acme-sap"), c.page)
            with pytest.raises(OSError):
                mmap.mmap(c.page.fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
            os.kill(i.pids()["broker"], signal.SIGKILL)
            assert c.is_closed()
        wait_for("the next broker serves", lambda: can_open(i, BILLING), 2.0)
