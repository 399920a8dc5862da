"""Figures of use do not hang on how wide a column is declared, and a table without a usable feature gets scores too."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from tied_people import SEED

from evaluation.base import Comparison, Metric
from evaluation.fairness.prediction import GroupPrediction
from evaluation.run import keyed
from evaluation.tables import MISSING
from evaluation.utility.association import Association, strength
from evaluation.utility.columns import Columns
from evaluation.utility.propensity import Propensity
from evaluation.utility.tstr import TrainOnSynthetic
from synthgate.domain import Column, Domain, Kind
from synthgate.report import Score


def _domain(reach: float, target: str) -> Domain:
    numbers = [Column(name=n, kind=Kind.FLOAT, low=-reach, high=reach) for n in ("a", "b")]
    return Domain(
        columns=(*numbers, Column(name="y", kind=Kind.BOOLEAN), Column(name="g", kind=Kind.BOOLEAN, protected=True)),
        target=target,
    )


def _rows(size: int, seed: int, *, cut: bool = False) -> pd.DataFrame:
    """Two numbers and a truth value that follow one another, and a group that follows nothing; or every tie cut."""
    draw = np.random.default_rng(seed)
    z = draw.normal(size=size)
    a = np.clip(50 + 15 * z, 0, 100).round(1)
    b = np.clip(50 + 14 * z + 3 * draw.normal(size=size), 0, 100).round(1)
    y = np.where(z + 0.3 * draw.normal(size=size) > 0, "true", "false").astype(object)
    if cut:
        a, b, y = (values[draw.permutation(size)] for values in (a, b, y))
    group = draw.choice(np.array(["true", "false"], dtype=object), size)
    return pd.DataFrame({"a": a, "b": b, "y": y, "g": group})


def _scores(metric: Metric, domain: Domain, *, cut: bool) -> dict[str, Score]:
    tables: dict[str, Any] = {"train": _rows(900, 1), "holdout": _rows(400, 2), "sample": _rows(900, 3, cut=cut)}
    found = metric.measure(Comparison(domain=domain, **tables), generator=keyed(SEED, metric.name))
    return {score.name: score for score in found.scores}


RELATIONS = {
    "utility.association": 0.4, "utility.tstr_gap": 0.2, "utility.tstr_linear_gap": 0.05, "utility.tstr_gap_worst": 0.2,
    "utility.propensity_auc": 0.85, "utility.pmse_ratio": 30.0,
}  # fmt: skip
"""What a release without any relation scores at least."""


@pytest.mark.parametrize("target", ["y", "a"])
@pytest.mark.parametrize("reach", [1e2, 1e10, 2.0**53, 1e300])
def test_cut_relations_show_however_wide_the_bounds_are(reach: float, target: str) -> None:
    metrics: tuple[Metric, ...] = (Association(), TrainOnSynthetic(), Propensity())
    for metric in metrics:
        cut = _scores(metric, _domain(reach, target), cut=True)
        close = _scores(metric, _domain(1e2, target), cut=True)
        for name, score in cut.items():
            assert score.value > RELATIONS.get(name, -9.0), name
            assert score.value == pytest.approx(close[name].value, abs=1e-3), name


@pytest.mark.parametrize("scale", [1e-280, 1.0, 1e280])
def test_a_strength_has_no_unit(scale: float) -> None:
    draw = np.random.default_rng(1)
    x = draw.random(200)
    y, group = x + draw.random(200), (x > 0.5).astype(float)
    for both, pair in (((True, True), (x, y)), ((False, True), (group, y))):
        plain = strength(*pair, numeric=both)
        assert 0.5 < plain < 0.95
        left = pair[0] * scale if both[0] else pair[0]
        assert strength(left, pair[1] * scale, numeric=both) == pytest.approx(plain)


@pytest.mark.parametrize("value", [0.1, 1.7e9 + 0.1, 1e300, -3e-290])
def test_a_constant_number_has_no_relation(value: float) -> None:
    """The mean of equal numbers is not always that number; what is left must not count as a relation."""
    x, constant = np.random.default_rng(1).random(777), np.full(777, value)
    assert strength(x, constant, numeric=(True, True)) == 0.0
    assert strength((x > 0.5).astype(float), constant, numeric=(False, True)) == 0.0


@pytest.mark.parametrize("kind", [Kind.CATEGORICAL, Kind.FLOAT])
@pytest.mark.parametrize("side", ["train", "sample"])
@pytest.mark.parametrize("target", ["ill", "cost"])
def test_a_target_whose_only_feature_has_no_cell_is_a_guess(target: str, side: str, kind: Kind) -> None:
    told = {"categories": ("a", "b")} if kind is Kind.CATEGORICAL else {"low": 0.0, "high": 1.0}
    wanted = (
        Column(name="ill", kind=Kind.BOOLEAN, protected=True)
        if target == "ill"
        else Column(name="cost", kind=Kind.FLOAT, low=0.0, high=9.0)
    )
    domain = Domain(columns=(wanted, Column(name="code", kind=kind, nullable=True, **told)), target=target)

    def rows(size: int, seed: int, *, null: bool) -> pd.DataFrame:
        draw = np.random.default_rng(seed)
        truths, letters = (draw.choice(np.array(v, dtype=object), size) for v in (["true", "false"], ["a", "b"]))
        code, nothing = (draw.random(size), np.nan) if kind is Kind.FLOAT else (letters, MISSING)
        wanted = truths if target == "ill" else 9 * draw.random(size)
        return pd.DataFrame({target: wanted, "code": np.full(size, nothing, dtype=code.dtype) if null else code})

    tables = {
        "train": rows(400, 1, null=side == "train"),
        "holdout": rows(100, 2, null=side == "train"),
        "sample": rows(400, 3, null=side == "sample"),
    }
    metrics: tuple[Metric, ...] = (TrainOnSynthetic(), GroupPrediction(), Propensity(), Association())
    for metric in metrics:
        found = metric.measure(Comparison(domain=domain, **tables), generator=keyed(SEED, metric.name))
        assert all(score.usable or not score.conclusive for score in found.scores)
        if metric.name == "utility.tstr" and target == "ill":
            score = {s.name: s for s in found.scores}["utility.tstr_linear"]
            assert score.value == 0.5 if side == "sample" else 0.3 < score.value < 0.7


@pytest.mark.parametrize(("kind", "rows"), [(Kind.FLOAT, 200), (Kind.BOOLEAN, 200), (Kind.FLOAT, 9), (Kind.BOOLEAN, 9)])
def test_coverage_of_nothing_is_not_complete(kind: Kind, rows: int) -> None:
    """Without a numeric column there is no tail, without another no category, and of nine rows neither counts."""
    bounds: dict[str, Any] = {"low": 0.0, "high": 1.0} if kind is Kind.FLOAT else {}
    domain = Domain(columns=(Column(name="x", kind=kind, **bounds),))

    def table(seed: int) -> pd.DataFrame:
        draw = np.random.default_rng(seed)
        cells = draw.random(rows) if kind is Kind.FLOAT else draw.choice(np.array(["true", "false"], object), rows)
        return pd.DataFrame({"x": cells})

    comparison = Comparison(domain=domain, train=table(1), holdout=table(2), sample=table(3))
    found = Columns().measure(comparison, generator=keyed(SEED, "x"))
    scores = {s.name: s for s in found.scores}
    measured = {"utility.coverage_tails": kind is Kind.FLOAT, "utility.coverage_categories": kind is Kind.BOOLEAN}
    for name, there in measured.items():
        assert scores[name].usable == scores[name].conclusive == (there and rows > 9), name
        assert scores[name].usable or not scores[name].as_shown().usable
