# SPDX-License-Identifier: Apache-2.0
"""makinictl policy explain, test and diff: from the files, without an agent."""

import json
import subprocess

import pytest

from lib.instance import BUILD

CTL = str(BUILD / "bin" / "makinictl")
DONE, FAILED, USAGE = 0, 1, 2

POLICY = """environment = "production";
services = (
  { name = "billing"; identity = { uid = 2001; unit = "billing.service"; }; },
  { name = "sync"; identity = { uid = 2002; }; } );
groups = ( { name = "readers"; services = [ "billing", "sync" ]; } );
rules = (
  { allow = "billing"; actions = [ "get" ]; connections = [ "acme-*" ]; rate = "100/s"; },
  { allow = "readers"; actions = [ "get" ]; tags = { system = "sap"; }; fields = [ "base_url" ]; },
  { deny = "readers"; connections = [ "acme-payroll" ]; },
  { deny = "sync"; tags = { zone = "eu"; }; } );
"""


def ctl(*args, stdin=b""):
    return subprocess.run([CTL, "policy", *map(str, args)], input=stdin, capture_output=True, timeout=30)


@pytest.fixture
def files(tmp_path):
    tmp_path.chmod(0o755)

    def write(name, text):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o644)
        return path
    return write


def explained(files, *args):
    done = ctl("explain", "--policy", files("policy.conf", POLICY), *args)
    assert done.returncode == DONE, done.stderr
    return done.stdout.decode()


def test_explain_names_the_rule_by_file_and_line(files):
    text = explained(files, "--as", "billing", "--get", "acme-sap")
    assert text.startswith("allow: billing get acme-sap\n") and "policy.conf:7: allow = \"billing\"" in text
    assert "rate: 100 a second\n" in text and "to allow it" not in text


def test_explain_of_a_denial_says_what_would_have_to_change(files):
    text = explained(files, "--as", "billing", "--get", "acme-payroll")
    assert text.startswith("deny: ") and "policy.conf:9: deny = \"readers\"" in text
    assert "narrow or remove the deny for \"readers\"" in text and "add a rule" not in text
    text = explained(files, "--as", "billing", "--action", "watch", "--connection", "globex")
    assert "by no rule" in text and '{ allow = "billing"; actions = [ "watch" ]; connections = [ "globex" ]; }' in text
    text = explained(files, "--as", "billing", "--action", "status")
    assert "status (the instance)" in text and 'connections = [ "*" ]' in text


def test_explain_supposes_tags(files):
    text = explained(files, "--as", "sync", "--get", "erp")
    assert text.startswith("deny: ") and "its tags could change that" in text and "tag it system=sap" in text
    assert '(it denies while the tag "zone" is not known: give it one other than "eu")' in text
    text = explained(files, "--as", "sync", "--get", "erp", "--tag", "system=sap", "--tag=zone=us")
    assert text.startswith("allow: ") and "fields: base_url, so without access_token: no token\n" in text
    assert explained(files, "--as", "sync", "--get", "erp", "--tag", "system=sap").startswith("deny: ")


def test_explain_for_programs(files):
    a = json.loads(explained(files, "--as", "sync", "--get", "erp", "--tag", "system=sap", "--tag", "zone=us", "--json"))
    assert (a["decision"], a["rule"]["line"], a["rule"]["allow"], a["fields"]) == ("allow", 8, "readers", ["base_url"])
    a = json.loads(explained(files, "--as", "sync", "--get", "acme-payroll", "--json"))
    assert (a["decision"], a["denied_by"], a["tags_known"]) == ("deny", [9, 10], False) and "narrow" in a["remedy"]


@pytest.mark.parametrize("args,says", [
    ([], b"--as"), (["--as", "billing"], b"--get"), (["--as", "billing", "--get", "a", "--action", "get"], b"--get"),
    (["--as", "billing", "--get", "a", "--connection", "b"], b"--get"), (["--as", "billing", "--get", "A"], b"not a connection"),
    (["--as", "billing", "--action", "gett"], b"no such action"), (["--as", "biling", "--get", "a"], b"did you mean billing"),
    (["--as", "readers", "--get", "a"], b"readers is a group in"),
    (["--as", "billing", "--get", "a", "--tag", "x"], b"KEY=VALUE"), (["--as", "billing", "--get", "a", "--tag"], b"KEY=VALUE"),
    (["--as", "billing", "--get", "a", "--config", "x"], b"one of"), (["--as", "billing", "--get", "a", "word"], b"too many words")])
def test_explain_of_nothing_that_makes_sense_is_usage(files, args, says):
    done = ctl("explain", "--policy", files("policy.conf", POLICY), *args)
    assert done.returncode == USAGE and done.stdout == b"" and says in done.stderr


def test_which_policy_has_to_be_said_where_there_is_no_instance():
    done = ctl("explain", "--as", "x", "--get", "y")
    assert done.returncode == USAGE and b"--policy FILE" in done.stderr


CASES = """policy = "policy.conf";
cases = (
  { as = "billing"; get = "acme-sap"; expect = "allow"; line = 7; },
  { as = "billing"; get = "acme-payroll"; expect = "deny"; },
  { as = "sync"; get = "erp"; tags = { system = "sap"; zone = "us"; }; expect = "allow"; },
  { as = "sync"; get = "erp"; expect = "deny"; },
  { as = "stranger"; get = "acme-sap"; expect = "deny"; },
  { as = "billing"; action = "status"; expect = "deny"; } );
"""


def test_cases_that_come_out_as_expected(files):
    files("policy.conf", POLICY)
    done = ctl("test", files("cases.conf", CASES))
    assert done.returncode == DONE and b"6 cases, 6 as expected, 0 not" in done.stdout
    assert done.stderr.decode().endswith('cases.conf:7: note: "stranger" is no service of this policy, and so nobody\n')
    assert done.stderr.count(b"note:") == 1
    done = ctl("test", files("cases.conf", CASES.replace('"stranger"', '"biling"')))
    assert done.returncode == DONE and b"did you mean billing?" in done.stderr


@pytest.mark.parametrize("edit,says", [
    (('acme-payroll"; expect = "deny"', 'acme-payroll"; expect = "allow"'), "cases.conf:4: billing get acme-payroll: expected allow, got deny by "),
    (("line = 7", "line = 8"), "cases.conf:3: billing get acme-sap: expected allow by line 8, got allow by "),
    (('"status"; expect = "deny"', '"status"; expect = "allow"'), "cases.conf:8: billing status (the instance): expected allow, got deny by no rule")])
def test_a_case_that_does_not_is_named_and_fails(files, edit, says):
    files("policy.conf", POLICY)
    assert edit[0] in CASES
    path = files("cases.conf", CASES.replace(*edit))
    done = ctl("test", path)
    assert done.returncode == FAILED and says in done.stdout.decode() and b"6 cases, 5 as expected, 1 not" in done.stdout
    a = json.loads(ctl("test", path, "--json").stdout)
    assert (a["cases"], a["passed"], len(a["failed"])) == (6, 5, 1)


def test_a_file_of_cases_is_checked_like_a_configuration(files):
    files("policy.conf", POLICY)
    for wrong, says in ((("expect =", "expct ="), b'cases.conf:3: unknown key "expct" (did you mean "expect"?)'),
                        (('get = "erp"; expect', 'get = "erp"; action = "get"; expect'), b"cases.conf:6: a case asks for a token with get"),
                        (('"stranger"; get = "acme-sap"', '"stranger"'), b"cases.conf:7: a case asks for a token with get"),
                        (('"allow"; line', '"maybe"; line'), b"cases.conf:3: "), (('"acme-sap"', '"A"'), b"cases.conf:3: ")):
        assert wrong[0] in CASES
        done = ctl("test", files("cases.conf", CASES.replace(*wrong, 1)))
        assert done.returncode == FAILED and says in done.stderr and done.stdout == b"", done.stderr


def test_many_wrong_cases_are_told_in_part(files):
    files("policy.conf", POLICY)
    many = "cases = (" + ",".join('{ as = "sync"; get = "acme-x"; expect = "allow"; }' for _ in range(25)) + ");"
    done = ctl("test", files("cases.conf", many), "--policy", files("policy.conf", POLICY))
    assert done.returncode == FAILED and done.stdout.count(b"expected allow") == 20 and b"and 5 more" in done.stdout


def changes(files, old, new, *args, stdin=b""):
    done = ctl("diff", files("old.conf", old), files("new.conf", new), *args, stdin=stdin)
    assert done.returncode == DONE, done.stderr
    return done.stdout.decode().splitlines()


def test_a_policy_does_not_differ_from_itself(files):
    assert changes(files, POLICY, POLICY) == ["0 changes"]


def test_diff_tells_whose_access_changes(files):
    new = POLICY.replace('[ "acme-*" ]', '[ "acme-*", "globex" ]').replace('"acme-payroll"', '"*-payroll"')
    lines = changes(files, POLICY, new)
    assert any(line.startswith("billing globex: gains get,list (") and line.endswith("new.conf:7)") for line in lines)
    assert any(line.startswith("billing acme-*-payroll: loses get,list (") and line.endswith("new.conf:9)") for line in lines)
    assert not any(line.startswith("sync globex:") for line in lines) and f"{len(lines) - 1} changes" == lines[-1]


def test_diff_tells_of_names_that_are_given(files):
    new = POLICY.replace('"acme-payroll"', '"acme-p*l"')
    assert not any("acme-pool" in line for line in changes(files, POLICY, new))
    lines = changes(files, POLICY, new, "--names", "-", stdin=b"acme-pool\n\nother\n")
    assert any(line.startswith("billing acme-pool: loses get,list") for line in lines) and not any("other" in line for line in lines)
    done = ctl("diff", files("old.conf", POLICY), files("new.conf", new), "--names", "-", stdin=b"fine\nNot\n")
    assert done.returncode == FAILED and b"-:2: not a connection's name" in done.stderr


def test_diff_tells_of_tags_fields_identities_and_services(files):
    new = POLICY.replace('"base_url"', '"access_token"').replace("uid = 2002", "uid = 2003").replace('{ name = "billing"', '{ name = "biller"') \
        .replace('"billing"', '"biller"')
    lines = changes(files, POLICY, new)
    assert any(line.startswith("sync * system=sap: gains access_token (") for line in lines)
    assert "sync: has another identity" in lines and "billing: is gone" in lines and "biller: is new" in lines
    assert any(line.startswith("billing acme-*: loses get,list (by no rule)") for line in lines)
    a = json.loads("\n".join(changes(files, POLICY, new, "--json")))["changes"]
    assert {"service": "sync", "identity": "has another identity"} in a
    assert any(c.get("connection") == "*" and c["tags"] == {"system": "sap"} and c["access_token"] == "gained" for c in a)


def test_diff_tells_what_changes_only_for_tags_that_no_rule_names(files):
    old = POLICY.replace('{ deny = "sync"; tags', '{ deny = "billing"; tags').replace('[ "acme-*" ]', '[ "acme-*", "globex" ]')
    new = old.replace(', "globex"', "")  # while the zone is not known all is denied, before as after
    lines = changes(files, old, new)
    assert any(line.startswith("billing globex (tagged otherwise): loses get,list (by no rule)") for line in lines), lines
    assert not any(line.startswith("billing globex:") for line in lines)
    a = json.loads("\n".join(changes(files, old, new, "--json")))["changes"]
    assert any(c["connection"] == "globex" and c["tags"] == {} and c["tags_known"] and c["loses"] == ["get", "list"] for c in a)


def test_diff_wants_two_policies(files):
    assert ctl("diff", files("old.conf", POLICY)).returncode == USAGE
    assert ctl("diff", files("old.conf", POLICY), files("bad.conf", "x = 1;")).returncode == FAILED
