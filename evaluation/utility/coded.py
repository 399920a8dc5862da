"""The three tables of a comparison as codes of declared bins and categories, and joint cells of several columns."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.base import Comparison
from evaluation.groups import Group
from evaluation.tables import codes

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DENSE = 2**18
"""Cells of a joint table that are counted as they are; of more, only those that occur are numbered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """One array of shape (rows,) a modelled column and table; codes lie in 0 .. size - 1, the last is no value."""

    names: list[str]
    sizes: list[int]
    sample: list[Codes]
    train: list[Codes]
    holdout: list[Codes]


def coded(comparison: Comparison) -> Coded:
    """All modelled columns of the three tables."""
    columns = comparison.domain.modelled
    frames = (comparison.sample, comparison.train, comparison.holdout)
    sides = [[codes(frame, c) for c in columns] for frame in frames]
    sample, train, holdout = ([values for values, _ in side] for side in sides)
    return Coded(
        names=[c.name for c in columns],
        sizes=[size for _, size in sides[0]],
        sample=sample,
        train=train,
        holdout=holdout,
    )


def cells(sides: list[list[Codes]], sizes: list[int], group: Group) -> tuple[list[Codes], int]:
    """The joint cell of every row of every table over the columns of ``group``, numbered alike; and how many cells."""
    joint = np.zeros(sum(len(side[0]) for side in sides), dtype=np.int64)
    width = 1
    for i in group:
        if width > 2**62 // sizes[i]:  # 300 columns of 1,000 categories have more cells than numbers
            joint, width = _numbered(joint)
        joint = joint * sizes[i] + np.concatenate([side[i] for side in sides])
        width *= sizes[i]
    if width > DENSE:
        joint, width = _numbered(joint)
    return np.split(joint, np.cumsum([len(side[0]) for side in sides])[:-1]), width


def distance(left: Floats, right: Floats) -> float:
    """Total variation of two tables of shares: half the L1 distance, in [0, 1]."""
    return float(np.abs(left - right).sum() / 2)


def share(places: Codes, width: int) -> Floats:
    """The share of rows in each cell."""
    return np.bincount(places, minlength=width) / len(places)


def _numbered(joint: Codes) -> tuple[Codes, int]:
    found, places = np.unique(joint, return_inverse=True)
    return places.astype(np.int64), len(found)
