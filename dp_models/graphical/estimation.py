"""`Markov`: the log-linear model of measured tables, fitted by mirror descent (McKenna, Sheldon, Miklau 2019).

Estimation is post-processing: it sees noisy tables, their noise and the public number of rows. The arithmetic is that
of mbi's ``mirror_descent`` over ``message_passing_stable`` (the tests compare them) in plain numpy: an adaptive engine
has another junction tree every round, and compiling each one costs more than running it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dp_models.base import FloatArray, IntArray
from dp_models.graphical.junction import Clique, Junction

_FLOOR = 1e-3
"""Counts below this (in rows) are started as this, so that no cell of a start is impossible."""


@dataclass(frozen=True)
class Measured:
    """A noisy table: ``counts`` has one axis a column of ``clique``, ``sigma`` is its noise in counts."""

    clique: Clique
    counts: FloatArray | IntArray
    sigma: float


@dataclass(frozen=True)
class Markov:
    """P proportional to exp(sum of potentials): one potential a measured clique, of the clique's shape."""

    junction: Junction
    total: float
    potentials: dict[Clique, FloatArray]
    beliefs: tuple[FloatArray, ...]
    """Expected counts of every clique of the junction tree; each sums to ``total``, neighbours agree."""

    @classmethod
    def of(cls, junction: Junction, total: float, potentials: dict[Clique, FloatArray]) -> "Markov":
        """The model of given potentials, with its beliefs."""
        return cls(junction, total, potentials, tuple(_Passing(junction, total).beliefs(potentials)))

    def marginal(self, clique: Clique) -> FloatArray:
        """Expected counts of any columns, an axis a column in the order given; whether one clique holds them or not.

        Cliques are folded into their parents, keeping only what is asked for or still needed.
        """
        wanted = set(clique)
        rising = tuple(sorted(wanted))
        host = self.junction.host(rising)
        if host is not None:
            held = self.junction.cliques[host]
            table = _sum_to(self.beliefs[host], held, rising)
        else:
            table = _folded(self.junction, self.beliefs, wanted, rising)
        return np.transpose(table, [rising.index(column) for column in clique])

    def with_clique(self, junction: Junction, clique: Clique, towards: FloatArray) -> "Markov":
        """The model with one more potential, which makes the clique's table ``towards`` (one step of iterative
        proportional fitting), over a tree that has room for it."""
        now = self.marginal(clique)
        step = np.log(np.maximum(towards, _FLOOR)) - np.log(np.maximum(now, _FLOOR))
        before = self.potentials.get(clique)
        return Markov.of(junction, self.total, self.potentials | {clique: step if before is None else before + step})


def estimate(model: Markov, measured: Sequence[Measured], *, iterations: int) -> Markov:
    """Fit to all tables at once, weighted by their noise, starting from ``model``, whose potentials hold every clique.

    Mirror descent on the least-squares loss with a step that backs off by Armijo's condition and grows while it holds.
    """
    passing = _Passing(model.junction, model.total)
    weights = [1 / m.sigma**2 for m in measured]
    step = 1 / (sum(weights) / len(weights) * model.total)
    theta, beliefs = dict(model.potentials), list(model.beliefs)
    loss, slopes = _loss(passing, beliefs, measured, weights)
    for _ in range(iterations):
        tried = dict(theta)
        for clique, slope in slopes.items():
            tried[clique] = tried[clique] - step * slope
        there = passing.beliefs(tried)
        loss_there, slopes_there = _loss(passing, there, measured, weights)
        gain = sum(float((s * (passing.table(beliefs, c) - passing.table(there, c))).sum()) for c, s in slopes.items())
        if np.isfinite(loss_there) and loss - loss_there >= 0.5 * gain:
            theta, beliefs, loss, slopes = tried, there, loss_there, slopes_there
            step *= 1.1
        else:
            step *= 0.5
    return Markov(model.junction, model.total, theta, tuple(beliefs))


class _Passing:
    """Message passing over one tree, in counts: everything about axes is worked out once."""

    def __init__(self, junction: Junction, total: float) -> None:
        self.junction, self.total = junction, total
        self.hosts: dict[Clique, int] = {}
        self.shapes = [tuple(junction.sizes[c] for c in clique) for clique in junction.cliques]
        self.own, self.above = [], []
        for i, clique in enumerate(junction.cliques):
            shared = junction.separator(i)
            upper = junction.cliques[junction.parents[i]] if i else ()
            self.own.append(_Axes.of(clique, shared, junction.sizes))
            self.above.append(_Axes.of(upper, shared, junction.sizes))
        self.axes: dict[Clique, _Axes] = {}

    def beliefs(self, potentials: dict[Clique, FloatArray]) -> list[FloatArray]:
        """Expected counts of every clique (Lauritzen, Spiegelhalter 1988; Hugin's form)."""
        logs = [np.zeros(shape) for shape in self.shapes]
        for clique, potential in potentials.items():
            logs[self._host(clique)] += potential.reshape(self.axes[clique].spread)
        found = [np.exp(log - log.max()) for log in logs]
        ups: list[FloatArray] = [np.ones(1)] * len(found)
        for i in range(len(found) - 1, 0, -1):
            up = found[i].sum(axis=self.own[i].summed)
            ups[i] = up / up.max()
            found[self.junction.parents[i]] *= ups[i].reshape(self.above[i].spread)
        found[0] *= self.total / found[0].sum()
        for i in range(1, len(found)):
            down = found[self.junction.parents[i]].sum(axis=self.above[i].summed)
            ratio = np.divide(down, found[i].sum(axis=self.own[i].summed), out=np.zeros_like(down), where=ups[i] > 0)
            found[i] *= ratio.reshape(self.own[i].spread)
        return found

    def table(self, beliefs: Sequence[FloatArray], clique: Clique) -> FloatArray:
        """The expected counts of a clique that the tree holds."""
        host = self._host(clique)
        return np.asarray(beliefs[host].sum(axis=self.axes[clique].summed))

    def _host(self, clique: Clique) -> int:
        if clique not in self.hosts:
            host = self.junction.host(clique)
            assert host is not None  # noqa: S101  trees are made of the measured cliques
            self.hosts[clique] = host
            self.axes[clique] = _Axes.of(self.junction.cliques[host], clique, self.junction.sizes)
        return self.hosts[clique]


@dataclass(frozen=True)
class _Axes:
    """How a table over some columns of a clique is summed out of it, and spread over it again."""

    summed: tuple[int, ...]
    spread: tuple[int, ...]

    @classmethod
    def of(cls, clique: Clique, kept: Clique, sizes: Sequence[int]) -> "_Axes":
        return cls(
            tuple(i for i, c in enumerate(clique) if c not in kept),
            tuple(sizes[c] if c in kept else 1 for c in clique),
        )


def _loss(
    passing: _Passing, beliefs: Sequence[FloatArray], measured: Sequence[Measured], weights: Sequence[float]
) -> tuple[float, dict[Clique, FloatArray]]:
    """Half the weighted squared distance from the tables, and its slope on each clique."""
    loss = 0.0
    slopes: dict[Clique, FloatArray] = {}
    for table, weight in zip(measured, weights, strict=True):
        gap = passing.table(beliefs, table.clique) - table.counts
        loss += 0.5 * weight * float((gap**2).sum())
        before = slopes.get(table.clique)
        slopes[table.clique] = weight * gap if before is None else before + weight * gap
    return loss, slopes


def _sum_to(table: FloatArray, held: Clique, kept: Clique) -> FloatArray:
    return np.asarray(table.sum(axis=tuple(i for i, c in enumerate(held) if c not in kept)))


def _folded(junction: Junction, beliefs: Sequence[FloatArray], wanted: set[int], rising: Clique) -> FloatArray:
    """The joint table of columns that no clique holds together: leaves are folded up as conditionals."""
    carried: dict[int, list[tuple[Clique, FloatArray]]] = {i: [] for i in range(len(beliefs))}
    for i in range(len(beliefs) - 1, -1, -1):
        clique, shared = junction.cliques[i], junction.separator(i)
        own = set(clique).union(*(c for c, _ in carried[i])) & wanted
        if i and not own - set(shared):
            continue
        base = beliefs[i]
        if i:
            below = _sum_to(base, clique, shared)
            base = base / np.where(below > 0, below, 1.0).reshape(_Axes.of(clique, shared, junction.sizes).spread)
        kept = tuple(sorted(own | set(shared)))
        operands: list[object] = [base, list(clique)]
        for columns, table in carried[i]:
            operands += [table, list(columns)]
        folded = np.einsum(*operands, list(kept), optimize=len(operands) > 4)  # type: ignore[call-overload]
        if i == 0:
            return np.asarray(folded)
        carried[junction.parents[i]].append((kept, folded))
    raise AssertionError(f"no root above {rising}")
