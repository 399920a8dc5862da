"""Merging codes that the noise could not tell apart anyway, from noisy one-way counts and public facts."""

import numpy as np

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.codes import ColumnCodes


def group(column: ColumnCodes, weights: FloatArray, *, levels: int, least: float) -> IntArray:
    """The group (size,) of each code, numbered from 0, at most ``levels`` (1 or more) of them.

    ``weights`` are estimated counts. Neighbouring bins are merged to about equal counts, categories rarest first, none
    of them below ``least`` where that can be helped. ``null`` and ``other`` form one group if they weigh ``least``
    together and there is room, else they join the heaviest.
    """
    values = column.values
    absent = float(weights[values:].sum())
    apart = levels > 1 and absent >= least
    room = levels - apart
    declared = weights[:values]
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
    apart = levels > 1 and len(weights) > declared and weights[-1] >= least
    merge = _neighbours if column.ordered else _rarest
    merged = merge(weights[:declared], levels - apart, least)
    rest = merged.max() + 1 if apart else merged[int(np.argmax(weights[:declared]))]
    return np.concatenate((merged, np.full(len(weights) - declared, rest, dtype=np.int64)))


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
