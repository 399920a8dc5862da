"""Copies: does the release hold training rows verbatim, more often than rows of people whom it never saw?

The share of released rows found in a keyed training sample as large as the holdout, minus the share found in the
holdout, over released rows that occur at most once in either. Coarse rows recur among strangers and say nothing; the
holdout tells how often. The bound on recurrence holds for both sides, so that they stay exchangeable for an innocent
table: bounding the holdout alone, fresh real rows of coarse columns show 0.03 to 0.10. A table that copies a share x of
the training rows shows about x times holdout/training.

Where fewer than 0.1 % of the holdout's rows occur in training, rows are practically unique: then all training rows
are compared, recurring in the holdout alone excludes, and the holdout's share is scaled by n_train/n_holdout. Absence
of copies proves nothing and passes nothing; presence refuses.
"""

from collections import Counter
from collections.abc import Hashable

import numpy as np
import pandas as pd

from evaluation.base import Comparison, Findings
from evaluation.risk.attack import shortage, untold
from evaluation.risk.intervals import paired_difference, scaled_difference
from synthgate.report import Better, Score

RECURRING = 0.001
"""Share of holdout rows that occur in training below which rows count as unique."""


class Copies:
    """The score ``risk.copies``: the difference of the two shares with one-sided 95 % ends (Newcombe 1998, paired)."""

    name = "risk.copies"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Compare rows cell by cell over all modelled columns; cells that are missing or other count as equal."""
        if reason := shortage(comparison):
            return Findings(scores=(untold(self.name, reason),))
        units = comparison.units
        size = min(units)
        released = _keys(comparison.sample)
        sides = ((comparison.train, comparison.train_units), (comparison.holdout, comparison.holdout_units))
        # A row that a unit has twice is one of its rows.
        owned = [set(zip(_keys(rows), numbers.tolist(), strict=True)) for rows, numbers in sides]
        everyone = Counter(key for key, _ in owned[0])
        chosen = [set(generator.permutation(n)[:size].tolist()) for n in units]
        trained, held = (
            Counter(key for key, unit in rows if unit in some) for rows, some in zip(owned, chosen, strict=True)
        )
        recurring = sum(n for key, n in held.items() if key in everyone) / held.total()
        unique = recurring < RECURRING
        if unique:
            trained = everyone
        rare = [(key in trained, key in held) for key in released if held[key] <= 1 and (unique or trained[key] <= 1)]
        cells = Counter(rare)
        scale = units[0] / size if unique else 1.0
        return Findings(scores=(_score(self.name, cells, scale, len(released), recurring),))


def _score(name: str, cells: Counter[tuple[bool, bool]], scale: float, released: int, recurring: float) -> Score:
    both, first, second, neither = (cells[key] for key in ((True, True), (True, False), (False, True), (False, False)))
    rows = both + first + second + neither
    if rows == 0:
        return untold(name, "every released row recurs among the private rows")
    in_train, in_holdout = both + first, both + second
    if scale == 1.0:
        low, high = paired_difference(both, first, second, neither)
    else:
        low, high = scaled_difference(in_train, in_holdout, rows, scale=scale)
    note = (
        f"{rows} of {released} released rows are rare; {in_train} of them occur in training, "
        f"{in_holdout} in the holdout"
        + (f" (scaled by {scale:.3g}: all training rows are compared)" if scale != 1.0 else " (samples of equal size)")
        + f"; {recurring:.2%} of holdout rows occur in training"
    )
    value = (in_train - scale * in_holdout) / rows
    return Score(name=name, value=value, low=min(low, value), high=max(high, value), better=Better.LOWER, note=note)


def _keys(frame: pd.DataFrame) -> list[Hashable]:
    """A row as a tuple; NaN, which equals nothing, becomes None, and -0.0 becomes 0.0."""
    columns = []
    for name in frame.columns:
        cells = frame[name].to_numpy()
        numeric = cells.dtype.kind == "f"
        columns.append([None if cell != cell else cell + 0.0 for cell in cells.tolist()] if numeric else cells.tolist())
    return list(zip(*columns, strict=True))
