"""Single values travel with a stored model, and a range that is asked for takes those within it and no others."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dp_models.encoding.table import private_schema
from dp_models.engines.independent import Independent, IndependentModel
from dp_models.stored.format import Parts
from dp_models.stored.registry import dump, read
from dp_models.stored.sampling import derive
from synthgate.budget import PrivacyBudget
from synthgate.derivation import Condition, Derivation
from synthgate.domain import Column, Domain, Kind
from synthgate.errors import DataCorrupted
from tests.dp_models.private_tables import sizes_of
from tests.fakes import ZeroNoise

DOMAIN = Domain(columns=(Column(name="rate", kind=Kind.FLOAT, low=0.0, high=100.0),))
VALUES = (3.2501, 3.2502, 71.5)


def _model() -> IndependentModel:
    """A third of the rows on each value, but for 100 that lie anywhere."""
    cells = np.append(np.repeat(VALUES, 1_000), np.random.default_rng(0).uniform(0, 100, 100))
    rows = pa.Table.from_arrays([pa.array(cells), pa.array(np.arange(3_100))], schema=private_schema(DOMAIN))
    plan = Independent().plan(DOMAIN, sizes_of(3_100), PrivacyBudget.spend(5.0, 1e-6))
    return Independent().fit(rows, DOMAIN, plan, noise=ZeroNoise())


def test_a_loaded_model_knows_its_single_values() -> None:
    model = _model()
    data = dump(model)
    assert data is not None
    loaded = read(data, DOMAIN)
    assert loaded.columns.atoms[0].values.tolist() == list(VALUES)
    tables = [m.sample(500, generator=np.random.default_rng(7)) for m in (model, loaded)]
    assert tables[0].equals(tables[1]) and dump(loaded) == data


@pytest.mark.parametrize(
    ("asked", "shares"),
    [
        ("3.2..4", (0.5, 0.5, 0.0)),
        ("3.2502..3.3", (0.0, 1.0, 0.0)),  # both lie in one cell
        ("3..80", (1 / 3, 1 / 3, 1 / 3)),
        ("40..60", (0.0, 0.0, 0.0)),
    ],
)
def test_a_range_takes_the_values_within_it(asked: str, shares: tuple[float, ...]) -> None:
    asking = Derivation(source="r-1", conditions=(Condition(column="rate", value=asked),))
    rows, _ = derive(_model(), DOMAIN, asking, rows=3_000, generator=np.random.default_rng(1))
    cells = rows.column("rate").to_numpy()
    low, high = map(float, asked.split(".."))
    assert ((cells >= low) & (cells <= high)).all()
    for value, share in zip(VALUES, shares, strict=True):
        assert (cells == value).mean() == pytest.approx(share, abs=0.05)


def test_a_narrow_range_keeps_a_value_of_a_small_share() -> None:
    """A twentieth of the cell that holds 71.5, but nearly all of what the cell has within 0.00001 of it."""
    model = _model()
    atoms = replace(model.columns.atoms[0], shares=np.array([0.5, 0.5, 0.05]))
    model = replace(model, columns=replace(model.columns, atoms={0: atoms}))
    asking = Derivation(source="r-1", conditions=(Condition(column="rate", value="71.49999..71.50001"),))
    rows, _ = derive(model, DOMAIN, asking, rows=1_000, generator=np.random.default_rng(1))
    assert (rows.column("rate").to_numpy() == 71.5).mean() > 0.99


def test_days_stay_days_in_a_range_that_is_shorter_than_a_cell() -> None:
    low, high = datetime(1700, 1, 1), datetime(2100, 1, 1)
    domain = Domain(columns=(Column(name="seen", kind=Kind.DATETIME, low=low, high=high),))
    days = np.random.default_rng(0).integers(0, 146_000, 4_000)
    cells = pa.array([low + timedelta(days=int(day)) for day in days], pa.timestamp("us"))
    stored = pa.Table.from_arrays([cells, pa.array(np.arange(4_000))], schema=private_schema(domain))
    plan = Independent().plan(domain, sizes_of(4_000), PrivacyBudget.spend(5.0, 1e-6))
    model = Independent().fit(stored, domain, plan, noise=ZeroNoise())
    asking = Derivation(source="r-1", conditions=(Condition(column="seen", value="1850-05-04T12:00:00..1850-05-06"),))
    rows, _ = derive(model, domain, asking, rows=200, generator=np.random.default_rng(1))
    assert set(rows.column("seen").to_pylist()) == {datetime(1850, 5, 5), datetime(1850, 5, 6)}


CHANGES: dict[str, Callable[[dict[str, Any], dict[str, Any]], object]] = {
    "beyond the bounds": lambda s, a: a.update({"atoms.0.values": a["atoms.0.values"] + 90}),
    "not rising": lambda s, a: a.update({"atoms.0.values": a["atoms.0.values"][::-1].copy()}),
    "not finite": lambda s, a: a.update({"atoms.0.values": a["atoms.0.values"] * np.nan}),
    "a share for each is missing": lambda s, a: a.update({"atoms.0.shares": a["atoms.0.shares"][:-1]}),
    "a negative share": lambda s, a: a.update({"atoms.0.shares": -a["atoms.0.shares"]}),
    "more than a whole": lambda s, a: a.update({"atoms.0.shares": np.ones(3)}),
    "no column": lambda s, a: s.update({"atoms": [1]}),
    "no values": lambda s, a: a.pop("atoms.0.values"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_values_that_cannot_be_are_refused(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> None:
    parts = _model().parts()
    structure, arrays = dict(parts.structure), dict(parts.arrays)
    change(structure, arrays)
    with pytest.raises(DataCorrupted):
        read(replace(parts, structure=structure, arrays=arrays).to_bytes(), DOMAIN)


def test_the_file_names_the_columns_that_have_them() -> None:
    data = dump(_model())
    assert data is not None
    assert Parts.from_bytes(data).structure["atoms"] == [0]
