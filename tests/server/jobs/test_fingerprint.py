"""Fingerprints: the same units give the same hashes under one tenant's key, and nothing under another's."""

import hashlib

import numpy as np
import pytest

from server.jobs import units
from server.jobs.fingerprint import FINGERPRINT, overlapping
from server.jobs.fingerprint import store as stored
from synthgate.errors import DataCorrupted
from tests.server.jobs.tables import KEY, OTHER_KEY, TENANT_KEY, store

pytestmark = pytest.mark.guarantee("population")


def people(first: int, last: int, *, age: str = "3") -> str:
    return "who,colour,age\n" + "".join(f"p{i},red,{age}\n" for i in range(first, last))


def numbers(first: int, last: int) -> "np.ndarray[tuple[int], np.dtype[np.uint64]]":
    return np.arange(first, last, dtype=np.uint64)


def fingerprint(folder, content, **kwargs):
    """The hashes of an upload, as its ingest leaves them."""
    store(folder, content, **kwargs)
    return np.frombuffer((folder / FINGERPRINT).read_bytes(), dtype="<u8")


def shared(folder, first, second):
    """How many hashes two ingests, given by their arguments, have in common."""
    one, other = (fingerprint(folder / str(i), **each) for i, each in enumerate((first, second)))
    return len(np.intersect1d(one, other))


PEOPLE = {"content": people(0, 300), "column": "who"}
ROWS = {"content": "colour,age\n" + "".join(f"red,{i % 100}\nblue,{i % 100}\n" for i in range(300))}


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        (PEOPLE, PEOPLE, 300),
        (PEOPLE, PEOPLE | {"key": OTHER_KEY}, 300),  # of another account
        (PEOPLE, PEOPLE | {"content": people(200, 500, age="77")}, 100),  # the same people, otherwise described
        (PEOPLE, {"content": people(0, 300)}, 0),  # as rows they are no people
        (ROWS, ROWS, 200),  # a row counts once, however often it occurs
        (ROWS, ROWS | {"content": "age,colour\n" + "".join(f"{i},red\n" for i in range(50))}, 50),
        (PEOPLE, PEOPLE | {"tenant": OTHER_KEY}, 0),
        (ROWS, ROWS | {"tenant": OTHER_KEY}, 0),
    ],
)
def test_units_are_known_again_in_their_tenant_alone(tmp_path, one, other, common):
    assert shared(tmp_path, one, other) == common


def guessed(folder) -> int:
    """How many of 300 names somebody finds in a fingerprint who has everything of the gateway's but its keys."""
    tried = {int.from_bytes(hashlib.sha256(b"id " + f"p{i}".encode()).digest()[:8], "big") for i in range(300)}
    tried |= {int.from_bytes(hashlib.sha256(f"p{i}".encode()).digest()[:8], "big") for i in range(300)}
    return len(tried & set(fingerprint(folder, **PEOPLE).tolist()))


def test_without_the_key_no_name_can_be_tried(tmp_path):
    assert guessed(tmp_path / "own") == 0


@pytest.mark.parametrize("case", [PEOPLE, ROWS])
def test_a_hash_without_a_key_is_convicted(tmp_path, monkeypatch, case):
    def unkeyed(key, messages):
        joined = b"".join(hashlib.sha256(message).digest()[:16] for message in messages)
        return np.frombuffer(joined, dtype=">u8").reshape(-1, 2).astype(np.uint64)

    monkeypatch.setattr(units, "_keyed", unkeyed)
    assert shared(tmp_path, case, case | {"tenant": OTHER_KEY}) > 0
    assert guessed(tmp_path / "own") == 300


def test_a_fingerprint_is_sorted_and_holds_each_unit_once(tmp_path):
    found = fingerprint(tmp_path, "who,colour,age\n" + "q,red,1\nq,red,2\nr,red,1\n" * 400, column="who", max_rows=2)
    assert len(found) == 2
    assert (np.diff(found.astype(object)) > 0).all()


@pytest.mark.parametrize(
    ("own", "rows", "theirs", "overlaps"),
    [
        (numbers(0, 2_000), 2_000, [numbers(1_990, 3_990)], False),  # 0.5 % of either side
        (numbers(0, 2_000), 2_000, [numbers(1_980, 3_980)], False),  # 1 %, not more
        (numbers(0, 2_000), 2_000, [numbers(1_979, 3_979)], True),
        (numbers(0, 2_000), 2_000, [numbers(1_990, 2_200)], True),  # 0.5 % of the new, 4.8 % of the old
        (numbers(0, 1_000), 1_000, [numbers(991, 1_100)], False),  # nine units are no overlap
        (numbers(0, 1_000), 1_000, [numbers(990, 50_000)], False),  # 1 % of the new
        (numbers(0, 1_000), 1_000, [numbers(989, 50_000)], True),
        (numbers(0, 1_000), 999, [numbers(0, 1_000)], False),  # a small upload is compared with nothing
        (numbers(0, 500), 1_000, [numbers(0, 500)], True),  # 500 people of two rows each
        (numbers(0, 2_000), 2_000, [numbers(0, 15), numbers(15, 30)], True),  # two small uploads of one account
        (numbers(0, 2_000), 2_000, [numbers(i, i + 5) for i in range(0, 30, 5)], True),  # 30 together, 5 each
        (numbers(0, 2_000), 2_000, [numbers(0, 5)] * 6, False),  # the same five again and again
    ],
)
def test_an_overlap_is_ten_units_and_more_than_one_in_a_hundred_of_either_side(tmp_path, own, rows, theirs, overlaps):
    known = []
    for i, each in enumerate(theirs):
        path = tmp_path / f"{i}.u64"
        known.append({"account": "other", "file": str(path), "sha256": stored(each, path)})
    assert overlapping(own, known, rows=rows) == (["other"] if overlaps else [])


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b""), lambda path: path.unlink()])
def test_a_damaged_fingerprint_stops_an_ingest_and_names_nobody(tmp_path, damage):
    path = tmp_path / "secret-account.u64"
    known = [{"account": "secret-account", "file": str(path), "sha256": stored(numbers(0, 9), path)}]
    damage(path)
    with pytest.raises(DataCorrupted) as raised:
        store(tmp_path / "own", people(0, 1_000), column="who", known=known)
    assert "secret-account" not in raised.value.message + str(raised.value.facts)


def test_the_keys_of_account_and_tenant_are_two(tmp_path):
    """The split must not be told by a fingerprint, nor the other way round."""
    assert shared(tmp_path, PEOPLE, PEOPLE | {"tenant": KEY}) == 0
    assert TENANT_KEY != KEY
