# SPDX-License-Identifier: Apache-2.0
"""A double of one endpoint of a kube-apiserver: GET /openid/v1/jwks over TLS, for who
brings the right token. And what an API server does with its keys: signs service-account
tokens, with claims as a test wants them. (The real one: kube.py.)"""

import http.server
import json
import pathlib
import re
import shutil
import ssl
import tempfile
import threading
import time

from lib.ports import free_port

from .openbao import Authority, b64, openssl

ISSUER, AUDIENCE = "https://kubernetes.default.svc.cluster.local", "makini-production"
CREDENTIAL = "the-agents-own-token"


class Key:
    """A private key of type RSA or EC, made by openssl; .jwk is its public half."""

    def __init__(self, directory, kid, kind="RSA"):
        self.kid, self.kind, self.path = kid, kind, pathlib.Path(directory) / f"{kid}.key"
        how = ["rsa_keygen_bits:2048"] if kind == "RSA" else ["ec_paramgen_curve:P-256"]
        openssl("genpkey", "-quiet", "-algorithm", kind, "-pkeyopt", *how, "-out", self.path)

    @property
    def jwk(self):
        common = {"kid": self.kid, "use": "sig", "alg": "RS256" if self.kind == "RSA" else "ES256", "kty": self.kind}
        if self.kind == "RSA":
            modulus = re.search(rb"=([0-9A-F]+)", openssl("rsa", "-in", self.path, "-noout", "-modulus"))[1]
            return {**common, "n": b64(bytes.fromhex(modulus.decode())), "e": "AQAB"}
        point = openssl("pkey", "-in", self.path, "-pubout", "-outform", "DER")[-64:]
        return {**common, "crv": "P-256", "x": b64(point[:32]), "y": b64(point[32:])}

    def sign(self, text):
        signature = openssl("dgst", "-sha256", "-sign", self.path, stdin=text)
        if self.kind == "RSA":
            return signature
        halves, at = [], 2  # DER: SEQUENCE of two INTEGERs
        for _ in range(2):
            n = signature[at + 1]
            halves.append(signature[at + 2:at + 2 + n].lstrip(b"\0").rjust(32, b"\0"))
            at += 2 + n
        return b"".join(halves)


class Issuer:
    """Keys, and tokens signed with the first of them or another."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="makini-issuer-"))
        self.keys = [Key(self.dir, "first")]

    def add(self, kid, kind="RSA"):
        self.keys.append(Key(self.dir, kid, kind))
        return self.keys[-1]

    def jwks(self):
        return json.dumps({"keys": [k.jwk for k in self.keys]})

    def token(self, pod, account="sync", namespace="erp", key=None, header=None, seconds=600, **claims):
        key, now = key or self.keys[0], int(time.time())
        said = {"aud": [AUDIENCE], "exp": now + seconds, "iat": now, "nbf": now, "iss": ISSUER, "jti": "1",
                "kubernetes.io": {"namespace": namespace, "pod": {"name": "p", "uid": pod}, "serviceaccount": {"name": account, "uid": "u"}},
                "sub": f"system:serviceaccount:{namespace}:{account}", **claims}
        head = {"alg": key.jwk["alg"], "kid": key.kid, **(header or {})}
        text = ".".join(b64(json.dumps(part).encode()) for part in (head, said)).encode()
        return text.decode() + "." + b64(key.sign(text))

    def close(self):
        shutil.rmtree(self.dir)


class JwksServer:
    """.address, .ca (a file); .status is what it answers with; .down() and .up() take its port away and give it back."""

    def __init__(self, issuer, status=200):
        self.issuer, self.status, self.asked, self.credentials = issuer, status, 0, []
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="makini-jwks-"))
        self.dir.chmod(0o755)
        authority = Authority(self.dir / "ca")
        self.ca = self.dir / "ca.pem"
        self.ca.write_text(authority.certificate.read_text())
        self.cert = self.dir / "tls.pem"
        self.cert.write_text("".join(authority.issue("api", usage="serverAuth", san="IP:127.0.0.1")))
        self.port, self.server = free_port(), None
        self.up()

    def up(self):
        double = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                double.asked += 1
                double.credentials.append(self.headers.get("Authorization"))
                good = self.path == "/openid/v1/jwks" and self.headers.get("Authorization") == f"Bearer {CREDENTIAL}"
                body = double.issuer.jwks().encode()
                self.send_response(double.status if good else 403)
                self.send_header("Content-Type", "application/jwk-set+json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        http.server.ThreadingHTTPServer.allow_reuse_address = True
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.address = f"https://127.0.0.1:{self.port}"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def down(self):
        self.server.shutdown()
        self.server.server_close()

    def close(self):
        self.down()
        shutil.rmtree(self.dir)
