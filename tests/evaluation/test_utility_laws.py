"""Laws of every utility score: the training rows are perfect, fresh people nearly so, columns without ties convicted.

Bounds on fresh people and shuffled columns lie at least six standard deviations (over 12 draws of 2,000 rows) from what
such tables score on average.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tied_people import PEOPLE, compared, measured, people, shuffled

from evaluation import held_back
from evaluation.base import Comparison, Metric
from evaluation.registry import default
from evaluation.utility import columns, coverage
from evaluation.utility.columns import Columns
from evaluation.utility.kmarginal import KMarginal, equals, fresh_percent
from evaluation.utility.propensity import Propensity, pmse_ratio
from evaluation.utility.ranges import Ranges
from evaluation.utility.tstr import TrainOnSynthetic
from evaluation.utility.violations import Violations
from synthgate.domain import Column, Domain, Kind
from synthgate.report import Better, Score

PERFECT = {
    "utility.kmarginal": 1_000.0,
    "utility.equals_percent": 100.0,
    "utility.propensity_auc": 0.5,
    "utility.coverage_categories": 1.0,
    "utility.coverage_tails": 1.0,
    "fairness.representation": 1.0,
}
"""What the training rows score against themselves; 0 where nothing stands here."""
DRAWS = 12
ABSOLUTE = {"utility.tstr", "utility.tstr_linear", "utility.tv2_excess"}
"""Scores that say how well something is done, or how much better than people are; perfection is no fixed number."""
FRESH = {
    "utility.tv1": 0.07, "utility.tv2": 0.12, "utility.tv3": 0.18, "utility.tv4": 0.26, "utility.tv2_excess": 0.04,
    "utility.association": 0.06, "utility.tstr": 0.87, "utility.tstr_gap": 0.04, "utility.tstr_linear": 0.89,
    "utility.tstr_linear_gap": 0.03, "utility.tstr_gap_worst": 0.04, "utility.kmarginal": 825.0,
    "utility.equals_percent": 17.0, "utility.ranges": 0.02, "utility.propensity_auc": 0.56, "utility.pmse_ratio": 2.8,
    "utility.tv1_worst": 0.13, "utility.coverage_categories": 1.0, "utility.coverage_tails": 0.64,
    "utility.violations": 0.0, "fairness.shares": 0.09, "fairness.representation": 0.57, "fairness.tstr_gap": 0.16,
    "fairness.demographic_parity": 0.26, "fairness.equal_opportunity": 0.35,
}  # fmt: skip
"""Other people of the same population are not worse than this."""
SHUFFLED = {
    "utility.tv2": 0.19, "utility.tv3": 0.38, "utility.tv4": 0.58, "utility.tv2_excess": 0.1,
    "utility.association": 0.4, "utility.tstr": 0.85, "utility.tstr_gap": 0.1, "utility.tstr_gap_worst": 0.5,
    "utility.kmarginal": 620.0, "utility.equals_percent": 6.0, "utility.propensity_auc": 0.93,
    "utility.pmse_ratio": 40.0, "utility.violations": 0.12,
}  # fmt: skip
"""The same columns without ties are worse than this. The other scores look at one column or at rates alone."""


def _metrics() -> Iterator[Metric]:
    yield from (m for m in default() if not m.name.startswith("risk."))


def _all(sample: pd.DataFrame) -> dict[str, Score]:
    comparison = compared(sample)
    return {name: score for metric in _metrics() for name, score in measured(metric, comparison)[0].items()}


def _worse(score: Score, bound: float) -> bool:
    return score.value > bound if score.better is Better.LOWER else score.value < bound


def test_the_training_rows_themselves_are_perfect() -> None:
    found = _all(people(2_000, 1))
    assert all(score.usable for score in found.values())
    for name, score in found.items():
        if name not in ABSOLUTE:
            assert score.value == pytest.approx(PERFECT.get(name, 0.0), abs=1e-9), name


def test_fresh_people_are_nearly_perfect() -> None:
    found = _all(people(2_000, 3))
    assert set(found) == set(FRESH)
    assert {name for name, score in found.items() if _worse(score, FRESH[name])} == set()


def test_columns_without_ties_are_convicted() -> None:
    found = _all(shuffled(people(2_000, 1), 1))
    assert {name for name, bound in SHUFFLED.items() if not _worse(found[name], bound)} == set()
    assert found["utility.tv1"].value == pytest.approx(0.0)


@pytest.mark.slow
def test_the_bounds_lie_six_standard_deviations_away() -> None:
    found: dict[tuple[str, str], list[float]] = {}
    for draw in range(DRAWS):
        train, holdout = people(2_000, 100 + 3 * draw), people(1_000, 101 + 3 * draw)
        for kind, sample in (("fresh", people(2_000, 102 + 3 * draw)), ("shuffled", shuffled(train, draw))):
            comparison = Comparison(domain=PEOPLE, train=train, holdout=holdout, sample=sample)
            for metric in _metrics():
                for name, score in measured(metric, comparison)[0].items():
                    found.setdefault((name, kind), []).append(score.value)
    for (name, kind), values in found.items():
        mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
        print(f"{name:30s} {kind:8s} {mean:9.4f} ± {spread:.4f}")
        bound = (FRESH if kind == "fresh" else SHUFFLED).get(name)
        if bound is not None and spread > 0:
            assert abs(bound - mean) >= 6 * spread, name


def test_fresh_rows_read_as_the_share_that_the_formula_says() -> None:
    """A third for as many rows; the reading's standard deviation is 2.5, the tolerance six of them over four draws."""
    assert fresh_percent(1_000, 1_000) == pytest.approx(100 / 3)
    assert fresh_percent(1_250, 1_000) == pytest.approx(100 / 2.8)
    readings = [
        measured(KMarginal(), compared(people(2_000, seed)))[0]["utility.equals_percent"].value for seed in range(3, 7)
    ]
    assert np.mean(readings) == pytest.approx(100 / 3, abs=7.5)


@pytest.mark.parametrize("percent", [2, 30, 90])
def test_a_subsample_of_the_training_rows_reads_as_its_share(percent: int) -> None:
    part = people(2_000, 1).sample(20 * percent, random_state=1)
    value = measured(KMarginal(), compared(part))[0]["utility.equals_percent"].value
    assert value == pytest.approx(percent, rel=0.35)


def test_the_reading_is_a_line_between_subsamples() -> None:
    scores = [float(s) for s in np.linspace(100, 900, 16)]
    assert equals(0.0, scores) == 0.0
    assert equals(50.0, scores) == pytest.approx(0.25)
    assert equals(scores[4], scores) == pytest.approx(10.0)
    assert equals(1_000.0, scores) == 100.0


def test_k_marginal_by_hand() -> None:
    """Two columns, so pairs: training 40 10 10 40, the sample 25 each, total variation 0.3: 700 of 1,000."""
    domain = Domain(columns=tuple(Column(name=n, kind=Kind.BOOLEAN) for n in "ab"))
    cells = [("false", "false"), ("false", "true"), ("true", "false"), ("true", "true")]
    train, sample = (
        pd.DataFrame([c for c, n in zip(cells, counts, strict=True) for _ in range(n)], columns=["a", "b"])
        for counts in ((40, 10, 10, 40), (25, 25, 25, 25))
    )
    comparison = Comparison(domain=domain, train=train, holdout=train, sample=sample)
    found, details = measured(KMarginal(), comparison)
    assert found["utility.kmarginal"].value == pytest.approx(700.0)
    assert len(details.details["subsamples"]) == len(details.details["percents"])


def test_the_expected_propensity_error_is_exact_over_permutations() -> None:
    """The ratio's mean over all 20 ways of labelling three of six rows is 1, whatever the features."""
    draw = np.random.default_rng(4)
    features = draw.normal(size=(6, 2)) * [1.0, 1_000.0]
    features = np.column_stack([features, features.sum(axis=1), np.ones(6)])
    ratios = []
    for chosen in combinations(range(6), 3):
        labels = np.isin(np.arange(6), chosen).astype(float)
        ratio, rank = pmse_ratio(features, labels)
        assert rank == 2
        ratios.append(ratio)
    assert np.mean(ratios) == pytest.approx(1.0)


def test_a_constant_release_cannot_hide_among_training_rows() -> None:
    """Equal released rows are spread over the folds: in one fold they would be scored by models that know none."""
    constant = pd.concat([people(1, 9)] * 500, ignore_index=True)
    found = measured(Propensity(), compared(constant))[0]
    assert found["utility.propensity_auc"].value > 0.95


def test_copies_do_not_look_better_than_they_are_to_a_cross_fitted_model() -> None:
    """Half the rows copied, half made of untied columns: what a model has learned of a twin would hide the latter."""
    train = people(2_000, 1)
    half = pd.concat([train[:1_000], shuffled(train, 1)[:1_000]], ignore_index=True)
    assert measured(Propensity(), compared(half))[0]["utility.propensity_auc"].value > 0.6


def test_a_range_that_is_missed_shows() -> None:
    sample = people(2_000, 1)
    sample["age"] = 18.0
    found, details = measured(Ranges(), compared(sample))
    assert found["utility.ranges"].value > 0.05
    assert details.details["errors"][2] > 0.5


def test_dropped_categories_and_cut_tails_are_missed() -> None:
    sample = people(2_000, 1)
    sample["job"] = "c"
    sample["first"] = sample["first"].clip(3.0, 6.0)
    found, details = measured(Columns(), compared(sample))
    assert found["utility.coverage_categories"].value == pytest.approx((1 + 1 / 6 + 1) / 3)
    assert found["utility.coverage_tails"].value == pytest.approx((1 + 1 + 0 + 0 + 1 + 1) / 6)
    entries = {entry["column"]: entry for entry in details.details["columns"]}
    assert entries["first"]["tails"] == {"low": 0.0, "high": 0.0}
    assert entries["job"]["categories"] == {"released": 1, "of": 6}
    assert found["utility.tv1_worst"].as_shown().value == entries["job"]["tv"]
    assert found["utility.tv1_worst"].value == pytest.approx(entries["job"]["tv"], abs=0.005)
    assert len(entries["age"]["pairs"]) == 5


def test_every_kind_of_violation_counts_a_row_once() -> None:
    """Five of 100 rows: an undeclared category, a missing cell, one beyond its bounds, one that falls, one that does
    all of it. A missing cell of a nullable column is none."""
    sample = people(100, 1)
    sample.loc[[0, 4], "sex"] = "x"
    sample.loc[[1, 4], "age"] = np.nan
    sample.loc[[2, 4], "first"] = -1.0
    sample.loc[[3, 4], "last"] = sample.loc[[3, 4], "first"] - 0.5
    sample.loc[5, "job"] = "\x00missing"
    found, details = measured(Violations(), compared(sample))
    assert found["utility.violations"].value == pytest.approx(0.05)
    assert dict(details.details["broken"])["first <= last"] == pytest.approx(0.02)
    assert "; fewer than 10 of the training rows break one" in found["utility.violations"].note


def test_every_declared_target_is_predicted_by_both_learners() -> None:
    found, details = measured(TrainOnSynthetic(), compared(people(2_000, 3)))
    models = {(m["target"], m["learner"]): m for m in details.details["models"]}
    assert set(models) == {(t, k) for t in PEOPLE.targets for k in ("boosted", "linear")}
    assert models["last", "linear"]["measure"] == "R squared"
    assert models["last", "linear"]["synthetic"] > 0.9
    worst = max(m["real"] - m["synthetic"] for m in models.values())
    assert found["utility.tstr_gap_worst"].value == pytest.approx(worst, abs=0.001)


def test_a_target_that_cannot_be_told_is_not_passed_over() -> None:
    sample = people(2_000, 3)
    sample["last"] = np.nan
    found = measured(TrainOnSynthetic(), compared(sample))[0]
    assert found["utility.tstr"].usable
    assert not found["utility.tstr_gap_worst"].usable


def test_a_target_of_many_categories_is_told_by_its_largest() -> None:
    names = tuple(f"v{i}" for i in range(40))
    column = Column(name="word", kind=Kind.CATEGORICAL, categories=names)
    domain = Domain(columns=(*PEOPLE.columns, column), target="word")
    tables = {}
    for name, seed in (("sample", 1), ("train", 2), ("holdout", 3)):
        frame = people(1_500, seed)
        frame["word"] = np.array(names, dtype=object)[np.minimum(39, np.floor(frame["first"] * 4)).astype(int)]
        tables[name] = frame
    comparison = Comparison(domain=domain, **tables)
    found = measured(TrainOnSynthetic(), comparison)[0]
    assert found["utility.tstr"].value > 0.8
    assert found["utility.tstr_linear"].value > 0.6


def _told(missing: int) -> tuple[pd.DataFrame, dict[str, dict[str, Any]]]:
    """A training table of 60 rows with so many of them without a job and without a number; what the details say."""
    train = people(60, 1)
    train["job"] = np.where(np.arange(60) < missing, "\x00missing", "c").astype(object)
    train["first"] = train["first"].where(np.arange(60) >= missing)
    nullable = tuple(replace(c, nullable=True) for c in PEOPLE.columns)
    comparison = Comparison(domain=replace(PEOPLE, columns=nullable), train=train, holdout=train, sample=people(60, 3))
    return train, {e["column"]: e for e in measured(Columns(), comparison)[1].details["columns"]}


def _given_away(missing: int) -> set[str]:
    """Figures of the details that tell of fewer than ten training rows."""
    _, entries = _told(missing)
    out = set()
    if 0 < min(missing, 60 - missing) < 10:
        out |= {"missing" for name in ("job", "first") if entries[name]["missing"]["train"] is not None}
    if 60 - missing < 10:
        out |= {key for key in ("mean", "spread") if entries["first"][key]["train"] is not None}
        out |= {"tails" for tail in entries["first"]["tails"].values() if tail is not None}
    if 0 < missing < 10 and entries["job"]["categories"]["of"] > 1:
        out.add("categories")
    shown = [round(60 * s) for name in ("job", "first") for s in entries[name]["shares"]["train"]]
    return out | {"shares" for n in shown if 0 < n < 10}


@pytest.mark.parametrize("missing", [0, 1, 9, 10, 30, 50, 51, 59, 60])
def test_the_details_of_a_column_tell_of_ten_rows_or_none(missing: int) -> None:
    assert _given_away(missing) == set()


@pytest.mark.parametrize(("module", "leak"), [(columns, "missing"), (columns, "mean"), (coverage, "tails")])
def test_planted_leaks_of_the_details_are_convicted(module: Any, leak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_CELL", 1)
    monkeypatch.setattr(held_back, "MIN_CELL", 1)
    assert leak in _given_away(55)
