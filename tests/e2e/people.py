"""A population that exists in tests alone: five correlated columns, as many people as one asks for, never twice."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from synthgate.dataset import PrivacyUnit, PublicSizes
from synthgate.domain import Column, Domain, Kind, Role
from synthgate.policy import COPIES, EXACT_POLICY, Policy, Rule, VerdictKind
from synthgate.schema import Declaration

REGIONS = ("north", "east", "south", "west")
DOMAIN = Domain(
    columns=(
        Column(name="age", kind=Kind.INTEGER, low=18, high=90),
        Column(name="region", kind=Kind.CATEGORICAL, categories=REGIONS),
        Column(name="income", kind=Kind.FLOAT, low=0.0, high=200.0),
        Column(name="smoker", kind=Kind.BOOLEAN),
        Column(name="visits", kind=Kind.INTEGER, low=0, high=40, role=Role.SENSITIVE, secret=True),
    ),
    target="visits",
)
LENIENT = Policy(
    name="lenient",
    epsilon_max=3.0,
    certified_only=True,
    verdicts_max=100,
    approvals=0,
    rules=(Rule(score=COPIES, at_most=0.5),),
    verdict=VerdictKind.EXACT,
)
"""For what does not test the gate: passes on any honest table of any size."""

STRICT = replace(EXACT_POLICY, name="strict", verdicts_max=100)
"""The default's thresholds, for more releases than the default allows. A table of 5,000 of these people has a holdout
of 1,000, where the excess of fresh rows stays below 0.09 by more than four standard deviations."""


def people(rows: int, *, seed: int) -> pa.Table:
    """``rows`` people of the population in the canonical schema; incomes have six decimals, so nobody occurs twice."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 91, rows)
    region = rng.choice(4, rows, p=[0.4, 0.3, 0.2, 0.1])
    income = np.clip(rng.gamma(4.0, 8.0, rows) + age * 0.4 + region * 5.0, 0.0, 200.0)
    smoker = rng.random(rows) < 0.15 + 0.1 * region
    visits = np.clip(rng.poisson(1.0 + age / 20.0 + 3.0 * smoker), 0, 40)
    return pa.table(
        {
            "age": pa.array(age, pa.int64()),
            "region": pa.array([REGIONS[i] for i in region], pa.string()),
            "income": pa.array(income.round(6), pa.float64()),
            "smoker": pa.array(smoker, pa.bool_()),
            "visits": pa.array(visits, pa.int64()),
        }
    )


def declaration(rows: int) -> Declaration:
    """What the steward declares of a table of that size: one row a person."""
    return Declaration(domain=DOMAIN, unit=PrivacyUnit(), sizes=PublicSizes(rows=rows, units=rows))
