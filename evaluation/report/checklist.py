"""The checklist: the topics of NIST SP 800-226 (Guidelines for Evaluating Differential Privacy Guarantees, 2025),
one by one, with what this release and the gateway do about each. What nobody checks here is called not covered."""

import math
from collections.abc import Iterator

from evaluation.report.document import Check, Status
from evaluation.report.judged import House, Judged
from synthgate.dataset import SizeOrigin
from synthgate.events import Opaque
from synthgate.report import Report
from synthgate.statement import PrivacyStatement, Scope

COVERED, PARTLY, OPEN = Status.COVERED, Status.PARTLY, Status.OPEN


def checklist(statement: PrivacyStatement, report: Report, *, how: Judged, house: House) -> tuple[Check, ...]:
    """Every topic, from the strength of the guarantee down to how the data were collected."""
    rows = (
        *_guarantee(statement), *_composition(statement, how), *_mechanism(statement, house),
        *_purpose(report, statement), *_around(statement),
    )  # fmt: skip
    return tuple(Check(topic=topic, status=status, text=text) for topic, status, text in rows)


def _guarantee(statement: PrivacyStatement) -> Iterator[tuple[str, Status, str]]:
    nothing = statement.scope is Scope.NONE
    claimed, substitute = isinstance(statement.event, Opaque), statement.epsilon_substitute_one
    yield (
        "Privacy parameters", OPEN if nothing else PARTLY if claimed else COVERED,
        "A sandbox account: no parameter is claimed." if nothing else
        f"Epsilon {statement.epsilon:.4g} at delta {statement.delta:g}, by {statement.accountant}"
        + (". It is what the engine's own library claims, unchecked." if claimed else
           ". It is computed from what ran, and the run was compared with the plan that was priced."),
    )  # fmt: skip
    yield (
        "Variant of the definition", OPEN if nothing else COVERED,
        "A sandbox account: no definition is claimed to hold." if nothing else
        "Approximate differential privacy, central model. Neighbouring tables differ in one unit whose rows are "
        "replaced by empty records; for one unit replaced by another, "
        + (f"epsilon is {substitute:.4g}." if math.isfinite(substitute) else "no epsilon could be shown."),
    )  # fmt: skip
    by_row = statement.unit.startswith("one row")
    yield (
        "Unit of privacy", OPEN if nothing else PARTLY if by_row else COVERED,
        "A sandbox account protects no unit." if nothing else f"Protected is {statement.unit}." + (
            " Where a person has several rows, each row is protected, the person is not as well." if by_row else ""),
    )  # fmt: skip


def _composition(statement: PrivacyStatement, how: Judged) -> Iterator[tuple[str, Status, str]]:
    nothing = statement.scope is Scope.NONE
    inside = how.accounted and statement.scope is Scope.RELEASE
    yield (
        "Composition over releases", OPEN if nothing else COVERED if inside else PARTLY,
        "Each release is charged, before a row is opened, to one account of the population that all its datasets "
        "share; the account's cap holds for all of them together, whoever asks."
        + (" A sandbox account promises nothing all the same." if nothing else "")
        + ("" if how.accounted else " Verdicts are counted and capped beside it, not charged to it."),
    )  # fmt: skip
    whole = "The verdict is part of the epsilon. That a job fails before its margin is drawn is not." + (
        "" if statement.end_to_end else " Nor is the number of rows.")  # fmt: skip
    yield (
        "All of the release is accounted for",
        OPEN if not inside else COVERED if statement.end_to_end else PARTLY,
        "A sandbox account: nothing is claimed to be." if nothing else whole if inside else
        "The epsilon covers the generator's output. That it was released at all tells the outcome of an exact "
        "comparison with private rows.",
    )  # fmt: skip
    counted = statement.sizes.origin is SizeOrigin.COUNTED
    yield (
        "Public information is public", PARTLY if counted else COVERED,
        "Columns, categories, bounds and bins are declared, never read from the rows."
        + (" The number of rows was counted and is published exactly." if counted else " So are the sizes."),
    )  # fmt: skip


def _mechanism(statement: PrivacyStatement, house: House) -> Iterator[tuple[str, Status, str]]:
    yield "Implementation of the mechanism", *_implementation(statement, house)
    every = "" if house.tick_s is None else f" of {house.tick_s:g} seconds"
    yield (
        "Side channels", PARTLY,
        f"An analyst learns whether there is a release, published on a tick{every}: that blurs when it was decided, "
        "and does not make it constant. Caches, memory, power and whoever shares the machine are not covered.",
    )  # fmt: skip


def _implementation(statement: PrivacyStatement, house: House) -> tuple[Status, str]:
    """Who has tried to break what ran. An engine off the operator's list runs on sandbox accounts alone."""
    weak = f" What weakens this run: {' '.join(statement.weakened_by)}" if statement.weakened_by else ""
    if statement.scope is Scope.NONE:
        return OPEN, f"A sandbox account runs engines that nobody certified, too.{weak}"
    if isinstance(statement.event, Opaque):
        return OPEN, f"The noise is the engine's own library's. The gateway's tests do not attack it.{weak}"
    if not house.audited:
        return OPEN, f"The operator certified the engine. The gateway's own tests do not attack it.{weak}"
    told = "The gateway's tests attack this engine with known mistakes planted, and convict those."
    return PARTLY if weak else COVERED, told + weak


def _purpose(report: Report, statement: PrivacyStatement) -> Iterator[tuple[str, Status, str]]:
    nothing = statement.scope is Scope.NONE
    yield (
        "Synthetic data", OPEN if nothing else COVERED,
        ("A sandbox account: nothing is promised of the rows or the model." if nothing else
         "Whatever is computed from the released rows or the stored model costs no further privacy.")
        + " The rows are not people: what is rare in them may be invented.",
    )  # fmt: skip
    useful = any(s.name.startswith("utility.") for s in report.scores)
    yield (
        "Utility and accuracy", COVERED if useful else OPEN,
        "Measured below against the rows that were trained on; noise is not the only error, models leave out relations."
        if useful else "No measure of utility was run.",
    )  # fmt: skip
    fair = any(s.name.startswith("fairness.") for s in report.scores)
    yield (
        "Bias", PARTLY if fair else OPEN,
        "Shares and errors of declared groups are compared with real rows. Bias that is in the source stays in it."
        if fair else "Not measured: small groups can be distorted more than large ones, and bias of the source stays.",
    )  # fmt: skip


def _around(statement: PrivacyStatement) -> Iterator[tuple[str, Status, str]]:
    yield (
        "Threat model and trust", PARTLY,
        "Requesters are not trusted, and may collude. The operator, the steward and the officers are: they can read "
        "this report, which is not differentially private, and the operator's machine holds the rows.",
    )  # fmt: skip
    yield (
        "Data security and access control", PARTLY,
        "Calls are bound to roles; artifacts are encrypted at rest; work on rows runs in processes without keys, "
        "tokens or database. The rows lie on the gateway's disk as they are. The steward's own copies, and the machine "
        "itself, are for the organisation to protect.",
    )  # fmt: skip
    yield (
        "Data collection exposure", OPEN,
        "How the rows were collected, on what legal ground, and who else holds them.",
    )  # fmt: skip
    none = statement.scope is Scope.NONE
    yield (
        "Evidence that others can check", PARTLY if none else COVERED,
        "What is released carries a signed statement of the epsilon, of whom it protects, and of what it does not "
        "cover, verified offline; it holds no score."
        + (" Here it says that nothing is guaranteed." if none else ""),
    )  # fmt: skip
