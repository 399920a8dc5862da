"""UCI Adult, where the project's shared data lie beside the checkout (or under ``SYNTHGATE_SHARED_DATA``)."""

import os
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd

from evaluation.tables import normalise
from synthgate.domain import NUMERIC, Domain
from synthgate.schema import read_schema

ROOT = Path(__file__).parents[2]
FILE = Path(os.environ.get("SYNTHGATE_SHARED_DATA", ROOT.parent / "shared" / "data")) / "adult_raw" / "adult_full.csv"
SECRETS = ("income", "hours-per-week", "occupation")


def domain() -> Domain:
    """The declaration of the benchmarks, with three secrets."""
    declared = read_schema(ROOT / "benchmarks" / "domains" / "adult_raw.yaml").domain
    columns = tuple(replace(c, secret=c.name in SECRETS) for c in declared.columns)
    return replace(declared, columns=columns)


@cache
def people() -> pd.DataFrame:
    """48,842 of them, normalised."""
    raw = pd.read_csv(FILE, dtype=str, keep_default_na=False)
    cells = {
        c.name: raw[c.name].astype(float).tolist() if c.kind in NUMERIC else raw[c.name].tolist()
        for c in domain().modelled
    }
    return normalise(cells, domain())
