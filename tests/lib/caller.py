# SPDX-License-Identifier: Apache-2.0
"""A service: a living process of one uid that connects to sockets. The kernel takes a
peer's credentials at connect(), so the connected descriptor may be used by the test."""

import array
import http.client
import os
import signal
import socket
import struct


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        import json
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:200]!r}>"


class Connection:
    """One kept-alive HTTP/1.1 connection."""

    def __init__(self, sock):
        self.sock = sock
        self.reader = sock.makefile("rb")  # one for all answers: it may have read ahead into the next
        self.reader.close, self._close_reader = lambda: None, self.reader.close

    def makefile(self, *_):
        return self.reader

    def send(self, raw):
        self.sock.sendall(raw)

    def receive(self, method="GET"):
        response = http.client.HTTPResponse(self, method=method)
        response.begin()
        body = response.read()
        return Answer(response.status, response.headers, body)

    def request(self, target, method="GET", headers=None, body=b""):
        lines = [f"{method} {target} HTTP/1.1", "Host: agent"]
        lines += [f"{k}: {v}" for k, v in (headers or {}).items()]
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return self.receive(method)

    def close(self):
        self._close_reader()
        self.sock.close()


class Caller:
    """A process of (uid, gid, groups) that stays alive until close()."""

    def __init__(self, uid, gid=None, groups=()):
        self.uid = uid
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            code = 1
            try:
                os.closerange(3, there.fileno())  # nothing of the test's: a descriptor held here would stay open
                os.closerange(there.fileno() + 1, 4096)
                self.enter()
                os.setgroups(list(groups))
                os.setresgid(*[gid if gid is not None else uid] * 3)
                os.setresuid(uid, uid, uid)
                self._serve(there)
                code = 0
            finally:
                os._exit(code)
        there.close()
        self._link = here

    def enter(self):
        """For who runs elsewhere: called in the child, before it drops its rights."""

    @staticmethod
    def _serve(link):
        while True:
            kind, _, path = link.recv(4096).partition(b" ")
            if not path:
                return
            sock = socket.socket(socket.AF_UNIX, int(kind))
            try:
                sock.connect(path.decode())
            except OSError as e:
                link.send(struct.pack("i", e.errno))
            else:
                link.sendmsg([struct.pack("i", 0)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [sock.fileno()]))])
            sock.close()

    def connect(self, path, timeout=30.0):
        return Connection(self.socket(path, timeout))

    def socket(self, path, timeout=30.0, kind=socket.SOCK_STREAM):
        """Connected by this process, so that its credentials are this process's."""
        self._link.send(b"%d %s" % (kind, str(path).encode()))
        data, control, _, _ = self._link.recvmsg(4, socket.CMSG_SPACE(4))
        error = struct.unpack("i", data)[0]
        if error:
            raise OSError(error, os.strerror(error), str(path))
        fd = array.array("i")
        fd.frombytes(control[0][2][:4])
        sock = socket.socket(fileno=fd[0])
        sock.settimeout(timeout)
        return sock

    def get(self, path, target, **kw):
        connection = self.connect(path)
        try:
            return connection.request(target, **kw)
        finally:
            connection.close()

    def close(self):
        if self.pid:
            self._link.close()
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
