"""The accounted verdict as the audit sees it: neighbouring tables on which its counts show most, and mistakes."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest

from dp_models.base import Noise, VerdictShare
from evaluation import margin as margins
from evaluation import per_unit
from evaluation.base import Comparison, Units
from evaluation.chosen import Chosen, chosen
from evaluation.margin import margin
from evaluation.risk.neighbours import Encoded, encode
from server.jobs.evaluate import noisy
from synthgate.accounted import attack_targets
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind, Role
from synthgate.policy import COPIES, Rule

SEED = b"the seed of an audit"
LEFT = PrivacyBudget.spend(1.0, 1e-6)
DOMAIN = Domain(
    columns=(
        Column(name="x", kind=Kind.FLOAT, low=0.0, high=1_000.0),
        Column(name="y", kind=Kind.FLOAT, low=0.0, high=10.0),
        Column(name="ill", kind=Kind.BOOLEAN, role=Role.SENSITIVE, secret=True),
    )
)
INFERENCE = (Rule(score="risk.inference.ill", at_most=0.09),)
Pair = tuple[Comparison, Comparison]


class Judge:
    """The whole verdict but the rounding to a bit: whoever sees the noisy margin sees more. A margin is computed once
    for each table."""

    def __init__(self, rules: tuple[Rule, ...], sizes: PublicSizes, sigma: float) -> None:
        self.rules, self.sizes, self.share = rules, sizes, VerdictShare(sigma=sigma, left=LEFT)
        self._known: dict[int, int] = {}

    def exact(self, comparison: Comparison) -> int:
        if id(comparison) not in self._known:
            found = margin(comparison, self.rules, self.sizes, sigma=self.share.sigma, seed=SEED)
            self._known[id(comparison)] = found.value
        return self._known[id(comparison)]

    def __call__(self, comparison: Comparison, noise: Noise) -> None:
        noisy(self.exact(comparison), self.share, noise)


def rows(x: npt.ArrayLike, y: npt.ArrayLike, ill: str) -> pd.DataFrame:
    x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    return pd.DataFrame({"x": x, "y": y, "ill": np.full(len(x), ill, dtype=object)})


def copied() -> tuple[Pair, PublicSizes, tuple[Rule, ...]]:
    """Everybody is a person of two rows; the victim's are in the sample, and nobody else's. Few were trained on, so
    that all of them are targets."""
    sizes = PublicSizes(rows=400, units=200, max_rows=2)
    train, holdout = (rows(np.arange(2 * n) % 977, 1.0, "false") for n in (10, 40))
    victim = rows([500.5, 501.5], [3.0, 3.0], "true")
    train_units, holdout_units = np.repeat(np.arange(10), 2), np.repeat(np.arange(40), 2)
    sample = pd.concat([victim] * 30 + [rows(np.arange(60) + 0.25, 9.0, "false")], ignore_index=True)
    first = Comparison(
        domain=DOMAIN, train=train, holdout=holdout, sample=sample, train_units=train_units,
        holdout_units=holdout_units,
    )  # fmt: skip
    return (first, joined(first, victim)), sizes, (Rule(score=COPIES, at_most=0.01),)


def joined(comparison: Comparison, victim: pd.DataFrame) -> Comparison:
    """The same with one trained unit more."""
    unit = comparison.units[0]
    return replace(
        comparison, train=pd.concat([comparison.train, victim], ignore_index=True),
        train_units=np.concatenate([comparison.train_units, np.full(len(victim), unit)]),
    )  # fmt: skip


def outlier() -> tuple[Pair, PublicSizes, tuple[Rule, ...]]:
    """All stand at x = 0 but the victim, at the declared end. By declared ranges everybody is nearest to the released
    row that is right about them (x = 10 is a hundredth); by the range that is there, that depends on the victim."""
    sizes = PublicSizes(rows=200, units=200)
    train, holdout = rows(np.zeros(159), 0.0, "true"), rows(np.zeros(40), 0.0, "false")
    sample = pd.concat([rows([10.0], [0.0], "true"), rows([0.0], [1.0], "false"), rows([0.0], [10.0], "false")])
    first = Comparison(domain=DOMAIN, train=train, holdout=holdout, sample=sample.reset_index(drop=True))
    return (first, joined(first, rows([1_000.0], [0.0], "true"))), sizes, INFERENCE


def nearly_all() -> tuple[Pair, PublicSizes, tuple[Rule, ...]]:
    """An attack that is right about all control targets but one, and about all trained ones, the victim among them. One
    more or less is a small excess, and all of a ratio."""
    sizes = PublicSizes(rows=200, units=200)
    train, holdout = rows(np.zeros(10), 0.0, "true"), rows(np.zeros(attack_targets(sizes)), 0.0, "true")
    holdout.loc[0, "ill"] = "false"
    sample = rows(np.zeros(5), 0.0, "true")
    first = Comparison(domain=DOMAIN, train=train, holdout=holdout, sample=sample)
    wide = pd.concat([train, rows(np.zeros(attack_targets(sizes) - 11), 0.0, "true")], ignore_index=True)
    first = replace(first, train=wide, train_units=np.arange(len(wide)))
    return (first, joined(first, rows([0.0], [0.0], "true"))), sizes, INFERENCE


def targeted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are taken for units, so that a person of two rows is a target twice."""

    def by_row(frame: pd.DataFrame, units: Units, domain: Domain, *, key: bytes) -> Chosen:
        return chosen(frame, np.arange(len(frame)), domain, key=key)

    monkeypatch.setattr(per_unit, "chosen", by_row)


def scaled_by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Distances are scaled by the range of the rows at hand."""

    def observed(queries: pd.DataFrame, candidates: pd.DataFrame, domain: Domain, names: tuple[str, ...]) -> Encoded:
        both = pd.concat([queries, candidates])
        seen = tuple(
            replace(c, low=float(both[c.name].min()), high=float(both[c.name].max())) if c.kind is Kind.FLOAT else c
            for c in domain.columns
        )
        return encode(queries, candidates, replace(domain, columns=seen), names)

    monkeypatch.setattr(per_unit, "encode", observed)


def ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    """The share of what was left to be right about, ``(a - c) / (m - c)``, instead of the excess."""
    excess: Callable[..., tuple[int, int] | None] = margins._attacked

    def relative(score: str, counts: per_unit.Counts) -> tuple[int, int] | None:
        found, targets = excess(score, counts), attack_targets(counts.sizes)
        assert found is not None
        return round(targets * (found[0] - found[1]) / max(targets - found[1], 1)), 0

    monkeypatch.setattr(margins, "_attacked", relative)


Plant = Callable[[pytest.MonkeyPatch], None]
CASES: dict[str, tuple[Callable[[], tuple[Pair, PublicSizes, tuple[Rule, ...]]], Plant]] = {
    "a unit targeted twice": (copied, targeted_twice),
    "ranges of the rows": (outlier, scaled_by_rows),
    "ratio instead of excess": (nearly_all, ratio),
}
