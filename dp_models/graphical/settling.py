"""Noisy tables of any columns made to agree, and the model of largest entropy with them. Nothing is shrunk.

Tables are settled from few columns to many: each is weighed with what larger ones say of it, by precision, made to
agree with what is settled of fewer columns (least squares), and projected to cells that are not negative. Then
iterative proportional fitting over a junction tree gives the log-linear model that has them all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dp_models.base import FloatArray, IntArray
from dp_models.graphical.estimation import Markov
from dp_models.graphical.junction import Clique, Junction
from dp_models.tables.bought import NoisyTable
from dp_models.tables.consistency import pool, to_simplex

_SWEEPS, _ROUNDS = 4, 12
"""Passes over the cliques of the tree, and over the tables of a clique in each."""
_CLOSE = 1e-3
"""Margins that are off by fewer rows than this are met."""
_LEAST = 1e-6
"""Fewer rows than this in a cell are taken for this, so that no cell of a model is impossible."""


@dataclass(frozen=True)
class Margin:
    """Settled counts of some columns; ``maps`` as in `NoisyTable`."""

    clique: Clique
    maps: tuple[IntArray | None, ...]
    counts: FloatArray


def settle(first: Sequence[tuple[FloatArray, FloatArray]], tables: Sequence[NoisyTable], total: float) -> list[Margin]:
    """All of them, from few columns to many: ``first`` are counts of each column alone and their variances."""
    settled: list[Margin] = []
    for i, (estimate, variance) in enumerate(first):
        above = [_summed(t, (i,)) for t in tables if i in t.clique and t.maps[t.clique.index(i)] is None]
        estimates = [estimate, *(table for table, _ in above)]
        variances: list[FloatArray | float] = [np.maximum(variance, 1e-9), *(v for _, v in above)]
        settled.append(Margin((i,), (None,), pool(estimates, variances, total)))
    for table in sorted(tables, key=lambda t: (len(t.clique), t.counts.size)):
        settled.append(_settled(table, tables, settled, total))
    return settled


def fit(junction: Junction, margins: Sequence[Margin], total: float) -> Markov:
    """The model of largest entropy with these margins: iterative proportional fitting, clique by clique over the
    junction tree. Margins that cannot all hold are met as nearly as the last of them allow."""
    potentials: dict[Clique, FloatArray] = {c: np.zeros([junction.sizes[i] for i in c]) for c in junction.cliques}
    inside = [_telling([m for m in margins if set(m.clique) <= set(clique)]) for clique in junction.cliques]
    model = Markov.of(junction, total, potentials)
    for _ in range(_SWEEPS if len(junction.cliques) > 1 else 1):
        settled = True
        for i, clique in enumerate(junction.cliques):
            now = np.maximum(model.beliefs[i], _LEAST / model.beliefs[i].size)
            wanted, close = _raked(now, clique, inside[i])
            if close:
                continue
            settled = False
            step = np.log(np.maximum(wanted, _LEAST / wanted.size)) - np.log(now)
            potentials = potentials | {clique: potentials[clique] + step}
            model = Markov.of(junction, total, potentials)
        if settled:
            break
    return model


def _telling(margins: Sequence[Margin]) -> list[Margin]:
    """The margins that no finer one among them implies, since all that are settled agree; coarse ones first."""
    fine = [m for m in margins if all(g is None for g in m.maps)]
    kept = [m for m in margins if not any(set(m.clique) < set(f.clique) for f in fine)]
    return sorted(kept, key=lambda m: -len(m.clique))


def _raked(table: FloatArray, clique: Clique, margins: Sequence[Margin]) -> tuple[FloatArray, bool]:
    """The table of a clique scaled to all margins in turn until none is off, and whether none was to begin with."""
    for turn in range(_ROUNDS):
        furthest = 0.0
        for margin in margins:
            table, off = _scaled(table, clique, margin)
            furthest = max(furthest, off)
        if furthest < _CLOSE:
            return table, turn == 0
    return table, False


def merged(table: FloatArray, maps: Sequence[IntArray | None]) -> FloatArray:
    """A table with the groups of each axis put together by its map."""
    for axis, groups in enumerate(maps):
        if groups is not None:
            member = (groups[:, None] == np.arange(int(groups.max()) + 1)).astype(np.float64)
            table = np.moveaxis(np.tensordot(table, member, axes=(axis, 0)), -1, axis)
    return np.asarray(table)


def _scaled(table: FloatArray, clique: Clique, margin: Margin) -> tuple[FloatArray, float]:
    """The table of a clique scaled until it has the margin, and by how many rows it was off in some cell."""
    kept = tuple(clique.index(c) for c in margin.clique)
    sums = merged(table.sum(axis=tuple(a for a in range(table.ndim) if a not in kept)), margin.maps)
    ratio = np.divide(np.maximum(margin.counts, _LEAST), sums, out=np.zeros_like(sums), where=sums > 0)
    off = float(np.abs(margin.counts - sums).max())
    return np.asarray(table * _spread(ratio, clique, margin, table.shape)), off


def _spread(values: FloatArray, clique: Clique, margin: Margin, shape: Sequence[int]) -> FloatArray:
    """Values of the cells of a margin for the cells of a clique's table, length 1 on the axes that it lacks."""
    wide = values
    if any(m is not None for m in margin.maps):
        sizes = [shape[clique.index(c)] for c in margin.clique]
        rows = [np.arange(n) if m is None else m for n, m in zip(sizes, margin.maps, strict=True)]
        wide = values[np.ix_(*rows)]
    return np.asarray(wide.reshape([n if c in margin.clique else 1 for c, n in zip(clique, shape, strict=True)]))


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
    return Margin(table.clique, table.maps, _raked(counts, table.clique, _telling(margins))[0])


def _within(margin: Margin, table: NoisyTable) -> Margin | None:
    """A margin over the parts that a table tells apart; None for other columns, and for coarser parts than those."""
    if not set(margin.clique) < set(table.clique):
        return None
    if any(m is not None for m in margin.maps):
        return None
    maps = [table.maps[table.clique.index(c)] for c in margin.clique]
    return Margin(margin.clique, (None,) * len(maps), merged(margin.counts, maps))
