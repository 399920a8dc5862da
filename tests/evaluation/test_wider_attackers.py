"""What a policy adds to attackers never makes a verdict milder, exact or accounted."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from evaluation.base import Comparison
from evaluation.margin import Margin, margin
from evaluation.risk.attack import worst
from evaluation.risk.inference import Inference
from evaluation.risk.linkability import Linkability
from evaluation.risk.singling_out import SinglingOut
from evaluation.run import keyed
from evaluation.tables import normalise
from synthgate.attacker import Attacker
from synthgate.dataset import PublicSizes
from synthgate.domain import Column, Domain, Kind, Role
from synthgate.policy import INFERENCE, LINKABILITY, Rule
from synthgate.report import Better, Score

SEED = b"a seed of attackers"
SIZE = 2_000
SIZES = PublicSizes(rows=2 * SIZE, units=2 * SIZE)
FOREIGN = tuple(f"d{i}" for i in range(8))
LETTERS = tuple("abcdefgh")
TOLD = (INFERENCE + "s", LINKABILITY)
RULES = tuple(Rule(score=score, at_most=0.09) for score in TOLD)


def _sensitive(name: str, categories: tuple[str, ...], *, secret: bool = False) -> Column:
    return Column(name=name, kind=Kind.CATEGORICAL, categories=categories, role=Role.SENSITIVE, secret=secret)


DOMAIN = Domain(
    columns=(
        Column(name="zip", kind=Kind.INTEGER, low=0, high=999), Column(name="age", kind=Kind.INTEGER, low=0, high=100),
        *(_sensitive(name, ("n", "y")) for name in FOREIGN), _sensitive("s", LETTERS, secret=True),
    )
)  # fmt: skip


def _people(draw: np.random.Generator) -> pd.DataFrame:
    cells = {"zip": draw.integers(0, 1000, SIZE).tolist(), "age": draw.integers(0, 101, SIZE).tolist()}
    cells |= {name: draw.choice(["n", "y"], SIZE).tolist() for name in FOREIGN}
    return normalise({**cells, "s": draw.choice(LETTERS, SIZE).tolist()}, DOMAIN)


def _leaking(seed: int = 0, share: float = 1.0, own: tuple[str, ...] = ("zip", "age", "s")) -> Comparison:
    """Released is what is one's ``own`` of a share of trained people; everything else is somebody else's."""
    train, holdout, sample = map(_people, np.random.default_rng(seed).spawn(3))
    count = round(share * SIZE)
    for name in own:
        sample.loc[: count - 1, name] = train.loc[: count - 1, name]
    return Comparison(domain=DOMAIN, train=train, holdout=holdout, sample=sample)


def _wider(tables: Comparison, attacker: Attacker) -> Comparison:
    """As the job of the evaluation gets it."""
    spec = attacker.spec(DOMAIN)
    declared = Domain.from_dict(spec["declared"]) if spec["declared"] else None
    return replace(tables, domain=Domain.from_dict(spec["domain"]), declared=declared, joins=tuple(spec["joins"]))


def _exact(tables: Comparison) -> dict[str, Score]:
    found = [
        metric.measure(tables, generator=keyed(SEED, metric.name)).scores for metric in (Inference(), Linkability())
    ]
    return {score.name: score for scores in found for score in scores}


def _margin(tables: Comparison) -> Margin:
    return margin(tables, RULES, SIZES, sigma=9.0, seed=SEED)


EVERYTHING = Attacker(also_knows=FOREIGN)


def test_a_leak_that_the_declared_attacker_finds_is_refused_whatever_the_policy_adds() -> None:
    """Postcode, age and secret of everybody are released, beside eight diagnoses of others. Who goes by the diagnoses
    too finds somebody else's row."""
    declared = _leaking()
    wider = _wider(declared, EVERYTHING)
    found, kept = _exact(declared)[INFERENCE + "s"], _exact(wider)[INFERENCE + "s"]
    assert (kept.value, kept.low, kept.high) == (found.value, found.low, found.high)
    assert found.low > 0.3
    assert "attacker knows 2 columns" in kept.note
    assert _margin(wider).terms[INFERENCE + "s"] == _margin(declared).terms[INFERENCE + "s"] > 100


def test_the_wider_attacker_alone_passes_it() -> None:
    """The planted fault, which was the rule once: the policy's attacker in the declared one's place."""
    alone = replace(_wider(_leaking(), EVERYTHING), declared=None)
    assert _exact(alone)[INFERENCE + "s"].high < 0.09
    assert _margin(alone).terms[INFERENCE + "s"] < 20, "within what chance adds"


ADDED = (
    EVERYTHING,
    Attacker(also_knows=("d0",)),
    Attacker(also_knows=("d1", "s")),
    Attacker(also_knows=("d2", "d3"), also_secret=("d4", "age")),
    Attacker(also_secret=("zip",)),
)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("attacker", ADDED, ids=lambda attacker: "+".join(attacker.to_dict()))
def test_no_score_and_no_margin_is_better_for_what_a_policy_adds(attacker: Attacker, seed: int) -> None:
    own = (("zip", "age", "s"), ("zip", "d0", "d1", "s"), ("zip", "age", *FOREIGN))[seed]
    declared = _leaking(seed, share=(1.0, 0.5, 0.2)[seed], own=own)
    wider = _wider(declared, attacker)
    before, after = _exact(declared), _exact(wider)
    for name in TOLD:
        assert after[name].high >= before[name].high
        assert after[name].usable or not before[name].usable
    assert set(after) == {*before, *(INFERENCE + secret for secret in attacker.also_secret)}
    known, more = _margin(declared), _margin(wider)
    assert all(more.terms[name] >= known.terms[name] for name in known.terms)
    assert more.value >= known.value


def test_numbers_of_columns_that_are_joined_besides_change_no_other() -> None:
    """One and the same generator for all would draw other questions of the others."""
    declared = _leaking(share=0.2)

    def told(joins: tuple[int, ...]) -> tuple[dict[str, Score], dict[str, object]]:
        metric = SinglingOut(columns=(3,))
        found = metric.measure(replace(declared, joins=joins), generator=keyed(SEED, metric.name))
        return {score.name: score for score in found.scores}, dict(found.details["columns"])

    (before, some), (after, more) = told(()), told((2, 5))
    assert some["3"] == more["3"]
    assert set(more) == {"2", "3", "5"}
    assert after["risk.singling_out.univariate"] == before["risk.singling_out.univariate"]
    assert after["risk.singling_out.multivariate"].high >= before["risk.singling_out.multivariate"].high


def test_what_one_attacker_leaves_open_no_other_closes() -> None:
    scores = [Score(name="r", value=v, low=v, high=v, better=Better.LOWER, conclusive=c)
              for v, c in ((0.2, True), (0.1, False))]  # fmt: skip
    assert (worst(scores).value, worst(scores).conclusive) == (0.2, False)
    assert worst(scores[:1]).conclusive


def test_columns_that_are_known_besides_join_declared_halves_too() -> None:
    linked = replace(DOMAIN, link=(("zip", "d0"), ("age",)))
    assert Attacker(also_knows=("d0", "d1", "d2")).widened(linked).halves == (("zip", "d0", "d2"), ("age", "d1"))
    assert Attacker(also_knows=("d1",)).spec(linked)["declared"]["link"] == [["zip", "d0"], ["age"]]
    assert Attacker(also_secret=("d1",)).spec(linked)["declared"] is None
