# SPDX-License-Identifier: Apache-2.0
"""What libmicrohttpd takes although it is no clean HTTP, and cannot be seen from its callbacks: each is
one request of the connection that it came on, with one answer, and nothing behind it is another's."""

import pytest

from lib.instance import BILLING, STRANGER, Instance

pytestmark = pytest.mark.root
FIRST = b"GET /v1/tokens/acme-sap HTTP/1.1\r\n"
LENIENT = {  # docs/threats.md lists these
    "lines that end with a newline alone": b"GET /v1/tokens/acme-sap HTTP/1.1\nHost: a\n\n",
    "a header folded onto another line": FIRST + b"Host: a\r\nX-A: b\r\n c\r\n\r\n",
    "a NUL in a header's value": FIRST + b"Host: a\r\nX-A: a\0b\r\n\r\n",
    "a header without a name": FIRST + b"Host: a\r\n: x\r\n\r\n",
    "empty lines before": b"\r\n\r\n" + FIRST + b"Host: a\r\n\r\n",
    "HTTP/1.0 without a host": b"GET /v1/tokens/acme-sap HTTP/1.0\r\n\r\n",
    "an upgrade that is not taken up": FIRST + b"Host: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
}
REFUSED = {
    "a header's name that ends with a blank": FIRST + b"Host: a\r\nContent-Length : 3\r\n\r\nGET",
    "a NUL in a header's name": FIRST + b"Host: a\r\nX\0A: b\r\n\r\n",
    "a folded host": FIRST + b"Host:\r\n a\r\n\r\n",
    "a line without a colon": FIRST + b"Host: a\r\nnonsense\r\n\r\n",
    "lines that end with a return alone": b"GET /v1/tokens/acme-sap HTTP/1.1\rHost: a\r\r",
    "a length with a sign": FIRST + b"Host: a\r\nContent-Length: +5\r\n\r\nabcde",
    "a length in base 16": FIRST + b"Host: a\r\nContent-Length: 0x5\r\n\r\nabcde",
    "a length twice in one": FIRST + b"Host: a\r\nContent-Length: 5 ,5\r\n\r\nabcde",
    "a length beyond all numbers": FIRST + b"Host: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
    "a body that is a request": FIRST + b"Host: a\r\nContent-Length: 47\r\n\r\n" + FIRST + b"Host: a\r\n\r\nabcde",
    "chunks": FIRST + b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks by another word": FIRST + b"Host: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "no host": FIRST + b"\r\n", "another protocol": b"GET /v1/tokens/acme-sap HTTP/2.0\r\nHost: a\r\n\r\n", "no protocol": b"GET /v1/tokens/acme-sap\r\n\r\n",
    "a hundred headers": FIRST + b"Host: a\r\n" + b"".join(b"X-%d: y\r\n" % k for k in range(100)) + b"\r\n",
}


@pytest.fixture(scope="module")
def instance():
    with Instance() as i:
        i.put("acme-sap", b"tok-sap")
        yield i.start()


def answers(instance, uid, raw):
    """All that comes, with one clean request behind it on the same connection."""
    c = instance.caller(uid).connect(instance.sock())
    c.send(raw + b"GET /v1/whoami HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    c.sock.shutdown(1)
    got = b""
    try:
        while piece := c.sock.recv(65536):
            got += piece
    except ConnectionResetError:
        pass
    c.close()
    return got


@pytest.mark.parametrize("what", LENIENT)
def test_a_lenient_head_is_one_request_of_who_sent_it(instance, what):
    for uid, status, service in ((BILLING, b" 200 ", b'"service":"billing"'), (STRANGER, b" 403 ", b'"service":null')):
        got = answers(instance, uid, LENIENT[what])
        assert status in got.split(b"\r\n")[0] and (b"tok-sap" in got) == (uid == BILLING)
        assert got.count(b"tok-sap") <= 1 and got.count(b"\r\nDate: ") <= 2 and got.count(b'"evidence"') <= 1
        assert b'"evidence"' not in got or service in got  # the connection is whose it was


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_clean_head_brings_no_token_and_ends_the_connection(instance, what):
    got = answers(instance, BILLING, REFUSED[what])
    assert b"tok-sap" not in got and b'"evidence"' not in got  # nothing behind it is looked at
    assert not got or got.split(b"\r\n")[0].split(b" ")[1] in (b"400", b"408", b"413", b"431", b"505")
    assert instance.token("acme-sap").status == 200  # the control
