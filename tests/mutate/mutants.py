# SPDX-License-Identifier: Apache-2.0
"""Mutants of a C file: one small wrong change each, such as a check that is gone. Works on
the text, with comments, strings and preprocessor lines blanked out; a mutant that does not
compile is nobody's fault and is not counted."""

import collections
import re

Mutant = collections.namedtuple("Mutant", "file line kind before after text")  # text: the whole mutated file

COMPARISONS = {"==": ["!="], "!=": ["=="], "<": ["<=", ">="], "<=": ["<", ">"], ">": [">=", "<="], ">=": [">", "<"]}
SWAPS = {"&&": "||", "||": "&&", "MK_ALLOW": "MK_DENY", "MK_DENY": "MK_ALLOW", "true": "false", "false": "true"}
HIDDEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|^[ \t]*#(?:\\\n|[^\n])*', re.S | re.M)
HEAD = re.compile(r"^(?!typedef|#)([a-z][\w *]*?)\b(\w+)\([^;{}]*\)\n\{", re.M)


def masked(text):
    """The text with what is not code as blanks, of the same length."""
    return HIDDEN.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)


def closing(code, at):
    """The index of the bracket that closes the one at `at`."""
    depth = 0
    for i in range(at, len(code)):
        depth += (code[i] == "(") - (code[i] == ")")
        if depth == 0:
            return i
    raise ValueError("a bracket is never closed")


def functions(text):
    """(start, end, type, name) of each function's body."""
    code = masked(text)
    for m in HEAD.finditer(code):
        yield m.end() - 1, code.index("\n}", m.end()), m[1].strip(), m[2]


def _operators(code):
    for m in re.finditer(r"(?<![<>=!\-&|])(==|!=|<=|>=|<|>)(?![<>=])", code):
        for other in COMPARISONS[m[1]]:
            yield "comparison", m.start(), m.end(), other
    for m in re.finditer(r"&&|\|\||\b(?:MK_ALLOW|MK_DENY|true|false)\b", code):
        yield "swap", m.start(), m.end(), SWAPS[m[0]]
    for m in re.finditer(r" ([&|+\-]) ", code):
        yield "operator", m.start(1), m.end(1), {"&": "|", "|": "&", "+": "-", "-": "+"}[m[1]]
    for m in re.finditer(r"(?<![\w.])!(?=[\w(*])", code):
        yield "negation", m.start(), m.end(), ""
    rooms = [(m.end(), closing(code, m.end() - 1)) for m in re.finditer(r"\b(?:calloc|malloc|reallocarray)\(", code)]
    rooms += [m.span() for m in re.finditer(r"(?<=\n)\t+(?:char|uint\d+_t) [^;=]*", code)]
    for m in re.finditer(r"(?<![\w.])\d+(?=u?\b)", code):
        if any(a <= m.start() < b for a, b in rooms):
            continue  # more room than is needed is no fault, nor where it is declared
        if code[max(0, m.start() - 2):m.start()] != "{ ":  # { 0 } is no number
            yield "constant", m.start(), m.end(), str(int(m[0]) + 1)


def _checks(code):
    for m in re.finditer(r"\bif \(", code):
        end = closing(code, m.end() - 1)
        yield "check dropped", m.end(), end, "0 && ({})"
    for m in re.finditer(r"\bMK_TRY\(", code):
        end = closing(code, m.end() - 1)
        yield "check dropped", m.start(), end + 1, lambda s: "do { if (" + s[7:-1] + ") { } } while (0)"


def _returns(code, kind):
    for m in re.finditer(r"\breturn ([^;]+);", code):
        value = m[1]
        if kind == "bool" and value not in ("true", "false"):
            yield "return", m.start(1), m.end(1), "!({})"
        elif re.fullmatch(r"MK_TOKEN_[A-Z_]+", value) and value != "MK_TOKEN_GOOD":
            yield "return", m.start(1), m.end(1), "MK_TOKEN_GOOD"
        elif re.fullmatch(r"MK_[A-Z_]+", value) and value not in ("MK_OK", "MK_NO_MEMORY") and ("must" in kind or "enum mk_err" in kind):
            yield "return", m.start(1), m.end(1), "MK_OK"
        elif value.startswith("mk_why"):
            yield "return", m.start(1), m.end(1), "((void)({}), MK_OK)"


def _shown(text, start, end):
    """The whole lines from start to end, on one line."""
    first, last = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    return " ".join(text[first:last].split())


def mutants(file, text):
    """All mutants of a file's text."""
    code, seen = masked(text), set()
    for start, end, kind, _ in functions(text):
        body = code[start:end]
        for what, a, b, to in [*_operators(body), *_checks(body), *_returns(body, kind)]:
            a, b = a + start, b + start
            new = to(text[a:b]) if callable(to) else to.format(text[a:b]) if "{}" in to else to
            changed = text[:a] + new + text[b:]
            if changed in seen:
                continue
            seen.add(changed)
            yield Mutant(file, text.count("\n", 0, a) + 1, what, _shown(text, a, b), _shown(changed, a, a + len(new)), changed)
