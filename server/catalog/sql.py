"""The catalog in SQL: canonical texts in rows, with the columns that queries need beside them."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Row, bindparam, delete, exists, func, insert, select, update

from server import tables
from server.catalog import codec, rules
from server.catalog.base import Answer, DatasetRecord, Lease, ReleaseRecord
from server.ledger import chain
from server.ledger.sql import SqlLedger
from server.writes import Writes
from synthgate.dataset import DatasetState
from synthgate.errors import NotFound
from synthgate.release import ReleaseState

_datasets, _releases, _requests = tables.datasets, tables.releases, tables.requests
_DATASET = select(_datasets.c.document).where(_datasets.c.name == bindparam("name"))
_ADD_DATASET = insert(_datasets)
_RELEASE = select(_releases.c.document).where(_releases.c.id == bindparam("id"))
_ORDINAL = select(_releases.c.ordinal).where(_releases.c.id == bindparam("id"))
_ADD_RELEASE = insert(_releases)
_NAMED = select(
    exists().where(_releases.c.id == bindparam("id")).label("release"),
    exists().where(_datasets.c.name == bindparam("name")).label("dataset"),
)
_ANSWER = select(_requests.c.payload, _requests.c.resource).where(
    *(_requests.c[name] == bindparam(name) for name in ("principal", "method", "request_id"))
)
_REMEMBER = insert(_requests)
_accounted = tables.accounted
_IS_ACCOUNTED = insert(_accounted)
_ACCOUNTED = select(_accounted.c.release).where(_accounted.c.account == bindparam("account"))
_VOIDED = exists().where(tables.entries.c.reservation == _accounted.c.release, tables.entries.c.kind == "void")
_LIVE_ACCOUNTED = (
    select(func.count()).select_from(_accounted).where(_accounted.c.account == bindparam("account"), ~_VOIDED)
)


class SqlDatasets:
    """Registered datasets by name, inside the transaction of ``writes``."""

    def __init__(self, writes: Writes) -> None:
        self._writes = writes
        self._known: dict[str, str] = {}
        """Documents that were read: nobody else writes meanwhile, and requests that share a commit ask for the same."""

    def add(self, record: DatasetRecord) -> None:
        """Register a new name."""
        name = record.dataset.name
        if self._document(name) is not None:
            rules.dataset_taken(name)
        row = {"name": name, "state": str(record.dataset.state), "document": codec.write_dataset(record)}
        self._writes.now.execute(_ADD_DATASET, row)

    def get(self, name: str) -> DatasetRecord:
        """The record, DELETED or not."""
        document = self._document(name)
        if document is None:
            rules.no_dataset(name)
        return codec.read_dataset(document)

    def list(self, *, deleted: bool = False) -> tuple[DatasetRecord, ...]:
        """In the order of registration."""
        query = select(_datasets.c.document).order_by(_datasets.c.ordinal)
        if not deleted:
            query = query.where(_datasets.c.state != str(DatasetState.DELETED))
        found = self._writes.now.scalars(query)
        return tuple(codec.read_dataset(document) for document in found)

    def replace(self, record: DatasetRecord, *, expected: DatasetState) -> None:
        """Write a changed record."""
        name = record.dataset.name
        rules.check_dataset_state(name, self.get(name).dataset.state, expected)
        row = {"state": str(record.dataset.state), "document": codec.write_dataset(record)}
        self._writes.now.execute(update(_datasets).where(_datasets.c.name == name).values(row))
        self._known.pop(name, None)

    def _document(self, name: str) -> str | None:
        if name not in self._known:
            document = self._writes.before.scalar(_DATASET, {"name": name})
            if document is None:
                return None
            self._known[name] = document
        return self._known[name]


class SqlReleases:
    """Releases by id, inside the transaction of ``writes``."""

    def __init__(self, writes: Writes, *, ledger: SqlLedger) -> None:
        self._writes, self._ledger = writes, ledger
        self._added: set[str] = set()
        """Ids whose rows may still wait to be sent."""
        self._live: dict[str, tuple[int, int]] = {}
        """Accounted releases of an account that are not voided, with how many voids the ledger had made by then."""

    def add(self, record: ReleaseRecord) -> None:
        """Record a new request."""
        release = record.release
        there = self._writes.before.execute(_NAMED, {"id": release.id, "name": release.dataset}).one()
        if there.release or release.id in self._added:
            rules.release_taken(release.id)
        if not there.dataset:
            rules.no_dataset(release.dataset)
        row = {"id": release.id, "dataset": release.dataset, "account": release.account}
        row |= {"state": str(release.state), "document": codec.write_release(record)}
        self._writes.later(_ADD_RELEASE, row)
        self._added.add(release.id)
        if record.accounted:
            self._writes.later(_IS_ACCOUNTED, {"release": release.id, "account": release.account})
            self._live.pop(release.account, None)

    def get(self, release: str) -> ReleaseRecord:
        """The record."""
        document = self._document(release)
        if document is None:
            rules.no_release(release)
        return codec.read_release(document)

    def list(
        self, *, dataset: str = "", states: tuple[ReleaseState, ...] = (), after: str = "", limit: int | None = None
    ) -> tuple[ReleaseRecord, ...]:
        """In the order of creation."""
        query = select(_releases.c.document).order_by(_releases.c.ordinal).limit(limit)
        if after:
            ordinal = self._writes.now.scalar(_ORDINAL, {"id": after})
            if ordinal is None:
                rules.no_release(after)
            query = query.where(_releases.c.ordinal > ordinal)
        if dataset:
            query = query.where(_releases.c.dataset == dataset)
        if states:
            query = query.where(_releases.c.state.in_([str(s) for s in states]))
        return tuple(codec.read_release(document) for document in self._writes.now.scalars(query))

    def replace(self, record: ReleaseRecord, *, expected: ReleaseState) -> None:
        """Write a changed record."""
        release = record.release
        rules.check_release_change(self.get(release.id), record, expected)
        row = {"state": str(release.state), "document": codec.write_release(record)}
        self._writes.now.execute(update(_releases).where(_releases.c.id == release.id).values(row))

    def verdicts(self, account: str) -> int:
        """Releases of the account whose charge was reserved and not voided, without those that are accounted."""
        try:
            standing = self._ledger.standing(account)
        except NotFound:
            return 0
        voids, live = self._live.get(account, (-1, 0))
        if voids != self._ledger.voids:
            live = self._writes.now.scalar(_LIVE_ACCOUNTED, {"account": account}) or 0
            self._live[account] = self._ledger.voids, live
        return standing.verdicts - live

    def accounted(self, account: str) -> frozenset[str]:
        """The ids."""
        return frozenset(self._writes.now.scalars(_ACCOUNTED, {"account": account}))

    def _document(self, release: str) -> str | None:
        return self._writes.now.scalar(_RELEASE, {"id": release})


class SqlRequests:
    """Answers by (principal, method, request id), inside the transaction of ``writes``."""

    def __init__(self, writes: Writes) -> None:
        self._writes = writes
        self._known: dict[tuple[str, str, str], Answer | None] = {}
        """What was asked for, or kept, in this transaction: nobody else writes meanwhile."""

    def recall(self, principal: str, method: str, request_id: str, *, payload: str) -> str | None:
        """The resource that the same request gave before; None for a new one."""
        answer = self._answer((principal, method, request_id))
        if answer is None:
            return None
        rules.answer_kept(payload, kept=answer.payload)
        return answer.resource

    def remember(self, principal: str, method: str, request_id: str, *, payload: str, resource: str) -> None:
        """Keep the answer for ever."""
        key = principal, method, request_id
        if self._answer(key) is not None:
            rules.request_taken(request_id)
        self._known[key] = Answer(payload=payload, resource=resource)
        row = {"principal": principal, "method": method, "request_id": request_id}
        self._writes.later(_REMEMBER, row | {"payload": payload, "resource": resource})

    def _answer(self, key: tuple[str, str, str]) -> Answer | None:
        if key not in self._known:
            asked = dict(zip(("principal", "method", "request_id"), key, strict=True))
            row = self._writes.before.execute(_ANSWER, asked).first()
            self._known[key] = Answer(payload=row.payload, resource=row.resource) if row else None
        return self._known[key]


class SqlPrincipals:
    """A `server.catalog.base.PrincipalCatalog`."""

    def __init__(self, writes: Writes) -> None:
        self._writes = writes

    def replace(self, name: str, office: str, token_sha256: str) -> None:
        """Make this the principal's only token."""
        self.remove(name)
        row = {"name": name, "office": office, "token_sha256": token_sha256}
        self._writes.now.execute(insert(tables.principals).values(row))

    def remove(self, name: str) -> None:
        """Forget the principal, if it is known."""
        self._writes.now.execute(delete(tables.principals).where(tables.principals.c.name == name))

    def list(self) -> tuple[tuple[str, str, str], ...]:
        """(name, office, sha256 of the token) of each."""
        rows = self._writes.now.execute(select(tables.principals))
        return tuple((row.name, row.office, row.token_sha256) for row in rows)


class SqlLeases:
    """A `server.catalog.base.LeaseCatalog` over the table ``leases``, inside the transaction of ``writes``.

    PostgreSQL tells the time itself, because the gateways that share it may have clocks of their own; an SQLite file
    is used on one machine, whose clock is ``clock``.
    """

    def __init__(self, writes: Writes, *, clock: Callable[[], datetime]) -> None:
        self._writes = writes
        self._clock = clock

    def now(self) -> datetime:
        """The database's clock where it has one that is shared."""
        if self._writes.now.dialect.name == "postgresql":
            moment: datetime = self._writes.now.scalars(select(func.clock_timestamp())).one()
            return moment
        return self._clock()

    def get(self, name: str) -> Lease | None:
        """The lease, its row locked; None where nobody ever took it."""
        query = select(tables.leases).where(tables.leases.c.name == name).with_for_update()
        row = self._writes.now.execute(query).first()
        return _lease(row) if row else None

    def put(self, lease: Lease) -> None:
        """Write it."""
        stored = self.get(lease.name)
        rules.check_lease(stored, lease)
        row = {"holder": lease.holder, "fence": lease.fence, "until": chain.moment(lease.until)}
        if stored is None:
            self._writes.now.execute(insert(tables.leases).values(name=lease.name, **row))
        else:
            self._writes.now.execute(update(tables.leases).where(tables.leases.c.name == lease.name).values(row))

    def list(self) -> tuple[Lease, ...]:
        """Those that somebody holds, by name."""
        query = select(tables.leases).where(tables.leases.c.holder != "").order_by(tables.leases.c.name)
        return tuple(_lease(row) for row in self._writes.now.execute(query))


def _lease(row: Row[tuple[str, str, int, str]]) -> Lease:
    return Lease(name=row.name, holder=row.holder, fence=row.fence, until=datetime.fromisoformat(row.until))
