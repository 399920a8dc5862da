"""`Grid`: a fine public partition of a column's declared bounds, from which noisy counts later choose the bins.

A column of few whole numbers has a cell a value. A wider one is cut twice over: in steps of equal width, so that broad
shapes are met, and in steps of two significant digits around zero, so that heavy tails are. All cuts are round numbers,
where people heap their answers, and begin a cell, so that a heap is not torn apart. Both bounds (clamped cells, top
codes) and zero have a cell of their own. Moments are cut by the calendar: minutes to years, whichever still fits.

Cuts that the steward declared stay cuts. Numbers are in the unit of the stored cells: floats, integers, or microseconds
since 1970.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.calendar import HOUR, LEAST_DAYS
from synthgate.domain import Column, Kind

MIN_CELLS = 32
_EPOCH = datetime(1970, 1, 1)
_SECOND = 1_000_000
_MOMENTS = (86_400 * _SECOND, 3_600 * _SECOND, 60 * _SECOND, _SECOND, 1)
_DECADES, _MORE, _CENT = 5, 9, -2
"""Powers of ten that are told apart below the largest bound of a float column: five, or up to nine to reach hundredths,
since bounds of money are often far above what most rows hold."""


@dataclass(frozen=True)
class Grid:
    """At most about ``cells`` (32 and more) cells of an integer, float or datetime column."""

    column: Column
    cells: int

    @cached_property
    def edges(self) -> FloatArray | IntArray:
        """Increasing edges: cell i is [edges[i], edges[i+1]), the last one closed."""
        kind = self.column.kind
        declared = [_plain(b) for b in self.column.bins]
        if kind is Kind.DATETIME:
            cuts = {*_calendar(self.column.low, self.column.high, self.cells), *declared}  # type: ignore[arg-type]
            return self._between(np.array(sorted(cuts), dtype=np.int64))
        low, high = _plain(self.column.low), _plain(self.column.high)
        if kind is Kind.INTEGER and high - low < self.cells:
            return np.append(np.arange(low, high + 1, dtype=np.int64), np.int64(high))
        rounded = _rounded(low, high, 3 * self.cells // 4, whole=kind is Kind.INTEGER)
        cuts = {*_even(low, high, self.cells // 4), *rounded}
        points = np.array(sorted({*cuts, *declared}), dtype=np.float64)
        if kind is Kind.INTEGER:
            spikes = [low + 1, high, *([0, 1] if low <= 0 <= high else [])]
            return self._between(np.unique([*np.ceil(points).astype(np.int64), *spikes]).astype(np.int64))
        spikes = [np.nextafter(low, high), np.nextafter(high, low)]
        if low < 0 < high:
            spikes += [0.0, np.nextafter(0.0, 1.0)]
        return self._between(np.unique([*points, *spikes]))

    def _between(self, cuts: FloatArray | IntArray) -> FloatArray | IntArray:
        low, high = _plain(self.column.low), _plain(self.column.high)
        inside = cuts[(cuts > low) & (cuts <= high if self.column.kind is Kind.INTEGER else cuts < high)]
        if cuts.dtype == np.int64:
            return np.concatenate(([low], inside, [high])).astype(np.int64)
        return np.concatenate(([low], inside, [high])).astype(np.float64)

    @cached_property
    def exact(self) -> bool:
        """Whether every cell holds one value, so that nothing is drawn within it."""
        return self.column.kind is Kind.INTEGER and bool((np.diff(self.edges) <= 1).all())

    @cached_property
    def apart(self) -> tuple[int, ...]:
        """The cells of the bounds and of zero: they are never put together with others before they were counted."""
        points = [self.edges[0], self.edges[-1], *([0] if self.edges[0] < 0 < self.edges[-1] else [])]
        found = {int(np.searchsorted(self.edges[1:-1], p, side="right")) for p in points}
        return tuple(sorted(found)) if self.column.kind is not Kind.DATETIME else ()

    @cached_property
    def steps(self) -> FloatArray:
        """Units that values may be rounded to, coarsest first, in the unit of the cells; empty where cells are exact.

        Floats beyond the last step keep all their digits."""
        if self.exact:
            return np.zeros(0)
        if self.column.kind is Kind.DATETIME:
            return np.array(_MOMENTS, dtype=np.float64)
        widest = float(self.edges[-1]) - float(self.edges[0])
        top = math.floor(math.log10(widest / 10)) if widest > 0 else 0
        least = 0 if self.column.kind is Kind.INTEGER else min(top, 0) - _DECADES
        return np.array([10.0**e for e in range(min(top, least + 8), least - 1, -1)])

    @cached_property
    def holds(self) -> npt.NDArray[np.bool_]:
        """Which cells hold a multiple of each of the steps, shape (steps + 1, cells); the last row is all of them."""
        low, high = self.edges[:-1].astype(np.float64), self.edges[1:].astype(np.float64)
        units = self.steps[:, None]
        first = np.ceil(low / units - 1e-9) * units
        found = first < high - 1e-9 * units
        found[:, -1] |= np.abs(first[:, -1] - high[-1]) <= 1e-9 * self.steps
        return np.concatenate((found, np.ones((1, len(low)), dtype=np.bool_)))


def multiples(numbers: FloatArray | IntArray, unit: float) -> npt.NDArray[np.bool_]:
    """Whether each number (n,) is a multiple of a unit: whole numbers exactly, floats as far as a double can tell."""
    if numbers.dtype == np.int64:
        return np.asarray(numbers % int(unit) == 0)
    units = numbers / unit
    return np.asarray(np.abs(units - np.rint(units)) <= 1e-9 + 8 * np.spacing(np.abs(units)))


def _plain(value: object) -> float | int:
    if isinstance(value, datetime):
        gap = value - _EPOCH
        return (gap.days * 86_400 + gap.seconds) * _SECOND + gap.microseconds
    assert isinstance(value, (int, float))  # noqa: S101  a numeric column declares numbers
    return value


def _even(low: float, high: float, cells: int) -> list[float]:
    """Multiples of a round step (1, 2 or 5 times a power of ten) between the bounds, at most about ``cells``."""
    wanted = (high - low) / max(cells, 1)
    power = 10.0 ** math.floor(math.log10(wanted))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= wanted * (1 - 1e-9))
    return [float(i) * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _rounded(low: float, high: float, cells: int, *, whole: bool) -> list[float]:
    """Numbers of one or two significant digits of both signs between the bounds, the finest that fits ``cells``: two
    digits in the upper decades, one in those below."""
    top = math.floor(math.log10(max(abs(low), abs(high))))
    bottom = 0 if whole else max(top - _MORE, min(top - _DECADES, _CENT))
    found: list[float] = []
    for fine in range(top + 1, max(top - 4, bottom - 1), -1):
        ones = [d * 10.0**p for p in range(bottom, fine) for d in range(1, 10)]
        tens = [d * 10.0 ** (p - 1) for p in range(max(fine, bottom), top + 1) for d in range(10, 100)]
        inside = [s * p for p in ones + tens for s in (-1, 1) if low < s * p < high]
        if found and len(inside) > cells:
            break
        found = inside
    return found


def _calendar(low: datetime, high: datetime, cells: int) -> list[int]:
    """Round moments between the bounds: the finest unit of which there are at most ``cells``, no finer than days where
    the hour is a calendar part."""
    start, end = int(_plain(low)), int(_plain(high))
    days = (end - start) // (86_400 * _SECOND)
    for unit in (60 * _SECOND, 3_600 * _SECOND, 86_400 * _SECOND):
        if (end - start) // unit <= cells and (unit >= 86_400 * _SECOND or days < LEAST_DAYS[HOUR.name]):
            return list(range(-(-start // unit) * unit, end + 1, unit))
    months = [datetime(y, m, 1) for y in range(low.year, high.year + 1) for m in range(1, 13)]
    every = next((e for e in (1, 3, 12, 120, 1_200) if len(months) / e <= cells), 12_000)
    return [int(_plain(m)) for m in months[::every] if low < m < high]
