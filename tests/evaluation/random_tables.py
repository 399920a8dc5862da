"""Random small comparisons, and the same with one privacy unit less: what an accounted verdict must hardly notice."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd

from evaluation.base import Comparison
from evaluation.tables import MISSING
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind, Role
from synthgate.policy import COPIES, Rule

DOMAIN = Domain(
    columns=(
        Column(name="age", kind=Kind.INTEGER, low=-5, high=40, nullable=True),
        Column(name="pay", kind=Kind.FLOAT, low=-1.0, high=3.0),
        Column(name="born", kind=Kind.DATETIME, low=datetime(1890, 1, 1), high=datetime(2000, 1, 1), nullable=True),
        Column(name="town", kind=Kind.CATEGORICAL, categories=("a", "b", "ü", "\u202e"), nullable=True),
        Column(name="ill", kind=Kind.BOOLEAN, role=Role.SENSITIVE, secret=True),
        Column(name="debt", kind=Kind.FLOAT, low=0.0, high=9.0, role=Role.SENSITIVE, secret=True, nullable=True),
    )
)
RULES = tuple(
    Rule(score=score, at_most=bound)
    for score, bound in (
        ("risk.singling_out.univariate", 0.09), ("risk.singling_out.multivariate", 0.09), ("risk.linkability", 0.09),
        ("risk.inference.ill", 0.15), ("risk.inference.debt", 0.05), (COPIES, 0.01),
        ("utility.tv1", 0.1), ("utility.tv2", 0.3), ("utility.tv3", 0.5),
    )
)  # fmt: skip
"""Every kind of rule that an accounted verdict decides."""


def sizes(units: int, max_rows: int) -> PublicSizes:
    return PublicSizes(rows=units * max_rows, units=units, max_rows=max_rows)


def frame(rows: int, draw: np.random.Generator) -> pd.DataFrame:
    """Few distinct values, so that ties, equal rows and empty cells are everywhere."""
    spread = draw.integers(1, 12)
    nulls = draw.random() * 0.5

    def numbers(low: float, high: float, *, nullable: bool) -> np.ndarray:
        cells = np.round(draw.integers(0, spread, rows) / max(spread - 1, 1) * (high - low)) + low
        return np.where(draw.random(rows) < (nulls if nullable else 0), np.nan, cells)

    born = DOMAIN["born"]
    town = draw.choice([*DOMAIN["town"].categories, MISSING], rows)
    cells = {
        "age": numbers(-5, 40, nullable=True),
        "pay": numbers(-1, 3, nullable=False),
        "born": numbers(born.number(born.low), born.number(born.high), nullable=True),
        "town": town.astype(object),
        "ill": draw.choice(["false", "true"], rows).astype(object),
        "debt": numbers(0, 9, nullable=True),
    }
    return pd.DataFrame(cells)


def comparison(draw: np.random.Generator, *, units: int, max_rows: int) -> Comparison:
    """Both sides and a sample, of which a random share of rows is copied from either side."""
    sides, numbers = [], []
    for count in (round(0.8 * units), round(0.2 * units) + int(draw.integers(0, 6))):
        each = draw.integers(1, max_rows + 1, count)
        numbers.append(np.repeat(np.arange(count), each))
        sides.append(frame(int(each.sum()), draw))
    sample = frame(int(draw.integers(40, 200)), draw)
    copied = pd.concat(sides).sample(n=int(draw.integers(1, 20)), random_state=int(draw.integers(2**31)))
    sample = pd.concat([sample, *[copied] * int(draw.integers(0, 3))], ignore_index=True)
    return Comparison(
        domain=DOMAIN, train=sides[0], holdout=sides[1], sample=sample, train_units=numbers[0],
        holdout_units=numbers[1],
    )  # fmt: skip


def without(comparison: Comparison, unit: int, *, trained: bool) -> Comparison:
    """The same without one unit's rows, numbered without gaps and, to be sure, in another order of rows."""
    name = "train" if trained else "holdout"
    rows, numbers = getattr(comparison, name), getattr(comparison, f"{name}_units")
    kept = np.flatnonzero(numbers != unit)[::-1]
    renumbered = np.unique(numbers[kept], return_inverse=True)[1]
    changed = {name: rows.iloc[kept].reset_index(drop=True), f"{name}_units": renumbered}
    return replace(comparison, **changed)
