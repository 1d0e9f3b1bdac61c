# SPDX-License-Identifier: Apache-2.0
"""A real kube-apiserver on a real etcd for tests: free ports of loopback, a private
directory, its own certificate authority. There is no kubelet: pods are objects only, and
what a kubelet does with a token is ProjectedToken.

    with KubeApi() as kube:
        kube.service_account("billing", namespace="erp")
        pod = kube.pod("billing-0", "billing", namespace="erp")      # pod.uid
        token = kube.token("billing", namespace="erp", audience="makini", pod=pod)

The binary is $MK_KUBE_APISERVER, or build/kube/kube-apiserver (scripts/setup long)."""

import base64
import collections
import csv
import ctypes
import json
import os
import pathlib
import secrets
import shutil
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

from lib.ports import free_port

from .openbao import Authority, Refused, b64, openssl

ROOT = pathlib.Path(__file__).resolve().parents[2]
READY_WITHIN = 120.0
LEAST_SECONDS = 600  # a TokenRequest for less is refused
EXTRA_SECONDS = 70   # how long the server still takes an expired token: a minute for clocks that differ, and it remembers for ten seconds
LIBC, PR_SET_PDEATHSIG = ctypes.CDLL(None), 1

Pod = collections.namedtuple("Pod", "namespace name uid")


def find_apiserver():
    """The binary's path, or None."""
    for candidate in (os.environ.get("MK_KUBE_APISERVER"), ROOT / "build" / "kube" / "kube-apiserver"):
        if candidate and os.access(candidate, os.X_OK):
            return str(candidate)
    return None


def claims(token):
    """What a token says, unverified."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class KubeApi:
    """.address (also the issuer of its tokens), .ca (a file), .jwks_url (open to all), .audiences."""

    def __init__(self, audiences=("makini", "vault"), args=(), port=None):
        self.port, self.args, self.processes = port or free_port(), list(args), []
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="makini-kube-"))
        self.dir.chmod(0o755)  # .ca is for other users, too
        self.address = f"https://127.0.0.1:{self.port}"
        self.issuer, self.jwks_url = self.address, f"{self.address}/openid/v1/jwks"
        self.audiences = [self.address, *audiences]  # what a TokenReview can ask for
        self.admin = secrets.token_hex(16)
        self.ca = self.dir / "ca.pem"
        self._make_files()

    def _make_files(self):
        authority = Authority(self.dir / "ca")
        self.ca.write_text(authority.certificate.read_text())
        certificate, key = authority.issue("kube-apiserver", usage="serverAuth", san="IP:127.0.0.1,DNS:kubernetes.default.svc")
        self._private("tls.pem", certificate)
        self._private("tls.key", key)
        openssl("genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.dir / "sa.key")
        openssl("pkey", "-in", self.dir / "sa.key", "-pubout", "-out", self.dir / "sa.pub")
        with open(self._private("tokens.csv", ""), "w", newline="") as f:
            csv.writer(f).writerow([self.admin, "admin", "admin", "system:masters"])

    def _private(self, name, text):
        path = self.dir / name
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    # -- the processes

    def start(self):
        binary, etcd = find_apiserver(), shutil.which("etcd")
        if not binary or not etcd:
            raise RuntimeError("there is no kube-apiserver or no etcd: `scripts/setup long` makes them")
        store, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._spawn("etcd", [etcd, "--data-dir", self.dir / "etcd", "--listen-client-urls", store, "--advertise-client-urls", store,
                             "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"])
        self._spawn("kube-apiserver", [
            binary, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", f"--secure-port={self.port}", "--endpoint-reconciler-type=none",
            f"--etcd-servers={store}", "--service-cluster-ip-range=10.0.0.0/24", "--authorization-mode=RBAC",
            f"--token-auth-file={self.dir}/tokens.csv", f"--tls-cert-file={self.dir}/tls.pem", f"--tls-private-key-file={self.dir}/tls.key",
            f"--service-account-issuer={self.issuer}", f"--service-account-jwks-uri={self.jwks_url}",
            f"--service-account-signing-key-file={self.dir}/sa.key", f"--service-account-key-file={self.dir}/sa.pub",
            f"--api-audiences={','.join(self.audiences)}", *self.args])
        deadline = time.monotonic() + READY_WITHIN
        while not self.is_ready():
            for name, process in self.processes:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{name} did not come up:\n{(self.dir / name).with_suffix('.log').read_text(errors='replace')[-3000:]}")
            time.sleep(0.1)
        self.bind("discovery", "system:service-account-issuer-discovery", {"kind": "Group", "name": "system:unauthenticated"})
        return self

    def _spawn(self, name, command):
        log = open((self.dir / name).with_suffix(".log"), "ab")
        self.processes.append((name, subprocess.Popen(
            [str(c) for c in command], stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.dir,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.dir)}, preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))))

    def is_ready(self):
        try:
            self._send("GET", "/readyz")
            return True
        except (OSError, Refused):
            return False

    def pause(self):
        """It answers no more, but its port is still open. Returns when it stands still."""
        self.processes[-1][1].send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.processes[-1][1].pid, os.WSTOPPED)

    def resume(self):
        self.processes[-1][1].send_signal(signal.SIGCONT)

    def close(self):
        for _, process in reversed(self.processes):
            process.kill()
            process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_):
        self.close()

    # -- its API

    def _send(self, method, path, body=None, token=None):
        headers = {"Content-Type": "application/json"}
        token = self.admin if token is None else token
        if token:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data=data, method=method, headers=headers)
        trust = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=str(self.ca)))
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({}), trust).open(request, timeout=30) as answer:
                return answer.read()
        except urllib.error.HTTPError as e:
            with e:
                raise Refused(e.code, e.read().decode(errors="replace")) from None

    def api(self, method, path, body=None, token=None):
        """The answer's JSON. token: the administrator's, or another, or "" for none. Raises Refused."""
        return json.loads(self._send(method, path, body, token))

    def _ensure(self, path, body):
        """Creates an object; one of this name that is there already is left as it is."""
        try:
            return self.api("POST", path, body)
        except Refused as e:
            if e.status != 409:
                raise
            return self.api("GET", f"{path}/{body['metadata']['name']}")

    # -- what tests need in it

    def namespace(self, name):
        self._ensure("/api/v1/namespaces", {"metadata": {"name": name}})
        return name

    def service_account(self, name, namespace="default"):
        """Creates it, and its namespace; returns its uid."""
        self.namespace(namespace)
        return self._ensure(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})["metadata"]["uid"]

    def delete_service_account(self, name, namespace="default"):
        self.api("DELETE", f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}")

    def pod(self, name, service_account="default", namespace="default", labels=None):
        """Creates a pod that no node runs, for tokens that are bound to it. A second one of the same name has another uid."""
        self.service_account(service_account, namespace)
        made = self.api("POST", f"/api/v1/namespaces/{namespace}/pods", {
            "metadata": {"name": name, "labels": labels or {}},
            "spec": {"serviceAccountName": service_account, "containers": [{"name": "main", "image": "none.invalid/none"}]}})
        return Pod(namespace, name, made["metadata"]["uid"])

    def delete_pod(self, pod):
        self.api("DELETE", f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}", {"gracePeriodSeconds": 0})

    def token(self, service_account, namespace="default", audience=None, seconds=LEAST_SECONDS, pod=None):
        """A TokenRequest's token: for one audience (None: the API itself), bound to a pod or to the service account alone."""
        spec = {"audiences": [audience or self.issuer], "expirationSeconds": seconds}
        if pod:
            spec["boundObjectRef"] = {"kind": "Pod", "apiVersion": "v1", "name": pod.name, "uid": pod.uid}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token"
        return self.api("POST", path, {"spec": spec})["status"]["token"]

    def resign(self, token, **changed):
        """The same token with other claims (None: without one), signed by the server's own key. For what no TokenRequest gives,
        such as a short-lived or expired one. The server itself lets a token live for EXTRA_SECONDS more."""
        said = {**claims(token), **changed}
        text = token.split(".")[0] + "." + b64(json.dumps({k: v for k, v in said.items() if v is not None}).encode())
        return text + "." + b64(openssl("dgst", "-sha256", "-sign", self.dir / "sa.key", stdin=text.encode()))

    def review(self, token, audience=None):
        """The server's own word on a token: (whose, its audiences), or None where it is not good."""
        spec = {"token": token, **({"audiences": [audience]} if audience else {})}
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        status = self.api("POST", "/apis/authentication.k8s.io/v1/tokenreviews", body)["status"]
        return (status["user"]["username"], status.get("audiences", [])) if status.get("authenticated") else None

    def reviewer(self, name="reviewer", namespace="kube-system"):
        """The token of a service account that may ask for TokenReviews."""
        self.service_account(name, namespace)
        self.bind(f"review-by-{name}", "system:auth-delegator", {"kind": "ServiceAccount", "name": name, "namespace": namespace})
        return self.token(name, namespace, seconds=7200)

    def bind(self, name, cluster_role, subject):
        """subject: {"kind": "ServiceAccount", "name": …, "namespace": …}, or a "Group" or "User" with its name."""
        group = {} if subject["kind"] == "ServiceAccount" else {"apiGroup": "rbac.authorization.k8s.io"}
        self._ensure("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", {
            "metadata": {"name": name}, "subjects": [{**subject, **group}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": cluster_role}})


class ProjectedToken:
    """A volume with a token as a kubelet keeps it and a container sees it: .path is a link to ..data/token, ..data one to
    ..TIMESTAMP, swapped as a whole; files are root's and their group's (the pod's fsGroup), the mount is read-only, its
    directory open to all. Root only; close() unmounts."""

    def __init__(self, group):
        self.group, self.count, self.mounts = group, 0, []
        self.top = pathlib.Path(tempfile.mkdtemp(prefix="makini-volume-"))
        self.top.chmod(0o755)
        self.dir, view = self.top / "kubelet", self.top / "serviceaccount"
        self.path = view / "token"
        self.dir.mkdir()
        view.mkdir()
        self._mount(self.dir, "-t", "tmpfs", "-o", "mode=1777", "tmpfs")
        self._mount(view, "--bind", self.dir)
        subprocess.run(["mount", "-o", "remount,bind,ro,nosuid,nodev,noexec", view], check=True)

    def _mount(self, where, *args):
        subprocess.run(["mount", *args, where], check=True)
        self.mounts.append(where)

    def write(self, token):
        """Puts a token in place of the one before; returns the path, which stays the same."""
        self.count += 1
        data, link = self.dir / f"..2026_01_01_00_00_00.{self.count:09}", self.dir / "..data"
        before = self.dir / os.readlink(link) if link.is_symlink() else None
        data.mkdir(mode=0o755)
        file = data / "token"
        file.touch(mode=0o600)
        file.write_text(token)
        os.chown(file, 0, self.group)
        file.chmod(0o640)
        swap = self.dir / "..data_tmp"
        swap.symlink_to(data.name)
        swap.rename(link)
        if before:
            shutil.rmtree(before)
        else:
            (self.dir / "token").symlink_to("..data/token")
        return self.path

    def close(self):
        for where in reversed(self.mounts):
            subprocess.run(["umount", "-l", where], check=True)
        shutil.rmtree(self.top)
