"""Awkward tables through every metric of utility and fairness: scores or inconclusive ones, never an exception."""

import json
import warnings
from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tied_people import PEOPLE, SEED, people

from evaluation.base import Comparison
from evaluation.registry import Registry, default
from evaluation.run import compare
from evaluation.tables import MISSING
from synthgate.domain import Column, Domain, Kind

Tables = tuple[Domain, pd.DataFrame, pd.DataFrame, pd.DataFrame]

WORDS = ("\u202eright to left", "e\u0301", "\u00e9", "日本", "\u200b zero", "'; DROP", "<b>", "😀" * 20)
UNICODE = Domain(
    columns=tuple(
        Column(name=name, kind=Kind.CATEGORICAL, categories=WORDS, nullable=True, protected=True)
        for name in ("\u05d0\u05d1", "größe, =", "^a.*$")
    ),
    target="^a.*$",
)
NUMBERS = Domain(
    columns=(
        Column(name="huge", kind=Kind.INTEGER, low=-(2**53), high=2**53, nullable=True, protected=True),
        Column(name="tiny", kind=Kind.FLOAT, low=0.0, high=1e-280, nullable=True),
        Column(name="wide", kind=Kind.FLOAT, low=-1e300, high=1e300, nullable=True, protected=True),
        Column(
            name="old", kind=Kind.DATETIME, low=datetime(1, 1, 1), high=datetime(1899, 12, 31), nullable=True,
            protected=True,
        ),
        Column(name="small", kind=Kind.INTEGER, low=0, high=1, nullable=True),
    ),
    target="huge",
    other_targets=("tiny", "wide", "old", "small"),
    ordered=(("huge", "wide"),),
)  # fmt: skip
ALONE = Domain(
    columns=(Column(name="only", kind=Kind.BOOLEAN, protected=True, nullable=True),), target="only"
)  # fmt: skip
MANY = Domain(
    columns=(
        Column(name="id", kind=Kind.CATEGORICAL, categories=tuple(f"v{i}" for i in range(1_000)), protected=True),
        Column(name="n", kind=Kind.INTEGER, low=0, high=999, protected=True),
        Column(name="x", kind=Kind.FLOAT, low=0.0, high=1.0),
    ),
    target="id",
    other_targets=("x",),
)


def _words(size: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    cells = np.array([*WORDS, MISSING], dtype=object)
    return pd.DataFrame({c.name: cells[draw.integers(0, len(cells), size)] for c in UNICODE.columns})


def _numbers(size: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    old = (draw.random(size) * 1_890 - 1_969) * 31_556_952.0
    frame = pd.DataFrame(
        {
            "huge": draw.choice([2.0**53, -(2.0**53), 0.0], size),
            "tiny": draw.random(size) * 1e-280,
            "wide": draw.choice([1e300, -1e300, -0.0, 0.0], size),
            "old": old,
            "small": draw.integers(0, 2, size).astype(float),
        }
    )
    return frame.mask(draw.random(frame.shape) < 0.1)


def _many(size: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    order = draw.permutation(1_000)[:size]
    ids = np.array([f"v{i}" for i in order], dtype=object)
    return pd.DataFrame({"id": ids, "n": order.astype(float), "x": draw.random(len(order))})


def _alone(size: int, cell: str | None = None) -> pd.DataFrame:
    cells = np.random.default_rng(size).choice(["true", "false"], size) if cell is None else [cell] * size
    return pd.DataFrame({"only": np.array(cells, dtype=object)})


def _wide(columns: int, size: int) -> Tables:
    declared = tuple(
        Column(name=f"c{i}", kind=Kind.BOOLEAN, protected=i < 5)
        if i % 2
        else Column(name=f"c{i}", kind=Kind.FLOAT, low=0.0, high=1.0, protected=i < 5)
        for i in range(columns)
    )

    def rows(seed: int) -> pd.DataFrame:
        draw = np.random.default_rng(seed)
        return pd.DataFrame(
            {
                c.name: draw.choice(np.array(["true", "false"], dtype=object), size)
                if c.kind is Kind.BOOLEAN
                else draw.random(size)
                for c in declared
            }
        )

    return Domain(columns=declared, target="c1", other_targets=("c0",)), rows(1), rows(2), rows(3)


def _people(train: int, holdout: int, sample: int) -> Tables:
    return PEOPLE, people(train, 1), people(holdout, 2), people(sample, 3)


def _constant(size: int) -> pd.DataFrame:
    return pd.concat([people(1, 1)] * size, ignore_index=True)


def _null(size: int) -> pd.DataFrame:
    frame = people(size, 1)
    return frame.assign(**{c: np.nan if frame[c].dtype == float else MISSING for c in frame})


def _pairs(size: int) -> pd.DataFrame:
    """Two rows a category: nothing is left to shuffle within one."""
    frame = people(size, 4)
    frame["job"] = np.array(list("abcdef"), dtype=object)[(np.arange(size) // 2) % 6]
    return frame


AWKWARD: dict[str, Callable[[], Tables]] = {
    "empty sample": lambda: _people(200, 60, 0),
    "no rows at all": lambda: _people(0, 0, 0),
    "one row each": lambda: _people(1, 1, 1),
    "one row of the sample": lambda: _people(200, 60, 1),
    "one training row": lambda: _people(1, 60, 200),
    "two rows each": lambda: _people(2, 2, 2),
    "no holdout": lambda: _people(200, 0, 200),
    "thirty rows each": lambda: _people(30, 30, 30),
    "more sample than rows": lambda: _people(40, 40, 2_000),
    "constant": lambda: (PEOPLE, _constant(200), _constant(60), _constant(200)),
    "constant sample": lambda: (PEOPLE, people(200, 1), people(60, 2), _constant(200)),
    "constant private": lambda: (PEOPLE, _constant(200), _constant(60), people(200, 1)),
    "null": lambda: (PEOPLE, _null(200), _null(60), _null(200)),
    "null sample": lambda: (PEOPLE, people(200, 1), people(60, 2), _null(200)),
    "null private": lambda: (PEOPLE, _null(200), _null(60), people(200, 3)),
    "two rows a category": lambda: (PEOPLE, _pairs(12), _pairs(12), _pairs(12)),
    "unicode and bidi": lambda: (UNICODE, _words(300, 1), _words(120, 2), _words(300, 3)),
    "huge, tiny, old, negative zero": lambda: (NUMBERS, _numbers(300, 1), _numbers(120, 2), _numbers(300, 3)),
    "all distinct": lambda: (MANY, _many(600, 1), _many(300, 2), _many(600, 3)),
    "one column": lambda: (ALONE, _alone(300), _alone(100), _alone(300)),
    "one constant column": lambda: (ALONE, _alone(300, "true"), _alone(100, "true"), _alone(300, "false")),
    "300 columns": lambda: _wide(300, 150),
    "300 columns, one row": lambda: _wide(300, 1),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_tables_give_every_score_and_no_exception(name: str) -> None:
    domain, train, holdout, sample = AWKWARD[name]()
    comparison = Comparison(domain=domain, train=train, holdout=holdout, sample=sample)
    registry = Registry(m for m in default() if not m.name.startswith("risk."))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*converge.*")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        report = compare(comparison, seed=SEED, progress=lambda _: None, registry=registry)
    expected = {s.name for m in registry for s in m.measure(_nobody(domain), generator=np.random.default_rng(1)).scores}
    assert {score.name for score in report.scores} == expected
    assert all(score.usable or not score.conclusive for score in report.scores)
    document: Any = json.dumps(report.to_dict(), allow_nan=False)
    assert json.loads(document)["version"] == 1


def _nobody(domain: Domain) -> Comparison:
    """Tables without a row: every metric gives all its scores for them too."""
    none = pd.DataFrame({c.name: np.zeros(0, dtype=object if c.low is None else float) for c in domain.columns})
    return Comparison(domain=domain, train=none, holdout=none, sample=none)
