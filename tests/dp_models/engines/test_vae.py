"""What `vae` promises beyond the contract: a unit's rows are one example, and gradients find relations."""

import numpy as np
import pytest

from dp_models.encoding.codes import Codec
from dp_models.engines.vae import Vae, by_unit
from dp_models.mechanisms.noise import SystemNoise
from dp_models.tables.counting import count
from synthgate.budget import PrivacyBudget
from tests.dp_models.private_tables import DOMAIN, people, sizes_of


def test_rows_of_a_unit_lie_together() -> None:
    codes = np.array([[1, 2, 3, 4]])
    assert by_unit(codes, np.array([9, 4, 9, 7]), 2)[..., 0].tolist() == [[2, -1], [4, -1], [1, 3]]


@pytest.mark.slow
def test_gradients_find_relations_where_the_budget_is_large() -> None:
    codec, rows = Codec(DOMAIN), people(4_000)
    plan = Vae().plan(DOMAIN, sizes_of(4_000), PrivacyBudget.spend(50.0, 1e-6))
    model = Vae().fit(rows, DOMAIN, plan, noise=SystemNoise())
    drawn, true = codec.encode(model.sample(4_000, generator=np.random.default_rng(0))), codec.encode(rows)
    shape = (codec.sizes[0], codec.sizes[5])
    assert np.abs(count(drawn[[0, 5]], shape) - count(true[[0, 5]], shape)).sum() / 8_000 < 0.12
