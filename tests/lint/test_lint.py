# SPDX-License-Identifier: Apache-2.0
"""What must not happen in the sources, checked; and for each check a sample that it finds."""

import os
import pathlib
import re
import subprocess

import pytest

from lint import rules
from lint.sources import ROOT, code_of, files, functions

BUILD = pathlib.Path(os.environ.get("MK_BUILD", ROOT / "build" / "test"))
PRODUCT = [f for f in files(".c", ".h") if not str(f).startswith(("tests/", "examples/"))]
ALL_C = files(".c", ".h")


def text_of(path):
    return (ROOT / path).read_text()


def all_of(rule, paths):
    return [c for f in paths for c in rule(f, text_of(f))]


def test_there_is_something_to_look_at():
    assert len(PRODUCT) > 60 and sum(len(functions(text_of(f))) for f in PRODUCT) > 300


def test_folders_use_only_what_the_layer_table_lets_them():
    assert all_of(rules.layer_complaints, PRODUCT) == []
    sample = '#include "agent/fetcher/driver.h"\n#include "mk/err.h"\n'
    assert len(rules.layer_complaints(pathlib.Path("agent/broker/x.c"), sample)) == 1
    assert rules.layer_complaints(pathlib.Path("agent/new/x.c"), "")  # a folder that the table does not know


def test_the_layer_table_is_the_one_in_the_documents():
    text = text_of(pathlib.Path("docs/architecture.md"))
    rows = dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", text, re.M))
    assert {folder: set(re.findall(r"`([^`]+)`", may)) for folder, may in rows.items()} == rules.LAYERS


def needed(exe):
    out = subprocess.run(["readelf", "-d", BUILD / exe], check=True, capture_output=True).stdout.decode()
    return re.findall(r"\(NEEDED\).*\[(.*)\]", out)


def test_executables_link_only_what_their_job_needs():
    assert [c for exe in rules.LINKED for c in rules.linked_complaints(exe, needed(exe))] == []
    assert rules.linked_complaints("libexec/makini/makini-broker", ["libcurl.so.4", "libc.so.6"])


def exported(library):
    out = subprocess.run(["nm", "-D", "--defined-only", BUILD / library], check=True, capture_output=True).stdout.decode()
    return set(re.findall(r" [TDBRVW] (\S+)", out))


def test_libmakini_exports_what_its_header_declares_and_nothing_else():
    declared = set(re.findall(r"^(?:int|void|const char \*)\s?\*?(makini_\w+)\(", text_of(pathlib.Path("include/makini/client.h")), re.M))
    assert len(declared) == 6
    assert exported("lib/libmakini.so") == {f"{name}@@MAKINI_1" for name in declared}
    dynamic = subprocess.run(["readelf", "-d", BUILD / "lib/libmakini.so"], check=True, capture_output=True).stdout.decode()
    assert "[libmakini.so.1]" in dynamic and "TEXTREL" not in dynamic


@pytest.mark.parametrize("compiler", [["gcc", "-std=c99"], ["gcc", "-std=c11"], ["clang-14", "-std=c11"], ["g++", "-std=c++11"], ["g++", "-std=c++20"],
                                      ["clang++-14", "-std=c++11"]], ids=" ".join)
def test_the_public_header_is_plain_c_and_plain_cpp(compiler, tmp_path):
    unit = tmp_path / ("unit.cc" if "++" in compiler[0] else "unit.c")
    command = [*compiler, "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror", "-fsyntax-only", f"-I{ROOT}/include", str(unit)]
    unit.write_text("#include <makini/client.h>\n#include <makini/client.h>\nint main(void) { makini_close(NULL); return MAKINI_EINVAL + 1; }\n")
    assert subprocess.run(command, capture_output=True).stderr.decode() == ""
    unit.write_text("#include <makini/client.h>\nint main(void) { return makini_get(0); }\n")
    assert subprocess.run(command, capture_output=True).returncode != 0


def test_no_executable_links_a_library_more_than_the_table_says():
    for exe, may in rules.LINKED.items():
        have = {re.sub(r"\.so.*", "", n) for n in needed(exe)}
        assert may <= have, f"{exe}: the table allows what is not linked: {may - have}"


def undefined(archive):
    out = subprocess.run(["nm", "-u", BUILD / "lib" / f"lib{archive}.a"], check=True, capture_output=True).stdout.decode()
    return set(re.findall(r"^\s+U (\S+)", out, re.M))


def test_our_objects_cannot_do_what_their_role_may_not():
    assert {f.stem.removeprefix("lib") for f in (BUILD / "lib").glob("*.a")} == set(rules.FORBIDDEN)
    for archive in rules.FORBIDDEN:
        assert undefined(archive), archive
    assert [c for a in rules.FORBIDDEN for c in rules.symbol_complaints(a, undefined(a))] == []
    assert rules.symbol_complaints("mkbroker", {"connect", "memcpy"}) == ["mkbroker uses connect"]


def test_banned_calls_are_not_used():
    assert all_of(rules.banned_complaints, PRODUCT) == []
    sample = "void f(void)\n{\n\tstrcpy(a, b);\n\tgetenv(\"X\");\n\texit(1);\n\tfork();\n\tchar *token = 0;\n\tprintf(\"\");\n}\n"
    assert len(rules.banned_complaints(pathlib.Path("agent/broker/x.c"), sample)) == 6
    assert rules.banned_complaints(pathlib.Path("agent/broker/x.c"), "/* strcpy(a, b) */ char *s = \"exit(1)\";\n") == []


def test_files_and_functions_stay_small():
    assert all_of(rules.size_complaints, PRODUCT) == []
    long = "int f(void)\n{\n" + "\tx();\n" * 70 + "}\n"
    assert rules.size_complaints(pathlib.Path("a.c"), long)
    forks = "int f(void)\n{\n" + "\tif (a && b)\n\t\tx();\n" * 9 + "}\n"
    assert rules.size_complaints(pathlib.Path("a.c"), forks)


def test_headers_stand_alone(tmp_path):
    def compiles(include):
        unit = tmp_path / "unit.c"
        unit.write_text(f'#include "{include}"\n#include "{include}"\ntypedef int mk_alone;\n')
        return subprocess.run(["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{ROOT}",
                               f"-I{ROOT}/include", unit], capture_output=True).returncode == 0
    assert [f for f in PRODUCT if f.suffix == ".h" and not compiles(str(f).removeprefix("include/"))] == []
    (tmp_path / "needy.h").write_text("size_t needs_a_header(void);\n")
    assert not compiles(tmp_path / "needy.h")


def test_every_source_names_its_licence():
    sources = [f for f in files() if f.suffix in (".c", ".h", ".py", ".cmake", ".def") or f.name == "CMakeLists.txt"
               or str(f).startswith("scripts/")]
    assert all_of(rules.spdx_complaints, [f for f in sources if f.name != "__init__.py"]) == []
    assert rules.spdx_complaints(pathlib.Path("a.c"), "int x;\n")


def test_nothing_names_a_place_of_some_machine():
    texts = [f for f in files(".c", ".h", ".py", ".md", ".cmake", ".txt", ".json", ".conf") if not str(f).startswith("tests/lint/")]
    assert all_of(rules.place_complaints, texts) == []
    assert rules.place_complaints(pathlib.Path("a"), "see /root/x")


def test_links_in_the_documents_lead_somewhere():
    def exists(path):
        return (ROOT / path).exists()
    assert [c for f in files(".md") for c in rules.link_complaints(f, text_of(f), exists)] == []
    assert rules.link_complaints(pathlib.Path("docs/a.md"), "[x](gone.md)", lambda p: False)


def test_the_message_table_in_the_documents_is_current():
    subprocess.run([ROOT / "scripts" / "gen-ipc-doc", "--check"], check=True)


def mandoc_says(page):
    return subprocess.run(["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True).stdout.decode()


def test_man_pages_are_sound(tmp_path):
    pages = [f for f in files() if str(f).startswith("docs/man/")]
    assert len(pages) >= 4
    for page in pages:
        assert mandoc_says(ROOT / page) == "", page
    (tmp_path / "bad.1").write_text(".Dd today\n.Sh NAME\n.Nn\n")
    assert mandoc_says(tmp_path / "bad.1")


def test_no_binary_and_no_real_credential_is_in_the_tree():
    looked_at = [f for f in files() if "corpus" not in f.parts]
    assert [c for f in looked_at for c in rules.data_complaints(f, (ROOT / f).read_bytes())] == []
    assert len(rules.data_complaints("a", b"\0 -----BEGIN EC PRIVATE " + b"KEY-----")) == 2


@pytest.mark.parametrize("script", sorted(str(f) for f in files() if str(f).startswith(("scripts/", ".ci/"))))
def test_scripts_parse(script):
    head = text_of(pathlib.Path(script)).split("\n")[0]
    if "python" in head:
        compile(text_of(pathlib.Path(script)), script, "exec")
    else:
        subprocess.run(["bash", "-n", ROOT / script], check=True)


def test_the_reader_of_sources_sees_functions_and_skips_comments():
    text = "int a(int x)\n{\n\treturn x; /* { */\n}\n\nstruct s\n{\n\tint x;\n}\n;\n"
    assert [f[0] for f in functions(text)] == ["a"]
    assert "secret" not in code_of('/* secret */ "secret" // secret\n')
