"""NIST's k-marginal score, and the size of a subsample of training rows that scores alike.

1,000 times one less the mean total variation over triples of columns (at most 100, by keyed choice; pairs or the one
column where a table has no three), as in NIST's differential privacy challenges (Sen, Task, Kapur, Howarth, Bhagat,
Diverse Community Data for Benchmarking Data Privacy Algorithms, arXiv 2306.13216). 1,000 are the training rows
themselves.

The reading "equals a sample of x %" compares with keyed subsamples of the training rows against all of them, three
nested draws for each of sixteen shares, with straight lines between. Subsamples are part of what they are compared
with, and fresh people are not: in expectation a table of m fresh rows beside n training rows reads as the share f for
which (1 - f) / f = 1 + n / m, a third where both are as large (`fresh_percent`), and as less where most cells of the
joint tables hold a row or none. More than that is fitted to the training rows in particular.
"""

import numpy as np

from evaluation.base import Comparison, Findings
from evaluation.exact import exact
from evaluation.groups import choose_groups
from evaluation.held_back import MIN_CELL
from evaluation.risk.attack import untold
from evaluation.utility.coded import Codes, cells, coded, distance, share
from evaluation.utility.shown import MANY, Shown, as_shown
from synthgate.report import Better

MAX_GROUPS = 100
DRAWS = 3
PERCENTS = (0.5, 1, 2, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99, 99.9)
LEAST_ROWS = 30
"""With fewer training rows the reading has no meaning: a subsample of one per cent would be nobody."""

NAMES = ("utility.kmarginal", "utility.equals_percent")


class KMarginal:
    """The scores ``utility.kmarginal``, 0 to 1,000, and ``utility.equals_percent``, 0 to 100."""

    name = "utility.kmarginal"

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Exact figures. The details give under ``percents`` and ``subsamples`` what subsamples score; null where one
        has fewer than ten rows, and of fewer than ten groups, whose few counts would follow."""
        tables = coded(comparison)
        rows = len(comparison.train)
        if len(comparison.sample) == 0 or rows < LEAST_ROWS:
            reason = f"the sample is empty, or there are fewer than {LEAST_ROWS} training rows"
            return Findings(scores=tuple(untold(name, reason, better=Better.HIGHER) for name in NAMES))
        width = min(3, len(tables.names))
        groups = choose_groups(len(tables.names), width, MAX_GROUPS, generator=generator)
        orders = [generator.permutation(rows) for _ in range(DRAWS)]
        sizes = [max(1, round(rows * percent / 100)) for percent in PERCENTS]
        ours, theirs = [], []
        for group in groups:
            (sample, train), count = cells([tables.sample, tables.train], tables.sizes, group)
            ours.append(distance(share(sample, count), share(train, count)))
            theirs.append(_subsampled(train, orders, sizes))
        value = 1_000 * (1 - float(np.mean(ours)))
        subsamples = (1_000 * (1 - np.mean(theirs, axis=0))).tolist()
        shown = Shown.of(comparison, tables)
        near = shown.mean(shown.distances(dict(zip(groups, ours, strict=True)), tables.sample).values())
        percent = None if near is None or len(groups) < MANY else float(f"{equals(1_000 * (1 - near), subsamples):.2g}")
        expected = fresh_percent(len(comparison.sample), rows)
        scores = (
            exact(NAMES[0], value, better=Better.HIGHER, note=f"mean of {len(groups)} groups of {width} columns"),
            exact(
                NAMES[1],
                equals(value, subsamples),
                better=Better.HIGHER,
                note=f"equals a sample of {'–' if percent is None else f'{percent:g}'} % of the training rows; as many "
                f"fresh rows at about {expected:.3g} %, or less where cells are sparse",
            ),
        )
        told = [
            round(s) if n >= MIN_CELL and len(groups) >= MANY else None for n, s in zip(sizes, subsamples, strict=True)
        ]
        told_of = {NAMES[0]: None if near is None else round(1_000 * (1 - near)), NAMES[1]: percent}
        details = {"percents": list(PERCENTS), "subsamples": told}
        return Findings(scores=as_shown(scores, told_of), details=details)


def fresh_percent(sample: int, train: int) -> float:
    """What a table of so many fresh rows is expected to read as at most, beside so many training rows: 0 to 50."""
    return 100 / (2 + train / sample)


def equals(value: float, subsamples: list[float]) -> float:
    """The percentage whose subsample scores ``value``, with straight lines from 0 (scoring 0) to 100 (1,000)."""
    scores = np.maximum.accumulate([0.0, *subsamples, 1_000.0])
    return float(np.interp(value, scores, [0.0, *PERCENTS, 100.0]))


def _subsampled(train: Codes, orders: list[Codes], sizes: list[int]) -> list[float]:
    """The mean distance of subsamples of each size from all training rows, over the draws."""
    occurring, train = np.unique(train, return_inverse=True)
    count = len(occurring)
    whole = share(train, count)
    found = []
    for order in orders:
        mixed = train[order]
        taken = np.zeros(count, dtype=np.int64)
        start, line = 0, []
        for size in sizes:
            taken += np.bincount(mixed[start:size], minlength=count)
            start = size
            line.append(distance(taken / size, whole))
        found.append(line)
    return [float(x) for x in np.mean(found, axis=0)]
