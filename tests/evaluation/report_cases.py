"""A domain and tables whose names would do harm if anything let them, and documents made of them."""

import numpy as np
import pandas as pd

from evaluation.base import Comparison
from evaluation.report import Document, House, compose
from evaluation.run import compare
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind
from synthgate.events import Gaussian
from synthgate.policy import EPSILON, EXACT_POLICY, MARGIN, Finding, Outcome, Policy, Rule, Verdict
from synthgate.report import Report
from synthgate.statement import PrivacyStatement, Scope

EVIL = "<img src=x onerror=alert(1)>"
TURN = "\u202e"
"""Right-to-left override: what follows reads backwards, wherever it is shown."""

TURNED = f"b{TURN}desufer\u2066$x$\u200b"
DOMAIN = Domain(
    columns=(
        Column(name=EVIL, kind=Kind.CATEGORICAL, categories=("<script>", TURNED), secret=True),
        Column(name="price in $ \\frac", kind=Kind.FLOAT, low=0.0, high=1.0),
        Column(name="größe & </style>", kind=Kind.INTEGER, low=0, high=5),
        Column(name="שלום עולם", kind=Kind.INTEGER, low=0, high=3),
    ),
    target=EVIL,
)
STATEMENT = PrivacyStatement(
    scope=Scope.GENERATOR,
    end_to_end=False,
    unit="a person",
    sizes=PublicSizes(rows=500, units=500),
    accountant="PLD",
    event=Gaussian(4.809),
    epsilon=1.0,
    delta=5e-8,
    epsilon_substitute_one=2.0,
    not_covered=("The verdict <b>compares</b> exactly.",),
    noise=(),
    weakened_by=("Floats.",),
)


def statement(**changes: object) -> PrivacyStatement:
    return PrivacyStatement(**({name: getattr(STATEMENT, name) for name in STATEMENT.__slots__} | changes))  # type: ignore[arg-type]


def rows(size: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            EVIL: draw.choice(np.array(["<script>", TURNED], dtype=object), size),
            "price in $ \\frac": draw.random(size),
            "größe & </style>": draw.integers(0, 6, size).astype(float),
            "שלום עולם": draw.integers(0, 4, size).astype(float),
        }
    )


def evaluated(train: int = 300, holdout: int = 100, sample: int = 300) -> Report:
    comparison = Comparison(domain=DOMAIN, train=rows(train, 1), holdout=rows(holdout, 2), sample=rows(sample, 3))
    return compare(comparison, seed=bytes(16), progress=lambda _: None)


def verdict(outcomes: dict[str, Outcome] | None = None, policy: Policy = EXACT_POLICY) -> Verdict:
    """Every rule passed but for ``outcomes``, by score."""
    found = (outcomes or {}).get
    rules = policy.concrete(DOMAIN)
    return Verdict(findings=tuple(Finding(rule=r, outcome=found(r.score, Outcome.PASSED)) for r in rules))


def document(
    report: Report,
    found: Verdict | None = None,
    *,
    claim: PrivacyStatement = STATEMENT,
    policy: Policy = EXACT_POLICY,
    domain: Domain = DOMAIN,
    house: House = House(audited=True, tick_s=15.0),  # noqa: B008 - a frozen value
) -> Document:
    return compose(
        report,
        title=f"Release {EVIL} {TURN}",
        facts={"dataset": EVIL, "engine": "tree"},
        verdict=verdict(policy=policy) if found is None else found,
        statement=claim,
        domain=domain,
        policy=policy,
        house=house,
    )


def decided(outcome: Outcome = Outcome.PASSED) -> Verdict:
    """An accounted verdict: the bound on epsilon holds, and the margin came out so."""
    return Verdict(
        findings=(
            Finding(rule=Rule(score=EPSILON, at_most=3.0), outcome=Outcome.PASSED),
            Finding(rule=Rule(score=MARGIN, at_most=0.0), outcome=outcome),
        )
    )
