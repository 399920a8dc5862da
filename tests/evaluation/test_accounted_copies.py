"""Copies in an accounted verdict, on tables whose rows repeat: how often its noise refuses people who are in no table.

A chance is that of a discrete Gaussian of the scale of epsilon 1, taken as a Gaussian, so that no draw of it decides.
"""

import coarse_tables
import numpy as np
import pandas as pd
import pytest
from coarse_tables import CATEGORIES
from population import DOMAIN, people
from rand_hie import independent
from scipy.stats import norm

from dp_models.verdict import verdict_sigma
from evaluation.base import Comparison
from evaluation.margin import margin
from evaluation.per_unit import Counts
from synthgate.accounted import Z95
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.policy import COPIES, Rule

pytestmark = pytest.mark.guarantee("accounted-verdict")
RULE = Rule(score=COPIES, at_most=0.01)
SIGMA = verdict_sigma(PrivacyBudget.spend(1.0, 5e-8))
SIZES = pytest.mark.parametrize("rows", [12_000, pytest.param(40_000, marks=pytest.mark.slow)])


def refused(domain: Domain, train: pd.DataFrame, holdout: pd.DataFrame, sample: pd.DataFrame) -> float:
    """The chance that the rule on copies refuses alone."""
    rows = len(train) + len(holdout)
    tables = Comparison(domain=domain, train=train, holdout=holdout, sample=sample)
    found = margin(tables, (RULE,), PublicSizes(rows=rows, units=rows), sigma=SIGMA, seed=b"coarse and accounted")
    return float(norm.sf(-Z95 - found.terms[COPIES] / SIGMA))


def chances(name: str, rows: int, draws: int, *, skewed: bool) -> tuple[float, float]:
    """For fresh people and for independent columns, the mean over draws."""
    sizes, found = CATEGORIES[name], []
    for seed in range(draws):
        train, holdout, fresh = coarse_tables.three(sizes, rows, seed=seed, skewed=skewed)
        samples = fresh, independent(train, rows, seed=seed)
        found.append([refused(coarse_tables.domain(sizes), train, holdout, sample) for sample in samples])
    fresh_ones, shuffled = np.mean(found, axis=0).tolist()
    return fresh_ones, shuffled


@SIZES
@pytest.mark.parametrize("skewed", [False, True], ids=["even", "skewed"])
@pytest.mark.parametrize("name", CATEGORIES)
def test_innocent_coarse_tables_are_seldom_refused(name: str, skewed: bool, rows: int) -> None:
    """About as often as noise alone does where nothing is found, 5 %; fewer draws are less sure."""
    draws = 2 if rows == 12_000 else 10
    found = chances(name, rows, draws, skewed=skewed)
    print(f"{name}, {'skewed' if skewed else 'even'}, {rows:,} rows: fresh {found[0]:.3f}, independent {found[1]:.3f}")
    assert max(found) < (0.15 if draws == 2 else 0.1)


def test_without_what_the_sample_tells_of_chance_innocents_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: rows of a coarse table taken for rare, so that whatever chance brings counts as copied."""
    train, holdout, fresh = coarse_tables.three(CATEGORIES["8 columns, 115,200 cells"], 12_000, seed=0, skewed=False)
    domain = coarse_tables.domain(CATEGORIES["8 columns, 115,200 cells"])
    assert refused(domain, train, holdout, fresh) < 0.1
    honest = Counts.repeats.func
    monkeypatch.setattr(
        Counts, "repeats", property(lambda self: honest(self).__class__(released=12_000, again=0, distinct=0, twice=0))
    )
    assert refused(domain, train, holdout, fresh) > 0.99


@pytest.mark.slow
def test_how_often_a_hundredth_of_unique_rows_is_refused(record_property) -> None:
    """Twenty draws of 12,000 made-up people: copied ones at least as often as noise at its bound lets one convict."""
    rows, found = 12_000, []
    for seed in range(20):
        everyone = people(2 * rows, seed=seed)
        train, holdout, fresh = (
            everyone.iloc[a:b].reset_index(drop=True) for a, b in ((0, 9_600), (9_600, rows), (rows, None))
        )
        copied = pd.concat([train.iloc[:96], fresh.iloc[96:]], ignore_index=True)
        found.append([refused(DOMAIN, train, holdout, sample) for sample in (copied, fresh)])
    one, none = np.mean(found, axis=0).tolist()
    assert one > 0.9
    assert none < 0.06
    record_property("reached", f"a hundredth copied is refused with {one:.3f}, none with {none:.3f}")
