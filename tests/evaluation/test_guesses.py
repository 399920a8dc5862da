"""Guesses of numbers: what is right follows the released values, wherever the declared bounds lie."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anonymeter.evaluators.inference_evaluator import evaluate_inference_guesses

from evaluation import per_unit
from evaluation.base import Comparison
from evaluation.margin import margin
from evaluation.risk import inference
from evaluation.risk.guesses import right, tolerance
from evaluation.risk.inference import Inference
from evaluation.risk.near_copies import BOUND, NearCopies
from evaluation.run import keyed
from evaluation.tables import normalise
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind, Role
from synthgate.policy import INFERENCE, Rule

Drawn = Callable[[np.random.Generator, int], list[Any]]
SEED = b"a seed of guesses"
SIZE = 1_500
SIZES = PublicSizes(rows=2 * SIZE, units=2 * SIZE)


def _secret(kind: Kind, low: Any, high: Any) -> Column:
    return Column(name="s", kind=kind, low=low, high=high, role=Role.SENSITIVE, secret=True)


def _days(draw: np.random.Generator, size: int) -> list[datetime]:
    return [datetime(2015, 1, 1) + timedelta(days=int(day)) for day in draw.integers(0, 3650, size)]


def _spiked(draw: np.random.Generator, size: int) -> list[float]:
    return np.where(draw.random(size) < 0.7, 0.0, np.exp(draw.normal(7, 1, size))).round(2).tolist()


SECRETS: dict[str, tuple[Column, Drawn]] = {
    "a year of birth": (_secret(Kind.INTEGER, 0, 2100), lambda draw, size: draw.integers(1940, 2006, size).tolist()),
    "a date": (_secret(Kind.DATETIME, datetime(1900, 1, 1), datetime(2030, 1, 1)), _days),
    "a balance": (_secret(Kind.FLOAT, -1e6, 1e6), lambda draw, size: draw.normal(0, 300, size).round(2).tolist()),
    "a tiny unit": (_secret(Kind.FLOAT, 0.0, 1e-13), lambda draw, size: (draw.random(size) * 1e-13).tolist()),
    "mostly nothing": (_secret(Kind.FLOAT, -1e9, 1e9), _spiked),
}


def _tables(name: str) -> tuple[Comparison, Comparison]:
    """A table that holds every trained row, and one of strangers."""
    secret, drawn = SECRETS[name]
    plain = tuple(Column(name=n, kind=Kind.INTEGER, low=0, high=high) for n, high in (("zip", 99_999), ("age", 99)))
    domain, draw = Domain(columns=(*plain, secret)), np.random.default_rng(1)

    def people() -> pd.DataFrame:
        cells = {"zip": draw.integers(0, 100_000, SIZE).tolist(), "age": draw.integers(0, 100, SIZE).tolist()}
        return normalise({**cells, "s": drawn(draw, SIZE)}, domain)

    train, holdout, fresh = people(), people(), people()
    made = [Comparison(domain=domain, train=train, holdout=holdout, sample=s) for s in (train, fresh)]
    return made[0], made[1]


def _exact(tables: Comparison) -> tuple[float, float]:
    (score,) = Inference().measure(tables, generator=keyed(SEED, "risk.inference")).scores
    return score.low, score.high


def _term(tables: Comparison) -> int:
    rules = (Rule(score=INFERENCE + "s", at_most=0.09),)
    return margin(tables, rules, SIZES, sigma=9.0, seed=SEED).terms[INFERENCE + "s"]


@pytest.mark.parametrize("name", SECRETS)
def test_copied_secrets_are_convicted_and_strangers_are_not(name: str) -> None:
    """By the exact score, and by the margin, to which chance adds some 16 units. Of a column that is mostly 0, half of
    the guesses show: that many zeros are guessed of strangers too."""
    copied, fresh = _tables(name)
    assert _exact(copied)[0] > 0.3 > 0.09 > _exact(fresh)[1]
    assert _term(copied) > 150 > 30 > _term(fresh)


@pytest.mark.parametrize("name", ["a year of birth", "a balance", "a tiny unit"])
def test_five_per_cent_of_the_distance_to_a_far_bound_convict_nobody(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault, which was the rule once: what is right depends on the declared lower bound."""

    def by_the_bound(guesses: Any, secrets: Any, column: Column, within: float) -> Any:
        low = column.number(column.low)
        sides = (pd.Series(cells - low) for cells in (guesses, secrets))
        found = evaluate_inference_guesses(*sides, regression=True)
        return found if column.high != 1e-13 else np.abs(guesses - secrets) <= 1e-12

    monkeypatch.setattr(inference, "right", by_the_bound)
    monkeypatch.setattr(per_unit.guesses, "right", by_the_bound)
    copied, _ = _tables(name)
    assert _exact(copied)[1] < 0.09
    assert _term(copied) < 0


@pytest.mark.parametrize("kind", ["bounds that are far too wide", "bounds that fit"])
def test_near_copies_are_seen_whatever_bounds_are_declared(kind: str) -> None:
    """Every trained row, its postcode off by at most 3 and its balance by five cents."""
    copied, fresh = _tables("a balance")
    draw, moved = np.random.default_rng(2), copied.train.copy()
    moved["zip"] = np.clip(moved["zip"] + draw.choice([-3, -2, -1, 1, 2, 3], SIZE), 0, 99_999)
    moved["s"] += draw.uniform(-0.05, 0.05, SIZE)
    secret = SECRETS["a balance"][0] if kind.endswith("wide") else _secret(Kind.FLOAT, -1500.0, 1500.0)
    domain = Domain(columns=(*copied.domain.columns[:2], secret))

    def score(sample: pd.DataFrame) -> Any:
        tables = Comparison(domain=domain, train=copied.train, holdout=copied.holdout, sample=sample)
        return NearCopies().measure(tables, generator=keyed(SEED, "risk.near_copies")).scores[0]

    assert score(moved).low > BOUND > score(fresh.sample).high
    assert "a twentieth" in score(moved).note


def test_the_tolerance_by_hand() -> None:
    """Quartiles of 1 to 8 are 2 and 6; of 1 to 4, which stand among many 0, they are 1 and 3."""
    numbers = np.arange(1.0, 9.0)
    assert tolerance(numbers) == pytest.approx(0.2)
    assert tolerance(np.append(numbers, [np.nan] * 9)) == pytest.approx(0.2)
    assert tolerance(np.array([0.0] * 12 + [1.0, 2.0, 3.0, 4.0])) == pytest.approx(0.1)
    assert tolerance(np.array([0.0] * 9 + [7.0] * 3)) == 0.0
    assert tolerance(np.zeros(5)) == tolerance(np.full(3, np.nan)) == tolerance(np.zeros(0)) == 0.0
    assert np.isfinite(tolerance(np.array([-1.7e308, 0.0, 1.0, 1.7e308])))
    assert tolerance(1e-13 * numbers) == pytest.approx(0.2e-13)


def test_what_is_right_by_hand() -> None:
    number = Column(name="s", kind=Kind.FLOAT, low=-50.0, high=500.0, nullable=True)
    guesses, truth = np.array([1.0, 1.0, 1.0, np.nan, np.nan, 1e308]), np.array([1.2, 1.3, np.nan, np.nan, 1.0, -1e308])
    assert right(guesses, truth, number, 0.25).tolist() == [True, False, False, True, False, False]
    assert right(np.array([1.0, 1.0]), np.array([1.0, 1.0 + 1e-15]), number, 0.0).tolist() == [True, False]
    label = Column(name="s", kind=Kind.CATEGORICAL, categories=("x", "y"))
    found = right(np.array(["x", "y"], dtype=object), np.array(["x", "x"], dtype=object), label, 0.0)
    assert found.tolist() == [True, False]


def test_the_report_says_what_counts_as_right() -> None:
    copied, _ = _tables("a date")
    found = Inference().measure(copied, generator=keyed(SEED, "risk.inference"))
    within = found.details["right_within"]["s"]
    assert 60 * 86_400 < within < 120 * 86_400, "a twentieth of about five years"
    assert f"right within {within:.4g} seconds" in found.scores[0].note
