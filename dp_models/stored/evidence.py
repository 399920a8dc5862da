"""Conditions as evidence on a model's codes, and cells drawn so that they hold.

A condition is a likelihood over the codes of its column: 1 where every cell of a code satisfies it, 0 where none does.
A range may cut the first and the last of its bins; such a code weighs the part of its values that lie in the range, as
if they were even within it, and its cells are drawn until they do. Models hold numbers in up to about a thousand bins a
column, and whole numbers of up to as many values in a bin each, where nothing is cut.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.atoms import Atoms
from dp_models.encoding.binning import Columns
from dp_models.encoding.calendar import DAY_US, HOUR, HOUR_US, WEEKDAY, near
from dp_models.encoding.codes import ColumnCodes
from dp_models.encoding.table import arrow_type
from synthgate.derivation import Allowed
from synthgate.domain import Kind

_TRIES = 8
"""Draws of a cell by the model's own rounding before it is drawn evenly from the part of its bin that is asked for, and
rounded where that part holds a round value."""
_LEAST = 1e-12
"""What a bin weighs at least of which a range holds anything: one value of a bin of floats has no measure."""

Numbers = FloatArray | IntArray


def likelihoods(columns: Columns, conditions: Sequence[Allowed]) -> list[FloatArray]:
    """One likelihood (codes,) for each column, its largest value 1; ones where there is no condition."""
    found = [np.ones(column.size) for column in columns.codec.columns]
    moved = moments(columns, conditions)
    for condition in conditions:
        i = _place(columns, condition)
        if condition in moved:
            for column, codes in _calendar(columns, i, condition).items():
                found[column] = codes
            continue
        found[i] = likelihood(columns.codec.columns[i], condition, columns.atoms.get(i))
    return found


def _place(columns: Columns, condition: Allowed) -> int:
    """The number of the declared column that a condition is about."""
    return columns.codec.domain.modelled.index(condition.column)


def moments(columns: Columns, conditions: Sequence[Allowed]) -> list[Allowed]:
    """The conditions that are ranges of moments with calendar parts: their evidence alone lets through too much."""
    sources = {part.source for part in columns.codec.parts}
    return [c for c in conditions if c.low is not None and _place(columns, c) in sources]


def _calendar(columns: Columns, i: int, condition: Allowed) -> dict[int, FloatArray]:
    """For column ``i``, of moments, and each of its calendar parts, by number: 1 for the codes of which a moment in the
    range can come, 0 for the others (codes,)."""
    column, shares = columns.codec.columns[i], columns.granularity[i]
    low, high = int(column.unit(condition.low)), int(column.unit(condition.high))
    assert column.grid is not None  # noqa: S101  moments with calendar parts are cut by a grid
    edges = column.grid.edges
    bounds = int(edges[0]), int(edges[-1])
    parts = {n: p for n, p in enumerate(columns.codec.parts, len(columns.codec.domain.modelled)) if p.source == i}
    moves = any(part.column is WEEKDAY for part in parts.values())
    found = {i: near((edges[:-1], edges[1:]), low, high, weekday=moves, bounds=bounds)}
    for number, part in parts.items():
        found[number] = part.within(low, high)
        if part.column is HOUR:
            days = shares is not None and bool(shares[:-1][column.grid.steps > HOUR_US].any())
            if days and -(-low // DAY_US) * DAY_US <= high:  # rounded to a midnight in the range
                found[number][:] = True
            if low <= bounds[0]:  # clipped to a bound
                found[number][: low % DAY_US // HOUR_US] = True
            if high >= bounds[1]:
                found[number][high % DAY_US // HOUR_US :] = True
    sizes = {number: columns.codec.columns[number].size for number in found}
    return {n: np.pad(codes.astype(np.float64), (0, sizes[n] - len(codes))) for n, codes in found.items()}


def holds(columns: Columns, table: pa.Table, conditions: Sequence[Allowed]) -> pa.ChunkedArray | None:
    """Which rows of a decoded table satisfy the ranges of `moments`; None where all do."""
    found = None
    for condition in moments(columns, conditions):
        name = condition.column.name
        low, high = (pa.scalar(bound, table.schema.field(name).type) for bound in (condition.low, condition.high))
        within = pc.and_(pc.greater_equal(table[name], low), pc.less_equal(table[name], high))
        found = within if found is None else pc.and_(found, within)
    return found


def likelihood(column: ColumnCodes, condition: Allowed, atoms: Atoms | None = None) -> FloatArray:
    """The likelihood (codes,) of one condition; the ``atoms`` of a cell lie in a range or beyond it as they are."""
    found = np.zeros(column.size)
    if condition.null:
        assert column.null is not None  # noqa: S101  the condition was checked against the declaration
        found[column.null] = 1.0
    elif column.column.kind is Kind.CATEGORICAL:
        found[column.column.categories.index(str(condition.value))] = 1.0
    elif column.column.kind is Kind.BOOLEAN:
        found[int(bool(condition.value))] = 1.0
    else:
        low, high = (column.unit(bound) for bound in (condition.low, condition.high))
        share = _shares(column, low, high)
        found[: column.values] = share
        if atoms is not None:
            within = (atoms.values >= low) & (atoms.values <= high)
            held, kept = (
                np.bincount(atoms.cells, weights=w, minlength=column.size)
                for w in (atoms.shares, atoms.shares * within)
            )
            found = found * np.maximum(1 - held, _LEAST) + kept
        found /= found.max()
    return found


def _shares(column: ColumnCodes, low: float | int, high: float | int) -> FloatArray:
    """The part (values,) of each bin's values that lies in a range."""
    first, last = column.extents
    if column.column.kind is Kind.FLOAT:
        past, end = np.nextafter(last, np.inf), np.nextafter(high, np.inf)
    else:
        past, end = last + 1, high + 1
    inside = np.maximum(np.minimum(past, end) - np.maximum(first, low), 0)
    return np.asarray(np.where(inside > 0, np.clip(inside / (past - first), _LEAST, 1.0), 0.0))


def decode(
    columns: Columns, codes: Sequence[IntArray], conditions: Sequence[Allowed], *, generator: np.random.Generator
) -> pa.Table:
    """The canonical table of fine codes, every cell within the range that is asked of its column, but for `moments`."""
    table = columns.decode(codes, generator=generator)
    moved = moments(columns, conditions)
    for condition in conditions:
        if condition.low is not None and condition not in moved:
            i = _place(columns, condition)
            cells = table.column(i).combine_chunks()
            cells = _within(columns, i, codes[i], cells, condition, generator)
            table = table.set_column(i, table.schema.field(i), cells)
    return table


def _within(
    columns: Columns, i: int, codes: IntArray, cells: pa.Array, condition: Allowed, generator: np.random.Generator
) -> pa.Array:
    """The cells of column ``i``, those beyond the range drawn again: a single value in it by its share of what the cell
    has in the range, else by the model's own rounding."""
    column, shares = columns.codec.columns[i], columns.granularity[i]
    low, high = column.unit(condition.low), column.unit(condition.high)
    numbers = column.numbers(cells).copy()
    again = np.flatnonzero((numbers < low) | (numbers > high))
    beyond = again
    for _ in range(_TRIES):
        if not len(beyond):
            break
        numbers[beyond] = column.numbers(column.decode(codes[beyond], generator=generator, granularity=shares))
        beyond = beyond[(numbers[beyond] < low) | (numbers[beyond] > high)]
    first, last = (ends[codes[beyond]] for ends in column.extents)
    first, last = np.maximum(first, low), np.minimum(last, high)
    drawn = _even(first, last, generator)
    if shares is not None:
        past = np.nextafter(last, np.inf) if column.column.kind is Kind.FLOAT else last + 1
        drawn = column.snapped(drawn, codes[beyond], (first, past), shares, generator)
    numbers[beyond] = drawn
    atoms = _inside(columns.atoms.get(i), low, high, _shares(column, low, high))
    if atoms is not None and len(again):
        placed = atoms.placed(pa.array(numbers[again]), codes[again], generator=generator)
        numbers[again] = placed.to_numpy(zero_copy_only=False)
    return pa.array(numbers).cast(arrow_type(column.column))


def _inside(atoms: Atoms | None, low: float | int, high: float | int, parts: FloatArray) -> Atoms | None:
    """The single values in a range, with their shares of what their cells have in it; ``parts`` (values,) are those of
    the bins."""
    if atoms is None or not (kept := (atoms.values >= low) & (atoms.values <= high)).any():
        return None
    held, within = (np.bincount(atoms.cells, w, len(parts)) for w in (atoms.shares, atoms.shares * kept))
    whole = np.maximum(1 - held, _LEAST) * parts + within
    cells = atoms.cells[kept]
    return Atoms(cells, atoms.values[kept], atoms.shares[kept] / whole[cells])


def _even(low: Numbers, high: Numbers, generator: np.random.Generator) -> Numbers:
    """Numbers from ``low`` to ``high`` (n,), both ends in it."""
    if low.dtype == np.int64:
        return np.asarray(
            generator.integers(low.astype(np.int64), high.astype(np.int64), endpoint=True), dtype=np.int64
        )
    return np.clip(low + (high - low) * generator.random(len(low)), low, high)
