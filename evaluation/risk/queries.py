"""Singling-out queries as polars expressions: the frame they are asked of, naive ones, and a whole table's worth.

``search`` lists what anonymeter's random multivariate search can find at all, so that a short list is known to be
complete and not merely slow to grow.
"""

from functools import reduce
from math import comb
from operator import and_, eq, ge, gt, le, lt, ne

import numpy as np
import pandas as pd
import polars as pl

from evaluation.groups import Group, choose_groups
from evaluation.risk.predicates import GROUPING, Coded, code, drawn, joined, lone, lone_of_group
from evaluation.tables import MISSING
from synthgate.domain import Domain

MAX_COMPARISONS = 3_000_000_000
"""Rows that `search` and `draw` compare with a predicate, at most, for one number of columns: some ten seconds."""

MAX_GROUPS = 50_000
"""Combinations of columns that `search` looks at, at most."""

ATTEMPTS = 100
"""Random attempts at a predicate, for each query wanted, before the whole space is searched."""

BATCH = 10_000
"""Random attempts that are drawn at a time."""

AMPLE = 4
"""Times the queries wanted, of which some are chosen, that a search of the whole space lists."""


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


def condensed(sample: pl.DataFrame, wanted: int, *, generator: np.random.Generator) -> list[pl.DataFrame]:
    """One column each, cut to what univariate queries can come of: values that occur once in the whole sample (at most
    ``wanted`` over all columns, by keyed choice), and extremes and nulls, twice where they occur more than once.

    anonymeter's search over these finds what it would find over the sample, in linear time.
    """
    frames, singles = [], []
    for place, name in enumerate(sample.columns):
        counts = sample[name].drop_nulls().value_counts(name="n").sort(name)
        frames.append(counts)
        singles += [(place, value) for value in counts.filter(pl.col("n") == 1)[name].to_list()]
    kept: list[set[float | str]] = [set() for _ in frames]
    for i in generator.permutation(len(singles))[:wanted].tolist():
        kept[singles[i][0]].add(singles[i][1])
    out = []
    for name, counts, values in zip(sample.columns, frames, kept, strict=True):
        ends = counts if counts.height < 3 else pl.concat([counts.head(1), counts.tail(1)])
        ends = ends if sample.schema[name].is_numeric() else ends.clear()
        cells: list[float | str | None] = [*sorted(values - set(ends[name].to_list()))]
        cells += [value for value, n in ends.iter_rows() for _ in range(min(n, 2))]
        cells += [None] * min(sample[name].null_count(), 2)
        out.append(pl.DataFrame({name: pl.Series(cells, dtype=sample.schema[name])}))
    return out


def search_cost(width: int, columns: int, rows: int) -> int:
    """Comparisons that listing the queries of ``width`` columns takes at least; infinitely many beyond `MAX_GROUPS`."""
    groups = comb(columns, width)
    return groups * rows * width * GROUPING if groups <= MAX_GROUPS else 2**62


def draw(
    sample: pl.DataFrame,
    coded: Coded,
    width: int,
    wanted: int,
    *,
    generator: np.random.Generator,
    comparisons: int = MAX_COMPARISONS,
) -> tuple[list[pl.Expr], int]:
    """Up to ``wanted`` distinct queries of random rows and columns, as anonymeter draws them, and the comparisons made.

    The attempts are at most `ATTEMPTS` times ``wanted``.
    """
    found: dict[tuple[int, ...], pl.Expr] = {}
    spent = 0
    for _ in range(-(-ATTEMPTS * wanted // BATCH)):
        groups = drawn(sample.width, width, BATCH, generator=generator)
        rows = generator.integers(sample.height, size=BATCH)
        single, looked = lone(coded, groups, rows, comparisons - spent)
        spent += looked
        for i in np.flatnonzero(single).tolist():
            places = groups[i].tolist()
            found.setdefault((int(rows[i]), *places), joined(coded, places, int(rows[i])))
            if len(found) == wanted:
                return list(found.values()), spent
        if spent > comparisons:
            break
    return list(found.values()), spent


Predicate = tuple[Group, int]
"""A group of columns and the row whose values a query takes."""


def search(
    sample: pl.DataFrame, width: int, *, generator: np.random.Generator, comparisons: int = MAX_COMPARISONS
) -> tuple[list[pl.Expr], bool]:
    """Multivariate queries of ``width`` columns that single out one row of the sample, and whether these are all.

    As in anonymeter a query takes a released row's value in each column: equal for text, null for null, and for
    numbers at least (above the column's median) or at most (else) that value. Combinations of columns are searched in
    keyed order until ``comparisons`` are made.
    """
    if sample.height == 0:
        return [], True
    coded = code(sample)
    found, complete = listed(coded, width, generator=generator, comparisons=comparisons)
    return [joined(coded, *predicate) for predicate in found], complete


def listed(
    coded: Coded, width: int, *, generator: np.random.Generator, comparisons: int, enough: int | None = None
) -> tuple[list[Predicate], bool]:
    """The same as columns and rows; it also ends where ``enough`` are found."""
    if comparisons <= 0:
        return [], False
    columns = len(coded.names)
    groups = choose_groups(columns, width, MAX_GROUPS, generator=generator)
    complete = len(groups) == comb(columns, width)
    found: list[Predicate] = []
    for i in generator.permutation(len(groups)).tolist():
        rows, spent = lone_of_group(coded, groups[i], comparisons)
        comparisons -= spent
        found += [(groups[i], row) for row in rows.tolist()]
        if comparisons < 0 or (enough is not None and len(found) >= enough):
            return found, False
    return found, complete
