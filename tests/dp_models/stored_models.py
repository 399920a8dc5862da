"""A model of every kind that can be stored, fitted to the same people; and small ones whose every number is by hand."""

from functools import cache

import numpy as np

from dp_models import registry
from dp_models.base import FloatArray, Synthesizer
from dp_models.encoding.binning import Binning, Columns
from dp_models.engines.gan import Gan
from dp_models.engines.vae import Vae
from dp_models.mechanisms.noise import SystemNoise
from dp_models.stored.registry import KINDS, StoredModel
from dp_models.tables.network import Step, TreeModel
from synthgate.budget import PrivacyBudget
from synthgate.domain import Column, Domain, Kind
from tests.dp_models.private_tables import DOMAIN, people, sizes_of

ENGINES = ("aim", "gan", "independent", "mst", "star", "tree", "vae")
_TRAINED: dict[str, Synthesizer] = {
    "gan": Gan(steps=2, steps_each=1, free_steps=5, generated=256, least_gain=0.0),
    "vae": Vae(steps=2, free_steps=5, most_noise=1e6),
}
"""Those that train by gradients, with very few steps."""


@cache
def fitted(engine: str) -> StoredModel:
    """The engine's model of 1,000 people."""
    synthesizer = _TRAINED.get(engine) or registry.synthesizer(engine)
    plan = synthesizer.plan(DOMAIN, sizes_of(1_000), PrivacyBudget.spend(3.0, 1e-6))
    model = synthesizer.fit(people(1_000), DOMAIN, plan, noise=SystemNoise())
    assert isinstance(model, tuple(KINDS.values()))
    return model


SMALL = Domain(
    columns=(
        Column(name="sex", kind=Kind.CATEGORICAL, categories=("F", "M")),
        Column(name="job", kind=Kind.CATEGORICAL, categories=("a", "b", "c")),
        Column(name="age", kind=Kind.INTEGER, low=0, high=3),
        Column(name="rich", kind=Kind.BOOLEAN),
    ),
    target="rich",
)
RICH = np.array([0.8, 0.2])
JOB = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
"""P(job | rich)."""
SEX = np.array([[0.9, 0.1], [0.5, 0.5], [0.2, 0.8], [0.5, 0.5], [0.0, 1.0], [0.4, 0.6]])
"""P(sex | job, rich), rich the faster."""
AGE = np.array([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]])
"""P(age | rich)."""


def small() -> TreeModel:
    """P(rich) P(job | rich) P(sex | job, rich) P(age | rich), every group a code."""
    codec = Binning(SMALL, 2).codec
    columns = Columns(codec, tuple(np.ones(c.size) for c in codec.columns), (None,) * 4)
    steps = (Step(1, None, JOB), Step(0, 1, SEX), Step(2, None, AGE))
    eyes = [np.append(np.eye(n), np.zeros((n, 1)), axis=1) for n in (2, 3, 4, 2)]
    within = tuple(eye if i == 3 else np.repeat(eye, 2, axis=0) for i, eye in enumerate(eyes))
    return TreeModel(columns, 3, RICH, steps, within)


def joint() -> FloatArray:
    """P(sex, job, age, rich), multiplied out."""
    return np.asarray(np.einsum("r,rj,jrs,ra->sjar", RICH, JOB, SEX.reshape(3, 2, 2), AGE))


class Rejected:
    """The same model without `given`, so that it is sampled by rejection."""

    def __init__(self, model: StoredModel) -> None:
        self.columns, self.codes, self.parts = model.columns, model.codes, model.parts
        self.from_parts, self.sample = model.from_parts, model.sample
