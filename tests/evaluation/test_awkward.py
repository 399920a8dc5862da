"""Sixty awkward tables through every metric of the registry: a score or an inconclusive one, never an exception."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.base import Comparison
from evaluation.registry import default
from evaluation.run import keyed
from evaluation.tables import normalise
from synthgate.domain import MAX_INTEGER, Column, Domain, Kind, Role

Cells = dict[str, list[Any]]
WORDS = (
    "Straße",
    "\u05e9\u05dc\u05d5\u05dd",
    "\u202egnorw\u202c",
    "日本語",
    "e\u0301",
    "\U0001f600",
    'it\'s "q"',
    "^a.*$",
    "$1",
)


def _number(name: str = "n", **changes: Any) -> Column:
    return Column(**{"name": name, "kind": Kind.FLOAT, "low": 0.0, "high": 1.0, "nullable": True} | changes)


def _integer(name: str, low: int, high: int, **changes: Any) -> Column:
    return Column(name=name, kind=Kind.INTEGER, low=low, high=high, nullable=True, **changes)


def _label(name: str, *categories: str, **changes: Any) -> Column:
    return Column(name=name, kind=Kind.CATEGORICAL, categories=categories or ("x", "y"), nullable=True, **changes)


def _flag(name: str = "t") -> Column:
    return Column(name=name, kind=Kind.BOOLEAN, nullable=True, secret=True)


def _moment(name: str, low: datetime, high: datetime) -> Column:
    return Column(name=name, kind=Kind.DATETIME, low=low, high=high, nullable=True, secret=True)


def _domain(*columns: Column, target: str | None = None) -> Domain:
    return Domain(columns=columns, target=target)


ROWS: dict[str, tuple[Domain, Callable[[int, np.random.Generator], Cells]]] = {
    "constant": (
        _domain(_number(secret=True), _label("c"), _flag(), target="t"),
        lambda n, draw: {"n": [0.5] * n, "c": ["x"] * n, "t": [True] * n},
    ),
    "all null": (
        _domain(_number(secret=True), _label("c"), _flag(), target="t"),
        lambda n, draw: {"n": [None] * n, "c": [None] * n, "t": [None] * n},
    ),
    "one value or null": (
        _domain(_number(secret=True), _label("c"), _flag(), target="c"),
        lambda n, draw: {"n": [0.25, None] * (n // 2) + [None] * (n % 2), "c": ["y"] + [None] * (n - 1),
                         "t": [None] * (n - 1) + [False]},
    ),
    "all distinct": (
        _domain(_number("a"), _number("b"), _number("n", secret=True), target="n"),
        lambda n, draw: {name: draw.random(n).tolist() for name in "abn"},
    ),
    "300 columns": (
        _domain(*(_label(f"c{i}", secret=i == 7) if i % 2 else _number(f"c{i}") for i in range(300)), target="c1"),
        lambda n, draw: {f"c{i}": draw.choice(["x", "y"], n).tolist() if i % 2 else draw.random(n).tolist()
                         for i in range(300)},
    ),
    "two rows a category": (
        _domain(_label("c", *map(str, range(400))), _label("s", *map(str, range(400)), secret=True), target="c"),
        lambda n, draw: {"c": [str(i // 2) for i in range(n)], "s": [str(i // 2) for i in range(n)][::-1]},
    ),
    "unicode and bidirectional text": (
        _domain(_label("naïve שם", *WORDS), _label("日", *WORDS, secret=True), target="日"),
        lambda n, draw: {"naïve שם": draw.choice(WORDS, n).tolist(), "日": draw.choice(WORDS, n).tolist()},
    ),
    "huge integers": (
        _domain(_integer("a", -MAX_INTEGER, MAX_INTEGER), _integer("b", MAX_INTEGER - 3, MAX_INTEGER, secret=True),
                target="b"),
        lambda n, draw: {"a": draw.choice([-MAX_INTEGER, MAX_INTEGER, 0, 1], n).tolist(),
                         "b": draw.integers(MAX_INTEGER - 3, MAX_INTEGER + 1, n).tolist()},
    ),
    "negative zero": (
        _domain(_number("a", low=-1.0), _number("b", low=-1.0, secret=True), target="a"),
        lambda n, draw: {"a": draw.choice([-0.0, 0.0], n).tolist(), "b": draw.choice([-0.0, 0.0, 5e-324], n).tolist()},
    ),
    "extreme floats": (
        _domain(_number("a", low=-1e300, high=1e300), _number("b", low=0.0, high=1e-290, secret=True), target="a"),
        lambda n, draw: {"a": draw.choice([-1e300, 1e300, 1e-300], n).tolist(),
                         "b": (draw.random(n) * 1e-290).tolist()},
    ),
    "dates before 1900": (
        _domain(_moment("d", datetime(1, 1, 1), datetime(1899, 12, 31)), _label("c"), target="c"),
        lambda n, draw: {"d": [datetime(1, 1, 1) + timedelta(days=int(i)) for i in draw.integers(0, 600_000, n)],
                         "c": draw.choice(["x", "y"], n).tolist()},
    ),
    "one column": (_domain(_number(secret=True)), lambda n, draw: {"n": draw.random(n).round(2).tolist()}),
    "one category": (
        _domain(_label("c", "only", secret=True), _flag(), target="c"),
        lambda n, draw: {"c": ["only"] * n, "t": draw.choice([True, False], n).tolist()},
    ),
    "one outlier": (
        _domain(_number("a", high=1e9), _number("b", high=1e9, secret=True), target="b"),
        lambda n, draw: {"a": [1e9] + [0.0] * (n - 1), "b": [0.0] * (n - 1) + [1e9]},
    ),
    "nothing that an attacker knows": (
        _domain(_number("a", role=Role.SENSITIVE, secret=True), _label("c", role=Role.SENSITIVE, secret=True)),
        lambda n, draw: {"a": draw.random(n).tolist(), "c": draw.choice(["x", "y"], n).tolist()},
    ),
}  # fmt: skip

SIZES = {
    "a small table": (120, 66, 80),
    "one training row": (1, 40, 30),
    "one released row": (70, 70, 1),
    "more held out than trained": (35, 90, 50),
}
TABLES = [(content, size) for content in ROWS for size in SIZES]


def _comparison(content: str, size: str) -> Comparison:
    domain, make = ROWS[content]
    frames: Iterator[pd.DataFrame] = (
        normalise(make(n, np.random.default_rng([i, n])), domain) for i, n in enumerate(SIZES[size])
    )
    train, holdout, sample = frames
    return Comparison(domain=domain, train=train, holdout=holdout, sample=sample)


def test_there_are_sixty() -> None:
    assert len(TABLES) == 60


@pytest.mark.parametrize(("content", "size"), TABLES, ids=[f"{c}, {s}" for c, s in TABLES])
def test_an_awkward_table_is_scored_or_told_as_inconclusive(content: str, size: str) -> None:
    comparison = _comparison(content, size)
    for metric in default():
        found = metric.measure(comparison, generator=keyed(b"sixty awkward tables", metric.name))
        for score in found.scores:
            assert score.usable or not score.conclusive, score
            assert score.usable or score.note, "what could not be told says why"
            assert not any(word in score.note for word in WORDS), "no note quotes a cell"
        json.dumps(dict(found.details), allow_nan=False)
        json.dumps([score.to_dict() for score in found.scores], allow_nan=False)
