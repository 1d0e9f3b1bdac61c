# SPDX-License-Identifier: Apache-2.0
"""A service that uses libmakini: a process of its own uid with one handle, told by this one what to call. Times
are seconds of CLOCK_BOOTTIME, taken beside the call."""

import json
import os
import signal
import subprocess
import time

from .instance import BILLING, BUILD, demote

EAGENT, ETIMEOUT, EPROTOCOL, EDENIED, ENOTFOUND, EREVOKED, EEXPIRED, ENOTREADY, EFROZEN = -6, -7, -8, -10, -11, -12, -13, -17, -18

SERVICE = r"""
import ctypes, json, os, select, sys, time

class Info(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("version", ctypes.c_char * 65), ("token_type", ctypes.c_char * 32), ("expires_ms", ctypes.c_int64),
                ("age_s", ctypes.c_uint32), ("retry_after_s", ctypes.c_uint32), ("stale", ctypes.c_int), ("repeated", ctypes.c_int)]

class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("socket", ctypes.c_char_p), ("timeout_ms", ctypes.c_int), ("allow_unlocked", ctypes.c_int)]

lib, path, timeout_ms = ctypes.CDLL(sys.argv[1]), sys.argv[2].encode(), int(sys.argv[3])
for f, args in (("open", [ctypes.POINTER(Options), ctypes.POINTER(ctypes.c_void_p)]), ("watch_fd", [ctypes.c_void_p]),
                ("get", [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.POINTER(Info)]),
                ("watch_next", [ctypes.c_void_p, ctypes.c_char_p]), ("close", [ctypes.c_void_p])):
    getattr(lib, "makini_" + f).argtypes = args
handle, buffer, info = ctypes.c_void_p(), ctypes.create_string_buffer(16385), Info()

def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)

def get(name):
    began = now()
    rc = lib.makini_get(handle, name.encode(), buffer, len(buffer), ctypes.byref(info))
    return {"rc": rc, "began": began, "ended": now(), "token": buffer.raw[:info.size].decode() if rc == 0 else None, "repeated": info.repeated,
            "version": info.version.decode(), "size": info.size, "stale": info.stale}

def get_until(name, token, seconds, also_asked=False):
    "Over and over, until it is another answer than that token by heart, or the time is over; the last that was, and the first that was not."
    # also_asked: by heart or not, as it is asked of the agent where the page was not renewed in time
    last, end = None, now() + seconds
    while True:
        answer = get(name)
        if answer["token"] != token or not (answer["repeated"] or also_asked) or now() > end:
            return {"last": last, "first": answer}
        last = answer

def watch(seconds):
    "What watch_next says until it says nothing more, after waiting for the descriptor."
    name, said = ctypes.create_string_buffer(64), []
    select.select([lib.makini_watch_fd(handle)], [], [], seconds)
    while True:
        rc = lib.makini_watch_next(handle, name)
        said.append(name.value.decode() if rc == 1 else rc)
        if rc != 1:
            return said

def attack(n):
    "All that a process can try on the page it was given: through its mapping and through what /proc shows of it."
    page = next(line.split() for line in open("/proc/self/maps") if "memfd:" in line and "makini" in line)
    start, end = (int(x, 16) for x in page[0].split("-"))
    libc, tried = ctypes.CDLL(None, use_errno=True), {}
    libc.mremap.restype = libc.mmap.restype = ctypes.c_void_p
    def call(what, result, bad=-1):
        tried[what] = "done" if result not in (bad, 2**64 - 1) else os.strerror(ctypes.get_errno())
    where = ctypes.c_void_p(start)
    call("mprotect", libc.mprotect(where, ctypes.c_size_t(end - start), 3))
    for mode, flags in (("read-write", os.O_RDWR), ("write", os.O_WRONLY), ("truncate", os.O_RDWR | os.O_TRUNC)):
        try:
            fd = os.open("/proc/self/map_files/" + page[0], flags)
            os.write(fd, b"x")
            tried["open " + mode] = "done"
        except OSError as e:
            tried["open " + mode] = e.strerror
    pid = os.fork()
    if pid == 0:
        ctypes.memset(where, 0xff, 8)
        os._exit(0)
    tried["scribble"] = os.waitpid(pid, 0)[1]
    pid = os.fork()
    if pid == 0:
        libc.munmap(where, ctypes.c_size_t(end - start))
        os._exit(0)
    tried["unmap in a child"] = os.waitpid(pid, 0)[1]
    return tried

def reopen():
    global handle
    if handle:
        lib.makini_close(handle)
    handle = ctypes.c_void_p()
    options = Options(ctypes.sizeof(Options), path, timeout_ms, 0)
    return lib.makini_open(ctypes.byref(options), ctypes.byref(handle))

print(json.dumps(reopen()), flush=True)
for line in sys.stdin:
    what, *args = json.loads(line)
    print(json.dumps(globals()[what](*args)), flush=True)
"""


def boot():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Library:
    def __init__(self, instance, uid=BILLING, sock="api", timeout_ms=30000, opens=0):
        self.process = subprocess.Popen(["/usr/bin/python3", "-c", SERVICE, str(BUILD / "lib" / "libmakini.so.1"), str(instance.sock(sock)), str(timeout_ms)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=demote(uid), env={"PATH": "/usr/bin:/bin"})
        self.opened = self.answer()
        assert self.opened == opens, self.opened

    def begin(self, *command):
        """Without waiting for its answer()."""
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def call(self, *command):
        self.begin(*command)
        return self.answer()

    def get(self, name):
        return self.call("get", name)

    def token(self, name, repeated=None):
        """One that must come, and from where it came. By heart it comes unless the page was not renewed in time just then."""
        answer = self.get(name)
        for _ in range(5 if repeated else 0):
            if answer["rc"] == 0 and not answer["repeated"]:
                answer = self.get(name)
        assert answer["rc"] == 0 and repeated in (None, bool(answer["repeated"])), answer
        return answer["token"]

    def close(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.communicate()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
