"""Laws of the graphical models under `mst` and `aim`: trees, marginals against brute force, estimates against mbi."""

from itertools import combinations, permutations

import numpy as np
import pytest

from dp_models.base import FloatArray
from dp_models.graphical.estimation import Markov, Measured, estimate
from dp_models.graphical.junction import Clique, Junction

SEEDS = range(12)


def _graph(seed: int) -> tuple[np.random.Generator, tuple[int, ...], list[Clique]]:
    """Six columns of two or three groups, and up to seven cliques of one to three of them."""
    rng = np.random.default_rng(seed)
    sizes = tuple(int(s) for s in rng.integers(2, 4, 6))
    drawn = [tuple(sorted(rng.choice(6, rng.integers(1, 4), replace=False).tolist())) for _ in range(seed % 7 + 1)]
    return rng, sizes, list(dict.fromkeys(drawn))


def _brute(sizes: tuple[int, ...], potentials: dict[Clique, FloatArray], total: float) -> FloatArray:
    logs = np.zeros(sizes)
    for clique, potential in potentials.items():
        logs = logs + potential.reshape([s if i in clique else 1 for i, s in enumerate(sizes)])
    counts = np.exp(logs - logs.max())
    return np.asarray(counts * total / counts.sum())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_junction_tree_holds_every_clique_and_keeps_columns_together(seed: int) -> None:
    _, sizes, cliques = _graph(seed)
    tree = Junction.of(sizes, cliques)
    assert all(tree.host(c) is not None for c in cliques)
    assert {c for clique in tree.cliques for c in clique} == set(range(6))
    for column in range(6):
        inside = [i for i, c in enumerate(tree.cliques) if column in c]
        tops = [i for i in inside if i == 0 or column not in tree.cliques[tree.parents[i]]]
        assert len(tops) == 1, "the cliques of a column are one connected part"
    assert all(parent < i for i, parent in enumerate(tree.parents))


@pytest.mark.parametrize("seed", SEEDS)
def test_growth_bounds_the_cells_of_a_joined_tree(seed: int) -> None:
    _, sizes, cliques = _graph(seed)
    tree = Junction.of(sizes, cliques)
    for a, b in permutations(range(6), 2):
        pair = (min(a, b), max(a, b))
        joined = tree.joined_with(a, b, [*cliques, pair])
        assert joined.cells <= tree.cells + tree.growth(a, b)
        assert all(joined.host(c) is not None for c in [*cliques, pair])


@pytest.mark.parametrize("seed", SEEDS)
def test_marginals_are_those_of_the_whole_table(seed: int) -> None:
    rng, sizes, cliques = _graph(seed)
    potentials = {c: rng.normal(0, 2, [sizes[i] for i in c]) for c in cliques}
    model = Markov.of(Junction.of(sizes, cliques), 100.0, potentials)
    whole = _brute(sizes, potentials, 100.0)
    for asked in [(4,), (0, 1), (3, 1), (5, 0, 2), (1, 2, 3, 4)]:
        expected = whole.sum(axis=tuple(i for i in range(6) if i not in asked))
        turned = np.transpose(expected, [sorted(asked).index(i) for i in asked])
        np.testing.assert_allclose(model.marginal(asked), turned, atol=1e-9)


@pytest.mark.parametrize("far", [3.0, 800.0, 1e5])
def test_cliques_that_contradict_each_other_have_a_model(far: float) -> None:
    """Both say that the columns between them have one value, each another: beyond a double's range nothing is left of
    either unless logs are passed."""
    potentials = {(0, 1): np.array([[far, 0.0], [far, 0.0]]), (1, 2): np.array([[0.0, 0.0], [far, far]])}
    model = Markov.of(Junction.of((2, 2, 2, 3), [*potentials, (3,)]), 100.0, potentials | {(3,): np.zeros(3)})
    for clique in [(0, 1), (1, 2)]:
        np.testing.assert_allclose(model.marginal(clique), np.full((2, 2), 25.0))
    np.testing.assert_allclose(model.marginal((3,)), np.full(3, 100 / 3))


@pytest.mark.parametrize("seed", SEEDS)
def test_marginals_of_extreme_potentials_are_those_of_the_whole_table(seed: int) -> None:
    rng, sizes, cliques = _graph(seed)
    potentials = {c: rng.normal(0, 2, [sizes[i] for i in c]) for c in cliques}
    for clique in cliques:
        first = rng.permutation(sizes[clique[0]]).reshape(-1, *[1] * (len(clique) - 1))
        potentials[clique] = potentials[clique] + 700.0 * first
    whole = _brute(sizes, potentials, 100.0)
    model = Markov.of(Junction.of(sizes, cliques), 100.0, potentials)
    for asked in combinations(range(6), 2):
        expected = whole.sum(axis=tuple(i for i in range(6) if i not in asked))
        np.testing.assert_allclose(model.marginal(asked), expected, atol=1e-9)


def test_more_columns_than_there_are_letters() -> None:
    """A chain of 70 columns: einsum knows 52 subscripts, so columns are labelled anew for each product."""
    flip = np.log(np.array([[0.9, 0.1], [0.1, 0.9]]))
    model = Markov.of(
        Junction.of((2,) * 70, [(i, i + 1) for i in range(69)]), 10.0, {(i, i + 1): flip for i in range(69)}
    )
    np.testing.assert_allclose(model.marginal((69, 0))[0, 0], 10 * (1 + 0.8**69) / 4)
    np.testing.assert_allclose(model.marginal((66, 69)).sum(axis=1), [5, 5])


def test_one_more_clique_is_met_at_once() -> None:
    rng = np.random.default_rng(0)
    model = Markov.of(
        Junction.of((3, 4, 2), [(0,), (1,), (2,)]), 50.0, {(i,): np.zeros(n) for i, n in enumerate((3, 4, 2))}
    )
    wanted = rng.dirichlet([1] * 12).reshape(3, 4) * 50
    joined = model.with_clique(model.junction.joined_with(0, 1, [(0, 1), (2,)]), (0, 1), wanted)
    np.testing.assert_allclose(joined.marginal((0, 1)), wanted, atol=1e-2)
    np.testing.assert_allclose(joined.marginal((2,)), [25, 25], atol=1e-9)


def _noisy(seed: int) -> tuple[tuple[int, ...], list[Measured], Markov]:
    """Noisy pairs of a cycle of four columns, and the even model to start from."""
    rng, sizes = np.random.default_rng(seed), (3, 4, 2, 3)
    whole = rng.dirichlet([0.3] * 72).reshape(sizes) * 1_000
    measured = []
    for clique in [(0, 1), (1, 2), (2, 3), (0, 3)]:
        true = whole.sum(axis=tuple(i for i in range(4) if i not in clique))
        sigma = 5.0 + clique[0]
        measured.append(Measured(clique, true + rng.normal(0, sigma, true.shape), sigma))
    potentials = {m.clique: np.zeros(np.shape(m.counts)) for m in measured}
    return sizes, measured, Markov.of(Junction.of(sizes, potentials), 1_000.0, potentials)


def test_estimates_are_those_of_mbi() -> None:
    """The reference for what is minimised: McKenna, Sheldon, Miklau 2019, in their own implementation."""
    mbi = pytest.importorskip("mbi")
    sizes, measured, start = _noisy(0)
    domain = mbi.Domain([f"c{i}" for i in range(4)], sizes)
    queries = [
        mbi.LinearMeasurement(np.asarray(m.counts).ravel(), tuple(f"c{i}" for i in m.clique), m.sigma) for m in measured
    ]
    oracle = mbi.marginal_oracles.message_passing_stable
    theirs = mbi.estimation.mirror_descent(domain, queries, known_total=1_000.0, iters=2_000, marginal_oracle=oracle)
    ours = estimate(start, measured, iterations=5_000)
    for pair in combinations(range(4), 2):
        expected = np.asarray(theirs.project(tuple(f"c{i}" for i in pair)).datavector()).reshape(
            [sizes[i] for i in pair]
        )
        np.testing.assert_allclose(ours.marginal(pair), expected, atol=1.0)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_estimate_comes_closer_and_keeps_its_total(seed: int) -> None:
    _, measured, start = _noisy(seed)

    def loss(model: Markov) -> float:
        return sum(float(((model.marginal(m.clique) - m.counts) ** 2).sum()) / m.sigma**2 for m in measured)

    steps = [start, *(estimate(start, measured, iterations=n) for n in (5, 50, 150))]
    assert all(after <= before for before, after in zip(map(loss, steps), map(loss, steps[1:]), strict=False))
    assert all(b.sum() == pytest.approx(1_000.0) and b.min() >= 0 for b in steps[-1].beliefs)
    assert loss(estimate(start, measured, iterations=1_000)) == pytest.approx(loss(steps[-1]), rel=0.02)
