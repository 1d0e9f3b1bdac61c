#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tokens from the Makini Agent in Python, with libmakini by ctypes.

  libmakini.py get NAME     prints the token
  libmakini.py watch NAME   a line for the token, and for each one that replaces it, until it is dead

Exit codes: 1 failed, 2 usage, 3 denied, 4 not found, 5 revoked, expired or disabled, 6 unavailable."""

import ctypes
import os
import select
import sys

TOKEN_MAX, NAME_MAX = 16384, 63
DENIED, NOT_FOUND, DEAD = -10, -11, (-12, -13, -14)
UNAVAILABLE = (-6, -7, -15, -16, -17, -18)


class Info(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("version", ctypes.c_char * 65), ("token_type", ctypes.c_char * 32), ("expires_ms", ctypes.c_int64),
                ("age_s", ctypes.c_uint32), ("retry_after_s", ctypes.c_uint32), ("stale", ctypes.c_int), ("repeated", ctypes.c_int)]


lib = ctypes.CDLL(os.environ.get("LIBMAKINI", "libmakini.so.1"))
lib.makini_open.argtypes = [ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p)]
lib.makini_get.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.POINTER(Info)]
lib.makini_watch_fd.argtypes = [ctypes.c_void_p]
lib.makini_watch_next.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
lib.makini_close.argtypes = [ctypes.c_void_p]
lib.makini_close.restype = None
lib.makini_strerror.restype = ctypes.c_char_p


class Failure(Exception):
    def __init__(self, what, error):
        super().__init__(f"{what}: {lib.makini_strerror(error).decode()}")
        self.error = error

    def exit_code(self):
        if self.error in UNAVAILABLE:
            return 6
        return {DENIED: 3, NOT_FOUND: 4}.get(self.error, 5 if self.error in DEAD else 1)


class Agent:
    """ctypes lets other threads run while a get waits."""

    def __init__(self):
        self.handle = ctypes.c_void_p()
        self.check("agent", lib.makini_open(None, ctypes.byref(self.handle)))

    @staticmethod
    def check(what, error):
        if error < 0:
            raise Failure(what, error)
        return error

    def get(self, name):
        """(token, Info). Python cannot wipe a string of its own; drop it soon."""
        buffer, info = ctypes.create_string_buffer(TOKEN_MAX + 1), Info()
        self.check(name, lib.makini_get(self.handle, name.encode(), buffer, len(buffer), ctypes.byref(info)))
        token = buffer.raw[:info.size].decode()
        ctypes.memset(buffer, 0, len(buffer))
        return token, info

    def changed(self, timeout=None):
        """Waits; the names of tokens that changed."""
        select.select([self.check("watch", lib.makini_watch_fd(self.handle))], [], [], timeout)
        name = ctypes.create_string_buffer(NAME_MAX + 1)
        while (more := lib.makini_watch_next(self.handle, name)) == 1:
            yield name.value.decode()
        if more < 0:  # the library connects again by itself
            print(lib.makini_strerror(more).decode(), file=sys.stderr)

    def close(self):
        lib.makini_close(self.handle)


def use(agent, name):
    try:
        token, _ = agent.get(name)
    except Failure as f:
        print(f, file=sys.stderr)
        return f.exit_code()
    print(f"{name}: token of {len(token)} bytes", flush=True)
    return 0


def watch(agent, name):
    last = use(agent, name)
    while last != 5:
        for changed in agent.changed(1.0 if last == 6 else None):  # of all names that this handle was asked for
            last = use(agent, changed)
        if last == 6:  # it may get better by itself
            last = use(agent, name)
    return last


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("get", "watch"):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        agent = Agent()
        if sys.argv[1] == "watch":
            return watch(agent, sys.argv[2])
        print(agent.get(sys.argv[2])[0], end="")
        return 0
    except Failure as f:
        print(f, file=sys.stderr)
        return f.exit_code()


if __name__ == "__main__":
    sys.exit(main())
