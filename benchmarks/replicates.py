"""How often 90 % intervals from replicates cover the truth: 200 simulated populations, and the same by two wrong ways.

A population is drawn at random each time (a group of three, an age of ten given the group, an illness by a logistic
model of both, a pay between 0 and 100 given the group), then a table of ``--rows`` rows of it, of which each is trained
on with a chance of four fifths, as the gateway splits, at ``--epsilon`` and delta 1e-6. From ``--replicates``
replicates, combined as `synthgate.inference` does, come intervals for two means, a share, two two-way shares and a
regression slope, whose true values are known exactly. Beside ``replicates`` stand ``plain``, samples of the one fitted
model combined by the same rules (no posterior noise), and ``naive``, its first sample taken for real rows.

With ``--table adult_raw`` the 32,561 rows of Adult are the population of every run, and tables are drawn from it with
replacement: fifteen columns whose relations no engine's tables hold entirely, numbers in wide bins. With ``--table
randhie`` they are people of the RAND Health Insurance Experiment, and the estimates five means. ``off by`` says how far
the middles of the intervals lie from the truth, on average.

With 200 populations a share of 0.90 has a standard error of 0.021. An engine is measured on what its tables say:
``group_age`` is a pair without the target, which ``star`` does not buy, and ``independent`` buys no pairs at all; those
figures are left out of ``least``, the smallest coverage among the rest. Ends with one line of JSON, also in
``benchmarks/results/replicates.json``.

    .venv/bin/python benchmarks/replicates.py                        # all five engines, some minutes each
    .venv/bin/python benchmarks/replicates.py --engines tree --populations 50 --table adult_raw
    .venv/bin/python benchmarks/replicates.py --engines tree --populations 60 --rows 5912 --table randhie
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tables import RESULTS, prepare

from dp_models.base import FloatArray
from dp_models.encoding.table import private_schema
from dp_models.mechanisms.noise import SystemNoise
from dp_models.registry import synthesizer
from dp_models.stored.replicates import replicates
from synthgate.budget import PrivacyBudget
from synthgate.dataset import HOLDOUT_SHARE, PublicSizes
from synthgate.domain import UNIT_COLUMN, Column, Domain, Kind
from synthgate.inference import Estimate, combine

ENGINES = ("independent", "star", "tree", "mst", "aim")
ONE_WAY = ("mean_age", "mean_pay", "share_ill")
WITH_TARGET = (*ONE_WAY, "group_ill", "slope_ill_age")
MEASURED = {"independent": ONE_WAY, "star": WITH_TARGET}
"""The estimates that an engine's tables speak of; the other engines' speak of all, where their choices fall so."""
Hit = tuple[bool, float, float]
AGES = 10
SIMULATED = "simulated"
DOMAIN = Domain(
    columns=(
        Column(name="group", kind=Kind.CATEGORICAL, categories=("a", "b", "c")),
        Column(name="age", kind=Kind.INTEGER, low=0, high=AGES - 1),
        Column(name="pay", kind=Kind.FLOAT, low=0.0, high=100.0),
        Column(name="ill", kind=Kind.BOOLEAN),
    ),
    target="ill",
)


class Population:
    """Probabilities (group, age, ill) and the shape of pay in each group."""

    domain = DOMAIN

    def __init__(self, generator: np.random.Generator) -> None:
        group = generator.dirichlet([8.0, 8.0, 8.0])
        tilt = generator.normal(0.0, 0.15, 3)
        age = np.exp(-0.5 * ((np.arange(AGES) - 4.5) / 3) ** 2 + tilt[:, None] * (np.arange(AGES) - 4.5))
        age /= age.sum(axis=1, keepdims=True)
        logit = -0.8 + generator.normal(0.15, 0.05) * (np.arange(AGES) - 4.5) + generator.normal(0, 0.5, 3)[:, None]
        ill = 1 / (1 + np.exp(-logit))
        self.joint = (group[:, None] * age)[:, :, None] * np.stack([1 - ill, ill], axis=2)
        self.shape = generator.uniform(2.0, 6.0, (3, 2))

    def table(self, rows: int, generator: np.random.Generator) -> pa.Table:
        cells = generator.choice(self.joint.size, rows, p=self.joint.ravel())
        group, age, ill = np.unravel_index(cells, self.joint.shape)
        pay = 100 * generator.beta(*self.shape[group].T)
        columns = [np.array(["a", "b", "c"])[group], age, pay, ill.astype(bool), np.arange(rows)]
        return pa.Table.from_arrays([pa.array(c) for c in columns], names=private_schema(DOMAIN).names).cast(
            private_schema(DOMAIN)
        )

    def truth(self) -> dict[str, float]:
        ages, by_age = np.arange(AGES), self.joint.sum(axis=0)
        share, mean = by_age[:, 1].sum(), float(by_age.sum(axis=1) @ ages)
        spread = by_age.sum(axis=1) @ (ages - mean) ** 2
        pay = 100 * self.shape[:, 0] / self.shape.sum(axis=1)
        return {
            "mean_age": mean,
            "mean_pay": float(self.joint.sum(axis=(1, 2)) @ pay),
            "share_ill": float(share),
            "group_ill": float(self.joint[0, :, 1].sum()),
            "slope_ill_age": float(by_age[:, 1] @ (ages - mean) / spread),
            "group_age": float(self.joint[0, AGES // 2 :, :].sum()),
        }

    def estimates(self, table: pa.Table) -> dict[str, Estimate]:
        """What an analyst makes of a table of independent rows."""
        age, pay, ill = (table[c].to_numpy().astype(float) for c in ("age", "pay", "ill"))
        first = table["group"].to_numpy() == "a"
        means = {
            "mean_age": age, "mean_pay": pay, "share_ill": ill, "group_ill": first * ill,
            "group_age": first * (age >= AGES // 2),
        }  # fmt: skip
        return {**{name: mean(x) for name, x in means.items()}, "slope_ill_age": slope(age, ill)}


class Real:
    """The rows of a public table, each as likely as any other."""

    def __init__(self, name: str) -> None:
        prepared = prepare(name)
        self.domain, self._rows = prepared.domain, pq.read_table(prepared.rows)
        self.estimates = REAL[name]

    def table(self, rows: int, generator: np.random.Generator) -> pa.Table:
        taken = self._rows.take(pa.array(generator.integers(0, self._rows.num_rows, rows)))
        return taken.set_column(taken.num_columns - 1, UNIT_COLUMN, pa.array(np.arange(rows)))

    def truth(self) -> dict[str, float]:
        return {name: e.value for name, e in self.estimates(self._rows).items()}


def means(table: pa.Table, names: tuple[str, ...]) -> dict[str, Estimate]:
    return {f"mean {name}": mean(table[name].to_numpy().astype(float)) for name in names}


def rand_hie(table: pa.Table) -> dict[str, Estimate]:
    """Plain means, the first of a count of visits: below five for most, up to 77, in declared bounds of 0 to 200."""
    return means(table, ("mdvis", "xage", "disea", "num", "lpi"))


def adult(table: pa.Table) -> dict[str, Estimate]:
    numbers = ("age", "education-num", "hours-per-week")
    rich = (table["income"].to_numpy() == ">50K").astype(float)
    female = table["sex"].to_numpy() == "Female"
    married = table["marital-status"].to_numpy() == "Married-civ-spouse"
    found = means(table, (*numbers, "capital-gain"))
    found |= {"rich": mean(rich), "rich women": mean(rich * female), "married women": mean(1.0 * female * married)}
    slopes = {f"slope rich {name}": slope(table[name].to_numpy().astype(float), rich) for name in numbers}
    return {**found, **slopes}


REAL = {"adult_raw": adult, "randhie": rand_hie}


def mean(x: FloatArray) -> Estimate:
    return Estimate(float(x.mean()), float(x.var() / len(x)))


def slope(x: FloatArray, y: FloatArray) -> Estimate:
    """Of a linear regression of ``y`` on ``x``, with White's variance (1980)."""
    centred = x - x.mean()
    found = float(centred @ y / (centred @ centred))
    left = y - y.mean() - found * centred
    return Estimate(found, float(centred**2 @ left**2 / (centred @ centred) ** 2))


def covered(engine: str, number: int, asked: argparse.Namespace) -> dict[str, dict[str, Hit]]:
    """Whether each way's interval covers, how wide it is, and how far its middle is off, for one population."""
    generator = np.random.default_rng([number, 2023])
    population: Population | Real = Population(generator) if asked.table == SIMULATED else Real(asked.table)
    domain = population.domain
    sizes = PublicSizes(rows=asked.rows, units=asked.rows)
    plan = synthesizer(engine).plan(domain, sizes, PrivacyBudget.spend(asked.epsilon, 1e-6))
    rows = population.table(generator.binomial(asked.rows, 1 - HOLDOUT_SHARE), generator)
    model: Any = synthesizer(engine).fit(rows, domain, plan, noise=SystemNoise())
    drawn = replicates(model, count=asked.replicates, rows=asked.rows, seed=number.to_bytes(32, "big"))
    ways: dict[str, list[dict[str, Estimate]]] = {
        "replicates": [population.estimates(t) for t in drawn],
        "plain": [population.estimates(model.sample(asked.rows, generator=generator)) for _ in range(asked.replicates)],
    }
    ratio = asked.rows / sizes.train_rows
    found: dict[str, dict[str, Hit]] = {way: {} for way in (*ways, "naive")}
    for name, true in population.truth().items():
        for way, made in ways.items():
            low, high = combine((e[name] for e in made), rows_ratio=ratio).interval(0.9)
            found[way][name] = (low <= true <= high, high - low, (low + high) / 2 - true)
        one = ways["plain"][0][name]
        half = 1.6449 * one.variance**0.5
        found["naive"][name] = (abs(one.value - true) <= half, 2 * half, one.value - true)
    return found


def summary(runs: list[dict[str, dict[str, Hit]]], names: tuple[str, ...]) -> dict[str, Any]:
    def over(way: str, take: Callable[[Hit], float]) -> dict[str, float]:
        return {name: round(float(np.mean([take(r[way][name]) for r in runs])), 4) for name in runs[0][way]}

    coverage = {way: over(way, lambda hit: float(hit[0])) for way in runs[0]}
    width = {way: over(way, lambda hit: hit[1]) for way in runs[0]}
    off = over("replicates", lambda hit: hit[2])
    return {"coverage": coverage, "width": width, "off": off, "least": min(coverage["replicates"][n] for n in names)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=ENGINES, help="engines (default: all)")
    tables = (SIMULATED, *REAL)
    parser.add_argument("--table", default=SIMULATED, choices=tables, help="the population (default: simulated ones)")
    parser.add_argument("--populations", type=int, default=200, help="simulated populations (default: 200)")
    parser.add_argument("--rows", type=int, default=5_000, help="public rows of each table (default: 5000)")
    parser.add_argument("--epsilon", type=float, default=1.0, help="epsilon of the fit (default: 1)")
    parser.add_argument("--replicates", type=int, default=10, help="replicates of each (default: 10)")
    asked = parser.parse_args()
    found = {}
    for engine in asked.engines:
        runs = [covered(engine, number, asked) for number in range(asked.populations)]
        every = tuple(runs[0]["replicates"])
        found[engine] = summary(runs, MEASURED.get(engine, every) if asked.table == SIMULATED else every)
        for way, shares in found[engine]["coverage"].items():
            print(f"{engine:12s} {way:11s} {json.dumps(shares)}", flush=True)
        print(f"{engine:12s} off by      {json.dumps(found[engine]['off'])}", flush=True)
    document = {**vars(asked), "level": 0.9, "by_engine": found}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "replicates.json").write_text(json.dumps(document, indent=2) + "\n")
    coverage = {e: {"least": f["least"], **f["coverage"]["replicates"]} for e, f in found.items()}
    plain = {e: f["coverage"]["plain"] for e, f in found.items()}
    print(
        json.dumps(
            {"populations": asked.populations, "table": asked.table, "level": 0.9, "coverage": coverage, "plain": plain}
        )
    )


if __name__ == "__main__":
    main()
