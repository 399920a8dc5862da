"""Neighbouring tables on which the engines' mechanisms show most."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from dp_models.encoding.table import private_schema
from synthgate.domain import Column, Domain, Kind


def domain_of(names: str, *, target: str | None) -> Domain:
    """Columns of the categories a and b, named by letters."""
    columns = tuple(Column(name=n, kind=Kind.CATEGORICAL, categories=("a", "b")) for n in names)
    return Domain(columns=columns, target=target)


def _table(domain: Domain, columns: Sequence[Sequence[str]]) -> pa.Table:
    rows = len(columns[0])
    return pa.Table.from_arrays(
        [*(pa.array(c, pa.string()) for c in columns), pa.array(np.arange(rows))], schema=private_schema(domain)
    )


def with_and_without(domain: Domain, columns: Sequence[Sequence[str]], victim: str) -> tuple[pa.Table, pa.Table]:
    """A table, and the same with one row more."""
    return _table(domain, columns), _table(domain, [[*c, v] for c, v in zip(columns, victim, strict=True)])


def crowd(rows: int, *, related: float = 0.6) -> tuple[Domain, pa.Table, pa.Table]:
    """Columns x, y, z and t, more or less related, three quarters of all cells a; the victim stands with the crowd in
    some tables and apart in others."""
    rng = np.random.default_rng(0)
    x = np.where(rng.random(rows) < 0.75, "a", "b")
    columns = [
        x,
        *(np.where(rng.random(rows) < related, x, rng.choice(["a", "b"], rows, p=[0.75, 0.25])) for _ in range(3)),
    ]
    domain = domain_of("xyzt", target="t")
    return domain, *with_and_without(domain, [c.tolist() for c in columns], "abaa")


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
