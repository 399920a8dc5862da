"""Poisson sampling of privacy units: what the accountant of DP-SGD assumes, and nothing like it will do.

Shuffled or fixed-size batches are cheaper to cut and are not what the subsampled Gaussian event describes.
"""

from collections.abc import Iterator

import numpy as np

from dp_models.base import IntArray


def poisson_batches(units: int, *, rate: float, steps: int, generator: np.random.Generator) -> Iterator[IntArray]:
    """``steps`` batches of unit numbers (m,); each unit is in each batch with chance ``rate``, on its own.

    A batch may be empty; it still is a step.
    """
    for _ in range(steps):
        yield np.flatnonzero(generator.random(units) < rate).astype(np.int64)
