"""`Markov`: the log-linear model of measured tables, fitted by mirror descent (McKenna, Sheldon, Miklau 2019).

Estimation is post-processing: it sees noisy tables, their noise and the public number of rows. The arithmetic is that
of mbi's ``mirror_descent`` over ``message_passing_stable`` (the tests compare them) in plain numpy: an adaptive engine
has another junction tree every round, and compiling each one costs more than running it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dp_models.base import FloatArray, IntArray
from dp_models.graphical.junction import Clique, Junction

_FLOOR = 1e-3
"""Counts below this (in rows) are started as this, so that no cell of a start is impossible."""
_SETTLED = 1e-5
"""A step that gains less than this part of the loss is the last one."""

_LEAST = 1e-200
"""Mass below which logs are passed: a part in 1e100 of it may be lost."""


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

    Mirror descent on the least-squares loss with a step that backs off by Armijo's condition and grows while it holds;
    at most ``iterations`` steps, fewer where the loss has settled.
    """
    passing = _Passing(model.junction, model.total)
    weights = [1 / m.sigma**2 for m in measured]
    step = 1 / (sum(weights) / len(weights) * model.total)
    theta, beliefs = dict(model.potentials), list(model.beliefs)
    gaps = _gaps(passing, beliefs, measured)
    loss = _loss(gaps, weights)
    for _ in range(iterations):
        tried = dict(theta)
        for table, gap, weight in zip(measured, gaps, weights, strict=True):
            tried[table.clique] = tried[table.clique] - step * weight * gap
        there = passing.beliefs(tried)
        gaps_there = _gaps(passing, there, measured)
        loss_there = _loss(gaps_there, weights)
        promised = sum(w * float(((a - b) * a).sum()) for a, b, w in zip(gaps, gaps_there, weights, strict=True))
        if not loss - loss_there >= 0.5 * promised:
            step *= 0.5
            continue
        settled = loss - loss_there < _SETTLED * loss
        theta, beliefs, loss, gaps = tried, there, loss_there, gaps_there
        step *= 1.2
        if settled:
            break
    return Markov(model.junction, model.total, theta, tuple(beliefs))


class _Passing:
    """Message passing over one tree, in counts: everything about axes is worked out once."""

    def __init__(self, junction: Junction, total: float) -> None:
        self.junction, self.total = junction, total
        self.hosts: dict[Clique, int] = {}
        self.shapes = [tuple(junction.sizes[c] for c in clique) for clique in junction.cliques]
        self.own, self.above = [], []
        for i, clique in enumerate(junction.cliques):
            shared = junction.separators[i]
            upper = junction.cliques[junction.parents[i]] if i else ()
            self.own.append(_Axes.of(clique, shared, junction.sizes))
            self.above.append(_Axes.of(upper, shared, junction.sizes))
        self.axes: dict[Clique, _Axes] = {}

    def beliefs(self, potentials: dict[Clique, FloatArray]) -> list[FloatArray]:
        """Expected counts of every clique (Lauritzen, Spiegelhalter 1988; Hugin's form).

        What a double cannot hold is lost, less than 1e-300 of mass where nothing is larger than 1. Cliques that
        contradict each other leave so little mass that this would be felt; then logs are passed.
        """
        logs = [np.zeros(shape) for shape in self.shapes]
        for clique, potential in potentials.items():
            logs[self._host(clique)] += potential.reshape(self.axes[clique].spread)
        return self._passed([np.exp(log - log.max()) for log in logs]) or self._passed_in_logs(logs)

    def _passed(self, found: list[FloatArray]) -> list[FloatArray] | None:
        """None where less than ``_LEAST`` of mass is left."""
        ups: list[FloatArray] = [np.ones(1)] * len(found)
        left = 1.0
        for i in range(len(found) - 1, 0, -1):
            up = found[i].sum(axis=self.own[i].summed)
            most = up.max()
            left *= min(most, 1.0)
            if left < _LEAST:
                return None
            ups[i] = up / most
            found[self.junction.parents[i]] *= ups[i].reshape(self.above[i].spread)
        mass = found[0].sum()
        if left * mass < _LEAST:
            return None
        found[0] *= self.total / mass
        for i in range(1, len(found)):
            down = found[self.junction.parents[i]].sum(axis=self.above[i].summed)
            ratio = np.divide(down, found[i].sum(axis=self.own[i].summed), out=np.zeros_like(down), where=ups[i] > 0)
            found[i] *= ratio.reshape(self.own[i].spread)
        return found

    def _passed_in_logs(self, logs: list[FloatArray]) -> list[FloatArray]:
        """The same, of logs: slower, and right for potentials of any size."""
        ups: list[FloatArray] = [np.zeros(1)] * len(logs)
        for i in range(len(logs) - 1, 0, -1):
            ups[i] = _log_sum(logs[i], self.own[i].summed)
            logs[self.junction.parents[i]] += ups[i].reshape(self.above[i].spread)
        logs[0] += np.log(self.total) - _log_sum(logs[0], tuple(range(logs[0].ndim)))
        for i in range(1, len(logs)):
            down = _log_sum(logs[self.junction.parents[i]], self.above[i].summed)
            logs[i] += (down - ups[i]).reshape(self.own[i].spread)
        return [np.exp(log) for log in logs]

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


def _gaps(passing: _Passing, beliefs: Sequence[FloatArray], measured: Sequence[Measured]) -> list[FloatArray]:
    """What the model expects more than each table says."""
    return [np.asarray(passing.table(beliefs, m.clique) - m.counts) for m in measured]


def _loss(gaps: Sequence[FloatArray], weights: Sequence[float]) -> float:
    """Half the weighted squared distance from the tables."""
    return 0.5 * sum(w * float((gap**2).sum()) for gap, w in zip(gaps, weights, strict=True))


def _log_sum(logs: FloatArray, summed: tuple[int, ...]) -> FloatArray:
    """log(sum(exp(logs))) over some axes."""
    highest = logs.max(axis=summed, keepdims=True)
    return np.asarray(np.log(np.exp(logs - highest).sum(axis=summed)) + highest.squeeze(axis=summed))


def _sum_to(table: FloatArray, held: Clique, kept: Clique) -> FloatArray:
    return np.asarray(table.sum(axis=tuple(i for i, c in enumerate(held) if c not in kept)))


def _folded(junction: Junction, beliefs: Sequence[FloatArray], wanted: set[int], rising: Clique) -> FloatArray:
    """The joint table of columns that no clique holds together: leaves are folded up as conditionals."""
    carried: dict[int, list[tuple[Clique, FloatArray]]] = {i: [] for i in range(len(beliefs))}
    for i in range(len(beliefs) - 1, -1, -1):
        clique, shared = junction.cliques[i], junction.separators[i]
        own = wanted.intersection(clique).union(*(wanted.intersection(c) for c, _ in carried[i]))
        if i and own.issubset(shared):
            continue
        base = beliefs[i]
        if i:
            below = _sum_to(base, clique, shared)
            base = base / np.where(below > 0, below, 1.0).reshape(_Axes.of(clique, shared, junction.sizes).spread)
        kept = tuple(sorted(own | set(shared)))
        joined = [(clique, base), *carried[i]]
        label = {c: n for n, c in enumerate({c for columns, _ in joined for c in columns})}
        operands: list[Any] = [o for columns, table in joined for o in (table, [label[c] for c in columns])]
        folded = np.einsum(*operands, [label[c] for c in kept], optimize=len(joined) > 2)
        if i == 0:
            return np.asarray(folded)
        carried[junction.parents[i]].append((kept, folded))
    raise AssertionError(f"no root above {rising}")
