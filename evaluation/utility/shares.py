"""Shares of a column's cells in sample and training, without a cell that fewer than ten training rows have.

Categories are cells, and bins where there are at most `FEW`; of more, neighbours are merged until ten training rows
are in each. What is then left of fewer than ten is held back, and so are rows without a value where they are few
(`evaluation.held_back`).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation import held_back
from evaluation.held_back import Beside
from synthgate.domain import NUMERIC, Column, Kind

FEW = 8
"""Up to as many bins are cells of their own."""

Codes = npt.NDArray[np.int64]
Cells = list[tuple[int, ...]]


def parts(column: Column, *tables: Codes) -> Cells:
    """All codes of a column (as in `evaluation.tables.codes`) in cells; the last code, no value, is one by itself.
    Bins are merged until ten rows of every table are in each."""
    size = _size(column)
    if column.kind not in NUMERIC or size - 1 <= FEW:
        return [(i,) for i in range(size)]
    counts = np.min([np.bincount(table, minlength=size) for table in tables], axis=0)
    cells: Cells = []
    open_: tuple[int, ...] = ()
    for i in range(size - 1):
        open_ = (*open_, i)
        if counts[list(open_)].sum() >= held_back.MIN_CELL:
            cells.append(open_)
            open_ = ()
    return [*cells, *([open_] if open_ else []), (size - 1,)]


def counted(codes: Codes, cells: Cells) -> Codes:
    """How many rows each cell has, shape (cells,)."""
    counts = np.bincount(codes, minlength=max(max(cell) for cell in cells) + 1)
    return np.array([counts[list(cell)].sum() for cell in cells], dtype=np.int64)


def compared(column: Column, sample: Codes, train: Codes) -> tuple[Cells, Beside | None]:
    """The cells of a column, and what is shown of both tables over them."""
    cells = parts(column, train)
    return cells, held_back.beside(counted(sample, cells), counted(train, cells), rows=len(train))


def kept(column: Column, *tables: Codes) -> npt.NDArray[np.bool_]:
    """Which codes lie in cells that ten rows of every table have, shape (size,)."""
    cells = parts(column, *tables)
    out = np.zeros(_size(column), dtype=bool)
    for cell, *counts in zip(cells, *(counted(table, cells) for table in tables), strict=True):
        out[list(cell)] = min(counts) >= held_back.MIN_CELL
    return out


def shares(column: Column, sample: Codes, train: Codes) -> dict[str, Any]:
    """``column``, ``labels``; ``sample`` and ``train``, shares in [0, 1] of each; ``distance``, their total variation;
    ``held_back``, the share of released rows in no cell that is shown. Without ten training rows in any cell the lists
    are empty, and both figures null."""
    cells, found = compared(column, sample, train)
    if found is None:
        return {"column": column.name, "labels": [], "sample": [], "train": [], "distance": None, "held_back": None}
    null = _size(column) - 1
    labels = [
        "missing" if cell == (null,) else _range(column, cell) if column.kind in NUMERIC else _names(column)[cell[0]]
        for cell, shown in zip(cells, found.shown, strict=True)
        if shown
    ]
    return {
        "column": column.name,
        "labels": labels,
        "sample": np.round(found.sample, 6).tolist(),
        "train": np.round(found.train, 6).tolist(),
        "distance": found.distance,
        "held_back": round(found.held_back, 6),
    }


def _size(column: Column) -> int:
    return len(column.edges) if column.kind in NUMERIC else len(_names(column)) + 1


def _names(column: Column) -> tuple[str, ...]:
    return column.categories if column.kind is Kind.CATEGORICAL else ("false", "true")


def _range(column: Column, bins: tuple[int, ...]) -> str:
    """The declared bounds of merged bins; datetimes as dates."""
    edges = column.edges
    low, high = edges[bins[0]], edges[bins[-1] + 1]
    if column.kind is Kind.INTEGER:
        last = high if bins[-1] == len(edges) - 2 else high - 1
        return f"{low:g}" if last <= low else f"{low:g} to {last:g}"
    return f"{_point(column, low)} to {_point(column, high)}"


def _point(column: Column, value: float) -> str:
    if column.kind is Kind.DATETIME:
        return str(np.datetime64(int(value), "s").astype("datetime64[D]"))
    return f"{value:.4g}"
