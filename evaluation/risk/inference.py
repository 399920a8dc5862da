"""Inference: can someone who knows a person's auxiliary columns guess a declared secret from the release?

anonymeter's attack (Giomi et al., PoPETs 2023, section 4.3): the guess is the secret of the nearest released row. The
guesses are anonymeter's; which guesses of a number are right is our own rule (`evaluation.risk.guesses`), because
anonymeter's, within 5 % of the guess, sees nothing where a scale begins far from its values. A guessed null is right
where the secret is null.

The distances to the released rows are computed once for all secrets (`evaluation.risk.neighbours.search`), and once
more where the policy adds to what is known: attackers with and without it try, and the worse counts. Each secret is
guessed from the columns tied to it most too, and guesses of rarer values are counted alone too (see `besides`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.base import Comparison, Findings
from evaluation.held_back import tens
from evaluation.risk.attack import (
    AS_DECLARED_TOO,
    MAX_CANDIDATES,
    Tally,
    Targets,
    candidates,
    shortage,
    targets,
    untold,
    worst,
)
from evaluation.risk.besides import RARER, Rarer, beyond_luck, tied
from evaluation.risk.guesses import right, tolerance
from evaluation.risk.neighbours import Places, encode, search
from synthgate.domain import NUMERIC, Column, Domain, Kind
from synthgate.report import Score

_FEWER = 2
"""Tries on a secret from fewer columns: of all guesses, and of rarer values. Each attacker adds one of rarer values."""


class Inference:
    """One score ``risk.inference.SECRET`` for each declared secret; a domain without secrets has none."""

    name = "risk.inference"

    def __init__(self, *, released: int = MAX_CANDIDATES) -> None:
        self._released = released

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Attack min(2,000, holdout) targets on each side, the same ones for every secret."""
        domain, reason = comparison.domain, shortage(comparison)
        if reason or not domain.secrets:
            return Findings(scores=tuple(untold(f"{self.name}.{s}", reason) for s in domain.secrets))
        both = targets(comparison, generator=generator)
        rows, remark = candidates(comparison.sample, self._released, generator=generator)
        able = [(a, tuple(s for s in domain.secrets if set(a.auxiliary) - {s})) for a in comparison.attackers]
        found = [(a, guessed_from(both, rows, a, told)) for a, told in able if told]
        secrets = tuple(s for s in domain.secrets if any(s in guessed for _, guessed in found))
        within = {s: tolerance(comparison.sample[s].to_numpy()) for s in secrets if domain[s].kind in NUMERIC}
        few = {s: names for s in secrets if (names := tied(rows, domain, s))}
        fewer = guessed_from_few(both, rows, domain, few)
        scores = []
        for s in domain.secrets:
            if s not in secrets:
                reason = "no auxiliary column is declared that an attacker could start from"
                scores.append(untold(f"{self.name}.{s}", reason))
                continue
            attack = _Attack(
                secret=domain[s], both=both, rows=rows, within=within.get(s), remark=remark,
                drawn=generator.integers(len(rows), size=len(both)),
                tries=(len(found) + _FEWER) * len(secrets),
                rarer=Rarer.of(comparison.sample[s].to_numpy(), domain[s], within.get(s, 0.0)),
            )  # fmt: skip
            tried = [(_knows(s, attacker), guessed[s]) for attacker, guessed in found if s in guessed]
            two = AS_DECLARED_TOO if tried[1:] else ""
            usual = [attack.score(attack.all(places), (knows, two)) for knows, places in tried]
            if s in few:
                tried.append((f"attacker knows the {len(few[s])} columns tied to it most", fewer[s]))
            scores.append(worst([*usual, *attack.besides(tried, usual=len(usual))]))
        details = {
            "known": list(domain.auxiliary),
            "secrets": list(domain.secrets),
            "attacks": {s: tens(len(both)) for s in secrets},
            "right_within": within,
            "tied": {s: list(names) for s, names in few.items()},
            "attacker": "knows every auxiliary column of a person but the secret, and the released rows",
        }
        return Findings(scores=tuple(scores), details=details)


def guessed_from(
    both: Targets, rows: pd.DataFrame, domain: Domain, secrets: tuple[str, ...]
) -> dict[str, tuple[Places, Places]]:
    """For each secret the position in ``rows`` of the released row nearest to each target of the main and of the
    control side in the auxiliary columns without the secret."""
    known = domain.auxiliary
    everyone = pd.concat([both.main, both.control], ignore_index=True)
    encoded = encode(everyone, rows, domain, known)
    found = search(encoded, [known.index(s) if s in known else None for s in secrets])
    sides = np.split(found.places, [len(both.main)], axis=1)
    return {s: (sides[0][i], sides[1][i]) for i, s in enumerate(secrets)}


def guessed_from_few(
    both: Targets, rows: pd.DataFrame, domain: Domain, few: Mapping[str, tuple[str, ...]]
) -> dict[str, tuple[Places, Places]]:
    """The same from the columns that ``few`` names for each secret alone."""
    if not few:
        return {}
    known = domain.auxiliary
    everyone = pd.concat([both.main, both.control], ignore_index=True)
    only = [[known.index(name) for name in names] for names in few.values()]
    found = search(encode(everyone, rows, domain, known), [], only)
    sides = np.split(found.places, [len(both.main)], axis=1)
    return {s: (sides[0][i], sides[1][i]) for i, s in enumerate(few)}


@dataclass(frozen=True, kw_only=True)
class _Attack:
    """One secret's guesses: ``drawn`` are the places of naive ones, ``within`` what a number may be off; ``tries`` is
    how many attacks are tried besides on all secrets."""

    secret: Column
    both: Targets
    rows: pd.DataFrame
    within: float | None
    remark: str
    drawn: Places
    tries: int
    rarer: Rarer

    def all(self, places: tuple[Places, Places]) -> Tally:
        """Right guesses from the rows at ``places``, of the main and of the control side."""
        main, control, naive = (int(np.count_nonzero(hits)) for hits, _ in self._hits(places))
        return Tally(attacks=len(self.both), main=main, control=control, naive=naive)

    def of_rarer(self, places: tuple[Places, Places]) -> Tally:
        """Those of rarer values alone."""
        found = (int(np.count_nonzero(hits & self.rarer.among(guesses))) for hits, guesses in self._hits(places))
        main, control, naive = found
        return Tally(attacks=len(self.both), main=main, control=control, naive=naive)

    def besides(self, tried: Sequence[tuple[str, tuple[Places, Places]]], *, usual: int) -> Iterator[Score]:
        """What is beyond luck of the attacks after the first ``usual`` ones, and of all on rarer values."""
        for i, (knows, places) in enumerate(tried):
            if i >= usual and beyond_luck(every := self.all(places), tries=self.tries):
                yield self.score(every, (knows,))
            if self.rarer.apart and beyond_luck(rare := self.of_rarer(places), tries=self.tries):
                yield self.rarer.among_those(self.score(rare, (knows, RARER)))

    def score(self, tally: Tally, remarks: tuple[str, ...]) -> Score:
        """The excess of right guesses."""
        told = (*remarks, self.remark, _counts_as_right(self.secret, self.within))
        return tally.score(f"{Inference.name}.{self.secret.name}", remarks=told)

    def _hits(self, places: tuple[Places, Places]) -> Iterator[tuple[npt.NDArray[np.bool_], npt.NDArray[Any]]]:
        """Which guesses are right, and the guesses: of the main and the control side, and naive ones of the main."""
        released = self.rows[self.secret.name].to_numpy()
        for at, side in ((places[0], self.both.main), (places[1], self.both.control), (self.drawn, self.both.main)):
            guesses = released[at]
            yield right(guesses, side[self.secret.name].to_numpy(), self.secret, self.within or 0.0), guesses


def _knows(secret: str, domain: Domain) -> str:
    return f"attacker knows {len(set(domain.auxiliary) - {secret})} columns"


def _counts_as_right(secret: Column, within: float | None) -> str:
    """What counts as right where the secret is a number."""
    if within is None:
        return ""
    unit = " seconds" if secret.kind is Kind.DATETIME else ""
    return f"right within {within:.4g}{unit}, 5 % of the released spread" if within else "right where equal"
