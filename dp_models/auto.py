"""`Auto`: picks an engine by public facts, before anything is charged, and says why.

The table is read from the top; the first row whose condition holds decides. It looks at the declared domain, the public
sizes and the budget, never at a row. "Clear" is the public number of training rows in units of the noise of one table
that the engine would buy.

| condition | engine | why |
|---|---|---|
| one column; a datetime with weekdays is several | independent | there is no second to relate it to |
| more codes than a tree's noisy cells allow | independent | pairs of columns do not fit |
| a tree's edges less than 4 clear | independent | noise would drown every pair of columns |
| a declared target, a tree's edges less than 100 clear | star | the tables with the target stand out, others do not |
| a tree's edges 500 clear and more, aim's rounds within the time limit | aim | rounds of choice and table keep most |
| otherwise | tree | noisy tables along a tree keep most at this size, budget and time limit |

The seconds of aim's rounds are reckoned from the declared columns: one, and one more for every 5,000 pairs of columns
that they score (measured on five tables of 12 to 48 columns on one core of 2026). What every engine does alike is not
in them: passes over the rows, and the search for single values, up to a second for each of its tables.

``vae`` and ``gan`` are never picked: at small budgets the share that their gradients take is missed in the tables, and
what they add at larger ones was measured on too few tables.
"""

import math
from dataclasses import dataclass, replace
from math import comb

from dp_models.base import Model, Noise, Plan, Rows, Synthesizer
from dp_models.encoding.binning import Binning
from dp_models.engines.aim import Aim
from dp_models.engines.independent import Independent
from dp_models.engines.star import FAINT, Star, clear
from dp_models.engines.tree import Tree
from dp_models.settings import Range, check
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition

_DROWNED, _CLEAR = 4.0, 500.0
_PAIRS_A_SECOND = 5_000


@dataclass(frozen=True, slots=True)
class Auto:
    """Not an engine of its own: its plans name the engine that fits them. ``time_limit_s`` is how long aim's rounds
    may take by the reckoning above."""

    time_limit_s: float = 5.0

    def __post_init__(self) -> None:
        if self.time_limit_s != math.inf:
            check(self, time_limit_s=Range())

    @property
    def name(self) -> str:
        """``auto``."""
        return "auto"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """The chosen engine's plan, with the reason in ``because``. Raises FailedPrecondition as that engine does."""
        if Binning(domain, 2).width == 1:
            return _because(Independent().plan(domain, sizes, budget), "one column has no other to be related to")
        try:
            plan = Tree().plan(domain, sizes, budget)
        except FailedPrecondition:
            return _because(
                Independent().plan(domain, sizes, budget), "the declared columns have too many codes for pairs"
            )
        stands_out = clear(plan)
        if stands_out < _DROWNED:
            return _because(
                Independent().plan(domain, sizes, budget),
                "at this size and budget noise would drown every pair of columns",
            )
        if stands_out < FAINT and domain.target is not None:
            return _because(
                Star().plan(domain, sizes, budget),
                "at this size and budget noise leaves the tables with the target, and would drown pairs of others",
            )
        if stands_out >= _CLEAR and (seconds := self._seconds_of_aim(domain)) <= self.time_limit_s:
            try:
                return _because(
                    Aim().plan(domain, sizes, budget),
                    "at this size and budget rounds of choosing and buying tables keep most; they take about"
                    f" {seconds:.0f} s",
                )
            except FailedPrecondition:
                return _because(plan, "noisy tables along a tree keep most where aim's do not fit")
        return _because(plan, "noisy tables along a tree keep most at this size, budget and time limit")

    def _seconds_of_aim(self, domain: Domain) -> float:
        others = Binning(domain, 2).width - (domain.target is not None)
        return 1 + Aim().rounds(domain) * comb(others, 2) / _PAIRS_A_SECOND

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> Model:
        """Fit with the engine that the plan names. Raises FailedPrecondition for an engine that is never picked."""
        chosen: dict[str, Synthesizer] = {e.name: e for e in (Aim(), Independent(), Star(), Tree())}
        if plan.engine not in chosen:
            raise FailedPrecondition(f"auto made no plan for the engine {plan.engine!r}")
        return chosen[plan.engine].fit(rows, domain, plan, noise=noise)


def _because(plan: Plan, why: str) -> Plan:
    return replace(plan, because=why)
