"""Membership: can someone who holds a person's whole row tell from the release that the person was trained on?

Two attacks, tried on trained units and on as many that were held out, by one keyed row of each:

- *DOMIAS* (B. van Breugel et al., Membership inference attacks against synthetic data through overfitting detection,
  AISTATS 2023): where the release is denser than the population, somebody stood there. The figure is the logarithm of
  the release's density at the row over that of a reference. The reference are held-out rows that are not attacked
  themselves: one half of the holdout, by keyed choice.
- *nearest*: how near the nearest released row is.

Densities are those of a product kernel ``exp(-distance / h)`` with the Gower distance over declared ranges and h a
tenth of a range (`evaluation.risk.neighbours`). *Outliers* are the twentieth of all attacked rows that is the least
dense in the reference, on either side alike: those whom an average hides.

An area under the curve is told as its excess over the half that guessing gives. What the release's epsilon allows at
best stands in `evaluation.risk.ceiling`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor, inf
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.base import Comparison, Findings
from evaluation.held_back import about, places, tens
from evaluation.risk.attack import MIN_TARGETS, Targets, candidates, one_row_each, shortage, untold
from evaluation.risk.neighbours import BLOCK, encode
from evaluation.risk.ranking import auc, auc_ends, hits
from evaluation.tables import Floats
from synthgate.dataset import MAX_ATTACK_TARGETS
from synthgate.report import DECIMALS, Better, Score

WIDTH = 0.1
"""h of the kernel, in ranges of a column: a category that differs weighs e^-10."""

MAX_RELEASED = 20_000
"""Released rows whose density is taken, at most, by keyed choice."""

FALSE_ALARMS = 0.01
"""The false-positive rate at which hits are counted."""

OUTLIERS = 0.05
"""The share of attacked rows that counts as outliers."""

MIN_OUTLIERS = 10
"""Outliers on either side below which nothing is told of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One attack's figures, higher for rows that look trained on, shape (units,) each. How many units there are may be
    told where that is ``public``, else rounded to ten."""

    name: str
    members: Floats
    others: Floats
    public: bool = True

    @property
    def sizes(self) -> tuple[int, int]:
        """How many units either side has, as it is shown."""
        found = len(self.members), len(self.others)
        return found if self.public else (tens(found[0]), tens(found[1]))

    @property
    def area(self) -> float:
        """The area under the curve as it is shown."""
        return self.rounded(auc(self.members, self.others))

    @property
    def rate(self) -> float:
        """The hits at few false alarms as they are shown."""
        return self.rounded(hits(self.members, self.others, FALSE_ALARMS).seen.rate)

    @property
    def step(self) -> float:
        """What ten units of the smaller side are, or a little less: 0.01, 0.1, of few units 0.2 and 0.5."""
        few = min(self.sizes)
        return 10.0 ** -places(few) if few >= 100 else 0.2 if few >= 50 else 0.5

    def rounded(self, value: float) -> float:
        """A share of either side's units as it is shown."""
        return round(round(value / self.step) * self.step, DECIMALS)

    def of(self, kept: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]) -> "Figures":
        """The figures of some of the units."""
        return Figures(name=self.name, members=self.members[kept[0]], others=self.others[kept[1]], public=False)


class Membership:
    """The scores ``risk.membership.ATTACK``, ``.ATTACK_tpr`` and ``.ATTACK_outliers`` of both attacks."""

    name = "risk.membership"

    def __init__(self, *, released: int = MAX_RELEASED) -> None:
        self._released = released

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Attack min(2,000, half the holdout) units on each side."""
        reason = shortage(comparison)
        if not reason and comparison.units[1] < 2 * MIN_TARGETS:
            reason = f"fewer than {2 * MIN_TARGETS} units in the holdout, of which a half serves as reference"
        if reason:
            names = (f"{self.name}.{a}{kind}" for a in ("domias", "nearest") for kind in ("", "_tpr", "_outliers"))
            return Findings(scores=tuple(untold(name, reason) for name in names))
        both, reference = split(comparison, generator=generator)
        sample, remark = candidates(comparison.sample, self._released, generator=generator)
        seen = Comparison(domain=comparison.domain, train=both.main, holdout=both.control, sample=sample)
        attacks, rarity = figures(seen, reference, generator=generator)
        scores, details = [], {}
        for attack in attacks:
            found = list(_scores(attack, rarity, remark))
            scores += [score for score, _ in found]
            details[attack.name] = {k: v for _, told in found for k, v in told.items()}
        facts = {
            "known": [column.name for column in comparison.domain.modelled],
            "attacks": tens(len(both)),
            "reference_units": tens(len(reference)),
            "fpr": FALSE_ALARMS,
            "outliers": OUTLIERS,
            "attacker": "knows a person's whole row, and has a sample of the population",
        }
        return Findings(scores=tuple(scores), details=facts | details)


def split(comparison: Comparison, *, generator: np.random.Generator) -> tuple[Targets, pd.DataFrame]:
    """The attacked units of both sides, and the reference: one row each of held-out units that are not attacked.

    Half of the holdout is attacked, at most as many units as any attack; the reference are at most `MAX_RELEASED`.
    """
    trained, held = comparison.units
    size = min(held // 2, trained, MAX_ATTACK_TARGETS)
    main = one_row_each(comparison.train, comparison.train_units, size, generator=generator)
    everyone = one_row_each(comparison.holdout, comparison.holdout_units, held, generator=generator)
    reference = everyone.iloc[size : size + MAX_RELEASED]
    return Targets(main=main, control=everyone.iloc[:size]), reference


def figures(
    seen: Comparison, reference: pd.DataFrame, *, generator: np.random.Generator
) -> tuple[tuple[Figures, Figures], tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]]:
    """Both attacks' figures, and who of either side is an outlier. ``seen`` holds attacked units and released rows."""
    released, reality = [], []
    for side in (seen.train, seen.holdout):
        released.append(densities(side, seen.sample, seen))
        reality.append(densities(side, reference, seen)[0])
    ratio = [r[0] - p for r, p in zip(released, reality, strict=True)]
    near = [-r[1] for r in released]
    population = np.concatenate(reality)
    keyed = generator.permutation(len(population))
    rare = np.zeros(len(population), dtype=bool)
    rare[keyed[np.argsort(population[keyed], kind="stable")[: round(OUTLIERS * len(population))]]] = True
    attacks = (
        Figures(name="domias", members=ratio[0], others=ratio[1]),
        Figures(name="nearest", members=near[0], others=near[1]),
    )
    return attacks, (rare[: len(near[0])], rare[len(near[0]) :])


def densities(rows: pd.DataFrame, candidates: pd.DataFrame, seen: Comparison) -> tuple[Floats, Floats]:
    """The logarithm of the candidates' density at each row, and the least distance, shape (len(rows),) each."""
    names = [column.name for column in seen.domain.modelled]
    encoded = encode(rows, candidates, seen.domain, names, released=seen.sample)
    least, sums = _kernel(encoded.targets, encoded.candidates, encoded.numbers, 1 / WIDTH)
    return np.log(sums / encoded.candidates.shape[1]) - least / WIDTH, least


def _scores(
    attack: Figures, rarity: tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]], remark: str
) -> Iterator[tuple[Score, dict[str, Any]]]:
    name = f"{Membership.name}.{attack.name}"
    yield _area(name, attack, remark), {"auc": attack.area}
    yield _hits(f"{name}_tpr", attack, remark), {"tpr": attack.rate}
    some = attack.of(rarity)
    if min(len(some.members), len(some.others)) < MIN_OUTLIERS:
        yield untold(f"{name}_outliers", f"fewer than {MIN_OUTLIERS} outliers among trained or held-out units"), {}
        return
    told = {
        "outliers_auc": some.area,
        "outliers_tpr": some.rate,
        "outliers_attacked": [about(len(some.members)), about(len(some.others))],
    }
    yield _area(f"{name}_outliers", some, remark), told


def _area(name: str, attack: Figures, remark: str) -> Score:
    area = auc(attack.members, attack.others)
    low, high = auc_ends(area, len(attack.members), len(attack.others))
    seen, (trained, held) = attack.area, attack.sizes
    half = attack.step / 2  # these are the ends of all areas that are shown as this one
    around = auc_ends(max(seen - half, 0.0), trained, held)[0], auc_ends(min(seen + half, 1.0), trained, held)[1]
    words = f"AUC {seen:g} to the nearest {attack.step:g}"
    words += f", of {about(trained)} trained and {about(held)} held-out units, less a half"
    return Score(
        name=name,
        value=area - 0.5,
        low=low - 0.5,
        high=high - 0.5,
        better=Better.LOWER,
        note="; ".join(filter(None, (words, remark))),
        shown=(seen - 0.5, around[0] - 0.5, around[1] - 0.5),
    )


def _hits(name: str, attack: Figures, remark: str) -> Score:
    found = hits(attack.members, attack.others, FALSE_ALARMS)
    low, high = found.ends
    words = (
        f"{about(found.found, found.members)} of {about(found.members)} trained units told at a threshold that "
        f"{about(found.alarms)} of {about(found.others)} held-out ones pass ({FALSE_ALARMS:.0%} may)"
    )
    note = "; ".join(filter(None, (words, remark)))
    low_seen, high_seen = found.seen.ends
    shown = (attack.rate, floor(low_seen / attack.step) * attack.step, ceil(high_seen / attack.step) * attack.step)
    return Score(name=name, value=found.rate, low=low, high=high, better=Better.LOWER, note=note, shown=shown)


@numba.jit(nopython=True, nogil=True)
def _kernel(targets: Floats, candidates: Floats, numbers: int, steep: float) -> tuple[Floats, Floats]:
    """For each target the least distance d and the sum of ``exp(-steep (distance - d))`` over all candidates."""
    parts, count = targets.shape
    least, sums = np.full(count, inf), np.zeros(count)
    total = np.empty(BLOCK)
    for start in range(0, candidates.shape[1], BLOCK):
        size = min(BLOCK, candidates.shape[1] - start)
        for i in range(count):
            for j in range(size):
                total[j] = 0.0
            for part in range(parts):
                value, cells = targets[part, i], candidates[part, start : start + size]
                if part < numbers:
                    for j in range(size):
                        total[j] += abs(value - cells[j])
                else:
                    for j in range(size):
                        total[j] += 1.0 if value != cells[j] else 0.0
            lowest = least[i]
            for j in range(size):
                lowest = min(lowest, total[j])
            added = 0.0
            for j in range(size):
                gap = steep * (total[j] - lowest)
                if gap < 40.0:
                    added += np.exp(-gap)
            sums[i] = sums[i] * np.exp(-steep * (least[i] - lowest)) + added
            least[i] = lowest
    return least, sums
