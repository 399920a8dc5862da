"""`Auto`: picks an engine by public facts, before anything is charged, and says why.

The table is read from the top; the first row whose condition holds decides. It looks at the declared domain, the public
sizes and the budget, never at a row.

| condition | engine | why |
|---|---|---|
| one modelled column | independent | there is no second column to relate it to |
| more codes than a tree's noisy cells allow | independent | pairs of columns do not fit |
| fewer expected rows than noise in an even 2 x 2 table | independent | noise would drown every pair of columns |
| otherwise | tree | noisy tables along a tree carry more at the same budget than gradient training |

``vae`` is never picked: at the budgets and sizes of tables it needs several times the epsilon for the same fidelity.
"""

from dataclasses import dataclass, replace

import pyarrow as pa

from dp_models.base import Model, Noise, Plan, Synthesizer
from dp_models.engines.independent import Independent
from dp_models.engines.tree import Tree
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition


@dataclass(frozen=True, slots=True)
class Auto:
    """Not an engine of its own: its plans name the engine that fits them."""

    @property
    def name(self) -> str:
        """``auto``."""
        return "auto"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """The chosen engine's plan, with the reason in ``because``. Raises FailedPrecondition as that engine does."""
        if len(domain.modelled) == 1:
            return _because(Independent().plan(domain, sizes, budget), "one column has no other to be related to")
        try:
            plan = Tree().plan(domain, sizes, budget)
        except FailedPrecondition:
            return _because(
                Independent().plan(domain, sizes, budget), "the declared columns have too many codes for pairs"
            )
        noise = plan.parameters.get("sigma_edges", plan.parameters["sigma_columns"])
        if sizes.train_rows < 4 * noise:
            return _because(
                Independent().plan(domain, sizes, budget),
                "at this size and budget noise would drown every pair of columns",
            )
        return _because(plan, "noisy tables along a tree keep most at this size and budget")

    def fit(self, rows: pa.Table, domain: Domain, plan: Plan, *, noise: Noise) -> Model:
        """Fit with the engine that the plan names. Raises FailedPrecondition for an engine that is never picked."""
        chosen: dict[str, Synthesizer] = {e.name: e for e in (Independent(), Tree())}
        if plan.engine not in chosen:
            raise FailedPrecondition(f"auto made no plan for the engine {plan.engine!r}")
        return chosen[plan.engine].fit(rows, domain, plan, noise=noise)


def _because(plan: Plan, why: str) -> Plan:
    return replace(plan, because=why)
