"""The ledger in memory: for tests and for trying things out. Nothing outlives the process."""

from collections.abc import Callable, Sequence
from datetime import datetime

from server.ledger.book import Book, Selection
from synthgate.ledger import Entry, EntryKind


class MemoryLedger(Book):
    """The ledger over a list of entries that belongs to one transaction."""

    def __init__(self, entries: list[Entry], *, clock: Callable[[], datetime]) -> None:
        super().__init__(clock)
        self._entries = entries

    def _select(self, selection: Selection) -> Sequence[Entry]:
        made = {
            entry.reservation
            for entry in self._entries
            if entry.kind is EntryKind.RESERVE and entry.principal == selection.made_by and entry.at > selection.since
        }
        found = [
            entry
            for entry in self._entries[selection.after :]
            if selection.account in ("", entry.account)
            and selection.reservation in ("", entry.reservation)
            and (not selection.made_by or entry.reservation in made)
            and (not selection.kinds or entry.kind in selection.kinds)
        ]
        return found[: selection.limit]

    def _newest(self) -> Entry | None:
        return self._entries[-1] if self._entries else None

    def _keep(self, entry: Entry) -> None:
        self._entries.append(entry)
