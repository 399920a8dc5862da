"""``compose``: a report, its verdict and its statement as one `Document`. A pure function."""

import math
from collections.abc import Mapping, Sequence
from functools import partial

from evaluation.report import words
from evaluation.report.attacks import LISTED, LONG, TOGETHER, attacks, criteria, half_width, names
from evaluation.report.ceilings import UNTOLD, membership
from evaluation.report.checklist import checklist
from evaluation.report.document import Belief, Decision, Document, Group, Line, Promise
from evaluation.report.judged import UNKNOWN, House, Judged, judged
from evaluation.report.shown import shown
from evaluation.rules import by_score
from synthgate.attacker import Attacker
from synthgate.dataset import SizeOrigin
from synthgate.domain import Domain
from synthgate.plain import PRIORS
from synthgate.policy import EPSILON, Finding, Outcome, Policy, Rule, Verdict
from synthgate.report import Better, Report, Score
from synthgate.statement import PrivacyStatement, Scope

SCOPES = {
    Scope.GENERATOR: "the generator's output; not the verdict about it",
    Scope.RELEASE: "the release, verdict included",
    Scope.NONE: "nothing (sandbox)",
}
GROUPS = {
    "verdict.": ("Verdict", "What decided all rules together."),
    "risk.": ("Risk", "What the sample gives away about the people it was learned from."),
    "utility.": ("Utility", "How far the sample can stand in for the rows."),
    "fairness.": ("Fairness", "How the groups that are declared protected fare."),
}


def compose(
    report: Report,
    *,
    title: str,
    facts: Mapping[str, str],
    verdict: Verdict,
    statement: PrivacyStatement,
    domain: Domain,
    policy: Policy,
    house: House = UNKNOWN,
) -> Document:
    """The document about one release. ``facts`` are public and shown in their order; ``verdict`` is the decision of
    ``policy`` about this very report, ``domain`` what the steward declared, ``house`` what the gateway says of itself.
    """
    how = judged(verdict, report)
    report, attacked = shown(report), policy.attacker.widened(domain)
    rules = policy.concrete(domain)
    groups = _groups(report, verdict, statement, rules)
    lines = tuple(line for group in groups for line in group.lines)
    return Document(
        title=title,
        facts=dict(facts) | _policy_facts(policy),
        decision=_decision(report, verdict, statement, policy, rules, how),
        promise=_promise(statement),
        knowledge=_knowledge(domain, attacked, policy.attacker, report),
        attacks=attacks(report, rules, statement, attacked, lines, how=how),
        membership=membership(report, statement),
        criteria=criteria(verdict, rules, lines, how=how),
        groups=groups,
        checklist=checklist(statement, report, how=how, house=house),
        exposed=_exposed(report, statement, how),
        limits=_limits(statement, attacked),
        columns=tuple(c.name for c in domain.modelled),
        target=domain.target or "",
        report=report,
    )


def _policy_facts(policy: Policy) -> dict[str, str]:
    return {"policy": f"{policy.name}, version {policy.version}", "policy's sha256": policy.digest}


def _decision(
    report: Report,
    verdict: Verdict,
    statement: PrivacyStatement,
    policy: Policy,
    rules: Sequence[Rule],
    how: Judged,
) -> Decision:
    reasons = tuple(words.refusals(verdict, report, statement))
    if verdict.passed:
        waiting = f" It waits for {policy.approvals} officer{'s' if policy.approvals > 1 else ''} to approve it."
        headline = (
            f"All {len(rules)} rules of the policy hold for this sample, those on risks at the bad end of the interval."
        )
        if how.accounted:
            inside = "" if statement.scope is Scope.NONE else " inside the epsilon"
            headline = (
                f"One noisy margin{inside} decided the policy's rules together, of which there are {len(rules)} with "
                "the bound on epsilon: they hold, as far as its noise tells."
            )
        headline += waiting if policy.approvals and not how.accounted else ""  # sealed while it would be true
    else:
        headline = "The sample is destroyed, and nothing is released. What was charged stays charged."
    audience = "none is named: the policy's own thresholds"
    if policy.audience is not None:
        audience = f"{policy.audience}: attacks at most {policy.audience.threshold:g} ({policy.audience.source})"
    return Decision(
        passed=verdict.passed, headline=headline, reasons=reasons, rules=len(rules), audience=audience,
        accounted=how.accounted, approvals=policy.approvals,
    )  # fmt: skip


def _promise(statement: PrivacyStatement) -> Promise:
    sizes, nothing = statement.sizes, statement.scope is Scope.NONE
    substitute = statement.epsilon_substitute_one
    facts = {
        "covers": SCOPES[statement.scope],
        "end to end": "yes" if statement.end_to_end else "no",
        "privacy unit": f"{statement.unit} (one unit's rows replaced by empty records)",
        "epsilon at delta": "none is claimed"
        if nothing
        else f"{statement.epsilon:.4g} at {statement.delta:g}, by {statement.accountant}",
        "one unit replaced by another": f"epsilon {substitute:.4g}"
        if math.isfinite(substitute) and not nothing
        else "none is claimed"
        if nothing
        else "none shown",
        "public size": f"{sizes.rows:,} rows of {sizes.units:,} units ({sizes.origin})",
    }
    if statement.noise:
        facts["noise"] = " ".join(statement.noise)
    return Promise(
        sentence=words.promise(statement),
        beliefs=() if nothing else tuple(Belief(before=p, after=words.belief(statement.epsilon, p)) for p in PRIORS),
        facts=facts,
        not_covered=statement.not_covered,
        weakened_by=statement.weakened_by,
    )


def _knowledge(declared: Domain, attacked: Domain, attacker: Attacker, report: Report) -> dict[str, str]:
    """Who attacks, from the declaration, and what the policy added."""
    listed = partial(names, most=LISTED, spelt=LONG)
    knows = [n for n in attacked.auxiliary if n not in declared.auxiliary]
    looks = [n for n in attacked.secrets if n not in declared.secrets]
    told = {"known to attackers": listed(attacked.auxiliary), "looked for": listed(attacked.secrets)}
    if knows:
        told["known because the policy says so"] = listed(knows)
        told["attacks by nearest rows"] = "tried with what is declared alone too; the worse counts"
    if looks:
        told["looked for because the policy says so"] = listed(looks)
    if joined := report.details.get("risk.singling_out", {}).get("columns"):
        told["columns that a question joins"] = listed(["1", *joined])
    if attacker.also_joins:
        told["joined because the policy says so"] = listed(map(str, attacker.also_joins))
    return told


def _groups(report: Report, verdict: Verdict, statement: PrivacyStatement, rules: Sequence[Rule]) -> tuple[Group, ...]:
    """The epsilon and every score, each beside the rule that reads it. A score of a kind that is not known here has a
    group too."""
    findings: dict[str, Finding | Rule] = {**by_score(rules)} if verdict.findings else {}
    findings |= {f.rule.score: f for f in verdict.findings}
    spent = statement.epsilon
    epsilon = Score(name=EPSILON, value=spent, low=spent, high=spent, better=Better.LOWER, note="from the statement")
    kinds: dict[tuple[str, str], list[Score]] = {("Privacy", "What one release costs."): [epsilon]}
    if statement.scope is Scope.NONE:
        kinds.clear()
    for prefix, kind in GROUPS.items():
        kinds[kind] = [s for s in report.scores if s.name.startswith(prefix)]
    kinds["Other", "Scores of further metrics."] = [s for s in report.scores if not s.name.startswith(tuple(GROUPS))]
    around = _intervals(report)
    return tuple(
        Group(heading=heading, about=about, lines=tuple(_line(s, findings.get(s.name), around) for s in scores))
        for (heading, about), scores in kinds.items()
        if scores
    )


def _intervals(report: Report) -> Mapping[str, tuple[float, float]]:
    """Ends that a metric tells beside a score whose value is what rules read."""
    told = [found.get("intervals") for found in report.details.values() if isinstance(found, Mapping)]
    pairs = [(name, pair) for part in told if isinstance(part, Mapping) for name, pair in part.items()]
    return {name: (pair[0], pair[1]) for name, pair in pairs if isinstance(pair, Sequence) and len(pair) == 2}


def _line(score: Score, read_by: Finding | Rule | None, around: Mapping[str, tuple[float, float]]) -> Line:
    """A score beside what came of the rule that reads it; a rule without a finding was decided with others."""
    interval, note = words.interval(score) if score.usable else "", score.note
    if not interval and score.usable and score.name in around:
        low, high = around[score.name]
        interval = f"{words.number(low)} to {words.number(high)}"
        note = "; ".join(filter(None, (note, "a rule reads the value, not the ends")))
    rule, outcome, state = None, "not gated" if score.usable else UNTOLD, "none"
    if isinstance(read_by, Rule):
        rule, outcome = read_by, TOGETHER
    elif read_by is not None:
        rule, outcome = read_by.rule, words.OUTCOMES[read_by.outcome]
        state = "good" if read_by.outcome is Outcome.PASSED else "bad"
    return Line(
        name=score.name,
        label=words.label(score.name),
        value=words.number(score.value if score.usable else math.nan),
        interval=interval,
        better=f"{score.better} is better",
        limit=words.limit(rule),
        outcome=outcome,
        state=state,
        note=note,
    )


def _exposed(report: Report, statement: PrivacyStatement, how: Judged) -> tuple[str, ...]:
    """Which numbers are not differentially private."""
    found: list[str] = []
    if not how.accounted:
        found.append("The verdict: that the release passed, or did not, comes from an exact comparison.")
    but = " but the noisy margin" if how.accounted and statement.scope is Scope.RELEASE else ""
    found.append(f"Every score, interval and count of this report{but}, drawings included.")
    if any(share.get("labels") for share in _shares(report)):
        found.append("Shares of training rows in values and bins that at least ten of them have, rounded to ten rows.")
    if report.get("utility.tstr") is not None:
        found.append("How well a model learned from training rows predicts.")
    if statement.sizes.origin is SizeOrigin.COUNTED:
        found.append("The number of rows: it was counted, and is published exactly.")
    private = "the sample, the model, and what is computed from them"
    if statement.scope is Scope.RELEASE and how.accounted:
        private = f"the noisy margin, and so the verdict, {private}"
    found.append(f"Differentially private is {'nothing' if statement.scope is Scope.NONE else private}.")
    return tuple(found)


def _limits(statement: PrivacyStatement, attacked: Domain) -> tuple[str, ...]:
    targets = statement.sizes.attack_targets
    found = [
        "The attacks are known ones of known strength. That they find little is evidence; the proof is the statement.",
        f"With {targets:,} units a side, as the figures that are shown have, an excess below {half_width(targets):.2g} "
        "can in the worst case not be told from chance.",
        "What is true of a population can be learned from any good table about it, also about people outside it. "
        "Neither attacks nor epsilon speak of that.",
        "People who belong together, such as a household, are protected one unit at a time.",
        "One sample was judged, the canonical one, and no other is released. What is drawn from its model later is not "
        "attacked again.",
        "Utility holds for the questions that were asked, and for this sample.",
        "Whether the rows are anonymous in the sense of a law is for the organisation to decide; this is evidence.",
    ]
    if not attacked.secrets:
        found.append("No column is a secret, by declaration or policy, so guessing was not tried.")
    if not all(attacked.halves):
        found.append("There are no two halves of known columns, so linking was not tried.")
    return tuple(found)


def _shares(report: Report) -> Sequence[Mapping[str, object]]:
    shares: Sequence[Mapping[str, object]] = report.details.get("utility.marginals", {}).get("shares", ())
    return shares
