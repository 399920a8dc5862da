"""The RAND Health Insurance Experiment (public domain, shipped by statsmodels): one row a person, declared by hand."""

from importlib.resources import files

import numpy as np
import pandas as pd

from evaluation.base import Comparison
from evaluation.tables import normalise
from synthgate.domain import Column, Domain, Kind


def _flag(name: str, *, secret: bool = False) -> Column:
    return Column(name=name, kind=Kind.CATEGORICAL, categories=("0", "1"), secret=secret)


DOMAIN = Domain(
    columns=(
        Column(name="mdvis", kind=Kind.INTEGER, low=0, high=200, bins=(1, 2, 3, 4, 5, 7, 10, 15, 25), secret=True),
        Column(name="logc", kind=Kind.FLOAT, low=0.0, high=4.6, bins=(1.0, 3.4, 4.0)),
        _flag("idp"),
        Column(name="lpi", kind=Kind.FLOAT, low=0.0, high=8.0),
        Column(name="fmde", kind=Kind.FLOAT, low=0.0, high=9.0),
        Column(name="disea", kind=Kind.FLOAT, low=0.0, high=60.0, secret=True),
        _flag("hlthg", secret=True),
        _flag("hlthf"),
        _flag("hlthp"),
        _flag("female"),
        Column(name="xage", kind=Kind.INTEGER, low=0, high=70),
        Column(name="educdec", kind=Kind.INTEGER, low=0, high=25, nullable=True, secret=True),
    ),
    target="hlthg",
)


def people() -> pd.DataFrame:
    """5,912 persons, their first year each, normalised."""
    with (files("statsmodels") / "datasets" / "randhie" / "src" / "randhie.csv").open() as stream:
        raw = pd.read_csv(stream)
    first = raw.sort_values(["zper", "year"]).drop_duplicates("zper")
    cells: dict[str, list[object]] = {}
    for column in DOMAIN.columns:
        values = first[column.name]
        if column.kind is Kind.CATEGORICAL:
            cells[column.name] = values.astype(int).astype(str).tolist()
        elif column.kind is Kind.INTEGER:
            cells[column.name] = [None if pd.isna(v) else float(int(v)) for v in values]
        else:
            cells[column.name] = values.tolist()
    return normalise(cells, DOMAIN)


def split(rows: pd.DataFrame, sizes: tuple[int, ...], *, seed: int) -> list[pd.DataFrame]:
    """Disjoint random parts."""
    order = np.random.default_rng(seed).permutation(len(rows))
    ends = np.cumsum(sizes)
    return [rows.iloc[order[end - size : end]].reset_index(drop=True) for size, end in zip(sizes, ends, strict=True)]


def independent(rows: pd.DataFrame, size: int, *, seed: int) -> pd.DataFrame:
    """A generator that keeps each column's shares and no relation between columns."""
    draw = np.random.default_rng(seed)
    return pd.DataFrame({name: draw.choice(rows[name].to_numpy(), size=size) for name in rows.columns})


def comparison(train: pd.DataFrame, holdout: pd.DataFrame, sample: pd.DataFrame) -> Comparison:
    return Comparison(domain=DOMAIN, train=train, holdout=holdout, sample=sample)
