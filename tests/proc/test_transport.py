# SPDX-License-Identifier: Apache-2.0
"""The fetcher's transport against servers that misbehave: how each request ends, in what
time, and what the server saw of it."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import threading
import time
import warnings

import pytest

from lib.instance import BUILD

GET = BUILD / "tests" / "get"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345"


def openssl(*args, cwd):
    subprocess.run(["openssl", *map(str, args)], cwd=cwd, check=True, capture_output=True)


def certificate(d, name, *, alt, ca=None, days=2, past=False):
    """NAME.pem and NAME.key, signed by ca or by itself."""
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr",
            "-subj", f"/CN={name}", cwd=d)
    (d / f"{name}.ext").write_text(f"subjectAltName={alt}\n" if alt else "basicConstraints=critical,CA:TRUE\n")
    when = ["-not_before", "20200101000000Z", "-not_after", "20200102000000Z"] if past else ["-days", days]
    signer = ["-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial"] if ca else ["-signkey", f"{name}.key"]
    if past:  # `x509 -req` of OpenSSL 3.0 takes no dates
        (d / "index.txt").write_text("")
        (d / "serial").write_text("77\n")
        (d / "ca.cnf").write_text("[ca]\ndefault_ca=c\n[c]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n"
                                  "policy=p\n[p]\ncommonName=supplied\n")
        openssl("ca", "-batch", "-config", "ca.cnf", "-cert", f"{ca}.pem", "-keyfile", f"{ca}.key", "-in", f"{name}.csr", "-out", f"{name}.pem",
                "-startdate", "20200101000000Z", "-enddate", "20200102000000Z", "-extfile", f"{name}.ext", "-notext", cwd=d)
    else:
        openssl("x509", "-req", "-in", f"{name}.csr", *signer, *when, "-extfile", f"{name}.ext", "-out", f"{name}.pem", cwd=d)
    (d / f"{name}.pem").chmod(0o644)
    (d / f"{name}.key").chmod(0o600)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    d = tmp_path_factory.mktemp("pki")
    d.chmod(0o755)
    certificate(d, "ca", alt=None)
    certificate(d, "foreign", alt=None)
    certificate(d, "right", alt="IP:127.0.0.1", ca="ca")
    certificate(d, "other", alt="DNS:vault.example", ca="ca")
    certificate(d, "expired", alt="IP:127.0.0.1", ca="ca", past=True)
    certificate(d, "unknown", alt="IP:127.0.0.1", ca="foreign")
    certificate(d, "selfsigned", alt="IP:127.0.0.1")
    certificate(d, "client", alt="DNS:agent", ca="ca")
    certificate(d, "client2", alt="DNS:agent2", ca="ca")
    return d


class Server:
    """Accepts on a loopback port; `serve` gets each connection (and what it asked first)."""

    def __init__(self, serve, context=None):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.serve, self.context = serve, context
        self.connections, self.heads, self.peers = 0, [], []
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.one, args=(s,), daemon=True).start()

    def one(self, s):
        with contextlib.suppress(OSError, ssl.SSLError):
            if self.context:
                s = self.context.wrap_socket(s, server_side=True)
                self.peers.append(s.getpeercert())
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    more = s.recv(65536)
                    if not more:
                        return
                    head += more
                self.heads.append(head)
                if self.serve(s, head) != "again":
                    break
        with contextlib.suppress(OSError):
            s.close()

    def url(self, path="/v1/x", scheme=None):
        return f"{scheme or ('https' if self.context else 'http')}://127.0.0.1:{self.port}{path}"

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self.listener.close()


@contextlib.contextmanager
def server(serve, context=None):
    s = Server(serve, context)
    try:
        yield s
    finally:
        s.close()


def saying(data, verdict="again"):
    def serve(s, _):
        s.sendall(data)
        return verdict
    return serve


def tls(pki, name, client_ca=None, most=None):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    if most:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            c.minimum_version, c.maximum_version = ssl.TLSVersion.TLSv1, most
        c.set_ciphers("ALL:@SECLEVEL=0")
    if client_ca:
        c.verify_mode = ssl.CERT_REQUIRED
        c.load_verify_locations(pki / f"{client_ca}.pem")
    return c


def get(*urls, limit=65536, timeout=10000, env=None, **options):
    words = [k if v is True else f"{k}={v}" for k, v in options.items()]
    began = time.monotonic()
    done = subprocess.run([str(GET), str(limit), str(timeout), *words, *urls], capture_output=True, text=True, timeout=60,
                          env={k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")} | (env or {}))
    assert done.returncode == 0, done.stderr  # 1 also where a secret was not freed
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert time.monotonic() - began < len(urls) * timeout / 1000 + 40
    return answers[0] if len(urls) == 1 else answers


def test_an_answer_comes_with_its_status_and_body():
    for status in (200, 404, 403, 503):
        with server(saying(OK.replace(b"200 OK", b"%d X" % status))) as s:
            a = get(s.url())
            assert (a["err"], a["status"], a["bytes"], a["retry_after_ms"]) == ("ok", status, 5, -1), a


def test_the_request_is_what_was_asked_for():
    with server(saying(OK)) as s:
        get(s.url("/v1/a%2Fb?list=true"), method=2, header="s.token")
        get(s.url(), method=3, body='{"a":1}')
        get(s.url(), method=5, body='{}')
        head = s.heads[0].decode()
        assert head.startswith("LIST /v1/a%2Fb?list=true HTTP/1.1\r\n")
        assert "X-Vault-Token: s.token\r\n" in head and "Accept-Encoding" not in head and "Expect" not in head and "Cookie" not in head
        assert s.heads[1].startswith(b"POST ") and b"Content-Type: application/json\r\n" in s.heads[1] and s.heads[1].endswith(b'{"a":1}')
        assert s.heads[2].startswith(b"PATCH ")


def test_a_header_is_one_line():
    with server(saying(OK)) as s:
        for bad in ("a\r\nX-Evil: 1", "a\nb", "a\x7fb"):
            a = get(s.url(), header=bad)
            assert a["err"] == "backend_error" and "control character" in a["fault"]
        assert s.heads == []


def test_connections_are_used_again():
    with server(saying(OK)) as s:
        assert [a["err"] for a in get(s.url(), s.url(), s.url())] == ["ok"] * 3
        assert s.connections == 1


def test_backends_share_no_connection(pki):
    with server(saying(OK), tls(pki, "right")) as s:
        assert [a["err"] for a in get(s.url(), s.url(), s.url(), ca=pki / "ca.pem")] == ["ok"] * 3
        assert s.connections == 1
        assert [a["err"] for a in get(s.url(), s.url(), s.url(), ca=pki / "ca.pem", apart=True)] == ["ok"] * 3
        assert s.connections == 4


def test_a_body_that_is_too_long_is_cut_off():
    endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"x" * 4096 + b"\r\n"

    def chunks(s, _):
        s.sendall(endless)
        while True:
            s.sendall(b"1000\r\n" + b"x" * 4096 + b"\r\n")
    for serve in (chunks, saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000000\r\n\r\n" + b"y" * 100),
                  saying(b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n" + b"y" * 65537)):
        with server(serve) as s:
            assert get(s.url())["err"] == "too_large"
    for n in (0, 1, 4096, 4097, 65535, 65536):
        with server(saying(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n + b"z" * n)) as s:
            a = get(s.url())
            assert (a["err"], a["bytes"], a["first"]) == ("ok", n, ord("z") if n else 0)


def test_heads_without_end_are_cut_off():
    def heads(s, _):
        s.sendall(b"HTTP/1.1 200 OK\r\n")
        while True:
            s.sendall(b"X-%s: y\r\n" % (b"a" * 1000))
    with server(heads) as s:
        assert get(s.url())["err"] == "too_large"


def test_a_redirect_is_not_followed():
    with server(saying(OK)) as target:
        for where in (target.url(), "file:///etc/passwd", "http://169.254.169.254/latest/"):
            with server(saying(f"HTTP/1.1 307 X\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())) as s:
                a = get(s.url())
                assert a["err"] == "backend_error" and "redirect" in a["fault"] and a["hopeless"]
        assert target.connections == 0


@pytest.mark.parametrize("data", [b"", OK[:-2], b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123", b"\x00\x01\x02garbage\r\n\r\n",
                                  b"SSH-2.0-x\r\n\r\n"])
def test_half_an_answer_is_none(data):
    with server(saying(data, "close")) as s:
        a = get(s.url())
        assert a["err"] == "backend_error" and a["bytes"] == 0


def test_silence_ends_in_time():
    def silent(s, _):
        time.sleep(30)

    def drip(s, _):
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")
        for _ in range(300):
            s.sendall(b"x")
            time.sleep(0.1)
    for serve in (silent, drip):
        with server(serve) as s:
            a = get(s.url(), timeout=700)
            assert a["err"] == "timeout" and 600 < a["ms"] < 7000


def test_nobody_there():
    with server(saying(OK)) as s:
        url = s.url()
    a = get(url)
    assert a["err"] == "backend_error" and "refuses" in a["fault"]
    full = socket.socket()
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    fill = [socket.socket() for _ in range(3)]
    for f in fill:
        f.setblocking(False)
        f.connect_ex(full.getsockname())
    a = get(f"http://127.0.0.1:{full.getsockname()[1]}/", timeout=900)
    assert a["err"] == "timeout" and "no connection" in a["fault"]


def test_a_call_can_be_given_up():
    with server(lambda s, _: time.sleep(3)) as s:
        assert get(s.url(), cancel=True) == {"cancelled": True}


@pytest.mark.parametrize("value,least,most", [("3", 3000, 3000), ("soon", -1, -1), ("9" * 30, -1, 86400000), ("DATE", 20000, 31000), ("-5", -1, -1)])
def test_retry_after_is_read(value, least, most):
    if value == "DATE":
        value = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 30))
    with server(saying(b"HTTP/1.1 429 X\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n" % value.encode())) as s:
        a = get(s.url())
        assert a["status"] == 429 and least <= a["retry_after_ms"] <= most


def test_plain_http_stays_on_this_host():
    for url in ("http://192.0.2.1:8200/", "http://vault.example/", "ftp://127.0.0.1/", "http://127.0.0.1.example/"):
        a = get(url)
        assert a["err"] == "backend_error" and "must be https" in a["fault"], url
    assert get("file:///etc/passwd")["err"] == "internal"
    with server(saying(OK)) as s:
        assert get(s.url().replace("127.0.0.1", "localhost"))["err"] == "ok"


def test_the_environment_has_no_say(pki):
    with server(saying(OK)) as s, server(saying(OK), tls(pki, "right")) as t, server(saying(OK)) as proxy:
        env = {k: f"http://127.0.0.1:{proxy.port}" for k in ("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")}
        env |= {k: str(pki / "ca.pem") for k in ("SSL_CERT_FILE", "CURL_CA_BUNDLE")}
        assert get(s.url(), env=env)["err"] == "ok"
        assert get(t.url(), env=env)["err"] == "backend_error"  # its authority is in the environment only
        assert get(t.url(), env=env, ca=pki / "ca.pem")["err"] == "ok"
        assert proxy.connections == 0


def test_a_configured_proxy_sees_neither_token_nor_answer(pki):
    with server(saying(OK), tls(pki, "other")) as store:
        def tunnel(s, _):
            up = socket.create_connection(("127.0.0.1", store.port))
            s.sendall(b"HTTP/1.1 200 Connected\r\nSet-Cookie: a=b\r\n\r\n")

            def pump(a, b):
                with contextlib.suppress(OSError):
                    while data := a.recv(65536):
                        seen.append(data)
                        b.sendall(data)
            threading.Thread(target=pump, args=(up, s), daemon=True).start()
            pump(s, up)
        seen = []
        with server(tunnel) as proxy:
            a = get("https://vault.example:8200/v1/x", ca=pki / "ca.pem", proxy=f"http://127.0.0.1:{proxy.port}", header="s.token-1234")
            assert (a["err"], a["bytes"]) == ("ok", 5), a
            assert proxy.heads[0].startswith(b"CONNECT vault.example:8200 HTTP/1.1\r\n") and b"s.token" not in proxy.heads[0]
            assert b"X-Vault-Token: s.token-1234\r\n" in store.heads[0]
            assert seen and b"s.token" not in b"".join(seen)
        with server(saying(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")) as proxy:
            a = get("https://vault.example:8200/v1/x", ca=pki / "ca.pem", proxy=f"http://127.0.0.1:{proxy.port}")
            assert a["err"] == "backend_error" and "proxy" in a["fault"], a


@pytest.mark.parametrize("name,fault", [("expired", "expired"), ("other", "another name"), ("unknown", "unknown authority"),
                                        ("selfsigned", "self-signed")])
def test_a_wrong_certificate_is_named(pki, name, fault):
    with server(saying(OK), tls(pki, name)) as s:
        a = get(s.url(), ca=pki / "ca.pem", header="s.token")
        assert a["err"] == "backend_error" and fault in a["fault"] and a["hopeless"]
        assert s.heads == []  # the token was not shown to it
    with server(saying(OK), tls(pki, "right")) as s:
        assert get(s.url(), ca=pki / "ca.pem")["err"] == "ok"


def test_old_tls_is_refused(pki):
    with server(saying(OK), tls(pki, "right", most=ssl.TLSVersion.TLSv1_1)) as s:
        assert "TLS 1.2" in get(s.url(), ca=pki / "ca.pem")["fault"]
    with server(saying(OK), tls(pki, "right", most=ssl.TLSVersion.TLSv1_2)) as s:
        assert get(s.url(), ca=pki / "ca.pem")["err"] == "ok"
    with server(saying(OK)) as s:
        assert get(s.url(scheme="https"), ca=pki / "ca.pem", timeout=500)["err"] in ("backend_error", "timeout")
        assert s.heads == []


def test_the_client_certificate_is_shown_and_its_key_is_private(pki):
    with server(saying(OK), tls(pki, "right", client_ca="ca")) as s:
        assert get(s.url(), ca=pki / "ca.pem")["err"] == "backend_error"
        a = get(s.url(), ca=pki / "ca.pem", cert=pki / "client.pem", key=pki / "client.key")
        assert a["err"] == "ok", a
        a = get(s.url(), ca=pki / "ca.pem", cert=pki / "client.pem", key=pki / "client2.key")
        assert "client certificate" in a["fault"]
        (pki / "client.key").chmod(0o644)
        assert "0600" in get(s.url(), ca=pki / "ca.pem", cert=pki / "client.pem", key=pki / "client.key")["fault"]
        (pki / "client.key").chmod(0o600)


def test_a_file_that_is_missing_or_none_is_named(pki, tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "bad.pem").write_text("nothing\n")
    (tmp_path / "bad.pem").chmod(0o644)
    with server(saying(OK), tls(pki, "right")) as s:
        assert "ca_file" in get(s.url(), ca=tmp_path / "none.pem")["fault"]
        assert "ca_file" in get(s.url(), ca=tmp_path / "bad.pem")["fault"]
        assert s.heads == []
