"""The audit of the split: one unit more changes the training table by that unit at most, or no mechanism's claim holds.

Every claim is about neighbours, one unit apart. A split that moves other units makes two training tables of neighbours
many units apart, and epsilon grows with their number.
"""

import numpy as np
import pytest

from server.jobs.units import Digests, Divider, Side
from synthgate.dataset import HOLDOUT_SHARE

SECRET = bytes(range(32))
UNITS = 2_000


class Positions(Divider):
    """Every fifth row of the upload is held out."""

    def divide(self, rows: Digests, ids: Digests | None, *, max_rows: int) -> tuple[Side, Side]:
        held = np.arange(len(rows)) % round(1 / HOLDOUT_SHARE) == 0
        sides = (np.flatnonzero(side) for side in (~held, held))
        train, holdout = (Side(rows=side, unit=np.arange(len(side))) for side in sides)
        return train, holdout


def _digests(units: int) -> Digests:
    return np.random.default_rng(0).integers(0, 2**63, (units, 2)).astype(np.uint64)


def _moved(divider: Divider, at: int, *, ids: bool) -> int:
    """How many units the training tables of two uploads do not share; the second has one unit more, at a place."""
    shorter, new = _digests(UNITS), np.array([[7, 7]], dtype=np.uint64)
    longer = np.insert(shorter, at, new, axis=0)
    trained = []
    for rows in (shorter, longer):
        train, _ = divider.divide(rows, rows if ids else None, max_rows=1)
        trained.append({tuple(row) for row in rows[train.rows].tolist()})
    return len(trained[0] ^ trained[1])


@pytest.mark.parametrize("ids", [True, False])
@pytest.mark.parametrize("at", [0, 3, UNITS // 2, UNITS])
def test_one_unit_more_moves_no_other(at: int, ids: bool) -> None:
    assert _moved(Divider(SECRET), at, ids=ids) <= 1


@pytest.mark.parametrize("at", [0, 3, UNITS // 2])
def test_a_split_by_position_is_convicted(at: int) -> None:
    """Of the units behind the new one, each fifth leaves the training table and each fifth comes in."""
    behind = UNITS - at
    assert _moved(Positions(SECRET), at, ids=True) == pytest.approx(2 * behind / 5, abs=2)
