"""Single values that many rows share come back to the digit; one unit moves one part of each table by one."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from dp_models.base import IntArray, Noise
from dp_models.encoding.atoms import BRANCH, Lattice, Search, search, splits_each
from dp_models.encoding.binning import Binning, Columns
from dp_models.encoding.codes import ColumnCodes
from dp_models.encoding.table import arrow_type, private_schema
from dp_models.mechanisms.noise import SystemNoise
from synthgate.domain import Column, Domain, Kind
from tests.fakes import ZeroNoise

RATE = Column(name="x", kind=Kind.FLOAT, low=0.0, high=60_000.0, nullable=True)
CODE = Column(name="x", kind=Kind.INTEGER, low=170, high=9_920)
RATES, CODES = (13.7319, 2195.3, 2872.7, 30_000.25), (473, 4_781, 8_191)


def _stored(column: Column, cells: np.ndarray) -> tuple[Domain, pa.Table]:
    domain = Domain(columns=(column,))
    arrays = [pa.array(cells, arrow_type(column)), pa.array(np.arange(len(cells)))]
    return domain, pa.Table.from_arrays(arrays, schema=private_schema(domain))


def _bought(domain: Domain, rows: pa.Table, *, sigma: float, noise: Noise) -> Columns:
    return Binning(domain, 3).bought(rows, sigma=sigma, noise=noise, sensitivity=1, total=float(max(rows.num_rows, 1)))


def _mixed(column: Column, atoms: tuple[float, ...], n: int, *, seed: int = 0) -> np.ndarray:
    """Three quarters of the cells in equal parts on the atoms, the rest anywhere."""
    rng = np.random.default_rng(seed)
    anywhere = rng.uniform(column.low, column.high, n)
    cells = np.where(rng.random(n) < 0.75, rng.choice(atoms, n), anywhere)
    return cells if column.kind is Kind.FLOAT else np.rint(cells)


@pytest.mark.parametrize(("column", "atoms"), [(RATE, RATES), (CODE, CODES)], ids=["float", "integer"])
@pytest.mark.parametrize("sigma", [5.0, 40.0])
def test_values_that_many_share_come_back_to_the_digit(column: Column, atoms: tuple[float, ...], sigma: float) -> None:
    n = 6_000
    domain, rows = _stored(column, _mixed(column, atoms, n))
    bought = _bought(domain, rows, sigma=sigma, noise=SystemNoise())
    codes = np.random.default_rng(1).choice(len(bought.weights[0]), size=n, p=bought.weights[0] / n)
    drawn = bought.decode(codes[None, :], generator=np.random.default_rng(2)).column("x").to_numpy()
    for atom in atoms:
        assert (drawn == atom).sum() == pytest.approx(0.75 * n / len(atoms), abs=6 * sigma + 100)
    assert bought.weights[0].sum() == pytest.approx(n)


@pytest.mark.parametrize(
    ("column", "levels"),
    [
        (RATE, 3),  # cells of up to 1,000, steps of 0.0001
        (CODE, 1),  # cells of up to 100, whole numbers
        (Column(name="x", kind=Kind.INTEGER, low=0, high=90), 0),  # a cell a value
        (Column(name="x", kind=Kind.CATEGORICAL, categories=("a",)), 0),
    ],
)
def test_the_number_of_tables_follows_from_the_declaration(column: Column, levels: int) -> None:
    domain = Domain(columns=(column,))
    assert Lattice(Binning(domain, 3).codec.columns[0]).levels == levels
    assert Binning(domain, 3).tables - Binning(domain, 2).tables == levels
    noise = ZeroNoise()
    _bought(domain, private_schema(domain).empty_table(), sigma=1.0, noise=noise)
    assert len(noise.events) == Binning(domain, 3).tables


@pytest.mark.parametrize(("tables", "each"), [(0, 64), (4, 64), (9, 56), (60, 8), (900, 1)])
def test_many_tables_split_fewer_parts_each(tables: int, each: int) -> None:
    assert splits_each(tables) == each


@pytest.mark.parametrize("value", [13.7319, 2195.3, 0.0001, 59_999.9999])
def test_keys_name_the_double_closest_to_a_decimal(value: float) -> None:
    lattice = Lattice(ColumnCodes(RATE, 256))
    assert lattice.values(lattice.keys(np.array([value]))).tolist() == [value]


def test_values_far_below_the_bound_stay_in_their_cells() -> None:
    """Half are 0.5 in a column that is declared to a hundred million: not 0, which has a cell of its own."""
    column = Column(name="x", kind=Kind.FLOAT, low=0.0, high=1e8)
    cells = np.random.default_rng(0).choice([0.5, 2e5, 5e7], 6_000, p=[0.5, 0.25, 0.25])
    domain, rows = _stored(column, cells)
    bought = _bought(domain, rows, sigma=5.0, noise=SystemNoise())
    codes = bought.codec.encode(rows)
    drawn = bought.decode(codes, generator=np.random.default_rng(2)).column("x").to_numpy()
    assert (drawn == cells).mean() > 0.97


def test_a_value_below_the_steps_of_its_cell_is_no_atom() -> None:
    lattice = Lattice(ColumnCodes(Column(name="x", kind=Kind.FLOAT, low=0.0, high=1e12), 256))
    keys = lattice.keys(np.array([1e-9, 0.5, 5e11]))
    assert lattice.held(keys).tolist() == [False, True, True]


def test_noise_alone_makes_no_atoms() -> None:
    domain, rows = _stored(RATE, np.random.default_rng(0).uniform(0, 60_000, 5_000))
    assert not _bought(domain, rows, sigma=20.0, noise=SystemNoise()).atoms


class Told(ZeroNoise):
    """Gives the outputs of an earlier run, where there was one, and keeps the true tables that it was shown."""

    def __init__(self, outputs: list[IntArray] | None = None) -> None:
        super().__init__()
        self.told, self.outputs, self.seen = iter(outputs or []), list[IntArray](), list[IntArray]()

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        self.seen.append(counts.copy())
        output = next(self.told, None)
        self.outputs.append(super().discrete_gaussian(counts, sigma=sigma, sensitivity=sensitivity))
        return self.outputs[-1] if output is None or output.shape != counts.shape else output.copy()


class Peeking(Search):
    """Planted: opens the parts that truly hold most rows, instead of those whose noisy count is high."""

    def close(self, *, noise: Noise, sensitivity: int) -> None:
        true, before = self._counts.copy(), self._keys.copy()
        super().close(noise=noise, sensitivity=sensitivity)
        if true.any():
            self._open((before[true > 0][:, None] * BRANCH + np.arange(BRANCH)).ravel())


def _neighbours(kind: type[Search]) -> Iterator[tuple[IntArray, IntArray]]:
    """What each table of a search was on a table and on the same with one row less, all outputs being the same."""
    cells = np.append(np.full(400, 2195.3), [77.7])
    column = ColumnCodes(RATE, 256)
    weights = np.bincount(column.encode(pa.array(cells)), minlength=column.size).astype(np.float64)
    first, second = Told(), None
    for kept in (cells, cells[:-1]):
        noise = first if second is None else Told(first.outputs)
        one = kind(column, weights, sigma=0.1)
        batches = [pa.record_batch({"x": pa.array(kept)})]
        search({"x": one}, iter(lambda b=batches: b, None), noise=noise, sensitivity=1)
        second = noise
    assert second is not None
    yield from zip(first.seen, second.seen, strict=True)


def _within_one(pairs: Iterator[tuple[IntArray, IntArray]]) -> bool:
    return all(a.shape == b.shape and np.abs(a - b).sum() <= 1 for a, b in pairs)


def test_a_unit_moves_one_part_of_each_table_by_one() -> None:
    assert _within_one(_neighbours(Search))


def test_a_search_that_opens_what_it_has_not_paid_for_is_convicted() -> None:
    assert not _within_one(_neighbours(Peeking))
