# SPDX-License-Identifier: Apache-2.0
"""A proxy between the agent and a store, which lets requests through or spoils what comes
back, as it is told while it runs. It terminates TLS with certificates made here, so it may
do to an answer what a broken network, a wrong server or an attacker could.

A fault is a function: given a connection before its TLS (`raw`), or with it (`answer`)."""

import datetime
import email.utils
import functools
import gzip
import http.client
import json
import pathlib
import secrets
import shutil
import socket
import ssl
import struct
import subprocess
import tempfile
import threading
import time
import warnings

from .openbao import Authority, openssl

CANARY = "canary" + secrets.token_hex(12)  # stands in all that a spoilt answer carries; nobody may ever see it
GIB = 1 << 30


class Certificates:
    """One key, and certificates for it that are right or wrong in one thing each."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="makini-faults-"))
        self.authority = Authority(self.dir / "ca")
        self.ca = self.authority.certificate.read_text()
        self.key, self.csr = self.dir / "server.key", self.dir / "server.csr"
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.csr, "-subj", "/CN=store")
        foreign = Authority(self.dir / "foreign")
        self.good = self._context(self._issue(self.authority, "good"))
        self.expired = self._context(self._issue(self.authority, "expired", from_days=-30, to_days=-1))
        self.early = self._context(self._issue(self.authority, "early", from_days=1, to_days=30))
        self.foreign = self._context(self._issue(foreign, "of-another"))
        self.wrong_address = self._context(self._issue(self.authority, "wrong", san="IP:127.0.0.2,DNS:store.example"))
        self.own = self._context(self._self_signed())
        self.old_tls = self._context(self.dir / "good.pem", newest=ssl.TLSVersion.TLSv1_1)

    @staticmethod
    def _day(days):
        return (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")

    def _issue(self, authority, name, san="IP:127.0.0.1", from_days=-1, to_days=2):
        """By `openssl ca`: only that sets both ends of the time."""
        work = self.dir / (name + ".ca")
        work.mkdir()
        (work / "index").touch()
        (work / "serial").write_text(secrets.token_hex(8))
        (work / "conf").write_text(f"""[ca]
default_ca = it
[it]
database = {work}/index
serial = {work}/serial
new_certs_dir = {work}
default_md = sha256
policy = any
x509_extensions = ext
[any]
commonName = supplied
[ext]
subjectAltName = {san}
extendedKeyUsage = serverAuth
""")
        pem = self.dir / (name + ".pem")
        openssl("ca", "-batch", "-notext", "-config", work / "conf", "-cert", authority.certificate, "-keyfile", authority.key,
                "-in", self.csr, "-out", pem, "-startdate", self._day(from_days), "-enddate", self._day(to_days))
        return pem

    def _self_signed(self):
        pem = self.dir / "own.pem"
        openssl("req", "-x509", "-key", self.key, "-out", pem, "-days", "2", "-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1")
        return pem

    def _context(self, pem, newest=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem, self.key)
        if newest:
            context.set_ciphers("ALL:@SECLEVEL=0")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # that it is old is the point
                context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, newest
        return context

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.dir)


class Request:
    def __init__(self, method, path, headers, body):
        self.method, self.path, self.headers, self.body = method, path, headers, body


class Peer:
    """A connection from the agent; counts what it was sent."""

    def __init__(self, proxy, sock):
        self.proxy, self.sock, self.held = proxy, sock, b""

    def send(self, data):
        self.proxy.count(data)
        self.sock.sendall(data)

    def wait(self, seconds=None):
        """Until the fault is over, or so long; True: it is over."""
        return self.over.wait(seconds)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def read_request(self):
        while b"\r\n\r\n" not in self.held:
            data = self.sock.recv(65536)
            if not data:
                return None
            self.held += data
        head, self.held = self.held.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        while len(self.held) < int(headers.get("Content-Length", 0)):
            self.held += self.sock.recv(65536)
        n = int(headers.get("Content-Length", 0))
        body, self.held = self.held[:n], self.held[n:]
        method, path, _ = first.split(" ")
        return Request(method, path, headers, body)


class Fault:
    def __init__(self, answer=None, raw=None, context="good", closed=False):
        self.answer, self.raw, self.context, self.closed = answer, raw, context, closed


PASS = Fault()


class Proxy:
    """store: an OpenBao. certificates: of all proxies of a run."""

    def __init__(self, store, certificates):
        self.store, self.certificates = store, certificates
        self.holder = socket.socket()  # keeps the port, also while nobody listens there
        self.holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self.holder.bind(("127.0.0.1", 0))
        self.port = self.holder.getsockname()[1]
        self.address = f"https://127.0.0.1:{self.port}"
        self.requests, self.canaries, self.sent, self.accepted = [], 0, 0, 0
        self.lock, self.peers = threading.Lock(), set()
        self.fault, self.over, self.listener = PASS, threading.Event(), None
        self._listen()

    def set(self, fault):
        """From now on. Connections that stand are dropped, so that the next thing the agent meets is the fault."""
        with self.lock:
            self.fault, before, self.over = fault, self.over, threading.Event()
            before.set()
            peers, self.peers = self.peers, set()
        for peer in peers:
            try:
                peer.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        if fault.closed:
            self._close_listener()
        elif not self.listener:
            self._listen()

    def count(self, data):
        with self.lock:
            self.sent += len(data)
            self.canaries += data.count(CANARY.encode())

    def close(self):
        self.set(Fault(closed=True))
        self.holder.close()

    # -- its inside

    def _listen(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128, reuse_port=True)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def _close_listener(self):
        listener, self.listener = self.listener, None
        if listener:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        peer = Peer(self, sock)
        with self.lock:
            self.accepted += 1
            fault, peer.over = self.fault, self.over
            self.peers.add(peer)
        try:
            self._talk(peer, fault)
        except (OSError, ValueError, http.client.HTTPException):
            pass  # the agent left, or was made to
        finally:
            with self.lock:
                self.peers.discard(peer)
            peer.sock.close()

    def _talk(self, peer, fault):
        if fault.raw:
            fault.raw(peer)
            return
        peer.sock.settimeout(60)
        peer.sock = getattr(self.certificates, fault.context).wrap_socket(peer.sock, server_side=True)
        while request := peer.read_request():
            self.requests.append(request)
            if fault.answer and fault.answer(peer, request) is not True:
                return
            if not fault.answer:
                self.forward(peer, request)

    def forward(self, peer, request):
        status, headers, body = self.upstream(request)
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *(f"{k}: {v}" for k, v in headers)]
        peer.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    def upstream(self, request):
        connection = http.client.HTTPSConnection("127.0.0.1", self.store.port, context=self.store.context(), timeout=30)
        try:
            connection.request(request.method, request.path, body=request.body or None, headers=request.headers)
            answer = connection.getresponse()
            body = answer.read()
            return answer.status, [(k, v) for k, v in answer.getheaders() if k in ("Content-Type", "Retry-After")], body
        finally:
            connection.close()


# -- pieces of answers

def head(status=200, *lines, length=None):
    all_lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"X-Canary: {CANARY}", *lines]
    if length is not None:
        all_lines.append(f"Content-Length: {length}")
    return ("\r\n".join(all_lines) + "\r\n\r\n").encode()


def whole(status, body, *lines):
    """A fault that answers so, again and again."""
    data = body if isinstance(body, bytes) else body.encode()

    def answer(peer, _):
        peer.send(head(status, *lines, length=len(data)) + data)
        return True
    return Fault(answer)


def secret(token, version=9, more="", meta=""):
    """A good answer of KV 2 with this token, which is a piece of JSON."""
    return (f'{{"request_id":"{CANARY}","lease_id":"","renewable":false,"lease_duration":0,"data":{{"data":{{"access_token":{token}{more}}},'
            f'"metadata":{{"created_time":"2020-01-01T00:00:00Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":{version}{meta}}}}}}}')


def wrong_secret(token, **how):
    return whole(200, secret(token, **how))


GOOD = secret(json.dumps(CANARY))


# -- faults of the connection

def hold(peer, *_):
    peer.wait()


def reset_in_handshake(peer):
    peer.sock.recv(1024)  # its hello
    peer.reset()


def reset_after_handshake(peer, _):
    peer.reset()


def speak(text):
    """Answers the hello with something that is not TLS."""
    def raw(peer):
        peer.sock.recv(1024)
        peer.send(text.encode())
        peer.wait(0.2)
    return raw


def drip(data, at_once=0):
    def answer(peer, _):
        peer.send(data[:at_once])
        for i in range(at_once, len(data)):
            if peer.wait(0.5):
                return
            peer.send(data[i:i + 1])
    return answer


def cut(data, keep):
    """Sends the first part, then ends the connection in good order."""
    def answer(peer, _):
        peer.send(data[:keep])
        peer.sock = peer.sock.unwrap()
    return answer


def cut_without_goodbye(data, keep):
    def answer(peer, _):
        peer.send(data[:keep])
    return answer


def endless(first, piece, most=2 * GIB):
    """first, then the same piece until the agent leaves, 2 GB at most."""
    data = piece * max(1, 65536 // len(piece))

    def answer(peer, _):
        peer.send(first)
        for _ in range(most // len(data)):
            if peer.over.is_set():
                return
            peer.send(data)
    return answer


def of_login(fault):
    """The fault for logins only."""
    def answer(peer, request):
        if "/auth/" in request.path:
            return fault.answer(peer, request)
        peer.proxy.forward(peer, request)
        return True
    return Fault(answer)


def login(**auth):
    """A login's good answer, but for these."""
    good = {"client_token": CANARY, "accessor": CANARY, "policies": ["makini"], "lease_duration": 3600, "renewable": True}
    return whole(200, json.dumps({"request_id": CANARY, "auth": {**good, **auth}}))


def flap():
    """Each other request fails."""
    turn = [0]

    def answer(peer, request):
        turn[0] += 1
        if turn[0] % 2:
            return whole(500, CANARY).answer(peer, request)
        peer.proxy.forward(peer, request)
        return True
    return Fault(answer)


def retry_after(seconds):
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


def dated_storm():
    def answer(peer, request):
        return whole(429, CANARY, f"Retry-After: {retry_after(2)}").answer(peer, request)
    return Fault(answer)


def chunked(data):
    return b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data)


@functools.cache
def bomb():
    """64 MB of blanks in 64 KB."""
    return gzip.compress(b" " * (64 << 20), 6)


def packed(peer, _):
    """As the coding of the contents, which nobody asked for."""
    peer.send(head(200, "Content-Encoding: gzip", length=len(bomb())) + bomb())
    return True


def packed_chunks(peer, _):
    """As the coding of the transfer, neither."""
    peer.send(head(200, "Transfer-Encoding: gzip, chunked") + chunked(bomb()))
    return True


class Canary:
    """A listener where nobody may ever come; `seen` counts who did."""

    def __init__(self, answer=b"HTTP/1.1 200 X\r\nContent-Length: 0\r\n\r\n"):
        self.seen, self.reply = 0, answer
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.server.accept()
            except OSError:
                return
            self.seen += 1
            with sock:
                sock.settimeout(2)
                try:
                    sock.recv(4096)
                    sock.sendall(self.reply)
                except OSError:
                    pass

    def close(self):
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()


def knock(port):
    """The control of a Canary: somebody comes."""
    return subprocess.run(["curl", "-s", "-m", "5", f"http://127.0.0.1:{port}/"], capture_output=True, timeout=10).returncode
