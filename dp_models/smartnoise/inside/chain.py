"""A fitted graphical model of `mbi` as this project's `GraphModel`: plain tables that are drawn from the root down.

SmartNoise samples with numpy's global generator and repairs what it merged afterwards; here the draw is keyed by the
caller's generator, and codes that may not be released are settled as everywhere.
"""

from collections.abc import Sequence

import numpy as np
from mbi import Domain as Attributes
from mbi import MarkovRandomField, junction_tree, marginal_oracles

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.binning import Columns
from dp_models.encoding.codes import Codec
from dp_models.graphical.model import GraphModel, Step, conditional
from dp_models.tables.grouping import released

Name = str


def attributes(sizes: Sequence[int]) -> Attributes:
    """Columns by position, named by it."""
    return Attributes([str(i) for i in range(len(sizes))], sizes)


def cells(model: MarkovRandomField, clique: Sequence[Name]) -> FloatArray:
    """The counts that a model expects in a table, one axis a column."""
    return np.asarray(model.project(tuple(clique)).datavector(flatten=False), dtype=np.float64)


def chain(model: MarkovRandomField, codec: Codec, groups: Sequence[IntArray]) -> GraphModel:
    """The model with every column given those before it that it depends on.

    ``groups`` (a column) are the groups of codes that the model tells apart; codes are even within them.
    """
    tree, elimination = junction_tree.make_junction_tree(model.domain, [set(c) for c in model.cliques])
    marginals = marginal_oracles.message_passing_stable(model.potentials.expand(list(tree.nodes)))
    sizes = tuple(int(g.max()) + 1 for g in groups)
    steps, known = [], set[Name]()
    for name in reversed(elimination):
        column = int(name)
        near = set[Name]().union(*(clique for clique in tree.nodes if name in clique))
        given = sorted(known & near, key=int)
        table = marginals.project((*given, name)).datavector(flatten=False)
        weights = np.asarray(table, dtype=np.float64).reshape(-1, sizes[column])
        live = released(codec.columns[column], groups[column])
        steps.append(Step(column, tuple(map(int, given)), conditional(weights, live)))
        known.add(name)
    members = [(g == np.arange(size)[:, None]).astype(np.float64) for g, size in zip(groups, sizes, strict=True)]
    within = tuple(c.settle(m) for c, m in zip(codec.columns, members, strict=True))
    even = [cells(model, (str(i),)) / m.sum(axis=1) for i, m in enumerate(members)]
    columns = Columns(codec, tuple(e[g] for e, g in zip(even, groups, strict=True)), (None,) * len(sizes))
    return GraphModel(columns, sizes, tuple(steps), within)
