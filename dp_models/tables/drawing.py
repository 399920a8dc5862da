"""Drawing codes from distributions with as little sampling error as whole rows allow."""

import numpy as np

from dp_models.base import FloatArray, IntArray


def draw(
    probabilities: FloatArray, rows: int, *, generator: np.random.Generator, given: IntArray | None = None
) -> IntArray:
    """``rows`` codes from one distribution (k,), or from ``probabilities[given]`` of a stack (groups, k).

    Systematic sampling within each group: every code comes up its expected number of times, rounded up or down
    without bias, in an order of its own (Madow 1949).
    """
    groups = np.zeros(rows, dtype=np.int64) if given is None else given
    table = np.atleast_2d(probabilities)
    shuffled = generator.permutation(rows)
    order = shuffled[np.argsort(groups[shuffled], kind="stable")]
    sorted_groups = groups[order]
    sizes = np.bincount(groups, minlength=len(table))
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    offset = generator.random(len(table))
    rank = np.arange(rows) - starts[sorted_groups]
    share = (rank + offset[sorted_groups]) / np.maximum(sizes, 1)[sorted_groups]
    codes = np.empty(rows, dtype=np.int64)
    codes[order] = _at(table, sorted_groups, share)
    return codes


def draw_apart(
    probabilities: FloatArray, rows: int, *, generator: np.random.Generator, given: IntArray | None = None
) -> IntArray:
    """As `draw`, but every row on its own, so that the codes vary as much as those of as many people would: what
    estimates of sampling variance need."""
    groups = np.zeros(rows, dtype=np.int64) if given is None else given
    return _at(np.atleast_2d(probabilities), groups, generator.random(rows))


def _at(table: FloatArray, groups: IntArray, share: FloatArray) -> IntArray:
    """The code (n,) at the share (n,), 0 to 1, of the distribution of each one's group."""
    cumulative = np.cumsum(table, axis=1)
    cumulative /= cumulative[:, -1:]
    # One search for all groups: group g owns the stretch (g, g + 1] of a single rising line.
    line = (cumulative + np.arange(len(table))[:, None]).ravel()
    found = np.searchsorted(line, share + groups, side="right") - groups * table.shape[1]
    return np.asarray(np.clip(found, 0, table.shape[1] - 1), dtype=np.int64)


def draw_each(probabilities: FloatArray, *, generator: np.random.Generator) -> IntArray:
    """One code from each row of ``probabilities`` (n, k)."""
    cumulative = np.cumsum(probabilities, axis=1)
    share = generator.random((len(probabilities), 1)) * cumulative[:, -1:]
    return np.asarray((cumulative <= share).sum(axis=1).clip(max=probabilities.shape[1] - 1), dtype=np.int64)
