"""Settling and fitting: tables without noise come back as they are, noisy ones agree and are not negative."""

import numpy as np
import pytest

from dp_models.base import FloatArray, IntArray
from dp_models.graphical.junction import Clique, Junction
from dp_models.graphical.settling import Margin, fit, merged, settle
from dp_models.tables.bought import NoisyTable

SIZES = (4, 3, 2, 3)
TOTAL = 1_000.0
COARSE = np.array([0, 0, 1, 1])
CLIQUES: list[tuple[Clique, tuple[IntArray | None, ...]]] = [
    ((0, 2), (None, None)),
    ((1, 2), (None, None)),
    ((2, 3), (None, None)),
    ((0, 1, 2), (COARSE, None, None)),
]


def joint(seed: int) -> FloatArray:
    return np.random.default_rng(seed).dirichlet(np.full(np.prod(SIZES), 2.0)).reshape(SIZES) * TOTAL


def table(whole: FloatArray, clique: Clique, maps: tuple[IntArray | None, ...]) -> FloatArray:
    return merged(whole.sum(axis=tuple(a for a in range(4) if a not in clique)), maps)


def margins(seed: int, sigma: float) -> list[Margin]:
    generator, whole = np.random.default_rng(seed), joint(seed)

    def noisy(counts: FloatArray) -> FloatArray:
        return np.asarray(counts + sigma * generator.standard_normal(counts.shape))

    first = [(noisy(table(whole, (i,), (None,))), np.full(SIZES[i], max(sigma, 1e-3) ** 2)) for i in range(4)]
    tables = [NoisyTable(c, m, noisy(table(whole, c, m)), max(sigma, 1e-3)) for c, m in CLIQUES]
    return settle(first, tables, TOTAL)


def junction() -> Junction:
    return Junction.of(SIZES, [c for c, _ in CLIQUES])


@pytest.mark.parametrize("seed", range(3))
def test_tables_without_noise_come_back(seed: int) -> None:
    found = fit(junction(), margins(seed, 0.0), TOTAL)
    for clique, maps in CLIQUES:
        assert merged(found.marginal(clique), maps) == pytest.approx(table(joint(seed), clique, maps), abs=0.05)


@pytest.mark.parametrize("sigma", [1.0, 10.0, 60.0])
def test_noisy_tables_agree_and_are_not_negative(sigma: float) -> None:
    settled = margins(7, sigma)
    by_clique = {m.clique: m for m in settled}
    for margin in settled:
        assert (margin.counts >= 0).all()
        assert margin.counts.sum() == pytest.approx(TOTAL, rel=1e-6)
    for clique, maps in CLIQUES:
        for axis, column in enumerate(clique):
            own = by_clique[clique].counts.sum(axis=tuple(a for a in range(len(clique)) if a != axis))
            assert own == pytest.approx(merged(by_clique[(column,)].counts, (maps[axis],)), abs=0.5)


def test_several_tables_say_more_than_one() -> None:
    """Of 400 noisy draws: the column that three tables hold is known better than by its own table, in every cell."""
    true = table(joint(0), (2,), (None,))
    generator = np.random.default_rng(0)
    errors: list[tuple[FloatArray, FloatArray]] = []
    for _ in range(400):
        alone = true + 20 * generator.standard_normal(2)
        first = [(table(joint(0), (i,), (None,)), np.full(SIZES[i], 400.0)) for i in range(4)]
        first[2] = (alone, np.full(2, 400.0))
        tables = [
            NoisyTable(c, m, (t := table(joint(0), c, m)) + 20 * generator.standard_normal(t.shape), 20.0)
            for c, m in CLIQUES[:3]
        ]
        own = next(m for m in settle(first, tables, TOTAL) if m.clique == (2,)).counts
        shifted = alone + (TOTAL - alone.sum()) / 2
        errors.append(((own - true) ** 2, (shifted - true) ** 2))
    together, apart = (np.mean([e[i] for e in errors], axis=0) for i in (0, 1))
    assert (together < 0.75 * apart).all()
