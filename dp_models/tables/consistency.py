"""Making noisy tables consistent: post-processing of what was paid for, with public totals and known noise.

The estimates here read noisy tables, the noise scale and the public number of rows, never a true count.
"""

from collections.abc import Sequence

import numpy as np

from dp_models.base import FloatArray, IntArray


def to_simplex(noisy: FloatArray | IntArray, total: float) -> FloatArray:
    """The closest table (least squares) without negative cells that sums to ``total``, in the same shape.

    Unlike clipping and rescaling it takes noise off the large cells too, so that many empty cells do not gain mass
    (Duchi et al. 2008, figure 1).
    """
    flat = np.asarray(noisy, dtype=np.float64).ravel()
    falling = np.sort(flat)[::-1]
    excess = (np.cumsum(falling) - total) / np.arange(1, flat.size + 1)
    last = np.nonzero(falling > excess)[0][-1]
    return np.asarray(np.maximum(flat - excess[last], 0.0).reshape(np.shape(noisy)))


def shrink(noisy: FloatArray | IntArray, towards: FloatArray, *, sigma: float) -> FloatArray:
    """An empirical-Bayes blend of a noisy table with a coarser model's expectation, cell by cell, never negative.

    The deviation of a cell from the model is taken to have variance c times its expectation; c is estimated from the
    whole table by moments (what the squared deviations exceed sigma^2 by). Cells where noise dominates stay with the
    model, cells where the data speak keep their count. ``sigma`` is the known noise of a cell.
    """
    gap = np.asarray(noisy, dtype=np.float64) - towards
    return _blended(gap, towards, sigma=sigma, free=gap.size)


def _blended(gap: FloatArray, towards: FloatArray, *, sigma: float, free: int) -> FloatArray:
    """The blend for deviations with ``free`` degrees of freedom; the model itself where there are none."""
    if free == 0:
        return np.maximum(towards, 0.0)
    spread = np.maximum(towards, 1e-9)
    surplus = max(0.0, float((gap**2).sum()) - free * sigma**2)
    scale = surplus / float(spread.sum()) * gap.size / free
    weight = scale * spread / (scale * spread + sigma**2)
    return np.asarray(np.maximum(towards + weight * gap, 0.0))


def shrink_relation(noisy: FloatArray | IntArray, towards: FloatArray, *, sigma: float) -> FloatArray:
    """`shrink` of a two-way table towards what it would be if its axes were independent, where both margins are known.

    A relation has no margins, so what a deviation has of them is noise and is taken out first (means of rows and of
    columns, the least squares under equal noise). What is left has (rows - 1) (columns - 1) degrees of freedom, and
    the noise that is expected in it is that of so many cells: a faint relation is not taken for noise of all of them.
    """
    gap = np.asarray(noisy, dtype=np.float64) - towards
    gap = gap - gap.mean(axis=0, keepdims=True)
    gap = gap - gap.mean(axis=1, keepdims=True)
    return _blended(gap, towards, sigma=sigma, free=(gap.shape[0] - 1) * (gap.shape[1] - 1))


def shrink_twice(noisy: FloatArray | IntArray, towards: FloatArray, *, sigma: float, axis: int) -> FloatArray:
    """`shrink` first the table summed over ``axis``, then the whole one towards what that leaves of ``towards``.

    A relation of the other columns is believed on its own; that it differs along ``axis`` needs evidence of its own.
    """
    summed = shrink(noisy.sum(axis=axis), towards.sum(axis=axis), sigma=sigma * float(np.sqrt(noisy.shape[axis])))
    before = np.expand_dims(towards.sum(axis=axis), axis)
    # A share is at most 1, however small both are, where a ratio of the new to the old sum would overflow.
    share = np.divide(towards, before, out=np.zeros_like(towards), where=before > 0)
    return shrink(noisy, np.expand_dims(summed, axis) * share, sigma=sigma)


def rake(table: FloatArray, margins: dict[int, FloatArray], *, rounds: int = 30) -> FloatArray:
    """Scale ``table`` until summing out axis ``a`` gives ``margins[a]`` (iterative proportional fitting).

    The margins must agree with each other in their own margins. Slices that the table holds empty while a margin does
    not are filled evenly, so that every margin can be met.
    """
    fitted = np.asarray(table, dtype=np.float64) + 1e-9 * max(float(np.max(table)), 1e-9)
    for _ in range(rounds):
        for axis, margin in margins.items():
            sums = fitted.sum(axis=axis)
            ratio = np.divide(margin, sums, out=np.zeros_like(sums), where=sums > 0)
            fitted = fitted * np.expand_dims(ratio, axis)
    return fitted


def pool(estimates: Sequence[FloatArray], variances: Sequence[FloatArray | float], total: float) -> FloatArray:
    """One table from several independent noisy ones of the same counts: weighted by inverse variance, then the closest
    one without negative cells that sums to ``total``."""
    weights = [1 / np.asarray(v, dtype=np.float64) for v in variances]
    mean = sum(w * e for w, e in zip(weights, estimates, strict=True)) / sum(weights)
    return to_simplex(np.asarray(mean), total)
