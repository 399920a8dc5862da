"""Bins come from declared bounds and noisy counts: spikes and tails survive, units are bounded, rounding is kept."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp_models.base import IntArray
from dp_models.encoding.binning import CELLS, Binning, Columns, depth_for, units_drawn
from dp_models.encoding.codes import ColumnCodes
from dp_models.encoding.grid import Grid
from dp_models.encoding.table import arrow_type
from dp_models.mechanisms.noise import SystemNoise
from synthgate.domain import UNIT_COLUMN, Column, Domain, Kind
from tests.dp_models.encoding.test_codes import COLUMNS
from tests.dp_models.private_tables import DOMAIN, people
from tests.fakes import ZeroNoise

GAIN = Column(name="x", kind=Kind.INTEGER, low=0, high=99_999)
PRICE = Column(name="x", kind=Kind.FLOAT, low=0.0, high=10_000.0)


class Tables(ZeroNoise):
    """Keeps the true tables that it is asked to make noisy."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[IntArray] = []

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        self.seen.append(counts.copy())
        return super().discrete_gaussian(counts, sigma=sigma, sensitivity=sensitivity)


def _bought(domain: Domain, rows: pa.Table, *, sigma: float, noise: ZeroNoise | SystemNoise, depth: int = 4) -> Columns:
    binning = Binning(domain, depth)
    if UNIT_COLUMN not in rows.column_names:
        rows = rows.append_column(UNIT_COLUMN, pa.array(np.arange(rows.num_rows)))
    return binning.bought(rows, sigma=sigma, noise=noise, sensitivity=1, total=float(rows.num_rows))


def _one(column: Column, cells: np.ndarray) -> tuple[Domain, pa.Table]:
    return Domain(columns=(column,)), pa.table({"x": pa.array(cells, arrow_type(column))})


def _drawn(bought: Columns, n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    codes = rng.choice(len(bought.weights[0]), size=n, p=bought.weights[0] / bought.weights[0].sum())
    return bought.decode(codes[None, :], generator=rng).column("x").to_numpy()


@given(COLUMNS, st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_a_fine_code_survives_its_own_cells(column: Column, seed: int) -> None:
    codes, rng = ColumnCodes(column, CELLS), np.random.default_rng(seed)
    kept = codes.values + column.nullable
    drawn = rng.integers(0, kept, size=60)
    shares = None
    if codes.grid is not None:
        assert codes.values <= 1.6 * CELLS
        shares = None if codes.grid.exact else rng.dirichlet(np.ones(len(codes.grid.steps) + 1))
    cells = codes.decode(drawn, generator=rng, granularity=shares)
    assert cells.type == arrow_type(column)
    assert (codes.encode(cells) == drawn).all()


def test_bounds_zero_and_round_numbers_begin_cells() -> None:
    grid = Grid(Column(name="x", kind=Kind.INTEGER, low=-9_000, high=1_341_000, bins=(777,)), CELLS)
    assert {-9_000, -8_999, 0, 1, 777, 1_000, 25_000, 1_341_000} <= set(grid.edges.tolist())
    assert [grid.edges[i] for i in grid.apart] == [-9_000, 0, 1_341_000]
    assert Grid(Column(name="x", kind=Kind.INTEGER, low=0, high=200), CELLS).exact


def test_a_unit_moves_one_cell_of_each_table() -> None:
    rows, seen = people(60), []
    for kept in (rows, rows.slice(1)):
        noise = Tables()
        _bought(DOMAIN, kept, sigma=1.0, noise=noise, depth=2)
        seen.append(noise.seen)
    assert len(seen[0]) == len(seen[1]) == Binning(DOMAIN, 2).tables
    for whole, less in zip(*seen, strict=True):
        assert np.abs(whole - less).sum() <= 1
    assert sum(table.size for table in seen[0]) <= Binning(DOMAIN, 2).cells


def test_tables_follow_from_the_declaration_alone() -> None:
    assert [depth_for(10_000, sigma) for sigma in (10.0, 80.0, 500.0)] == [4, 3, 2]
    shapes = []
    for rows in (people(5), people(400, seed=9)):
        noise = Tables()
        _bought(DOMAIN, rows, sigma=5.0, noise=noise, depth=2)
        shapes.append([table.shape for table in noise.seen])
    assert shapes[0] == shapes[1]


def test_spikes_and_tails_survive_noise() -> None:
    """Nine in ten are 0, a few hold the top code, the rest is spread over four orders of magnitude."""
    rng = np.random.default_rng(0)
    cells = np.where(rng.random(20_000) < 0.9, 0, np.exp(rng.normal(7.5, 0.8, 20_000)).astype(np.int64).clip(1, 50_000))
    cells[:200] = 99_999
    domain, rows = _one(GAIN, cells)
    drawn = _drawn(_bought(domain, rows, sigma=6.0, noise=SystemNoise()), 20_000)
    assert (drawn == 0).mean() == pytest.approx((cells == 0).mean(), abs=0.01)
    assert (drawn == 99_999).mean() == pytest.approx(0.01, abs=0.004)
    inside = (cells > 0) & (cells < 99_999)
    for share in (0.25, 0.5, 0.75):
        wanted = np.quantile(cells[inside], share)
        assert np.quantile(drawn[(drawn > 0) & (drawn < 99_999)], share) == pytest.approx(wanted, rel=0.2)


@pytest.mark.parametrize(("column", "unit"), [(PRICE, 0.1), (PRICE, 100.0), (GAIN, 500.0), (GAIN, 1.0)])
def test_values_are_as_round_as_they_were(column: Column, unit: float) -> None:
    rng = np.random.default_rng(0)
    cells = np.round(rng.gamma(2.0, 2_000 / unit, 5_000)) * unit
    domain, rows = _one(column, np.clip(cells, 0, 9_000))
    drawn = _drawn(_bought(domain, rows, sigma=10.0, noise=SystemNoise()), 2_000)
    step = min(10.0 ** np.floor(np.log10(unit)), unit)
    whole = np.abs(drawn / step - np.rint(drawn / step)) < 1e-9 * np.maximum(1, drawn / step)
    assert whole.mean() > 0.97


def test_noise_alone_gives_no_spikes() -> None:
    domain, rows = _one(PRICE, np.random.default_rng(0).uniform(0, 10_000, 4_000))
    weights = _bought(domain, rows, sigma=100.0, noise=SystemNoise()).weights[0]
    assert weights.max() < 800


@pytest.mark.parametrize(
    ("counts", "drawn"),
    [
        ((1, 9, 90, 900, 0), (0, 0, 0, 1, 0)),  # whole numbers: what is round among them is so by chance
        ((0, 0, 500, 0, 0), (0, 0, 1, 0, 0)),  # all tens, none of them of hundreds: noisy counts that were not believed
        ((0, 0, 0, 0, 70), (0, 0, 0, 0, 1)),
        ((50, 0, 0, 450, 0), (0.1, 0, 0, 0.9, 0)),  # beyond chance
    ],
)
def test_units_are_drawn_as_often_as_their_multiples_are_not_rounder(
    counts: tuple[int, ...], drawn: tuple[float, ...]
) -> None:
    found = units_drawn(np.array(counts, dtype=np.float64), np.array([1_000.0, 100.0, 10.0, 1.0]))
    assert found == pytest.approx(np.array(drawn), abs=0.06)


@pytest.mark.parametrize(
    ("column", "unit", "most"),
    [
        (Column(name="x", kind=Kind.INTEGER, low=10**9, high=10**10), 10, 0.15),
        (Column(name="x", kind=Kind.INTEGER, low=0, high=10**14), 1_000, 0.01),
        (Column(name="x", kind=Kind.FLOAT, low=0.0, high=1e10), 1.0, 0.03),
    ],
)
def test_large_values_are_no_rounder_than_they_were(column: Column, unit: float, most: float) -> None:
    rng = np.random.default_rng(0)
    cells = rng.uniform(float(column.low), float(column.high), 20_000)  # type: ignore[arg-type]
    domain, rows = _one(column, np.round(cells, 2) if column.kind is Kind.FLOAT else np.rint(cells))
    drawn = _drawn(_bought(domain, rows, sigma=3.0, noise=SystemNoise()), 10_000)
    assert (drawn % unit == 0).mean() < most


def test_mass_far_below_the_bound_stays_there() -> None:
    """Balances around 20 in a column that is declared to ten thousand million."""
    rng = np.random.default_rng(0)
    cells = np.exp(rng.normal(3, 2, 20_000))
    domain, rows = _one(Column(name="x", kind=Kind.FLOAT, low=0.0, high=1e10), cells)
    drawn = _drawn(_bought(domain, rows, sigma=5.0, noise=SystemNoise()), 20_000)
    for share in (0.5, 0.7, 0.9):
        assert np.quantile(drawn, share) == pytest.approx(np.quantile(cells, share), rel=0.15)


def test_noise_far_out_does_not_rule_the_mean() -> None:
    cells = np.random.default_rng(0).poisson(2, 20_000)
    domain, rows = _one(Column(name="x", kind=Kind.INTEGER, low=0, high=100_000), cells)
    means = []
    for _ in range(9):
        bought = _bought(domain, rows, sigma=8.0, noise=SystemNoise())
        settled = bought.codec.columns[0].settle(bought.weights[0]) * 20_000
        means.append(_drawn(replace(bought, weights=(settled,)), 20_000).mean())
    assert np.median(means) == pytest.approx(2.0, abs=0.5)
