"""`synthgate release`: ask for synthetic tables, follow them, fetch them, decide about them."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from synthgate.cli import output
from synthgate.cli.session import Session, command, write_file
from synthgate.errors import DeadlineExceeded, InvalidArgument, WrongState
from synthgate.release import Quote, Release, ReleaseState
from synthgate.report import Report

app = typer.Typer(help="Ask for synthetic tables, follow them, fetch them, decide about them.", no_args_is_help=True)
BANNER = "Exact comparisons with private records; not differentially private; do not forward."
STEPS = (ReleaseState.PENDING, ReleaseState.TRAINING, ReleaseState.EVALUATING, ReleaseState.AWAITING_APPROVAL)

Id = Annotated[str, typer.Argument(help="The release's id.")]
Dataset = Annotated[str, typer.Argument(help="A dataset in state READY.")]
Epsilon = Annotated[float, typer.Option("--epsilon", help="Epsilon of this release, 0.001 to 100.")]
Delta = Annotated[
    float | None,
    typer.Option("--delta", help="Delta of this release, 1e-15 to 0.01 (default: a twentieth of the account's)."),
]
Engine = Annotated[str, typer.Option("--engine", help="The engine that fits it; auto picks by public facts.")]
Timeout = Annotated[float, typer.Option("--timeout", min=1, max=604_800, help="How long to wait, in seconds.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, 1 to 1,000 characters; kept in the audit log.")]


@command(app, "create")
def create(
    session: Session,
    dataset: Dataset,
    epsilon: Epsilon,
    delta: Delta = None,
    engine: Engine = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would take; nothing is charged (default: no).")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it is decided (default: no).")] = False,
    timeout: Timeout = 3_600.0,
) -> None:
    """Ask for a release; it is charged before any row is opened. Analysts, stewards.

    With --wait the exit code is 7 where it was closed without data.
    """
    if dry_run:
        _quote(session, dataset, epsilon, delta, engine)
        return
    with session.client() as gateway:
        release = gateway.create_release(dataset, epsilon=epsilon, delta=delta, engine=_engine(engine))
        if wait:
            session.note(f"release {release.id} is queued")
            for seen in _followed(session, release, gateway.watch(release.id, timeout_s=timeout)):
                release = seen
    session.show(release, lambda console: draw(console, release))
    if wait:
        _exit(release)


@command(app, "quote")
def quote(session: Session, dataset: Dataset, epsilon: Epsilon, delta: Delta = None, engine: Engine = "auto") -> None:
    """Say what a release would take of the account; no data are touched and nothing is charged."""
    _quote(session, dataset, epsilon, delta, engine)


@command(app, "watch")
def watch(session: Session, release: Id, timeout: Timeout = 3_600.0) -> None:
    """Follow a release until it is decided; with --json one line for every change. Exit code 7 where it was closed."""
    with session.client() as gateway:
        last = gateway.release(release)
        for seen in _followed(session, last, gateway.watch(release, timeout_s=timeout)):
            last = seen
            if session.as_json:
                session.emit(seen)
    if not session.as_json:
        draw(session.console, last)
    _exit(last)


@command(app, "show")
def show(session: Session, release: Id) -> None:
    """Show a release as the role may see it."""
    with session.client() as gateway:
        found = gateway.release(release)
    session.show(found, lambda console: draw(console, found))


@command(app, "list")
def list_releases(
    session: Session,
    dataset: Annotated[str, typer.Option("--dataset", help="Of this dataset alone (default: of all).")] = "",
) -> None:
    """List the releases that the role may see."""
    with session.client() as gateway:
        found = gateway.releases(dataset)
    session.show(found, lambda console: _draw_list(console, found))


@command(app, "cancel")
def cancel(session: Session, release: Id) -> None:
    """Stop the work on a release. A charge that is committed stays. The requester, stewards."""
    with session.client() as gateway:
        found = gateway.cancel(release)
    session.show(found, lambda console: draw(console, found))


@command(app, "download")
def download(
    session: Session,
    release: Id,
    out: Annotated[Path, typer.Option("--output", "-o", help="FILE.parquet (attested) or FILE.csv.")],
) -> None:
    """Fetch a released table, resuming what broke off. The CSV is made here from the checked Parquet."""
    parts = (TextColumn(f"download {out.name}", markup=False), BarColumn(), DownloadColumn())
    with session.client() as gateway, Progress(*parts, console=session.notes, disable=session.as_json) as progress:
        task = progress.add_task("download", total=None)
        gateway.download(release, out, progress=lambda done, all_: progress.update(task, completed=done, total=all_))
    session.show({"path": out}, lambda console: console.print(f"{out} written", markup=False))


@command(app, "report")
def report(
    session: Session,
    release: Id,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="FILE.html or FILE.json, readable by you alone (default: show the scores)."
        ),
    ] = None,
) -> None:
    """Fetch a release's report: exact and private. Stewards, officers, auditors."""
    if out is not None and out.suffix not in (".html", ".json"):
        raise InvalidArgument("a report is written to a file named *.html or *.json")
    with session.client() as gateway:
        if out is None:
            found = gateway.report(release)
            session.show({"banner": BANNER, **found.to_dict()}, lambda console: _draw_report(console, found))
            return
        content = gateway.report_file(release, html=out.suffix == ".html")
    write_file(out, content, private=True)
    session.note(BANNER)
    value = {"path": out, "banner": BANNER}
    session.show(value, lambda console: console.print(f"{out} written", markup=False))


@command(app, "attestation")
def attestation(
    session: Session,
    release: Id,
    out: Annotated[Path, typer.Option("--output", "-o", help="JSON file to write.")],
    key_out: Annotated[
        Path | None,
        typer.Option("--key-output", help="PEM file for the gateway's key; compare its fingerprint (default: none)."),
    ] = None,
) -> None:
    """Fetch the attestation of a released table, for `synthgate verify`."""
    with session.client() as gateway:
        signed = gateway.attestation(release)
    write_file(out, signed.envelope)
    if key_out is not None:
        write_file(key_out, signed.public_key)
    value = {"path": out, "key": key_out}
    session.show(value, lambda console: console.print(f"{out} written", markup=False))


@command(app, "approve")
def approve(
    session: Session,
    release: Id,
    reason: Reason,
    sha256: Annotated[
        str, typer.Option("--sha256", help="sha256 of the artifact you looked at (default: fetched and shown).")
    ] = "",
) -> None:
    """Approve a release that awaits it. Officers who neither requested nor registered."""
    with session.client() as gateway:
        if not sha256:
            sha256 = gateway.release(release).sha256
            if not sha256:
                raise WrongState("the release has no artifact that could be approved")
            session.note(f"approving the artifact with sha256 {sha256}")
        found = gateway.approve(release, sha256=sha256, reason=reason)
    session.show(found, lambda console: draw(console, found))


@command(app, "reject")
def reject(session: Session, release: Id, reason: Reason) -> None:
    """Reject a release that awaits approval; its rows are destroyed. Officers."""
    with session.client() as gateway:
        found = gateway.reject(release, reason=reason)
    session.show(found, lambda console: draw(console, found))


def draw(console: Console, release: Release) -> None:
    """One release as names and values, without what the role may not see."""
    approvals = f"{len(release.approvals)} of {release.approvals_needed}: {', '.join(release.approvals)}"
    rows = {
        "state": release.state,
        "stage": release.stage,
        "reasons": "; ".join(release.reasons),
        "dataset": release.dataset,
        "engine": f"{release.engine}: {release.because}" if release.because else release.engine,
        "epsilon, delta": f"{release.epsilon:g}, {release.delta:g}",
        "takes of the account": f"{output.percent(release.share_ppm)} of {release.account}",
        "approvals": approvals if release.approvals_needed else "",
        "rows": f"{release.rows:,}" if release.rows else "",
        "sha256": release.sha256,
        "requested": f"{output.moment(release.created_at)} by {release.requested_by}",
        "changed": output.moment(release.updated_at),
    }
    output.facts(console, f"release {release.id}", rows)


def _quote(session: Session, dataset: str, epsilon: float, delta: float | None, engine: str) -> None:
    with session.client() as gateway:
        found = gateway.quote_release(dataset, epsilon=epsilon, delta=delta, engine=_engine(engine))
    session.show(found, lambda console: _draw_quote(console, found))


def _draw_quote(console: Console, quote: Quote) -> None:
    rows = {
        "engine": f"{quote.engine}: {quote.because}",
        "epsilon, delta": f"{quote.epsilon:g}, {quote.delta:g} (the plan alone: {quote.plan_epsilon:.3f})",
        "takes": output.percent(quote.share_ppm),
        "taken already": output.percent(quote.taken_ppm),
        "taken after it": output.percent(quote.after_ppm),
        "largest epsilon that fits": f"{quote.largest_epsilon:.3f}" if quote.largest_epsilon > 0 else "none",
        "rows": f"{quote.rows:,}",
        "answer": f"would be refused: {'; '.join(quote.refusals)}" if quote.refusals else "would be admitted",
    }
    output.facts(console, "quote: nothing was charged and no row was opened", rows)


def _draw_list(console: Console, releases: Iterable[Release]) -> None:
    rows = [
        (r.id, r.dataset, r.engine, f"{r.epsilon:g}", output.percent(r.share_ppm), r.state, output.moment(r.created_at))
        for r in releases
    ]
    output.listing(console, "releases", ("release", "dataset", "engine", "epsilon", "share", "state", "asked"), rows)


def _draw_report(console: Console, report: Report) -> None:
    rows = [
        (s.name, f"{s.value:.4f}", f"{s.low:.4f}", f"{s.high:.4f}", s.better, "yes" if s.conclusive else "no", s.note)
        for s in report.scores
    ]
    output.listing(console, BANNER, ("score", "value", "low", "high", "better", "conclusive", "note"), rows)


def _followed(session: Session, release: Release, changes: Iterator[Release]) -> Iterator[Release]:
    """The changes of a release, beside a bar with state, stage and elapsed time."""
    parts = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[stage]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*parts, console=session.notes, disable=session.as_json) as progress:
        task = progress.add_task(release.state, total=len(STEPS), stage=release.stage)
        for seen in changes:
            done = STEPS.index(seen.state) if seen.state in STEPS else len(STEPS)
            progress.update(task, description=seen.state, completed=done, stage=output.printable(seen.stage))
            yield seen


def _exit(release: Release) -> None:
    if not release.state.terminal:
        raise DeadlineExceeded("the gateway stopped telling about the release before it was decided; watch it again")
    if release.state is not ReleaseState.RELEASED:
        raise typer.Exit(output.CLOSED)


def _engine(name: str) -> str:
    return "" if name == "auto" else name
