"""Where `vae` and `gan` have nothing to gain from gradients, tables take the whole budget."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from dp_models.base import Synthesizer
from dp_models.encoding.table import private_schema
from dp_models.engines.gan import Gan
from dp_models.engines.star import Star
from dp_models.engines.tree import Tree
from dp_models.engines.two_stages import two_stages
from dp_models.engines.vae import Vae
from dp_models.mechanisms.noise import SystemNoise
from dp_models.tables.network import TreeModel
from synthgate.budget import PrivacyBudget
from synthgate.domain import UNIT_COLUMN, Column, Domain, Kind
from synthgate.errors import FailedPrecondition
from synthgate.events import PoissonGaussian
from tests.dp_models.hidden_class import CLASSES, classes
from tests.dp_models.private_tables import sizes_of

DELTA = 1e-6
ENGINES = pytest.mark.parametrize("engine", [Gan(), Vae()], ids=["gan", "vae"])


@ENGINES
@pytest.mark.parametrize(("target", "tables"), [("c0", Star()), (None, Tree())], ids=["star", "tree"])
def test_a_small_budget_takes_no_gradient_and_buys_tables_with_all_of_it(
    engine: Synthesizer, target: str | None, tables: Synthesizer
) -> None:
    domain, small, noise = replace(CLASSES, target=target), PrivacyBudget.spend(0.05, DELTA), SystemNoise()
    plan, bought = engine.plan(domain, sizes_of(2_000), small), tables.plan(domain, sizes_of(2_000), small)
    assert plan.engine == engine.name and f"a {tables.name} takes the whole budget" in plan.because
    assert (plan.event, plan.parameters) == (bought.event, bought.parameters)
    model = engine.fit(classes(2_000), domain, plan, noise=noise)
    assert noise.event == plan.event and noise.weaknesses == ()
    assert isinstance(model, TreeModel) and len(model.sample(500, generator=np.random.default_rng(6))) == 500


@ENGINES
def test_a_budget_that_no_gradient_fits_buys_tables(engine: Synthesizer) -> None:
    """For 16 rows a unit at epsilon 0.001 there is no noise that DP-SGD could be planned with."""
    sizes, least = sizes_of(2_000, units=160, max_rows=16), PrivacyBudget.spend(0.001, DELTA)
    plan = two_stages(
        "vae", CLASSES, sizes, least, share_tables=0.75, batch_units=100, steps=60, drowns=lambda noise: False
    )
    assert plan.event == engine.plan(CLASSES, sizes, least).event == Tree().plan(CLASSES, sizes, least).event
    enough = PrivacyBudget.spend(1.0, DELTA)
    plan = two_stages(
        "vae", CLASSES, sizes, enough, share_tables=0.75, batch_units=100, steps=60, drowns=lambda noise: False
    )
    assert plan.parameters["steps"] == 60


@ENGINES
@pytest.mark.parametrize("epsilon", [1.699, 3.712, 8.613])
def test_the_gradient_noise_that_is_run_is_the_noise_that_is_priced(engine: Synthesizer, epsilon: float) -> None:
    """Budgets at which `vae` has a scale that was once rounded up again where it was priced: the fit ran other noise
    than its plan, and its model was refused after the charge."""
    domain, sizes = Domain(columns=CLASSES.columns[:3]), sizes_of(32_000)
    plan = engine.plan(domain, sizes, PrivacyBudget.spend(epsilon, DELTA))
    p = plan.parameters
    assert plan.event.events[-1] == PoissonGaussian(p["sampling_rate"], p["noise_multiplier"], p["steps"])


@ENGINES
@pytest.mark.parametrize("target", ["c0", None])
def test_one_column_leaves_gradients_nothing_and_gets_the_whole_budget(engine: Synthesizer, target: str | None) -> None:
    domain, ample, noise = (
        Domain(columns=CLASSES.columns[:1], target=target),
        PrivacyBudget.spend(10.0, DELTA),
        SystemNoise(),
    )
    plan = engine.plan(domain, sizes_of(2_000), ample)
    assert "steps" in engine.plan(CLASSES, sizes_of(20_000), ample).parameters and "steps" not in plan.parameters
    assert plan.event == Tree().plan(domain, sizes_of(2_000), ample).event and "one column" in plan.because
    rows = classes(2_000)
    model = engine.fit(rows.select(["c0", UNIT_COLUMN]), domain, plan, noise=noise)
    assert noise.event == plan.event and model.sample(500, generator=np.random.default_rng(6)).column_names == ["c0"]


@ENGINES
def test_a_single_moment_has_calendar_parts_that_gradients_can_relate(engine: Synthesizer) -> None:
    column = Column(name="seen", kind=Kind.DATETIME, low=datetime(2020, 1, 1), high=datetime(2024, 1, 1))
    domain, noise = Domain(columns=(column,)), SystemNoise()
    plan = engine.plan(domain, sizes_of(20_000), PrivacyBudget.spend(10.0, DELTA))
    assert "steps" in plan.parameters
    hours = np.random.default_rng(0).integers(0, 24 * 1_000, 2_000)
    cells = {"seen": [column.low + timedelta(hours=int(h)) for h in hours], UNIT_COLUMN: np.arange(2_000)}
    model = engine.fit(pa.table(cells, schema=private_schema(domain)), domain, plan, noise=noise)
    assert noise.event == plan.event and len(model.sample(50, generator=np.random.default_rng(6))) == 50


@ENGINES
def test_many_rows_a_unit_are_refused_at_any_budget(engine: Synthesizer) -> None:
    for epsilon in (0.001, 10.0):
        with pytest.raises(FailedPrecondition, match="at most 16 rows a unit"):
            engine.plan(CLASSES, sizes_of(2_000, units=200, max_rows=17), PrivacyBudget.spend(epsilon, DELTA))


def test_the_game_is_played_where_the_generator_keeps_a_hundredth_of_its_rate() -> None:
    """The border by hand, for every budget: the gain of scores that vary by ``signal`` over the noise in them."""
    found, gan = set(), Gan()
    for epsilon in (0.1, 0.5, 1.0, 3.0):
        budget = PrivacyBudget.spend(epsilon, DELTA)
        p = Gan(least_gain=0.0).plan(CLASSES, sizes_of(4_000), budget).parameters
        noise = p["noise_multiplier"] / p["expected_batch"] * (gan.learning_rate / (2 * gan.decay)) ** 0.5
        gain = gan.signal**2 / (gan.signal**2 + noise**2)
        assert p["generator_rate"] == pytest.approx(100 * gain, rel=1e-3)
        played = "steps" in gan.plan(CLASSES, sizes_of(4_000), budget).parameters
        assert played is (gain >= 0.01)
        found.add(played)
    assert found == {True, False}
