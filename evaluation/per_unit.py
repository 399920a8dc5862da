"""What an accounted verdict counts: about how many units of each side an attack on the released sample is right.

Every unit is a target at most once in each attack, and whether an attack is right about a target depends on that target
and the sample alone. So one unit more or less moves a side's count by at most 1. The sample, and everything that is
drawn or listed here (candidates, queries), is public: post-processing of what the fit's noise paid for.
"""

import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl

from evaluation.base import Comparison
from evaluation.chosen import Chosen, Digests, chosen, one_of, row_digests
from evaluation.risk import guesses
from evaluation.risk.attack import MAX_CANDIDATES, candidates
from evaluation.risk.besides import Rarer, tied
from evaluation.risk.guesses import tolerance
from evaluation.risk.neighbours import Places, encode, search
from evaluation.risk.queries import MAX_COMPARISONS, plain
from evaluation.risk.singling_out import CHUNK, COLUMN_COUNTS, Search, affordable, multivariate, univariate
from evaluation.tables import MISSING
from synthgate.accounted import Repeats, attack_targets, copy_targets
from synthgate.dataset import PublicSizes
from synthgate.domain import NUMERIC, Domain

Flags = npt.NDArray[np.bool_]


def right(targets: pd.DataFrame, sample: pd.DataFrame, domain: Domain, known: tuple[str, ...]) -> Places:
    """The position in ``sample`` of the row nearest to each target, shape (targets,)."""
    found: Places = without(targets, sample, domain, known, (None,))[0]
    return found


def without(
    targets: pd.DataFrame,
    sample: pd.DataFrame,
    domain: Domain,
    known: tuple[str, ...],
    left_out: Sequence[str | None],
    only: Sequence[tuple[str, ...]] = (),
) -> Places:
    """The same by the columns ``known`` but one, for each that is left out, then by each of the sets ``only`` of them,
    shape (left out and sets, targets): distances are computed once for all. Whatever the other targets hold: the search
    asks whether any target misses a cell, so one that misses all is asked of as well."""
    blank = {name: np.nan if domain[name].kind in NUMERIC else MISSING for name in targets.columns}
    asked = pd.concat([targets, pd.DataFrame([blank]).astype(targets.dtypes)], ignore_index=True)
    owners = [known.index(name) if name in known else None for name in left_out]
    sets = [[known.index(name) for name in names] for names in only]
    return search(encode(asked, sample, domain, known), owners, sets).places[:, :-1]


@dataclass(frozen=True)
class Counts:
    """Counts on both sides, trained units and control, for public ``sizes``. ``seed`` keys what is chosen and drawn."""

    comparison: Comparison
    sizes: PublicSizes
    seed: bytes

    @cached_property
    def _sides(self) -> tuple[Chosen, Chosen]:
        c = self.comparison
        key = self._key("targets")
        return (
            chosen(c.train, c.train_units, c.domain, key=key),
            chosen(c.holdout, c.holdout_units, c.domain, key=key),
        )

    @cached_property
    def _targets(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        most = attack_targets(self.sizes)
        return self._sides[0].first(most), self._sides[1].first(most)

    @cached_property
    def _sample(self) -> pd.DataFrame:
        return candidates(self.comparison.sample, MAX_CANDIDATES, generator=self._generator("candidates"))[0]

    @property
    def units(self) -> tuple[int, int]:
        """All of them."""
        return len(self._sides[0].rows), len(self._sides[1].rows)

    def linked(self) -> tuple[int, int]:
        """Targets whose two halves have the same nearest released row, by the parties for which that shows most."""
        parties = [attacker.halves for attacker in self.comparison.attackers if all(attacker.halves)]
        return _worst(map(self._linked_by, parties or [self.comparison.domain.halves]))

    def linked_besides(self) -> tuple[int, int] | None:
        """The same by two parties who hold all that is known, where those of `linked` hold a part of it."""
        dealt = self.comparison.domain.dealt
        named = [attacker.halves for attacker in self.comparison.attackers]
        return self._linked_by(dealt) if all(dealt) and dealt not in named else None

    def _linked_by(self, halves: tuple[tuple[str, ...], tuple[str, ...]]) -> tuple[int, int]:
        def links(targets: pd.DataFrame) -> int:
            first, second = (right(targets, self._sample, self.comparison.domain, half) for half in halves)
            return int(np.count_nonzero(first == second))

        return links(self._targets[0]), links(self._targets[1])

    def inferred(self, secret: str) -> tuple[int, int]:
        """Targets whose secret the nearest released row in the other known columns tells, by the attacker for whom that
        shows most."""
        return _worst(self._guessed(secret, places) for places in self._nearest[: len(self.comparison.attackers)])

    def inferred_besides(self, secret: str) -> tuple[int, int] | None:
        """The same by who knows the columns alone that the sample ties to the secret most, where these are fewer."""
        few = self._nearest[-1]
        return self._guessed(secret, few) if secret in few[0] else None

    def inferred_rarer(self, secret: str) -> tuple[int, int]:
        """The same of values other than the most common one, by the attacker for whom that shows most."""
        return _worst(self._guessed(secret, places, rarer=True) for places in self._nearest if secret in places[0])

    def rarer(self, secret: str) -> Rarer:
        """The values of a secret that are less common in the sample than one."""
        return self._rarer[secret]

    @cached_property
    def _rarer(self) -> dict[str, Rarer]:
        def told(secret: str) -> Rarer:
            released, column = self.comparison.sample[secret].to_numpy(), self.comparison.domain[secret]
            return Rarer.of(released, column, tolerance(released) if column.kind in NUMERIC else 0.0)

        return {secret: told(secret) for secret in self.comparison.domain.secrets}

    def _guessed(self, secret: str, sides: list[dict[str, Places]], *, rarer: bool = False) -> tuple[int, int]:
        """How many targets of each side the rows at their places tell the secret of."""
        cells, values = self._sample[secret].to_numpy(), self._rarer[secret]

        def told(targets: pd.DataFrame, places: Places) -> int:
            found = guesses.right(cells[places], targets[secret].to_numpy(), values.column, values.within)
            return int(np.count_nonzero(found & values.among(cells[places]) if rarer else found))

        main, control = (told(t, places[secret]) for t, places in zip(self._targets, sides, strict=True))
        return main, control

    @cached_property
    def _nearest(self) -> list[list[dict[str, Places]]]:
        """For each attacker and side, where each target's nearest released row stands, by the secret left out; at the
        end, for secrets that less tells of, by the columns tied to them most."""
        domain, secrets = self.comparison.domain, self.comparison.domain.secrets
        few = {s: names for s in secrets if (names := tied(self._sample, domain, s))}

        def places(targets: pd.DataFrame, attacker: Domain) -> dict[str, Places]:
            found = without(targets, self._sample, attacker, attacker.auxiliary, secrets)
            return dict(zip(secrets, found, strict=True))

        def by_few(targets: pd.DataFrame) -> dict[str, Places]:
            found = without(targets, self._sample, domain, domain.auxiliary, (), tuple(few.values()))
            return dict(zip(few, found, strict=True))

        everything = [[places(t, a) for t in self._targets] for a in self.comparison.attackers]
        return [*everything, [by_few(t) for t in self._targets] if few else [{}, {}]]

    def singled_out(self, name: str) -> tuple[int, int] | None:
        """Queries that single out, a unit being counted in the first that it matches alone; of the numbers of columns
        that multivariate ones join, the one with the largest difference. None where a search for queries stopped before
        it had as many as it wanted, which is a fact about the sample.

        Each unit of either side is asked with a chance that makes as many of both on average: were their number fixed,
        a unit that takes another's place could move two queries.
        """
        most, domain = attack_targets(self.sizes), self.comparison.domain
        searches = self._searches(name, most)
        if any(len(search.queries) < most and not search.complete for search in searches):
            return None
        shares = most / max(self.sizes.train_units, 1), most / max(self.sizes.holdout_units, 1)
        frames = [plain(side.within(share), domain) for side, share in zip(self._sides, shares, strict=True)]
        found = [tuple(singled(frame, search.queries) for frame in frames) for search in searches]
        return _worst(found)

    def _searches(self, name: str, wanted: int) -> list[Search]:
        """The queries of each number of columns that the exact attack asks about too."""
        whole = plain(self._sample, self.comparison.domain).unique(maintain_order=True)
        if name.endswith(".univariate"):
            return [univariate(whole, wanted, generator=self._generator(name))]
        joins = self.comparison.joins
        widths = affordable(COLUMN_COUNTS, whole.width, len(self._sample), MAX_COMPARISONS, asked=joins)
        return [multivariate(whole, wanted, width=w, generator=self._generator(f"{name}.{w}")) for w in widths]

    def copied(self) -> tuple[int, int]:
        """Units of which the sample holds a row verbatim, among as many of both sides."""
        released, *sides = self._digests
        most = copy_targets(self.sizes)
        main, control = (int(np.count_nonzero(one_of(side[:most], released))) for side in sides)
        return main, control

    def recognised(self) -> tuple[int, int]:
        """Distinct released rows that are those of any unit of each side. One unit adds at most one, and what many
        people have in common counts once."""
        released, *sides = self._digests
        distinct = np.unique(released, axis=0)
        main, control = (int(np.count_nonzero(one_of(distinct, side))) for side in sides)
        return main, control

    @cached_property
    def repeats(self) -> Repeats:
        """How often the sample repeats itself."""
        counts = np.unique(self._digests[0], axis=0, return_counts=True)[1]
        several = counts[counts > 1]
        twice = int(np.count_nonzero(counts == 2))
        return Repeats(released=int(counts.sum()), again=int(several.sum()), distinct=len(several), twice=twice)

    @cached_property
    def _digests(self) -> tuple[Digests, Digests, Digests]:
        """Of the released rows, and of a keyed row of each trained and each control unit, by place."""
        c, key = self.comparison, self._key("copies")
        sides = ((c.train, c.train_units), (c.holdout, c.holdout_units))
        found = (row_digests(chosen(rows, units, c.domain, key=key).rows, c.domain, key=key) for rows, units in sides)
        main, control = found
        return row_digests(c.sample, c.domain, key=key), main, control

    def _key(self, purpose: str) -> bytes:
        return keyed_bytes(self.seed, purpose)

    def _generator(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng(int.from_bytes(self._key(purpose), "big"))


def _worst(counts: Iterable[Iterable[int]]) -> tuple[int, int]:
    """The counts of both sides that differ most. One unit moves the largest difference no further than each."""
    main, control = max(map(tuple, counts), key=lambda both: both[0] - both[1])
    return main, control


def keyed_bytes(seed: bytes, purpose: str) -> bytes:
    """32 bytes for one purpose of an accounted verdict (HMAC-SHA256)."""
    return hmac.digest(seed, b"synthgate margin 1 " + purpose.encode(), "sha256")


def singled(frame: pl.DataFrame, queries: tuple[pl.Expr, ...]) -> int:
    """How many queries one row alone matches, each row being counted in the first that it matches."""
    return int(np.count_nonzero(first_matches(frame, queries) == 1))


def first_matches(frame: pl.DataFrame, queries: tuple[pl.Expr, ...]) -> npt.NDArray[np.int64]:
    """For each query, how many rows match it and none before it, shape (len(queries),)."""
    counts = np.zeros(len(queries), dtype=np.int64)
    for start in range(0, len(queries), CHUNK):
        if frame.height == 0:
            break
        chunk = queries[start : start + CHUNK]
        asked = frame.select([q.fill_null(value=False).alias(str(i)) for i, q in enumerate(chunk)]).to_numpy()
        matched = asked.any(axis=1)
        counts[start : start + len(chunk)] = np.bincount(asked.argmax(axis=1)[matched], minlength=len(chunk))
        frame = frame.filter(pl.Series(~matched))
    return counts
