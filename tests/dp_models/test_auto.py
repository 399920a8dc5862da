"""`auto` decides by public facts, by a table, and says why."""

import pytest

from dp_models.auto import Auto
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


@pytest.mark.parametrize(
    ("domain", "rows", "epsilon", "engine", "because"),
    [
        (DOMAIN, 4_000, 1.0, "tree", "along a tree"),
        (DOMAIN, 4_000, 0.1, "star", "with the target"),
        (DOMAIN, 4_000, 0.001, "independent", "noise would drown"),
        (DOMAIN, 30, 1.0, "independent", "noise would drown"),
        (ONE, 4_000, 1.0, "independent", "one column"),
        (WIDE, 4_000, 1.0, "independent", "too many codes"),
    ],
    ids=["usual", "some budget", "little budget", "few rows", "one column", "many codes"],
)
def test_the_table(domain: Domain, rows: int, epsilon: float, engine: str, because: str) -> None:
    plan = Auto().plan(domain, sizes_of(rows), PrivacyBudget.spend(epsilon, 1e-6))
    assert plan.engine == engine
    assert because in plan.because


def test_a_plan_of_another_engine_is_not_fitted() -> None:
    from dp_models.engines.vae import Vae

    plan = Vae().plan(DOMAIN, sizes_of(100), PrivacyBudget.spend(1.0, 1e-6))
    with pytest.raises(FailedPrecondition, match="vae"):
        Auto().fit(people(100), DOMAIN, plan, noise=ZeroNoise())
