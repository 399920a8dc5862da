"""`Posterior`: plausible populations given the noisy tables of a fit, each of them a model to sample. Post-processing.

What is estimated is the log-linear model of largest entropy whose tables are those that were bought (NAPSU-MQ; Räisä,
Jälkö, Kaski, Honkela 2023). Its likelihood has two parts: rows are drawn from the model (covariance n Sigma of the
tables), noise of a known scale is added (sigma^2 a cell). With a flat prior and both parts normal, a draw from the
posterior is the estimate from tables to which both were added once more, independently:

1. estimate the model from the noisy tables, which are consistent nowhere and negative in places: settle them from small
   to large (weighted by precision, made consistent with smaller ones, projected to non-negative cells), then fit;
2. for each draw sample n rows of that model, take how far their tables are off, add fresh noise of the known scale;
3. estimate the model from the noisy tables plus both.

The public number of rows is not what the tables count: a fifth is held out by keyed coins, and a declared size may be
rounded. As every cell would be moved by what is missing, counts are scaled to what the noisy tables say of their own
sum. Nothing is shrunk towards independence here as in the engines' own models: an estimate that is pulled has a smaller
variance than its error. How codes lie within a group, and which atoms stand out, is the fitted model's in every draw.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.binning import Columns
from dp_models.graphical.estimation import Markov
from dp_models.graphical.junction import Clique, Junction
from dp_models.graphical.model import GraphModel, conditionals, drawn
from dp_models.tables.bought import Bought, NoisyTable, OneWay
from dp_models.tables.consistency import pool, to_simplex
from dp_models.tables.counting import count
from dp_models.tables.drawing import draw_apart
from synthgate.errors import FailedPrecondition

MAX_CELLS = 1_000_000
"""Cells of the junction tree of all tables; the engines' own have at most a tenth."""
_SWEEPS, _ROUNDS = 4, 12
"""Passes over the cliques of the tree, and over the tables of a clique in each."""
_LEAST = 1e-6
"""Fewer rows than this in a cell are taken for this, so that no cell of a model is impossible."""


@dataclass(frozen=True)
class Margin:
    """Settled counts of some columns; ``maps`` as in `NoisyTable`."""

    clique: Clique
    maps: tuple[IntArray | None, ...]
    counts: FloatArray


@dataclass(frozen=True)
class Posterior:
    """What the noisy tables of ``bought`` leave open about the population; ``columns`` say what lies within a group."""

    columns: Columns
    bought: Bought

    def __post_init__(self) -> None:
        if self.bought.max_rows > 1:
            raise FailedPrecondition(
                "a person of this dataset may have several rows, which are not independent; replicates are drawn of"
                " datasets whose unit has one row"
            )
        if self.junction.cells > MAX_CELLS:
            raise FailedPrecondition("the noisy tables of this model are too large together for replicates")

    @cached_property
    def junction(self) -> Junction:
        """A tree with room for every table."""
        return Junction.of(self.bought.sizes, [t.clique for t in self.bought.tables])

    @cached_property
    def one_way(self) -> tuple[tuple[FloatArray, FloatArray], ...]:
        """For each column counts (groups,) by least squares from its partitions, and their covariance."""
        pairs = zip(self.bought.one_way, self.bought.groups, strict=True)
        return tuple(grouped(tables, groups, sigma=self.bought.sigma) for tables, groups in pairs)

    @cached_property
    def roots(self) -> tuple[FloatArray, ...]:
        """A square root of each of these covariances."""
        return tuple(np.linalg.cholesky(c + 1e-9 * np.trace(c) * np.eye(len(c))) for _, c in self.one_way)

    @cached_property
    def centre(self) -> Markov:
        """The model estimated from the noisy tables as they are."""
        return self._fit([estimate for estimate, _ in self.one_way], [t.counts for t in self.bought.tables])

    def draw(self, *, generator: np.random.Generator) -> GraphModel:
        """One plausible population."""
        total = round(self.centre.total)
        steps = conditionals(self.centre, [np.ones(size) for size in self.bought.sizes])
        codes = drawn(steps, self.bought.sizes, total, by=draw_apart, generator=generator)
        first = [
            estimate + count([codes[i]], (len(estimate),)) - self._expected((i,), (None,))
            + root @ generator.standard_normal(len(estimate))
            for i, ((estimate, _), root) in enumerate(zip(self.one_way, self.roots, strict=True))
        ]  # fmt: skip
        tables = []
        for t in self.bought.tables:
            seen = [codes[c] if m is None else m[codes[c]] for c, m in zip(t.clique, t.maps, strict=True)]
            off = count(seen, t.counts.shape) - self._expected(t.clique, t.maps)
            tables.append(t.counts + off + t.sigma * generator.standard_normal(t.counts.shape))
        return self._model(self._fit(first, tables))

    def _model(self, found: Markov) -> GraphModel:
        return GraphModel.of(self.columns, self.bought.groups, found)

    def _expected(self, clique: Clique, maps: Sequence[IntArray | None]) -> FloatArray:
        """What a sample of `round(total)` rows of the centre has in a table, on average."""
        scale = round(self.centre.total) / self.centre.total
        return merged(self.centre.marginal(clique), maps) * scale

    def _fit(self, first: Sequence[FloatArray], tables: Sequence[FloatArray | IntArray]) -> Markov:
        """The model of these one-way counts and tables, whatever of the two is noise."""
        noisy = [
            NoisyTable(t.clique, t.maps, np.asarray(c, dtype=np.float64), t.sigma)
            for t, c in zip(self.bought.tables, tables, strict=True)
        ]
        settled: list[Margin] = []
        total = self._total(first, noisy)
        for i, (estimate, (_, covariance)) in enumerate(zip(first, self.one_way, strict=True)):
            above = [_summed(t, (i,)) for t in noisy if i in t.clique and t.maps[t.clique.index(i)] is None]
            counts = pool(
                [estimate, *(table for table, _ in above)],
                [np.maximum(covariance.diagonal(), 1e-9), *(v for _, v in above)],
                total,
            )
            settled.append(Margin((i,), (None,), counts))
        for table in sorted(noisy, key=lambda t: (len(t.clique), t.counts.size)):
            settled.append(_settled(table, noisy, settled, total))
        return fit(self.junction, settled, total)

    def _total(self, first: Sequence[FloatArray], tables: Sequence[NoisyTable]) -> float:
        """How many rows were counted, as the sums of all noisy tables say by their precision; at least one."""
        sums = [float(counts.sum()) for counts in first] + [float(t.counts.sum()) for t in tables]
        variances = [float(c.sum()) for _, c in self.one_way] + [t.counts.size * t.sigma**2 for t in tables]
        weights = [1 / max(v, 1e-9) for v in variances]
        return max(sum(w * s for w, s in zip(weights, sums, strict=True)) / sum(weights), 1.0)


def grouped(tables: Sequence[OneWay], groups: IntArray, *, sigma: float) -> tuple[FloatArray, FloatArray]:
    """Counts (groups,) by least squares from noisy counts of nested partitions, and their covariance."""
    codes = len(groups)
    if len(tables) == 1 and len(tables[0].counts) == codes:
        each = np.asarray(tables[0].counts, dtype=np.float64)[tables[0].parts]
        sizes = np.bincount(groups).astype(np.float64)
        return np.asarray(np.bincount(groups, weights=each), dtype=np.float64), np.diag(sizes * sigma**2)
    precision, told = np.zeros((codes, codes)), np.zeros(codes)
    for one in tables:
        member = (one.parts[:, None] == np.arange(len(one.counts))).astype(np.float64)
        precision += member @ member.T / sigma**2
        told += member @ one.counts / sigma**2
    belongs = (groups[:, None] == np.arange(int(groups.max()) + 1)).astype(np.float64)
    weights = np.linalg.solve(precision, belongs)
    return weights.T @ told, belongs.T @ weights


def fit(junction: Junction, margins: Sequence[Margin], total: float) -> Markov:
    """The model of largest entropy with these margins: iterative proportional fitting, clique by clique over the
    junction tree. Margins that cannot all hold are met as nearly as the last of them allow."""
    potentials: dict[Clique, FloatArray] = {c: np.zeros([junction.sizes[i] for i in c]) for c in junction.cliques}
    inside = [[m for m in margins if set(m.clique) <= set(clique)] for clique in junction.cliques]
    model = Markov.of(junction, total, potentials)
    for _ in range(_SWEEPS if len(junction.cliques) > 1 else 1):
        for i, clique in enumerate(junction.cliques):
            now = np.maximum(model.beliefs[i], _LEAST / model.beliefs[i].size)
            wanted = now
            for _ in range(_ROUNDS):
                for margin in sorted(inside[i], key=lambda m: -len(m.clique)):
                    wanted = _scaled(wanted, clique, margin)
            step = np.log(np.maximum(wanted, _LEAST / wanted.size)) - np.log(now)
            potentials = potentials | {clique: potentials[clique] + step}
            model = Markov.of(junction, total, potentials)
    return model


def merged(table: FloatArray, maps: Sequence[IntArray | None]) -> FloatArray:
    """A table with the groups of each axis put together by its map."""
    for axis, groups in enumerate(maps):
        if groups is not None:
            member = (groups[:, None] == np.arange(int(groups.max()) + 1)).astype(np.float64)
            table = np.moveaxis(np.tensordot(table, member, axes=(axis, 0)), -1, axis)
    return np.asarray(table)


def _scaled(table: FloatArray, clique: Clique, margin: Margin) -> FloatArray:
    """The table of a clique scaled until it has the margin."""
    kept = tuple(clique.index(c) for c in margin.clique)
    sums = merged(table.sum(axis=tuple(a for a in range(table.ndim) if a not in kept)), margin.maps)
    ratio = np.divide(np.maximum(margin.counts, _LEAST), sums, out=np.zeros_like(sums), where=sums > 0)
    return np.asarray(table * _spread(ratio, clique, margin, table.shape))


def _spread(values: FloatArray, clique: Clique, margin: Margin, shape: Sequence[int]) -> FloatArray:
    """Values of the cells of a margin for the cells of a clique's table, length 1 on the axes that it lacks."""
    rows = [np.arange(n) if m is None else m for n, m in zip(_sizes(clique, margin, shape), margin.maps, strict=True)]
    wide = values[np.ix_(*rows)]
    return np.asarray(wide.reshape([n if c in margin.clique else 1 for c, n in zip(clique, shape, strict=True)]))


def _sizes(clique: Clique, margin: Margin, shape: Sequence[int]) -> list[int]:
    return [shape[clique.index(c)] for c in margin.clique]


def _summed(table: NoisyTable, clique: Clique) -> tuple[FloatArray, float]:
    """A noisy table summed out to some of its columns, and the variance of a cell of that."""
    gone = tuple(a for a, c in enumerate(table.clique) if c not in clique)
    cells = float(np.prod([table.counts.shape[a] for a in gone]))
    return np.asarray(table.counts.sum(axis=gone), dtype=np.float64), cells * table.sigma**2


def _settled(table: NoisyTable, noisy: Sequence[NoisyTable], settled: Sequence[Margin], total: float) -> Margin:
    """A table that says what itself and larger ones say, by their precision; agrees with what is settled of fewer
    columns; and has no negative cell."""
    sources = [(table.counts, table.sigma**2)]
    if all(m is None for m in table.maps):
        larger = [t for t in noisy if set(t.clique) > set(table.clique)]
        as_fine = [t for t in larger if all(t.maps[t.clique.index(c)] is None for c in table.clique)]
        sources += [_summed(t, table.clique) for t in as_fine]
    precision = sum(1 / v for _, v in sources)
    counts = np.asarray(sum(c / v for c, v in sources) / precision)
    margins = [m for m in (_within(m, table) for m in settled) if m is not None]
    for _ in range(3):
        for margin in margins:
            kept = tuple(table.clique.index(c) for c in margin.clique)
            gone = tuple(a for a in range(counts.ndim) if a not in kept)
            gap = margin.counts - counts.sum(axis=gone)
            cells = np.prod([counts.shape[a] for a in gone])
            counts = counts + _spread(gap / cells, table.clique, margin, counts.shape)
    counts = np.maximum(to_simplex(counts, total), _LEAST)
    for _ in range(_ROUNDS):
        for margin in reversed(margins):
            counts = _scaled(counts, table.clique, margin)
    return Margin(table.clique, table.maps, counts)


def _within(margin: Margin, table: NoisyTable) -> Margin | None:
    """A margin over the parts that a table tells apart; None for other columns, and for coarser parts than those."""
    if not set(margin.clique) < set(table.clique):
        return None
    if any(m is not None for m in margin.maps):
        return None
    maps = [table.maps[table.clique.index(c)] for c in margin.clique]
    return Margin(margin.clique, (None,) * len(maps), merged(margin.counts, maps))
