"""What may be asked of a released model: read by the declared kind of the column, refused in plain words."""

from datetime import datetime
from typing import Any

import pytest

from synthgate.derivation import Allowed, Condition, Derivation, Rebalance, Share, allowed, strata
from synthgate.domain import Column, Domain, Kind, Role
from synthgate.errors import InvalidArgument

DOMAIN = Domain(
    columns=(
        Column(name="who", kind=Kind.CATEGORICAL, role=Role.IDENTIFIER),
        Column(name="income", kind=Kind.CATEGORICAL, categories=("<=50K", ">50K", "a..b", "x=y, z:1"), nullable=True),
        Column(name="age", kind=Kind.INTEGER, low=-5, high=90),
        Column(name="pay", kind=Kind.FLOAT, low=0.0, high=1e6, nullable=True),
        Column(name="ill", kind=Kind.BOOLEAN),
        Column(name="seen", kind=Kind.DATETIME, low=datetime(2000, 1, 1), high=datetime(2020, 1, 1)),
    )
)

READ: list[tuple[str, str, dict[str, Any]]] = [
    ("income", "<=50K", {"value": "<=50K"}),
    ("income", "a..b", {"value": "a..b"}),
    ("income", "x=y, z:1", {"value": "x=y, z:1"}),
    ("income", "", {"null": True}),
    ("pay", "", {"null": True}),
    ("ill", "true", {"value": True}),
    ("ill", "false", {"value": False}),
    ("age", "30", {"low": 30, "high": 30}),
    ("age", "-5..-1", {"low": -5, "high": -1}),
    ("age", "80..", {"low": 80, "high": 90}),
    ("age", "..0", {"low": -5, "high": 0}),
    ("age", "..", {"low": -5, "high": 90}),
    ("age", "80..1000", {"low": 80, "high": 90}),
    ("pay", "1e3..2.5e3", {"low": 1e3, "high": 2.5e3}),
    ("seen", "2001-02-03", {"low": datetime(2001, 2, 3), "high": datetime(2001, 2, 3)}),
    ("seen", "2001-02-03..2002-01-01T12:30", {"low": datetime(2001, 2, 3), "high": datetime(2002, 1, 1, 12, 30)}),
]


@pytest.mark.parametrize(("column", "value", "wanted"), READ, ids=lambda v: v if isinstance(v, str) else "")
def test_a_condition_is_read_by_its_column(column: str, value: str, wanted: dict[str, Any]) -> None:
    assert allowed(Condition(column=column, value=value), DOMAIN) == Allowed(column=DOMAIN[column], **wanted)


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("who", "x", "no released column"),
        ("nobody", "x", "no released column"),
        ("income", "50K", "does not declare"),
        ("age", "", "never null"),
        ("ill", "True", "true or false"),
        ("age", "30.5", "whole numbers"),
        ("age", "old", "whole numbers"),
        ("age", "9" * 400, "whole numbers"),
        ("pay", "nan", "takes numbers"),
        ("pay", "0..inf", "takes numbers"),
        ("pay", "1..2..3", "takes numbers"),
        ("seen", "2001-02-30", "ISO 8601"),
        ("seen", "2001-02-03T00:00:00Z", "without a zone"),
        ("age", "39..30", "lower to the higher"),
        ("age", "91..", "lower to the higher"),
        ("age", "91", "declared are values from -5 to 90"),
    ],
)
def test_what_the_declaration_does_not_cover_is_refused(column: str, value: str, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        allowed(Condition(column=column, value=value), DOMAIN)


def shares(**given: float) -> Rebalance:
    return Rebalance(column="income", shares=tuple(Share(value=v, share=s) for v, s in given.items()))


def test_shares_are_equal_or_given() -> None:
    assert [(a.value, s) for a, s in strata(Rebalance(column="income"), DOMAIN)] == [
        (value, 0.25) for value in ("<=50K", ">50K", "a..b", "x=y, z:1")
    ]
    assert [(a.value, s) for a, s in strata(Rebalance(column="ill"), DOMAIN)] == [(False, 0.5), (True, 0.5)]
    found = strata(shares(**{">50K": 0.3, "": 0.7}), DOMAIN)
    assert [(a.value, a.null, s) for a, s in found] == [(">50K", False, 0.3), (None, True, 0.7)]


@pytest.mark.parametrize(
    "faulty",
    [
        Rebalance(column="age"),
        Rebalance(column="nobody"),
        shares(**{">50K": 0.5}),
        shares(**{">50K": 1.5, "<=50K": -0.5}),
        shares(**{">50K": 1.0, "<=50K": 0.0}),
        shares(**{">50K": float("nan"), "<=50K": 0.5}),
        shares(**{"rich": 1.0}),
        Rebalance(column="income", shares=(Share(value=">50K", share=0.5),) * 2),
        Rebalance(column="ill", shares=(Share(value="", share=1.0),)),
    ],
    ids=range(9),
)
def test_shares_that_cannot_be_are_refused(faulty: Rebalance) -> None:
    with pytest.raises(InvalidArgument):
        strata(faulty, DOMAIN)


def test_a_column_is_named_once() -> None:
    twice = (Condition(column="age", value="30"), Condition(column="age", value="40"))
    for given in ({"conditions": twice}, {"conditions": twice[:1], "rebalance": Rebalance(column="age")}):
        with pytest.raises(InvalidArgument, match="name each once"):
            Derivation(source="r", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(("rows", "fits"), [(0, True), (1, True), (1_000, True), (1_001, False), (-1, False)])
def test_rows_go_to_ten_times_the_sources(rows: int, fits: bool) -> None:
    asked = Derivation(source="r", rows=rows)
    if fits:
        asked.check(DOMAIN, source_rows=100)
    else:
        with pytest.raises(InvalidArgument, match="1,000 rows"):
            asked.check(DOMAIN, source_rows=100)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"replicates": 1}, "2 to 100"),
        ({"replicates": 101}, "2 to 100"),
        ({"replicates": -2}, "2 to 100"),
        ({"replicates": 2, "conditions": (Condition(column="age", value="30"),)}, "whole populations"),
        ({"replicates": 2, "rebalance": Rebalance(column="ill")}, "whole populations"),
    ],
    ids=str,
)
def test_replicates_are_some_and_of_whole_populations(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        Derivation(source="r", **given)


def test_replicates_need_a_name_for_their_column() -> None:
    taken = Domain(columns=(Column(name="_replicate", kind=Kind.BOOLEAN),))
    with pytest.raises(InvalidArgument, match="cannot be numbered"):
        Derivation(source="r", replicates=2).check(taken, source_rows=100)
    Derivation(source="r").check(taken, source_rows=100)


@pytest.mark.parametrize(
    ("replicates", "rows", "fits"), [(10, 0, True), (11, 0, False), (20, 50, True), (20, 51, False), (2, 500, True)]
)
def test_rows_of_replicates_count_together(replicates: int, rows: int, fits: bool) -> None:
    asked = Derivation(source="r", rows=rows, replicates=replicates)
    if fits:
        asked.check(DOMAIN, source_rows=100)
    else:
        with pytest.raises(InvalidArgument, match="times the source's in all"):
            asked.check(DOMAIN, source_rows=100)


def test_what_was_attested_before_there_were_replicates_reads_as_it_did() -> None:
    assert "replicates" not in Derivation(source="r").to_dict()
    assert Derivation.from_dict({"source": "r", "conditions": [], "rebalance": None, "rows": 5}).replicates == 0


def test_a_derivation_survives_json() -> None:
    several = Derivation(source="r-1", rows=7, replicates=10)
    assert Derivation.from_dict(several.to_dict()) == several
    asked = Derivation(
        source="r-1", conditions=(Condition(column="pay", value=""),), rebalance=shares(**{">50K": 1.0}), rows=7
    )
    assert Derivation.from_dict(asked.to_dict()) == asked
    assert Derivation.from_dict(Derivation(source="r").to_dict()) == Derivation(source="r")
