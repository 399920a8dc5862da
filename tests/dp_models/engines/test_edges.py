"""Plans and fits at the edges: budgets whose noise scales end in an awkward digit, and domains of one column."""

import numpy as np
import pyarrow as pa
import pytest

from dp_models.encoding.table import private_schema
from dp_models.mechanisms.calibration import round_up
from dp_models.mechanisms.noise import SystemNoise
from dp_models.registry import synthesizer
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import UNIT_COLUMN, Column, Domain, Kind


@pytest.mark.parametrize(
    ("max_rows", "epsilon", "delta"),
    [(1, 0.556, 1.12079704767e-07), (3, 0.051, 1.101027581714e-06), (5, 8.274, 4.320615554e-09)],
)
def test_the_noise_that_is_run_is_the_noise_that_was_priced(max_rows: int, epsilon: float, delta: float) -> None:
    """Of scales that rounding up moves again, as priced scales once were: more noise was charged than ran. With one
    row a unit a scale is no longer moved again by itself."""
    columns = tuple(Column(name=f"c{i}", kind=Kind.CATEGORICAL, categories=("a", "b")) for i in range(3))
    domain = Domain(columns=columns[: 3 if max_rows == 5 else 1])
    sizes = PublicSizes(rows=1_000, units=1_000, max_rows=max_rows)
    plan = synthesizer("independent").plan(domain, sizes, PrivacyBudget.spend(epsilon, delta))
    sigma = plan.parameters["sigma"]
    assert max_rows == 1 or round_up(max_rows * (sigma / max_rows)) > sigma
    noise = SystemNoise()
    rows = pa.table({**{c.name: ["a"] for c in domain.columns}, UNIT_COLUMN: [0]}).cast(private_schema(domain))
    synthesizer("independent").fit(rows, domain, plan, noise=noise)
    assert noise.event == plan.event


@pytest.mark.parametrize("engine", ["independent", "star", "tree"])
@pytest.mark.parametrize("target", [None, "c"])
def test_a_domain_of_one_column_and_no_rows_is_fitted(engine: str, target: str | None) -> None:
    domain = Domain(columns=(Column(name="c", kind=Kind.INTEGER, low=0, high=1),), target=target)
    plan = synthesizer(engine).plan(domain, PublicSizes(rows=200_000, units=200_000), PrivacyBudget.spend(1.0, 1e-6))
    empty = pa.table({"c": pa.array([], pa.int64()), UNIT_COLUMN: pa.array([], pa.int64())})
    noise = SystemNoise()
    synthesizer(engine).fit(empty.cast(private_schema(domain)), domain, plan, noise=noise)
    assert noise.event == plan.event


@pytest.mark.parametrize("engine", ["mst", "aim"])
@pytest.mark.parametrize("epsilon", [0.01, 0.1])
def test_graphical_engines_take_a_handful_of_rows(
    engine: str, epsilon: float, recwarn: pytest.WarningsRecorder
) -> None:
    """Noise of hundreds of rows on five of them makes tables that contradict each other; a fit that gave up there would
    have spent its charge."""
    domain = Domain(
        columns=tuple(Column(name=f"c{i}", kind=Kind.CATEGORICAL, categories=("a", "b")) for i in range(12)),
        target="c0",
    )
    rows = pa.table({**{c.name: ["a", "b", "b", "a", "a"] for c in domain.columns}, UNIT_COLUMN: range(5)})
    plan = synthesizer(engine).plan(domain, PublicSizes(rows=6, units=6), PrivacyBudget.spend(epsilon, 1e-6))
    for _ in range(10):
        noise = SystemNoise()
        model = synthesizer(engine).fit(rows.cast(private_schema(domain)), domain, plan, noise=noise)
        assert noise.event == plan.event
        assert model.sample(20, generator=np.random.default_rng(0)).num_rows == 20
    assert not recwarn.list
