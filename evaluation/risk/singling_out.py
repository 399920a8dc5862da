"""Singling out: does the release hold a question that exactly one person of the private table answers with yes?

anonymeter's queries (Giomi et al., PoPETs 2023, section 4.1; predicates after Cohen and Nissim, arXiv 1904.06009):
univariate ones about rare and extreme values, multivariate ones that join up to three columns of a released row. They
are made from the sample once and asked of both sides, which are equally large. A query succeeds where exactly one unit
answers; equal rows are not merged, for two equal persons are two.

Where fewer queries exist than are wanted, the *exhausted* search is conclusive: what is missing counts as failed. A
search that *stopped* at its limit of counted work is not.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
from anonymeter.evaluators.singling_out_evaluator import (
    multivariate_singling_out_queries,
    univariate_singling_out_queries,
)

from evaluation.base import Comparison, Findings
from evaluation.risk.attack import MAX_CANDIDATES, Tally, candidates, shortage, targets, untold
from evaluation.risk.queries import MAX_COMPARISONS, condensed, naive_queries, plain, search
from synthgate.dataset import attack_targets
from synthgate.report import Score

QUERY_COLUMNS = 3
"""Columns that a multivariate query joins (fewer where the table has fewer)."""

ATTEMPTS_PER_QUERY = 5
"""Random attempts at a multivariate query, for each one wanted, before the whole space is searched."""

CHUNK = 500
"""Queries that are asked in one pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Queries that single out in the sample, at most as many as were wanted, and whether all there are were seen."""

    queries: tuple[pl.Expr, ...]
    complete: bool


class SinglingOut:
    """The scores ``risk.singling_out.univariate`` and ``risk.singling_out.multivariate``."""

    name = "risk.singling_out"

    def __init__(self, *, comparisons: int = MAX_COMPARISONS, released: int = MAX_CANDIDATES) -> None:
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
        searches = (
            univariate(whole, wanted, generator=generator),
            multivariate(whole, wanted, generator=generator, comparisons=self._comparisons),
        )
        columns = (1, min(QUERY_COLUMNS, whole.width))
        scores = [
            _score(n, found_by, frames, naive_queries(whole, wanted, k, generator=generator), cut)
            for n, found_by, k in zip(names, searches, columns, strict=True)
        ]
        return Findings(scores=tuple(scores))


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
    sample: pl.DataFrame, wanted: int, *, generator: np.random.Generator, comparisons: int = MAX_COMPARISONS
) -> Search:
    """anonymeter's random multivariate queries; where they fall short, a keyed choice of all that the sample can give
    (as far as ``comparisons`` reach)."""
    width = min(QUERY_COLUMNS, sample.width)
    attempts = ATTEMPTS_PER_QUERY * wanted
    found = multivariate_singling_out_queries(sample, wanted, width, attempts, generator)
    if len(found) >= wanted:
        return Search(queries=tuple(found), complete=False)
    every, complete = search(sample, width, generator=generator, comparisons=comparisons)
    chosen = generator.permutation(len(every))[:wanted]
    return Search(queries=tuple(every[i] for i in chosen), complete=complete)


def _score(name: str, found_by: Search, frames: list[pl.DataFrame], naive: tuple[pl.Expr, ...], cut: str) -> Score:
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
