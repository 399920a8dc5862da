"""Shares of a column's bins in sample and training, merged until every training count is at least ten.

What is shown of the training rows is never a cell with fewer than ten people, an empty one included, nor anything from
which such a cell follows by subtraction: small categories are pooled, small bins join their neighbour.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from synthgate.domain import NUMERIC, Column, Kind

MIN_CELL = 10

Codes = npt.NDArray[np.int64]


def shares(column: Column, sample: Codes, train: Codes) -> dict[str, Any]:
    """``{"column", "labels", "sample", "train"}`` with shares in [0, 1], codes as in `evaluation.tables.codes`.

    Rows without a declared value count only where the column is nullable. Without ten training rows nothing is shown.
    """
    numeric = column.kind in NUMERIC
    size = len(column.edges) if numeric else len(_names(column)) + 1
    counts = [np.bincount(side, minlength=size)[: size if column.nullable else size - 1] for side in (sample, train)]
    groups = _bins(counts[1], column.nullable) if numeric else _categories(counts[1])
    shown = [[int(side[list(g)].sum()) for g in groups] for side in counts]
    totals = [sum(side) for side in shown]
    if totals[1] < MIN_CELL:
        return {"column": column.name, "labels": [], "sample": [], "train": []}
    labels = [_range(column, g, size - 1) if numeric else _pool(column, g) for g in groups]
    sample_shares, train_shares = (
        [round(n / total, 6) if total else 0.0 for n in side] for side, total in zip(shown, totals, strict=True)
    )
    return {"column": column.name, "labels": labels, "sample": sample_shares, "train": train_shares}


def _bins(counts: Codes, nullable: bool) -> list[tuple[int, ...]]:
    """Neighbouring bins together; the null code stands alone where it is large enough, else joins the last bin."""
    values = len(counts) - 1 if nullable else len(counts)
    groups: list[tuple[int, ...]] = []
    open_: tuple[int, ...] = ()
    for i in range(values):
        open_ = (*open_, i)
        if counts[list(open_)].sum() >= MIN_CELL:
            groups.append(open_)
            open_ = ()
    nulls = (values,) if nullable else ()
    alone = bool(nullable and counts[values] >= MIN_CELL)
    rest = open_ if alone else (*open_, *nulls)
    if rest and groups:
        groups[-1] = (*groups[-1], *rest)
    elif rest:
        groups.append(rest)
    if not alone:
        return groups
    if groups and counts[list(groups[-1])].sum() < MIN_CELL:
        return [(*groups[-1], *nulls)]
    return [*groups, nulls]


def _categories(counts: Codes) -> list[tuple[int, ...]]:
    """Categories of at least ten on their own, the others pooled with as many next smallest ones as it takes."""
    order = sorted(range(len(counts)), key=lambda i: (int(counts[i]), i))
    pool: list[int] = []
    while order and (counts[order[0]] < MIN_CELL or (pool and counts[pool].sum() < MIN_CELL)):
        pool.append(order.pop(0))
    single: list[tuple[int, ...]] = [(i,) for i in sorted(order)]
    return [*single, tuple(sorted(pool))] if pool else single


def _names(column: Column) -> tuple[str, ...]:
    return column.categories if column.kind is Kind.CATEGORICAL else ("false", "true")


def _pool(column: Column, group: tuple[int, ...]) -> str:
    names = (*_names(column), "missing")
    if len(group) <= 2:
        return " or ".join(names[i] for i in group)
    return f"{len(group)} small ones together"


def _range(column: Column, group: tuple[int, ...], null: int) -> str:
    """The declared bounds of merged bins; datetimes as dates."""
    bins = [i for i in group if i != null]
    if not bins:
        return "missing"
    edges = column.edges
    low, high = edges[bins[0]], edges[bins[-1] + 1]
    label = f"{_point(column, low)} to {_point(column, high)}"
    if column.kind is Kind.INTEGER:
        last = high if bins[-1] == len(edges) - 2 else high - 1
        label = f"{low:g}" if last <= low else f"{low:g} to {last:g}"
    return label + (" or missing" if null in group else "")


def _point(column: Column, value: float) -> str:
    if column.kind is Kind.DATETIME:
        return str(np.datetime64(int(value), "s").astype("datetime64[D]"))
    return f"{value:.4g}"
