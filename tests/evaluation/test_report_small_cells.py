"""The report as a riddle: its document and the released table on one side, how many training rows have a rare value on
the other. Whoever solves for that count must be left with every number under ten.

Two attackers. One knows all other rows, makes the document for each count, and looks which counts it tells apart. The
other has formulas by which a count stands behind a figure, tries each on every number of the whole document, and reads
the count where the figure has enough digits. Both find the count where the exact figures are shown.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from report_cases import statement

from evaluation import held_back
from evaluation.base import Comparison
from evaluation.fairness.shares import GroupShares
from evaluation.registry import Registry, default
from evaluation.report import compose
from evaluation.risk.attack import Tally
from evaluation.run import compare
from evaluation.tables import normalise
from evaluation.utility.association import Association
from evaluation.utility.columns import Columns
from evaluation.utility.kmarginal import KMarginal
from evaluation.utility.marginals import Marginals
from evaluation.utility.ranges import Ranges
from evaluation.utility.violations import Violations
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind
from synthgate.policy import EXACT_POLICY, Finding, Outcome, Verdict
from synthgate.report import Report

RARE = (0, 1, 2, 3, 9)
TRAIN, HOLDOUT, SAMPLE, RELEASED = 2_000, 500, 2_500, 300
RELEASES = (0, 2, 12, 300)

DOMAIN = Domain(
    columns=(
        Column(name="hiv", kind=Kind.BOOLEAN, secret=True, protected=True),
        Column(name="flag", kind=Kind.INTEGER, low=0, high=1),
        Column(name="pay", kind=Kind.FLOAT, low=0.0, high=1_000.0),
        Column(name="age", kind=Kind.INTEGER, low=0, high=99, nullable=True),
        Column(name="sex", kind=Kind.CATEGORICAL, categories=("f", "m", "x"), protected=True),
    )
)
COUNTING = (Marginals, Columns, KMarginal, Association, Ranges, Violations, GroupShares)


def _table(rows: int, rare: int, seed: int) -> Any:
    """Of ``rows`` people ``rare`` ones, the same for every number: ill, flagged, with pay, without an age, of sex x."""
    draw = np.random.default_rng(seed)
    age, sex = draw.integers(0, 100, rows), draw.choice(["f", "m"], rows)
    them = np.arange(rows) < rare
    cells = {
        "hiv": them.tolist(),
        "flag": them.astype(int).tolist(),
        "pay": np.where(them, 990.0, 0.0).tolist(),
        "age": [None if out else int(value) for out, value in zip(them, age, strict=True)],
        "sex": np.where(them, "x", sex).tolist(),
    }
    return normalise(cells, DOMAIN)


def _document(report: Report) -> dict[str, Any]:
    verdict = Verdict(findings=tuple(Finding(rule=r, outcome=Outcome.PASSED) for r in EXACT_POLICY.concrete(DOMAIN)))
    sizes = PublicSizes(rows=TRAIN + HOLDOUT, units=TRAIN + HOLDOUT)
    claim = statement(sizes=sizes)
    found = compose(report, title="t", facts={}, verdict=verdict, statement=claim, domain=DOMAIN, policy=EXACT_POLICY)
    told: dict[str, Any] = json.loads(found.to_json())
    return told | {"scores": {score["name"]: score for score in told["scores"]}}


@cache
def _report(rare: int, held: int, *, counting: bool, released: int = RELEASED) -> Report:
    metrics = Registry(metric() for metric in COUNTING) if counting else default()
    tables = {"train": (TRAIN, rare, 1), "holdout": (HOLDOUT, held, 2), "sample": (SAMPLE, released, 3)}
    comparison = Comparison(domain=DOMAIN, **{name: _table(*how) for name, how in tables.items()})
    return compare(comparison, seed=bytes(32), progress=lambda _: None, registry=metrics)


def _numbers(told: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every number of a document with its place, those in texts included."""
    if isinstance(told, dict):
        for key, inner in told.items():
            yield from _numbers(inner, f"{path}.{key}")
    elif isinstance(told, list):
        for place, inner in enumerate(told):
            yield from _numbers(inner, f"{path}[{place}]")
    elif isinstance(told, str):
        found = re.findall(r"[−-]?\d+(?:[.,]\d+)*", told)
        yield from ((f"{path}#{i}", n.replace("−", "-").replace(",", "")) for i, n in enumerate(found))
    elif isinstance(told, (int, float)) and not isinstance(told, bool):
        yield path, repr(told)


OF_COUNTS = (
    ".details.fairness.shares", ".details.utility.columns", ".details.utility.marginals.shares",
    *(f".scores.{name}" for name in (
        "fairness.shares", "fairness.representation", "utility.association", "utility.coverage_categories",
        "utility.coverage_tails", "utility.tv1", "utility.tv1_worst", "utility.violations",
    )),
)  # fmt: skip
"""What is computed of the counts of single columns and of groups."""


def _told_apart(released: int = RELEASED, *, holdout: bool = False) -> set[str]:
    """Figures of counts by which documents of tables differ in which one to nine people are rare, or nobody is, among
    the training rows or in the holdout. Pairs of columns, and ages, of which other people have a part, may move by a
    step of the last decimal."""
    pairs = [(3, n) if holdout else (n, 1) for n in RARE]
    told = [dict(_numbers(_document(_report(*p, counting=True, released=released)))) for p in pairs]
    places = {place for place in set().union(*told) if place.startswith(OF_COUNTS)}
    others = re.compile(r"pairs|columns\[3\]|marginals\.shares\[3\]")
    steps = {p: sum(a != b for a, b in pairwise(each.get(p) for each in told)) for p in places}
    one = released < RELEASED or holdout  # the worst column, and a tail, can be of ages then
    return {p for p, count in steps.items() if count > (one or bool(others.search(p)))}


Formula = Callable[[int], float]
SHARE = RELEASED / SAMPLE
FORMULAS: dict[str, Formula] = {
    "total variation, or a gap of shares": lambda rare: abs(SHARE - rare / TRAIN),
    "half a gap": lambda rare: abs(SHARE - rare / TRAIN) / 2,
    "a share": lambda rare: rare / TRAIN,
    "what is left of a share": lambda rare: 1 - rare / TRAIN,
    "a share in per cent": lambda rare: 100 * rare / TRAIN,
    "a count": lambda rare: rare,
    "what is left of a count": lambda rare: TRAIN - rare,
    "a ratio of shares": lambda rare: (1 - SHARE) / (1 - rare / TRAIN),
    "a spread": lambda rare: float(np.sqrt(rare / TRAIN * (1 - rare / TRAIN))),
    "a score of 1,000": lambda rare: 1_000 * (1 - abs(SHARE - rare / TRAIN)),
}


def _solved() -> set[str]:
    """Formulas that find the count, with fewer than ten left over, behind the same number of every document."""
    documents = {rare: dict(_numbers(_document(_report(rare, 1, counting=False)))) for rare in RARE if rare}
    found = set()
    for name, formula in FORMULAS.items():
        for place in set(documents[1]).intersection(*documents.values()):
            left = {rare: _left(formula, told[place]) for rare, told in documents.items()}
            if all(rare in counts and len(counts) < 10 for rare, counts in left.items()):
                found.add(f"{name}: {place}")
    return found


def _left(formula: Formula, number: str) -> set[int]:
    """The counts up to fifty that the number leaves possible, by its digits."""
    half = 0.5 * 10.0 ** -len(number.partition(".")[2]) + 1e-9
    return {rare for rare in range(51) if abs(formula(rare) - float(number)) <= half}


@pytest.mark.guarantee("report-holds-back")
@pytest.mark.parametrize("released", RELEASES)
@pytest.mark.parametrize("holdout", [False, True])
def test_no_count_under_ten_is_told_from_another(released: int, holdout: bool) -> None:
    assert _told_apart(released, holdout=holdout) == set()


@pytest.mark.guarantee("report-holds-back")
def test_no_formula_finds_a_count_under_ten() -> None:
    assert _solved() == set()


@pytest.mark.guarantee("report-holds-back")
def test_exact_figures_are_solved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the document with the scores that rules read, not those that are shown."""
    monkeypatch.setattr(sys.modules["evaluation.report.compose"], "shown", lambda report: report)
    solved = {name.partition(":")[0] for name in _solved() if "scores" in name}
    assert {"total variation, or a gap of shares"} <= solved
    assert any("scores" in place for place in _told_apart())


@pytest.mark.guarantee("report-holds-back")
def test_exact_shares_of_columns_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: cells of fewer than ten rows are shown with the others."""
    monkeypatch.setattr(held_back, "MIN_CELL", 1)
    _report.cache_clear()
    try:
        apart = _told_apart()
    finally:
        _report.cache_clear()
    assert {place.rpartition(".")[2] for place in apart} >= {"tv", "distance"}


def _one_column(rare: int) -> dict[str, str]:
    """The numbers of the document about a table of nothing but the rare value."""
    domain = Domain(columns=DOMAIN.columns[:1])
    tables = {"train": (TRAIN, rare, 1), "holdout": (HOLDOUT, 1, 2), "sample": (SAMPLE, 60, 3)}
    frames = {name: _table(*how)[["hiv"]] for name, how in tables.items()}
    report = compare(Comparison(domain=domain, **frames), seed=bytes(32), progress=lambda _: None)
    return dict(_numbers(_document(report)["scores"])) | dict(_numbers(_document(report)["details"]))


@pytest.mark.guarantee("report-holds-back")
def test_a_table_of_one_column_tells_no_count_under_ten() -> None:
    """Every score follows from one count there, that of models, of subsamples and of attacks too."""
    told = [_one_column(rare) for rare in RARE]
    assert {p for p in set().union(*told) if len({each.get(p) for each in told}) > 1} == set()


@pytest.mark.guarantee("report-holds-back")
@pytest.mark.parametrize("of", [30, 300, 2_000])
def test_successes_of_attacks_are_shown_alike_up_to_nine(of: int) -> None:
    """Counts and their interval: nothing tells 0 from 9 successes, nor 0 from 9 failures."""
    few = {Tally(attacks=of, main=n, control=0, naive=n).score("risk.linkability").as_shown() for n in range(10)}
    most = {Tally(attacks=of, main=of - n, control=of, naive=of).score("x").as_shown() for n in range(10)}
    assert {(s.value, s.low, s.high) for s in few} == {(s.value, s.low, s.high) for s in most}
    assert len({(s.value, s.low, s.high) for s in few | most}) == 1
    exact = [Tally(attacks=of, main=n, control=0, naive=n).score("x") for n in range(10)]
    assert len({(round(s.value, 3), round(s.high, 3)) for s in exact}) > 5, "the exact ones tell them"
