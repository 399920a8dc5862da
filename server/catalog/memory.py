"""The catalog in memory: canonical texts in dictionaries that belong to one transaction."""

from collections.abc import Callable
from datetime import datetime
from itertools import islice

from server.catalog import codec, rules
from server.catalog.base import Answer, DatasetRecord, Lease, ReleaseRecord
from synthgate.dataset import DatasetState
from synthgate.ledger import Entry, EntryKind
from synthgate.release import ReleaseState


class MemoryDatasets:
    """Registered datasets by name."""

    def __init__(self, kept: dict[str, str]) -> None:
        self._kept = kept

    def add(self, record: DatasetRecord) -> None:
        """Register a new name."""
        if record.dataset.name in self._kept:
            rules.dataset_taken(record.dataset.name)
        self._kept[record.dataset.name] = codec.write_dataset(record)

    def get(self, name: str) -> DatasetRecord:
        """The record, DELETED or not."""
        if name not in self._kept:
            rules.no_dataset(name)
        return codec.read_dataset(self._kept[name])

    def list(self, *, deleted: bool = False) -> tuple[DatasetRecord, ...]:
        """In the order of registration."""
        records = map(codec.read_dataset, self._kept.values())
        return tuple(r for r in records if deleted or r.dataset.state is not DatasetState.DELETED)

    def replace(self, record: DatasetRecord, *, expected: DatasetState) -> None:
        """Write a changed record."""
        name = record.dataset.name
        rules.check_dataset_state(name, self.get(name).dataset.state, expected)
        self._kept[name] = codec.write_dataset(record)


class MemoryReleases:
    """Releases by id. ``datasets`` and ``entries`` are read only: what exists, and what was voided."""

    def __init__(self, kept: dict[str, str], *, datasets: dict[str, str], entries: list[Entry]) -> None:
        self._kept = kept
        self._datasets = datasets
        self._entries = entries

    def add(self, record: ReleaseRecord) -> None:
        """Record a new request."""
        if record.release.id in self._kept:
            rules.release_taken(record.release.id)
        if record.release.dataset not in self._datasets:
            rules.no_dataset(record.release.dataset)
        self._kept[record.release.id] = codec.write_release(record)

    def get(self, release: str) -> ReleaseRecord:
        """The record."""
        if release not in self._kept:
            rules.no_release(release)
        return codec.read_release(self._kept[release])

    def list(
        self, *, dataset: str = "", states: tuple[ReleaseState, ...] = (), after: str = "", limit: int | None = None
    ) -> tuple[ReleaseRecord, ...]:
        """In the order of creation."""
        if after and after not in self._kept:
            rules.no_release(after)
        ids = list(self._kept)
        kept = islice(self._kept.values(), ids.index(after) + 1 if after else 0, None)
        records = map(codec.read_release, kept)
        found = (r for r in records if dataset in ("", r.release.dataset) and (not states or r.release.state in states))
        return tuple(islice(found, limit))

    def replace(self, record: ReleaseRecord, *, expected: ReleaseState) -> None:
        """Write a changed record."""
        rules.check_release_change(self.get(record.release.id), record, expected)
        self._kept[record.release.id] = codec.write_release(record)

    def verdicts(self, account: str) -> int:
        """Releases of the account whose charge was reserved and not voided, without those that are accounted."""
        reserved, voided = (
            {e.reservation for e in self._entries if e.kind is kind} for kind in (EntryKind.RESERVE, EntryKind.VOID)
        )
        live = reserved - voided - self.accounted(account)
        return sum(r.release.account == account and r.release.id in live for r in self.list())

    def accounted(self, account: str) -> frozenset[str]:
        """The ids."""
        return frozenset(r.release.id for r in self.list() if r.release.account == account and r.accounted)


class MemoryRequests:
    """Answers by (principal, method, request id)."""

    def __init__(self, kept: dict[tuple[str, str, str], Answer]) -> None:
        self._kept = kept

    def recall(self, principal: str, method: str, request_id: str, *, payload: str) -> str | None:
        """The resource that the same request gave before; None for a new one."""
        answer = self._kept.get((principal, method, request_id))
        if answer is None:
            return None
        rules.answer_kept(payload, kept=answer.payload)
        return answer.resource

    def remember(self, principal: str, method: str, request_id: str, *, payload: str, resource: str) -> None:
        """Keep the answer for ever."""
        key = (principal, method, request_id)
        if key in self._kept:
            rules.request_taken(request_id)
        self._kept[key] = Answer(payload=payload, resource=resource)


class MemoryPrincipals:
    """A `server.catalog.base.PrincipalCatalog`."""

    def __init__(self, kept: dict[str, tuple[str, str]]) -> None:
        self._kept = kept

    def replace(self, name: str, office: str, token_sha256: str) -> None:
        """Make this the principal's only token."""
        self._kept[name] = (office, token_sha256)

    def remove(self, name: str) -> None:
        """Forget the principal, if it is known."""
        self._kept.pop(name, None)

    def list(self) -> tuple[tuple[str, str, str], ...]:
        """(name, office, sha256 of the token) of each."""
        return tuple((name, *rest) for name, rest in self._kept.items())


class MemoryLeases:
    """A `server.catalog.base.LeaseCatalog`."""

    def __init__(self, kept: dict[str, Lease], *, clock: Callable[[], datetime]) -> None:
        self._kept = kept
        self._clock = clock

    def now(self) -> datetime:
        """The store's clock."""
        return self._clock()

    def get(self, name: str) -> Lease | None:
        """The lease; None where nobody ever took it."""
        return self._kept.get(name)

    def put(self, lease: Lease) -> None:
        """Write it."""
        rules.check_lease(self.get(lease.name), lease)
        self._kept[lease.name] = lease

    def list(self) -> tuple[Lease, ...]:
        """Those that somebody holds, by name."""
        return tuple(self._kept[name] for name in sorted(self._kept) if self._kept[name].holder)
