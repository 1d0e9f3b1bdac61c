# SPDX-License-Identifier: Apache-2.0
"""The client's side of NAME.client.sock, spelled out from include/makini/wire.h and independent of the library:
a connection, its frames, and the page as it lies in memory."""

import array
import fcntl
import mmap
import os
import socket
import struct
import time

VERSION, HELLO, GET, WATCH, CHANGED = 1, 1, 2, 3, 4
PAGE, MAGIC, WORDS = 4096, 0x47504B4D, 504
F_GET_SEALS, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_FUTURE_WRITE = 1034, 1, 2, 4, 16
NEVER = -(2**63)
(EINVAL, ENOMEM, ELOCK, EFORK, ESMALL, EAGENT, ETIMEOUT, EPROTOCOL, EUNAUTHENTICATED, EDENIED, ENOTFOUND, EREVOKED, EEXPIRED, EDISABLED,
 ERATE, EBACKEND, ENOTREADY, EFROZEN, EINTERNAL) = range(1, 20)


def boot_ns():
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Page:
    """A read-only mapping."""

    def __init__(self, fd):
        self.fd = fd
        self.map = mmap.mmap(fd, PAGE, mmap.MAP_SHARED, mmap.PROT_READ)

    def head(self):
        return struct.unpack_from("<IIII", self.map)

    def valid_until(self):
        return struct.unpack_from("<Q", self.map, 16)[0]

    def valid(self):
        return boot_ns() < self.valid_until()

    def word(self, index):
        return struct.unpack_from("<Q", self.map, 64 + 8 * index)[0]

    def seals(self):
        return fcntl.fcntl(self.fd, F_GET_SEALS)

    def close(self):
        self.map.close()
        os.close(self.fd)


class Answer:
    """A copy of a token, or why there is none."""

    def __init__(self, status, body):
        self.status, self.token = status, None
        if status:
            self.retry_after = struct.unpack("<I", body)[0]
            return
        self.index, self.word, self.until, self.expires, self.age, self.flags = struct.unpack_from("<IQqqIB", body)
        at = struct.calcsize("<IQqqIB")
        self.version, at = self._text(body, at, "<B")
        self.type, at = self._text(body, at, "<B")
        self.token, at = self._text(body, at, "<H")
        assert at == len(body)

    @staticmethod
    def _text(body, at, size):
        n, = struct.unpack_from(size, body, at)
        at += struct.calcsize(size)
        return body[at:at + n], at + n

    def good(self, page):
        now = boot_ns()
        return now < self.until and now < page.valid_until() and page.word(self.index) == self.word


class Client:
    def __init__(self, sock):
        self.sock, self.number, self.page, self.environment = sock, 0, None, None

    def send(self, kind, body=b"", number=None):
        self.number += 1
        self.sock.send(struct.pack("<BBHI", VERSION, kind, 0, self.number if number is None else number) + body)

    def receive(self):
        """(type, status, number, body, descriptors); None when the other end closed."""
        data, control, flags, _ = self.sock.recvmsg(17408, socket.CMSG_SPACE(64))
        fds = array.array("i")
        for _, _, part in control:
            fds.frombytes(part[:len(part) - len(part) % 4])
        if not data:
            return None
        assert not flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
        version, kind, status, number = struct.unpack_from("<BBHI", data)
        assert version == VERSION
        return kind, status, number, data[8:], list(fds)

    def hello(self):
        self.send(HELLO)
        kind, status, number, body, fds = self.receive()
        assert (kind, number) == (HELLO, self.number)
        if status:
            assert not fds
            return status
        assert len(fds) == 1
        self.page = Page(fds[0])
        words, n = struct.unpack_from("<IB", body)
        self.environment = body[5:5 + n]
        assert words == WORDS and len(body) == 5 + n
        return 0

    def get(self, name):
        self.send(GET, bytes([len(name)]) + name.encode())
        kind, status, number, body, fds = self.receive()
        assert (kind, number, fds) == (GET, self.number, [])
        return Answer(status, body)

    def watch(self):
        self.send(WATCH)
        kind, status, number, body, _ = self.receive()
        assert (kind, status, number, body) == (WATCH, 0, self.number, b"")

    def is_closed(self):
        try:
            return self.receive() is None
        except ConnectionError:
            return True

    def close(self):
        if self.page:
            self.page.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(instance, uid, name="api", timeout=30.0):
    return Client(instance.caller(uid).socket(instance.run / f"{name}.client.sock", timeout, socket.SOCK_SEQPACKET))


def open_client(instance, uid, name="api"):
    """Connected, and said hello."""
    c = connect(instance, uid, name)
    assert c.hello() == 0
    return c
