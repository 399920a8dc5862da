"""A table that no tree holds: every column tells of one hidden class. For engines that add to a tree."""

import numpy as np
import pyarrow as pa

from dp_models.base import IntArray
from dp_models.encoding.table import private_schema
from dp_models.tables.counting import count
from synthgate.domain import Column, Domain, Kind

CLASSES = Domain(
    columns=tuple(Column(name=f"c{i}", kind=Kind.CATEGORICAL, categories=("a", "b", "c")) for i in range(6))
)


def classes(n: int) -> pa.Table:
    """``n`` rows, each cell its class with probability 0.7, else drawn evenly."""
    rng = np.random.default_rng(0)
    hidden = rng.integers(0, 3, n)
    cells = [np.array(["a", "b", "c"])[np.where(rng.random(n) < 0.3, rng.integers(0, 3, n), hidden)] for _ in range(6)]
    return pa.Table.from_arrays([*map(pa.array, cells), pa.array(np.arange(n))], schema=private_schema(CLASSES))


def far(first: IntArray, second: IntArray, columns: tuple[int, ...], sizes: tuple[int, ...]) -> float:
    """The total variation of two tables of codes (columns, n) on some of their columns."""
    shape = [sizes[c] for c in columns]
    tables = [count(list(codes[list(columns)]), shape) / codes.shape[1] for codes in (first, second)]
    return float(np.abs(tables[0] - tables[1]).sum() / 2)
