"""The accounted verdict: one noisy margin decides all rules of a policy, inside the epsilon that is asked for.

For each rule there is a distance T to its bound, a whole number in privacy units, above 0 where the rule is broken.
With the released sample fixed, one unit moves each T by at most 1; so does it move their largest, the margin M, however
many rules there are. The release passes where

    M + N + 1.645 sigma <= 0,    N discrete Gaussian noise of scale sigma

which is charged whether it passes or not. Everything but what is counted among the private rows is a constant that
follows from public facts: it is here, for `admit` and for the evaluation alike.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from synthgate.dataset import PublicSizes
from synthgate.policy import COPIES, Rule

SHARE = 0.05
"""The part of a plan's budget, as zero-concentrated rho, that buys the verdict."""

Z95 = 1.645
"""One-sided 95 %."""

MAX_TARGETS = 4_000
"""Units a side that one attack is tried on, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoisyMargin:
    """What an accounted verdict decided by: the margin with its noise, in privacy units, and the noise's scale."""

    value: int
    sigma: float

    @property
    def pessimistic(self) -> float:
        """The end that decides: the release passes where it is at most 0."""
        return self.value + Z95 * self.sigma


def copy_targets(sizes: PublicSizes) -> int:
    """Units of either side that are looked up in the sample: the holdout's, less three deviations of its true number,
    so that both sides have as many."""
    return max(sizes.holdout_units - math.ceil(3 * math.sqrt(sizes.holdout_units)), 1)


def attack_targets(sizes: PublicSizes) -> int:
    """Units of either side that an attack is tried on."""
    return min(MAX_TARGETS, copy_targets(sizes))


def slack(targets: int, share: float = 0.5) -> float:
    """What chance adds to the difference of two counts among so many units each, of which a public ``share`` counts;
    one-sided 95 %, at most where the share is a half. A slack that followed the counts would move with a unit too."""
    return Z95 * math.sqrt(2 * targets * share * (1 - share))


def allowed(rule: Rule, sizes: PublicSizes) -> int:
    """How many more trained than control units an attack may be right about: ``t m - slack``, cut to a whole number."""
    targets = attack_targets(sizes)
    return math.floor(_bound(rule) * targets - Fraction(slack(targets)))


def allowed_besides(rule: Rule, sizes: PublicSizes) -> int:
    """The same of an attack that is tried besides: ``t m``, cut. What chance adds is not taken off, since of several
    attacks the worst counts."""
    return math.floor(_bound(rule) * attack_targets(sizes))


def allowed_rarer(rule: Rule, sizes: PublicSizes, sigma: float, share: float) -> int:
    """The same of guesses of values that a ``share`` of the released rows have: the bound is on the targets that have
    one, and never fewer are allowed than noise and chance hide."""
    targets = attack_targets(sizes)
    hidden = Fraction(2 * Z95 * sigma + slack(targets, min(share, 0.5)))
    return math.floor(max(_bound(rule) * targets * Fraction(share), hidden))


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """What a sample says of chance by itself: of its ``released`` rows, ``again`` have an equal one beside them; these
    are ``distinct`` different rows, of which ``twice`` are there exactly twice."""

    released: int
    again: int
    distinct: int
    twice: int

    @property
    def share(self) -> float:
        """About how many of the units of whom the sample knows nothing are found in it, as a share."""
        return self.again / max(self.released, 1)

    def by_chance(self, units: int, held: int) -> int:
        """How many more distinct released rows may well be those of ``units`` units than of ``held`` others, where the
        sample knows nothing of any.

        Rows that the sample holds once: one that is expected l times in the sample and r l times among the units is in
        both with a chance of l exp(-l) (1 - exp(-r l)), at most 2 r times that of its being released twice. The number
        of rows released twice is taken at its upper end (Poisson, about 95 %), and all of it doubled, since a model may
        spread what people have in common. Rows that it holds more often: whatever l is, units have one and the others
        do not with a chance of exp(-c l) - exp(-r l), which `_one_sided` bounds; taken at the upper end, too.
        """
        once = 4 * max(Fraction(units, max(self.released, 1)), Fraction(1)) * Fraction(_upper(self.twice))
        often = _one_sided(units, held)
        spread = Z95 * math.sqrt(self.distinct * often * (1 - often))
        return math.ceil(once + Fraction(self.distinct * often + spread))


def _upper(count: int) -> float:
    """The upper end of what a count was drawn about (Poisson, about 95 %)."""
    return count + 1 + 2 * math.sqrt(count + 1)


def _one_sided(units: int, held: int) -> float:
    """The largest chance exp(-c l) - exp(-r l) over l that some of ``units`` have what none of ``held`` has, where r is
    to c as ``units`` to ``held``."""
    if held <= 0 or units <= held:
        return float(held <= 0 < units)
    ratio = units / held
    most = math.log(ratio) / (ratio - 1)
    return math.exp(-most) - math.exp(-ratio * most)


def allowed_copies(rule: Rule, sizes: PublicSizes, sigma: float, repeats: Repeats) -> int:
    """How many more trained than control units may be found in the sample, of as many looked up: never fewer than noise
    and chance hide."""
    targets = copy_targets(sizes)
    hidden = Fraction(2 * Z95 * sigma + slack(targets, min(repeats.share, 0.5)))
    return math.floor(max(_bound(rule) * targets, hidden))


def allowed_rows(rule: Rule, sizes: PublicSizes, sigma: float, repeats: Repeats) -> int:
    """How many more distinct released rows may be those of trained than of control units, all of them looked up: never
    fewer than noise hides and chance may bring, against which there are too few control units."""
    hidden = Fraction(2 * Z95 * sigma) + repeats.by_chance(sizes.train_units, sizes.holdout_units)
    return math.floor(max(_bound(rule) * sizes.train_units, hidden))


def convictable(rules: tuple[Rule, ...], sizes: PublicSizes, sigma: float, repeats: Repeats) -> str:
    """Which shares of copied training units are refused, in words; empty without a rule on copies."""
    rule = next((rule for rule in rules if rule.score == COPIES), None)
    if rule is None:
        return ""
    found = allowed_copies(rule, sizes, sigma, repeats) / copy_targets(sizes)
    rows = allowed_rows(rule, sizes, sigma, repeats) / sizes.train_units
    told = []
    if found < 1:
        told += [f"{_up(found)} of the trained units are found in the sample beyond the share of those held out"]
    if rows < min(found, 1):
        told += [f"{_up(rows)} of them by a row of their own, beyond the number of those held out"]
    if not told:
        return "no share of copies is sure to be refused"
    return f"at least 95 of 100 draws refuse where {' or '.join(told)}"


def _up(share: float) -> str:
    """A share in per cent, rounded up to a hundredth."""
    return f"{math.ceil(share * 10_000 - 1e-9) / 100:g} %"


def allowed_distance(rule: Rule, sizes: PublicSizes) -> Fraction:
    """A bound on total variation in privacy units, ``(2 n / k) t``."""
    return Fraction(2 * sizes.train_rows, sizes.max_rows) * _bound(rule)


def beyond(rules: tuple[Rule, ...], sizes: PublicSizes, sigma: float) -> Iterator[str]:
    """Which rules could not be passed with confidence whatever the table, and what would help. Public facts alone."""
    targets = attack_targets(sizes)
    needed = 2 * slack(targets) + 2 * Z95 * sigma
    for rule in rules:
        if rule.is_attack and _bound(rule) * targets < needed:
            yield (
                f"rule {rule.name} cannot be passed by an accounted verdict: {targets} targets a side with noise of "
                f"{sigma:.1f} units tell {needed / targets:.3f} at best; ask for a larger epsilon, or have the table "
                "registered with more units, a higher bound, or `verdict: exact` in its policy"
            )


def _bound(rule: Rule) -> Fraction:
    return Fraction(str(rule.at_most))
