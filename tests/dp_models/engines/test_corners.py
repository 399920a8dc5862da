"""Every plan that a budget, a unit and a domain can ask for is made in bounded memory and never costs more than was
asked: a request must not be able to exhaust the process that prices it."""

import tracemalloc

import pytest

from dp_models import registry
from dp_models.engines.vae import MAX_ROWS_PER_UNIT
from dp_models.mechanisms.accounting import epsilon
from synthgate.budget import DELTA_MAX, DELTA_MIN, EPSILON_MAX, EPSILON_MIN, PrivacyBudget
from synthgate.dataset import MAX_ROWS, PublicSizes
from synthgate.domain import Column, Domain, Kind
from synthgate.errors import FailedPrecondition

ENGINES = [name for name in registry.names() if name in ("auto", "independent", "tree", "vae")]
PEAK = 100 * 2**20


def _domain(columns: int) -> Domain:
    cells = tuple(Column(name=f"c{i}", kind=Kind.CATEGORICAL, categories=("a", "b")) for i in range(columns))
    return Domain(columns=cells, target="c0")


def _sizes(units: int, max_rows: int) -> PublicSizes:
    return PublicSizes(rows=units, units=units, max_rows=max_rows)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("asked", [EPSILON_MIN, 1.0, EPSILON_MAX])
@pytest.mark.parametrize("delta", [DELTA_MIN, DELTA_MAX])
@pytest.mark.parametrize("columns", [2, 300])
@pytest.mark.parametrize("units", [1_000, MAX_ROWS])
def test_the_corners_of_what_can_be_asked(engine: str, asked: float, delta: float, columns: int, units: int) -> None:
    budget, domain = PrivacyBudget.spend(asked, delta), _domain(columns)
    for max_rows in (1, MAX_ROWS_PER_UNIT if engine == "vae" else 1_000):
        tracemalloc.start()
        plan = registry.synthesizer(engine).plan(domain, _sizes(units, max_rows), budget)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < PEAK
        assert 0 <= epsilon(plan.event, delta) <= asked
        if units == 1_000:  # of very many units a batch of gradients is such a small part that delta alone pays for it
            assert epsilon(plan.event, delta) >= 0.97 * asked


def test_tables_of_a_vae_keep_to_their_share_of_the_smallest_budget() -> None:
    budget = PrivacyBudget.spend(EPSILON_MIN, 1e-9)
    plan = registry.synthesizer("vae").plan(_domain(5), _sizes(5_000, 1), budget)
    tables = plan.event.to_json()["event"]["events"][0]
    assert tables["event"]["sigma"] == plan.parameters["sigma_columns"]
    assert plan.parameters["noise_multiplier"] < 100 * plan.parameters["sigma_columns"]


def test_a_vae_of_more_rows_a_unit_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="16 rows a unit"):
        registry.synthesizer("vae").plan(_domain(2), _sizes(100, 17), PrivacyBudget.spend(1.0, 1e-6))
