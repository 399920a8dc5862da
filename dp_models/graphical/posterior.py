"""`Posterior`: plausible populations given the noisy tables of a fit, each of them a model to sample. Post-processing.

What is estimated is the log-linear model of largest entropy whose tables are those that were bought (NAPSU-MQ; Räisä,
Jälkö, Kaski, Honkela 2023). Its likelihood has two parts: rows are drawn from the model (covariance n Sigma of the
tables), noise of a known scale is added (sigma^2 a cell). With a flat prior and both parts normal, a draw from the
posterior is the estimate from tables to which both were added once more, independently:

1. estimate the model from the noisy tables (`dp_models.graphical.settling`);
2. for each draw sample n rows of that model, take how far their tables are off, add fresh noise of the known scale;
3. estimate the model from the noisy tables plus both.

Nothing is shrunk towards independence here as in the engines' own models: an estimate that is pulled has a smaller
variance than its error. The public number of rows is not what the tables count: a fifth is held out by keyed coins, and
a declared size may be rounded. As every cell would be moved by what is missing, counts are scaled to what the noisy
tables say of their own sum. How codes lie within a group is estimated anew from the one-way tables, as the engines do
it, but where these were searched further for single values: there it is the fitted model's in every draw, as are the
groups themselves and how values are rounded.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.binning import Columns, spread_out
from dp_models.graphical.estimation import Markov
from dp_models.graphical.junction import Clique, Junction
from dp_models.graphical.model import GraphModel, conditionals, drawn
from dp_models.graphical.settling import fit, merged, settle
from dp_models.tables.bought import Bought, OneWay
from dp_models.tables.counting import count
from dp_models.tables.drawing import draw_apart
from synthgate.errors import FailedPrecondition

MAX_CELLS = 1_000_000
"""Cells of the junction tree of all tables; the engines' own have at most a tenth."""
_TWICE = 2**0.5
"""Noise that was added twice, in units of once."""


@dataclass(frozen=True)
class Ways:
    """The one-way tables of one column, and counts (groups,) by least squares from them."""

    tables: tuple[OneWay, ...]
    groups: IntArray
    sigma: float

    @cached_property
    def weights(self) -> FloatArray:
        """(codes, groups): what a group takes of what the tables say of each code, and its covariance summed up."""
        belongs = (self.groups[:, None] == np.arange(int(self.groups.max()) + 1)).astype(np.float64)
        codes = len(self.groups)
        if len(self.tables) == 1 and len(self.tables[0].counts) == codes:
            return np.asarray(belongs * self.sigma**2)
        precision = np.zeros((codes, codes))
        for one in self.tables:
            member = (one.parts[:, None] == np.arange(len(one.counts))).astype(np.float64)
            precision += member @ member.T / self.sigma**2
        return np.asarray(np.linalg.solve(precision, belongs))

    @cached_property
    def covariance(self) -> FloatArray:
        """(groups, groups) of `estimate`."""
        return np.stack([np.bincount(self.groups, weights=w) for w in self.weights.T])

    def estimate(self, tables: Sequence[OneWay]) -> FloatArray:
        """Counts (groups,) from tables of the same partitions."""
        told = np.zeros(len(self.groups))
        for one in tables:
            told += np.where(one.parts >= 0, np.asarray(one.counts)[one.parts], 0.0) / self.sigma**2
        return np.asarray(self.weights.T @ told)

    def moved(self, off: FloatArray, generator: np.random.Generator) -> tuple[OneWay, ...]:
        """The tables plus counts (codes,) and fresh noise."""
        found = []
        for one in self.tables:
            kept, parts = one.parts >= 0, len(one.counts)
            more = np.bincount(one.parts[kept], weights=off[kept], minlength=parts)
            found.append(OneWay(one.parts, one.counts + more + self.sigma * generator.standard_normal(parts)))
        return tuple(found)


@dataclass(frozen=True)
class Posterior:
    """What the noisy tables of ``bought`` leave open about the population; ``columns`` are the fitted model's."""

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
    def ways(self) -> tuple[Ways, ...]:
        """The one-way tables of every column."""
        pairs = zip(self.bought.one_way, self.bought.groups, strict=True)
        return tuple(Ways(tables, groups, self.bought.sigma) for tables, groups in pairs)

    @cached_property
    def centre(self) -> Markov:
        """The model estimated from the noisy tables as they are."""
        return self._fit(self.bought.one_way, [t.counts for t in self.bought.tables])

    @cached_property
    def inner(self) -> tuple[FloatArray, ...]:
        """For each column how its codes lie within each group (groups, codes), undeclared ones too."""
        pairs = zip(self.columns.weights, self.bought.groups, strict=True)
        member = [(g == np.arange(int(g.max()) + 1)[:, None]) * (w + 1e-6) for w, g in pairs]
        return tuple(m / m.sum(axis=1, keepdims=True) for m in member)

    @cached_property
    def anew(self) -> tuple[bool, ...]:
        """The columns whose cells nothing but the one-way tables speaks of."""
        known = zip(self.columns.weights, self._spread_out(self.bought.one_way, self.bought.sigma), strict=True)
        return tuple(bool(np.allclose(kept, found, atol=1e-6)) for kept, found in known)

    def draw(self, *, generator: np.random.Generator) -> GraphModel:
        """One plausible population."""
        total = round(self.centre.total)
        steps = conditionals(self.centre, [np.ones(size) for size in self.bought.sizes])
        groups = drawn(steps, self.bought.sizes, total, by=draw_apart, generator=generator)
        one_way = []
        for i, (ways, inner) in enumerate(zip(self.ways, self.inner, strict=True)):
            codes = draw_apart(inner, total, generator=generator, given=groups[i])
            off = count([codes], inner.shape[1:]) - self._expected((i,), (None,)) @ inner
            one_way.append(ways.moved(off, generator))
        tables = []
        for t in self.bought.tables:
            seen = [groups[c] if m is None else m[groups[c]] for c, m in zip(t.clique, t.maps, strict=True)]
            off = count(seen, t.counts.shape) - self._expected(t.clique, t.maps)
            tables.append(t.counts + off + t.sigma * generator.standard_normal(t.counts.shape))
        # The engines' estimate of cells knows how much noise it smooths away; here there is twice the variance.
        found = zip(self.anew, self._spread_out(one_way, _TWICE * self.bought.sigma), self.columns.weights, strict=True)
        weights = tuple(drawn_ if anew else kept for anew, drawn_, kept in found)
        return self.model(self._fit(one_way, tables), replace(self.columns, weights=weights))

    def model(self, found: Markov, columns: Columns | None = None) -> GraphModel:
        """What is sampled of an estimate."""
        return GraphModel.of(columns or self.columns, self.bought.groups, found)

    def _spread_out(self, one_way: Sequence[Sequence[OneWay]], sigma: float) -> list[FloatArray]:
        shares = zip(self.columns.codec.columns, self.columns.granularity, one_way, strict=True)
        return [spread_out(c, s, tables, sigma=sigma, total=self.bought.rows) for c, s, tables in shares]

    def _expected(self, clique: Clique, maps: Sequence[IntArray | None]) -> FloatArray:
        """What a sample of `round(total)` rows of the centre has in a table, on average."""
        scale = round(self.centre.total) / self.centre.total
        return merged(self.centre.marginal(clique), maps) * scale

    def _fit(self, one_way: Sequence[Sequence[OneWay]], tables: Sequence[FloatArray | IntArray]) -> Markov:
        """The model of these one-way tables and tables, whatever of the two is noise."""
        noisy = [
            replace(t, counts=np.asarray(c, dtype=np.float64)) for t, c in zip(self.bought.tables, tables, strict=True)
        ]
        first = [ways.estimate(found) for ways, found in zip(self.ways, one_way, strict=True)]
        sums = [float(c.sum()) for c in (*first, *(t.counts for t in noisy))]
        variances = [float(w.covariance.sum()) for w in self.ways] + [t.counts.size * t.sigma**2 for t in noisy]
        weights = [1 / max(v, 1e-9) for v in variances]
        total = max(sum(w * s for w, s in zip(weights, sums, strict=True)) / sum(weights), 1.0)
        pairs = [(estimate, ways.covariance.diagonal()) for estimate, ways in zip(first, self.ways, strict=True)]
        return fit(self.junction, settle(pairs, noisy, total), total)
