"""`Bought` as part of a stored model: structure and arrays, and back. Models of before it was kept have none."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.binning import Columns
from dp_models.stored.format import Parts, checked_integer, checked_list
from dp_models.tables.bought import Bought, NoisyTable, OneWay
from synthgate.dataset import MAX_ROWS, MAX_ROWS_PER_UNIT
from synthgate.errors import DataCorrupted

NAME = "bought"


def bought_parts(bought: Bought | None) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Structure and arrays, all of them float64 as every stored array is; nothing where there is nothing."""
    if bought is None:
        return {}, {}
    arrays: dict[str, Any] = {f"{NAME}.scale": np.array([bought.sigma, bought.rows, bought.max_rows])}
    arrays |= {f"{NAME}.groups.{i}": g for i, g in enumerate(bought.groups)}
    for i, partitions in enumerate(bought.one_way):
        for level, one in enumerate(partitions):
            arrays |= {f"{NAME}.parts.{i}.{level}": one.parts, f"{NAME}.counts.{i}.{level}": one.counts}
    for i, table in enumerate(bought.tables):
        arrays |= {f"{NAME}.table.{i}": table.counts, f"{NAME}.sigma.{i}": np.array([table.sigma])}
        arrays |= {f"{NAME}.map.{i}.{a}": m for a, m in enumerate(table.maps) if m is not None}
    structure = {
        "one_way": [len(partitions) for partitions in bought.one_way],
        "tables": [
            [list(t.clique), [a for a, m in enumerate(t.maps) if m is not None], list(t.counts.shape)]
            for t in bought.tables
        ],
    }
    return {NAME: structure}, {name: np.asarray(a, dtype=np.float64) for name, a in arrays.items()}


def read_bought(parts: Parts, columns: Columns) -> Bought | None:
    """What `bought_parts` took apart; None where it was not kept. Raises DataCorrupted for anything else."""
    if (structure := parts.structure.get(NAME)) is None:
        return None
    if not isinstance(structure, Mapping):
        raise DataCorrupted("the stored model's noisy tables are not described")
    sigma, rows, max_rows = parts.floats(f"{NAME}.scale", 3)
    codes = columns.codec.sizes
    groups = tuple(_numbers(parts, f"{NAME}.groups.{i}", size, low=0) for i, size in enumerate(codes))
    lengths = [checked_integer(n, low=1, high=8) for n in checked_list(structure.get("one_way"))]
    if not (sigma > 0 and 1 <= rows <= MAX_ROWS and 1 <= max_rows <= MAX_ROWS_PER_UNIT and len(lengths) == len(codes)):
        raise DataCorrupted("the stored model's noisy tables have a scale that cannot be")
    one_way = tuple(
        tuple(_one_way(parts, f"{i}.{level}", codes[i]) for level in range(length)) for i, length in enumerate(lengths)
    )
    sizes = [int(g.max()) + 1 for g in groups]
    tables = tuple(_table(parts, i, t, sizes) for i, t in enumerate(checked_list(structure.get("tables"))))
    return Bought(
        one_way=one_way, sigma=float(sigma), groups=groups, tables=tables, rows=float(rows), max_rows=int(max_rows)
    )


def _one_way(parts: Parts, name: str, codes: int) -> OneWay:
    counts = parts.floats(f"{NAME}.counts.{name}", None)
    return OneWay(_numbers(parts, f"{NAME}.parts.{name}", codes, low=-1, length=len(counts)), counts)


def _table(parts: Parts, i: int, described: Any, sizes: list[int]) -> NoisyTable:
    clique, mapped, shape = (checked_list(found) for found in (*checked_list(described), None, None, None)[:3])
    columns = [checked_integer(c, low=0, high=len(sizes) - 1) for c in clique]
    wide = [checked_integer(n, low=1, high=max(sizes)) for n in shape]
    if columns != sorted(set(columns)) or len(wide) != len(columns) or not columns:
        raise DataCorrupted("a stored noisy table has columns that cannot be")
    axes = {checked_integer(a, low=0, high=len(columns) - 1) for a in mapped}
    maps = tuple(
        _numbers(parts, f"{NAME}.map.{i}.{a}", sizes[c], low=0, length=wide[a]) if a in axes else None
        for a, c in enumerate(columns)
    )
    if any(m is None and wide[a] != sizes[columns[a]] for a, m in enumerate(maps)):
        raise DataCorrupted("a stored noisy table has another shape than its columns")
    (sigma,) = parts.floats(f"{NAME}.sigma.{i}", 1)
    if sigma <= 0:
        raise DataCorrupted("a stored noisy table has no noise")
    return NoisyTable(tuple(columns), maps, parts.floats(f"{NAME}.table.{i}", *wide), float(sigma))


def _numbers(parts: Parts, name: str, size: int, *, low: int, length: int | None = None) -> IntArray:
    """Whole numbers (size,) from ``low`` up, all of 0 to their largest among them; ``length`` of these where given."""
    found = parts.floats(name, size)
    whole = np.asarray(found, dtype=np.int64)
    known = np.unique(whole[whole >= 0])
    most = len(known) if length is None else length
    if (whole != found).any() or whole.min() < low or not np.array_equal(known, np.arange(most)):
        raise DataCorrupted(f"the stored model's {name} are no numbers of groups")
    return whole
