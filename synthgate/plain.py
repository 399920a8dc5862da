"""Epsilon, chances and names in words that a reader without the paper at hand understands, and that nothing acts in."""

import math
import unicodedata

from synthgate.statement import PrivacyStatement, Scope

PRIORS = (0.01, 0.1, 0.5, 0.9)
"""How sure attackers are beforehand for whom it is told how sure they can become."""
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def belief(epsilon: float, before: float = 0.5) -> float:
    """How sure an attacker who was ``before`` sure can become: p e^epsilon / (1 - p + p e^epsilon), in [p, 1]."""
    return before / (before + (1 - before) * math.exp(-epsilon))


def percent(share: float) -> str:
    """A chance in per cent, rounded up to a tenth; never 100."""
    return "more than 99.9" if share > 0.999 else f"{math.ceil(share * 1_000 - 1e-9) / 10:.1f}".removesuffix(".0")


def inert(text: str) -> str:
    """The text with every character escaped that is not seen but acts: controls, line and paragraph separators, and
    marks of direction, which could let a name read as another."""
    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in UNSEEN else c for c in text)


def promise(statement: PrivacyStatement) -> str:
    """Epsilon in plain words."""
    if statement.scope is Scope.NONE:
        return "This release carries no privacy guarantee: it comes from a sandbox for public data."
    shown = percent(belief(statement.epsilon))
    seen = "what was released, or that nothing was" if statement.scope is Scope.RELEASE else "the generator's output"
    return (
        f"An attacker who was 50 % sure that a given unit ({statement.unit}) was in the training data, and who knows "
        f"everything about everybody else, can be at most {shown} % sure after seeing {seen}, but for a chance of 1 in "
        f"{round(1 / statement.delta):,} (delta {statement.delta:g})."
    )
