"""What the attacks share: equal-sized targets, the tally of successes, and the excess that a policy gates on.

An attack is tried on units that were trained on and, alike, on as many that never were. What it gets right about the
second group it owes to the population, not to the release; only the excess is leakage. anonymeter's ratio
``(a - c) / (1 - c)`` (Giomi et al., A unified framework for quantifying privacy risk in synthetic data, PoPETs 2023)
stands in the note: its interval explodes as c nears 1, so that it cannot be gated on.
"""

import math
import warnings
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from anonymeter.stats.confidence import EvaluationResults

from evaluation.base import Comparison, Units
from evaluation.held_back import MIN_CELL, about, held, tens
from evaluation.risk.intervals import Interval, independent_difference
from synthgate.dataset import MAX_ATTACK_TARGETS
from synthgate.report import Better, Score

MIN_TARGETS = 30
"""With fewer units on either side an attack says nothing."""

MAX_CANDIDATES = 200_000
"""Released rows that an attack starts from, and units that its questions are asked of, at most, by keyed choice. This
bounds the work, never fewer targets: how sure an attack can be is a public fact (`synthgate.dataset.attack_targets`),
known before a charge."""


AS_DECLARED_TOO = "the worse of two attackers, one with what is declared alone and one with what the policy adds"
"""A remark on a score for which both were tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How often an attack was tried on each side, and how often it, and a naive guess on the first side, succeeded."""

    attacks: int
    main: int
    control: int
    naive: int

    @property
    def ratio(self) -> float:
        """anonymeter's risk, ``(a - c) / (1 - c)`` of the Wilson centres, in [0, 1]. Shown, never gated."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that an attack is weaker than a guess is said in the note
            results = EvaluationResults(
                n_attacks=self.attacks, n_success=self.main, n_baseline=self.naive, n_control=self.control
            )
            return float(results.risk().value)

    @property
    def excess(self) -> float:
        """What trained units are guessed more often, as a share of the attacks."""
        return (self.main - self.control) / self.attacks

    @property
    def ends(self) -> Interval:
        """Newcombe's one-sided 95 % ends of the excess."""
        return independent_difference(self.main, self.control, (self.attacks, self.attacks))

    @property
    def stands_out(self) -> float:
        """The least excess that could have been told from chance (its lower end lies above 0), whichever of the numbers
        that a report leaves open (`evaluation.held_back.about`) is that of the controls' successes; inf without one."""
        near = tens(self.control)
        ends = (0, MIN_CELL - 1) if self.control < MIN_CELL else (max(near - 5, MIN_CELL), near + 4)
        if self.attacks - self.control < MIN_CELL:
            ends = (self.attacks - MIN_CELL + 1, self.attacks)
        return max(self._least(c) for c in range(max(ends[0], 0), min(ends[1], self.attacks) + 1)) / self.attacks

    def _least(self, control: int) -> float:
        """How many successes more than ``control`` stand out."""
        trials = (self.attacks, self.attacks)
        more = range(self.attacks - control + 1)
        found = bisect_left(more, True, key=lambda n: independent_difference(control + n, control, trials)[0] > 0)
        return found if found < len(more) else math.inf

    def score(self, name: str, *, remarks: Iterable[str] = (), conclusive: bool = True) -> Score:
        """The excess a - c with Newcombe's one-sided 95 % ends."""
        low, high = self.ends
        main, control, naive = (about(n, self.attacks) for n in (self.main, self.control, self.naive))
        words = [
            f"{about(self.attacks)} attacks; successes: {main} on trained units, {control} on control units, "
            f"{naive} by naive guesses",
            "no excess could have stood out from chance"
            if math.isinf(least := self.stands_out)
            else f"an excess of {_up(least):g} would have stood out from chance",
        ]
        if self.attacks - self.control >= MIN_CELL:
            words.append(f"anonymeter's ratio {self.seen.ratio:.2f}")
        if self.main < self.naive:
            words.append("uninformative: weaker than naive guesses, which is normal under differential privacy")
        words += filter(None, remarks)
        return Score(
            name=name,
            value=self.excess,
            low=low,
            high=high,
            better=Better.LOWER,
            conclusive=conclusive,
            note="; ".join(words),
            shown=(self.seen.excess, *self.seen.ends),
        )

    @property
    def seen(self) -> "Tally":
        """The tally by which a report shows it (`evaluation.held_back.held`), the attacks rounded to ten too."""
        size = max(tens(self.attacks), MIN_CELL)
        most = self.attacks - MIN_CELL
        counts = (
            held(n if n <= most else size - (self.attacks - n), size) for n in (self.main, self.control, self.naive)
        )
        return Tally(**dict(zip(("main", "control", "naive"), counts, strict=True)), attacks=size)


def _up(share: float) -> float:
    """Two digits, rounded up: what stands out is not told too small."""
    step = 10.0 ** (math.floor(math.log10(share)) - 1)
    return math.ceil(share / step - 1e-9) * step


def worst(scores: Sequence[Score]) -> Score:
    """The score with the highest upper end, conclusive where all are: of several attackers the most successful counts,
    and what one of them leaves open no other closes."""
    return replace(max(scores, key=lambda score: score.high), conclusive=all(score.conclusive for score in scores))


def untold(name: str, reason: str, *, better: Better = Better.LOWER) -> Score:
    """A score that could not be told. It is never left out, and no rule accepts it."""
    return Score(name=name, value=math.nan, low=math.nan, high=math.nan, better=better, conclusive=False, note=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Units of both sides, equally many: ``main`` were trained on, ``control`` never were."""

    main: pd.DataFrame
    control: pd.DataFrame

    def __len__(self) -> int:
        return len(self.main)


def targets(comparison: Comparison, *, generator: np.random.Generator, most: int = MAX_ATTACK_TARGETS) -> Targets:
    """As many units of either side as the smaller side has, at most ``most``, by keyed choice and in keyed order; of
    each a keyed row."""
    size = min(*comparison.units, most)
    return Targets(
        main=one_row_each(comparison.train, comparison.train_units, size, generator=generator),
        control=one_row_each(comparison.holdout, comparison.holdout_units, size, generator=generator),
    )


def one_row_each(frame: pd.DataFrame, units: Units, size: int, *, generator: np.random.Generator) -> pd.DataFrame:
    """A keyed row of each of ``size`` units by keyed choice, in keyed order."""
    chosen = generator.permutation(int(units.max()) + 1)[:size]
    order = generator.spawn(1)[0].permutation(len(frame))
    _, first = np.unique(units[order], return_index=True)  # where a unit comes up first is a keyed row of it
    return frame.iloc[order[first[chosen]]].reset_index(drop=True)


def choose(frame: pd.DataFrame, size: int, *, generator: np.random.Generator) -> pd.DataFrame:
    """``size`` rows without repetition in keyed order, with a fresh index."""
    return frame.iloc[generator.permutation(len(frame))[:size]].reset_index(drop=True)


def candidates(sample: pd.DataFrame, most: int, *, generator: np.random.Generator) -> tuple[pd.DataFrame, str]:
    """``most`` of the released rows in keyed order (ties fall by it), all if fewer; a remark if some are left out."""
    rows = choose(sample, min(len(sample), most), generator=generator)
    remark = f"{len(rows):,} of {len(sample):,} released rows were searched, by keyed choice"
    return rows, remark if len(rows) < len(sample) else ""


def shortage(comparison: Comparison) -> str:
    """Why no attack can be judged on these tables, or nothing."""
    if len(comparison.sample) == 0:
        return "the sample is empty"
    if min(comparison.units) < MIN_TARGETS:
        return f"fewer than {MIN_TARGETS} units in training or holdout"
    return ""
