"""Classes of the target that are rare, or many, keep what determines them wherever the noise allows it."""

import numpy as np
import pyarrow as pa
import pytest

from dp_models.encoding.table import private_schema
from dp_models.mechanisms.noise import SystemNoise
from dp_models.registry import synthesizer
from synthgate.budget import PrivacyBudget
from synthgate.domain import Column, Domain, Kind
from tests.dp_models.private_tables import sizes_of

ENGINES = ("star", "tree", "mst", "aim")
ROWS = 20_000


def _domain(classes: int) -> Domain:
    names = tuple(f"k{i}" for i in range(classes))
    return Domain(
        columns=(
            Column(name="y", kind=Kind.CATEGORICAL, categories=names),
            Column(name="x", kind=Kind.CATEGORICAL, categories=names),
            Column(name="z", kind=Kind.FLOAT, low=0.0, high=float(classes)),
            Column(name="coin", kind=Kind.BOOLEAN),
        ),
        target="y",
    )


def _determined(engine: str, shares: list[float], epsilon: float) -> list[float]:
    """The share of each class among the sampled rows whose x is that class, where x is the class in every real row."""
    rng, domain = np.random.default_rng(0), _domain(len(shares))
    y = rng.choice(len(shares), ROWS, p=shares)
    names = pa.array(np.char.add("k", y.astype(str)))
    cells = [names, names, pa.array(y + rng.random(ROWS)), pa.array(rng.random(ROWS) < 0.5)]
    rows = pa.Table.from_arrays([*cells, pa.array(np.arange(ROWS))], schema=private_schema(domain))
    plan, noise = synthesizer(engine).plan(domain, sizes_of(ROWS), PrivacyBudget.spend(epsilon, 1e-6)), SystemNoise()
    sample = synthesizer(engine).fit(rows, domain, plan, noise=noise).sample(ROWS, generator=rng)
    assert noise.event == plan.event
    drawn_y, drawn_x = (np.array(sample.column(c).to_pylist()) for c in ("y", "x"))
    return [float((drawn_y[drawn_x == f"k{i}"] == f"k{i}").mean()) for i in range(len(shares))]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_minority_stays_what_another_column_makes_it(engine: str) -> None:
    """A class of 4 % merged with one of 6 % would be drawn in four of ten rows of its own."""
    assert min(_determined(engine, [0.90, 0.06, 0.04], 10.0)) > 0.95


@pytest.mark.parametrize("engine", ENGINES)
def test_a_dozen_classes_are_told_apart(engine: str) -> None:
    """With no more than eight groups the five rarest would share one: each right in a fifth of its rows."""
    assert min(_determined(engine, [1 / 12] * 12, 10.0)) > 0.9


@pytest.mark.parametrize("engine", ENGINES)
def test_noise_bounds_the_groups_of_a_target(engine: str) -> None:
    """By public facts: more rows or epsilon tell more of twenty classes apart."""
    levels = [
        synthesizer(engine).plan(_domain(20), sizes_of(rows), PrivacyBudget.spend(epsilon, 1e-6)).parameters
        for rows, epsilon in ((2_000, 0.5), (20_000, 1.0), (1_000_000, 10.0))
    ]
    few, some, many = (p["target_levels"] for p in levels)
    assert few <= 8 <= some < many
    assert many >= 20
