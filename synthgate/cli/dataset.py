"""`synthgate dataset`: register tables and look at what was registered."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from synthgate.cli import output
from synthgate.cli.session import Session, command
from synthgate.dataset import OVERLAPS, ColumnFindings, DatasetState, DatasetView
from synthgate.domain import Column, Domain
from synthgate.errors import AlreadyExists, InvalidArgument

if TYPE_CHECKING:
    from synthgate.client.client import Client
    from synthgate.policy import Policy
    from synthgate.schema import Declaration

app = typer.Typer(help="Register tables and look at what was registered.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The dataset's name.")]


@command(app, "create")
def create(
    session: Session,
    name: Annotated[str, typer.Argument(help="1 to 63 of a-z, 0-9 and '-', starting with a letter.")],
    schema: Annotated[Path, typer.Option("--schema", help="YAML file that declares the table.")],
    file: Annotated[Path, typer.Option("--file", help="CSV or Parquet file with the rows.")],
    account: Annotated[str, typer.Option("--account", help="The account of its population.")],
    policy: Annotated[
        Path | None, typer.Option("--policy", help="YAML file with the release policy (default: the gateway's).")
    ] = None,
    timeout: Annotated[
        float, typer.Option("--timeout", min=1, max=86_400, help="How long to wait for ingest, in seconds.")
    ] = 600.0,
) -> None:
    """Register a table, send its declared columns, and wait until it is READY. Stewards.

    Run it again to resume an upload that broke off.
    """
    from synthgate.client.tables import prepare_table
    from synthgate.schema import read_policy, read_schema

    declaration = read_schema(schema)
    pinned = None if policy is None else read_policy(policy)
    with prepare_table(file, declaration) as table, session.client() as gateway:
        if table.dropped:
            session.note(f"not declared, so not sent: {', '.join(table.dropped)}")
        _register(gateway, name, declaration, account, pinned)
        with _bytes(session, f"upload {name}") as progress:
            task = progress.add_task("upload", total=table.path.stat().st_size)
            gateway.upload(name, table, progress=lambda done, total: progress.update(task, completed=done, total=total))
        session.note("the rows have arrived; they are being read, cut and split")
        view = gateway.wait_ready(name, timeout_s=timeout)
    value = document(view) | {"dropped": table.dropped}
    session.show(value, lambda console: draw(console, view))


@command(app, "show")
def show(session: Session, name: Name) -> None:
    """Show a dataset: its declaration, policy and state; to its steward also what ingest found."""
    with session.client() as gateway:
        view = gateway.dataset(name)
    session.show(document(view), lambda console: draw(console, view))


@command(app, "list")
def list_datasets(session: Session) -> None:
    """List all datasets."""
    with session.client() as gateway:
        views = gateway.datasets()
    session.show([document(v) for v in views], lambda console: _draw_list(console, views))


@command(app, "delete")
def delete(
    session: Session,
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first (default: ask).")] = False,
) -> None:
    """Destroy a dataset's rows, reports, models and unreleased artifacts for ever; its charges and what was released
    stay. Its own steward, or an officer."""
    if not yes:
        if not sys.stdin.isatty():
            raise InvalidArgument("deleting destroys rows for ever; add --yes where nobody can be asked")
        typer.confirm(f"Destroy the rows of {name} for ever?", abort=True)
    with session.client() as gateway:
        view = gateway.delete_dataset(name)
    session.show(document(view), lambda console: console.print(f"{name} is deleted", markup=False))


@command(app, "link")
def link(
    session: Session,
    name: Name,
    distinct: Annotated[
        bool, typer.Option("--distinct", help="State instead that they are distinct people; officers (default: no).")
    ] = False,
    reason: Annotated[
        str,
        typer.Option("--reason", help="Why they are distinct, 1 to 1,000 characters, with --distinct (default: none)."),
    ] = "",
) -> None:
    """Join a dataset that is AWAITING_LINK to the account that it overlaps. The steward of both."""
    if bool(reason) != distinct:
        raise InvalidArgument("--distinct takes a --reason, which is kept for ever; a link takes none")
    with session.client() as gateway:
        view = gateway.distinguish_dataset(name, reason=reason) if distinct else gateway.link_dataset(name)
    session.show(document(view), lambda console: draw(console, view))


def document(view: DatasetView) -> dict[str, Any]:
    """A dataset as JSON-ready values."""
    value: dict[str, Any] = output.plain(view.dataset)
    return value | {"policy": output.plain(view.policy), "findings": output.plain(view.findings)}


def draw(console: Console, view: DatasetView) -> None:
    """One dataset: facts, columns, findings, warnings."""
    dataset, unit = view.dataset, view.dataset.unit
    sizes = dataset.sizes
    rows = {
        "state": dataset.state,
        "failure": dataset.failure,
        "unit": "a row" if unit.column is None else f"{unit.column}, at most {unit.max_rows} rows each",
        "public size": "to be counted"
        if sizes is None
        else f"{sizes.rows:,} rows, {sizes.units:,} units ({sizes.origin})",
        "account": dataset.account,
        "policy": f"{view.policy.name}, version {view.policy.version}: {'; '.join(r.name for r in view.policy.rules)}",
        "verdict": view.policy.verdict,
        "audience": view.policy.audience,
        "attackers also know": ", ".join(view.policy.attacker.also_knows),
        "attackers also guess": ", ".join(view.policy.attacker.also_secret),
        "attackers also join": ", ".join(f"{n} columns" for n in view.policy.attacker.also_joins),
        "target": ", ".join(dataset.domain.targets),
        "registered": f"{output.moment(dataset.created_at)} by {dataset.registered_by}",
    }
    output.facts(console, f"dataset {dataset.name}", rows)
    columns = [(c.name, c.kind, c.role, _marks(c), _values(c)) for c in dataset.domain.columns]
    output.listing(console, "columns", ("column", "kind", "role", "marks", "declared values"), columns)
    if view.findings:
        found = [(f.column, f.empty, f.unparsable, f.clamped, f.undeclared) for f in view.findings]
        title = "what ingest found (exact and private; do not forward)"
        output.listing(console, title, ("column", "empty", "unparsable", "clamped", "undeclared"), found)
        if filled := [f.column for f in view.findings if _filled(f, dataset.domain)]:
            told = "samples hold declared values in place of cells that are empty, unparsable or undeclared"
            hint = "a column declared `nullable: true` keeps them empty"
            console.print(f"warning: {', '.join(filled)}: {told}; {hint}", style="yellow", markup=False)
    if dataset.state is DatasetState.AWAITING_LINK:
        console.print(f"waits: {OVERLAPS}", style="yellow", markup=False)
    for warning in dataset.warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)


def _draw_list(console: Console, views: Iterable[DatasetView]) -> None:
    rows = []
    for view in views:
        dataset = view.dataset
        size = "to be counted" if dataset.sizes is None else f"{dataset.sizes.rows:,}"
        rows.append((dataset.name, dataset.state, size, len(dataset.domain.columns), dataset.account))
    output.listing(console, "datasets", ("dataset", "state", "public rows", "columns", "account"), rows)


def _filled(found: ColumnFindings, domain: Domain) -> bool:
    """Whether a column has cells without a declared value, and no null to stand for them."""
    return bool(found.empty or found.unparsable or found.undeclared) and not domain[found.column].nullable


def _marks(column: Column) -> str:
    return ", ".join(mark for mark in ("secret", "protected") if getattr(column, mark))


def _values(column: Column) -> str:
    if column.low is not None:
        return f"{column.low} to {column.high}" + (", or empty" if column.nullable else "")
    shown = ", ".join(column.categories[:5]) + (", ..." if len(column.categories) > 5 else "")
    return ", or ".join(filter(None, [shown, "empty" if column.nullable else ""]))


def _register(gateway: "Client", name: str, declaration: "Declaration", account: str, policy: "Policy | None") -> None:
    """Register the dataset, or carry on with one that was registered just so and still awaits its rows."""
    try:
        gateway.create_dataset(name, declaration, account=account, policy=policy)
    except AlreadyExists:
        view = gateway.dataset(name)
        there = (view.dataset.domain, view.dataset.unit, view.dataset.sizes, view.dataset.account)
        same = there == (declaration.domain, declaration.unit, declaration.sizes, account)
        if view.dataset.state is not DatasetState.CREATED or not same or policy not in (None, view.policy):
            raise


def _bytes(session: Session, title: str) -> Progress:
    parts = (TextColumn(title), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    return Progress(*parts, console=session.notes, disable=session.as_json, transient=True)
