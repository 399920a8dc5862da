"""Columns as features: codes and shares for trees, indicator columns for linear models."""

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.tables import codes, scaled
from synthgate.domain import NUMERIC, Column

MAX_WIDTH = 400
"""Features of a linear model, at most and about; what a column may have of it is a public fact."""

Floats = npt.NDArray[np.float64]


def feature(frame: pd.DataFrame, column: Column) -> Floats:
    """Numbers as shares of the declared range, categories as codes, NaN where missing; shape (rows,)."""
    if column.kind in NUMERIC:
        return scaled(frame[column.name].to_numpy(), column)
    found, size = codes(frame, column)
    return np.where(found == size - 1, np.nan, found.astype(np.float64))


def levels(columns: list[Column]) -> int:
    """How many categories of a column have an indicator of their own."""
    return max(1, min(32, MAX_WIDTH // max(1, len(columns))))


def indicators(columns: list[Column], features: Floats, among: Floats) -> Floats:
    """The features of a linear model, shape (rows, width): a numeric column as its number, 0 where missing, and whether
    it is missing; of another the categories that are most frequent in ``among`` (same columns, ties by code), the
    others together being the reference."""
    most = levels(columns)
    out = []
    for i, column in enumerate(columns):
        cells, base = features[:, i], among[:, i]
        if column.kind in NUMERIC:
            out.append(np.nan_to_num(cells))
            if np.isnan(base).any():
                out.append(np.isnan(cells).astype(np.float64))
            continue
        found, counts = np.unique(base[~np.isnan(base)], return_counts=True)
        kept = found[np.argsort(-counts, kind="stable")[:most]]
        out += [(cells == value).astype(np.float64) for value in sorted(kept.tolist())]
    return np.column_stack(out) if out else np.zeros((len(features), 0))
