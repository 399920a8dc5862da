"""`PlannedMwem`: SmartNoise's MWEM whose noise, scores and sizes are those of a plan.

What SmartNoise does otherwise, and what a plan does not pay for: the histogram's shape, its total, the number of rounds
and the width of marginals are read from the rows; errors are those of a histogram with the true number of rows, which
doubles their sensitivity; choices come from Python's global generator.
"""

import numpy as np
from snsynth.mwem import Histogram, MWEMSynthesizer

from dp_models.base import FloatArray, IntArray, Noise, Plan
from dp_models.encoding.codes import Codec
from dp_models.smartnoise.blocks import BlocksModel
from dp_models.smartnoise.coded import Coded, distance
from dp_models.smartnoise.mwem import WIDTH


class PlannedMwem(MWEMSynthesizer):  # type: ignore[misc]
    """One run of a plan."""

    def __init__(self, plan: Plan, noise: Noise) -> None:
        super().__init__(epsilon=plan.budget.epsilon, mult_weights_iterations=plan.parameters["updates"])
        self.noise, self.parameters, self.max_rows = noise, plan.parameters, plan.sizes.max_rows
        self.total = float(plan.sizes.train_rows)

    def run(self, data: Coded, codec: Codec) -> BlocksModel:
        """Every block on its own."""
        p = self.parameters
        tables = [self._block(data.table(b), rounds) for b, rounds in zip(p["blocks"], p["rounds"], strict=True)]
        return BlocksModel.of(codec, p["blocks"], tables)

    def _block(self, true: IntArray, rounds: int) -> FloatArray:
        """The rounds of `MWEMSynthesizer.mwem` on one histogram; a marginal is measured once."""
        histogram = Histogram(true, true.shape, true.shape, true.shape)
        histogram.add_cuboid_queries(min(WIDTH, true.ndim))
        queries = histogram.queries
        exact = [np.array([q.evaluate(true) for q in cuboid.queries], dtype=np.int64) for cuboid in queries]
        weights = np.full(true.shape, self.total / true.size)
        measured: dict[int, list[float]] = {}
        for _ in range(rounds):
            open_ = [i for i in range(len(queries)) if i not in measured]
            expected = [np.array([q.evaluate(weights) for q in queries[i].queries]) for i in open_]
            scores = np.array([distance(exact[i], table) for i, table in zip(open_, expected, strict=True)])
            picked = self.noise.exponential(
                scores, epsilon=self.parameters["epsilon_select"], sensitivity=float(self.max_rows)
            )
            noisy = self.noise.discrete_gaussian(
                exact[open_[picked]], sigma=self.parameters["sigma_rounds"], sensitivity=self.max_rows
            )
            measured[open_[picked]] = noisy.tolist()
            weights = self._multiplicative_weights(weights, queries, measured, None, self.mult_weights_iterations)
        return weights
