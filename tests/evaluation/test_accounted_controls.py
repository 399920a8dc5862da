"""Controls of the accounted verdict on real people (UCI Adult): strangers pass; what copies, jitters, copies outliers
alone or leaks one secret is refused.

Margins are exact and drawn from seeded tables, so nothing here hangs on noise: at epsilon 1 its scale is 21.5 units,
and what a margin means is how many of these it is away from 0.
"""

from dataclasses import replace
from functools import cache

import pandas as pd
import pytest

from dp_models.verdict import verdict_sigma
from evaluation.base import Comparison
from evaluation.margin import Margin, margin
from evaluation.per_unit import Counts
from synthgate.accounted import Z95, beyond
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.policy import COPIES, DEFAULT_POLICY, EPSILON
from tests.evaluation.adult import FILE, domain, people
from tests.evaluation.population import jittered, leaking, outlying
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


@pytest.mark.parametrize(("share", "least"), [(0.01, 0.0), (0.05, 15.0), (0.1, 35.0), (1.0, 400.0)])
def test_copied_training_rows_are_refused(share: float, least: float, record_property) -> None:
    """By what the copies are above 0, in sigma, with 1.6 more to pass: at 0 the noise refuses 95 of 100."""
    found = judged(with_copies(share), COPIES).value / SIGMA
    assert found > least
    record_property("reached", f"{share:.0%} copied rows of Adult: {found:.1f} sigma above 0")


def test_a_hundredth_is_told_by_the_rows_of_all_units_and_not_by_those_looked_up(monkeypatch) -> None:
    """Why all units are looked up: of the 2,253 a side that the holdout allows, a hundredth is lost in the noise."""
    monkeypatch.setattr(Counts, "recognised", lambda _: (0, 0))
    assert judged(with_copies(0.01), COPIES).value < -2 * SIGMA
    assert judged(with_copies(0.1), COPIES).value > 5 * SIGMA


@pytest.mark.parametrize(("share", "times", "least"), [(0.03, 5, 1.0), (0.05, 3, 5.0), (0.05, 2, 0.0)])
def test_copies_that_are_released_several_times_each_are_refused(share: float, times: int, least: float) -> None:
    train, _, fresh = tables()
    count = round(share * len(train))
    sample = pd.concat([*[train.iloc[:count]] * times, fresh.iloc[count * times :]], ignore_index=True)
    assert judged(sample, COPIES).value / SIGMA > least


def test_rows_taken_for_as_common_as_they_are_repeated_hide_copies(monkeypatch) -> None:
    """The planted fault: four of each repeated row are put down to chance, whoever has them."""
    train, _, fresh = tables()
    sample = pd.concat([*[train.iloc[:288]] * 5, fresh.iloc[288 * 5 :]], ignore_index=True)
    honest = Counts.repeats.func
    monkeypatch.setattr(Counts, "repeats", property(lambda self: replace(r := honest(self), twice=r.distinct)))
    assert judged(sample, COPIES).value / SIGMA < -Z95


def test_copied_outliers_are_refused(record_property) -> None:
    rare = outlying(tables()[0])
    sample = pd.concat([rare, tables()[2].iloc[len(rare) :]], ignore_index=True)
    found = judged(sample, COPIES).value / SIGMA
    assert found > 15
    record_property("reached", f"{len(rare)} copied outliers of Adult: {found:.1f} sigma above 0")


def test_a_copy_of_all_is_refused_by_attacks_too() -> None:
    found = judged(with_copies(1.0), "risk.inference.income", "risk.linkability", "risk.singling_out.univariate")
    assert min(v for name, v in found.terms.items() if name.startswith("risk")) > 3 * SIGMA


def test_rows_jittered_by_a_bin_are_refused_by_attacks_alone(record_property) -> None:
    sample = jittered(tables()[0], seed=0, domain=domain())
    found = judged(sample, COPIES, "risk.linkability", "risk.inference.occupation", "risk.inference.income")
    sigmas = {name: value / SIGMA for name, value in found.terms.items()}
    assert sigmas[COPIES] < -2
    assert sigmas["risk.inference.occupation"] > 30
    assert sigmas["risk.linkability"] > 3
    record_property("reached", f"jittered rows of Adult: {found.value / SIGMA:.1f} sigma above 0")


@pytest.mark.parametrize("secret", ["hours-per-week", "occupation"])
def test_one_leaked_secret_is_refused_and_is_the_only_one(secret: str, record_property) -> None:
    names = [f"risk.inference.{name}" for name in domain().secrets]
    found = judged(leaking(tables()[0], secret, seed=0, domain=domain()), COPIES, *names).terms
    assert found[f"risk.inference.{secret}"] > 10 * SIGMA
    assert all(found[name] < 0 for name in (COPIES, *names) if not name.endswith(secret))
    record_property("reached", f"leaked {secret}: {found[f'risk.inference.{secret}'] / SIGMA:.1f} sigma above 0")
