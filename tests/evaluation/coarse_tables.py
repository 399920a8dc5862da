"""Tables of a few categorical columns, on which rows of different people are often equal."""

from itertools import pairwise

import numpy as np
import pandas as pd

from synthgate.domain import Column, Domain, Kind

CATEGORIES = {
    "3 columns, 60 cells": (3, 4, 5),
    "4 columns, 640 cells": (4, 4, 5, 8),
    "5 columns, 2,880 cells": (4, 5, 6, 4, 6),
    "6 columns, 8,640 cells": (5, 4, 6, 6, 4, 3),
    "8 columns, 115,200 cells": (4, 5, 6, 8, 5, 4, 3, 2),
    "12 columns, 829,440 cells": (2, 2, 2, 3, 4, 3, 2, 5, 2, 4, 3, 12),
}


def _people(sizes: tuple[int, ...], count: int, draw: np.random.Generator, *, skewed: bool) -> pd.DataFrame:
    """Even shares and independent columns, or shares as 1/rank and columns that agree in three rows of ten."""
    agree, common = draw.random(count) < 0.3, draw.random(count)
    cells = {}
    for i, size in enumerate(sizes):
        shares = 1 / np.arange(1, size + 1) if skewed else np.ones(size)
        ranks = np.where(agree, common, draw.random(count)) if skewed else draw.random(count)
        found = np.searchsorted(np.cumsum(shares) / shares.sum(), ranks).clip(0, size - 1)
        cells[f"c{i}"] = found.astype(str).astype(object)
    return pd.DataFrame(cells)


def domain(sizes: tuple[int, ...]) -> Domain:
    """The declaration of a table with so many categories a column."""
    columns = (Column(name=f"c{i}", kind=Kind.CATEGORICAL, categories=tuple(map(str, range(n)))) for i, n in
               enumerate(sizes))  # fmt: skip
    return Domain(columns=tuple(columns))


def three(sizes: tuple[int, ...], rows: int, *, seed: int, skewed: bool) -> tuple[pd.DataFrame, ...]:
    """Four fifths and one fifth of ``rows`` people, trained on and held out, and as many people beside them."""
    everyone = _people(sizes, 2 * rows, np.random.default_rng([seed, rows, skewed]), skewed=skewed)
    ends = (0, rows * 4 // 5, rows, 2 * rows)
    return tuple(everyone[a:b].reset_index(drop=True) for a, b in pairwise(ends))
