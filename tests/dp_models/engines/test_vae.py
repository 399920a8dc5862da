"""What `vae` promises beyond the contract: it starts as its tree, keeps the tree's tables, adds what the tree lacks,
moves less the more noise there is, and a unit, however many rows and latent draws it has, is one gradient."""

from dataclasses import replace
from functools import cache

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch import nn

from dp_models.base import IntArray
from dp_models.dpsgd.clipping import Clipping, Ghost
from dp_models.encoding.codes import Codec
from dp_models.engines.chain import Chain
from dp_models.engines.tree import Tree
from dp_models.engines.two_stages import by_unit
from dp_models.engines.vae import Vae
from dp_models.engines.vae_model import Decoder, VaeModel
from dp_models.engines.vae_network import Autoencoder, _losses
from dp_models.mechanisms.noise import SystemNoise
from synthgate.budget import PrivacyBudget
from synthgate.events import Composed, PoissonGaussian
from tests.dp_models.hidden_class import CLASSES, classes, far
from tests.dp_models.private_tables import DOMAIN, people, sizes_of
from tests.fakes import ZeroNoise

HIDDEN, LATENT = 6, 3


@cache
def _chain(k: int = 1) -> Chain:
    plan = Tree().plan(DOMAIN, sizes_of(1_200, units=1_200 // k, max_rows=k), PrivacyBudget.spend(5.0, 1e-6))
    return Chain.of(Tree().fit(people(1_200, rows_per_unit=k), DOMAIN, plan, noise=ZeroNoise()))


def _decoder(chain: Chain, scale: float) -> Decoder:
    rng = np.random.default_rng(1)
    shapes = ((LATENT, HIDDEN), (HIDDEN,), (HIDDEN, sum(chain.sizes)), (sum(chain.sizes),))
    inner, inner_bias, head, head_bias = (rng.normal(size=shape) for shape in shapes)
    return Decoder(inner, inner_bias, scale * head, scale * head_bias)


def _drawn(model: VaeModel, rows: int) -> IntArray:
    """Groups (columns, rows) of a sample."""
    codec = model.chain.tree.columns.codec
    return model.chain.groups(codec.encode(model.sample(rows, generator=np.random.default_rng(2))))


def test_rows_of_a_unit_lie_together() -> None:
    codes = np.array([[1, 2, 3, 4]])
    found = by_unit([codes[:, :3], codes[:, 3:]], np.array([9, 4, 9, 7]), 2, [5])
    assert found[..., 0].tolist() == [[2, -1], [4, -1], [1, 3]]


@pytest.mark.parametrize(("sizes", "width"), [((2, 128), 1), ((129, 5), 2)])
def test_rows_are_held_in_the_narrowest_type(sizes: tuple[int, int], width: int) -> None:
    found = by_unit([np.array(sizes)[:, None] - 1], np.array([3]), 1, sizes)
    assert found.itemsize == width and found[0, 0].tolist() == [size - 1 for size in sizes]


class TestModel:
    def test_without_a_residual_is_its_tree(self) -> None:
        chain = _chain()
        model = VaeModel(chain, _decoder(chain, 0.0)).shifted(32_768, generator=np.random.default_rng(0))[0]
        for before, after in zip(chain.links, model.chain.links, strict=True):
            assert after.logs == pytest.approx(before.logs, abs=1e-6)

    def test_keeps_the_tables_of_its_tree(self) -> None:
        """Under a large residual too; without the shift they are lost."""
        chain = _chain()
        wild = VaeModel(chain, _decoder(chain, 0.7))
        tree = chain.sample(40_000, generator=np.random.default_rng(3))
        edges = [(link.parent, link.column) for link in chain.links if link.parent is not None]
        kept = _drawn(wild.shifted(32_768, generator=np.random.default_rng(4))[0], 40_000)
        assert max(far(kept, tree, (*edge, chain.tree.target), chain.sizes) for edge in edges) < 0.05
        lost = _drawn(wild, 40_000)
        assert max(far(lost, tree, edge, chain.sizes) for edge in edges) > 0.1

    def test_codes_that_the_tree_never_draws_join_a_neighbour(self) -> None:
        chain = _chain()
        every = np.stack([np.zeros(200, dtype=np.int64)] * len(chain.sizes))
        for i, column in enumerate(chain.tree.columns.codec.columns):
            every[i] = np.arange(200) % column.size
        for i, groups in enumerate(chain.groups(every)):
            assert groups.min() >= 0 and groups.max() < chain.sizes[i]


class TestUnit:
    """One person of three rows, two latent draws each."""

    @staticmethod
    def _sums(rows: IntArray, taken: int | None = None) -> float:
        """The length of the clipped gradient of the first ``taken`` of ``rows`` (units, rows, columns)."""
        chain, rng = _chain(3), np.random.default_rng(5)
        network = Autoencoder(chain.sizes, hidden=HIDDEN, latent=LATENT, generator=rng).requires_grad_(False)
        head = nn.Linear(HIDDEN, sum(chain.sizes))
        nn.init.zeros_(head.weight)
        losses = _losses(rows, chain, network, 2, rng, torch.device("cpu"))
        numbers, whole = torch.arange(taken or len(rows)), Clipping(norm=1.0, automatic=True)
        sums = Ghost(head).sums(lambda: losses(head, numbers), whole)
        return float(torch.stack([s.norm() for s in sums]).norm())

    def _rows(self) -> IntArray:
        chain = _chain(3)
        return chain.groups(chain.tree.columns.codec.encode(people(3, seed=4))).T

    def test_is_one_gradient(self) -> None:
        assert 0.9 < self._sums(self._rows()[None]) <= 1

    def test_clipping_each_of_its_rows_is_convicted(self) -> None:
        assert self._sums(self._rows()[:, None]) > 1.5

    def test_padding_adds_nothing(self) -> None:
        one = self._rows()[:1]
        padded = np.concatenate([one, np.full((2, one.shape[1]), -1)])
        assert self._sums(padded[None]) == pytest.approx(self._sums(one[None]), rel=0.05)

    def test_units_outside_the_batch_are_not_looked_at(self) -> None:
        """Of a trillion units nothing could be held but the codes; these share the memory of one."""
        one = self._rows()[None]
        every = np.broadcast_to(one, (10**12, *one.shape[1:]))
        assert self._sums(every, taken=1) == pytest.approx(self._sums(one), rel=0.05)


class TestPlan:
    def test_ends_with_the_gradients(self) -> None:
        plan = Vae().plan(DOMAIN, sizes_of(4_000), PrivacyBudget.spend(1.0, 1e-6))
        assert isinstance(plan.event, Composed)
        last = plan.event.events[-1]
        assert last == PoissonGaussian(1.0, plan.parameters["noise_multiplier"], plan.parameters["steps"])

    def test_noise_alone_moves_a_logit_by_the_tolerance_at_most(self) -> None:
        rates = []
        for epsilon in (0.1, 10.0):
            p = Vae().plan(DOMAIN, sizes_of(40_000), PrivacyBudget.spend(epsilon, 1e-6)).parameters
            step = p["learning_rate"] / (1 - p["momentum"]) * p["noise_multiplier"] / p["expected_batch"]
            assert step * (p["steps"] * p["hidden"]) ** 0.5 <= 1.001 * Vae().tolerance
            rates.append(p["learning_rate"])
        assert rates[0] < rates[1] / 10 and rates[1] <= Vae().learning_rate


def test_gradients_are_taken_where_noise_is_shorter_than_half_of_them() -> None:
    """The border by hand, for every budget: the noise of all steps over the longest sum of normalised gradients."""
    groups, found = sum(Codec(CLASSES).sizes), set()
    for epsilon in (0.05, 0.1, 0.2, 0.5, 1.0, 3.0):
        budget = PrivacyBudget.spend(epsilon, 1e-6)
        p = Vae(most_noise=1e6).plan(CLASSES, sizes_of(2_000), budget).parameters
        length = p["noise_multiplier"] / p["expected_batch"] * (33 * groups / p["steps"]) ** 0.5
        taken = "steps" in Vae().plan(CLASSES, sizes_of(2_000), budget).parameters
        assert taken is (length <= 0.5)
        found.add(taken)
    assert found == {True, False}


def test_much_noise_leaves_the_residual_near_zero() -> None:
    vae = Vae(most_noise=1e6)
    plan = vae.plan(CLASSES, sizes_of(2_000), PrivacyBudget.spend(0.05, 1e-6))
    model = vae.fit(classes(2_000), CLASSES, plan, noise=SystemNoise())
    tree = model.chain.groups(model.chain.tree.columns.codec.encode(_sampled(model.table_stage, 20_000)))
    pairs = [(a, b) for a in range(6) for b in range(a)]
    assert max(far(_drawn(model, 20_000), tree, pair, model.chain.sizes) for pair in pairs) < 0.03


def _sampled(model: object, rows: int) -> pa.Table:
    return model.sample(rows, generator=np.random.default_rng(6))  # type: ignore[attr-defined]


def test_gradients_find_what_the_tree_lacks() -> None:
    rows, vae = classes(20_000), replace(Vae(), share_tables=0.5)
    plan = vae.plan(CLASSES, sizes_of(20_000), PrivacyBudget.spend(10.0, 1e-6))
    model = vae.fit(rows, CLASSES, plan, noise=SystemNoise())
    chain = model.chain
    codec = chain.tree.columns.codec
    true = chain.groups(codec.encode(rows))
    tree = chain.groups(codec.encode(_sampled(model.table_stage, 20_000)))
    edges = {frozenset((link.parent, link.column)) for link in chain.links if link.parent is not None}
    apart = [(a, b) for a in range(6) for b in range(a) if frozenset((a, b)) not in edges]
    drawn = _drawn(model, 20_000)
    left = [np.mean([far(sample, true, pair, chain.sizes) for pair in apart]) for sample in (drawn, tree)]
    assert left[0] < 0.6 * left[1]
