"""Which predicates over released rows single out, counted in one pass that ends at the second row that matches.

A predicate is made of one released row and some columns: in each column equality for text, null for null, and for a
number at least (above the column's median) or at most (else) the row's value. In ranks of a column's distinct values
all of these are intervals, null being rank -1. Since its own row answers it, a predicate singles out where no second
row does: only the rows in the interval of its rarest column are looked at, and of these only up to the second match.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from evaluation.groups import Group

Places = npt.NDArray[np.int64]
Ranks = npt.NDArray[np.int32]

GROUPING = 2
"""What finding the place of one row among its equals costs, in comparisons of a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """The columns of a table as ranks, shape (columns, rows).

    ``turns``, shape (columns,), is the first rank of a numeric column whose predicates ask for at least the value; -1
    for text. ``order``, shape (columns, rows), lists the rows of each column by rank; those of rank r of column c start
    at ``starts[bases[c] + r + 1]``.
    """

    ranks: Ranks
    turns: Places
    order: Ranks
    starts: Places
    bases: Places
    names: tuple[str, ...]
    values: tuple[list[Any], ...]

    def query(self, place: int, row: int) -> pl.Expr:
        """What the predicates of ``row`` ask of one column."""
        name, rank, turn = self.names[place], int(self.ranks[place, row]), int(self.turns[place])
        if rank < 0:
            return pl.col(name).is_null()
        value = self.values[place][rank]
        expression: pl.Expr = pl.col(name) == value
        if turn >= 0:
            expression = pl.col(name) >= value if rank >= turn else pl.col(name) <= value
        return expression


def code(frame: pl.DataFrame) -> Coded:
    """Ranks of every column of a frame of `evaluation.risk.queries.plain`, with at least one row."""
    ranks, turns, values, starts = [], [], [], []
    for name in frame.columns:
        series = frame[name]
        filled = series.drop_nulls()
        distinct, inverse = np.unique(filled.to_numpy(), return_inverse=True)  # by value: -0.0 is 0.0
        column = np.full(len(series), -1, dtype=np.int32)
        column[series.is_not_null().to_numpy()] = inverse
        ranks.append(column)
        turn = -1
        if series.dtype.is_numeric():
            turn = int(np.searchsorted(distinct, np.median(filled.to_numpy()), side="right")) if len(filled) else 0
        turns.append(turn)
        values.append(distinct.tolist())
        counts = np.bincount(column + 1, minlength=len(distinct) + 1)
        starts.append(np.concatenate([[0], np.cumsum(counts)]))
    return Coded(
        ranks=np.array(ranks, dtype=np.int32),
        turns=np.array(turns, dtype=np.int64),
        order=np.array([np.argsort(column, kind="stable") for column in ranks], dtype=np.int32),
        starts=np.concatenate(starts).astype(np.int64),
        bases=np.concatenate([[0], np.cumsum([len(s) for s in starts])[:-1]]).astype(np.int64),
        names=tuple(frame.columns),
        values=tuple(values),
    )


def lone(coded: Coded, groups: Places, rows: Places, limit: int) -> tuple[npt.NDArray[np.bool_], int]:
    """Which predicates single out, and how many comparisons with a row were made.

    The i-th predicate joins the columns ``groups[i]`` of the row ``rows[i]``; of those after ``limit`` comparisons none
    is looked at, and as many as were are told: shape (looked at,).
    """
    index = (coded.order, coded.starts, coded.bases)
    found, looked, spent = _lone(coded.ranks, coded.turns, index, groups, rows, limit)
    return found[:looked], spent


def lone_of_group(coded: Coded, group: Group, limit: int) -> tuple[Places, int]:
    """All rows whose predicate over one group of columns singles out, in order, and the comparisons made.

    More than ``limit`` of these say that not all rows were looked at.
    """
    places = np.array(group, dtype=np.int64)
    rows = np.flatnonzero(~_shared(coded.ranks, places))
    spent = GROUPING * coded.ranks.shape[1] * len(group)
    if (coded.turns[places] < 0).all():
        return rows, spent
    if spent > limit:
        return rows[:0], spent
    wanted = np.broadcast_to(places, (len(rows), len(places)))
    found, looked = lone(coded, wanted, rows, limit - spent)
    return rows[: len(found)][found], spent + looked if len(found) == len(rows) else limit + 1


def drawn(columns: int, width: int, size: int, *, generator: np.random.Generator) -> Places:
    """``size`` groups of columns in ascending order, each equally likely, shape (size, width)."""
    if 4 * width > columns:
        order = np.argpartition(generator.random((size, columns)), width - 1, axis=1)[:, :width]
        return np.sort(order, axis=1).astype(np.int64)
    groups = np.sort(generator.integers(columns, size=(size, width)), axis=1)
    while len(twice := np.flatnonzero((np.diff(groups, axis=1) == 0).any(axis=1))):
        groups[twice] = np.sort(generator.integers(columns, size=(len(twice), width)), axis=1)
    return groups


def joined(coded: Coded, group: Sequence[int], row: int) -> pl.Expr:
    """The predicate of one row over a group of columns as an expression."""
    expression = coded.query(group[0], row)
    for place in group[1:]:
        expression = expression & coded.query(place, row)
    return expression


@numba.jit(nopython=True, nogil=True)
def _lone(
    ranks: Ranks,
    turns: Places,
    index: tuple[Ranks, Places, Places],
    groups: Places,
    rows: Places,
    limit: int,
) -> tuple[npt.NDArray[np.bool_], int, int]:
    order, starts, bases = index
    width = groups.shape[1]
    found = np.zeros(len(rows), dtype=np.bool_)
    low, high = np.empty(width, dtype=np.int64), np.empty(width, dtype=np.int64)
    spent = 0
    for i in range(len(rows)):
        if spent > limit:
            return found, i, spent
        own = rows[i]
        column, first, last = 0, 0, ranks.shape[1] + 1
        for k in range(width):
            place = groups[i, k]
            rank, turn = ranks[place, own], turns[place]
            distinct = (bases[place + 1] if place + 1 < len(bases) else len(starts)) - bases[place] - 2
            low[k] = 0 if 0 <= rank < turn else rank
            high[k] = distinct - 1 if turn >= 0 and rank >= turn else rank
            start, end = starts[bases[place] + low[k] + 1], starts[bases[place] + high[k] + 2]
            if end - start < last - first:
                column, first, last = place, start, end
        found[i] = True
        for at in range(first, last):
            j = order[column, at]
            matched = j != own
            for k in range(width):
                if not matched:
                    break
                rank = ranks[groups[i, k], j]
                matched = low[k] <= rank <= high[k]
            spent += 1
            if matched:
                found[i] = False
                break
    return found, len(rows), spent


@numba.jit(nopython=True, nogil=True)
def _shared(ranks: Ranks, group: Places) -> npt.NDArray[np.bool_]:
    """Whether another row has a row's ranks in a group of columns: a table of rows by ranks, with open addresses."""
    size = ranks.shape[1]
    slots = 1
    while slots < 2 * size:
        slots *= 2
    table = np.full(slots, -1, dtype=np.int64)
    shared = np.zeros(size, dtype=np.bool_)
    for j in range(size):
        mixed = np.uint64(0)
        for place in group:
            mixed = (mixed + np.uint64(ranks[place, j] + 2)) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        slot = np.int64(mixed & np.uint64(slots - 1))
        while True:
            other = table[slot]
            if other < 0:
                table[slot] = j
                break
            same = True
            for place in group:
                if ranks[place, j] != ranks[place, other]:
                    same = False
                    break
            if same:
                shared[j] = True
                shared[other] = True
                break
            slot = (slot + 1) & (slots - 1)
    return shared
