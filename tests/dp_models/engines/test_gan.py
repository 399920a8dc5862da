"""What `gan` promises beyond the contract: it starts as its tree and stays it where noise rules, adds what the tree
lacks, and only the discriminator's clipped, noisy steps stand between rows and generator."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from dp_models.base import IntArray
from dp_models.dpsgd.clipping import Clipping, Ghost, clipped_sums
from dp_models.engines.chain import Chain
from dp_models.engines.gan import Gan
from dp_models.engines.gan_model import GanModel, Residual
from dp_models.engines.gan_network import Discriminator, Generator, _losses, fit_adversary
from dp_models.engines.tree import Tree
from dp_models.engines.two_stages import first_stage
from dp_models.mechanisms.noise import SystemNoise
from synthgate.budget import PrivacyBudget
from synthgate.errors import InternalError, InvalidArgument
from synthgate.events import Composed, PoissonGaussian
from tests.dp_models.hidden_class import CLASSES, classes, far
from tests.dp_models.private_tables import DOMAIN, people, sizes_of
from tests.fakes import ZeroNoise

HIDDEN, DELTA = 6, 1e-6
HALF = Gan(share_tables=0.5, least_gain=0.0)
SMALL = Gan(hidden=HIDDEN, latent=3, free_steps=20, steps=6, generated=512, least_gain=0.0)


@cache
def _chain(k: int = 1) -> Chain:
    plan = Tree().plan(DOMAIN, sizes_of(1_200, units=1_200 // k, max_rows=k), PrivacyBudget.spend(5.0, DELTA))
    return Chain.of(Tree().fit(people(1_200, rows_per_unit=k), DOMAIN, plan, noise=ZeroNoise()))


@cache
def _parameters(**changed: float) -> dict[str, object]:
    plan = SMALL.plan(DOMAIN, sizes_of(1_200), PrivacyBudget.spend(5.0, DELTA))
    return {**plan.parameters, **changed}


def _vectors(chain: Chain) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).normal(size=(sum(chain.sizes), HIDDEN))).float()


def _residual(chain: Chain, scale: float) -> Residual:
    rng = np.random.default_rng(1)
    return Residual(rng.normal(size=(sum(chain.sizes), HIDDEN)), scale * rng.normal(size=(HIDDEN, sum(chain.sizes))))


def _pairs(model: GanModel, other: Chain, rows: int) -> list[float]:
    """How far a model's two-way tables along the tree are from those of a chain."""
    drawn = model.shifted(rows, generator=np.random.default_rng(2))[1]
    tree = other.sample(rows, generator=np.random.default_rng(3))
    return [far(drawn, tree, (a.column, a.parent), other.sizes) for a in other.links if a.parent is not None]


class TestModel:
    def test_without_a_residual_is_its_tree(self) -> None:
        chain = _chain()
        assert max(_pairs(GanModel(chain, _residual(chain, 0.0)), chain, 20_000)) < 0.03

    def test_keeps_the_tables_of_its_tree(self) -> None:
        chain = _chain()
        assert max(_pairs(GanModel(chain, _residual(chain, 0.5)), chain, 20_000)) < 0.04

    def test_without_the_shift_it_would_not(self) -> None:
        chain = _chain()
        drawn = GanModel(chain, _residual(chain, 0.5)).drawn(20_000, generator=np.random.default_rng(2))[1]
        tree = chain.sample(20_000, generator=np.random.default_rng(3))
        edges = [(link.column, link.parent) for link in chain.links if link.parent is not None]
        assert max(far(drawn, tree, edge, chain.sizes) for edge in edges) > 0.1


class TestOneUnit:
    """A unit of three rows moves the sum by one normalised gradient."""

    @staticmethod
    def _sums(units: IntArray, taken: int | None = None) -> float:
        """The length of the clipped gradient of the first ``taken`` of ``units`` (units, rows, columns)."""
        chain = _chain(3)
        generator = Generator(chain, _vectors(chain), _parameters())
        known = generator.summed(torch.from_numpy(chain.sample(2_000, generator=np.random.default_rng(0)).T.copy()))
        discriminator = Discriminator(known)
        real = _losses(discriminator, generator, units)
        clipping = Clipping(norm=1.0, automatic=True)
        sums = Ghost(discriminator).sums(lambda: real(torch.arange(taken or len(units))), clipping)
        return float(torch.stack([s.norm() for s in sums]).norm())

    @staticmethod
    def _rows() -> IntArray:
        chain = _chain(3)
        same = people(3, seed=4).take([0, 0, 0])
        return chain.groups(chain.tree.columns.codec.encode(same)).T

    def test_is_one_gradient(self) -> None:
        assert 0.9 < self._sums(self._rows()[None]) <= 1

    def test_clipping_each_of_its_rows_is_convicted(self) -> None:
        assert self._sums(self._rows()[:, None]) > 2

    def test_padding_adds_nothing(self) -> None:
        one = self._rows()[:1]
        padded = np.concatenate([one, np.full((2, one.shape[1]), -1)])
        assert self._sums(padded[None]) == pytest.approx(self._sums(one[None]), rel=1e-5)

    def test_units_outside_the_batch_are_not_looked_at(self) -> None:
        """Of a trillion units nothing could be held but the codes; these share the memory of one."""
        one = self._rows()[None]
        assert self._sums(np.broadcast_to(one, (10**12, *one.shape[1:])), taken=1) == pytest.approx(self._sums(one))

    def test_a_discriminator_that_mixes_units_is_refused(self) -> None:
        with pytest.raises(InternalError, match="mixes units"):
            clipped_sums(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)))


class Keyed(ZeroNoise):
    """Generators with one fixed key for each purpose, so that two fits differ by their rows alone."""

    def generator(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng([ord(letter) for letter in purpose])


def _copies(units: IntArray, chain: Chain, parameters: dict[str, object], *, noise: Keyed) -> GanModel:
    """The planted fault: a generator that also takes a step along the rows themselves."""
    model = fit_adversary(units, chain, parameters, noise=noise)
    generator = Generator(chain, torch.from_numpy(model.residual.vectors).float(), parameters)
    generator.step(chain, units[:, 0].T, torch.from_numpy(units[:, 0, 0]).float())
    taught = generator.model(np.random.default_rng(0))[0].residual
    return replace(model, residual=replace(model.residual, head=model.residual.head + taught.head))


def _moved(learning_rate: float, fit: Callable[..., GanModel] = fit_adversary) -> float:
    """How far other rows move the generator, when the tree and all random draws stay the same."""
    chain = _chain()
    parameters = _parameters(learning_rate=learning_rate)
    heads = []
    for seed in (1, 2):
        units = chain.groups(chain.tree.columns.codec.encode(people(400, seed=seed))).T[:, None, :]
        heads.append(fit(units, chain, parameters, noise=Keyed()).residual.head)
    return float(np.linalg.norm(heads[0] - heads[1]))


class TestRowsReachTheGeneratorThroughTheDiscriminatorAlone:
    """Where the discriminator does not move, one table gives what another gives, bit by bit."""

    def test_its_steps_carry_them(self) -> None:
        assert _moved(1.0) > 1e-4

    def test_without_its_steps_nothing_does(self) -> None:
        assert _moved(0.0) == 0

    def test_a_generator_that_reads_rows_is_convicted(self) -> None:
        assert _moved(0.0, _copies) > 1e-4


class TestPlan:
    def test_ends_with_the_discriminator(self) -> None:
        plan = Gan(least_gain=0.0).plan(DOMAIN, sizes_of(4_000), PrivacyBudget.spend(1.0, DELTA))
        assert isinstance(plan.event, Composed)
        last = plan.event.events[-1]
        assert last == PoissonGaussian(1.0, plan.parameters["noise_multiplier"], plan.parameters["steps"])

    def test_the_generator_slows_down_as_noise_grows(self) -> None:
        budgets = [PrivacyBudget.spend(epsilon, DELTA) for epsilon in (0.3, 10.0)]
        slow, fast = (Gan().plan(DOMAIN, sizes_of(40_000), b).parameters["generator_rate"] for b in budgets)
        assert slow < fast / 10 and fast <= Gan().generator_rate

    def test_generated_units_have_the_rows_of_an_average_unit(self) -> None:
        sizes = sizes_of(60_000, units=20_000, max_rows=5)
        assert Gan().plan(DOMAIN, sizes, PrivacyBudget.spend(1.0, DELTA)).parameters["generated_rows"] == 3


def _apart(epsilon: float, rows: int, gan: Gan = HALF) -> tuple[list[float], list[float], list[float]]:
    """Distances over pairs that are no edge of the tree: model from rows, tree from rows, model from tree."""
    table = classes(rows)
    plan = gan.plan(CLASSES, sizes_of(rows), PrivacyBudget.spend(epsilon, DELTA))
    chain, units = first_stage(table, CLASSES, plan, noise=SystemNoise())
    noise = SystemNoise()
    model = fit_adversary(units, chain, plan.parameters, noise=noise)
    drawn = model.drawn(20_000, generator=np.random.default_rng(6))[1]
    tree, true = chain.sample(20_000, generator=np.random.default_rng(7)), units[:, 0].T
    edges = {frozenset((link.parent, link.column)) for link in chain.links if link.parent is not None}
    pairs = [(a, b) for a in range(6) for b in range(a) if frozenset((a, b)) not in edges]
    return tuple([far(x, y, p, chain.sizes) for p in pairs] for x, y in ((drawn, true), (tree, true), (drawn, tree)))  # type: ignore[return-value]


def test_much_noise_leaves_the_generator_at_the_tree() -> None:
    assert max(_apart(0.05, 2_000)[2]) < 0.03


def _left(**changed: float) -> float:
    """What is left of the tree's distances after a game with these changes."""
    model, tree, _ = _apart(10.0, 20_000, replace(HALF, **changed))
    return float(np.mean(model) / np.mean(tree))


def test_the_game_finds_what_the_tree_lacks() -> None:
    assert _left() < 0.5


@pytest.mark.slow
def test_of_sixty_steps_three_for_each_of_the_generator_leave_least() -> None:
    """Ten for each leave the generator six steps, of twice the length here. ADR 0026."""
    few, many = ([_left(**changed) for _ in range(3)] for changed in ({}, {"steps_each": 10, "generator_rate": 200.0}))
    assert max(few) < min(many)


def test_the_least_hyper_parameters_play_a_game_and_less_are_refused() -> None:
    """Units of 16 rows are shown generated units of 16 rows, of which 16 generated rows make one."""
    gan = Gan(hidden=2, latent=1, free_steps=0, steps=3, generated=16, batch_units=1, least_gain=0.0)
    sizes = sizes_of(640, units=40, max_rows=16)
    plan, noise = gan.plan(DOMAIN, sizes, PrivacyBudget.spend(20.0, DELTA)), SystemNoise()
    model = gan.fit(people(640, rows_per_unit=16), DOMAIN, plan, noise=noise)
    assert plan.parameters["generated_rows"] == 16 and noise.event == plan.event
    assert len(model.sample(50, generator=np.random.default_rng(2))) == 50
    for less in ({"hidden": 1}, {"generated": 15}):
        with pytest.raises(InvalidArgument, match="must be a whole number"):
            Gan(**less)
