"""Controls of the accounted verdict on real people (UCI Adult): strangers pass, copies are refused.

Margins are exact and drawn from seeded tables, so nothing here hangs on noise: at epsilon 1 its scale is 21.5 units,
and what a margin means is how many of these it is away from 0.
"""

from functools import cache

import pandas as pd
import pytest

from dp_models.verdict import verdict_sigma
from evaluation.base import Comparison
from evaluation.margin import Margin, margin
from synthgate.accounted import Z95, beyond
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.policy import COPIES, DEFAULT_POLICY, EPSILON
from tests.evaluation.adult import FILE, domain, people
from tests.evaluation.rand_hie import split

pytestmark = [
    pytest.mark.guarantee("accounted-verdict"),
    pytest.mark.skipif(not FILE.exists(), reason="UCI Adult lies in the shared data; set SYNTHGATE_SHARED_DATA"),
]
ROWS = 12_000
SIZES = PublicSizes(rows=ROWS, units=ROWS)
SIGMA = verdict_sigma(PrivacyBudget.spend(1.0, 5e-8))
SEED = b"a seed of controls"


def rules():
    return tuple(rule for rule in DEFAULT_POLICY.concrete(domain()) if rule.score != EPSILON)


@cache
def tables() -> tuple[pd.DataFrame, ...]:
    return tuple(split(people(), (9_600, 2_400, ROWS), seed=3))


def judged(sample: pd.DataFrame, *scores: str) -> Margin:
    """By the default policy's rules, or those of some scores."""
    train, holdout, _ = tables()
    made = Comparison(domain=domain(), train=train, holdout=holdout, sample=sample)
    chosen = tuple(rule for rule in rules() if not scores or rule.score in scores)
    return margin(made, chosen, SIZES, sigma=SIGMA, seed=SEED)


def with_copies(share: float) -> pd.DataFrame:
    train, _, fresh = tables()
    count = round(share * len(train))
    return pd.concat([train.iloc[:count], fresh.iloc[count:]], ignore_index=True)


def test_a_table_of_this_size_is_admitted_at_epsilon_1() -> None:
    assert list(beyond(rules(), SIZES, SIGMA)) == []


def test_fresh_real_rows_pass(record_property) -> None:
    """Every rule: as far from 0 as noise alone asks, which lets 95 of 100 pass."""
    found = judged(tables()[2])
    assert found.value <= -2 * Z95 * SIGMA + 3
    record_property("reached", f"fresh rows of Adult: {-found.value / SIGMA:.1f} sigma below 0")


@pytest.mark.parametrize(("share", "least"), [(0.05, 1.5), (0.1, 5.0), (1.0, 90.0)])
def test_copied_training_rows_are_refused(share: float, least: float, record_property) -> None:
    """By what the copies are above 0, in sigma, with 1.6 more to pass."""
    found = judged(with_copies(share), COPIES).value / SIGMA
    assert found > least
    record_property("reached", f"{share:.0%} copied rows of Adult: {found:.1f} sigma above 0")


def test_a_copy_of_all_is_refused_by_attacks_too() -> None:
    found = judged(with_copies(1.0), "risk.inference.income", "risk.linkability", "risk.singling_out.univariate")
    assert min(v for name, v in found.terms.items() if name.startswith("risk")) > 3 * SIGMA
