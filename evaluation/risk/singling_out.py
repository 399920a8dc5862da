"""Singling out: does the release hold a question that exactly one person of the private table answers with yes?

anonymeter's queries (Giomi et al., PoPETs 2023, section 4.1; predicates after Cohen and Nissim, arXiv 1904.06009):
univariate ones about rare and extreme values, multivariate ones that join two, three or four columns of a released
row. They are made from the sample once and asked of both sides, which are equally large. A query succeeds where exactly
one unit answers; equal rows are not merged, for two equal persons are two.

Where fewer queries exist than are wanted, the *exhausted* search is conclusive: what is missing counts as failed. A
search that *stopped* at its limit of counted work is not.
"""

import warnings
from dataclasses import dataclass, replace
from math import comb

import numpy as np
import numpy.typing as npt
import polars as pl
from anonymeter.evaluators.singling_out_evaluator import univariate_singling_out_queries

from evaluation.base import Comparison, Findings
from evaluation.held_back import tens
from evaluation.risk.attack import MAX_CANDIDATES, Tally, candidates, shortage, targets, untold
from evaluation.risk.predicates import code, joined
from evaluation.risk.queries import (
    AMPLE,
    ATTEMPTS,
    MAX_COMPARISONS,
    condensed,
    draw,
    listed,
    naive_queries,
    plain,
    search_cost,
)
from synthgate.dataset import attack_targets
from synthgate.report import Score

COLUMN_COUNTS = (2, 3, 4)
"""How many columns multivariate queries join: one attack each (of all columns where the table has fewer)."""

ALWAYS = 3
"""The number of columns that is asked about however large the table (anonymeter's default); others where the whole
space of their queries can be searched, which the numbers of columns and of released rows tell."""

CHUNK = 500
"""Queries that are asked in one pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Queries that single out in the sample, at most as many as were wanted, and whether all there are were seen."""

    queries: tuple[pl.Expr, ...]
    complete: bool


class SinglingOut:
    """The scores ``risk.singling_out.univariate`` and ``risk.singling_out.multivariate``.

    The second is the attack of the number of columns whose upper end is the highest; it is conclusive where all are.
    """

    name = "risk.singling_out"

    def __init__(
        self,
        *,
        columns: tuple[int, ...] = COLUMN_COUNTS,
        comparisons: int = MAX_COMPARISONS,
        released: int = MAX_CANDIDATES,
    ) -> None:
        self._columns = columns
        self._comparisons = comparisons
        self._released = released

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Ask min(2,000, holdout) queries of a keyed training sample and of a holdout of the same size."""
        names = (f"{self.name}.univariate", f"{self.name}.multivariate")
        if reason := shortage(comparison):
            return Findings(scores=tuple(untold(n, reason) for n in names))
        sides = targets(comparison, generator=generator, most=MAX_CANDIDATES)
        wanted = attack_targets(len(sides))
        frames = [plain(frame, comparison.domain) for frame in (sides.main, sides.control)]
        rows, cut = candidates(comparison.sample, self._released, generator=generator)
        whole = plain(rows, comparison.domain).unique(maintain_order=True)

        widths = affordable(self._columns, whole.width, len(rows), self._comparisons, asked=comparison.joins)
        draws = generator.spawn(max(widths) + 1)  # one for each width, so that asking one more changes no other's

        def score(name: str, found_by: Search, width: int) -> Score:
            return told(name, found_by, frames, naive_queries(whole, wanted, width, generator=draws[width]), cut)

        several = {
            width: score(
                names[1],
                multivariate(whole, wanted, width=width, generator=draws[width], comparisons=self._comparisons),
                width,
            )
            for width in widths
        }
        alone = score(names[0], univariate(whole, wanted, generator=draws[0]), 1)
        details = {
            "known": [column.name for column in comparison.domain.modelled],
            "attacks": tens(wanted),
            "asked_rows": tens(len(sides)),
            "columns": {str(w): {k: s.as_shown().to_dict()[k] for k in _TOLD} for w, s in several.items()},
            "because_of_the_policy": list(comparison.joins),
            "attacker": "knows the released rows alone, and asks about every released column",
        }
        return Findings(scores=(alone, _worst(several)), details=details)


_TOLD = ("value", "low", "high", "conclusive", "note")


def affordable(
    widths: tuple[int, ...], columns: int, rows: int, comparisons: int, *, asked: tuple[int, ...] = ()
) -> list[int]:
    """The numbers of columns that are asked about, by public counts alone; those ``asked`` for whatever they cost."""
    kept = {
        min(width, columns)
        for width in (*widths, *asked)
        if width in (ALWAYS, *asked) or search_cost(min(width, columns), columns, rows) <= comparisons
    }
    return sorted(kept) or [min(ALWAYS, columns)]


def _worst(several: dict[int, Score]) -> Score:
    width = max(several, key=lambda w: several[w].high)
    words = [f"the worst of queries that join {', '.join(map(str, several))} columns is that of {width}"]
    stopped = [str(w) for w, s in several.items() if not s.conclusive]
    if stopped and several[width].conclusive:
        words.append(f"those of {', '.join(stopped)} stopped at the limit of work")
    note = "; ".join([several[width].note, *words])
    return replace(several[width], conclusive=not stopped, note=note)


def univariate(sample: pl.DataFrame, wanted: int, *, generator: np.random.Generator) -> Search:
    """All of anonymeter's univariate queries, and a keyed choice of ``wanted`` among them.

    anonymeter groups rows in an order of its own and shuffles by the generator that it is given; asking for every
    query and choosing from the sorted list makes the choice depend on the key alone.
    """
    found: list[pl.Expr] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it also asks for "equals null", which no row does
        for column in condensed(sample, wanted, generator=generator):
            found += univariate_singling_out_queries(column, n_queries=2**62, rng=np.random.default_rng(0))
    ordered = sorted(found, key=str)
    chosen = generator.permutation(len(ordered))[:wanted]
    return Search(queries=tuple(ordered[i] for i in chosen), complete=True)


def multivariate(
    sample: pl.DataFrame,
    wanted: int,
    *,
    width: int = 3,
    generator: np.random.Generator,
    comparisons: int = MAX_COMPARISONS,
) -> Search:
    """anonymeter's multivariate queries of ``width`` columns: random ones; where they fall short, a keyed choice of all
    that the sample can give, as far as ``comparisons`` of a row with a query reach."""
    width = min(width, sample.width)
    if sample.height == 0 or wanted == 0:
        return Search(queries=(), complete=True)
    coded, spent = code(sample), 0
    if comb(sample.width, width) * sample.height > ATTEMPTS * wanted:
        found, spent = draw(sample, coded, width, wanted, generator=generator, comparisons=comparisons)
        if len(found) >= wanted:
            return Search(queries=tuple(found), complete=False)
    every, complete = listed(coded, width, generator=generator, comparisons=comparisons - spent, enough=AMPLE * wanted)
    chosen = generator.permutation(len(every))[:wanted]
    return Search(queries=tuple(joined(coded, *every[i]) for i in chosen), complete=complete)


def told(name: str, found_by: Search, frames: list[pl.DataFrame], naive: tuple[pl.Expr, ...], cut: str) -> Score:
    """The score of queries that were found in the sample, asked of both sides; as many are counted as ``naive`` has."""
    wanted = len(naive)
    main, control = (int(np.count_nonzero(ask(frame, found_by.queries) == 1)) for frame in frames)
    baseline = int(np.count_nonzero(ask(frames[0], naive) == 1))
    tally = Tally(attacks=wanted, main=main, control=control, naive=baseline)
    found = len(found_by.queries)
    if found >= wanted:
        return tally.score(name, remarks=(cut,))
    if found_by.complete:
        remark = f"exhausted: the sample holds {found} distinct queries, the others count as failed"
        return tally.score(name, remarks=(remark, cut))
    remark = f"stopped: {found} queries found within the limit of work, and there may be others"
    return tally.score(name, remarks=(remark, cut), conclusive=False)


def ask(frame: pl.DataFrame, queries: tuple[pl.Expr, ...]) -> npt.NDArray[np.int64]:
    """How many rows answer each query with yes, shape (len(queries),)."""
    counts: list[int] = []
    for start in range(0, len(queries), CHUNK):
        chunk = queries[start : start + CHUNK]
        sums = [query.fill_null(value=False).cast(pl.Int64).sum().alias(str(i)) for i, query in enumerate(chunk)]
        counts += frame.select(sums).row(0)
    return np.array(counts, dtype=np.int64)
