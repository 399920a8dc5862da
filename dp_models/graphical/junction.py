"""`Junction`: a junction tree of the cliques that were measured, and how many cells it needs.

The size of a graphical model is the number of cells of its junction tree, not of its tables: one more table can close a
long cycle. `Junction.growth` bounds that beforehand, from structure alone, so that engines can leave out what would not
fit (memory and time are bounded by ``cells``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from math import prod
from typing import Self

Clique = tuple[int, ...]
"""Columns by position, rising."""


@dataclass(frozen=True)
class Junction:
    """Maximal cliques of a triangulated graph, joined to a tree in which every column's cliques are connected.

    ``sizes`` are the columns' numbers of groups; ``cliques[0]`` is the root; ``parents[i] < i`` is the position of the
    clique that ``cliques[i]`` hangs from (-1 for the root). Parts without a shared column are joined by an empty
    separator.
    """

    sizes: tuple[int, ...]
    cliques: tuple[Clique, ...]
    parents: tuple[int, ...]

    @classmethod
    def of(cls, sizes: Sequence[int], cliques: Iterable[Clique]) -> Self:
        """Triangulate by greedy elimination (least new edges, then least cells), then join by the largest separators
        (a maximum spanning tree; Jensen, Jensen 1994)."""
        found = _eliminated(sizes, cliques)
        joined, parents, left = [found[0]], [-1], found[1:]
        nearest = {c: (len(set(c) & set(found[0])), 0) for c in left}
        while left:
            best = max(left, key=lambda c: nearest[c][0])
            parents.append(nearest[best][1])
            joined.append(best)
            left.remove(best)
            for c in left:
                nearest[c] = max(nearest[c], (len(set(c) & set(best)), len(joined) - 1), key=lambda n: n[0])
        return cls(tuple(sizes), tuple(joined), tuple(parents))

    @cached_property
    def cells(self) -> int:
        """The cells of all cliques together."""
        return sum(self.size(c) for c in self.cliques)

    def size(self, clique: Iterable[int]) -> int:
        """The cells of one clique."""
        return prod(self.sizes[column] for column in clique)

    @cached_property
    def separators(self) -> tuple[Clique, ...]:
        """The columns that each clique shares with its parent; none for the root."""
        above = [set(self.cliques[p]) if p >= 0 else set() for p in self.parents]
        return tuple(tuple(c for c in clique if c in up) for clique, up in zip(self.cliques, above, strict=True))

    def host(self, clique: Clique) -> int | None:
        """The position of the smallest clique that holds all of ``clique``, or None."""
        wanted = set(clique)
        able = [i for i, c in enumerate(self.cliques) if wanted <= set(c)]
        return min(able, key=lambda i: self.size(self.cliques[i])) if able else None

    def path(self, first: int, second: int) -> list[int]:
        """Positions of the shortest chain of cliques from one that holds column ``first`` to one that holds
        ``second``."""
        start, end = (next(i for i, c in enumerate(self.cliques) if column in c) for column in (first, second))
        back: list[int] = []
        forth: list[int] = []
        while start != end:
            if start > end:
                back.append(start)
                start = self.parents[start]
            else:
                forth.append(end)
                end = self.parents[end]
        chain = [*back, start, *reversed(forth)]
        begin = max(i for i, p in enumerate(chain) if first in self.cliques[p])
        return chain[begin : 1 + next(i for i, p in enumerate(chain) if second in self.cliques[p] and i >= begin)]

    def growth(self, first: int, second: int) -> int:
        """At most so many more cells are needed once two columns share a clique (`joined_with`)."""
        path = self.path(first, second)
        if len(path) == 1:
            return 0
        return sum(self.size({*self.cliques[p], first}) - self.size(self.cliques[p]) for p in path)

    def joined_with(self, first: int, second: int, measured: Iterable[Clique]) -> "Junction":
        """The tree in which the two columns share a clique: a fresh one of the ``measured`` cliques, or this one with
        ``first`` carried along the path, whichever is smaller."""
        path = set(self.path(first, second))
        if len(path) == 1:
            return self
        carried = [tuple(sorted({*c, first})) if i in path else c for i, c in enumerate(self.cliques)]
        return min(Junction.of(self.sizes, measured), Junction.of(self.sizes, carried), key=lambda j: j.cells)


def _eliminated(sizes: Sequence[int], cliques: Iterable[Clique]) -> list[Clique]:
    """The maximal cliques of a triangulation, every column in at least one."""
    near: dict[int, set[int]] = {column: set() for column in range(len(sizes))}
    for clique in cliques:
        for a, b in combinations(clique, 2):
            near[a].add(b)
            near[b].add(a)

    def cost(column: int) -> tuple[int, int]:
        missing = sum(b not in near[a] for a, b in combinations(near[column], 2))
        return missing, sizes[column] * prod(sizes[n] for n in near[column])

    costs = {column: cost(column) for column in near}
    found: list[set[int]] = []
    while near:
        column = min(near, key=lambda c: costs[c])
        ring = near.pop(column)
        if not any({column, *ring} <= other for other in found):
            found.append({column, *ring})
        for a in ring:
            near[a] |= ring
            near[a] -= {a, column}
        for a in ring | {n for r in ring for n in near[r]}:
            costs[a] = cost(a)
    return [tuple(sorted(c)) for c in found]
