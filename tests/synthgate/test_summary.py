"""The public summary: what it says of the released rows, of whom it comes, and that nothing in a table acts in it."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from test_verify import ATTESTATION, DERIVED

from synthgate.attestation import Decision
from synthgate.derivation import Derivation
from synthgate.plain import inert
from synthgate.statement import Scope
from synthgate.summary import MAX_BARS, Shown, summarise
from synthgate.summary.page import page

EVIL = "<script>alert(1)</script>\u202e"
TABLE = pa.table(
    {
        "age": pa.array([*range(40)], pa.int64()),
        "ill": pa.array([True] * 10 + [False] * 25 + [None] * 5, pa.bool_()),
        "town": pa.array([f"t{i % 20:02}" for i in range(40)], pa.string()).dictionary_encode(),
        EVIL: pa.array([EVIL] * 40, pa.string()),
        "since": pa.array([datetime(2020, 1, 1 + i % 28, tzinfo=UTC) for i in range(40)], pa.timestamp("us", "UTC")),
        "none": pa.array([None] * 40, pa.float64()),
    }
)


def shown(name: str) -> Shown:
    return next(c for c in summarise(TABLE, ATTESTATION).columns if c.name == name)


def test_shares_are_those_of_the_released_rows() -> None:
    assert [(b.label, b.share) for b in shown("ill").bars] == [("false", 0.625), ("true", 0.25)]
    assert shown("ill").missing == 0.125
    age = shown("age")
    assert (len(age.bars), age.others, age.kind) == (10, 0, "numbers")
    assert (age.bars[0].label, age.bars[-1].label, age.bars[0].share) == ("0 to 3", "36 to 39", 0.1)
    assert sum(b.share for b in age.bars) == pytest.approx(1.0)
    town = shown("town")
    assert (len(town.bars), town.others) == (MAX_BARS, 20 - MAX_BARS)
    assert town.rest == pytest.approx(1 - MAX_BARS / 20)
    assert sum(b.share for b in shown("since").bars) == pytest.approx(1.0)
    assert (shown("none").bars, shown("none").missing) == ((), 1.0)


@pytest.mark.parametrize(
    ("values", "first", "last"),
    [
        ([-1.7e308, *[float(i) for i in range(20)], 1.7e308], "-1.7e+308 to -1.417e+308", "1.417e+308 to 1.7e+308"),
        ([2**53 + i for i in range(20)], f"{2**53} to {2**53 + 1}", f"{2**53 + 18} to {2**53 + 19}"),
        ([-(2**63), *range(18), 2**63 - 1], f"{-(2**63)} to ", f" to {2**63 - 1}"),
        ([*range(0, 21)], "0 to 1", "20"),
        ([*range(0, 31, 2), 50], "0 to 4", "50"),
    ],
)
def test_ranges_of_extreme_numbers_have_ends(values: list[float], first: str, last: str) -> None:
    column = summarise(pa.table({"x": values}), ATTESTATION).columns[0]
    labels = [b.label for b in column.bars]
    assert labels[0].startswith(first) and labels[-1].endswith(last)
    assert len(set(labels)) == len(labels) <= MAX_BARS
    assert sum(b.share for b in column.bars) == pytest.approx(1.0)
    assert not any(word in label for label in labels for word in ("nan", "inf"))


def test_floats_that_differ_by_next_to_nothing_are_one_range() -> None:
    values = (np.arange(20) * 5e-324).tolist()
    column = summarise(pa.table({"x": values}), ATTESTATION).columns[0]
    assert sum(b.share for b in column.bars) == pytest.approx(1.0)


def test_zero_has_no_sign() -> None:
    column = summarise(pa.table({"x": [0.0, -0.0, 1.0]}), ATTESTATION).columns[0]
    assert [b.label for b in column.bars] == ["0", "1"]


def test_a_column_that_is_named_as_replicates_are_numbered_is_a_column() -> None:
    made = summarise(pa.table({"_replicate": [1, 2]}), ATTESTATION)
    assert [c.name for c in made.columns] == ["_replicate"]


def test_an_empty_table_has_a_summary() -> None:
    assert "<figure>" in page(summarise(TABLE.slice(0, 0), ATTESTATION))


def test_it_says_that_it_passed_and_how() -> None:
    exact = summarise(TABLE, ATTESTATION)
    assert "exact comparison with private rows, outside of the epsilon, and 1 officer approved it" in exact.passed
    assert exact.facts["policy"] == "default, version 3"
    assert exact.rules
    inside = replace(ATTESTATION.origin, decision=Decision(number=0, allowed=0, unaccounted=False))  # type: ignore[type-var]
    assert "one noisy figure inside of the epsilon" in summarise(TABLE, replace(ATTESTATION, origin=inside)).passed
    derived = summarise(TABLE, DERIVED)
    assert "drawn from the model of release r-1" in derived.passed
    assert (derived.rules, derived.facts["conditions"]) == ((), "sex=F")
    assert "73.2 %" in page(exact)
    sandbox = replace(ATTESTATION, statement=replace(ATTESTATION.statement, scope=Scope.NONE))
    nothing = summarise(TABLE, sandbox)
    assert (nothing.beliefs, nothing.facts["epsilon at delta"]) == ((), "none is claimed")
    assert "no privacy guarantee" in nothing.promise


def test_replicates_are_not_a_column() -> None:
    table = TABLE.add_column(0, "_replicate", pa.array([1 + i % 2 for i in range(40)]))
    asked = replace(DERIVED.origin, derivation=Derivation(source="r-1", rows=20, replicates=2))  # type: ignore[type-var]
    made = summarise(table, replace(DERIVED, origin=asked))
    assert "_replicate" not in {c.name for c in made.columns}
    assert made.facts["replicates"] == "2, shown together"


def test_nothing_in_it_acts_or_is_loaded() -> None:
    text = page(summarise(TABLE, ATTESTATION))
    assert text == page(summarise(TABLE, ATTESTATION))
    lines = text.split("\n")
    assert [inert(line) for line in lines] == lines
    assert not re.search(r"<(script|img|iframe|link|form)|https?://|style=", text)
    assert "default-src 'none'" in text
    assert "&lt;script&gt;" in text


def test_its_json_has_all_of_it() -> None:
    told = json.loads(json.dumps(summarise(TABLE, ATTESTATION).to_dict()))
    assert (told["version"], told["facts"]["sha256"]) == (1, ATTESTATION.sha256)
    assert [c["name"] for c in told["columns"]] == TABLE.column_names
    assert told["not_covered"] == ["the verdict"]
