"""`synthgate ledger`: open, amend and read the budgets of populations."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console

from synthgate.cli import output
from synthgate.cli.session import Session, command
from synthgate.ledger import AccountView, Entry, PlanPrice

app = typer.Typer(help="Open, amend and read the budgets of populations.", no_args_is_help=True)
THIS_RELEASE_ALONE = "this_release_alone"
"""The name, in JSON, of what a plan costs by itself: such figures do not add up."""

Name = Annotated[str, typer.Argument(help="The account's name.")]


@command(app, "open")
def open_account(
    session: Session,
    name: Annotated[str, typer.Argument(help="1 to 63 of a-z, 0-9 and '-', starting with a letter.")],
    epsilon: Annotated[
        float, typer.Option("--epsilon", help="Total epsilon for the life of the account, 0.001 to 100.")
    ],
    delta: Annotated[float, typer.Option("--delta", help="Total delta for the life of the account, 1e-15 to 0.01.")],
    sandbox: Annotated[
        bool,
        typer.Option("--sandbox", help="For public data alone: engines without a guarantee may run (default: no)."),
    ] = False,
) -> None:
    """Open the budget of one population. Stewards, officers."""
    with session.client() as gateway:
        view = gateway.open_account(name, epsilon=epsilon, delta=delta, sandbox=sandbox)
    session.show(document(view), lambda console: draw(console, view))


@command(app, "amend")
def amend(
    session: Session,
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why, 1 to 1,000 characters; kept for ever.")],
    epsilon: Annotated[
        float | None, typer.Option("--epsilon", help="New total epsilon, 0.001 to 100 (default: as it is).")
    ] = None,
    delta: Annotated[
        float | None, typer.Option("--delta", help="New total delta, 1e-15 to 0.01 (default: as it is).")
    ] = None,
    verdicts: Annotated[
        int | None,
        typer.Option("--verdicts", min=0, max=1_000, help="Verdicts granted beyond the policy's (default: as it is)."),
    ] = None,
) -> None:
    """Change an account's cap, or grant it more verdicts. Officers."""
    with session.client() as gateway:
        view = gateway.amend_account(name, epsilon=epsilon, delta=delta, verdicts_granted=verdicts, reason=reason)
    session.show(document(view), lambda console: draw(console, view))


@command(app, "show")
def show(
    session: Session,
    name: Name,
    entries: Annotated[
        bool,
        typer.Option(
            "--entries", help="Show the history too: who, when, what, and its share; not for analysts (default: no)."
        ),
    ] = False,
) -> None:
    """Show what an account has committed and reserved, and what still fits."""
    with session.client() as gateway:
        view = gateway.balance(name)
        book, prices = gateway.history(name) if entries else ((), ())
    alone = {price.release: price for price in prices}
    value = document(view)
    if entries:
        value["entries"] = [_line(view, entry, alone) for entry in book]
    session.show(value, lambda console: _draw_with_book(console, view, book, alone))


@command(app, "list")
def list_accounts(session: Session) -> None:
    """List all accounts."""
    with session.client() as gateway:
        views = gateway.accounts()
    session.show([document(v) for v in views], lambda console: _draw_list(console, views))


def document(view: AccountView) -> dict[str, Any]:
    """An account as JSON-ready values; amounts are in the units of the meters."""
    balance = view.balance
    return {
        "account": output.plain(balance.account),
        "committed": output.plain(balance.committed),
        "reserved": output.plain(balance.reserved),
        "taken_ppm": view.taken_ppm,
        "largest_epsilon": view.largest_epsilon,
        "verdicts": view.verdicts,
    }


def draw(console: Console, view: AccountView) -> None:
    """One account as names and values."""
    account = view.balance.account
    rows = {
        "cap": f"epsilon {account.cap.epsilon:g}, delta {account.cap.delta:g}",
        "taken": output.percent(view.taken_ppm),
        "largest epsilon that fits": _largest(view),
        "verdicts": f"{view.verdicts} used, {account.verdicts_granted} granted beyond the policy's",
        "sandbox": "yes: for public data alone" if account.sandbox else "",
        "opened": f"{output.moment(account.opened_at)} by {account.opened_by}",
    }
    output.facts(console, f"account {account.name}", rows)


def _line(view: AccountView, entry: Entry, alone: Mapping[str, PlanPrice]) -> dict[str, Any]:
    """An entry as JSON-ready values, with its share of the account and what its plan costs alone."""
    price = alone.get(entry.reservation)
    share = None if entry.charge is None else view.balance.alone_ppm(entry.charge)
    return {**output.plain(entry), "share_ppm": share, THIS_RELEASE_ALONE: output.plain(price)}


def _draw_with_book(console: Console, view: AccountView, book: Iterable[Entry], alone: Mapping[str, PlanPrice]) -> None:
    draw(console, view)
    rows = []
    for entry in book:
        share = "" if entry.charge is None else output.percent(view.balance.alone_ppm(entry.charge))
        price = alone.get(entry.reservation)
        figure = "" if price is None else f"epsilon {price.epsilon:.3f}, delta {price.delta:g}"
        moment = output.moment(entry.at)
        rows.append(
            (entry.sequence, moment, entry.kind, entry.principal, entry.reservation, share, figure, entry.reason)
        )
    if rows:
        columns = ("number", "at", "verb", "by", "release", "share", "this release alone", "reason")
        output.listing(console, "history: shares are of the account as it is now", columns, rows)


def _draw_list(console: Console, views: Iterable[AccountView]) -> None:
    rows = []
    for view in views:
        account = view.balance.account
        cap = f"{account.cap.epsilon:g}, {account.cap.delta:g}"
        rows.append((account.name, cap, output.percent(view.taken_ppm), _largest(view), view.verdicts))
    output.listing(console, "accounts", ("account", "epsilon, delta", "taken", "fits epsilon", "verdicts"), rows)


def _largest(view: AccountView) -> str:
    return f"{view.largest_epsilon:.3f}" if view.largest_epsilon > 0 else "none"
