"""`margin`: how far the rules of a policy are from their bounds, as one number that a single unit moves by at most 1.

Each rule gives a distance T, a whole number in privacy units and above 0 where the rule is broken; M is the largest:

| rule | T |
|---|---|
| an attack | trained targets that it is right about - control ones - (t m - slack), cut |
| it, tried besides | the same - t m, cut: by fewer columns, or by all (`evaluation.risk.besides`) |
| inference of rarer values | the same - max(t m q, 3.29 sigma + slack), cut; q of the released rows have one |
| copies | trained units found verbatim in the sample - control ones - max(t m, 3.29 sigma + slack), cut |
| copies, if larger | distinct released rows of trained units - of control ones - max(t n, 3.29 sigma + chance), cut |
| total variation of 1, 2 or 3 columns | (2 n / k)(distance - t), rounded up; n is the public number of training rows |
| (always) | half of the targets - units there are, on each side: without them nothing was shown |

Where the policy adds to what attackers know, an attack's T is the larger of two, with what is declared and with what is
added (`Comparison.attackers`): each moves with a unit by at most 1, so the larger does too, and the constants stay.

All arithmetic on counts is exact, and what is subtracted is a constant made of public facts (`synthgate.accounted`): a
floating-point sum of private counts could jump by more than a unit's share. What could not be asked because of the
sample (a search for queries that stopped) breaks its rule for good. Noise is no business of this package: whoever
decides adds it (`server.jobs.evaluate`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np

from evaluation.base import Comparison
from evaluation.groups import choose_groups
from evaluation.per_unit import Counts, keyed_bytes
from evaluation.rules import by_score
from evaluation.tables import codes
from evaluation.utility.coded import Codes
from evaluation.utility.marginals import MAX_PAIRS, MAX_TRIPLES
from synthgate.accounted import (
    Repeats,
    allowed,
    allowed_besides,
    allowed_copies,
    allowed_distance,
    allowed_rarer,
    allowed_rows,
    attack_targets,
)
from synthgate.dataset import PublicSizes
from synthgate.policy import COPIES, INFERENCE, LINKABILITY, Rule

WAYS = {"utility.tv1": 1, "utility.tv2": 2, "utility.tv3": 3}
_MOST = {2: MAX_PAIRS, 3: MAX_TRIPLES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """The distance of each rule by its score's name. Exact and private: it leaves with noise, or not at all. How often
    the sample repeats itself (``repeats``) is public."""

    terms: Mapping[str, int]
    repeats: Repeats

    @property
    def value(self) -> int:
        """The largest: at most 0 where every rule holds. One unit moves it by at most 1, the sample being fixed."""
        return max(self.terms.values())


def margin(comparison: Comparison, rules: tuple[Rule, ...], sizes: PublicSizes, *, sigma: float, seed: bytes) -> Margin:
    """The distances of ``rules``, each an upper bound on one concrete score, for noise of scale ``sigma``.

    ``sizes`` are the public ones; ``seed`` keys choice and draws (at least 16 bytes). Raises ValueError for a rule that
    no distance is known of, and for two on one score.
    """
    counts = Counts(comparison, sizes, seed)
    half = attack_targets(sizes) // 2
    terms = {f"units.{side}": half - n for side, n in zip(("trained", "control"), counts.units, strict=True)}
    terms |= {score: _distance(rule, counts, sizes, sigma) for score, rule in by_score(rules).items()}
    return Margin(terms=terms, repeats=counts.repeats)


def _distance(rule: Rule, counts: Counts, sizes: PublicSizes, sigma: float) -> int:
    if rule.at_most is None:
        raise ValueError(f"rule {rule.name} is no upper bound")
    if rule.score in WAYS:
        return distance(counts.comparison, WAYS[rule.score], rule, sizes, seed=counts.seed)
    if rule.score == COPIES:
        return _copies(rule, counts, sizes, sigma)
    found = _attacked(rule.score, counts) if len(counts.comparison.sample) else None
    if found is None:
        return attack_targets(sizes)
    return max([found[0] - found[1] - allowed(rule, sizes), *_besides(rule, counts, sizes, sigma)])


def _copies(rule: Rule, counts: Counts, sizes: PublicSizes, sigma: float) -> int:
    """By as many units of both sides, which tells on any table, or by all of them, which tells more where rows are rare
    enough that the sample hardly repeats one."""
    (main, control), (trained, held), repeats = counts.copied(), counts.recognised(), counts.repeats
    units = main - control - allowed_copies(rule, sizes, sigma, repeats)
    return max(units, trained - held - allowed_rows(rule, sizes, sigma, repeats))


def _attacked(score: str, counts: Counts) -> tuple[int, int] | None:
    if score.startswith(INFERENCE):
        return counts.inferred(score.removeprefix(INFERENCE))
    if score == LINKABILITY:
        return counts.linked()
    if score.startswith("risk.singling_out."):
        return counts.singled_out(score)
    raise ValueError(f"an accounted verdict knows no distance of {score}")


def _besides(rule: Rule, counts: Counts, sizes: PublicSizes, sigma: float) -> Iterator[int]:
    """The distances of what else the attack tries (`evaluation.risk.besides`)."""
    other, secret = None, rule.score.removeprefix(INFERENCE)
    if rule.score == LINKABILITY:
        other = counts.linked_besides()
    elif secret != rule.score:
        other = counts.inferred_besides(secret)
        rarer = counts.rarer(secret)
        if rarer.apart:
            main, control = counts.inferred_rarer(secret)
            yield main - control - allowed_rarer(rule, sizes, sigma, rarer.share)
    if other is not None:
        yield other[0] - other[1] - allowed_besides(rule, sizes)


def distance(comparison: Comparison, way: int, rule: Rule, sizes: PublicSizes, *, seed: bytes) -> int:
    """The mean total variation over groups of ``way`` columns, less the bound, in privacy units. Shares of training
    rows are of the public number of them; the holdout is not read."""
    columns = comparison.domain.modelled
    generator = np.random.default_rng(int.from_bytes(keyed_bytes(seed, rule.score), "big"))
    groups = choose_groups(len(columns), way, _MOST.get(way, len(columns)), generator=generator)
    released = len(comparison.sample)
    if not groups or released == 0:
        return sizes.train_rows
    sample, train = ([codes(frame, c) for c in columns] for frame in (comparison.sample, comparison.train))
    total = 0
    for group in groups:
        joint = [_joint([side[i] for i in group]) for side in (train, sample)]
        places = np.unique(np.concatenate(joint), return_inverse=True)[1]
        width = int(places.max()) + 1
        trained, drawn = (
            np.bincount(part, minlength=width) for part in (places[: len(joint[0])], places[len(joint[0]) :])
        )
        total += int(np.abs(trained * released - drawn * sizes.train_rows).sum())
    return ceil(Fraction(total, released * len(groups) * sizes.max_rows) - allowed_distance(rule, sizes))


def _joint(coded: list[tuple[Codes, int]]) -> Codes:
    found = np.zeros(len(coded[0][0]), dtype=np.int64)
    for values, size in coded:
        found = found * size + values
    return found
