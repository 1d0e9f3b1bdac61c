#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up what tests/coverage/dump.c left in a directory, and writes the .gcda files.

    merge.py DIRECTORY

Of a .gcda (gcc 12) only the counters are of interest: records of a tag and a length in
bytes, which is negative where all counters are zero and left out."""

import array
import pathlib
import struct
import sys

HEAD = struct.Struct("<III")  # as dump.c's struct head: kind, pid, length
COUNTERS, MAGIC_BYTES = 0x01A10000, 16
FILE, DATA = ord("F"), ord("D")


def chunks(path):
    """(kind, pid, bytes) of one process's file."""
    with open(path, "rb") as f:
        used = struct.unpack("<Q", f.read(8))[0]
        data = f.read(used)
    if len(data) < used:
        print(f"{path}: {used} bytes of counters did not fit: some are lost")
    at = 0
    while at + HEAD.size < len(data):
        kind, pid, n = HEAD.unpack_from(data, at)
        if kind not in (FILE, DATA) or at + HEAD.size + n > len(data):
            break
        yield kind, pid, data[at + HEAD.size:at + HEAD.size + n]
        at += HEAD.size + n


def dumps(path):
    """(.gcda's name, its bytes); the forked children of a process write into its file, too."""
    name, parts = {}, {}
    for kind, pid, data in chunks(path):
        if kind == FILE:
            if pid in name:
                yield name[pid], b"".join(parts[pid])
            name[pid], parts[pid] = data.decode(errors="replace"), []
        else:
            parts[pid].append(data)
    for pid, last in name.items():
        yield last, b"".join(parts[pid])


def records(data):
    """[tag, payload]: an array of counters, or bytes. None where its process was killed while it wrote."""
    at, found = MAGIC_BYTES, []
    while at + 8 <= len(data):
        tag, n = struct.unpack_from("<Ii", data, at)
        at += 8
        if tag == 0:
            break
        payload = data[at:at + max(n, 0)]
        if len(payload) < n or (tag == COUNTERS and n % 8):
            return None
        at += max(n, 0)
        found.append([tag, payload if tag != COUNTERS else array.array("Q", payload if n > 0 else bytes(-n))])
    return found


def add(total, more):
    for mine, its in zip(total, more, strict=True):
        if mine[0] == COUNTERS:
            mine[1] = array.array("Q", map(int.__add__, mine[1], its[1]))


def written(head, total):
    out = [head]
    for tag, payload in total:
        data = payload.tobytes() if tag == COUNTERS else payload
        out += [struct.pack("<Ii", tag, len(data)), data]
    return b"".join(out) + bytes(4)


def main():
    totals, heads, processes, broken = {}, {}, 0, 0
    for path in pathlib.Path(sys.argv[1]).iterdir():
        if path.stat().st_size == 0:
            continue  # its process had a limit on files
        processes += 1
        for name, data in dumps(path):
            found = records(data) if name.endswith(".gcda") and name.isprintable() else None
            broken += found is None
            if found is None or (name in totals and len(totals[name]) != len(found)):
                continue  # cut off
            if name in totals:
                add(totals[name], found)
            else:
                totals[name], heads[name] = found, data[:MAGIC_BYTES]
    for name, total in totals.items():
        pathlib.Path(name).write_bytes(written(heads[name], total))
    print(f"{processes} processes, {len(totals)} object files; {broken} dumps left out, as they are not whole")
    return 0 if totals else 1


if __name__ == "__main__":
    sys.exit(main())
