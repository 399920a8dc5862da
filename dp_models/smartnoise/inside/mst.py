"""`PlannedMst`: SmartNoise's MST whose noise, scores and sizes are those of a plan.

What SmartNoise does otherwise, and what a plan does not pay for: it takes the number of rows from the table, both in
the scores (where it doubles their sensitivity) and in the model, and draws choices with numpy's global generator.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from mbi import LinearMeasurement, MarkovRandomField, estimation, marginal_oracles
from snsynth.mst import MSTSynthesizer

from dp_models.base import FloatArray, IntArray, Noise, Plan
from dp_models.encoding.codes import Codec
from dp_models.graphical.model import GraphModel
from dp_models.smartnoise.coded import Coded, distance
from dp_models.smartnoise.inside.chain import attributes, cells, chain

Pair = tuple[str, str]


class PlannedMst(MSTSynthesizer):  # type: ignore[misc]
    """One run of a plan."""

    def __init__(self, plan: Plan, noise: Noise) -> None:
        super().__init__(epsilon=plan.budget.epsilon, delta=plan.budget.delta)
        self.noise, self.parameters, self.max_rows = noise, plan.parameters, plan.sizes.max_rows
        self.total = float(plan.sizes.train_rows)
        self.groups: list[IntArray] = []

    def run(self, data: Coded, codec: Codec) -> GraphModel:
        """The steps of `MSTSynthesizer.MST`, in its order."""
        names = [str(i) for i in range(len(data.sizes))]
        ways = self.measure(data, [(name,) for name in names], self.parameters["sigma_columns"])
        data, ways, _ = self.compress_domain(data, ways)
        pairs = self.select(data, 0.0, ways, self.total) if len(names) > 1 else []
        bought = self.measure(data, pairs, self.parameters["sigma_edges"]) if pairs else []
        return self.drawable(self.fitted(data, ways + bought, self.parameters["steps"]), codec)

    def drawable(self, model: MarkovRandomField, codec: Codec) -> GraphModel:
        """What is kept of the fit."""
        return chain(model, codec, self.groups)

    def measure(
        self, data: Coded, cliques: Sequence[tuple[str, ...]], sigma: float, weights: None = None
    ) -> list[LinearMeasurement]:
        """Noisy tables, all at the same scale, which is what the plan's ``sigma`` is."""
        return [LinearMeasurement(self._noisy(data, c, sigma).astype(np.float64), c, sigma) for c in cliques]

    def _noisy(self, data: Coded, clique: tuple[str, ...], sigma: float) -> IntArray:
        true = data.table([int(name) for name in clique])
        return self.noise.discrete_gaussian(true, sigma=sigma, sensitivity=self.max_rows).ravel()

    def transform_data(self, data: Coded, supports: dict[str, Any]) -> Coded:
        """The rows in the compressed domain: a code for each supported one, and one for all others."""
        self.groups = []
        for i in range(len(data.sizes)):
            kept = np.asarray(supports[str(i)], dtype=bool)
            self.groups.append(np.where(kept, np.cumsum(kept) - 1, kept.sum()).astype(np.int64))
        return data.merged(self.groups)

    def select(
        self,
        data: Coded,
        rho: float,
        measurement_log: list[LinearMeasurement],
        total: float,
        cliques: Sequence[Pair] = (),
    ) -> list[Pair]:
        """A spanning tree beyond ``cliques``, by Kruskal's algorithm with private choices; ``rho`` and ``total`` are
        the plan's."""
        model = self.fitted(data, measurement_log, self.parameters["steps_select"])
        candidates = list(combinations(model.domain.attributes, 2))
        ways = {name: cells(model, (name,)) for name in model.domain.attributes}
        errors = {  # no pair is measured yet, so the model's pairs are products
            (a, b): distance(data.table([int(a), int(b)]), np.outer(ways[a], ways[b]) / self.total)
            for a, b in candidates
        }
        part = {name: name for name in model.domain.attributes}
        tree = list(cliques)
        for first, second in tree:
            part = _joined(part, first, second)
        while open_ := [(a, b) for a, b in candidates if part[a] != part[b]]:
            pair = open_[self.exponential_mechanism(np.array([errors[p] for p in open_]), 0.0, float(self.max_rows))]
            tree.append(pair)
            part = _joined(part, *pair)
        return tree

    def exponential_mechanism(
        self, q: FloatArray, eps: float, sensitivity: float, prng: None = None, monotonic: bool = False
    ) -> int:
        """One choice, at the plan's epsilon."""
        return self.noise.exponential(q, epsilon=self.parameters["epsilon_select"], sensitivity=sensitivity)

    def fitted(self, data: Coded, measured: list[LinearMeasurement], steps: int) -> MarkovRandomField:
        """The model of noisy tables and the public number of rows; of ``data`` only the sizes are read."""
        return estimation.mirror_descent(
            attributes(data.sizes),
            measured,
            known_total=self.total,
            iters=steps,
            marginal_oracle=marginal_oracles.message_passing_stable,
        )


def _joined(part: dict[str, str], first: str, second: str) -> dict[str, str]:
    """Which part of the tree every column is in, once two columns are joined."""
    return {name: part[first] if p == part[second] else p for name, p in part.items()}
