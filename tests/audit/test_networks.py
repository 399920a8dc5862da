"""The audit of engines that train by private gradients, end to end: the attacker sees every noisy table, every choice
and the noisy gradient of every step.

An engine is audited by one line in `ENGINES`, if its plan names its schedule as `Schedule` does and its noise comes
from generators for "gradient noise" and "Poisson batches".
"""

from dataclasses import fields, replace
from functools import cache, partial

import numpy as np
import pyarrow as pa
import pytest

from dp_models.base import Plan, Synthesizer
from dp_models.dpsgd.training import Schedule
from dp_models.engines.gan import Gan
from dp_models.engines.vae import Vae
from dp_models.mechanisms.noise import SystemNoise
from synthgate.budget import PrivacyBudget
from synthgate.domain import Domain
from synthgate.events import DpEvent
from tests.audit.conftest import Note
from tests.audit.games import Verdict, play, told_apart
from tests.audit.gradients import Steps, watched
from tests.audit.tables import crowd, lonely
from tests.audit.training_bugs import HalfSteps, RealRows, SilentLast
from tests.dp_models.private_tables import sizes_of

ROWS, DELTA = 60, 1e-5
ENGINES: dict[str, Gan | Vae] = {
    "gan": Gan(
        share_tables=0.1, hidden=8, free_steps=1, steps=3, steps_each=1, generated=64, learning_rate=0.01, signal=1.0
    ),
    "vae": Vae(share_tables=0.1, hidden=8, free_steps=1, steps=3, most_noise=1e6),
}
"""Nearly all of the budget goes to the gradients, and nearly no work to what costs nothing. The discriminator of `gan`
stays so unsure that it learns from every row in every step, and its generator moves as if there were little noise."""
SAMPLED = {name: replace(engine, batch_units=20) for name, engine in ENGINES.items()}
"""A unit is in a batch with chance 20/60."""

Pair = tuple[Domain, pa.Table, pa.Table]
PAIRS: dict[str, tuple[Pair, int]] = {
    "in a crowd": (crowd(ROWS), 1),
    "outlier": (lonely(ROWS), 1),
    "three rows": (crowd(ROWS, max_rows=3), 3),
}


@cache
def _plan(engine: Synthesizer, pair: str, epsilon: float) -> Plan:
    (domain, *_), max_rows = PAIRS[pair]
    return engine.plan(domain, sizes_of(ROWS, max_rows=max_rows), PrivacyBudget.spend(epsilon, DELTA))


def _schedule(plan: Plan) -> Schedule:
    names = ("sampling_rate", "noise_multiplier", "steps", "clip_norm", "learning_rate", "expected_batch")
    return Schedule(**{name: plan.parameters[name] for name in names})


def _audit(
    engine: Synthesizer, pair: str, epsilon: float, games: int, noise: type[Steps] = Steps
) -> tuple[DpEvent, dict[str, Verdict]]:
    """The claim of a plan of that budget, and what each attack makes of it."""
    (domain, first, second), _ = PAIRS[pair]
    plan = _plan(engine, pair, epsilon)

    def fit(rows: pa.Table, source: SystemNoise) -> None:
        engine.fit(rows, domain, plan, noise=source)

    source = partial(noise, _schedule(plan), ROWS)
    return plan.event, play(watched(fit), first, second, games=games, noise=source)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_honest_engine_is_within_its_claim(engine: str, note: Note) -> None:
    claim, verdicts = _audit(ENGINES[engine], "outlier", 1.0, 24)
    assert not note(f"{engine}, outlier", claim, verdicts["likelihood"])
    assert not any(verdict.breaks(claim) for verdict in verdicts.values())


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("epsilon", [1.0, 8.0])
@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("engine", ENGINES)
def test_an_honest_engine_is_within_its_claim_for_long(engine: str, pair: str, epsilon: float, note: Note) -> None:
    claim, verdicts = _audit(ENGINES[engine], pair, epsilon, 100)
    assert not note(f"{engine}, {pair}", claim, verdicts["likelihood"])
    assert not any(verdict.breaks(claim) for verdict in verdicts.values())


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("engine", SAMPLED)
def test_sampled_batches_are_within_the_claim(engine: str, note: Note) -> None:
    claim, verdicts = _audit(SAMPLED[engine], "outlier", 8.0, 100)
    assert not note(f"{engine}, sampled", claim, verdicts["likelihood"])
    assert not any(verdict.breaks(claim) for verdict in verdicts.values())


@pytest.mark.parametrize("engine", ENGINES)
def test_a_last_step_without_noise_is_convicted(engine: str, note: Note) -> None:
    claim, verdicts = _audit(ENGINES[engine], "outlier", 1.0, 26, SilentLast)
    assert note(f"{engine}: last step without noise", claim, verdicts["coincidences"])


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("engine", ENGINES)
def test_half_the_gradient_noise_is_convicted(engine: str, note: Note) -> None:
    claim, verdicts = _audit(ENGINES[engine], "outlier", 8.0, 300, HalfSteps)
    assert note(f"{engine}: half gradient noise", claim, verdicts["likelihood"])


def _let_through(engine: Synthesizer) -> bool:
    """Whether a model depends on who is in the table, every noisy output being the same."""
    (domain, first, second), _ = PAIRS["in a crowd"]
    plan = _plan(engine, "in a crowd", 8.0)

    def sampled(rows: pa.Table, source: SystemNoise) -> pa.Table:
        return engine.fit(rows, domain, plan, noise=source).sample(5_000, generator=np.random.default_rng(0))

    return told_apart(watched(sampled, whole=True), first, second, noise=partial(Steps, _schedule(plan), ROWS))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_model_is_made_of_what_the_noise_let_through(engine: str) -> None:
    assert not _let_through(ENGINES[engine])


def test_a_generator_that_learns_from_rows_is_convicted() -> None:
    engine = ENGINES["gan"]
    assert _let_through(RealRows(**{f.name: getattr(engine, f.name) for f in fields(engine)}))
