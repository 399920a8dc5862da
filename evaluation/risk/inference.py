"""Inference: can someone who knows a person's auxiliary columns guess a declared secret from the release?

anonymeter's attack (Giomi et al., PoPETs 2023, section 4.3): the guess is the secret of the nearest released row. A
categorical or boolean guess must be equal. A numeric one is anonymeter's regression: right within 5 % of the guess,
measured from the column's declared lower bound, so that a negative guess (which anonymeter would always count as
right) cannot occur. A guessed null is right where the secret is null.

The distances to the released rows are computed once for all secrets (`evaluation.risk.neighbours.search`).
"""

import numpy as np
import pandas as pd
from anonymeter.evaluators.inference_evaluator import evaluate_inference_guesses

from evaluation.base import Comparison, Findings
from evaluation.risk.attack import MAX_CANDIDATES, Tally, Targets, candidates, shortage, targets, untold
from evaluation.risk.neighbours import Places, encode, search
from synthgate.domain import NUMERIC, Domain
from synthgate.report import Score


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
        blind = {s for s in domain.secrets if not set(domain.auxiliary) - {s}}
        secrets = tuple(s for s in domain.secrets if s not in blind)
        found = guessed_from(both, rows, domain, secrets) if secrets else {}
        scores = [
            untold(f"{self.name}.{s}", "no auxiliary column is declared that an attacker could start from")
            if s in blind
            else _score(s, domain, both, rows, found[s], remark, generator=generator)
            for s in domain.secrets
        ]
        details = {
            "known": list(domain.auxiliary),
            "secrets": list(domain.secrets),
            "attacks": {s: len(both) for s in secrets},
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


def right(guesses: pd.Series, secrets: pd.Series, domain: Domain) -> int:
    """How many guesses of one secret are right; numbers are measured from the declared lower bound."""
    column = domain[str(secrets.name)]
    numeric = column.kind in NUMERIC
    low = column.number(column.low) if numeric else 0.0

    cells = [side.to_numpy() - low if numeric else side.to_numpy() for side in (guesses, secrets)]
    found = evaluate_inference_guesses(guesses=pd.Series(cells[0]), secrets=pd.Series(cells[1]), regression=numeric)
    return int(np.count_nonzero(found))


def _score(
    secret: str,
    domain: Domain,
    both: Targets,
    rows: pd.DataFrame,
    places: tuple[Places, Places],
    remark: str,
    *,
    generator: np.random.Generator,
) -> Score:
    drawn = generator.integers(len(rows), size=len(both))
    main, control, naive = (
        right(rows[secret].iloc[guessed], side[secret], domain)
        for guessed, side in ((places[0], both.main), (places[1], both.control), (drawn, both.main))
    )
    tally = Tally(attacks=len(both), main=main, control=control, naive=naive)
    known = len(domain.auxiliary) - (secret in domain.auxiliary)
    return tally.score(f"{Inference.name}.{secret}", remarks=(f"attacker knows {known} columns", remark))
