"""Groups of columns: all of them, or as many by keyed choice as the work allows."""

from itertools import combinations
from math import comb

import numpy as np

Group = tuple[int, ...]

LISTED = 100_000
"""Groups that are listed before some are chosen; of more, some are drawn."""


def choose_groups(columns: int, width: int, most: int, *, generator: np.random.Generator) -> list[Group]:
    """Groups of ``width`` of the columns 0, 1, ..., in order: all, or ``most`` by keyed choice."""
    total = comb(columns, width)
    if total <= max(most, LISTED):
        every = list(combinations(range(columns), width))
        if total <= most:
            return every
        return [every[i] for i in sorted(generator.permutation(total)[: max(most, 0)].tolist())]
    found: set[Group] = set()
    while len(found) < most:
        found.add(tuple(sorted(generator.choice(columns, size=width, replace=False).tolist())))
    return sorted(found)
