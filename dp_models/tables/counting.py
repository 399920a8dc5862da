"""Counting codes into contingency tables."""

from collections.abc import Sequence

import numpy as np

from dp_models.base import IntArray


def count(codes: Sequence[IntArray], shape: Sequence[int]) -> IntArray:
    """How often each combination occurs: ``codes`` are columns (n,), the result has ``shape``, one axis a column."""
    cells = np.zeros(len(codes[0]), dtype=np.int64)
    for column, size in zip(codes, shape, strict=True):
        cells = cells * size + column
    return np.bincount(cells, minlength=int(np.prod(shape))).reshape(tuple(shape))
