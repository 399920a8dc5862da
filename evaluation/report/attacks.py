"""The attacks of a report in words: what was tried, by whom, how hard, what could have been convicted, and which of the
three criteria of the Article 29 Working Party (Opinion 05/2014 on Anonymisation Techniques, WP 216) each speaks to."""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

from evaluation.report import words
from evaluation.report.document import Attack, Criterion, Line
from evaluation.rules import by_score
from synthgate.domain import Domain
from synthgate.policy import COPIES, INFERENCE, LINKABILITY, Rule, Verdict
from synthgate.report import Report, Score
from synthgate.statement import PrivacyStatement

SINGLING, MEMBERSHIP, NEAR_COPIES = "risk.singling_out.", "risk.membership.", "risk.near_copies"
NAMED, SPELT = 12, 240
"""How many columns are named, in how many characters at most, before the rest is counted."""

TRIED = {
    SINGLING + "univariate": "Questions made from one rare value of a released row, meant to fit exactly one person.",
    SINGLING + "multivariate": "Questions made from several values of a released row, meant to fit exactly one person.",
    LINKABILITY: "Two parties know different columns of a person. Is the nearest released row the same for both?",
    COPIES: "Released rows found word for word among rows trained on, beyond what people never seen explain.",
    NEAR_COPIES: "Released rows that are almost those of people trained on, beyond what people never seen explain.",
}
QUESTIONS = {
    "Singling out": "Can the records of one person be isolated with the help of the released rows?",
    "Linkability": "Can two records of one person, held by different parties, be joined with their help?",
    "Inference": "Can a secret of a person be deduced from what else is known, better than about strangers?",
}
FAMILIES = {
    "Singling out": (SINGLING, COPIES, NEAR_COPIES),
    "Linkability": (LINKABILITY,),
    "Inference": (INFERENCE,),
}
TOGETHER = "decided with all others"


def excess_like(name: str) -> bool:
    """Whether a score is a difference of two shares of attacks or rows, so that 0 means nothing was given away."""
    return name.startswith((SINGLING, INFERENCE)) or name in (LINKABILITY, COPIES, NEAR_COPIES)


def half_width(targets: int) -> float:
    """The excess that ``targets`` attacks a side cannot tell from chance, at the worst: 1.645 sqrt(1/(2m))."""
    return 1.645 * math.sqrt(1 / (2 * targets)) if targets > 0 else math.inf


def attacks(
    report: Report, rules: Sequence[Rule], statement: PrivacyStatement, domain: Domain, lines: Sequence[Line]
) -> tuple[Attack, ...]:
    """Every risk of the report; ``domain`` is the one that was attacked, with what the policy added."""
    limits = {score: rule.at_most for score, rule in by_score(rules).items()}
    shown = {line.name: line for line in lines}
    found = []
    for score in report.scores:
        if not score.name.startswith("risk."):
            continue
        ends = (score.low, score.value, score.high) if score.usable else (None, None, None)
        limit = limits.get(score.name)
        found.append(
            Attack(
                name=score.name, label=words.label(score.name), tried=_tried(score.name), line=shown[score.name],
                knows=_knows(score.name, domain), strength=_strength(score, limit, statement),
                low=ends[0], value=ends[1], high=ends[2], limit=limit,
            )
        )  # fmt: skip
    return tuple(found)


def _tried(name: str) -> str:
    if name.startswith(INFERENCE):
        return f"Guessing {name.removeprefix(INFERENCE)} of a person by taking it from the nearest released row."
    if name.startswith(MEMBERSHIP):
        return "Telling who was trained on from how the released rows lie around a person. Its remark says how well."
    return TRIED.get(name, "Its remark, under all scores, says how it was made, and on how many.")


def _knows(name: str, domain: Domain) -> str:
    if name.startswith(INFERENCE):
        return f"The attacker knows {names(n for n in domain.auxiliary if n != name.removeprefix(INFERENCE))}."
    if name.startswith(MEMBERSHIP):
        return "The attacker knows all of a person's row."
    if name == LINKABILITY:
        first, second = domain.halves
        return f"One party knows {names(first)}; the other {names(second)}."
    if name.startswith(SINGLING):
        return "The attacker knows the released rows alone."
    return "Only the gateway, which has all rows, can look." if name in (COPIES, NEAR_COPIES) else ""


def _strength(score: Score, limit: float | None, statement: PrivacyStatement) -> str:
    """How many were attacked, what stands out from chance, and what is convicted."""
    if not score.usable:
        return f"It could not be told: {score.note or 'the figures are not finite'}."
    if not excess_like(score.name):
        return ""
    told = []
    if score.name in (COPIES, NEAR_COPIES):
        told.append("All rows of all units were compared; the remark says which share of copied rows would have shown.")
    else:
        told.append(f"Tried on about {statement.sizes.attack_targets:,} trained units and as many never trained on.")
        told.append(f"An excess of {max(score.value - score.low, 0.0):.2g} would have stood out from chance.")
    if limit is not None:
        told.append(f"Where the true excess is above {limit:g}, at least 95 of 100 tables are refused.")
    return " ".join(told)


def names(columns: Iterable[str]) -> str:
    """Names of columns in a sentence: the first dozen of them, fewer where they are long."""
    every = list(columns)
    if not every:
        return "no column"
    fits = sum(length <= SPELT for length in accumulate(len(name) + 2 for name in every[:NAMED]))
    shown = every[: max(fits, 1)]
    more = f" and {len(every) - len(shown)} more" if len(every) > len(shown) else ""
    return ", ".join(shown) + more


def together(rules: Sequence[Rule], verdict: Verdict) -> bool:
    """Whether some rule has no finding of its own, because one figure decided several."""
    found = {finding.rule.score for finding in verdict.findings}
    return bool(found) and any(rule.score not in found for rule in rules)


def criteria(verdict: Verdict, rules: Sequence[Rule], lines: Sequence[Line]) -> tuple[Criterion, ...]:
    """The three criteria, each with its attacks and one sentence on where it stands."""
    found = []
    for name, families in FAMILIES.items():
        own = tuple(line for line in lines if any(line.name.startswith(family) for family in families))
        ruled = any(rule.score.startswith(families) for rule in rules)
        answer, state = _answer(own, ruled, verdict, families)
        if ruled and together(rules, verdict):
            answer, state = _jointly(verdict)
        found.append(Criterion(name=name, question=QUESTIONS[name], answer=answer, state=state, lines=own))
    return tuple(found)


def _jointly(verdict: Verdict) -> tuple[str, str]:
    if verdict.passed:
        return "One noisy margin decided all rules together, these included, and says that they hold.", "good"
    return "One noisy margin decided all rules together, and refused. It does not tell which of them failed.", "bad"


def _answer(lines: Sequence[Line], ruled: bool, verdict: Verdict, families: tuple[str, ...]) -> tuple[str, str]:
    if not lines and not ruled:
        return "Not tested: nothing that it needs is declared.", "none"
    if not ruled:
        return "Tested, but the policy has no rule on it: nothing here could have stopped the release.", "none"
    failed = [f for f in verdict.findings if f.rule.score.startswith(families) and f.outcome != "PASSED"]
    if failed:
        return "An attack went beyond the policy's limit, or could not be told. The release is refused.", "bad"
    open_ = sum(line.state == "none" for line in lines)
    rest = f" {open_} further score{'s are' if open_ > 1 else ' is'} shown that no rule reads." if open_ else ""
    return f"No attack went beyond the policy's limit, at the bad end of its interval.{rest}", "good"
