"""The attacks of a report in words: what was tried, by whom, how hard, what could have been convicted, and which of the
three criteria of the Article 29 Working Party (Opinion 05/2014 on Anonymisation Techniques, WP 216) each speaks to."""

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate

from evaluation.report import words
from evaluation.report.document import Attack, Criterion, Line
from evaluation.report.judged import Judged
from evaluation.rules import by_score
from synthgate.accounted import attack_targets, copy_targets
from synthgate.domain import Domain
from synthgate.policy import COPIES, INFERENCE, LINKABILITY, NEAR_COPIES, Outcome, Rule, Verdict
from synthgate.report import Report, Score
from synthgate.statement import PrivacyStatement

SINGLING, MEMBERSHIP = "risk.singling_out.", "risk.membership."
NEAR_MOST = 20_000
"""`evaluation.risk.near_copies.MAX_ROWS`; that module's compiled loops are not loaded to render."""
CONVICTS_NONE = "convicts none"
"""How the remark on copies ends where no share of copied training rows is sure to be refused."""
SHOWS_NOTHING = "no excess could have stood out from chance"
"""What the remark on an attack says that finds everybody, strangers too."""
NAMED, SPELT = 12, 240
"""How many columns a sentence names, in how many characters at most, before it counts the rest."""
LISTED, LONG = 100, 4_000
"""The same where columns are listed for whoever has to know them all."""

TRIED = {
    SINGLING + "univariate": "Questions made from one rare value of a released row, meant to fit exactly one person.",
    SINGLING + "multivariate": "Questions made from several values of a released row, meant to fit exactly one person.",
    LINKABILITY: "Two parties know different columns of a person. Is the nearest released row the same for both? Tried "
    "besides, where they know a part of what is known: two who share all of it.",
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
JOINTLY = {
    Outcome.PASSED: (
        "One noisy margin decided all rules together, these included: they hold, as far as its noise tells.", "good"),
    Outcome.ABOVE: (
        "One noisy margin decided all rules together, and refused. It does not tell which of them failed.", "bad"),
}  # fmt: skip
UNTOLD = ("One noisy margin decides all rules together. It could not be told, and doubt refuses.", "bad")


def excess_like(name: str) -> bool:
    """Whether a score is a difference of two shares of attacks or rows, so that 0 means nothing was given away."""
    return name.startswith((SINGLING, INFERENCE)) or name in (LINKABILITY, COPIES, NEAR_COPIES)


def half_width(targets: int) -> float:
    """The excess that ``targets`` attacks a side cannot tell from chance, at the worst: 1.645 sqrt(1/(2m))."""
    return 1.645 * math.sqrt(1 / (2 * targets)) if targets > 0 else math.inf


def attacks(
    report: Report,
    rules: Sequence[Rule],
    statement: PrivacyStatement,
    domain: Domain,
    lines: Sequence[Line],
    *,
    how: Judged,
) -> tuple[Attack, ...]:
    """Every risk of the report; ``domain`` is the one that was attacked, with what the policy added."""
    read = by_score(rules)
    limits = {score: rule.at_most for score, rule in read.items()}
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
                knows=_knows(score.name, domain), strength=_strength(score, read.get(score.name), statement, how),
                low=ends[0], value=ends[1], high=ends[2], limit=limit,
            )
        )  # fmt: skip
    return tuple(found)


def _tried(name: str) -> str:
    if name.startswith(INFERENCE):
        return (
            f"Guessing {name.removeprefix(INFERENCE)} of a person by taking it from the nearest released row. Tried "
            "besides: from the few columns that the release ties to it most, and values other than the most common one "
            "alone."
        )
    if name.startswith(MEMBERSHIP):
        return "Telling who was trained on from how the released rows lie around a person. Its remark says how well."
    return TRIED.get(name, "Its remark, under all scores, says how it was made, and on how many.")


def _knows(name: str, domain: Domain) -> str:
    if name.startswith(INFERENCE):
        return f"The attacker knows {names(n for n in domain.auxiliary if n != name.removeprefix(INFERENCE))}."
    if name.startswith(MEMBERSHIP):
        others = ", and has rows of people who were never trained on" if ".domias" in name else ""
        return f"The attacker knows all of a row of a person{others}."
    if name == LINKABILITY:
        first, second = domain.halves
        return f"One party knows {names(first)}; the other {names(second)}."
    if name.startswith(SINGLING):
        return "The attacker knows the released rows alone."
    return "Only the gateway, which has all rows, can look." if name in (COPIES, NEAR_COPIES) else ""


def _strength(score: Score, rule: Rule | None, statement: PrivacyStatement, how: Judged) -> str:
    """On how many it was tried, what stands out from chance, and what is refused."""
    if not score.usable:
        return f"It could not be told: {score.note or 'the figures are not finite'}."
    if not excess_like(score.name):
        return ""
    told = [_tried_on(score, statement)]
    if how.accounted and rule is not None:
        told.append(_decided_on(score, statement))
    if rule is not None and rule.at_most is not None:
        told.append(_convicts(score, rule, statement, how))
    return " ".join(filter(None, told))


def _tried_on(score: Score, statement: PrivacyStatement) -> str:
    sizes = statement.sizes
    if score.name == COPIES:
        return "All rows of all units were compared; the remark says which share of copied rows would have shown."
    if score.name == NEAR_COPIES:
        most = min(NEAR_MOST, sizes.units)
        return (
            f"At most {most:,} units of either side and {NEAR_MOST:,} released rows were compared, by keyed choice; "
            "the remark says which share of copied rows would have shown."
        )
    stands_out = "the remark says which excess would have stood out from chance."
    if score.name.startswith(SINGLING):
        return (
            f"At most about {sizes.attack_targets:,} questions were asked of trained units and of as many never "
            f"trained on, fewer where the released rows hold no more; {stands_out}"
        )
    return f"Tried on about {sizes.attack_targets:,} trained units and as many never trained on; {stands_out}"


def _decided_on(score: Score, statement: PrivacyStatement) -> str:
    """Of an accounted verdict, which looks at other units than the figure that is shown."""
    if score.name == COPIES:
        return (
            f"The verdict looked {copy_targets(statement.sizes):,} units of either side up, and rare rows of all units."
        )
    return f"The verdict attacked {attack_targets(statement.sizes):,} units of either side."


def _convicts(score: Score, rule: Rule, statement: PrivacyStatement, how: Judged) -> str:
    """What is refused with a chance of at least 95 %; nothing where that cannot be said."""
    if how.accounted and score.name == COPIES:
        if not math.isfinite(how.sigma):
            return ""
        return "The remark on the noisy margin says which shares of copied units it is sure to refuse."
    if SHOWS_NOTHING in score.note:
        return "Strangers are told as often as anybody can be, so that no excess could have shown."
    if score.name in (COPIES, NEAR_COPIES) and score.note.endswith(CONVICTS_NONE):
        return "On this table no share of copied rows is sure to be refused."
    if how.accounted and score.name.startswith(SINGLING):
        return (
            f"Where the share of units that a question singles out, each counted once, is more than {rule.at_most:g} "
            "above that of units never trained on, at least 95 of 100 tables are refused. That is another figure than "
            "the one shown here, which counts questions."
        )
    of = ", mostly less than the share of copied rows," if score.name in (COPIES, NEAR_COPIES) else ""
    return f"Where the true excess{of} is above {rule.at_most:g}, at least 95 of 100 tables are refused."


def _up(share: float) -> str:
    """A share in per cent, rounded up to a hundredth."""
    return f"{math.ceil(share * 10_000 - 1e-9) / 100:g} %"


def names(columns: Iterable[str], *, most: int = NAMED, spelt: int = SPELT) -> str:
    """The first ``most`` names of columns, fewer where they are long, and how many more there are."""
    every = list(columns)
    if not every:
        return "no column"
    fits = sum(length <= spelt for length in accumulate(len(name) + 2 for name in every[:most]))
    shown = every[: max(fits, 1)]
    more = f" and {len(every) - len(shown)} more" if len(every) > len(shown) else ""
    return ", ".join(shown) + more


def criteria(verdict: Verdict, rules: Sequence[Rule], lines: Sequence[Line], *, how: Judged) -> tuple[Criterion, ...]:
    """The three criteria, each with its attacks and one sentence on where it stands."""
    found = []
    for name, families in FAMILIES.items():
        own = tuple(line for line in lines if any(line.name.startswith(family) for family in families))
        ruled = any(rule.score.startswith(families) for rule in rules)
        answer, state = _answer(own, ruled, verdict, families)
        if ruled and how.accounted:
            answer, state = JOINTLY.get(how.outcome or Outcome.MISSING, UNTOLD)
        found.append(Criterion(name=name, question=QUESTIONS[name], answer=answer, state=state, lines=own))
    return tuple(found)


def _answer(lines: Sequence[Line], ruled: bool, verdict: Verdict, families: tuple[str, ...]) -> tuple[str, str]:
    if not lines and not ruled:
        return "Not tested: nothing that it needs is declared.", "none"
    if not ruled and all(line.value == words.number(math.nan) for line in lines):
        return "It could not be told, and the policy has no rule on it: nothing here could have stopped it.", "none"
    if not ruled:
        return "Tested, but the policy has no rule on it: nothing here could have stopped the release.", "none"
    failed = [f for f in verdict.findings if f.rule.score.startswith(families) and f.outcome != "PASSED"]
    if failed:
        return "An attack went beyond the policy's limit, or could not be told. The release is refused.", "bad"
    open_ = sum(line.state == "none" for line in lines)
    rest = f" {open_} further score{'s are' if open_ > 1 else ' is'} shown that no rule reads." if open_ else ""
    return f"No attack went beyond the policy's limit, at the bad end of its interval.{rest}", "good"
