"""True numbers of private rows and units stand nowhere in a report: where sizes are declared they are private.

The tables have numbers that nothing else in a document has, and that are no multiple of ten."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from report_cases import statement

from evaluation.base import Comparison
from evaluation.registry import default
from evaluation.report import compose, decision_page, page
from evaluation.run import compare
from evaluation.tables import MISSING
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind
from synthgate.policy import EXACT_POLICY, Finding, Outcome, Verdict

TRAIN, HOLDOUT, SAMPLE = 3_517, 877, 4_400
PERSONS = (1_759, 439)
DOMAIN = Domain(
    columns=(
        Column(name="sex", kind=Kind.CATEGORICAL, categories=("f", "m"), protected=True),
        Column(name="job", kind=Kind.CATEGORICAL, categories=tuple("abcd"), nullable=True),
        Column(name="pay", kind=Kind.FLOAT, low=0.0, high=10.0),
        Column(name="age", kind=Kind.INTEGER, low=0, high=90),
        Column(name="ill", kind=Kind.BOOLEAN, secret=True),
    ),
    target="ill",
    other_targets=("pay",),
    link=(("sex", "job"), ("pay", "age")),
)


def _rows(size: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sex": draw.choice(np.array(["f", "m"], dtype=object), size),
            "job": draw.choice(np.array(["a", "b", "c", "d", MISSING], dtype=object), size),
            "pay": draw.random(size) * 10,
            "age": draw.integers(0, 91, size).astype(float),
            "ill": draw.choice(np.array(["true", "false"], dtype=object), size),
        }
    )


@cache
def _told(persons: bool) -> str:
    """All forms of a document, its JSON first."""
    sides = {}
    if persons:
        sides = {"train_units": np.arange(TRAIN) // 2, "holdout_units": np.arange(HOLDOUT) // 2}
    frames = {"train": _rows(TRAIN, 1), "holdout": _rows(HOLDOUT, 2), "sample": _rows(SAMPLE, 3)}
    comparison = Comparison(domain=DOMAIN, **frames, **sides)
    report = compare(comparison, seed=bytes(32), progress=lambda _: None, registry=default())
    verdict = Verdict(findings=tuple(Finding(rule=r, outcome=Outcome.PASSED) for r in EXACT_POLICY.concrete(DOMAIN)))
    sizes = PublicSizes(rows=SAMPLE, units=SAMPLE // (2 if persons else 1), max_rows=2 if persons else 1)
    found = compose(
        report, title="t", facts={}, verdict=verdict, statement=statement(sizes=sizes), domain=DOMAIN,
        policy=EXACT_POLICY,
    )  # fmt: skip
    return "\n".join((found.to_json().decode(), page(found), decision_page(found, "ab" * 32)))


def _counts(text: str) -> Iterator[int]:
    """Every whole number, with a comma in it or not, that is no part of another number."""
    without = re.sub(r"<svg.*?</svg>", "", text, flags=re.DOTALL)
    yield from (int(n.replace(",", "")) for n in re.findall(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?![\d.,]?\d)", without))
    yield from (int(n) for n in re.findall(r"(?<![\d.,])\d{2,6}(?![.,]?\d)", without))


@pytest.mark.guarantee("report-holds-back")
@pytest.mark.parametrize("persons", [False, True])
def test_no_true_size_stands_in_a_report(persons: bool) -> None:
    """Nor half of it, less one or more, which is how references, folds and degrees of freedom come about."""
    sizes = {TRAIN, HOLDOUT, *(PERSONS if persons else ())}
    private = {n + more for size in sizes for n in (size, size // 2, size - size // 2) for more in (-1, 0, 1)}
    private = {n for n in private if n % 10}
    assert not private & set(_counts(_told(persons)))


@pytest.mark.guarantee("report-holds-back")
def test_the_search_finds_a_size_that_is_told() -> None:
    """Planted: a remark with the number of training rows, as text and as a number."""
    for planted in (f"of {TRAIN:,} training rows", f"{HOLDOUT} attacks;", json.dumps({"attacks": HOLDOUT})):
        found: set[Any] = set(_counts(planted))
        assert found & {TRAIN, HOLDOUT}
