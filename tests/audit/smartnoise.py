"""The games of `tests.audit.games` on the wrapped SmartNoise engines, for SmartNoise's interpreter.

Run as ``python -m tests.audit.smartnoise FOLDER``: every entry of the spec names a fit, a plan, the noise and how many
games to play; the result is what the attacker said. Who judges it has the accountants, and sits elsewhere.

Every engine is audited where it touches rows: its own counts, scores, choices, sizes and order. The model between two
draws is made of noisy tables and public sizes alone; `mbi` takes seconds to fit one, so a rough one stands in for it.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from mbi import LinearMeasurement

from dp_models.base import FloatArray, IntArray, Plan
from dp_models.encoding.codes import Codec
from dp_models.mechanisms.noise import SystemNoise
from dp_models.smartnoise.coded import Coded
from dp_models.smartnoise.inside.aim import FilteredAim
from dp_models.smartnoise.inside.chain import attributes
from dp_models.smartnoise.inside.mst import PlannedMst
from dp_models.smartnoise.inside.mwem import PlannedMwem
from synthgate.errors import FailedPrecondition
from synthgate.events import DpEvent
from tests.audit.bugs import HalfNoise, ReusedNoise
from tests.audit.games import Recorded, play
from tests.audit.tables import PAIRS


class Rough:
    """Pairs as they were measured, others as products of one-way tables; all of it brought to the public total."""

    def __init__(self, data: Coded, measured: Sequence[LinearMeasurement], total: float) -> None:
        self.domain, self.cliques = attributes(data.sizes), [m.clique for m in measured]
        self.total = total
        self.tables = {m.clique: np.asarray(m.noisy_measurement) for m in measured}

    def project(self, clique: tuple[str, ...]) -> "Rough":
        self.asked = clique
        return self

    def datavector(self, flatten: bool) -> FloatArray:
        shape = self.domain.project(self.asked).shape
        if self.asked in self.tables:
            return self._spread(self.tables[self.asked]).reshape(shape)
        first, *others = [self._spread(self.tables[(name,)]) / self.total for name in self.asked]
        for other in others:
            first = np.multiply.outer(first, other)
        return first.reshape(shape) * self.total

    def _spread(self, noisy: FloatArray) -> FloatArray:
        kept = np.maximum(noisy, 0.5)
        return kept / kept.sum() * self.total


class Mst(PlannedMst):
    """`smartnoise-mst` without its model."""

    def fitted(self, data: Coded, measured: Sequence[LinearMeasurement], steps: int) -> Rough:
        return Rough(data, measured, self.total)

    def drawable(self, model: Rough, codec: Codec) -> Rough:
        return model


class Aim(FilteredAim):
    """`smartnoise-aim` without its model."""

    def fitted(self, data: Coded, measured: Sequence[LinearMeasurement]) -> Rough:
        return Rough(data, measured, self.total)

    def drawable(self, model: Rough, codec: Codec) -> Rough:
        return model


class Overspending(Aim):
    """AIM that counts a hundredth of what it uses: its last round has a tenth of the noise that it should."""

    def cost(self, sigma: float, epsilon: float) -> float:
        return super().cost(sigma, epsilon) / 100


class Unfiltered(Recorded):
    """Noise that lets everything through its filter."""

    def ran(self, event: DpEvent) -> None:
        pass


class QuarterNoise(Unfiltered, HalfNoise):
    """A quarter of the noise, where a filter would notice. (A claim by Rényi divergence is too loose for games like
    these to tell half the noise from it.)"""

    def table(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        return super().table(counts, sigma=sigma / 2, sensitivity=sensitivity)


class Choices(Mst):
    """Three choices of MST alone, between two pairs, from one-way tables that are public constants: such that scores
    for a row more than there is turn the likelier of the two into the less likely one."""

    def run(self, data: Coded, codec: Codec) -> Any:
        shares = ([0.1, 0.9, 0.0], [0.9, 0.1, 0.0], [0.901, 0.099, 0.0])
        ways = [LinearMeasurement(np.array(s) * 1_000, (str(i),), 1.0) for i, s in enumerate(shares)]
        return [self.select(data, 0.0, ways, self.total, [("1", "2")]) for _ in range(3)]


class TrueSize(Choices):
    """A model of as many rows as there are, which is private: one row moves a score twice."""

    def fitted(self, data: Coded, measured: Sequence[LinearMeasurement], steps: int) -> Rough:
        return Rough(data, measured, float(data.codes.shape[1]))


FITS: dict[str, Any] = {c.__name__: c for c in (Mst, Aim, PlannedMwem, Overspending, Choices, TrueSize)}
NOISE: dict[str, type[Recorded]] = {c.__name__: c for c in (Recorded, HalfNoise, QuarterNoise, ReusedNoise, Unfiltered)}


def _played(game: dict[str, Any]) -> dict[str, tuple[int, int]]:
    domain, first, second, max_rows = PAIRS[game["pair"]]
    plan, fit = Plan.from_json(game["plan"]), FITS[game["fit"]]
    coded = {id(rows): Coded.of(rows, domain, max_rows=max_rows) for rows in (first, second)}

    def run(rows: pa.Table, noise: SystemNoise) -> None:
        fit(plan, noise).run(coded[id(rows)], Codec(domain))

    verdicts = play(run, first, second, games=game["games"], noise=NOISE[game["noise"]])
    return {attack: (v.hits, v.alarms) for attack, v in verdicts.items()}


def _refused(game: dict[str, Any]) -> bool:
    """Whether the noise refuses to go on with a fit."""
    domain, rows, _, max_rows = PAIRS[game["pair"]]
    coded = Coded.of(rows, domain, max_rows=max_rows)
    try:
        FITS[game["fit"]](Plan.from_json(game["plan"]), SystemNoise()).run(coded, Codec(domain))
    except FailedPrecondition:
        return True
    return False


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    spec = json.loads((folder / "spec.json").read_text())
    told = {"played": [_played(g) for g in spec["games"]], "refused": [_refused(g) for g in spec["tried"]]}
    (folder / "result.json").write_text(json.dumps(told))
