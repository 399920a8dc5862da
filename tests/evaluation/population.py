"""A made-up population of any size: twelve columns that hang together, unique rows, guesses that are seldom right."""

import numpy as np
import pandas as pd

from evaluation.base import Comparison
from evaluation.tables import normalise
from synthgate.domain import NUMERIC, Column, Domain, Kind


def _categories(name: str, size: int, *, secret: bool = False) -> Column:
    return Column(name=name, kind=Kind.CATEGORICAL, categories=tuple(f"{name}{i}" for i in range(size)), secret=secret)


DOMAIN = Domain(
    columns=(
        Column(name="age", kind=Kind.INTEGER, low=17, high=90),
        Column(name="income", kind=Kind.FLOAT, low=0.0, high=300.0),
        Column(name="hours", kind=Kind.INTEGER, low=0, high=80),
        _categories("region", 12),
        _categories("job", 10),
        _categories("school", 8),
        Column(name="height", kind=Kind.FLOAT, low=140.0, high=210.0),
        Column(name="weight", kind=Kind.FLOAT, low=35.0, high=160.0),
        _categories("sex", 2),
        Column(name="wealth", kind=Kind.FLOAT, low=0.0, high=1000.0, secret=True),
        Column(name="visits", kind=Kind.INTEGER, low=0, high=200, secret=True),
        _categories("code", 40, secret=True),
    ),
    target="sex",
)


def people(size: int, *, seed: int) -> pd.DataFrame:
    """Rows of people nobody is, normalised."""
    draw = np.random.default_rng(seed)
    state, body = draw.normal(size=(2, size))

    def level(share: float) -> np.ndarray:
        """A uniform variable that goes along with the person's state."""
        mixed = share * state + (1 - share**2) ** 0.5 * draw.normal(size=size)
        return np.clip((mixed + 3) / 6, 0, 0.999999)

    def named(name: str, places: np.ndarray) -> list[str]:
        return [f"{name}{i}" for i in places.astype(int)]

    sex = draw.integers(0, 2, size)
    cells = {
        "age": np.floor(17 + 74 * level(0.5)),
        "income": np.clip(np.exp(3.5 + 0.6 * state + 0.4 * draw.normal(size=size)), 0, 300).round(2),
        "hours": np.floor(81 * level(0.4)),
        "region": named("region", draw.integers(0, 12, size)),
        "job": named("job", 10 * level(0.8)),
        "school": named("school", 8 * level(0.7)),
        "height": np.clip(165 + 12 * sex + 7 * body, 140, 210).round(1),
        "weight": np.clip(60 + 14 * sex + 9 * body + 6 * draw.normal(size=size), 35, 160).round(1),
        "sex": named("sex", sex),
        "wealth": np.clip(np.exp(4 + 0.8 * state + 0.8 * draw.normal(size=size)), 0, 1000).round(1),
        "visits": np.clip(draw.gamma(2, 15, size) * np.exp(0.3 * state), 0, 200).round(),
        "code": named("code", 40 * level(0.6)),
    }
    return normalise({name: list(values) for name, values in cells.items()}, DOMAIN)


def independent(rows: pd.DataFrame, size: int, *, seed: int) -> pd.DataFrame:
    """A generator that keeps each column's shares and no relation between columns."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame({name: draw.choice(rows[name].to_numpy(), size=size) for name in rows.columns})


def jittered(rows: pd.DataFrame, *, seed: int, domain: Domain = DOMAIN) -> pd.DataFrame:
    """Every number moved up or down by the width of a bin (the narrowest, where they differ), and clamped."""
    draw, out = np.random.default_rng(seed), rows.copy()
    for column in domain.modelled:
        if column.kind in NUMERIC:
            edges = np.array(column.edges)
            step = np.diff(edges).min()
            moved = rows[column.name] + step * draw.choice([-1.0, 1.0], size=len(rows))
            out[column.name] = np.clip(moved, edges[0], edges[-1])
    return out


def outlying(rows: pd.DataFrame) -> pd.DataFrame:
    """The twentieth of the rows that is the farthest from all others in numbers."""
    numbers = rows.select_dtypes("number")
    scores = ((numbers - numbers.mean()) / numbers.std()).abs().max(axis=1)
    return rows.iloc[np.argsort(scores.to_numpy())[-len(rows) // 20 :]]


def leaking(rows: pd.DataFrame, secret: str, *, seed: int, domain: Domain = DOMAIN) -> pd.DataFrame:
    """The rows, in which every number but the leaked secret is moved by a bin and other secrets are somebody else's:
    nobody's row is copied, and one secret is told."""
    shuffled = np.random.default_rng(seed).permutation(len(rows))
    foreign = {s: rows[s].to_numpy()[shuffled] for s in domain.secrets if s != secret}
    return jittered(rows, seed=seed, domain=domain).assign(**{secret: rows[secret], **foreign})


def comparison(train: pd.DataFrame, holdout: pd.DataFrame, sample: pd.DataFrame) -> Comparison:
    return Comparison(domain=DOMAIN, train=train, holdout=holdout, sample=sample)
