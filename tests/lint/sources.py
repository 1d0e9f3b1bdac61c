# SPDX-License-Identifier: Apache-2.0
"""What the lints look at: the project's files, C text without comments and strings, functions."""

import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def files(*suffixes, root=ROOT):
    """Tracked files and new ones that git does not ignore."""
    names = subprocess.run(["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root, check=True,
                           capture_output=True).stdout.decode().split("\0")
    found = [pathlib.Path(n) for n in names if n and (root / n).is_file()]
    return sorted(f for f in found if not suffixes or f.suffix in suffixes)


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def code_of(text):
    """C text with comments blanked and literals emptied; lines stay where they are."""
    def blank(m):
        s = m.group(0)
        if s[0] in "\"'":
            return s[0] + s[-1]
        return re.sub(r"[^\n]", " ", s)
    return TOKEN.sub(blank, text)


FUNCTION_HEAD = re.compile(r"^[A-Za-z_][^;{}=]*\)\s*(?:__attribute__\(\([^)]*\)+\)\s*)?$", re.S)


def functions(text):
    """(name, first line, lines, body) of each function in C text; braces in column 0 delimit bodies."""
    lines = code_of(text).split("\n")
    found, start = [], None
    for i, line in enumerate(lines):
        if line.startswith("{") and start is None:
            start = i
        elif line.startswith("}") and start is not None:
            head, at = "", start - 1
            while at >= 0 and lines[at].strip() and not lines[at].startswith(("}", "#")):
                head = lines[at] + "\n" + head
                at -= 1
            if FUNCTION_HEAD.match(head.strip()):
                name = re.search(r"(\w+)\s*\(", head)
                found.append((name.group(1) if name else "?", start + 1, i - start - 1, "\n".join(lines[start:i + 1])))
            start = None
    return found


def complexity(body):
    """One, and one for each place where the flow forks (McCabe, as pmccabe counts)."""
    return 1 + len(re.findall(r"\b(?:if|for|while|case)\b|&&|\|\||\?", body))
