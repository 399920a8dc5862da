"""Calendar parts: a datetime column is also a day of the week and an hour of the day, each a coded column of its own.

Cells of a grid tell when in the years a moment lies; people, machines and hospitals also keep weeks and days. Which
parts a column has follows from its declared bounds. A part of a null is coded as ``other`` and never released.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dp_models.base import FloatArray, IntArray
from synthgate.domain import Column, Domain, Kind

BoolArray = npt.NDArray[np.bool_]
DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000
_WEEK, _HOURS = 7, 24
_EPOCH_WEEKDAY = 3
"""1970-01-01 was a Thursday; Monday is 0."""
WEEKDAY = Column(name="weekday", kind=Kind.INTEGER, low=0, high=_WEEK - 1)
HOUR = Column(name="hour", kind=Kind.INTEGER, low=0, high=_HOURS - 1)
LEAST_DAYS = {WEEKDAY.name: 14, HOUR.name: 2}
"""Bounds must be so many days apart for a part to be told apart."""


@dataclass(frozen=True, slots=True)
class Part:
    """``column`` holds what ``source``, the number of a modelled column, says of the week or the day."""

    source: int
    column: Column

    def of(self, moments: IntArray) -> IntArray:
        """The part's values (n,) of moments in microseconds since 1970."""
        if self.column is HOUR:
            return moments % DAY_US // HOUR_US
        return (moments // DAY_US + _EPOCH_WEEKDAY) % _WEEK

    def within(self, low: int, high: int) -> BoolArray:
        """Which of the part's values (7 or 24,) the moments from ``low`` to ``high`` have."""
        unit, values = (HOUR_US, _HOURS) if self.column is HOUR else (DAY_US, _WEEK)
        first, last = low // unit, high // unit
        found = np.zeros(values, dtype=np.bool_)
        found[self.of(np.arange(first, min(last, first + values - 1) + 1) * unit)] = True
        return found


def parts_of(domain: Domain) -> tuple[Part, ...]:
    """The parts of every modelled datetime column, in declared order."""
    found = []
    for source, column in enumerate(domain.modelled):
        if column.kind is Kind.DATETIME:
            days = (column.number(column.high) - column.number(column.low)) / (DAY_US // 1_000_000)
            found += [Part(source, part) for part in (WEEKDAY, HOUR) if days >= LEAST_DAYS[part.name]]
    return tuple(found)


def placed(
    moments: IntArray, edges: tuple[FloatArray | IntArray, FloatArray | IntArray], *, weekday: IntArray | None,
    hour: IntArray | None, bounds: tuple[int, int],
) -> IntArray:  # fmt: skip
    """Moments (n,) moved to a day of the week and an hour: to the nearest such day, within the cell (``edges``: where
    each one's cell begins and ends) if that is a week or longer, and never out of the bounds."""
    day, rest = moments // DAY_US, moments % DAY_US
    if weekday is not None:
        ahead = (weekday - (day + _EPOCH_WEEKDAY)) % _WEEK
        near = day + np.where(ahead > _WEEK // 2, ahead - _WEEK, ahead)
        begin, end = (edge.astype(np.int64) for edge in edges)
        wide = (end - 1) // DAY_US - begin // DAY_US >= _WEEK - 1
        first = np.where(wide, begin, bounds[0]) // DAY_US
        last = np.where(wide, end - 1, bounds[1]) // DAY_US
        near = np.where(near < first, near + _WEEK, near)
        day = np.where(near > last, near - _WEEK, near)
    if hour is not None:
        rest = hour * HOUR_US + rest % HOUR_US
    return np.clip(day * DAY_US + rest, *bounds)


def near(
    edges: tuple[FloatArray | IntArray, FloatArray | IntArray], low: int, high: int, *, weekday: bool,
    bounds: tuple[int, int],
) -> BoolArray:  # fmt: skip
    """Which cells (``edges``: where each begins and ends) hold moments that `placed` may move to a day between ``low``
    and ``high``, both ends in it; ``weekday`` says whether it moves days at all."""
    begin, end = (edge.astype(np.int64) for edge in edges)
    first, last = begin // DAY_US, (end - 1) // DAY_US
    if weekday:
        outer = low // DAY_US < bounds[0] // DAY_US + _WEEK or high // DAY_US > bounds[1] // DAY_US - _WEEK
        reach = np.where(last - first >= _WEEK - 1, 0, _WEEK - 1 if outer else _WEEK // 2)
        first, last = first - reach, last + reach
    return np.asarray((first <= high // DAY_US) & (last >= low // DAY_US))
