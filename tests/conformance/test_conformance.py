# SPDX-License-Identifier: Apache-2.0
"""What every store must do, whatever it is: the contract of include/mk/backend.h as claims.
Each call is a process of its own, through the fetcher's driver. A store that cannot do a
thing by nature says METHOD, and nothing else."""

import json
import re

import pytest

from conformance.stores import ALL, MARK

ONE, TWO, THREE = ({"access_token": f"{MARK}-{n}"} for n in ("one", "two", "three"))
VERSION = re.compile(r"^[!-~]{1,64}$")


@pytest.fixture(scope="module", params=ALL, ids=lambda kind: kind.name)
def store(request, tmp_path_factory):
    s = request.param(tmp_path_factory.mktemp(request.param.name))
    try:
        yield s.up()
    finally:
        s.close()


def fields(value, at="", into=None):
    """The leaves of a value whose numbers are integers."""
    into = {} if into is None else into
    if isinstance(value, dict) and value:
        for key, v in value.items():
            fields(v, f"{at}/{key.replace('~', '~0').replace('/', '~1')}", into)
    elif isinstance(value, list):
        into[at] = ("array", "")
        for i, v in enumerate(value):
            fields(v, f"{at}/{i}", into)
    elif isinstance(value, dict):
        into[at] = ("object", "")
    elif isinstance(value, bool):
        into[at] = ("bool", str(value).lower())
    elif value is None:
        into[at] = ("null", "")
    else:
        into[at] = ("string", value) if isinstance(value, str) else ("number", str(value))
    return into


def holds(result, value):
    assert result.err == "OK", result
    assert result.fields_of() == fields(value)
    return True


def fails(result, *errors):
    assert result.err in errors, result
    return True


def cannot(store, able, *verbs):
    """Where a store cannot do it by nature: it says so of each verb."""
    if not able:
        for verb in verbs:
            assert fails(store.drive(verb, "acme-cannot"), "METHOD")
    return not able


def nested(depth):
    """Objects in objects, as many as depth says."""
    value = {"access_token": MARK}
    for _ in range(depth - 1):
        value = {"in": value}
    return value


VALUES = {
    "plain": {"access_token": MARK, "expires_in": 3600},
    "unicode": {"access_token": MARK, "grüße": "Привет, 世界 🗝  é", "🗝": "‮"},
    "escapes": {"access_token": MARK, "q": "\" \\ / \b \f \n \r \t \u0001 \u007f", "html": "<a href='x'>&amp;</a>", "~/": {"a/b": "~1", "m~n": "~0"}},
    "empty": {"access_token": MARK, "object": {}, "array": [], "string": "", "null": None, "": "no name"},
    "nested": {"access_token": MARK, "a": [1, [2, {"b": [[], {}, [None, True, False]]}], "x"], "0": {"1": {"2": {"3": [{"deep": "er"}]}}}},
    "like-arrays": {"access_token": MARK, "items": {"0": "zero", "1": "one"}, "list": ["zero", "one"]},
    "integers": {"access_token": MARK, "big": 2**53, "small": -(2**53), "zero": 0, "one": -1},
    "words": {"access_token": MARK, "true": "true", "null": "null", "number": "1", "date": "2026-01-02T03:04:05Z"},
    "many": {"access_token": MARK, **{f"key-{i}": str(i) for i in range(255)}},
    "as deep as may be": nested(32),
    "as large as may be": {"access_token": MARK.ljust(65516, "x")},
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES.keys())
def test_what_was_put_and_promoted_is_read_back_to_the_byte(store, value):
    name = store.fresh()
    store.make(name, value)
    assert holds(store.drive("get", name), value)


@pytest.mark.parametrize("n", [2**53 + 1, 2**63 - 1, -(2**63)])
def test_a_large_integer_comes_back_with_each_digit_or_is_refused(store, n):
    name, value = store.fresh(), {"access_token": MARK, "n": [n]}
    if store.integers < 64:
        assert fails(store.drive("put", name, value=value), "BAD_REQUEST")
        assert fails(store.drive("get", name, "--pending"), "NOT_FOUND")
    else:
        store.make(name, value)
        assert holds(store.drive("get", name), value)


def test_other_numbers_come_back_as_the_same_number(store):
    name = store.fresh()
    store.make(name, b'{"half":1.5,"more":1.50,"tenth":0.1,"far":1e300,"near":-2.5e-7,"third":0.3333333333333333}')
    got = {k: (t, float(v)) for k, (t, v) in store.drive("get", name).fields_of().items()}
    assert got == {f"/{k}": ("number", v) for k, v in (("half", 1.5), ("more", 1.5), ("tenth", 0.1), ("far", 1e300), ("near", -2.5e-7),
                                                      ("third", 0.3333333333333333))}


def test_what_is_no_value_is_refused_and_the_old_one_stays(store):
    name = store.fresh()
    store.make(name, ONE)
    too_large = {"access_token": MARK.ljust(65517, "x")}
    for bad, why in ((json.dumps(too_large).encode(), "TOO_LARGE"), (json.dumps(nested(33)).encode(), "BAD_REQUEST"), (b'["x"]', "BAD_REQUEST"),
                     (b'{"a":1', "BAD_REQUEST"), (b'{"a":1,"a":2}', "BAD_REQUEST"),
                     (json.dumps({str(i): 1 for i in range(257)}).encode(), "TOO_LARGE")):
        p = store.spawn("put", name, value=bad)
        assert store.finish(p).err == why, bad[:40]
    assert holds(store.drive("get", name), ONE)
    assert fails(store.drive("get", name, "--pending"), "NOT_FOUND")


def test_what_would_not_come_back_is_refused(store):
    """JSON writes some characters in six bytes: what then is larger than an answer may be must not be taken."""
    name = store.fresh()
    store.make(name, ONE)
    for odd in ("\u0001", "<", "\u2028", "\""):
        value = {"access_token": MARK + odd * (60000 // len(odd.encode()))}
        put = store.drive("put", name, value=value)
        if put.err == "OK":
            assert holds(store.drive("get", name, "--pending"), value), odd
            assert store.drive("discard", name).err == "OK"
        else:
            assert fails(put, "TOO_LARGE"), odd
            assert fails(store.drive("get", name, "--pending"), "NOT_FOUND")
    assert holds(store.drive("get", name), ONE)


def test_a_name_that_is_not_there_is_not_found(store):
    for args in ((), ("--previous",), ("--pending",)):
        assert fails(store.drive("get", "acme-never", *args), "NOT_FOUND")
    assert fails(store.drive("promote", "acme-never"), "NOT_FOUND")
    assert fails(store.drive("discard", "acme-never"), "NOT_FOUND")
    assert fails(store.drive("promote", "acme-never", "--expect", "1"), "NOT_FOUND", "CONFLICT")
    assert fails(store.drive("put", "acme-never", "--expect", "1", value=ONE), "NOT_FOUND", "CONFLICT")
    if not cannot(store, store.disables, "disable", "enable"):
        assert fails(store.drive("disable", "acme-never"), "NOT_FOUND")
        assert fails(store.drive("enable", "acme-never"), "NOT_FOUND")


def test_a_name_with_one_version_has_no_previous_and_no_pending_one(store):
    name = store.fresh()
    store.make(name, ONE)
    assert holds(store.drive("get", name), ONE)
    assert fails(store.drive("get", name, "--previous"), "NOT_FOUND")
    assert fails(store.drive("get", name, "--pending"), "NOT_FOUND")


def test_each_version_has_a_name_of_its_own_and_keeps_it(store):
    name = store.fresh()
    seen = set()
    for value in (ONE, TWO, ONE):
        promoted = store.make(name, value)
        got = store.drive("get", name)
        assert holds(got, value) and VERSION.match(got.version)
        assert not store.versions or (got.version == promoted and store.drive("get", name).version == promoted)
        seen.add(got.version)
    assert len(seen) == 3


def test_what_waits_has_the_version_that_put_said(store):
    name = store.fresh()
    store.make(name, ONE)
    put = store.drive("put", name, value=TWO)
    got = store.drive("get", name, "--pending")
    assert put.err == "OK" and VERSION.match(put.version) and holds(got, TWO) and (got.version == put.version or not store.versions)


def test_the_previous_version_is_what_was_current_before(store):
    name = store.fresh()
    first = store.make(name, ONE)
    store.make(name, TWO)
    if not store.versions:
        assert fails(store.drive("get", name, "--previous"), "NOT_FOUND")
        return
    got = store.drive("get", name, "--previous")
    assert holds(got, ONE) and got.version == first
    second = store.drive("get", name).version
    store.make(name, THREE)
    got = store.drive("get", name, "--previous")
    assert holds(got, TWO) and got.version == second
    assert holds(store.drive("get", name), THREE)


def test_a_pending_version_changes_nothing_of_what_is_there(store):
    old, new = store.fresh("beside"), store.fresh("beside")
    version = store.make(old, ONE)
    assert store.drive("put", old, value=TWO).err == "OK"
    assert store.drive("put", new, value=TWO).err == "OK"
    got = store.drive("get", old)
    assert holds(got, ONE) and (got.version == version or not store.versions)
    assert fails(store.drive("get", new), "NOT_FOUND")
    assert fails(store.drive("get", new, "--previous"), "NOT_FOUND")
    assert fails(store.drive("get", old, "--previous"), "NOT_FOUND")
    assert [n for n in listed(store) if n.startswith("beside-")] == [old]
    assert holds(store.drive("get", new, "--pending"), TWO)


def test_a_put_over_what_waits_is_a_conflict(store):
    name = store.fresh()
    for begin in (None, ONE):
        if begin:
            store.make(name, begin)
        assert store.drive("put", name, value=TWO).err == "OK"
        assert fails(store.drive("put", name, value=THREE), "CONFLICT")
        assert holds(store.drive("get", name, "--pending"), TWO)
        assert store.drive("discard", name).err == "OK"


def test_a_change_against_another_version_is_a_conflict_and_changes_nothing(store):
    name = store.fresh()
    old, current = store.make(name, ONE), store.make(name, TWO)
    if not store.versions:
        current = store.drive("get", name).version  # the name that another process gave it
        assert fails(store.drive("put", name, "--expect", current, value=THREE), "CONFLICT")
        assert store.drive("put", name, value=THREE).err == "OK"
        assert fails(store.drive("promote", name, "--expect", current), "CONFLICT")
        assert holds(store.drive("get", name), TWO) and holds(store.drive("get", name, "--pending"), THREE)
        return
    assert fails(store.drive("put", name, "--expect", old, value=THREE), "CONFLICT")
    assert fails(store.drive("get", name, "--pending"), "NOT_FOUND")
    assert store.drive("put", name, "--expect", current, value=THREE).err == "OK"
    assert fails(store.drive("promote", name, "--expect", old), "CONFLICT")
    got = store.drive("get", name)
    assert holds(got, TWO) and got.version == current
    assert holds(store.drive("get", name, "--pending"), THREE)
    assert holds(store.drive("get", name, "--previous"), ONE)
    promoted = store.drive("promote", name, "--expect", current)
    got = store.drive("get", name)
    assert promoted.err == "OK" and holds(got, THREE) and got.version == promoted.version
    assert fails(store.drive("get", name, "--pending"), "NOT_FOUND")


def test_what_was_discarded_is_gone(store):
    name = store.fresh()
    version = store.make(name, ONE)
    assert store.drive("put", name, value=TWO).err == "OK"
    assert store.drive("discard", name).err == "OK"
    assert fails(store.drive("get", name, "--pending"), "NOT_FOUND")
    assert fails(store.drive("discard", name), "NOT_FOUND")
    assert fails(store.drive("promote", name), "NOT_FOUND")
    got = store.drive("get", name)
    assert holds(got, ONE) and (got.version == version or not store.versions)
    store.make(name, THREE)
    assert holds(store.drive("get", name), THREE)


def test_a_promote_whose_answer_was_lost_can_be_asked_again(store):
    name = store.fresh()
    current = store.make(name, ONE)
    assert store.drive("put", name, value=TWO).err == "OK"
    expect = ("--expect", current) if store.versions else ()
    version = store.drive("promote", name, *expect).version
    assert fails(store.drive("promote", name), "NOT_FOUND")
    assert fails(store.drive("promote", name, *expect), "NOT_FOUND", "CONFLICT")
    got = store.drive("get", name)
    assert holds(got, TWO) and (got.version == version or not store.versions)
    assert not store.versions or holds(store.drive("get", name, "--previous"), ONE)


def test_a_disabled_version_is_not_handed_out_until_it_is_enabled(store):
    if cannot(store, store.disables, "disable", "enable"):
        return
    name = store.fresh()
    store.make(name, ONE)
    version = store.make(name, TWO)
    for expect in ((), ("--expect", version)):
        assert store.drive("disable", name, *expect).err == "OK"
        got = store.drive("get", name)
        assert fails(got, "DISABLED") and "fields" not in got
        assert store.drive("enable", name, *expect).err == "OK"
        got = store.drive("get", name)
        assert holds(got, TWO) and got.version == version
    assert store.drive("disable", name).err == "OK"
    store.make(name, THREE)
    assert holds(store.drive("get", name), THREE)


def test_an_older_version_is_disabled_by_its_name_and_the_current_one_stays(store):
    if cannot(store, store.disables, "disable", "enable"):
        return
    name = store.fresh()
    old = store.make(name, ONE)
    store.make(name, TWO)
    assert store.drive("disable", name, "--expect", old).err == "OK"
    assert holds(store.drive("get", name), TWO)
    assert fails(store.drive("get", name, "--previous"), "DISABLED", "NOT_FOUND")
    assert store.drive("enable", name, "--expect", old).err == "OK"
    assert holds(store.drive("get", name, "--previous"), ONE)
    middle = store.drive("get", name).version
    store.make(name, THREE)
    assert store.drive("disable", name, "--expect", middle).err == "OK"
    got = store.drive("get", name, "--previous")  # a store that keeps more may pass it over, for the one before
    assert got.fields_of() == fields(ONE) if got.err == "OK" else fails(got, "DISABLED", "NOT_FOUND")
    assert holds(store.drive("get", name), THREE)


def test_what_is_no_version_of_the_name_cannot_be_disabled(store):
    if cannot(store, store.disables, "disable", "enable"):
        return
    name, other = store.fresh(), store.fresh()
    store.make(name, ONE)
    store.make(other, ONE)
    gone = store.make(other, TWO)
    waiting = store.drive("put", name, value=TWO).version
    for version in (waiting, gone, "never"):
        for verb in ("disable", "enable"):
            assert fails(store.drive(verb, name, "--expect", version), "NOT_FOUND"), version
    assert holds(store.drive("get", name), ONE) and holds(store.drive("get", name, "--pending"), TWO)


def listed(store, after=None):
    """All names, page by page, as the agent asks."""
    names, more = [], True
    while more:
        page = store.drive("list", *(("--after", after) if after else ()))
        assert page.err == "OK" and len(page.names) <= 200, page
        assert page.names or not page.more
        names, more = names + page.names, page.more
        after = page.names[-1] if page.names else after
    return names


def test_a_long_list_comes_in_pages_ascending_complete_and_without_doubles(store):
    made = [f"page-{i:03}" for i in range(450)]
    for name in made:
        store.seed(name, ONE)
    names = listed(store)
    assert names == sorted(set(names))
    assert [n for n in names if n.startswith("page-")] == made
    for after in ("page-000", "page-1", "page-199", "page-200", "page-4490", "page-449", "zz"):
        assert listed(store, after) == [n for n in names if n > after], after


def test_names_of_all_lengths_and_characters_are_told_apart(store):
    names = ["0", "z", "9-a", "a-9", "ab", "a" * 31, "a" * 62, "a" * 63, "0" * 63, "-".join("a" * 32), "12345678901234567890"]
    for name in names:
        store.make(name, {"access_token": f"{MARK}-{name}"})
    for name in names:
        assert holds(store.drive("get", name), {"access_token": f"{MARK}-{name}"})
    assert set(names) <= set(listed(store))


def both(store, *calls):
    """Two processes at once; those that find the store busy try again, as the agent would."""
    running = [store.spawn(verb, *args, value=value) for verb, args, value in calls]
    results = [store.finish(p) for p in running]
    return [store.again(*(call[0], *call[1]), value=call[2]) if r.err == "NOT_READY" else r for r, call in zip(results, calls)]


def test_of_two_that_change_at_once_one_wins(store):
    """Of two puts one is a conflict. Of two promotions of the same one becomes the current version, once; the other says
    CONFLICT or NOT_FOUND; or, where it saw that all is as it was to be, OK and the same version."""
    name = store.fresh()
    current = store.make(name, ONE)
    for n in range(0 if store.versions else 8):  # nothing holds the two apart: what was said to be there is, whole
        values = [{"access_token": f"{MARK}-{n}-{who}"} for who in ("a", "b")]
        puts = both(store, *(("put", (name,), v) for v in values))
        assert {"OK"} <= {r.err for r in puts} <= {"OK", "CONFLICT"}, puts
        waits = store.drive("get", name, "--pending")
        assert any(r.err == "OK" and waits.fields_of() == fields(v) for r, v in zip(puts, values))
        promotes = both(store, *(("promote", (name,), None),) * 2)
        assert {"OK"} <= {r.err for r in promotes} <= {"OK", "NOT_FOUND"}, promotes
        assert store.drive("get", name).fields_of() == waits.fields_of()
        assert fails(store.drive("get", name, "--pending"), "NOT_FOUND")
    for n in range(8 if store.versions else 0):
        values = [{"access_token": f"{MARK}-{n}-{who}"} for who in ("a", "b")]
        puts = both(store, *(("put", (name, "--expect", current), v) for v in values))
        assert sorted(r.err for r in puts) == ["CONFLICT", "OK"], puts
        won = values[[r.err for r in puts].index("OK")]
        assert holds(store.drive("get", name, "--pending"), won)
        promotes = both(store, *(("promote", (name, "--expect", current), None),) * 2)
        assert all(r.err in ("OK", "CONFLICT", "NOT_FOUND") for r in promotes), promotes
        got, before = store.drive("get", name), store.drive("get", name, "--previous")
        assert {r.version for r in promotes if r.err == "OK"} == {got.version}, promotes
        assert holds(got, won) and before.version == current != got.version
        assert fails(store.drive("get", name, "--pending"), "NOT_FOUND")
        current = got.version


def test_tags_come_with_the_secret(store):
    name = store.fresh()
    if not store.tags:
        store.seed(name, ONE)
        assert store.drive("get", name).tags == {}
        return
    tags = {"environment": "production", "customer": "acme größe", "tier": "1"}
    store.seed(name, ONE, **tags)
    got = store.drive("get", name)
    assert holds(got, ONE) and got.tags == tags
    assert got.created and got.created.endswith("Z")
    store.make(name, TWO)
    got = store.drive("get", name)
    assert holds(got, TWO) and got.tags == tags  # they are the secret's, not the version's


def test_what_the_vendors_own_client_writes_is_read(store):
    name = store.fresh()
    store.seed(name, ONE)
    first = store.drive("get", name)
    assert holds(first, ONE)
    store.seed(name, TWO)
    second = store.drive("get", name)
    assert holds(second, TWO) and second.version != first.version
    assert not store.versions or store.drive("get", name, "--previous").version == first.version


def test_a_wrong_credential_is_an_error_and_no_missing_name(store):
    name = store.fresh()
    store.make(name, ONE)
    heal = store.spoil_credential()
    for verb, args in (("get", (name,)), ("get", ("acme-never",)), ("get", (name, "--previous")), ("list", ())):
        assert fails(store.drive(verb, *args), "BACKEND", "DENIED")
    heal()
    assert holds(store.drive("get", name), ONE)


def test_zz_health_tells_whether_the_store_serves(store):
    """The last: it ends the store."""
    name = store.fresh()
    store.make(name, ONE)
    assert store.drive("health").err == "OK"
    assert holds(store.drive("get", name), ONE)
    store.stop()
    store.write_conf('timeout = "2s";')
    assert fails(store.drive("health"), "BACKEND", "NOT_READY", "TIMEOUT")
    assert fails(store.drive("get", name), "BACKEND", "NOT_READY", "TIMEOUT")
    assert fails(store.drive("list"), "BACKEND", "NOT_READY", "TIMEOUT")
