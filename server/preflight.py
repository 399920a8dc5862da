"""`check`: what a gateway verifies of its books before it serves. Linear in the entries and audit records."""

from server.ledger import chain
from server.ledger.standing import Standing
from server.store import Store
from synthgate.errors import DataCorrupted
from synthgate.ledger import Balance, Entry
from synthgate.record import AuditRecord

PAGE = 10_000


def check(store: Store) -> int:
    """Verify both hash chains, and that every account's kept sums are those of its entries. Returns the entries.

    Reads in short transactions and verifies between them: other gateways renew their leases meanwhile. Raises
    DataCorrupted naming the first line or account that does not hold.
    """
    entries, kept = _read(store)
    chain.verify(entries)
    _audit(store)
    summed = {name: standing.balance for name, standing in Standing.of(entries).items()}
    for name in summed | kept:
        if summed.get(name) != kept.get(name):
            raise DataCorrupted(
                f"the kept sums of account {name!r} are not those of its entries; restore the database from a backup, "
                "and have it looked at"
            )
    return len(entries)


def _read(store: Store) -> tuple[list[Entry], dict[str, Balance]]:
    """All entries, and the kept sums of the moment after the last of them."""
    entries: list[Entry] = []
    while True:
        with store.begin() as tx:
            page = tx.ledger.entries(after=entries[-1].sequence if entries else 0, limit=PAGE)
            entries += page
            if len(page) < PAGE:
                return entries, {account.name: tx.ledger.balance(account.name) for account in tx.ledger.accounts()}


def _audit(store: Store) -> None:
    last: AuditRecord | None = None
    while True:
        with store.begin() as tx:
            page = tx.audit.records(after=last.sequence if last else 0, limit=PAGE)
        last = chain.verify(page, after=last)
        if len(page) < PAGE:
            return
