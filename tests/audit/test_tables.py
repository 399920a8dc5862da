"""The audit of the table engines: no attack proves more than the plan charges, and planted mistakes are convicted.

The default run plays a fast set; ``make audit`` plays all of it, longer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pyarrow as pa
import pytest

from dp_models.base import FloatArray, IntArray, Plan, Synthesizer
from dp_models.engines import tree
from dp_models.engines.aim import Aim
from dp_models.engines.independent import Independent
from dp_models.engines.mst import Mst
from dp_models.engines.star import Star
from dp_models.engines.tree import Tree
from dp_models.graphical.junction import Clique
from dp_models.graphical.star import Tables
from dp_models.mechanisms.noise import SystemNoise
from synthgate.budget import PrivacyBudget
from synthgate.events import DpEvent, Exponential, Repeated
from tests.audit.bugs import AdaptiveAim, ExactShares, HalfNoise, ReusedNoise, RowBounds, TrueSize, by_true_size
from tests.audit.conftest import Note
from tests.audit.games import Fit, Recorded, Verdict, play, told_apart
from tests.audit.tables import PAIRS

DELTA = 1e-5
ENGINES: dict[str, Synthesizer] = {
    "independent": Independent(),
    "star": Star(),
    "tree": Tree(),
    "mst": Mst(steps=1),
    "aim": Aim(steps=1, faint=0.0),
}
"""Without the last descent, on which no output of a mechanism depends; `aim` with its rounds at every budget."""


@cache
def _plan(engine: Synthesizer, pair: str, epsilon: float) -> Plan:
    domain, *_, max_rows = PAIRS[pair]
    return engine.plan(domain, PAIRS[pair].sizes(max_rows), PrivacyBudget.spend(epsilon, DELTA))


def _audit(
    engine: Synthesizer, pair: str, epsilon: float, games: int, noise: Callable[[], Recorded] = Recorded
) -> tuple[DpEvent, dict[str, Verdict]]:
    """The claim of a plan of that budget, and what each attack makes of it."""
    domain, first, second, _ = PAIRS[pair]
    plan = _plan(engine, pair, epsilon)

    def fit(rows: pa.Table, source: SystemNoise) -> None:
        engine.fit(rows, domain, plan, noise=source)

    return plan.event, play(fit, first, second, games=games, noise=noise)


FAST = [
    *((engine, "in a crowd", 1.0, 24) for engine in ENGINES),
    *(("tree", pair, 1.0, 24) for pair in ("outlier", "three rows")),
    ("independent", "far", 1.0, 24),
    ("independent", "shared value", 8.0, 12),
]
LONG = [
    (engine, pair, epsilon, 120)
    for engine in ENGINES
    for pair in ("in a crowd", "outlier", "three rows", "far", "shared value")
    for epsilon in (1.0, 8.0)
]


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    ("engine", "pair", "epsilon", "games"), [*FAST, *(pytest.param(*one, marks=pytest.mark.slow) for one in LONG)]
)
def test_an_honest_engine_is_within_its_claim(engine: str, pair: str, epsilon: float, games: int, note: Note) -> None:
    claim, verdicts = _audit(ENGINES[engine], pair, epsilon, games)
    assert not note(f"{engine}, {pair}", claim, verdicts["likelihood"])
    assert not any(verdict.breaks(claim) for verdict in verdicts.values())


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    "engine", ["independent", *(pytest.param(e, marks=pytest.mark.slow) for e in ENGINES if e != "independent")]
)
def test_half_the_noise_is_convicted(engine: str, note: Note) -> None:
    claim, verdicts = _audit(ENGINES[engine], "in a crowd", 8.0, 250, HalfNoise)
    assert note(f"{engine}: half noise", claim, verdicts["likelihood"])


@pytest.mark.parametrize("engine", ENGINES)
def test_noise_that_is_used_again_is_convicted(engine: str, note: Note) -> None:
    claim, verdicts = _audit(ENGINES[engine], "in a crowd", 1.0, 30, ReusedNoise)
    assert note(f"{engine}: noise used again", claim, verdicts["coincidences"])


def test_rounds_that_adapt_under_a_frozen_claim_are_convicted(note: Note) -> None:
    claim, verdicts = _audit(AdaptiveAim(steps=1, rounds_per_edge=2.0, faint=0.0), "unrelated", 4.0, 80)
    assert note("aim: rounds adapt", claim, verdicts["likelihood"])


def test_bins_that_span_the_rows_are_convicted(note: Note) -> None:
    claim, verdicts = _audit(RowBounds(), "far", 1.0, 30)
    assert note("independent: bins span the rows", claim, verdicts["likelihood"])


def _rows_depend_on_the_table(engine: Synthesizer, pair: str = "outlier", epsilon: float = 1.0) -> bool:
    domain, first, second, _ = PAIRS[pair]
    plan = _plan(engine, pair, epsilon)

    def sampled(rows: pa.Table, source: SystemNoise) -> pa.Table:
        return engine.fit(rows, domain, plan, noise=source).sample(5_000, generator=np.random.default_rng(0))

    return told_apart(sampled, first, second)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("pair", "epsilon"), [("outlier", 1.0), ("shared value", 8.0)])
def test_a_model_is_made_of_what_the_noise_let_through(engine: str, pair: str, epsilon: float) -> None:
    assert not _rows_depend_on_the_table(ENGINES[engine], pair, epsilon)


def test_the_search_for_single_values_is_played() -> None:
    domain, first, *_ = PAIRS["shared value"]
    noise = Recorded()
    model = Independent().fit(first, domain, _plan(Independent(), "shared value", 8.0), noise=noise)
    assert [atoms.values.tolist() for atoms in model.columns.atoms.values()] == [[47.123456]]


def test_exact_shares_beside_the_noise_are_convicted() -> None:
    assert _rows_depend_on_the_table(ExactShares())


@dataclass
class ChoicesAlone:
    """Tables go through without noise, choices through the noise under audit: for a claim about choices alone."""

    source: SystemNoise | None = None

    def discrete_gaussian(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        return counts.copy()

    def exponential(self, scores: FloatArray, *, epsilon: float, sensitivity: float) -> int:
        assert self.source is not None
        return self.source.exponential(scores, epsilon=epsilon, sensitivity=sensitivity)


def _choices(kind: type[Tables], times: int) -> tuple[Fit[pa.Table], pa.Table, pa.Table]:
    """``times`` choices between two pairs, from predictions that are public constants."""
    domain, first, second, _ = PAIRS["torn"]
    plan = _plan(Mst(), "torn", 8.0)

    counted: dict[int, tuple[Tables, ChoicesAlone]] = {}
    for rows in (first, second):
        noise = ChoicesAlone()
        tables = kind(rows, domain, plan, noise)
        tables.count([(0, 1), (0, 2)])
        counted[id(rows)] = tables, noise
    sizes = counted[id(first)][0].grouped.sizes

    def expected(clique: Clique) -> FloatArray:
        """Independent columns; the heaviest group of a column comes first, and holds nine tenths."""
        return np.outer(*(np.array([0.9, 0.1, 0.0])[: sizes[c]] for c in clique)) * 1_000

    def fit(rows: pa.Table, source: SystemNoise) -> None:
        tables, noise = counted[id(rows)]
        noise.source = source
        for _ in range(times):
            tables.choose([(0, 1), (0, 2)], expected, epsilon=2.0)

    return fit, first, second


CHOICES = Repeated(Exponential(2.0), 3)


def test_choices_by_the_public_size_are_within_their_claim(note: Note) -> None:
    assert not note("choices by the public size", CHOICES, play(*_choices(Tables, 3), games=500)["likelihood"])


def test_choices_by_the_true_size_are_convicted(note: Note) -> None:
    assert note("choices by the true size", CHOICES, play(*_choices(TrueSize, 3), games=800)["likelihood"])


class Told(Recorded):
    """One-way tables are public constants, other tables go through without noise: for a claim about choices alone."""

    def table(self, counts: IntArray, *, sigma: float, sensitivity: int) -> IntArray:
        told = ([100, 900, 0], [900, 100, 0], [900, 100, 0])[len(self.draws) :]
        return np.array(told[0]) if told else counts.copy()


def _choices_of_a_tree(times: int) -> tuple[Fit[FloatArray], FloatArray, FloatArray]:
    """The last choice of a tree, made ``times`` times by its scores on either table: what came before is dictated."""
    domain, first, second, _ = PAIRS["torn"]
    engine, noise = Tree(), Told()
    plan = _plan(engine, "torn", 8.0)
    engine.fit(first, domain, plan, noise=noise)
    there = noise.dictated()
    engine.fit(second, domain, plan, noise=there)
    last = max(i for i, draw in enumerate(noise.draws) if isinstance(draw.output, int))

    def fit(scores: FloatArray, source: SystemNoise) -> None:
        for _ in range(times):
            source.exponential(scores, epsilon=2.0, sensitivity=noise.draws[last].sensitivity)

    return fit, noise.draws[last].centre, there.centres[last]


def test_choices_of_a_tree_by_the_public_size_are_within_their_claim(note: Note) -> None:
    verdicts = play(*_choices_of_a_tree(3), games=500)
    assert not note("tree: choices by the public size", CHOICES, verdicts["likelihood"])


def test_choices_of_a_tree_by_the_true_size_are_convicted(note: Note, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "score", by_true_size)
    verdicts = play(*_choices_of_a_tree(3), games=1_500)
    assert note("tree: choices by the true size", CHOICES, verdicts["likelihood"])
