# SPDX-License-Identifier: Apache-2.0
"""docs/threats.md names tests that exist, and leaves out no threat of the list."""

import pathlib
import re

from lint.sources import ROOT, files

PAGE = pathlib.Path("docs/threats.md")
LAST = 53  # the list has so many
COLUMNS = ("number", "threat", "held back by", "tests", "what remains")


def rows(text):
    """Each threat's cells, by its number."""
    found = {}
    for line in text.splitlines():
        cells = [c.strip() for c in line.strip().strip("|").split(" | ")]
        if line.startswith("| ") and re.fullmatch(r"\d+", cells[0]):
            assert cells[0] not in found, f"{cells[0]} stands there twice"
            found[cells[0]] = cells
    return found


def named(cell):
    return re.findall(r"`([^`]+)`", cell)


def existing():
    """Names of tests: functions of Python, claims of the unit tests that are in their lists."""
    names = set()
    for f in files(".py"):
        if str(f).startswith("tests/"):
            names |= set(re.findall(r"^def (test_\w+)\(", (ROOT / f).read_text(), re.M))
    for f in files(".c"):
        if str(f).startswith("tests/unit/test_"):
            text = (ROOT / f).read_text()
            claims = re.findall(r"^static void ([a-z0-9_]+)\(void \*\*\w+\)", text, re.M)
            names |= {c for c in claims if len(re.findall(rf"\b{c}\b", text)) > 1}
    return names


def complaints(text, tests):
    found = rows(text)
    said = [f"{n} is missing" for n in range(1, LAST + 1) if str(n) not in found]
    for number, cells in found.items():
        if len(cells) != len(COLUMNS) or not all(cells):
            said.append(f"{number}: {len(cells)} cells, or an empty one")
            continue
        names = named(cells[3])
        said += [f"{number} names no test"] if not names and not cells[3].startswith("out of scope: ") else []
        said += [f"{number}: no such test: {n}" for n in names if n not in tests and not ("/" in n and (ROOT / n).exists())]
    return said


def test_each_threat_of_the_list_is_there_with_tests_that_exist():
    assert complaints((ROOT / PAGE).read_text(), existing()) == []


def test_the_check_sees_a_gap_a_test_that_is_none_and_a_row_without_one():
    text = (ROOT / PAGE).read_text()
    tests = existing()
    assert len(tests) > 600
    assert complaints(re.sub(r"^\| 17 .*\n", "", text, flags=re.M), tests) == ["17 is missing"]
    row = "| 17 | a | b | {} | d |"
    for cell, what in (("`test_that_is_none_at_all`", "no such test"), ("soon", "names no test"), ("`tests/wrong/none`", "no such test")):
        said = complaints(re.sub(r"^\| 17 .*$", row.format(cell), text, flags=re.M), tests)
        assert len(said) == 1 and what in said[0]
    assert complaints(re.sub(r"^\| 17 .*$", row.format("out of scope: because"), text, flags=re.M), tests) == []


def test_the_tests_made_for_the_page_stand_on_it():
    """Nobody looks for a threat that is tried and not listed; controls need not be."""
    page = set(named((ROOT / PAGE).read_text()))
    made = {n: f for f in files(".py") if str(f).startswith("tests/attack/") for n in re.findall(r"^def (test_\w+)\(", (ROOT / f).read_text(), re.M)}
    left_out = {n for n in made if n not in page}
    assert len(left_out) < len(made) / 2, sorted(left_out)
