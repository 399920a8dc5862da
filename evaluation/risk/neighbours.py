"""The released row nearest to each target, by anonymeter's Gower distance over *declared* ranges.

anonymeter's own search scales a numeric column by the range that it observes in the two tables at hand, so that one
outlier changes every distance, computes all columns' distances again for every secret, and sorts all candidates to
learn the nearest one. Here columns come scaled by their declared bounds, the distances of a target to a block of
candidates are computed once a column and summed, each secret's own are subtracted, and one pass keeps the nearest row.

*Exact sums.* Shares of a range are rounded to multiples of 2^-35, so that sums and differences of up to 300 columns
are exact in float64: what is left after a subtraction is the distance of the other columns to the bit, and whether two
rows are equally near depends on no order of columns.

*Ties.* Of equally near rows the first one in the candidates' order stands. Attacks put candidates in a keyed order
(`evaluation.risk.attack.candidates`). anonymeter's choice depends on the inside of an unstable sort.

*Missing cells.* By `Missing.ALIKE` a null, on which the distance is undefined, becomes the middle of the range plus a
category of its own, so that two nulls are alike: who knows that a cell is empty looks for an empty one. By
`Missing.DIFFERENT`, anonymeter's rule, two nulls differ by 1, and a row that has a number where the target has none, or
the reverse, is never the nearest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.risk.guesses import densest_half
from evaluation.tables import MISSING, Floats
from synthgate.domain import NUMERIC, Column, Domain

GRID = 2.0**35
"""Steps of a column's range: the shares of it are rounded to whole steps."""

APART = 512.0
"""More than any sum of distances that are defined: what a distance that is not counts for in its place."""

FAR = 1024.0
"""Beyond how many of its densest halves a released column's range is cut, where it is cut."""
STEPS = 64.0
"""In how many steps a densest half has to be told."""

BLOCK = 1024
"""Candidates whose distances are held at a time: with the secrets' own, some that a cache of 256 KB holds."""

Places = npt.NDArray[np.int64]


class Missing(StrEnum):
    """How two cells without a value compare."""

    ALIKE = "alike"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoded:
    """Targets and candidates as numbers, shapes (parts, targets) and (parts, candidates).

    The first ``numbers`` parts are shares of a range, the others labels; ``owners``, shape (parts,), says which of the
    encoded columns each part belongs to.
    """

    targets: Floats
    candidates: Floats
    numbers: int
    owners: Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """For each set of known columns and each target, both shape (sets, targets): where the nearest candidate stands,
    and its distance (`APART` or more where every candidate's is undefined)."""

    places: Places
    distances: Floats


def encode(
    queries: pd.DataFrame,
    candidates: pd.DataFrame,
    domain: Domain,
    names: Sequence[str],
    *,
    missing: Missing = Missing.ALIKE,
    released: pd.DataFrame | None = None,
) -> Encoded:
    """The columns ``names`` of both tables, scaled by declared bounds (numbers, see `bounds`) or coded alike (labels).
    ``released`` are the released rows, where the candidates are others."""
    numbers: list[tuple[int, Floats]] = []
    labels: list[tuple[int, Floats]] = []
    for owner, name in enumerate(names):
        cells = np.concatenate([queries[name].to_numpy(), candidates[name].to_numpy()])
        if domain[name].kind in NUMERIC:
            share, empty = _shares(cells, bounds(domain[name], (candidates if released is None else released)[name]))
            if missing is Missing.DIFFERENT:
                share = np.where(empty, _apart(len(queries), len(candidates), APART), share)
            elif empty.any():
                labels.append((owner, empty.astype(np.float64)))
            numbers.append((owner, share))
            continue
        codes = pd.factorize(cells)[0].astype(np.float64)
        if missing is Missing.DIFFERENT:
            codes = np.where(cells == MISSING, -_apart(len(queries), len(candidates), 1.0), codes)
        labels.append((owner, codes))
    parts = np.array([part for _, part in (*numbers, *labels)]).reshape(-1, len(queries) + len(candidates))
    return Encoded(
        targets=np.ascontiguousarray(parts[:, : len(queries)]),
        candidates=np.ascontiguousarray(parts[:, len(queries) :]),
        numbers=len(numbers),
        owners=np.array([owner for owner, _ in (*numbers, *labels)], dtype=np.int64),
    )


def bounds(column: Column, released: "pd.Series[float]") -> tuple[float, float]:
    """The range that a column is scaled by: the declared one. Where that is so wide that steps of it are no small part
    of the released column's densest half, `FAR` lengths of that half beyond it: else all values would be alike."""
    low, high = column.number(column.low), column.number(column.high)
    half = densest_half(released.to_numpy())
    if half is not None and (high - low) / GRID > (half[1] - half[0]) / STEPS:
        reach = FAR * (half[1] - half[0])
        near = max(low, half[0] - reach), min(high, half[1] + reach)
        return near if near[0] < near[1] else (low, high)
    return low, high


def _shares(cells: Floats, ends: tuple[float, float]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    share = np.rint(np.clip((cells - ends[0]) / (ends[1] - ends[0]), 0.0, 1.0) * GRID) / GRID
    empty = np.isnan(share)
    return np.where(empty, 0.5, share), empty


def _apart(targets: int, candidates: int, base: float) -> Floats:
    """Stands for a null: a target's is 1 from a candidate's, and both ``base`` or more from every value."""
    return np.repeat([base + 2, base + 1], [targets, candidates])


def search(encoded: Encoded, left_out: Sequence[int | None], only: Sequence[Sequence[int]] = ()) -> Nearest:
    """The nearest candidate by all columns but one, for each that is left out (None: by all of them), then by each of
    the sets of columns ``only``.

    J. C. Gower, A general coefficient of similarity and some of its properties, Biometrics 27 (1971). The work is
    targets times candidates times columns, whatever is left out. There must be a candidate.
    """
    parts = [np.flatnonzero(encoded.owners == owner) for owner in left_out]  # None equals no owner
    parts += [np.flatnonzero(np.isin(encoded.owners, list(owners))) for owners in only]
    widths = np.array([len(p) for p in parts], dtype=np.int64)
    flat = np.concatenate([np.zeros(0, dtype=np.int64), *parts])
    signs = np.repeat([-1.0, 1.0], [len(left_out), len(only)])
    places, distances = _nearest(encoded.targets, encoded.candidates, encoded.numbers, flat, widths, signs)
    return Nearest(places=places, distances=distances)


def nearest(queries: pd.DataFrame, candidates: pd.DataFrame, domain: Domain, names: tuple[str, ...]) -> Places:
    """Positions in ``candidates``, shape (len(queries),), of the row nearest in the columns ``names``."""
    places: Places = search(encode(queries, candidates, domain, names), [None]).places[0]
    return places


@numba.jit(nopython=True, nogil=True)
def _nearest(
    targets: Floats, candidates: Floats, numbers: int, named: Places, widths: Places, signs: Floats
) -> tuple[Places, Floats]:
    """``named`` are the parts to subtract from all (where ``signs[k]`` is -1) or to add up (1), ``widths[k]`` of them
    for the k-th set of known columns."""
    parts, count = targets.shape
    places = np.zeros((len(widths), count), dtype=np.int64)
    least = np.full((len(widths), count), inf)
    own, total, rest = np.empty((parts, BLOCK)), np.empty(BLOCK), np.empty(BLOCK)
    for start in range(0, candidates.shape[1], BLOCK):
        size = min(BLOCK, candidates.shape[1] - start)
        for i in range(count):
            for j in range(size):
                total[j] = 0.0
            for part in range(parts):
                value, cells, mine = targets[part, i], candidates[part, start : start + size], own[part]
                if part < numbers:
                    for j in range(size):
                        mine[j] = abs(value - cells[j])
                else:
                    for j in range(size):
                        mine[j] = 1.0 if value != cells[j] else 0.0
                for j in range(size):
                    total[j] += mine[j]
            first = 0
            for k in range(len(widths)):
                sign = signs[k]
                for j in range(size):
                    rest[j] = total[j] if sign < 0 else 0.0
                for place in range(first, first + widths[k]):
                    mine = own[named[place]]
                    for j in range(size):
                        rest[j] += sign * mine[j]
                first += widths[k]
                for j in range(size):
                    if rest[j] < least[k, i]:
                        least[k, i] = rest[j]
                        places[k, i] = start + j
    return places, least
