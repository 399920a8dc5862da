"""How releases, prices and reports are drawn for people, and how a release is followed."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from synthgate.accounted import Z95, NoisyMargin
from synthgate.approval import Binding
from synthgate.cli import output
from synthgate.cli.session import Session
from synthgate.release import Quote, Release, ReleaseState
from synthgate.report import Report

BANNER = "Exact comparisons with private records; not differentially private; do not forward."
STEPS = {
    ReleaseState.PENDING: 0,
    ReleaseState.TRAINING: 1,
    ReleaseState.EVALUATING: 2,
    ReleaseState.SAMPLING: 2,
    ReleaseState.AWAITING_APPROVAL: 3,
}
FULL = 4
"""How far along the bar a state is; what is at rest fills it."""


def release(console: Console, shown: Release) -> None:
    """One release as names and values, without what the role may not see."""
    approvals = f"{len(shown.approvals)} of {shown.approvals_needed}: {', '.join(shown.approvals)}"
    rows = {
        "state": shown.state,
        "stage": shown.stage,
        "reasons": "; ".join(shown.reasons),
        "margin": _margin(shown.margin) if shown.margin else "",
        "dataset": shown.dataset,
        "engine": f"{shown.engine}: {shown.because}" if shown.because else shown.engine,
        **(_priced(shown) if shown.derivation is None else output.asked_of_model(shown.derivation)),
        "policy": _policy(shown),
        "approvals": approvals if shown.approvals_needed else "",
        "binding": shown.binding.digest if shown.binding else "",
        "rows": f"{shown.rows:,}" if shown.rows else "",
        "sha256": shown.sha256,
        "requested": f"{output.moment(shown.created_at)} by {shown.requested_by}",
        "changed": output.moment(shown.updated_at),
    }
    output.facts(console, f"release {shown.id}", rows)


def binding(shown: Binding) -> Iterator[str]:
    """What is about to be approved, a line a field, and the digest of it all."""
    yield f"approving the binding {shown.digest}, which is of"
    for name, value in asdict(shown).items():
        text = ", ".join(value) if isinstance(value, tuple) else value
        if text != "":
            yield f"{name}: {text}"


def _policy(shown: Release) -> str:
    digest = shown.policy_digest[:16]
    return f"{shown.policy}, version {shown.policy_version}, sha256 {digest}..." if shown.policy else ""


def _margin(shown: NoisyMargin) -> str:
    return (
        f"{shown.value} units with noise of {shown.sigma:g}: {shown.value} + {Z95} x {shown.sigma:g} = "
        f"{shown.pessimistic:.1f}, which passes where it is at most 0"
    )


def _priced(shown: Release) -> dict[str, str]:
    return {
        "epsilon, delta": f"{shown.epsilon:g}, {shown.delta:g}",
        "takes of the account": f"{output.percent(shown.share_ppm)} of {shown.account}",
    }


def _price(shown: Release) -> tuple[str, str]:
    if shown.derivation is not None:
        return "none", f"derived from {shown.derivation.source}"
    return f"{shown.epsilon:g}", output.percent(shown.share_ppm)


def quote(console: Console, shown: Quote) -> None:
    """A price as names and values."""
    rows = {
        "engine": f"{shown.engine}: {shown.because}",
        "epsilon, delta": f"{shown.epsilon:g}, {shown.delta:g} (the plan alone: {shown.plan_epsilon:.3f})",
        "takes": output.percent(shown.share_ppm),
        "taken already": output.percent(shown.taken_ppm),
        "taken after it": output.percent(shown.after_ppm),
        "largest epsilon that fits": f"{shown.largest_epsilon:.3f}" if shown.largest_epsilon > 0 else "none",
        "rows": f"{shown.rows:,}",
        "answer": f"would be refused: {'; '.join(shown.refusals)}" if shown.refusals else "would be admitted",
    }
    output.facts(console, "quote: nothing was charged and no row was opened", rows)


def release_list(console: Console, releases: Iterable[Release]) -> None:
    """Releases as a table."""
    rows = [(r.id, r.dataset, r.engine, *_price(r), r.state, output.moment(r.created_at)) for r in releases]
    output.listing(console, "releases", ("release", "dataset", "engine", "epsilon", "share", "state", "asked"), rows)


def report(console: Console, shown: Report) -> None:
    """The scores of a report as a table."""
    rows = [
        (s.name, f"{s.value:.4f}", f"{s.low:.4f}", f"{s.high:.4f}", s.better, "yes" if s.conclusive else "no", s.note)
        for s in shown.scores
    ]
    output.listing(console, BANNER, ("score", "value", "low", "high", "better", "conclusive", "note"), rows)


def followed(session: Session, release: Release, changes: Iterator[Release]) -> Iterator[Release]:
    """The changes of a release, beside a bar with state, stage and elapsed time."""
    parts = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[stage]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*parts, console=session.notes, disable=session.as_json) as progress:
        task = progress.add_task(release.state, total=FULL, stage=release.stage)
        for seen in changes:
            done = STEPS.get(seen.state, FULL)
            progress.update(task, description=seen.state, completed=done, stage=output.printable(seen.stage))
            yield seen
