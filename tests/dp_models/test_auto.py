"""`auto` decides by public facts, by a table, and says why."""

from pathlib import Path

import pytest

from dp_models.auto import _CLEAR, _DROWNED, Auto
from dp_models.engines.star import FAINT
from synthgate.budget import PrivacyBudget
from synthgate.domain import Column, Domain, Kind
from synthgate.errors import FailedPrecondition
from tests.dp_models.private_tables import DOMAIN, people, sizes_of
from tests.fakes import ZeroNoise

ONE = Domain(columns=(DOMAIN.columns[1],))
WIDE = Domain(
    columns=tuple(
        Column(name=f"c{i}", kind=Kind.CATEGORICAL, categories=tuple(map(str, range(1_000)))) for i in range(101)
    )
)

MANY = Domain(
    columns=tuple(Column(name=f"c{i}", kind=Kind.CATEGORICAL, categories=("a", "b")) for i in range(40)), target="c0"
)


@pytest.mark.parametrize(
    ("domain", "rows", "epsilon", "engine", "because"),
    [
        (DOMAIN, 4_000, 1.0, "tree", "along a tree"),
        (DOMAIN, 40_000, 1.0, "aim", "rounds of choosing"),
        (MANY, 40_000, 1.0, "tree", "time limit"),
        (DOMAIN, 4_000, 0.1, "star", "with the target"),
        (DOMAIN, 4_000, 0.001, "independent", "noise would drown"),
        (DOMAIN, 30, 1.0, "independent", "noise would drown"),
        (ONE, 4_000, 1.0, "independent", "one column"),
        (WIDE, 4_000, 1.0, "independent", "too many codes"),
    ],
    ids=[
        "usual",
        "many rows",
        "many rows and columns",
        "some budget",
        "little budget",
        "few rows",
        "one column",
        "many codes",
    ],
)
def test_the_table(domain: Domain, rows: int, epsilon: float, engine: str, because: str) -> None:
    plan = Auto().plan(domain, sizes_of(rows), PrivacyBudget.spend(epsilon, 1e-6))
    assert plan.engine == engine
    assert because in plan.because


def test_the_documented_table_has_the_numbers_of_the_code() -> None:
    told = (Path(__file__).parents[2] / "docs" / "engines.md").read_text()
    for line in (
        f"| less than {_DROWNED:g} clear | `independent` |",
        f"| a declared target, less than {FAINT:g} clear | `star` |",
        f"| {_CLEAR:g} clear and more, and aim's rounds within {Auto().time_limit_s:g} s as reckoned",
    ):
        assert line in told


def test_a_plan_of_another_engine_is_not_fitted() -> None:
    from dp_models.engines.vae import Vae

    plan = Vae().plan(DOMAIN, sizes_of(100), PrivacyBudget.spend(1.0, 1e-6))
    with pytest.raises(FailedPrecondition, match="vae"):
        Auto().fit(people(100), DOMAIN, plan, noise=ZeroNoise())


def test_more_time_takes_more_columns_to_aim() -> None:
    budget = PrivacyBudget.spend(1.0, 1e-6)
    assert [Auto(time_limit_s=s).plan(MANY, sizes_of(40_000), budget).engine for s in (5.0, 30.0)] == ["tree", "aim"]
