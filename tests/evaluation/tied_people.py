"""People whose columns hang together, and three ways to release them: as they are, as others, with every tie cut."""

import numpy as np
import pandas as pd

from evaluation.base import Comparison, Findings, Metric
from evaluation.run import keyed
from synthgate.domain import Column, Domain, Kind
from synthgate.report import Score

SEED = bytes(32)
PEOPLE = Domain(
    columns=(
        Column(name="sex", kind=Kind.CATEGORICAL, categories=("f", "m"), protected=True),
        Column(name="age", kind=Kind.INTEGER, low=18, high=97, bins=(40, 65), protected=True),
        Column(name="job", kind=Kind.CATEGORICAL, categories=tuple("abcdef"), nullable=True),
        Column(name="first", kind=Kind.FLOAT, low=0.0, high=10.0),
        Column(name="last", kind=Kind.FLOAT, low=0.0, high=20.0),
        Column(name="rich", kind=Kind.BOOLEAN),
    ),
    target="rich",
    other_targets=("last",),
    ordered=(("first", "last"),),
)
"""Job and both numbers follow sex and age; who is rich follows them all."""


def people(size: int, seed: int) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    male = draw.random(size) < 0.4
    age = np.clip(np.round(draw.normal(50, 16, size)), 18, 97)
    job = np.clip(np.floor(age / 18 + male + draw.normal(0, 0.7, size)), 0, 6).astype(int)
    first = np.clip(age / 12 + draw.normal(0, 1, size), 0, 10)
    last = np.clip(first * 1.5 + male + draw.random(size), first, 20)
    rich = last + 2 * male + draw.normal(0, 1.5, size) > 8.5
    jobs = np.array([*"abcdef", "\x00missing"], dtype=object)
    return pd.DataFrame(
        {
            "sex": np.where(male, "m", "f").astype(object),
            "age": age,
            "job": jobs[job],
            "first": first,
            "last": last,
            "rich": np.where(rich, "true", "false").astype(object),
        }
    )


def shuffled(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Every column alone as it was, no two of them together."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame({name: frame[name].to_numpy()[draw.permutation(len(frame))] for name in frame})


def compared(sample: pd.DataFrame, *, domain: Domain = PEOPLE, train: int = 2_000, holdout: int = 1_000) -> Comparison:
    """A sample beside training rows and a holdout of people that are always the same."""
    return Comparison(domain=domain, train=people(train, 1), holdout=people(holdout, 2), sample=sample)


def measured(metric: Metric, comparison: Comparison, seed: bytes = SEED) -> tuple[dict[str, Score], Findings]:
    """The scores by name, and all that was found."""
    found = metric.measure(comparison, generator=keyed(seed, metric.name))
    return {s.name: s for s in found.scores}, found
