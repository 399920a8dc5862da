"""Linkability: can two parties that each know half of a person's columns tell, by the release, that it is one person?

anonymeter's attack (Giomi et al., PoPETs 2023, section 4.2): a target is linked when both halves have the same nearest
released row. The halves are declared (``Domain.halves``); where the policy adds to what is known, parties with and
without it try, and the worse counts. Where they hold a part of what is known, two that hold all of it try besides
(`evaluation.risk.besides`).
"""

import numpy as np
import pandas as pd
from anonymeter.evaluators.linkability_evaluator import LinkabilityIndexes

from evaluation.base import Comparison, Findings
from evaluation.held_back import tens
from evaluation.risk.attack import AS_DECLARED_TOO, MAX_CANDIDATES, Tally, candidates, shortage, targets, untold, worst
from evaluation.risk.besides import beyond_luck
from evaluation.risk.neighbours import nearest
from synthgate.report import Score

Halves = tuple[tuple[str, ...], tuple[str, ...]]


class Linkability:
    """The score ``risk.linkability``: excess of linked trained units over linked control units."""

    name = "risk.linkability"

    def __init__(self, *, released: int = MAX_CANDIDATES) -> None:
        self._released = released

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Attack min(2,000, holdout) targets on each side; one nearest released row for each half."""
        parties = tuple(attacker.halves for attacker in comparison.attackers if all(attacker.halves))
        reason = shortage(comparison) or ("" if parties else "there are not two halves of known columns to join")
        if reason:
            return Findings(scores=(untold(self.name, reason),))
        domain = comparison.domain
        sample, remark = candidates(comparison.sample, self._released, generator=generator)
        both = targets(comparison, generator=generator)

        def links(rows: pd.DataFrame, halves: Halves) -> int:
            found = [nearest(rows, sample, domain, half)[:, np.newaxis] for half in halves]
            return int(LinkabilityIndexes(*found).count_links(n_neighbors=1))

        guesses = generator.integers(len(sample), size=(2, len(both)))
        naive = int(np.count_nonzero(guesses[0] == guesses[1]))

        def tried(halves: Halves) -> Tally:
            return Tally(
                attacks=len(both), main=links(both.main, halves), control=links(both.control, halves), naive=naive
            )

        def told(tally: Tally, halves: Halves, *remarks: str) -> Score:
            known = f"two attackers know {' and '.join(str(len(half)) for half in halves)} columns"
            return tally.score(self.name, remarks=(known, *remarks, remark))

        scores = [told(tried(halves), halves, AS_DECLARED_TOO if parties[1:] else "") for halves in parties]
        if (dealt := domain.dealt) not in parties and all(dealt) and beyond_luck(tally := tried(dealt), tries=2):
            scores.append(told(tally, dealt, "all that is known, dealt to both"))
        details = {
            "halves": [list(half) for half in parties[-1]],
            "attacks": tens(len(both)),
            "attacker": "two parties that each know one half of a person's columns, and the released rows",
        }
        return Findings(scores=(worst(scores),), details=details)
