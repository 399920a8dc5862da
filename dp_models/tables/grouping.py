"""Merging codes that the noise could not tell apart anyway, from noisy one-way counts and public facts."""

import numpy as np

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.codes import ColumnCodes
from synthgate.domain import MAX_BINS

_UNEVEN = 4.0
"""A group of codes weighs at least this part (a quarter) of an even one, where that can be helped."""
_STANDS_OUT = 2.5
"""A category is told apart where its rows, spread evenly, are this many times the noise in each cell of a table."""
TARGET_LEVELS = 8
"""How many groups of the target the tables tell apart; of declared categories more, where the noise allows it."""
_PLENTY, _FINE = 10.0, 12
"""More are told apart where an even cell of a pair of the target and 12 groups is 10 times its noise."""


def least_weight(column: ColumnCodes, total: float, *, levels: int, cells: int, sigma: float) -> float:
    """What a group of a column of ``levels`` groups and ``total`` rows weighs at least, where that can be helped.

    Bins: a quarter of an even group. Categories no more than what stands out of the noise, since a table tells a group
    of them apart by ``cells`` cells of noise ``sigma``.
    """
    even = total / levels / _UNEVEN
    return even if column.ordered else min(even, _STANDS_OUT * cells * sigma)


def target_levels(column: ColumnCodes, clear: float) -> int:
    """How many groups of a target tables may tell apart; ``clear`` is the public number of rows in units of the noise
    of its table with another column."""
    if column.ordered:
        return TARGET_LEVELS
    return max(TARGET_LEVELS, int(min(MAX_BINS, clear / _PLENTY / _FINE)))


def fine_enough(levels: int, widest: int) -> bool:
    """Whether columns of at most ``widest`` codes keep enough groups beside more than 8 of the target."""
    return levels >= min(_FINE, widest)


def group(column: ColumnCodes, weights: FloatArray, *, levels: int, least: float) -> IntArray:
    """The group (size,) of each code, numbered from 0, at most ``levels`` (1 or more) of them.

    ``weights`` are estimated counts. Neighbouring bins are merged to about equal counts, categories rarest first, none
    of them below ``least`` where that can be helped. ``null`` and ``other`` form one group if they weigh ``least``
    together and there is room, else they join the heaviest. ``other`` alone, which is never released, takes no room
    from a category that weighs more.
    """
    values = column.values
    absent = float(weights[values:].sum())
    declared = weights[:values]
    apart = levels > 1 and absent >= max(least, _displaced(column, declared, levels))
    room = levels - apart
    merged = _neighbours(declared, room, least) if column.ordered else _rarest(declared, room, least)
    heaviest = merged[int(np.argmax(declared))]
    rest = merged.max() + 1 if apart else heaviest
    return np.concatenate((merged, np.full(column.size - values, rest, dtype=np.int64)))


def sums(weights: FloatArray, groups: IntArray) -> FloatArray:
    """What the members of each group weigh together."""
    return np.asarray(np.bincount(groups, weights=weights), dtype=np.float64)


def coarsen(column: ColumnCodes, groups: IntArray, weights: FloatArray, *, levels: int, least: float) -> IntArray:
    """The coarser group of each group: as `group` does with codes, and nested in what it did. ``weights`` are the
    estimated counts of the groups."""
    declared = int(groups[: column.values].max()) + 1
    displaced = _displaced(column, weights[:declared], levels)
    apart = levels > 1 and len(weights) > declared and weights[-1] >= max(least, displaced)
    merge = _neighbours if column.ordered else _rarest
    merged = merge(weights[:declared], levels - apart, least)
    rest = merged.max() + 1 if apart else merged[int(np.argmax(weights[:declared]))]
    return np.concatenate((merged, np.full(len(weights) - declared, rest, dtype=np.int64)))


def _displaced(column: ColumnCodes, weights: FloatArray, levels: int) -> float:
    """What the heaviest category weighs that a group of redrawn ``other`` would take the room of."""
    if column.ordered or column.null is not None or not 2 <= levels <= len(weights):
        return 0.0
    return float(np.sort(weights)[1 - levels])


def _neighbours(weights: FloatArray, levels: int, least: float) -> IntArray:
    """Walk up the bins and close a group when it holds its fair share of what is left, or when the next bin is so heavy
    that it would swallow its lighter neighbours."""
    groups = np.zeros(len(weights), dtype=np.int64)
    remaining, current, index = float(weights.sum()), 0.0, 0
    for code, weight in enumerate(weights):
        fair = max(least, (current + remaining) / (levels - index))
        full = current >= fair or (current >= least and current + weight > 1.5 * fair)
        if full and index < levels - 1 and code and groups[code - 1] == index:
            index, current = index + 1, 0.0
        groups[code] = index
        current += weight
        remaining -= weight
    if current < least and index:
        groups[groups == index] = index - 1
    return groups


def _rarest(weights: FloatArray, levels: int, least: float) -> IntArray:
    """Keep the heaviest categories apart and put the rest together."""
    order = np.argsort(-weights, kind="stable")
    kept = order if len(weights) <= levels else order[: levels - 1]
    kept = kept[weights[kept] >= least][: levels - 1] if (weights[kept] < least).any() else kept
    groups = np.full(len(weights), len(kept), dtype=np.int64)
    groups[kept] = np.arange(len(kept))
    return groups


def released(column: ColumnCodes, groups: IntArray) -> FloatArray:
    """1 for groups that hold a code which is released, 0 for a group of nothing but a redrawn ``other``."""
    codes = groups if column.null is not None else groups[: column.values]
    return np.bincount(codes, minlength=int(groups.max()) + 1).clip(max=1).astype(np.float64)


def codes_within(column: ColumnCodes, weights: FloatArray, groups: IntArray) -> FloatArray:
    """The released codes (groups, size) of each group by their one-way weights, evenly where there are none.

    The row of a group that is never drawn holds the declared values evenly.
    """
    member = groups[None, :] == np.arange(groups.max() + 1)[:, None]
    share = member * column.settle(weights)
    allowed = member & (np.arange(column.size) <= (column.values if column.null is not None else column.values - 1))
    share = np.where(share.sum(axis=1, keepdims=True) > 0, share, allowed)
    return column.settle(share)
