"""`FilteredAim`: SmartNoise's AIM whose noise, scores and sizes are those of a plan, under its filter.

Which scale comes next follows from noisy tables alone, so the noise may be asked to hold the sum of all costs below the
plan's rho (`Noise.filtered`): a round that would go beyond it is not drawn. The rounds here keep to it by themselves.
"""

import math
from collections.abc import Mapping

import numpy as np
from mbi import LinearMeasurement, MarkovRandomField, estimation, marginal_oracles
from snsynth.aim.aim import AIMSynthesizer, compile_workload, filter_candidates

from dp_models.base import FloatArray, IntArray, Noise, Plan
from dp_models.encoding.codes import Codec
from dp_models.graphical.model import GraphModel
from dp_models.mechanisms.calibration import round_up
from dp_models.smartnoise.coded import Coded, distance
from dp_models.smartnoise.inside.chain import attributes, cells, chain

Clique = tuple[str, ...]
_TABLES = 0.9
"""The share of a round's rho that its table gets; the choice gets the rest."""
_JUST_BELOW = 1 - 1e-9
"""So that no rounding of a sum of costs exceeds what it was made from."""


class FilteredAim(AIMSynthesizer):  # type: ignore[misc]
    """One run of a plan."""

    def __init__(self, plan: Plan, noise: Noise) -> None:
        p = plan.parameters
        super().__init__(
            epsilon=plan.budget.epsilon, delta=plan.budget.delta, max_model_size=p["model_mib"],
            max_cells=p["max_cells"], rounds=p["rounds"],
        )  # fmt: skip
        self.noise, self.max_rows, self.steps = noise, plan.sizes.max_rows, p["steps"]
        self.total, self.rho = float(plan.sizes.train_rows), p["rho"]

    def run(self, data: Coded, codec: Codec) -> GraphModel:
        """Everything that touches rows, inside the filter."""
        domain = attributes(data.sizes)
        singles = [(name,) for name in domain.attributes]
        pairs = [(a, b) for a, b in _pairs(domain.attributes) if domain.size((a, b)) <= self.max_cells]
        with self.noise.filtered(self.rho):
            self.AIM(data, [*singles, *pairs])
        return self.drawable(self.synthesizer, codec)

    def drawable(self, model: MarkovRandomField, codec: Codec) -> GraphModel:
        """What is kept of the fit."""
        return chain(model, codec, [np.arange(size) for size in codec.sizes])

    def AIM(self, data: Coded, workload: list[Clique]) -> None:  # noqa: N802  SmartNoise's name
        """The rounds of `AIMSynthesizer.AIM`, in its order."""
        candidates = compile_workload(workload)
        names = [str(i) for i in range(len(data.sizes))]
        sigma = round_up(self.max_rows * math.sqrt(self.rounds / (2 * _TABLES * self.rho)))
        epsilon = math.sqrt(8 * (1 - _TABLES) * self.rho / self.rounds)
        bought = [self._measured(data, (name,), sigma) for name in names]
        used = len(names) * self.cost(sigma, 0.0)
        model = self.fitted(data, bought)
        last = False
        while not last:
            left = self.rho - used
            if last := left < 2 * self.cost(sigma, epsilon):
                sigma, epsilon = self._all_of(left * _JUST_BELOW)
            used += self.cost(sigma, epsilon)
            room = self.max_model_size * used / self.rho
            chosen = self._worst(data, filter_candidates(candidates, model, room), model, epsilon, sigma)
            before = cells(model, chosen)
            bought.append(self._measured(data, chosen, sigma))
            model = self.fitted(data, bought)
            if np.abs(cells(model, chosen) - before).sum() <= sigma * math.sqrt(2 / math.pi) * before.size:
                sigma, epsilon = round_up(sigma / 2), 2 * epsilon
        self.synthesizer = model

    def cost(self, sigma: float, epsilon: float) -> float:
        """The zero-concentrated rho of a table and a choice."""
        return self.max_rows**2 / (2 * sigma**2) + epsilon**2 / 8

    def _all_of(self, rho: float) -> tuple[float, float]:
        """The scale and the epsilon of a round that costs so much."""
        return round_up(self.max_rows / math.sqrt(2 * _TABLES * rho)), math.sqrt(8 * (1 - _TABLES) * rho)

    def _worst(
        self, data: Coded, candidates: Mapping[Clique, int], model: MarkovRandomField, epsilon: float, sigma: float
    ) -> Clique:
        """The table that the model gets most wrong, by the exponential mechanism: errors less what noise alone would
        give, weighed by how much of the workload a table serves. Weights are whole numbers, so a unit of k rows moves a
        score by at most k times the largest, exactly."""
        cliques = list(candidates)
        scores: FloatArray = np.array([
            candidates[c] * (distance(data.table(_columns(c)), cells(model, c)) - self._bias(data, c, sigma))
            for c in cliques
        ])  # fmt: skip
        sensitivity = float(max(candidates.values()) * self.max_rows)
        return cliques[self.noise.exponential(scores, epsilon=epsilon, sensitivity=sensitivity)]

    def _bias(self, data: Coded, clique: Clique, sigma: float) -> float:
        """The L1 norm of a table's noise; rounded to a grid, so that scores are exact in double precision."""
        size = math.prod(data.sizes[c] for c in _columns(clique))
        return round(math.sqrt(2 / math.pi) * sigma * size * 1024) / 1024

    def _measured(self, data: Coded, clique: Clique, sigma: float) -> LinearMeasurement:
        true: IntArray = data.table(_columns(clique))
        noisy = self.noise.discrete_gaussian(true, sigma=sigma, sensitivity=self.max_rows)
        return LinearMeasurement(noisy.ravel().astype(np.float64), clique, sigma)

    def fitted(self, data: Coded, measured: list[LinearMeasurement]) -> MarkovRandomField:
        """The model of noisy tables and the public number of rows; of ``data`` only the sizes are read."""
        return estimation.mirror_descent(
            attributes(data.sizes),
            measured,
            known_total=self.total,
            iters=self.steps,
            marginal_oracle=marginal_oracles.message_passing_stable,
        )


def _columns(clique: Clique) -> list[int]:
    return [int(name) for name in clique]


def _pairs(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]
