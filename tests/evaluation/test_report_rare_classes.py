"""A class of a target that fewer than ten private rows have: a report reads the same for none of them and for nine.

The attacker knows all other rows and the release, makes the document for each count, and looks whether any number, text
or mark of it differs. Rare rows come beside the others, or in place of some of them: then figures of the others, which
are fewer, may move, but nothing about the document's form.
"""

import json
import re
from functools import cache
from typing import Any

import numpy as np
import pytest
from report_cases import statement

from evaluation import held_back
from evaluation.base import Comparison
from evaluation.fairness.prediction import GroupPrediction
from evaluation.registry import Registry
from evaluation.report import compose
from evaluation.run import compare
from evaluation.tables import normalise
from evaluation.utility import learners
from evaluation.utility.tstr import TrainOnSynthetic
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind
from synthgate.policy import EXACT_POLICY, Finding, Outcome, Verdict

COUNTS = (0, 1, 4, 9)
TRAIN, HOLDOUT, SAMPLE = 600, 250, 600
FEATURES = tuple(Column(name=name, kind=Kind.FLOAT, low=0.0, high=1.0) for name in "abc")
SEX = Column(name="sex", kind=Kind.CATEGORICAL, categories=("f", "m"), protected=True)
TARGETS = {
    "two classes": Column(name="y", kind=Kind.BOOLEAN),
    "three classes": Column(name="y", kind=Kind.CATEGORICAL, categories=("low", "high", "rare")),
    "number": Column(name="y", kind=Kind.FLOAT, low=0.0, high=10.0),
}


def _domain(kind: str) -> Domain:
    return Domain(columns=(*FEATURES, SEX, TARGETS[kind]), target="y")


def _table(kind: str, rows: int, rare: int, seed: int, *, beside: bool) -> Any:
    """``rows`` people whose target follows the features, the first of them rare, or as many rare ones more."""
    draw = np.random.default_rng(seed)
    total = TRAIN + 20
    features, sex, noise = draw.random((total, 3)), draw.choice(["f", "m"], total), draw.normal(0, 0.2, total)
    order = np.concatenate((np.arange(rows), total - 1 - np.arange(rare))) if beside else np.arange(rows)
    features, sex, noise = features[order], sex[order], noise[order]
    them = np.arange(len(order)) >= rows if beside else np.arange(rows) < rare
    high = features.sum(axis=1) + noise > 1.5
    cells = {
        "two classes": them.tolist(),
        "three classes": np.where(them, "rare", np.where(high, "high", "low")).tolist(),
        "number": np.where(them, 5.0 + features[:, 0], 0.0).tolist(),
    }
    told = {name: features[:, i].tolist() for i, name in enumerate("abc")}
    return normalise({**told, "sex": sex.tolist(), "y": cells[kind]}, _domain(kind))


@cache
def _document(kind: str, train: int, held: int, *, beside: bool, released: int) -> str:
    """The document, as text, without the tables' names of cells that are of the release alone."""
    domain = _domain(kind)
    tables = {"train": (TRAIN, train, 1), "holdout": (HOLDOUT, held, 2)}
    frames = {name: _table(kind, *how, beside=beside) for name, how in tables.items()}
    sample = _table(kind, SAMPLE, released, 3, beside=False)
    registry = Registry((TrainOnSynthetic(), GroupPrediction()))
    comparison = Comparison(domain=domain, sample=sample, **frames)
    report = compare(comparison, seed=bytes(32), progress=lambda _: None, registry=registry)
    verdict = Verdict(findings=tuple(Finding(rule=r, outcome=Outcome.PASSED) for r in EXACT_POLICY.concrete(domain)))
    claim = statement(sizes=PublicSizes(rows=TRAIN + HOLDOUT, units=TRAIN + HOLDOUT))
    found = compose(report, title="t", facts={}, verdict=verdict, statement=claim, domain=domain, policy=EXACT_POLICY)
    return found.to_json().decode()


def _documents(kind: str, side: str, *, beside: bool, released: int = 60) -> list[str]:
    pairs = [(count, 9) if side == "train" else (9, count) for count in COUNTS]
    return [_document(kind, *pair, beside=beside, released=released) for pair in pairs]


def _form(document: str) -> str:
    """Every number as a mark, every digit of a text too: what is told, with how many decimals."""
    told = json.loads(document, parse_float=lambda _: "number")
    return re.sub(r"[-\u2212]?\d", "#", json.dumps(told, ensure_ascii=False))


@pytest.mark.guarantee("report-holds-back")
@pytest.mark.parametrize("side", ["train", "holdout"])
@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("released", [0, 60])
def test_none_and_nine_rows_of_a_class_beside_the_others_read_alike(kind: str, side: str, released: int) -> None:
    assert len(set(_documents(kind, side, beside=True, released=released))) == 1


@pytest.mark.guarantee("report-holds-back")
@pytest.mark.parametrize("side", ["train", "holdout"])
@pytest.mark.parametrize("kind", TARGETS)
def test_none_and_nine_rows_of_a_class_among_the_others_have_one_form(kind: str, side: str) -> None:
    assert len({_form(document) for document in _documents(kind, side, beside=False)}) == 1


@pytest.mark.guarantee("report-holds-back")
def test_classes_that_ten_rows_have_are_told_of() -> None:
    scores = {s["name"]: s for s in json.loads(_document("three classes", 5, 5, beside=True, released=60))["scores"]}
    assert "AUC on the holdout: 0.9" in scores["utility.tstr"]["note"]
    assert scores["utility.tstr"]["value"] > 0.9
    assert scores["utility.tstr"]["conclusive"]


@pytest.mark.guarantee("report-holds-back")
@pytest.mark.parametrize("side", ["train", "holdout"])
def test_what_is_learned_of_rare_rows_tells_them(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: classes are shown whatever their number."""
    for module in (held_back, learners):
        monkeypatch.setattr(module, "MIN_CELL", 1)
    _document.cache_clear()
    try:
        for kind in TARGETS:
            assert len(set(_documents(kind, side, beside=True))) > 1, kind
    finally:
        _document.cache_clear()
