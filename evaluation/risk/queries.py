"""Singling-out queries as polars expressions: the frame they are asked of, naive ones, and a whole table's worth.

``all_queries`` lists what anonymeter's random multivariate search can find at all, so that a short list is known to be
complete and not merely slow to grow.
"""

from functools import reduce
from itertools import combinations
from math import comb
from operator import and_, eq, ge, gt, le, lt, ne

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from evaluation.tables import MISSING
from synthgate.domain import Domain

MAX_COMPARISONS = 2_000_000_000
"""Row-by-row comparisons that ``all_queries`` makes at most before it gives up."""

COMBINATION_COST = 20_000
"""What one combination of columns costs besides, in comparisons."""

Codes = npt.NDArray[np.int64]


def plain(frame: pd.DataFrame, domain: Domain) -> pl.DataFrame:
    """The rows for asking: columns c0, c1, ... of Float64 or String, nulls where missing, no text of a cell.

    Names and texts are replaced (category codes, not categories), for polars reads some names as patterns and
    anonymeter escapes quotes in texts, after which they match nothing.
    """
    columns: dict[str, pl.Series] = {}
    for i, column in enumerate(domain.modelled):
        cells = frame[column.name].to_numpy()
        if cells.dtype.kind == "f":
            columns[f"c{i}"] = pl.Series(cells, dtype=pl.Float64, nan_to_null=True)
            continue
        names = {name: str(j) for j, name in enumerate(column.categories or ("false", "true"))} | {MISSING: None}
        columns[f"c{i}"] = pl.Series([names.get(cell) for cell in cells], dtype=pl.String)
    return pl.DataFrame(columns)


def naive_queries(
    sample: pl.DataFrame, size: int, width: int, *, generator: np.random.Generator
) -> tuple[pl.Expr, ...]:
    """``size`` queries of random columns, relations and released values (anonymeter's are not reproducible)."""
    values = [sample[name].unique(maintain_order=True).to_list() for name in sample.columns]

    def part(place: int) -> pl.Expr:
        name, value = sample.columns[place], values[place][generator.integers(len(values[place]))]
        numeric = sample.schema[name].is_numeric()
        relations = (eq, ne, gt, lt, ge, le) if numeric and value is not None else (eq, ne)
        relation = relations[generator.integers(len(relations))]
        if value is None:
            return pl.col(name).is_null() if relation is eq else pl.col(name).is_not_null()
        expression: pl.Expr = relation(pl.col(name), value)
        return expression

    def query() -> pl.Expr:
        return reduce(and_, map(part, sorted(generator.choice(sample.width, size=width, replace=False).tolist())))

    return tuple(query() for _ in range(size))


def all_queries(sample: pl.DataFrame, width: int, *, comparisons: int = MAX_COMPARISONS) -> list[pl.Expr] | None:
    """Every multivariate query of ``width`` columns that singles out one row of the sample; None where that would take
    more than ``comparisons``.

    As in anonymeter a query takes a released row's value in each column: equal for text, null for null, and for
    numbers at least (above the column's median) or at most (else) that value.
    """
    work = COMBINATION_COST * comb(sample.width, width)
    if work > comparisons:
        return None
    coded = [_coded(sample[name]) for name in sample.columns]
    found: list[pl.Expr] = []
    for places in combinations(range(sample.width), width):
        tuples, counts = np.unique(np.column_stack([coded[p].codes for p in places]), axis=0, return_counts=True)
        work += len(tuples) ** 2 * width
        if work > comparisons:
            return None
        matched = np.ones((len(tuples), len(tuples)), dtype=bool)
        for i, place in enumerate(places):
            matched &= coded[place].matches(tuples[:, i])
        for row in tuples[matched @ counts == 1]:
            parts = [coded[p].query(sample.columns[p], int(code)) for p, code in zip(places, row, strict=True)]
            found.append(reduce(and_, parts))
    return found


class _Coded:
    """One column as ranks of its distinct values (-1 for null), with the relation that each rank stands for."""

    def __init__(self, values: list[float | str], codes: Codes, above: npt.NDArray[np.bool_] | None) -> None:
        self.values = values
        self.codes = codes
        self._above = above

    def matches(self, asked: Codes) -> npt.NDArray[np.bool_]:
        """Whether query ``asked[i]`` is true of value ``asked[j]``, at [i, j]."""
        mine, other = asked[:, np.newaxis], asked[np.newaxis, :]
        if self._above is None:
            return np.equal(mine, other)
        upward = np.append(self._above, False)[mine]
        ordered = np.where(upward, other >= mine, (other <= mine) & (other >= 0))
        return np.where(mine < 0, other < 0, ordered)

    def query(self, name: str, code: int) -> pl.Expr:
        """The expression of one rank."""
        if code < 0:
            return pl.col(name).is_null()
        value = self.values[code]
        if self._above is None:
            return pl.col(name) == value
        return pl.col(name) >= value if self._above[code] else pl.col(name) <= value


def _coded(series: pl.Series) -> _Coded:
    values = series.drop_nulls().unique().sort().to_list()
    ranks = {value: i for i, value in enumerate(values)}
    codes = np.array([-1 if cell is None else ranks[cell] for cell in series.to_list()], dtype=np.int64)
    if not series.dtype.is_numeric():
        return _Coded(values, codes, None)
    median = series.median()
    return _Coded(values, codes, np.array([value > median for value in values], dtype=bool))
