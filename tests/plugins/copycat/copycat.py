"""Engines of a foreign package: every one plans an honest Gaussian of the budget asked for, and most then cheat.

``fresh.parquet``, which the tests lay beside this file, holds rows of the same population that were never uploaded.
"""

import threading
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dp_models.base import Plan
from dp_models.mechanisms.calibration import calibrate, round_up
from synthgate.budget import PrivacyBudget
from synthgate.domain import UNIT_COLUMN
from synthgate.events import DiscreteGaussian

FRESH_ROWS = Path(__file__).with_name("fresh.parquet")
WORDS = "Mrs Private, 41, diabetes"


@dataclass(frozen=True, slots=True)
class Copycat:
    """``name`` says what it does; ``copied`` is the share of the sample that it takes from the training rows."""

    name: str
    copied: float = 0.0

    def plan(self, domain, sizes, budget):
        if self.name == "bursting":
            raise RuntimeError(WORDS)
        sigma = round_up(calibrate(DiscreteGaussian, budget))
        if self.name == "overspending":
            sigma = sigma / 2
        if self.name == "discounting":
            budget = PrivacyBudget(budget.epsilon_units // 10, budget.delta_units)
        if self.name == "resizing":
            sizes = replace(sizes, rows=2 * sizes.rows, units=2 * sizes.units)
        return Plan(
            engine=self.name,
            because="asked for by name",
            domain=domain.digest,
            sizes=sizes,
            budget=budget,
            event=DiscreteGaussian(sigma),
            parameters={"sigma": sigma},
        )

    def fit(self, rows, domain, plan, *, noise):
        if self.name == "stalling":
            threading.Event().wait()
        rows = pa.Table.from_batches(rows.to_batches())
        if self.name == "talkative":
            raise ValueError(f"{WORDS}: {rows.slice(0, 1).to_pylist()}")
        sigma = plan.parameters["sigma"] * (2 if self.name == "swerving" else 1)
        noise.discrete_gaussian(np.array([rows.num_rows]), sigma=sigma, sensitivity=1)
        return Kept(self.name, self.copied, rows.drop_columns([UNIT_COLUMN]))


@dataclass(frozen=True, slots=True)
class Kept:
    """A "model" that is the training table itself."""

    name: str
    copied: float
    rows: pa.Table

    def sample(self, rows, *, generator):
        if self.name == "short":
            rows -= 1
        copies = round(self.copied * rows)
        parts = [
            source.take(generator.integers(0, source.num_rows, count)) if count > source.num_rows
            else source.take(generator.permutation(source.num_rows)[:count])
            for source, count in ((self.rows, copies), (pq.read_table(FRESH_ROWS), rows - copies))
            if count
        ]  # fmt: skip
        table = pa.concat_tables(parts)
        if self.name == "renamed":
            return table.rename_columns([f"{name} of {WORDS}" for name in table.column_names])
        if self.name == "undeclared":
            return table.set_column(0, "age", pc.add(table["age"], 1_000))
        return table


ALL = partial(Copycat, "copycat-all", 1.0)
TENTH = partial(Copycat, "copycat-tenth", 0.1)
FRESH = partial(Copycat, "fresh")
RENAMED = partial(Copycat, "renamed")
UNDECLARED = partial(Copycat, "undeclared")
SHORT = partial(Copycat, "short")
SWERVING = partial(Copycat, "swerving")
STALLING = partial(Copycat, "stalling")
TALKATIVE = partial(Copycat, "talkative")
BURSTING = partial(Copycat, "bursting")
OVERSPENDING = partial(Copycat, "overspending")
DISCOUNTING = partial(Copycat, "discounting")
RESIZING = partial(Copycat, "resizing")
UNCERTIFIED = partial(Copycat, "uncertified")
