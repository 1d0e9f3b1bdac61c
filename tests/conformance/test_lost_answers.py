# SPDX-License-Identifier: Apache-2.0
"""A write goes out once, also where the library below would send it again by itself: on a
connection that was kept and turns out to be dead."""

import http.server
import json
import subprocess
import threading

import pytest

from conformance.stores import BUILD

CONF = """
environment = "production"; runtime_dir = "{dir}/run"; state_dir = "{dir}/state"; policy = "policy.conf";
backends = ( {{ name = "store"; type = "vault"; address = "http://127.0.0.1:{port}"; mount = "secret"; path = "{{connection}}"; timeout = "3s";
                auth = {{ method = "token"; token_file = "keys/token"; }}; }} );
audit = {{ file = "{dir}/log/audit.jsonl"; recipient = "iDx393mdqe5e9kQmnCYV1gh9Dt8L7zFc1uvTnEqNQyw="; }};
"""


class Vault(http.server.BaseHTTPRequestHandler):
    """Answers what is read; takes what is written, and ends the connection without a word."""
    protocol_version = "HTTP/1.1"
    asked = []

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.asked.append(self.command + " " + self.path)
        of_token = {"ttl": 0, "renewable": False}
        of_secret = {"current_version": 3, "versions": {"3": {"deletion_time": "", "destroyed": False}}}
        body = json.dumps({"data": of_token if self.path.endswith("lookup-self") else of_secret}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.asked.append(self.command + " " + self.path)
        self.rfile.read(int(self.headers["Content-Length"]))
        self.close_connection = True


@pytest.fixture
def port():
    Vault.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vault)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_a_write_without_an_answer_is_not_sent_again(tmp_path, port):
    tmp_path.chmod(0o700)
    (tmp_path / "policy.conf").write_text('environment = "production";\nservices = ();\nrules = ();\n')
    (tmp_path / "agent.conf").write_text(CONF.format(dir=tmp_path, port=port))
    (tmp_path / "keys").mkdir(mode=0o700)
    (tmp_path / "keys" / "token").write_text("s.token")
    (tmp_path / "keys" / "token").chmod(0o600)
    p = subprocess.run([BUILD / "tests" / "drive", tmp_path / "agent.conf", "store", "put", "acme", "--expect", "3"], input=b'{"a":"x"}',
                       capture_output=True, timeout=30)
    assert p.returncode == 0, p.stderr
    assert json.loads(p.stdout)["err"] in ("BACKEND", "TIMEOUT"), p.stdout
    assert Vault.asked[1:] == ["GET /v1/secret/metadata/acme", "POST /v1/secret/data/acme--pending"]
