"""The attacks beside anonymeter's own, on Adult: 15 columns, 19,500 rows a table, 2,000 attacks a side.

Both do the same work on the same tables: singling out univariate and with two, three and four columns, linkability of
two halves of the columns, and the inference of every column from the 14 others, each on training and on control units.
Released rows are made of two training rows each (seven cells in ten of one of them) and hold every column's least and
greatest value, so that the range that anonymeter observes is the one declared here. anonymeter runs as it comes
(``n_jobs=-2``); its predictor keeps the distances of the two nearest rows for the comparison. Both are warmed up on
small tables first, so that no compilation is counted.

``equal`` says that all distances agree within `ROUNDING` and that all guesses agree where one released row alone is
nearest. Ends with one line of JSON, also in ``benchmarks/results/attacks.json``.

    .venv/bin/python benchmarks/attacks.py                 # about five minutes
    .venv/bin/python benchmarks/attacks.py --evaluation    # the whole default evaluation of 20,000 rows x 15 columns
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator
from anonymeter.neighbors.mixed_types_kneighbors import KNNInferencePredictor, MixedTypeKNeighbors
from tables import DATA, RESULTS, canonical, prepare

from evaluation.base import Comparison, Metric
from evaluation.margin import margin
from evaluation.risk.attack import MAX_CANDIDATES, Targets, targets
from evaluation.risk.inference import Inference, guessed_from
from evaluation.risk.linkability import Linkability
from evaluation.risk.neighbours import encode, search
from evaluation.risk.queries import naive_queries, plain
from evaluation.risk.queries import search as search_queries
from evaluation.risk.singling_out import COLUMN_COUNTS, multivariate, told, univariate
from evaluation.run import compare
from evaluation.tables import normalise
from synthgate.dataset import PublicSizes
from synthgate.domain import NUMERIC, Domain, Role
from synthgate.policy import DEFAULT_POLICY, EPSILON

ROWS = 19_500
ATTACKS = 2_000
ROUNDING = 1e-9
ATTEMPTS = 5
"""Random attempts that anonymeter is given for each multivariate query wanted. By its own default it would make ten
million, some hours; ours makes a hundred and then searches the whole space, so the bound is in anonymeter's favour."""
SEED = b"benchmark of attacks"
SIGMA = 21.5
"""The noise of an accounted verdict at epsilon 1; no work hangs on it."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Training, control and released rows, normalised, and their domain with the bounds that are observed."""

    domain: Domain
    train: pd.DataFrame
    control: pd.DataFrame
    sample: pd.DataFrame

    def comparison(self) -> Comparison:
        return Comparison(domain=self.domain, train=self.train, holdout=self.control, sample=self.sample)


def adult() -> tuple[Domain, pd.DataFrame]:
    """All 48,842 rows in a fixed random order."""
    domain = prepare("adult_raw").domain
    text = pd.read_csv(DATA / "adult_raw" / "adult_full.csv", dtype=str, keep_default_na=False)
    table = canonical(domain, text.sample(frac=1.0, random_state=0))
    return domain, normalise({c.name: table.column(c.name) for c in domain.modelled}, domain)


def mixed(train: pd.DataFrame, rows: int, *, generator: np.random.Generator) -> pd.DataFrame:
    """Rows of which each takes seven cells in ten of one training row and the others of a second one."""
    one, other = generator.integers(len(train), size=(2, rows))
    first = generator.random((rows, train.shape[1])) < 0.7
    cells = {
        name: np.where(first[:, i], train[name].to_numpy()[one], train[name].to_numpy()[other])
        for i, name in enumerate(train.columns)
    }
    return pd.DataFrame(cells)


def tables(rows: int) -> Tables:
    domain, people = adult()
    train, control = people.iloc[:rows].reset_index(drop=True), people.iloc[rows : 2 * rows].reset_index(drop=True)
    sample = mixed(train, rows, generator=np.random.default_rng(1))
    columns = []
    for column in domain.columns:
        if column.kind in NUMERIC:
            low, high = (int(f(np.append(train[column.name], control[column.name]))) for f in (np.min, np.max))
            sample.loc[[0, 1], column.name] = float(low), float(high)
            column = replace(column, low=low, high=high, bins=())
        columns.append(replace(column, role=Role.AUXILIARY, secret=True))
    names = [c.name for c in columns]
    return Tables(Domain(columns=tuple(columns), link=(tuple(names[::2]), tuple(names[1::2]))), train, control, sample)


class Recording(KNNInferencePredictor):
    """anonymeter's predictor, which keeps what it finds: by target, the guess and the two least distances."""

    def __init__(self, data: pd.DataFrame, columns: list[str], secret: str) -> None:
        super().__init__(data=data, columns=columns, target_col=secret, n_jobs=-2)
        self.found: list[pd.DataFrame] = []

    def predict(self, x: pd.DataFrame) -> pd.Series:
        distances, places = self._nn.kneighbors(x[self._columns], n_neighbors=2, return_distance=True)
        guesses = pd.Series(self._target_series.to_numpy()[places[:, 0]], index=x.index)
        self.found.append(
            pd.DataFrame({"guess": guesses, "least": distances[:, 0], "second": distances[:, 1]}, index=x.index)
        )
        return guesses


def theirs(data: Tables, attacks: int) -> tuple[dict[str, Callable[[], Any]], dict[str, Recording]]:
    """Every attack of the set by anonymeter, and the predictors of inference by secret."""
    names = list(data.train.columns)
    first, second = (list(half) for half in data.domain.halves)
    both = {"ori": data.train, "syn": data.sample, "control": data.control, "n_attacks": attacks}
    predictors = {s: Recording(data.sample, [n for n in names if n != s], s) for s in names}

    def singling_out(mode: str, width: int) -> Any:
        evaluator = SinglingOutEvaluator(**both, n_cols=width, seed=0, max_attempts=ATTEMPTS * attacks)
        return evaluator.evaluate(mode=mode)

    def inference() -> None:
        for secret, predictor in predictors.items():
            known = [n for n in names if n != secret]
            numeric = data.domain[secret].kind in NUMERIC
            targets = {"ori": data.train.iloc[:attacks], "control": data.control.iloc[:attacks]}
            InferenceEvaluator(
                **both | targets, aux_cols=known, secret=secret, regression=numeric, inference_model=predictor
            ).evaluate()

    work: dict[str, Callable[[], Any]] = {"singling out, 1 column": lambda: singling_out("univariate", 1)}
    for width in COLUMN_COUNTS:
        work[f"singling out, {width} columns"] = lambda width=width: singling_out("multivariate", width)
    work["linkability"] = lambda: LinkabilityEvaluator(**both, aux_cols=(first, second)).evaluate()
    work[f"inference of {len(names)} secrets"] = inference
    return work, predictors


def ours(data: Tables, attacks: int) -> dict[str, Callable[[], Any]]:
    """The same by the metrics of the evaluation; each number of columns prepares its tables alone, as there."""
    comparison = data.comparison()

    def measured(metric: Metric) -> Callable[[], Any]:
        return lambda: metric.measure(comparison, generator=np.random.default_rng(0))

    def singling_out(width: int) -> Any:
        generator = np.random.default_rng(0)
        sides = targets(comparison, generator=generator, most=MAX_CANDIDATES)
        frames = [plain(frame, data.domain) for frame in (sides.main, sides.control)]
        whole = plain(data.sample, data.domain).unique(maintain_order=True)
        found = (
            univariate(whole, attacks, generator=generator)
            if width == 1
            else multivariate(whole, attacks, width=width, generator=generator)
        )
        return told("risk.singling_out", found, frames, naive_queries(whole, attacks, width, generator=generator), "")

    work: dict[str, Callable[[], Any]] = {"singling out, 1 column": lambda: singling_out(1)}
    for width in COLUMN_COUNTS:
        work[f"singling out, {width} columns"] = lambda width=width: singling_out(width)
    work["linkability"] = measured(Linkability())
    work[f"inference of {len(data.train.columns)} secrets"] = measured(Inference())
    return work


def timed(work: dict[str, Callable[[], Any]]) -> dict[str, dict[str, float]]:
    """Wall and processor seconds of each."""
    out = {}
    for name, call in work.items():
        wall, processor = time.perf_counter(), time.process_time()
        call()
        out[name] = {
            "seconds": round(time.perf_counter() - wall, 3),
            "cpu_seconds": round(time.process_time() - processor, 3),
        }
        print(f"  {name}: {out[name]}", flush=True)
    return out


def agreed(data: Tables, predictors: dict[str, Recording], attacks: int) -> dict[str, Any]:
    """How our distances and guesses compare with those that anonymeter found, and with its halves' distances."""
    sides = Targets(main=data.train.iloc[:attacks], control=data.control.iloc[:attacks])
    names = tuple(data.train.columns)
    guesses = guessed_from(sides, data.sample, data.domain, names)
    distances = unequal = unique = wrong = 0
    largest = 0.0
    for side, frame in enumerate((sides.main, sides.control)):
        least = search(encode(frame, data.sample, data.domain, names), list(range(len(names)))).distances
        for i, secret in enumerate(names):
            found = predictors[secret].found[side].sort_index()
            gap = np.abs(least[i] - found["least"].to_numpy())
            alone = (found["second"] - found["least"]).to_numpy() > ROUNDING
            mine = data.sample[secret].to_numpy()[guesses[secret][side]]
            distances, unequal = distances + len(gap), unequal + int((gap > ROUNDING).sum())
            unique, wrong = unique + int(alone.sum()), wrong + int((mine != found["guess"].to_numpy())[alone].sum())
            largest = max(largest, float(gap.max()))
        for half in data.domain.halves:
            known = list(half)
            searched = MixedTypeKNeighbors(n_neighbors=2).fit(data.sample[known])
            two, places = searched.kneighbors(frame[known], return_distance=True)
            mine_half = search(encode(frame, data.sample, data.domain, half), [None])
            gap = np.abs(mine_half.distances[0] - two[:, 0])
            alone = two[:, 1] - two[:, 0] > ROUNDING
            distances, unequal = distances + len(gap), unequal + int((gap > ROUNDING).sum())
            unique, wrong = unique + int(alone.sum()), wrong + int((mine_half.places[0] != places[:, 0])[alone].sum())
            largest = max(largest, float(gap.max()))
    return {"equal": unequal == 0 and wrong == 0, "distances": distances, "unequal_distances": unequal,
            "largest_difference": largest, "unique_guesses": unique, "unequal_guesses": wrong}  # fmt: skip


def attacks(rows: int, count: int) -> dict[str, Any]:
    small = tables(max(300, count // 10))
    warm, _ = theirs(small, 20)
    for call in (*warm.values(), *ours(small, 20).values()):
        call()
    search_queries(plain(small.sample, small.domain), 2, generator=np.random.default_rng(0))
    data = tables(rows)
    print("ours", flush=True)
    mine = timed(ours(data, count))
    print("anonymeter", flush=True)
    work, predictors = theirs(data, count)
    other = timed(work)
    total = {name: round(sum(t["seconds"] for t in each.values()), 3) for name, each in
             (("ours", mine), ("anonymeter", other))}  # fmt: skip
    processor = {name: round(sum(t["cpu_seconds"] for t in each.values()), 3) for name, each in
                 (("ours", mine), ("anonymeter", other))}  # fmt: skip
    return {
        "rows": rows,
        "columns": len(data.train.columns),
        "attacks": count,
        "speedup": round(total["anonymeter"] / total["ours"], 1),
        "speedup_cpu": round(processor["anonymeter"] / processor["ours"], 1),
        **agreed(data, predictors, count),
        "seconds": {"ours": mine, "anonymeter": other, "total": total, "total_cpu": processor},
    }


def evaluation(rows: int) -> dict[str, Any]:
    """The default evaluation of so many rows, a fifth held out, every column a secret, from frames in memory: the
    margin of the default policy's accounted verdict, and then the report.

    Compilation is counted, and the processor seconds are those of the whole process, imports included.
    """
    declared, people = adult()
    domain = replace(declared, columns=tuple(replace(column, secret=True) for column in declared.columns))
    train, holdout = people.iloc[: rows * 4 // 5], people.iloc[rows * 4 // 5 : rows]
    sample = mixed(train, rows, generator=np.random.default_rng(1))
    comparison = Comparison(
        domain=domain, train=train.reset_index(drop=True), holdout=holdout.reset_index(drop=True), sample=sample
    )
    rules = tuple(rule for rule in DEFAULT_POLICY.concrete(domain) if rule.score != EPSILON)
    start = time.perf_counter()
    print(f"  margin of {len(rules)} rules", flush=True)
    margin(comparison, rules, PublicSizes(rows=rows, units=rows), sigma=SIGMA, seed=SEED)
    decided = time.perf_counter()
    report = compare(comparison, seed=SEED, progress=lambda name: print(f"  {name}", flush=True))
    ended = time.perf_counter()
    return {"rows": rows, "columns": len(domain.modelled), "secrets": len(domain.secrets),
            "margin_seconds": round(decided - start, 2), "compare_seconds": round(ended - decided, 2),
            "seconds": round(ended - start, 2), "cpu_seconds": round(time.process_time(), 2),
            "metrics": {name: round(s, 2) for name, s in report.seconds.items()}}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--attacks", type=int, default=ATTACKS)
    parser.add_argument("--evaluation", action="store_true", help="time the whole default evaluation instead")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    RESULTS.mkdir(parents=True, exist_ok=True)
    found = evaluation(20_000) if asked.evaluation else attacks(asked.rows, asked.attacks)
    name = "evaluation.json" if asked.evaluation else "attacks.json"
    (RESULTS / name).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
