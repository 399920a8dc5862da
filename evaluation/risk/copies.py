"""Copies: does the release hold rows of people it was trained on, more often than rows of people whom it never saw?

The *exposure* of a privacy unit is the number of distinct released rows that are verbatim one of its own, a row that
several units have being shared among them. Who was held out was drawn by a key, so for a table that copied nobody the
exposures of trained units and of held-out ones are two random parts of one set: their difference (trained units scaled
to as many as the holdout, which is what a keyed sample of that size shows on average) has mean 0 and, by units, the
variance ``sum(exposure^2) / ratio``. It is told as a share of all released rows. A table that copies a share x of the
training rows shows about x/4 with a holdout of 20 %.

- *Distinct rows*: the released rows of one cell stand or fall together, so they count once. Where repeats alone convict
  (few training rows, each released many times), the figure by rows stands instead.
- *Rare rows*: rows that at most r units have, trained or not. r is as large as the precision allows and depends on
  neither side alone. Rows that many people share are nobody's copies.
- *Unique rows*: where fewer than 0.1 % of the holdout's rows occur in training, the figure is by rows and of all
  training units: a table that copies x shows x, so 1 % convicts.

Absence of copies proves nothing and passes nothing; presence refuses.
"""

from dataclasses import dataclass, replace
from math import inf, sqrt

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.base import Comparison, Findings
from evaluation.held_back import MIN_CELL, about, coarse, tens
from evaluation.risk.attack import shortage, untold
from evaluation.risk.intervals import ONE_SIDED
from evaluation.tables import Floats
from synthgate.report import Better, Score

RECURRING = 0.001
"""Share of holdout rows that occur in training below which rows count as unique."""

BOUND = 0.01
"""The default policy's threshold. The precision aims at it: with a half-width of at most half of it, a table that
copied nobody stays below it with about 95 %."""

OWNERS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)
"""Units that may have a row that counts: the largest of these that keeps the half-width below half of ``BOUND``."""

SURE = 2.5758293035489004
"""The 0.995 quantile of the standard normal distribution: what repeats must show to be told instead."""

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """Which unit has which distinct row, and how often each was released.

    ``cells`` and ``units``, shape (pairs,), hold every pair once; units of the holdout come after the ``trained`` first
    ones. ``released``, shape (cells,), counts released rows.
    """

    cells: Integers
    units: Integers
    trained: int
    held: int
    released: Integers

    @property
    def ratio(self) -> float:
        """Trained units for each one held out."""
        return self.trained / self.held

    @property
    def owners(self) -> Integers:
        """How many units have each row, shape (cells,)."""
        return np.bincount(self.cells, minlength=len(self.released))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Summed exposures of both sides over rows that at most ``owners`` units have, and the variance of a fair draw."""

    owners: int
    trained: float
    held: float
    variance: float
    ratio: float

    @property
    def excess(self) -> float:
        """In released rows: what a training sample as large as the holdout shows on average, less the holdout."""
        return self.trained / self.ratio - self.held

    def half_width(self, z: float) -> float:
        """In released rows: as Wilson's interval of a count, with this variance and a trained unit's share of a row as
        the step; z squared steps where nothing was found."""
        step = 1 / self.ratio
        return step * z * z / 2 + z * sqrt(self.variance + (step * z / 2) ** 2)


class Copies:
    """The score ``risk.copies`` with one-sided 95 % ends. Nothing is drawn: the figure depends on the tables alone."""

    name = "risk.copies"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Compare rows cell by cell over all modelled columns; cells that are missing or other count as equal."""
        if reason := shortage(comparison):
            return Findings(scores=(untold(self.name, reason),))
        matches = match(comparison)
        held = matches.cells[matches.units >= matches.trained]
        score = judge(
            self.name,
            matches,
            rows=len(comparison.sample),
            training=len(comparison.train),
            recurring=_recurring(matches),
            had=matches.owners[held],
            new=matches.released[held] == 0,
        )
        return Findings(scores=(score,))


def judge(
    name: str,
    matches: Matches,
    *,
    rows: int,
    training: int,
    recurring: float,
    had: Integers,
    new: npt.NDArray[np.bool_],
    bound: float = BOUND,
) -> Score:
    """The excess exposure of trained units as a share of ``rows`` released ones, or of all ``training`` rows where
    rows are unique: where the share ``recurring`` of the holdout's rows occurs in training.

    ``had`` says how many units have each row of the holdout, and ``new`` where no released row is one of theirs: what
    the note on copies that could be convicted is made of. ``bound`` is the threshold that it speaks of.
    """
    once = (matches.released > 0).astype(np.float64)
    if recurring < RECURRING:
        rows, scale = min(rows, training), matches.ratio
        found, how = exposure(matches, matches.released.astype(np.float64), rows / scale), "by rows, all training"
    else:
        scale = 1.0
        found, how = exposure(matches, once, rows), "by distinct rows"
        repeats = exposure(matches, matches.released.astype(np.float64), rows)
        if repeats.excess - repeats.half_width(SURE) > found.excess + found.half_width(ONE_SIDED):
            found, how = repeats, "by rows, for repeats"
    value = found.excess * scale / rows
    half = found.half_width(ONE_SIDED) * scale / rows
    gain = (
        float(np.mean(np.where(new & (had <= found.owners), 1.0, 0.0) / had)) * training * scale / rows / matches.ratio
    )
    least = bound / gain if gain > 0 else inf
    again = about(round(recurring * len(had)), len(had))
    note = (
        f"exposure: {about(round(found.trained))} released rows of trained units, {about(round(found.held))} of "
        f"held-out ones ({how}; rows that at most {found.owners} units have; {matches.ratio:.2g} trained units for "
        f"each held out); {again} rows of the holdout occur in training; at {bound:g} it "
        + (f"could have convicted a share of {least:.2g} of copied training rows" if least <= 1 else "convicts none")
    )
    return Score(name=name, value=value, low=value - half, high=value + half, better=Better.LOWER, note=note,
                 shown=_shown(found, half, scale, rows))  # fmt: skip


def _tens(exposure: float) -> int:
    return tens(round(exposure)) if exposure >= MIN_CELL else 0


def _shown(found: Exposure, half: float, scale: float, rows: int) -> tuple[float, float, float]:
    """What a report shows, of rows rounded to ten."""
    some = replace(found, trained=_tens(found.trained), held=_tens(found.held))
    value, half = coarse(some.excess * scale / rows, rows), coarse(half, rows)
    return value, value - half, value + half


def match(comparison: Comparison) -> Matches:
    """Number the distinct rows of all three tables, and find who has them."""
    frames = (comparison.train, comparison.holdout, comparison.sample)
    cells = _numbered(frames)
    trained, held = comparison.units
    private = len(comparison.train) + len(comparison.holdout)
    units = np.concatenate([comparison.train_units, trained + comparison.holdout_units])
    pairs = np.unique(np.column_stack([cells[:private], units]), axis=0)  # what a unit has twice is one row of it
    released = np.bincount(cells[private:], minlength=int(cells.max()) + 1)
    return Matches(cells=pairs[:, 0], units=pairs[:, 1], trained=trained, held=held, released=released)


def exposure(matches: Matches, weights: Floats, rows: float) -> Exposure:
    """Exposures over the rarest rows, or as many more as keep the half-width below half of ``BOUND`` of ``rows``.

    ``weights``, shape (cells,), is what each released row adds, to be shared by all units that have it. Exchanging the
    sides changes neither ``owners`` nor the variance.
    """
    found = _over(matches, weights, OWNERS[0])
    for most in OWNERS[1:]:
        wider = _over(matches, weights, most)
        if wider.half_width(ONE_SIDED) > BOUND / 2 * rows:
            break
        found = wider
    return found


def _over(matches: Matches, weights: Floats, most: int) -> Exposure:
    owners = matches.owners
    shared = np.where(owners <= most, weights, 0.0) / np.maximum(owners, 1)
    each = np.bincount(matches.units, weights=shared[matches.cells], minlength=matches.trained + matches.held)
    return Exposure(
        owners=most,
        trained=float(each[: matches.trained].sum()),
        held=float(each[matches.trained :].sum()),
        variance=float((each**2).sum()) / matches.ratio,
        ratio=matches.ratio,
    )


def _recurring(matches: Matches) -> float:
    """The share of the holdout's rows that occur in training."""
    held = matches.units >= matches.trained
    trained = np.bincount(matches.cells[~held], minlength=len(matches.released))
    return float(np.mean(trained[matches.cells[held]] > 0))


def _numbered(frames: tuple[pd.DataFrame, ...]) -> Integers:
    """Equal rows get equal numbers 0, 1, ... over all frames; NaN equals NaN, and -0.0 equals 0.0."""
    numbers = np.zeros(sum(map(len, frames)), dtype=np.int64)
    for name in frames[0].columns:
        cells = np.concatenate([frame[name].to_numpy() for frame in frames])
        places, distinct = pd.factorize(cells)
        joint = numbers * (len(distinct) + 1) + places + 1
        numbers = np.unique(joint, return_inverse=True)[1]
    return numbers
