"""Membership attacks: theorems, figures by hand, the reference apart from the tested, and what epsilon allows."""

import math

import numpy as np
import pandas as pd
import pytest
from population import DOMAIN, comparison, people

from evaluation.base import Comparison, Findings
from evaluation.risk import membership
from evaluation.risk.attack import Targets
from evaluation.risk.ceiling import auc_ceiling, ceiling
from evaluation.risk.membership import FALSE_ALARMS, Membership, densities, split
from evaluation.risk.ranking import auc, auc_ends, hits
from synthgate.domain import Column, Domain, Kind
from synthgate.policy import MEMBERSHIP_THRESHOLD

ATTACKS = ("domias", "nearest")


def _measured(tables: Comparison, *, seed: int = 1) -> Findings:
    return Membership().measure(tables, generator=np.random.default_rng(seed))


def _area(found: Findings, attack: str, kind: str = "") -> float:
    return next(s.value for s in found.scores if s.name == f"risk.membership.{attack}{kind}")


def _thirds(size: int = 600, *, seed: int = 1) -> list[pd.DataFrame]:
    rows = people(3 * size, seed=seed)
    return [rows.iloc[i * size : (i + 1) * size].reset_index(drop=True) for i in range(3)]


def test_the_training_table_itself_tells_its_members() -> None:
    train, holdout, _ = _thirds()
    found = _measured(comparison(train, holdout, train))
    assert _area(found, "nearest") > 0.49
    assert _area(found, "nearest", "_tpr") > 0.99
    assert _area(found, "nearest", "_outliers") > 0.49
    assert _area(found, "domias") > 0.2
    assert _area(found, "domias", "_outliers") > 0.4


def test_of_one_table_on_both_sides_nobody_is_told() -> None:
    """Where the control is the training table there is no excess. Half of the members are then in the reference too, as
    in no real split, so DOMIAS even takes them for others."""
    rows, _, sample = _thirds()
    for table in (rows, sample):
        for score in _measured(comparison(rows, rows, table)).scores:
            limit = FALSE_ALARMS if score.name.endswith("_tpr") else 0.0
            assert not score.conclusive or score.low <= limit, score


def test_strangers_in_the_sample_tell_nothing() -> None:
    """Twenty draws of 600 + 600: the intervals' upper ends, one-sided 95 %, hold in 17 or more with a chance above
    98 %; the draws are fixed."""
    missed = dict.fromkeys(ATTACKS, 0)
    for seed in range(20):
        found = _measured(comparison(*_thirds(seed=seed)), seed=seed)
        for attack in ATTACKS:
            missed[attack] += next(s for s in found.scores if s.name.endswith(attack)).low > 0
    assert max(missed.values()) <= 3


def test_the_reference_holds_nobody_who_is_attacked() -> None:
    train, holdout, sample = _thirds(200)
    both, reference = split(comparison(train, holdout, sample), generator=np.random.default_rng(3))
    key = holdout["income"].astype(str) + holdout["wealth"].astype(str) + holdout["visits"].astype(str)
    assert key.is_unique

    def keys(frame: pd.DataFrame) -> set[str]:
        return set(frame["income"].astype(str) + frame["wealth"].astype(str) + frame["visits"].astype(str))

    assert not keys(both.control) & keys(reference)
    assert keys(both.control) | keys(reference) == set(key)
    assert not keys(both.main) & set(key)
    assert len(both.main) == len(both.control) == len(reference) == 100


def test_a_reference_of_the_tested_rows_would_hide_the_control(monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: the tested control rows are the reference. They are then dense there, and fresh rows look like
    members by nothing but the fault; the innocence test above convicts it."""

    def planted(tables: Comparison, *, generator: np.random.Generator) -> tuple[Targets, pd.DataFrame]:
        both, _ = split(tables, generator=generator)
        return both, both.control

    monkeypatch.setattr(membership, "split", planted)
    found = _measured(comparison(*_thirds()))
    assert next(s for s in found.scores if s.name.endswith("domias")).low > 0.1


def test_a_unit_is_attacked_once_by_one_row_of_its_own() -> None:
    """Persons: three rows each; of 60 held-out persons 30 are attacked."""
    train, holdout, sample = _thirds(360)
    train_units, holdout_units = np.repeat(np.arange(120), 3), np.repeat(np.arange(120), 3)
    tables = Comparison(
        domain=DOMAIN,
        train=train,
        holdout=holdout,
        sample=sample,
        train_units=train_units,
        holdout_units=holdout_units,
    )
    found = _measured(tables)
    assert found.details["attacks"] == 60
    assert found.details["reference_units"] == 60
    both, reference = split(tables, generator=np.random.default_rng(3))
    owners = dict(zip(holdout["income"] + 1e-6 * holdout["wealth"], holdout_units, strict=True))
    attacked = [owners[v] for v in both.control["income"] + 1e-6 * both.control["wealth"]]
    rest = [owners[v] for v in reference["income"] + 1e-6 * reference["wealth"]]
    assert len(set(attacked)) == 60
    assert sorted(attacked + rest) == list(range(120)), "a person is attacked or serves as reference, never both"


def test_small_holdouts_and_few_outliers_are_told_as_inconclusive() -> None:
    train, holdout, sample = _thirds(100)
    few = _measured(comparison(train, holdout.iloc[:59], sample))
    assert len(few.scores) == 6
    assert not any(s.conclusive for s in few.scores)
    some = _measured(comparison(train, holdout, sample))
    assert [s.conclusive for s in some.scores] == [True, True, False] * 2


def test_a_density_by_hand() -> None:
    """Two candidates 0.1 and 0.3 of a range away: (e^-1 + e^-3) / 2 with a kernel of a tenth of a range."""
    domain = Domain(columns=(Column(name="a", kind=Kind.FLOAT, low=0.0, high=10.0),))
    row, near = pd.DataFrame({"a": [5.0]}), pd.DataFrame({"a": [6.0, 2.0]})
    seen = Comparison(domain=domain, train=row, holdout=row, sample=near)
    log, least = densities(row, near, seen)
    assert log[0] == pytest.approx(math.log((math.exp(-1) + math.exp(-3)) / 2))
    assert least[0] == pytest.approx(0.1)


def test_areas_by_hand() -> None:
    members, others = np.array([1.0, 3.0, 4.0]), np.array([0.0, 1.0, 2.0])
    assert auc(members, others) == pytest.approx((1.5 + 3 + 3) / 9)
    assert auc(others, others) == 0.5
    found = hits(members, others, 0.34)
    assert (found.found, found.alarms) == (2, 1)
    assert hits(members, others, 0.0).found == 2
    assert hits(np.ones(5), np.ones(5), 0.01).found == 0, "equal figures tell nobody"


def test_ends_of_an_area_are_those_at_which_the_observed_one_is_just_plausible() -> None:
    """By hand at 0.5 with 100 a side: variance 0.25 (1 + 2/3 of 99) / 10^4, so 0.041; both ends are symmetric."""
    low, high = auc_ends(0.5, 100, 100)
    assert high - 0.5 == pytest.approx(0.5 - low)
    assert pytest.approx(high, abs=0.003) == 0.5 + 1.645 * (0.25 * 67 / 1e4) ** 0.5
    assert auc_ends(1.0, 100, 100)[1] == 1.0
    assert 0.95 < auc_ends(1.0, 100, 100)[0] < 0.99
    assert auc_ends(0.0, 100, 100)[0] == 0.0


def test_the_upper_end_of_an_area_covers_as_it_says() -> None:
    """4,000 draws of normal figures a setting: 95 % within three standard deviations of the count, or more."""
    draw = np.random.default_rng(5)
    for shift, size in ((0.0, 60), (0.5, 60), (1.5, 40)):
        truth = 0.5 * (1 + math.erf(shift / 2))
        below = 0
        for _ in range(1_000):
            area = auc(draw.normal(shift, 1, size), draw.normal(0, 1, size))
            below += auc_ends(area, size, size)[1] >= truth
        assert below >= 950 - 3 * (1_000 * 0.95 * 0.05) ** 0.5


def test_ceilings_by_hand() -> None:
    assert ceiling(0.0, 0.0, 0.01) == pytest.approx(0.01)
    assert ceiling(1.0, 0.0, 0.01) == pytest.approx(math.e / 100)
    assert ceiling(1.0, 1e-6, 0.01) == pytest.approx(math.e / 100 + 1e-6)
    assert ceiling(10.0, 0.0, 0.01) == pytest.approx(1 - math.exp(-10) * 0.99)
    assert ceiling(math.inf, 0.0, 0.01) == 1.0
    assert ceiling(1.0, 0.0, 0.9) == pytest.approx(1 - 0.1 / math.e)
    assert auc_ceiling(0.0, 0.0) == pytest.approx(0.5)
    assert auc_ceiling(math.inf, 0.0) == 1.0
    assert auc_ceiling(1.0, 0.0) == pytest.approx(0.5 + 0.5 * (math.e - 1) / (math.e + 1))


@pytest.mark.parametrize(("epsilon", "delta"), [(0.1, 0.0), (1.0, 1e-3), (3.0, 0.1), (8.0, 0.0)])
def test_the_ceiling_of_the_area_is_the_integral_of_that_of_the_rates(epsilon: float, delta: float) -> None:
    rates = np.linspace(0, 1, 200_001)
    curve = np.array([ceiling(epsilon, delta, f) for f in rates])
    assert auc_ceiling(epsilon, delta) == pytest.approx(np.trapz(curve, rates), abs=1e-5)


def test_randomised_response_reaches_the_ceiling_and_stays_below_it() -> None:
    """A truth told with probability e^eps / (1 + e^eps): at the false-positive rate of a lie, exactly the ceiling."""
    for epsilon in (0.5, 1.0, 2.0):
        lie = 1 / (1 + math.exp(epsilon))
        assert 1 - lie == pytest.approx(ceiling(epsilon, 0.0, lie))


@pytest.mark.parametrize("faulty", [(-1.0, 0.0, 0.1), (math.nan, 0.0, 0.1), (1.0, 2.0, 0.1), (1.0, 0.0, -0.1)])
def test_a_faulty_epsilon_or_rate_has_no_ceiling(faulty: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match=r"epsilon|delta|fpr"):
        ceiling(*faulty)


def _smallest(draws: int) -> list[float]:
    """The larger upper end of both areas, for fresh people and the smallest table that the default policy takes: 672
    trained units and 168 held out, of which 84 are attacked."""
    ends = []
    for seed in range(draws):
        rows = people(672 + 168 + 840, seed=1_000 + seed)
        parts = (rows.iloc[:672], rows.iloc[672:840], rows.iloc[840:])
        found = _measured(comparison(*(part.reset_index(drop=True) for part in parts)), seed=seed)
        ends.append(max(s.high for s in found.scores if s.name.endswith(ATTACKS)))
    return ends


@pytest.mark.parametrize("draws", [10, pytest.param(40, marks=pytest.mark.slow)])
def test_luck_on_the_smallest_tables_stays_below_the_default_bound(draws: int, record_property) -> None:
    ends = _smallest(draws)
    assert max(ends) < MEMBERSHIP_THRESHOLD
    assert np.mean(ends) + 3 * np.std(ends) < MEMBERSHIP_THRESHOLD
    record_property("reached", f"{draws} draws: {max(ends):.3f} at most, {np.mean(ends):.3f} +- {np.std(ends):.3f}")
