"""A white-box attack on the table engines: who knows all rows but one, and sees every noisy table, learns no more than
the plan's epsilon allows; with half the noise it would learn more, and the same test says so.

All noisy tables together are Gaussian evidence about one unit, whose strength mu = sqrt(sum 1 / sigma^2) the attacker
estimates from many releases with and without the unit. An event of one Gaussian of that strength prices the estimate.
"""

import numpy as np
import pyarrow as pa
import pytest

from dp_models import registry
from dp_models.base import IntArray
from dp_models.encoding.table import private_schema
from dp_models.mechanisms.accounting import epsilon
from dp_models.mechanisms.noise import SystemNoise
from synthgate.budget import PrivacyBudget
from synthgate.domain import Column, Domain, Kind
from synthgate.events import Gaussian
from tests.dp_models.private_tables import sizes_of

N, RUNS, DELTA = 400, 150, 1e-5
BUDGET = PrivacyBudget.spend(8.0, DELTA)
DOMAIN = Domain(
    columns=tuple(Column(name=n, kind=Kind.CATEGORICAL, categories=("a", "b")) for n in ("x", "y", "t")), target="t"
)


class Watched(SystemNoise):
    """System noise, ``scale`` times as much as asked for, whose output in the victim's cell an attacker adds up.

    The victim's cell is the first of every table: its values are the heaviest of every column.
    """

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale, self.evidence, self.strength = scale, 0.0, 0.0

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        noisy = super().discrete_gaussian(counts, sigma=sigma * self.scale, sensitivity=sensitivity)
        self.evidence += float(noisy.ravel()[0]) / sigma**2
        self.strength += 1 / sigma**2
        return noisy


def _rows(victims: int) -> pa.Table:
    """Most people are (a, a, a); the victim is one more of them."""
    cells = ["a"] * (N * 3 // 4) + ["b"] * (N // 4)
    rng = np.random.default_rng(0)
    columns = [pa.array([*rng.permutation(cells), *["a"] * victims]) for _ in DOMAIN.columns]
    return pa.Table.from_arrays([*columns, pa.array(np.arange(N + victims))], schema=private_schema(DOMAIN))


def _strength_proven(engine: str, scale: float) -> float:
    """A mu that the attacker has shown with confidence 0.9999 (one-sided)."""
    synthesizer = registry.synthesizer(engine)
    plan = synthesizer.plan(DOMAIN, sizes_of(N), BUDGET)
    seen: dict[int, list[float]] = {0: [], 1: []}
    strength = 0.0
    for victims, rows in ((0, _rows(0)), (1, _rows(1))):
        for _ in range(RUNS):
            noise = Watched(scale)
            synthesizer.fit(rows, DOMAIN, plan, noise=noise)
            seen[victims].append(noise.evidence)
            strength = noise.strength
    gap = np.mean(seen[1]) - np.mean(seen[0])
    spread = np.sqrt((np.var(seen[0], ddof=1) + np.var(seen[1], ddof=1)) / 2)
    assert gap == pytest.approx(strength, rel=0.5), "the victim is in the first cell of every table"
    return float(gap / spread - 3.72 * np.sqrt((2 + (gap / spread) ** 2 / 4) / RUNS))


@pytest.mark.parametrize("engine", ["independent", "star", "tree"])
def test_the_evidence_is_within_the_budget(engine: str) -> None:
    assert epsilon(Gaussian(1 / _strength_proven(engine, 1.0)), DELTA) <= BUDGET.epsilon


@pytest.mark.parametrize("engine", ["independent", "star", "tree"])
def test_half_the_noise_is_convicted(engine: str) -> None:
    assert epsilon(Gaussian(1 / _strength_proven(engine, 0.5)), DELTA) > BUDGET.epsilon
