"""What the report says of rebalancing is what a derived release then has, for a model whose every number is by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from dp_models.stored.sampling import derive
from evaluation.fairness.rebalanced import rebalanced
from evaluation.tables import normalise
from server.jobs.canonical import conform
from synthgate.derivation import Derivation, Rebalance
from synthgate.domain import Domain
from tests.dp_models.stored_models import SMALL, small

ROWS = 60_000
JOBS = Domain(columns=tuple(replace(c, protected=c.name in ("sex", "job")) for c in SMALL.columns), target="rich")


def _drawn(derivation: Derivation, seed: int) -> pd.DataFrame:
    table, _ = derive(small(), SMALL, derivation, rows=ROWS, generator=np.random.default_rng(seed))
    table = conform(table, SMALL, rows=ROWS)
    return normalise({name: table.column(name) for name in table.column_names}, SMALL)


@pytest.mark.parametrize(("column", "moves"), [("sex", 0), ("job", 20)])
def test_shares_after_rebalancing_are_those_of_the_derived_release(column: str, moves: int) -> None:
    """Six standard deviations of a difference of two shares, of as many rows as the weights leave and of 60,000."""
    entry = next(e for e in rebalanced(_drawn(Derivation(source="r"), 1), JOBS) if e["column"] == column)
    derived = _drawn(Derivation(source="r", rebalance=Rebalance(column=column)), 2)
    moved = 0.0
    for label, before, after in entry["groups"]:
        name, _, value = label.partition("=")
        share = float((derived[name] == value).mean())
        spread = np.sqrt(max(share * (1 - share), 1e-4) * (1 / entry["effective_rows"] + 1 / ROWS))
        assert abs(after - share) < 6 * spread, label
        moved = max(moved, abs(after - before) / spread)
    assert moved > moves
    assert {label.partition("=")[0] for label, *_ in entry["groups"]} == {"sex", "job", "rich"}
