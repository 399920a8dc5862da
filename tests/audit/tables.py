"""Neighbouring tables on which the engines' mechanisms show most."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from dp_models.encoding.table import private_schema
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind
from tests.dp_models.private_tables import sizes_of


def domain_of(names: str, *, target: str | None) -> Domain:
    """Columns of the categories a and b, named by letters."""
    columns = tuple(Column(name=n, kind=Kind.CATEGORICAL, categories=("a", "b")) for n in names)
    return Domain(columns=columns, target=target)


def with_and_without(
    domain: Domain, columns: Sequence[Sequence[object]], victim: Sequence[object], *, max_rows: int = 1
) -> tuple[pa.Table, pa.Table]:
    """A table of rows of a unit each, and the same with one unit more, of ``max_rows`` rows that are alike."""
    rows = len(columns[0])
    longer = [[*c, *[v] * max_rows] for c, v in zip(columns, victim, strict=True)]
    return _table(domain, columns, range(rows)), _table(domain, longer, [*range(rows), *[rows] * max_rows])


def _table(domain: Domain, columns: Sequence[Sequence[object]], units: Sequence[int]) -> pa.Table:
    schema = private_schema(domain)
    return pa.Table.from_arrays(
        [pa.array(c, t) for c, t in zip((*columns, units), schema.types, strict=True)], schema=schema
    )


def crowd(rows: int, *, related: float = 0.6, max_rows: int = 1) -> tuple[Domain, pa.Table, pa.Table]:
    """Columns x, y, z and t, more or less related, three quarters of all cells a; the victim stands with the crowd in
    some tables and apart in others."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random(rows) < 0.75, "a", "b")
    columns = [
        x,
        *(np.where(rng.random(rows) < related, x, rng.choice(["a", "b"], rows, p=[0.75, 0.25])) for _ in range(3)),
    ]
    domain = domain_of("xyzt", target="t")
    return domain, *with_and_without(domain, [c.tolist() for c in columns], "abaa", max_rows=max_rows)


def lonely(rows: int) -> tuple[Domain, pa.Table, pa.Table]:
    """Everybody is alike but the victim, who is like nobody."""
    domain = domain_of("xyzt", target="t")
    return domain, *with_and_without(domain, [["a"] * rows] * 4, "bbbb")


def far(rows: int) -> tuple[Domain, pa.Table, pa.Table]:
    """Numbers declared from 0 to 1,000, all of them at most 30 but the victim's."""
    domain = Domain(columns=(Column(name="x", kind=Kind.INTEGER, low=0, high=1_000),))
    return domain, *with_and_without(domain, [[i % 31 for i in range(rows)]], [900])


def shared(rows: int) -> tuple[Domain, pa.Table, pa.Table]:
    """Numbers declared in steps of a millionth, half of them one value, the others anywhere; the victim's is beside the
    shared one, in the same cell, so that the tables that are searched for single values hold it too."""
    domain = Domain(columns=(Column(name="x", kind=Kind.FLOAT, low=0.0, high=100.0),))
    others = np.linspace(0.5, 99.5, rows - rows // 2).tolist()
    return domain, *with_and_without(domain, [[47.123456] * (rows // 2) + others], [47.123457])


def torn(rows: int) -> tuple[Domain, pa.Table, pa.Table]:
    """Three columns, and two pairs between which a choice is torn: the victim's cell holds more than independence
    predicts in (x, y), and less in (x, z), about as much. Nearly all others are in cells where a prediction for one row
    more moves the two scores further apart."""
    tenth, rest, gap = rows // 10, rows - rows // 10, rows // 125
    common, left = tenth * 9 // 10, rest * 9 // 10
    x = ["a"] * tenth + ["b"] * rest
    y = ["a"] * (common + gap) + ["b"] * (tenth - common - gap)
    y += ["a"] * (left - gap) + ["b"] * (rest - left + gap)
    z = ["a"] * (common - gap - 1) + ["b"] * (tenth - common + gap + 1)
    z += ["a"] * (left + gap) + ["b"] * (rest - left - gap)
    domain = domain_of("xyz", target=None)
    return domain, *with_and_without(domain, [x, y, z], "aaa")


class Pair(NamedTuple):
    """Neighbouring tables, and the rows that a unit may have."""

    domain: Domain
    first: pa.Table
    second: pa.Table
    max_rows: int = 1

    def sizes(self, max_rows: int) -> PublicSizes:
        """Public sizes: the first table's, of units of ``max_rows`` rows."""
        return sizes_of(self.first.num_rows, max_rows=max_rows)


ROWS = 400
PAIRS = {
    "in a crowd": Pair(*crowd(ROWS)),
    "unrelated": Pair(*crowd(ROWS, related=0.0)),
    "outlier": Pair(*lonely(ROWS)),
    "three rows": Pair(*crowd(ROWS, max_rows=3), 3),
    "far": Pair(*far(ROWS)),
    "shared value": Pair(*shared(ROWS)),
    "torn": Pair(*torn(1_000)),
}
