# SPDX-License-Identifier: Apache-2.0
"""Looks for a secret in the memory of a living process, as root through /proc/PID/mem:
whole, in each encoding it could have taken, and in every 8-byte window."""

import base64
import re

WINDOW = 8


def encodings(secret):
    """Needles by name for a secret of ASCII bytes."""
    text = secret.decode()
    needles = {
        "raw": secret,
        "json": "".join(f"\\u{ord(c):04x}" for c in text).encode(),
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "percent": "".join(f"%{b:02X}" for b in secret).encode(),
        "utf-16le": text.encode("utf-16-le"),
        "utf-16be": text.encode("utf-16-be"),
    }
    for shift in range(3):  # a base64 text depends on where the secret begins in it
        coded = base64.b64encode(b"\0" * shift + secret)
        inner = coded[4:-4] if shift else coded[:-4]
        needles[f"base64+{shift}"] = inner
        needles[f"base64url+{shift}"] = inner.replace(b"+", b"-").replace(b"/", b"_")
    for i in range(len(secret) - WINDOW + 1):
        needles[f"window+{i}"] = secret[i:i + WINDOW]
    return needles


class Mapping:
    def __init__(self, start, end, perms, name):
        self.start, self.end, self.perms, self.name, self.flags = start, end, perms, name, set()

    @property
    def locked(self):
        return "lo" in self.flags


def mappings(pid):
    found = []
    for line in open(f"/proc/{pid}/smaps"):
        m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line)
        if m:
            found.append(Mapping(int(m[1], 16), int(m[2], 16), m[3], m[4].strip()))
        elif line.startswith("VmFlags:"):
            found[-1].flags = set(line.split()[1:])
    return found


def scan(pid, needles):
    """[(needle's name, mapping)] of all hits, and the number of bytes that were looked at."""
    hits, seen = [], 0
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for m in mappings(pid):
            if "r" not in m.perms or m.name in ("[vvar]", "[vsyscall]", "[vdso]"):
                continue
            try:
                mem.seek(m.start)
                data = b""
                while len(data) < m.end - m.start:
                    piece = mem.read(min(1 << 24, m.end - m.start - len(data)))
                    if not piece:
                        break
                    data += piece
            except (OSError, ValueError):
                continue  # memfd_secret: not even root reads it
            seen += len(data)
            hits += [(name, m) for name, needle in needles.items() if needle in data]
    return hits, seen
