"""Singling-out queries as polars expressions: the frame they are asked of, naive ones, and a whole table's worth.

``search`` lists what anonymeter's random multivariate search can find at all, so that a short list is known to be
complete and not merely slow to grow.
"""

from functools import reduce
from math import comb
from operator import and_, eq, ge, gt, le, lt, ne

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from evaluation.groups import choose_groups
from evaluation.tables import MISSING
from synthgate.domain import Domain

MAX_COMPARISONS = 1_000_000_000_000
"""Comparisons of a query's column with a released row that ``search`` makes at most (64 of them in one instruction)."""

MAX_GROUPS = 20_000
"""Combinations of columns that ``search`` looks at, at most."""

MIN_TUPLES = 50
"""Distinct tuples of one combination of columns that are searched at least."""

MAX_TABLE = 64_000_000
"""Bits of a column's table of matching rows, ranks times rows; a larger one is made piecewise."""

CHUNK = 256
"""Tuples that are searched in one pass."""

Codes = npt.NDArray[np.int64]


def plain(frame: pd.DataFrame, domain: Domain) -> pl.DataFrame:
    """The rows for asking: columns c0, c1, ... of Float64 or String, nulls where missing, no text of a cell.

    Names and texts are replaced (category codes, not categories), for polars reads some names as patterns and
    anonymeter escapes quotes in texts, after which they match nothing.
    """
    columns: dict[str, pl.Series] = {}
    for i, column in enumerate(domain.modelled):
        cells = frame[column.name].to_numpy()
        if cells.dtype.kind == "f":
            columns[f"c{i}"] = pl.Series(cells, dtype=pl.Float64, nan_to_null=True)
            continue
        names = {name: str(j) for j, name in enumerate(column.categories or ("false", "true"))} | {MISSING: None}
        columns[f"c{i}"] = pl.Series([names.get(cell) for cell in cells], dtype=pl.String)
    return pl.DataFrame(columns)


def naive_queries(
    sample: pl.DataFrame, size: int, width: int, *, generator: np.random.Generator
) -> tuple[pl.Expr, ...]:
    """``size`` queries of random columns, relations and released values (anonymeter's are not reproducible)."""
    values = [sample[name].unique(maintain_order=True).to_list() for name in sample.columns]

    def part(place: int) -> pl.Expr:
        name, value = sample.columns[place], values[place][generator.integers(len(values[place]))]
        numeric = sample.schema[name].is_numeric()
        relations = (eq, ne, gt, lt, ge, le) if numeric and value is not None else (eq, ne)
        relation = relations[generator.integers(len(relations))]
        if value is None:
            return pl.col(name).is_null() if relation is eq else pl.col(name).is_not_null()
        expression: pl.Expr = relation(pl.col(name), value)
        return expression

    def query() -> pl.Expr:
        return reduce(and_, map(part, sorted(generator.choice(sample.width, size=width, replace=False).tolist())))

    return tuple(query() for _ in range(size))


def condensed(sample: pl.DataFrame, wanted: int, *, generator: np.random.Generator) -> list[pl.DataFrame]:
    """One column each, cut to what univariate queries can come of: values that occur once in the whole sample (at most
    ``wanted`` over all columns, by keyed choice), and extremes and nulls, twice where they occur more than once.

    anonymeter's search over these finds what it would find over the sample, in linear time.
    """
    frames, singles = [], []
    for place, name in enumerate(sample.columns):
        counts = sample[name].drop_nulls().value_counts(name="n").sort(name)
        frames.append(counts)
        singles += [(place, value) for value in counts.filter(pl.col("n") == 1)[name].to_list()]
    kept: list[set[float | str]] = [set() for _ in frames]
    for i in generator.permutation(len(singles))[:wanted].tolist():
        kept[singles[i][0]].add(singles[i][1])
    out = []
    for name, counts, values in zip(sample.columns, frames, kept, strict=True):
        ends = counts if counts.height < 3 else pl.concat([counts.head(1), counts.tail(1)])
        ends = ends if sample.schema[name].is_numeric() else ends.clear()
        cells: list[float | str | None] = [*sorted(values - set(ends[name].to_list()))]
        cells += [value for value, n in ends.iter_rows() for _ in range(min(n, 2))]
        cells += [None] * min(sample[name].null_count(), 2)
        out.append(pl.DataFrame({name: pl.Series(cells, dtype=sample.schema[name])}))
    return out


def search(
    sample: pl.DataFrame, width: int, *, generator: np.random.Generator, comparisons: int = MAX_COMPARISONS
) -> tuple[list[pl.Expr], bool]:
    """Multivariate queries of ``width`` columns that single out one row of the sample, and whether these are all.

    As in anonymeter a query takes a released row's value in each column: equal for text, null for null, and for
    numbers at least (above the column's median) or at most (else) that value. Combinations of columns, and the distinct
    tuples of each, are searched up to a fair share of ``comparisons``, beyond it by keyed choice.
    """
    total = comb(sample.width, width)
    most = min(MAX_GROUPS, comparisons // (MIN_TUPLES * width * max(sample.height, 1)))
    groups = choose_groups(sample.width, width, most, generator=generator)
    complete = len(groups) == total
    coded = [Coded(sample[name]) for name in sample.columns] if groups else []
    found: list[pl.Expr] = []
    for done, places in enumerate(groups):
        tuples = _lone_tuples([coded[p].codes for p in places])
        share = max(MIN_TUPLES, comparisons // ((len(groups) - done) * width * sample.height))
        if len(tuples) > share:
            complete = False
            tuples = tuples[np.sort(generator.permutation(len(tuples))[:share])]
        comparisons -= len(tuples) * width * sample.height
        for row in tuples[_lonely(coded, places, tuples)]:
            parts = [coded[p].query(sample.columns[p], int(code)) for p, code in zip(places, row, strict=True)]
            found.append(reduce(and_, parts))
    return found, complete


def _lone_tuples(codes: list[Codes]) -> Codes:
    """The tuples of codes that one row alone has (no other can single out), shape (tuples, columns)."""
    joint = np.zeros(len(codes[0]), dtype=np.int64)
    for column in codes:
        _, joint = np.unique(joint * (int(column.max()) + 2) + column + 1, return_inverse=True)
    _, first, counts = np.unique(joint, return_index=True, return_counts=True)
    first = first[counts == 1]
    return np.column_stack([column[first] for column in codes])


def _lonely(coded: "list[Coded]", places: tuple[int, ...], tuples: Codes) -> npt.NDArray[np.bool_]:
    """Which tuples, asked as queries, exactly one row answers: one word is not zero, and it is a power of two."""
    out = np.zeros(len(tuples), dtype=bool)
    for start in range(0, len(tuples), CHUNK):
        chunk = tuples[start : start + CHUNK]
        words = reduce(np.bitwise_and, [coded[p].rows(chunk[:, i]) for i, p in enumerate(places)])
        few = np.flatnonzero(np.count_nonzero(words, axis=1) == 1)
        word = words[few].max(axis=1)
        out[start + few] = (word & (word - np.uint64(1))) == 0
    return out


class Coded:
    """One column as ranks of its distinct values (-1 for null), with the rows that each rank's query matches."""

    def __init__(self, series: pl.Series) -> None:
        self.values: list[float | str] = series.drop_nulls().unique().sort().to_list()
        ranks = {value: i for i, value in enumerate(self.values)}
        self.codes: Codes = np.array([-1 if cell is None else ranks[cell] for cell in series.to_list()], dtype=np.int64)
        numeric = series.dtype.is_numeric()
        self._upward = np.array(self.values) > series.median() if numeric and self.values else None
        small = (len(self.values) + 1) * len(self.codes) <= MAX_TABLE
        self._table = self._packed(np.arange(-1, len(self.values))) if small else None

    def rows(self, asked: Codes) -> npt.NDArray[np.uint64]:
        """The rows that match each asked rank, as bits of 64-bit words, shape (len(asked), words)."""
        return self._packed(asked) if self._table is None else self._table[asked + 1]

    def _packed(self, asked: Codes) -> npt.NDArray[np.uint64]:
        mine, cells = asked[:, np.newaxis], self.codes[np.newaxis, :]
        matched: npt.NDArray[np.bool_]
        if self._upward is None:
            matched = np.equal(mine, cells)
        else:
            upward = np.append(self._upward, False)[mine]  # null, rank -1, reads the appended place
            ordered = np.where(upward, cells >= mine, (cells <= mine) & (cells >= 0))
            matched = np.where(mine < 0, cells < 0, ordered)
        bits = np.packbits(matched, axis=1)
        padded = np.zeros((len(asked), -(-bits.shape[1] // 8) * 8), dtype=np.uint8)
        padded[:, : bits.shape[1]] = bits
        return padded.view(np.uint64)

    def query(self, name: str, code: int) -> pl.Expr:
        """The expression of one rank."""
        if code < 0:
            return pl.col(name).is_null()
        value = self.values[code]
        if self._upward is None:
            return pl.col(name) == value
        return pl.col(name) >= value if self._upward[code] else pl.col(name) <= value
