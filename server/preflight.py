"""`check`: what a gateway verifies of its books before it serves. Linear in the entries and audit records."""

from server.ledger import chain
from server.ledger.standing import Standing
from server.store import Store
from synthgate.errors import DataCorrupted

PAGE = 10_000


def check(store: Store) -> int:
    """Verify both hash chains, and that every account's kept sums are those of its entries. Returns the entries.

    Raises DataCorrupted naming the first line or account that does not hold.
    """
    with store.begin() as tx:
        entries = tx.ledger.entries()
        chain.verify(entries)
        last = None
        while records := tx.audit.records(after=last.sequence if last else 0, limit=PAGE):
            last = chain.verify(records, after=last)
        summed = Standing.of(entries)
        for account in tx.ledger.accounts():
            kept = tx.ledger.balance(account.name)
            if account.name not in summed or summed[account.name].balance != kept:
                raise DataCorrupted(
                    f"the kept sums of account {account.name!r} are not those of its entries; restore the database "
                    "from a backup, and have it looked at"
                )
        if len(summed) != len(tx.ledger.accounts()):
            raise DataCorrupted("an account has entries and no kept sums; restore the database from a backup")
    return len(entries)
