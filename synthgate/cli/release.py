"""`synthgate release`: ask for synthetic tables, follow them, fetch them, decide about them."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from synthgate.cli import derivation, drawing, output, reports, summary
from synthgate.cli.session import Session, command, write_file
from synthgate.errors import DeadlineExceeded, InvalidArgument, WrongState
from synthgate.release import Release, ReleaseState

if TYPE_CHECKING:
    from synthgate.client.client import Client

app = typer.Typer(help="Ask for synthetic tables, follow them, fetch them, decide about them.", no_args_is_help=True)
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
    dataset: Annotated[str, typer.Argument(help="A dataset in state READY (default: none, with --from).")] = "",
    epsilon: Annotated[
        float | None,
        typer.Option("--epsilon", help="Epsilon of this release, 0.001 to 100 (default: none, with --from)."),
    ] = None,
    delta: Delta = None,
    engine: Engine = "auto",
    source: Annotated[
        str,
        typer.Option("--from", help="Sample the model of this RELEASED release instead; free (default: a new model)."),
    ] = "",
    condition: Annotated[
        list[str] | None,
        typer.Option(
            "--condition",
            help="With --from: COLUMN=VALUE, COLUMN=LOW..HIGH, or COLUMN= for null; repeatable (default: none).",
        ),
    ] = None,
    rebalance: Annotated[
        str, typer.Option("--rebalance", help="With --from: equal shares of this column's values (default: as is).")
    ] = "",
    share: Annotated[
        list[str] | None,
        typer.Option("--share", help="With --rebalance: VALUE=SHARE for each value, adding to 1 (default: equal)."),
    ] = None,
    rows: Annotated[
        str, typer.Option("--rows", help="With --from: a number of rows, or 2x to 10x (default: as the source).")
    ] = "",
    replicates: Annotated[
        int,
        typer.Option("--replicates", help="With --from: 2 to 100 tables to infer from, table engines (default: one)."),
    ] = 0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would take; nothing is charged (default: no).")
    ] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Follow it until it is decided (default: no).")] = False,
    timeout: Timeout = 3_600.0,
) -> None:
    """Ask for a release; it is charged before any row is opened. Analysts, stewards.

    With --from it is a sample of a released model, under conditions, with other shares or of another size: no charge,
    no verdict of its own, attested as derived. With --wait the exit code is 7 where it was closed without data.
    """
    asked = Asked(source, condition or [], rebalance, share or [], rows, replicates)
    if source:
        if dataset or epsilon is not None or delta is not None or engine != "auto" or dry_run:
            raise InvalidArgument("--from charges nothing: leave out dataset, epsilon, delta, engine and dry-run")
    elif not dataset or epsilon is None:
        raise InvalidArgument("name a dataset and --epsilon, or --from RELEASE")
    elif asked != Asked(source, [], "", [], "", 0):
        raise InvalidArgument("--condition, --rebalance, --share, --rows and --replicates go with --from RELEASE")
    elif dry_run:
        _quote(session, dataset, epsilon, delta, engine)
        return
    with session.client() as gateway:
        if epsilon is None:
            release = asked.of(gateway)
        else:
            release = gateway.create_release(dataset, epsilon=epsilon, delta=delta, engine=_engine(engine))
        if wait:
            session.note(f"release {release.id} is queued")
            for seen in drawing.followed(session, release, gateway.watch(release.id, timeout_s=timeout)):
                release = seen
    session.show(release, lambda console: drawing.release(console, release))
    if wait:
        _exit(release)


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of a derived release as they were typed."""

    source: str
    conditions: list[str]
    rebalance: str
    shares: list[str]
    rows: str
    replicates: int

    def of(self, gateway: "Client") -> Release:
        """Read them, and ask. Raises InvalidArgument."""
        given = derivation.conditions(self.conditions)
        balance = derivation.rebalance(self.rebalance, self.shares)
        source = gateway.release(self.source) if self.rows.endswith("x") else None
        if source is not None and source.state is not ReleaseState.RELEASED:
            raise WrongState(f"release {source.id} is {source.state}; derive from one that is RELEASED")
        rows = derivation.rows(self.rows, source.rows if source else 0)
        return gateway.derive_release(
            self.source, conditions=given, rebalance=balance, rows=rows, replicates=self.replicates
        )


@command(app, "quote")
def quote(session: Session, dataset: Dataset, epsilon: Epsilon, delta: Delta = None, engine: Engine = "auto") -> None:
    """Say what a release would take of the account; no data are touched and nothing is charged."""
    _quote(session, dataset, epsilon, delta, engine)


@command(app, "watch")
def watch(session: Session, release: Id, timeout: Timeout = 3_600.0) -> None:
    """Follow a release until it is decided; with --json one line for every change. Exit code 7 where it was closed."""
    with session.client() as gateway:
        last = gateway.release(release)
        for seen in drawing.followed(session, last, gateway.watch(release, timeout_s=timeout)):
            last = seen
            if session.as_json:
                session.emit(seen)
    if not session.as_json:
        drawing.release(session.console, last)
    _exit(last)


@command(app, "show")
def show(session: Session, release: Id) -> None:
    """Show a release as the role may see it."""
    with session.client() as gateway:
        found = gateway.release(release)
    session.show(found, lambda console: drawing.release(console, found))


@command(app, "list")
def list_releases(
    session: Session,
    dataset: Annotated[str, typer.Option("--dataset", help="Of this dataset alone (default: of all).")] = "",
) -> None:
    """List the releases that the role may see."""
    with session.client() as gateway:
        found = gateway.releases(dataset)
    session.show(found, lambda console: drawing.release_list(console, found))


@command(app, "cancel")
def cancel(session: Session, release: Id) -> None:
    """Stop the work on a release. A charge that is committed stays. The requester, stewards."""
    with session.client() as gateway:
        found = gateway.cancel(release)
    session.show(found, lambda console: drawing.release(console, found))


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


reports.register(app)
summary.register(app)


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
    binding: Annotated[
        str, typer.Option("--binding", help="Digest of the binding you looked at (default: fetched and shown).")
    ] = "",
) -> None:
    """Approve a release that awaits it: its data, model, report, policy and all else that its binding names. Officers
    who neither requested nor registered."""
    with session.client() as gateway:
        if not binding:
            looked_at = gateway.release(release)
            if looked_at.binding is None:
                raise WrongState("the release has nothing that could be approved")
            binding = looked_at.binding.digest
            for line in drawing.binding(looked_at.binding):
                session.note(line)
        found = gateway.approve(release, binding=binding, reason=reason)
    session.show(found, lambda console: drawing.release(console, found))


@command(app, "reject")
def reject(session: Session, release: Id, reason: Reason) -> None:
    """Reject a release that awaits approval; its rows are destroyed. Officers."""
    with session.client() as gateway:
        found = gateway.reject(release, reason=reason)
    session.show(found, lambda console: drawing.release(console, found))


@command(app, "revoke")
def revoke(session: Session, release: Id, reason: Reason) -> None:
    """Take a RELEASED release back, and all that was derived from it; their data are destroyed. Officers."""
    with session.client() as gateway:
        found = gateway.revoke(release, reason=reason)
    session.show(found, lambda console: drawing.release(console, found))


def _quote(session: Session, dataset: str, epsilon: float, delta: float | None, engine: str) -> None:
    with session.client() as gateway:
        found = gateway.quote_release(dataset, epsilon=epsilon, delta=delta, engine=_engine(engine))
    session.show(found, lambda console: drawing.quote(console, found))


def _exit(release: Release) -> None:
    if not release.state.terminal:
        raise DeadlineExceeded("the gateway stopped telling about the release before it was decided; watch it again")
    if release.state is not ReleaseState.RELEASED:
        raise typer.Exit(output.CLOSED)


def _engine(name: str) -> str:
    return "" if name == "auto" else name
