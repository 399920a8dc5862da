"""Laws of the split: who is held out depends on the account's key and on the unit itself, and on nothing else."""

import hashlib
import hmac
import random
import struct
from collections import Counter

import pytest

from server.jobs.keys import Label, subkey
from synthgate.domain import UNIT_COLUMN
from tests.server.jobs.tables import KEY, OTHER_KEY, store

HEADER = "person,colour,age\n"


def upload(rows):
    return HEADER + "".join(f"{person},{colour},{age}\n" for person, colour, age in rows)


def people(count, seed=0):
    """One row for each of many people, all of them different in age and colour only by chance."""
    draw = random.Random(seed)
    return [(f"p{i}", draw.choice(("red", "blue")), draw.randrange(100)) for i in range(count)]


def tagged(rows):
    """People told apart by a stored value, so that a test can see where each one went."""
    return [(person, "red", tag) for tag, (person, _, _) in enumerate(rows)]


def content(table):
    return Counter((row["colour"], row["age"]) for row in table.to_pylist())


def sides(folder, rows, **kwargs):
    """Where each person went: with at most 121 people, age is a tag that survives clamping."""
    _, train, holdout = store(folder, upload(tagged(rows)), column="person", **kwargs)
    place = {rows[age][0]: "train" for age in train["age"].to_pylist()}
    return place | {rows[age][0]: "holdout" for age in holdout["age"].to_pylist()}


def test_subkeys_of_one_secret_differ_and_short_secrets_are_refused():
    assert len({subkey(bytes(32), label) for label in Label}) == len(Label)
    with pytest.raises(ValueError, match="32 bytes"):
        subkey(b"short", Label.ROW)


def expand(secret, label):
    """HKDF-SHA256 by hand (RFC 5869): an empty salt, one block."""
    extracted = hmac.digest(bytes(32), secret, "sha256")
    return hmac.digest(extracted, label + b"\x01", "sha256")


def test_the_side_of_a_unit_id_by_hand(tmp_path):
    """Whoever changes labels, canonical text or threshold moves held-out people of living accounts into training."""
    rows = people(100)
    key = expand(KEY, b"synthgate/v1/ingest/unit")
    words = {person: hmac.digest(key, b"id " + person.encode(), "sha256")[:8] for person, *_ in rows}
    expected = {p: "holdout" if int.from_bytes(w, "big") < int(0.2 * 2**64) else "train" for p, w in words.items()}
    assert sides(tmp_path, rows) == expected
    assert sorted(p for p, side in expected.items() if side == "holdout")[:4] == ["p0", "p1", "p10", "p16"]


def test_the_side_of_a_row_by_hand(tmp_path):
    """Cells in the order of their columns' names: a flag and eight bytes each, text by its SHA-256."""
    row_key, unit_key = (expand(KEY, b"synthgate/v1/ingest/" + part) for part in (b"row", b"unit"))
    expected = {"train": Counter(), "holdout": Counter()}
    for age in range(50):
        cells = struct.pack("<BqB8s", 1, age, 1, hashlib.sha256(b"red").digest())
        row = hmac.digest(row_key, cells, "sha256")
        for occurrence in range(3):
            halves = struct.unpack(">QQ", row[:16])
            word = hmac.digest(unit_key, b"row " + struct.pack("<QQQ", *halves, occurrence), "sha256")[:8]
            side = "holdout" if int.from_bytes(word, "big") < int(0.2 * 2**64) else "train"
            expected[side][("red", age)] += 1
    _, train, holdout = store(tmp_path, "colour,age\n" + "".join(f"red,{age}\n" for age in range(50)) * 3)
    assert (content(train), content(holdout)) == (expected["train"], expected["holdout"])


def test_a_unit_lies_on_the_same_side_in_every_upload(tmp_path):
    everybody = people(120)
    first = sides(tmp_path / "a", everybody[:80])
    later = sides(tmp_path / "b", list(reversed(everybody[40:])))
    both = first.keys() & later.keys()
    assert len(both) == 40
    assert all(first[person] == later[person] for person in both)


def test_another_key_splits_otherwise(tmp_path):
    assert sides(tmp_path / "a", people(100)) != sides(tmp_path / "b", people(100), key=OTHER_KEY)


@pytest.mark.parametrize("column", ["person", None])
def test_about_a_fifth_is_held_out(tmp_path, column):
    result, *_ = store(tmp_path, upload(people(20_000)), column=column)
    share = result["holdout_units"] / result["units"]
    assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 20_000) ** 0.5


@pytest.mark.parametrize("column", ["person", None])
def test_one_row_more_moves_no_other(tmp_path, column):
    rows = people(3_000)
    _, train, holdout = store(tmp_path / "a", upload(rows), column=column)
    added = ("new", *rows[7][1:])
    _, more_train, more_holdout = store(tmp_path / "b", upload([*rows[:5], added, *rows[5:]]), column=column)
    gained = content(more_train) - content(train), content(more_holdout) - content(holdout)
    lost = content(train) - content(more_train), content(holdout) - content(more_holdout)
    assert sum(map(Counter.total, gained)) == 1
    assert sum(map(Counter.total, lost)) == 0


def test_a_split_by_position_is_convicted_by_the_same_law():
    """The negative control: a rule that reads the position moves other rows when one is put in front."""
    rows = [age for _, _, age in people(3_000)]
    before = Counter(rows[i] for i in range(len(rows)) if i % 5 == 0)
    longer = [rows[7], *rows]
    after = Counter(longer[i] for i in range(len(longer)) if i % 5 == 0)
    assert (before - after).total() > 1


def test_the_order_of_the_file_says_nothing(tmp_path):
    """The same rows in any order give the same bytes; neighbours in the file are no neighbours in the store."""
    rows = people(2_000)
    shuffled = random.Random(1).sample(rows, len(rows))
    for column in ("person", None):
        a, b = tmp_path / f"a{column}", tmp_path / f"b{column}"
        store(a, upload(rows), column=column)
        store(b, upload(shuffled), column=column)
        for name in ("train.parquet", "holdout.parquet"):
            assert (a / name).read_bytes() == (b / name).read_bytes()


def test_equal_rows_are_dealt_apart(tmp_path):
    """Row units: a thousand equal rows do not all fall on one side."""
    result, *_ = store(tmp_path, HEADER + "x,red,5\n" * 1_000)
    assert 140 < result["holdout_units"] < 260


@pytest.mark.parametrize("max_rows", [1, 2, 3, 5])
def test_units_are_cut_to_max_rows_and_numbered_densely(tmp_path, max_rows):
    rows = [(f"p{i}", "red", j) for i in range(200) for j in range(1 + i % 4)]
    result, train, holdout = store(tmp_path, upload(rows), column="person", max_rows=max_rows)
    assert result["units"] == 200
    assert result["rows"] == sum(min(max_rows, 1 + i % 4) for i in range(200))
    for table, units in ((train, result["train_units"]), (holdout, result["holdout_units"])):
        numbers = Counter(table[UNIT_COLUMN].to_pylist())
        assert sorted(numbers) == list(range(units))
        assert max(numbers.values()) <= max_rows
        assert table[UNIT_COLUMN].to_pylist() == sorted(table[UNIT_COLUMN].to_pylist())


def test_a_cut_reads_the_unit_alone(tmp_path):
    """Which of a unit's rows stay does not depend on other units, nor on the order of the file, but on the key."""
    rows = [("p0", "red", age) for age in range(100)]
    others = [(f"q{i}", "blue", 7) for i in range(500)]

    def kept(name, rows, **kwargs):
        _, *tables = store(tmp_path / name, upload(rows), column="person", max_rows=10, **kwargs)
        return {row["age"] for table in tables for row in table.to_pylist() if row["colour"] == "red"}

    alone = kept("a", rows)
    assert len(alone) == 10
    assert kept("b", [*others, *reversed(rows)]) == alone
    assert kept("c", rows, key=OTHER_KEY) != alone


@pytest.mark.parametrize(
    ("ids", "units"),
    [
        (["7", " 7 ", "7.0", "7."], 1),
        (["7", "07", "7.5", "seven"], 4),
        (["", "  ", '""'], 1),
        (["", "0"], 2),
        (["é", "e\u0301"], 1),
        (["A", "a"], 2),
        (["\x00", "-", "\x00other"], 3),
    ],
)
def test_the_text_of_an_id(tmp_path, ids, units):
    result, *_ = store(tmp_path, upload([(text, "red", 3) for text in ids]), column="person", max_rows=9)
    assert (result["units"], result["rows"]) == (units, len(ids))


def test_a_modelled_column_may_be_the_units_column(tmp_path):
    result, train, holdout = store(tmp_path, "colour,age\nred,1\nred,2\nblue,3\n", column="age")
    assert result["units"] == 3
    assert train.schema.names == holdout.schema.names == ["colour", "age", UNIT_COLUMN]
