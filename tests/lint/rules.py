# SPDX-License-Identifier: Apache-2.0
"""The lints. Each takes what it checks as arguments and returns a list of complaints, so
that the tests can show it a violation and see it found."""

import re

from lint.sources import code_of, complexity, functions

# docs/architecture.md, "Who may use whom". A folder may always use itself.
LAYERS = {
    "include/mk": {"include/mk"},
    "agent/base": {"include/mk"},
    "agent/base/lock": {"include/mk", "agent/base"},
    "agent/base/alloc": {"include/mk"},
    "agent/ipc": {"include/mk", "agent/base"},
    "agent/audit": {"include/mk", "agent/base"},
    "agent/token": {"include/mk", "agent/base"},
    "policy": {"include/mk", "agent/base"},
    "backends": {"include/mk", "agent/base"},
    "agent/conf": {"include/mk", "agent/base", "agent/base/lock", "policy"},
    "agent/supervisor": {"include/mk", "agent/base", "agent/base/lock", "agent/ipc", "agent/conf", "policy"},
    "agent/broker": {"include/mk", "agent/base", "agent/base/lock", "agent/ipc", "policy", "agent/audit", "agent/token",
                     "include/makini/wire.h", "include/makini/client.h"},
    "agent/fetcher": {"include/mk", "agent/base", "agent/base/lock", "agent/ipc", "backends", "agent/token"},
    "agent/reporter": {"include/mk", "agent/base", "agent/base/lock", "agent/ipc"},
    "include/makini": set(),
    "client": {"include/makini"},
    "ctl": {"include/mk", "agent/base", "agent/conf", "policy", "agent/audit", "backends/local_file.h", "backends/flatten.h"},
}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def layer_complaints(path, text):
    """path: from the tree's root; quoted includes are written from the root, or mk/… and makini/… under include/."""
    folder = str(path.parent)
    if folder not in LAYERS:
        return [f"{path}: {folder} stands in no row of the layer table"]
    bad = []
    for target in INCLUDE.findall(text):
        target = "include/" + target if target.startswith(("mk/", "makini/")) else target
        home = target.rsplit("/", 1)[0] if "/" in target else ""
        if home != folder and home not in LAYERS[folder] and target not in LAYERS[folder]:
            bad.append(f"{path}: {folder} may not include {target}")
    return bad


# What each executable may name as NEEDED, apart from libc, ld.so and the vdso.
LINKED = {
    "bin/makini-agent": {"libsodium", "libseccomp", "libconfig"},
    "libexec/makini/makini-broker": {"libsodium", "libseccomp", "libmicrohttpd", "libsqlite3", "libjansson", "libhogweed", "libgmp"},
    "libexec/makini/makini-fetcher": {"libsodium", "libseccomp", "libjansson", "libcurl", "libcrypto"},
    "libexec/makini/makini-reporter": {"libsodium", "libseccomp", "libmicrohttpd"},
    "bin/makinictl": {"libsodium", "libconfig", "libjansson", "libcurl"},
    "lib/libmakini.so": set(),
}


def linked_complaints(exe, needed):
    """needed: sonames from readelf -d."""
    names = {re.sub(r"\.so.*", "", n) for n in needed} - {"libc", "ld-linux-x86-64", "ld-linux-aarch64", "libm"}
    return [f"{exe} links {n}, which its process has no business with" for n in sorted(names - LINKED[exe])]


NETWORK = {"socket", "connect", "bind", "listen", "getaddrinfo", "gethostbyname", "sendto"}
PROCESS = {"fork", "vfork", "execve", "execveat", "fexecve", "execv", "execvp", "execl", "execlp", "execle", "posix_spawn",
           "posix_spawnp", "system", "popen", "ptrace", "process_vm_readv"}
NOBODY = {"dlopen", "dlsym", "system", "popen", "execvp", "execlp", "getaddrinfo_a", "io_uring_setup"}

# Undefined symbols that our own objects of a role may not have.
FORBIDDEN = {
    "mkbroker": NETWORK | PROCESS | NOBODY | {"accept"},  # credential.c accepts, on a listener that was handed over
    "mkfetcher": PROCESS | NOBODY | {"listen", "accept", "accept4", "bind", "socketpair"},
    "mkreporter": NETWORK | PROCESS | NOBODY | {"open", "openat", "fopen"},
    "mksupervisor": NOBODY | {"recvfrom", "accept", "accept4", "getaddrinfo"},  # it connects to NOTIFY_SOCKET
    "mkaudit": NETWORK | PROCESS | NOBODY,
    "mktoken": NETWORK | PROCESS | NOBODY | {"open", "openat", "fopen", "time", "clock_gettime", "write"},
    "mkpolicy": NETWORK | PROCESS | NOBODY | {"open", "openat", "fopen", "time", "clock_gettime", "write"},
    "mkbackends": NETWORK | PROCESS | NOBODY | {"time", "clock_gettime"},
    "mkipc": NETWORK | PROCESS | NOBODY,
    "mklock": NETWORK | PROCESS | NOBODY,
    "mkbase": PROCESS | NOBODY | {"socket", "connect", "bind", "listen"},
    "mkconf": NETWORK | PROCESS | NOBODY,
    "mkclient": (NETWORK - {"socket", "connect"}) | PROCESS | NOBODY | {"open", "openat", "fopen", "write", "sigaction", "exit", "abort",
                                                                        "pthread_create", "printf", "strtol"},
    "mkctl": (PROCESS - {"posix_spawn", "vfork", "execve"}) | NOBODY | {"listen", "accept"},  # MAY_SPAWN and MAY_FORK say where
}


def symbol_complaints(archive, undefined):
    plain = {s.split("@")[0] for s in undefined}
    return [f"{archive} uses {s}" for s in sorted(plain & FORBIDDEN[archive])]


BANNED = re.compile(r"(?<![\w.>])(strcpy|strcat|sprintf|vsprintf|strtok|strtok_r|atoi|atol|atoll|strtol|strtoul|strtoll|strtoull|"
                    r"gets|system|popen|alloca|signal|dlopen|mktemp|tmpnam|rand|srand|bcopy|bzero)\s*\(")
PROCESS_ONLY = re.compile(r"(?<![\w.>])(printf|fprintf|puts|fputs|putchar|perror)\s*\(")
EXIT = re.compile(r"(?<![\w.>])(exit|_exit|abort|quick_exit)\s*\(")
FORK = re.compile(r"(?<![\w.>])(fork|vfork|clone|clone3|pthread_create)\s*\(")
SPAWN = re.compile(r"(?<![\w.>])(posix_spawnp?)\s*\(")
GETENV = re.compile(r"(?<![\w.>])(getenv|secure_getenv|setenv|putenv)\s*\(")
SIGACTION = re.compile(r"(?<![\w.>])(sigaction|sigsetjmp)\s*\(")
TOKEN_CHAR = re.compile(r"\bchar\s*\*+\s*(?:const\s+)?(\w*(?:token|secret|password|passphrase)\w*)\b(?!_file)", re.I)

# Where the exception is the rule, with its reason.
MAY_EXIT = {"agent/base/err.c", "ctl/run_child.c"}    # mk_assert_fail; a vforked child
MAY_FORK = {"agent/audit/sync.c",                     # the one helper thread; the supervisor's spawn is a folder rule
            "ctl/run_child.c"}                        # makinictl run: vfork, so that a token goes from locked memory into the new program
MAY_ENV = {"ctl/socket.c", "client/client.c",         # MAKINI_AGENT_SOCKET
           "ctl/run_child.c"}                         # PATH
MAY_SIGACTION = {"agent/base/loop.c", "ctl/main.c",    # where the end of children is ignored none can be waited for
                 "ctl/render.c"}                       # reads what is ignored (nohup)
MAY_SPAWN = {"ctl/watch_run.c"}                       # makinictl watch --exec: /bin/sh, for the command that its user gave
NAMES_NOT_VALUES = {"token_type", "secret_name", "passphrase_file", "next_token"}


def where(code, match):
    return code.count("\n", 0, match.start()) + 1


def banned_complaints(path, text):
    code, p, bad = code_of(text), str(path), []

    def complain(pattern, why):
        bad.extend(f"{p}:{where(code, m)}: {m.group(1)}: {why}" for m in pattern.finditer(code))

    complain(BANNED, "banned (CONTRIBUTING.md says what to use)")
    if not p.startswith("ctl/"):
        complain(PROCESS_ONLY, "processes log; they do not print")
    if not p.endswith("/main.c") and p not in MAY_EXIT and not p.startswith("agent/supervisor/spawn"):
        complain(EXIT, "only main and mk_assert end a process")
    if p not in MAY_FORK and not p.startswith("agent/supervisor/spawn"):
        complain(FORK, "only the supervisor's spawn forks; only the audit log's sync is a thread")
    if p not in MAY_SPAWN and not p.startswith("agent/supervisor/spawn"):
        complain(SPAWN, "only makinictl watch --exec starts a program")
    if p not in MAY_ENV and not p.startswith("agent/supervisor/"):
        complain(GETENV, "processes take no environment")
    if p not in MAY_SIGACTION and not p.startswith("agent/supervisor/spawn"):
        complain(SIGACTION, "signals come by signalfd")
    bad.extend(f"{p}:{where(code, m)}: {m.group(1)}: a secret has one type, struct mk_secret" for m in TOKEN_CHAR.finditer(code)
               if m.group(1) not in NAMES_NOT_VALUES)
    return bad


FILE_MAX, HEADER_MAX, FUNCTION_MAX, COMPLEXITY_MAX = 400, 160, 60, 15


def size_complaints(path, text):
    bad, lines = [], text.count("\n")
    limit = HEADER_MAX if path.suffix == ".h" else FILE_MAX
    if lines > limit:
        bad.append(f"{path}: {lines} lines, at most {limit}")
    for name, line, length, body in functions(text):
        if length > FUNCTION_MAX:
            bad.append(f"{path}:{line}: {name}: {length} lines, at most {FUNCTION_MAX}")
        if complexity(body) > COMPLEXITY_MAX:
            bad.append(f"{path}:{line}: {name}: complexity {complexity(body)}, at most {COMPLEXITY_MAX}")
    return bad


def spdx_complaints(path, text):
    head = "\n".join(text.split("\n")[:3])
    return [] if "SPDX-License-Identifier: Apache-2.0" in head else [f"{path}: no SPDX line at its head"]


KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|AKIA[0-9A-Z]{16}|hvs\.[A-Za-z0-9]{24}")


def data_complaints(path, data):
    return ([f"{path} is binary"] if b"\0" in data else []) + ([f"{path} holds a credential"] if KEY.search(data) else [])


PLACES = re.compile(r"/home/\w|/root/|\b(?:pypi|crates|npmjs|debian|proxy\.golang)\.(?:org|io|com)\b")


def place_complaints(path, text):
    return [f"{path}:{text.count(chr(10), 0, m.start()) + 1}: names a place of some machine: {m.group(0)}" for m in PLACES.finditer(text)]


LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")


def link_complaints(path, text, exists):
    """exists(path from the tree's root) -> bool"""
    bad = []
    for target in LINK.findall(text):
        parts = []
        for part in (str(path.parent) + "/" + target).split("/"):
            if part == "..":
                parts.pop()
            elif part not in ("", "."):
                parts.append(part)
        if not exists("/".join(parts)):
            bad.append(f"{path}: links to {target}, which is not there")
    return bad
