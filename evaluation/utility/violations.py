"""Violations: the share of released rows that break the declaration.

A row breaks it by a cell that is missing or undeclared where the column is not nullable, by a number beyond its bounds,
and by falling from one column of an ``ordered`` group to a later one. The score reads the released rows alone; the note
says beside it how the training rows fare, for an order that people themselves break.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.base import Comparison, Findings
from evaluation.exact import exact
from evaluation.held_back import about
from evaluation.risk.attack import untold
from evaluation.tables import codes
from synthgate.domain import NUMERIC, Column, Domain

Truth = npt.NDArray[np.bool_]


class Violations:
    """The score ``utility.violations``, in [0, 1]."""

    name = "utility.violations"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Exact. The details give under ``broken`` the share of released rows that each declaration is broken by."""
        if len(comparison.sample) == 0:
            return Findings(scores=(untold(self.name, "the sample is empty"),))
        found = violations(comparison.sample, comparison.domain)
        rows = np.logical_or.reduce(list(found.values()))
        broken = [[what, round(float(t.mean()), 6)] for what, t in found.items() if t.any()]
        theirs = violations(comparison.train, comparison.domain)
        count = int(np.logical_or.reduce(list(theirs.values())).sum())
        few = about(min(count, len(comparison.train) - count))
        real = few if 2 * count <= len(comparison.train) else f"all but {few}"
        note = f"{len(found)} declarations, {len(broken)} of them broken; {real} of the training rows break one"
        return Findings(scores=(exact(self.name, float(rows.mean()), note=note),), details={"broken": broken})


def violations(frame: pd.DataFrame, domain: Domain) -> dict[str, Truth]:
    """Which rows break each declaration, shape (rows,): ``COLUMN`` or ``COLUMN <= COLUMN``."""
    out = {c.name: _cells(frame, c) for c in domain.modelled}
    for group in domain.ordered:
        falls = np.zeros(len(frame), dtype=bool)
        highest = np.full(len(frame), -np.inf)
        for name in group:
            cells = frame[name].to_numpy()
            falls |= cells < highest
            highest = np.fmax(highest, cells)
        out[" <= ".join(group)] = falls
    return out


def _cells(frame: pd.DataFrame, column: Column) -> Truth:
    cells = frame[column.name].to_numpy()
    if column.kind in NUMERIC:
        low, high = column.number(column.low), column.number(column.high)
        beyond: Truth = (cells < low) | (cells > high)
        return beyond if column.nullable else beyond | np.isnan(cells)
    found, size = codes(frame, column)
    return np.zeros(len(frame), dtype=bool) if column.nullable else found == size - 1
