"""Mistakes that cost privacy, planted on purpose: an audit that does not convict them proves nothing."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dp_models.base import FloatArray, IntArray, Noise, Plan
from dp_models.engines.aim import Aim
from dp_models.engines.independent import Independent, IndependentModel
from dp_models.engines.tree import score
from dp_models.graphical.junction import Clique
from dp_models.graphical.model import GraphModel
from dp_models.graphical.star import Tables
from dp_models.mechanisms.noise import SystemNoise
from synthgate.domain import Domain
from tests.audit.games import Draw, Recorded


class HalfNoise(Recorded):
    """Half of the noise that is claimed."""

    def table(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        return super().table(counts, sigma=sigma / 2, sensitivity=sensitivity)


class ReusedNoise(Recorded):
    """The same noise for every table of one shape and scale, as from a generator that is seeded anew."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[tuple[tuple[int, ...], float], IntArray] = {}

    def table(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        key = counts.shape, sigma
        if key not in self._made:
            self._made[key] = super().table(np.zeros_like(counts), sigma=sigma, sensitivity=sensitivity)
        return counts + self._made[key]


class TrueSize(Tables):
    """Scores that compare with a prediction for the true number of rows, which is private: one row moves them twice."""

    def choose(self, cliques: list[Clique], expected: Callable[[Clique], FloatArray], *, epsilon: float) -> Clique:
        true = float(self._true[cliques[0]].sum())
        return super().choose(cliques, lambda clique: expected(clique) * (true / self.total), epsilon=epsilon)


def by_true_size(true: IntArray, expected: FloatArray) -> float:
    """The same mistake in the score of an edge of `tree`, whose model is made of noisy tables as it should be."""
    return score(true, expected * (true.sum() / expected.sum()))


class Annealed(Tables):
    """Halves the noise of the next rounds whenever a table shows nothing but noise, as AIM does under a filter."""

    _scale, _expected = 1.0, np.zeros(0)

    def choose(self, cliques: list[Clique], expected: Callable[[Clique], FloatArray], *, epsilon: float) -> Clique:
        chosen = super().choose(cliques, expected, epsilon=epsilon)
        self._expected = expected(chosen)
        return chosen

    def measure(self, clique: Clique, sigma: float) -> IntArray:
        noisy = super().measure(clique, sigma * self._scale)
        if self._expected.shape == noisy.shape:
            chance = 4 * self._scale * sigma * noisy.size
            self._scale /= 2 if np.abs(noisy - self._expected).sum() < chance else 1
        return noisy


class AdaptiveAim(Aim):
    """`aim` whose rounds adapt their noise, while the plan charges those of a frozen schedule."""

    def fit(self, rows: pa.Table, domain: Domain, plan: Plan, *, noise: Noise) -> GraphModel:
        return self.run(Annealed(rows, domain, plan, noise), plan)


class Keen(Recorded):
    """Choices with twice the epsilon that is claimed."""

    def exponential(self, scores: FloatArray, *, epsilon: float, sensitivity: float) -> int:
        chosen = SystemNoise.exponential(self, scores, epsilon=2 * epsilon, sensitivity=sensitivity)
        self.draws.append(Draw(scores.copy(), chosen, epsilon, sensitivity))
        return chosen


class RowBounds(Independent):
    """`independent` whose bins span the rows that are there, as a scaler fitted on raw rows does."""

    def fit(self, rows: pa.Table, domain: Domain, plan: Plan, *, noise: Noise) -> IndependentModel:
        bounds = [pc.min_max(rows.column(c.name)).as_py() for c in domain.modelled]
        seen = (replace(c, low=b["min"], high=b["max"]) for c, b in zip(domain.modelled, bounds, strict=True))
        return super().fit(rows, replace(domain, columns=tuple(seen)), plan, noise=noise)


class ExactShares(Independent):
    """`independent` whose first column has the exact shares of its categories, bought and thrown away."""

    def fit(self, rows: pa.Table, domain: Domain, plan: Plan, *, noise: Noise) -> IndependentModel:
        model = super().fit(rows, domain, plan, noise=noise)
        (codes, *_), (bought, *others) = model.columns.codec.encode(rows.to_batches()[0]), model.probabilities
        exact = np.bincount(codes, minlength=len(bought)) / len(codes)
        return replace(model, probabilities=(exact, *others))
