"""The audit of the table engines: no attack proves more than the plan charges, and planted mistakes are convicted.

The default run plays a fast set; ``make audit`` plays all of it, longer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest

from dp_models.base import FloatArray, IntArray, Synthesizer
from dp_models.engines.aim import Aim
from dp_models.engines.independent import Independent
from dp_models.engines.mst import Mst
from dp_models.engines.tree import Tree
from dp_models.graphical.junction import Clique
from dp_models.graphical.star import Tables
from dp_models.mechanisms.noise import SystemNoise
from synthgate.budget import PrivacyBudget
from synthgate.events import Exponential, Repeated
from tests.audit.bugs import AdaptiveAim, HalfNoise, ReusedNoise, TrueSize
from tests.audit.games import Fit, Recorded, Verdict, play
from tests.audit.tables import crowd, torn
from tests.dp_models.private_tables import sizes_of

ROWS, DELTA = 400, 1e-5
ENGINES: dict[str, Synthesizer] = {
    "independent": Independent(),
    "tree": Tree(),
    "mst": Mst(steps=1),
    "aim": Aim(steps=1),
}
"""Without the last descent, on which no output of a mechanism depends."""


def _audit(
    engine: Synthesizer, epsilon: float, games: int, noise: Callable[[], Recorded] = Recorded, *, related: float = 0.6
) -> dict[str, bool]:
    """Which attacks break the claim of a plan of that budget."""
    domain, first, second = crowd(ROWS, related=related)
    plan = engine.plan(domain, sizes_of(ROWS), PrivacyBudget.spend(epsilon, DELTA))
    verdicts = play(
        lambda rows, source: engine.fit(rows, domain, plan, noise=source), first, second, games=games, noise=noise
    )
    return {attack: verdict.breaks(plan.event) for attack, verdict in verdicts.items()}


@pytest.mark.parametrize("engine", ENGINES)
def test_an_honest_engine_is_within_its_claim(engine: str) -> None:
    assert not any(_audit(ENGINES[engine], 8.0, 40).values())


@pytest.mark.parametrize(("engine", "games"), [("independent", 200)])
def test_half_the_noise_is_convicted(engine: str, games: int) -> None:
    assert _audit(ENGINES[engine], 8.0, games, HalfNoise)["likelihood"]


@pytest.mark.parametrize("engine", ENGINES)
def test_noise_that_is_used_again_is_convicted(engine: str) -> None:
    assert _audit(ENGINES[engine], 1.0, 24, ReusedNoise)["coincidences"]


def test_rounds_that_adapt_under_a_frozen_claim_are_convicted() -> None:
    assert _audit(AdaptiveAim(steps=1, rounds_per_edge=2.0), 4.0, 50, related=0.0)["likelihood"]


@dataclass
class ChoicesAlone:
    """Tables go through without noise, choices through the noise under audit: for a claim about choices alone."""

    source: SystemNoise | None = None

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        return counts.copy()

    def exponential(self, scores: FloatArray, *, epsilon: float, sensitivity: float) -> int:
        assert self.source is not None
        return self.source.exponential(scores, epsilon=epsilon, sensitivity=sensitivity)


def _choices(kind: type[Tables], times: int) -> tuple[Fit, pa.Table, pa.Table]:
    """``times`` choices between two pairs, from predictions that are public constants."""
    domain, first, second = torn(1_000)
    plan = Mst().plan(domain, sizes_of(1_000), PrivacyBudget.spend(8.0, DELTA))

    counted: dict[int, tuple[Tables, ChoicesAlone]] = {}
    for rows in (first, second):
        noise = ChoicesAlone()
        tables = kind(rows, domain, plan, noise)
        tables.count([(0, 1), (0, 2)])
        counted[id(rows)] = tables, noise
    sizes = counted[id(first)][0].grouped.sizes

    def expected(clique: Clique) -> FloatArray:
        """Independent columns; the heaviest group of a column comes first, and holds nine tenths."""
        return np.outer(*(np.array([0.9, 0.1, 0.0])[: sizes[c]] for c in clique)) * 1_000

    def fit(rows: pa.Table, source: SystemNoise) -> None:
        tables, noise = counted[id(rows)]
        noise.source = source
        for _ in range(times):
            tables.choose([(0, 1), (0, 2)], expected, epsilon=2.0)

    return fit, first, second


def _verdict(kind: type[Tables], games: int) -> tuple[Verdict, Repeated]:
    fit, first, second = _choices(kind, 3)
    return play(fit, first, second, games=games)["likelihood"], Repeated(Exponential(2.0), 3)


def test_choices_by_the_public_size_are_within_their_claim() -> None:
    verdict, claim = _verdict(Tables, 400)
    assert not verdict.breaks(claim)


def test_choices_by_the_true_size_are_convicted() -> None:
    verdict, claim = _verdict(TrueSize, 400)
    assert verdict.breaks(claim)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("epsilon", [1.0, 3.0, 8.0])
@pytest.mark.parametrize("engine", ENGINES)
def test_an_honest_engine_is_within_its_claim_for_long(engine: str, epsilon: float) -> None:
    assert not any(_audit(ENGINES[engine], epsilon, 1_000).values())


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("engine", ENGINES)
def test_half_the_noise_is_convicted_everywhere(engine: str) -> None:
    assert _audit(ENGINES[engine], 8.0, 1_000, HalfNoise)["likelihood"]
