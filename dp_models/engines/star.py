"""`Star`: the target, and every other column given the target alone (a naive Bayes network).

Two-way tables with the target carry most of what a predictor of it needs, and there are few of them, so that at small
budgets they keep more than pairs of columns do. Steps 1 and 2 of `tree`, with the budget of all four. Two passes over
the rows, a batch at a time. Loads no torch.
"""

from dataclasses import dataclass, replace

from dp_models.base import Noise, Plan, Rows
from dp_models.engines.tree import Tree
from dp_models.tables.network import TreeModel
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain

FAINT = 100.0
"""Training rows in units of the noise of an edge's table below which the tables with the target keep more."""
_STEPS = Tree(share_columns=0.35, share_star=0.65, share_select=0.0, grown=False)


@dataclass(frozen=True, slots=True)
class Star:
    """A tree without edges. Without a declared target its columns are independent."""

    @property
    def name(self) -> str:
        """``star``."""
        return "star"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """Noise scales and table sizes. Raises FailedPrecondition as `tree` does."""
        return replace(_STEPS.plan(domain, sizes, budget), engine=self.name)

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> TreeModel:
        """Buy the tables of the plan. Raises DataCorrupted for rows that ingest did not make."""
        return _STEPS.fit(rows, domain, plan, noise=noise)


def clear(tree: Plan) -> float:
    """The public number of training rows in units of the noise of one table of a tree's edges, by the tree's plan."""
    return tree.sizes.train_rows / float(tree.parameters.get("sigma_edges", tree.parameters["sigma_columns"]))


def tree_or_star(domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
    """The tree's plan, or the star's where a target is declared and pairs of other columns would be faint.

    Raises FailedPrecondition as `tree` does."""
    tree = Tree().plan(domain, sizes, budget)
    return Star().plan(domain, sizes, budget) if domain.target is not None and clear(tree) < FAINT else tree
