"""`synthgate ledger export` and `check`: the entries as a file, and every account recounted from them alone."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from synthgate.attestation import Judged
from synthgate.cli import output
from synthgate.cli.session import Session, command, read_file, read_lines, write_file
from synthgate.errors import InvalidArgument, VerificationFailed
from synthgate.ledger import AccountView, Charge, Entry
from synthgate.recount import Recount, Sum, Tally
from synthgate.verify import verify_envelope

if TYPE_CHECKING:
    from synthgate.client.client import Client

AGREES, NOT_COMPARED = "agrees", "not compared: no gateway was asked"


def register(app: typer.Typer) -> None:
    """Add `export` and `check` to the ledger's commands."""
    command(app, "export")(export)
    command(app, "check")(check)


def export(
    session: Session,
    file: Annotated[Path, typer.Argument(help="JSON Lines file to write, one entry a line; readable by you alone.")],
) -> None:
    """Write all entries of the ledger to a file. Stewards, officers, auditors."""
    with session.client() as gateway:
        entries = gateway.entries()
    lines = (json.dumps(document(entry), sort_keys=True, ensure_ascii=False) + "\n" for entry in entries)
    write_file(file, "".join(lines).encode(), private=True)
    head = entries[-1].digest if entries else Recount().head
    session.show(
        {"path": file, "entries": len(entries), "head": head},
        lambda console: output.facts(console, f"{file} written", {"entries": str(len(entries)), "head": head}),
    )


def check(
    session: Session,
    entries: Annotated[
        Path | None,
        typer.Option("--entries", help="File of `ledger export`, instead of a gateway (default: none)."),
    ] = None,
    head: Annotated[
        str, typer.Option("--head", help="Digest that must be in the chain, from an earlier check (default: none).")
    ] = "",
    attestation: Annotated[
        Path | None,
        typer.Option("--attestation", help="A release's attestation whose entry must be in the chain (default: none)."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help="The gateway's public key (PEM), with --attestation (default: none)."),
    ] = None,
) -> None:
    """Recount every account from its entries alone, and name the first one that does not hold (exit code 6).

    Asks a gateway for entries and balances, or reads a file. Stewards, officers, auditors.
    """
    if (attestation is None) != (key is None):
        raise InvalidArgument("give --attestation and --key together")
    recount = Recount()
    if entries is not None:
        for line in read_lines(entries, hint="export the ledger again"):
            recount.take(line)
    else:
        with session.client() as gateway:
            _compare(gateway, recount)
    if head:
        recount.holds_head(head)
    if attestation is not None and key is not None:
        _check_attested(recount, read_file(attestation), read_file(key))
    balance = NOT_COMPARED if entries is not None else AGREES
    found = [_row(tally) | {"balance": balance} for tally in recount.accounts]
    session.show({"accounts": found, "head": recount.head}, lambda console: _draw(console, found, recount.head))


def document(entry: Entry) -> dict[str, Any]:
    """An entry as its digest covers it: the time in UTC with microseconds, amounts in whole units."""
    return asdict(entry) | {"kind": str(entry.kind), "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds")}


def _compare(gateway: "Client", recount: Recount) -> None:
    """Recount what the gateway sends, and compare each balance that it shows.

    Others may write meanwhile: the balances are read between two readings of the book, so each of them must be what
    the entries give at some point from the end of the first reading to the end of the second.
    """
    for entry in gateway.entries():
        recount.take(document(entry))
    possible = {tally.name: [tally] for tally in recount.accounts}
    opened, views = set(possible), gateway.accounts()
    for entry in gateway.entries(after=recount.taken):
        tally = recount.take(document(entry))
        possible.setdefault(tally.name, []).append(tally)
    for view in views:
        name = view.balance.account.name
        if _shown(view) not in [_counted(tally) for tally in possible.get(name, ())]:
            raise VerificationFailed(
                f"the gateway shows a balance of account {name!r} that its entries do not give; export the ledger and "
                "ask the operator",
                facts={"account": name},
            )
    if missing := opened - {view.balance.account.name for view in views}:
        raise VerificationFailed(f"the gateway does not show account {min(missing)!r}, which its entries open")


def _shown(view: AccountView) -> tuple[object, ...]:
    balance, account = view.balance, view.balance.account
    fixed = (account.cap.epsilon_units, account.cap.delta_units, account.order, account.capacity)
    sums = (_amounts(balance.committed), _amounts(balance.reserved), view.taken_ppm)
    return (*fixed, account.sandbox, account.verdicts_granted, *sums)


def _counted(tally: Tally) -> tuple[object, ...]:
    fixed = (tally.epsilon, tally.delta, tally.order, tally.capacity, tally.sandbox, tally.verdicts_granted)
    return (*fixed, _amounts(tally.committed), _amounts(tally.reserved), tally.share_ppm)


def _amounts(amount: Charge | Sum) -> tuple[int, int, int | None]:
    rdp = amount.rdp if isinstance(amount, Charge) or not amount.opaque else None
    return amount.epsilon, amount.delta, rdp


def _check_attested(recount: Recount, envelope: bytes, key: bytes) -> None:
    attested = verify_envelope(envelope, key)
    if not isinstance(attested.origin, Judged):
        raise InvalidArgument("a derived release has no entry of its own; give the attestation of its source")
    at = attested.origin.ledger
    recount.holds_commit(
        release=attested.release, account=at.account, sequence=at.sequence, digest=at.digest, head=at.head
    )


def _row(tally: Tally) -> dict[str, Any]:
    return {
        "account": tally.name,
        "cap": {"epsilon_units": tally.epsilon, "delta_units": tally.delta},
        "order": tally.order,
        "capacity": tally.capacity,
        "sandbox": tally.sandbox,
        "committed": asdict(tally.committed),
        "reserved": asdict(tally.reserved),
        "taken_ppm": tally.share_ppm,
        "entries": tally.entries,
    }


def _draw(console: Console, found: Iterable[Mapping[str, Any]], head: str) -> None:
    rows = [
        (
            row["account"],
            f"{row['cap']['epsilon_units'] / 1e9:g}, {row['cap']['delta_units'] / 1e18:g}",
            _epsilon(row["committed"]),
            _epsilon(row["reserved"]),
            output.percent(row["taken_ppm"]),
            row["entries"],
            row["balance"],
        )
        for row in found
    ]
    columns = ("account", "epsilon, delta", "committed epsilons", "reserved epsilons", "taken", "entries", "balance")
    output.listing(console, "every entry holds; recounted from the entries alone", columns, rows)
    output.facts(console, "keep this, and give it to a later check as --head", {"head": head})


def _epsilon(amounts: Mapping[str, int]) -> str:
    return f"{amounts['epsilon'] / 1e9:g}"
