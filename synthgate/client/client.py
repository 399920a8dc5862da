"""`Client`: the gateway's services as methods on values.

    with Client.from_state(Path("state"), "analyst") as gateway:
        release = gateway.create_release("people", epsilon=1.0)
        for release in gateway.watch(release.id):
            ...
        gateway.download(release.id, Path("release.parquet"))

Every method raises the gateway's own error (`synthgate.errors`). Mutating methods make a request id and send it again
with every retry, so they act once; pass ``request_id`` to carry a retry over a restart of your own program.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from synthgate.client import convert, transfer
from synthgate.client.releases import ReleaseCalls
from synthgate.client.state import read_state
from synthgate.client.tables import PreparedTable, prepare_table
from synthgate.client.transfer import Progress, quiet
from synthgate.client.wire import Clock, Retry, Wire, chosen
from synthgate.dataset import OVERLAPS, DatasetState, DatasetView
from synthgate.errors import InvalidTable, WrongState
from synthgate.ledger import AccountView, Entry, PlanPrice
from synthgate.policy import Policy
from synthgate.record import AuditRecord
from synthgate.schema import Declaration
from synthgate.v1 import audit_service_pb2 as audit
from synthgate.v1 import dataset_service_pb2 as datasets
from synthgate.v1 import ledger_service_pb2 as ledger


class Client(ReleaseCalls):
    """A connection to a gateway on this machine. Use it as a context manager; it is safe to share between threads.

    ``timeout_s`` limits each single call; uploads, downloads and watches have limits of their own.
    """

    def __init__(self, address: str, token: str, *, timeout_s: float = 30.0, retry: Retry | None = None) -> None:
        self._wire = Wire(address, token, timeout_s=timeout_s, retry=retry or Retry())

    @classmethod
    def from_state(cls, state: Path, role: str, *, timeout_s: float = 30.0, retry: Retry | None = None) -> "Client":
        """Connect to the gateway that runs on a state folder, with one of its development tokens. Raises Unavailable
        where none runs, Unauthenticated where the role has no token."""
        address, token = read_state(state, role)
        return cls(address, token, timeout_s=timeout_s, retry=retry)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    # accounts

    def open_account(
        self, name: str, *, epsilon: float, delta: float, sandbox: bool = False, request_id: str = ""
    ) -> AccountView:
        """Open the budget of one population. Stewards, officers."""
        request = ledger.OpenAccountRequest(
            request_id=chosen(request_id), name=name, epsilon=epsilon, delta=delta, sandbox=sandbox
        )
        return convert.balance_from_proto(self._wire.call(self._wire.ledger.OpenAccount, request).balance)

    def amend_account(
        self,
        name: str,
        *,
        reason: str,
        epsilon: float | None = None,
        delta: float | None = None,
        verdicts_granted: int | None = None,
        request_id: str = "",
    ) -> AccountView:
        """Change a cap or grant verdicts (in all, beyond the policy's); None keeps what is. Officers."""
        request = ledger.AmendAccountRequest(
            request_id=chosen(request_id),
            name=name,
            epsilon=epsilon,
            delta=delta,
            verdicts_granted=verdicts_granted,
            reason=reason,
        )
        return convert.balance_from_proto(self._wire.call(self._wire.ledger.AmendAccount, request).balance)

    def accounts(self) -> tuple[AccountView, ...]:
        """All accounts, in the order of opening."""
        response = self._wire.call(self._wire.ledger.ListAccounts, ledger.ListAccountsRequest())
        return tuple(map(convert.balance_from_proto, response.balances))

    def balance(self, name: str) -> AccountView:
        """What an account has committed and reserved."""
        response = self._wire.call(self._wire.ledger.GetBalance, ledger.GetBalanceRequest(name=name))
        return convert.balance_from_proto(response.balance)

    def entries(self, account: str = "", *, after: int = 0) -> tuple[Entry, ...]:
        """The book of one account, or of all, behind entry number ``after``. Stewards, officers, auditors."""
        request = ledger.ListEntriesRequest(account=account, page_token=str(after))
        pages = self._wire.pages(self._wire.ledger.ListEntries, request)
        return tuple(convert.entry_from_proto(e) for page in pages for e in page.entries)

    def history(self, account: str) -> tuple[tuple[Entry, ...], tuple[PlanPrice, ...]]:
        """The book of one account, and what the plan of each release in it costs alone. Stewards, officers,
        auditors."""
        request = ledger.ListEntriesRequest(account=account, price_plans=True)
        pages = list(self._wire.pages(self._wire.ledger.ListEntries, request))
        entries = tuple(convert.entry_from_proto(e) for page in pages for e in page.entries)
        return entries, tuple(convert.plan_price_from_proto(p) for page in pages for p in page.plan_prices)

    # audit

    def audit_records(self, *, after: int = 0) -> Iterator[AuditRecord]:
        """The audit log behind record number ``after``, in order, page by page. Stewards, officers, auditors."""
        request = audit.ListAuditRecordsRequest(page_token=str(after))
        for page in self._wire.pages(self._wire.audit.ListAuditRecords, request):
            yield from map(convert.record_from_proto, page.records)

    def checkpoint(self) -> tuple[bytes, bytes]:
        """The gateway's books, signed now: a DSSE envelope, and the public key in PEM. Stewards, officers, auditors."""
        response = self._wire.call(self._wire.audit.GetCheckpoint, audit.GetCheckpointRequest())
        return response.envelope, response.public_key.encode()

    # datasets

    def create_dataset(
        self,
        name: str,
        declaration: Declaration,
        *,
        account: str,
        policy: Policy | None = None,
        request_id: str = "",
    ) -> DatasetView:
        """Register a declaration; the gateway's default policy without one. Stewards."""
        request = datasets.CreateDatasetRequest(
            request_id=chosen(request_id),
            name=name,
            domain=convert.domain_to_proto(declaration.domain),
            unit=convert.unit_to_proto(declaration.unit),
            sizes=convert.sizes_to_proto(declaration.sizes),
            account=account,
            policy=None if policy is None else convert.policy_to_proto(policy),
        )
        return convert.dataset_from_proto(self._wire.call(self._wire.datasets.CreateDataset, request).dataset)

    def upload(self, dataset: str, table: Path | PreparedTable, *, progress: Progress = quiet) -> tuple[str, ...]:
        """Send a CSV or Parquet file's declared columns as the rows of a dataset, resuming an upload that broke off.
        Returns the names of the columns left behind. Ingest goes on in the gateway: see `wait_ready`. Stewards."""
        if isinstance(table, PreparedTable):
            transfer.upload(self._wire, dataset, table.path, progress)
            return table.dropped
        declared = self.dataset(dataset).dataset
        declaration = Declaration(domain=declared.domain, unit=declared.unit, sizes=declared.sizes)
        with prepare_table(table, declaration) as prepared:
            transfer.upload(self._wire, dataset, prepared.path, progress)
            return prepared.dropped

    def dataset(self, name: str) -> DatasetView:
        """One dataset."""
        response = self._wire.call(self._wire.datasets.GetDataset, datasets.GetDatasetRequest(name=name))
        return convert.dataset_from_proto(response.dataset)

    def datasets(self) -> tuple[DatasetView, ...]:
        """All datasets, in the order of registration."""
        pages = self._wire.pages(self._wire.datasets.ListDatasets, datasets.ListDatasetsRequest())
        return tuple(convert.dataset_from_proto(d) for page in pages for d in page.datasets)

    def delete_dataset(self, name: str, *, request_id: str = "") -> DatasetView:
        """Destroy a dataset's rows, reports, models and unreleased artifacts. Its own steward, officers."""
        request = datasets.DeleteDatasetRequest(request_id=chosen(request_id), name=name)
        return convert.dataset_from_proto(self._wire.call(self._wire.datasets.DeleteDataset, request).dataset)

    def link_dataset(self, name: str, *, request_id: str = "") -> DatasetView:
        """Join a dataset that is AWAITING_LINK to the account that it overlaps. The steward of both."""
        request = datasets.LinkDatasetRequest(request_id=chosen(request_id), name=name)
        return convert.dataset_from_proto(self._wire.call(self._wire.datasets.LinkDataset, request).dataset)

    def distinguish_dataset(self, name: str, *, reason: str, request_id: str = "") -> DatasetView:
        """State that a dataset that is AWAITING_LINK holds other people than what it overlaps; logged. Officers."""
        request = datasets.LinkDatasetRequest(request_id=chosen(request_id), name=name, distinct=True, reason=reason)
        return convert.dataset_from_proto(self._wire.call(self._wire.datasets.LinkDataset, request).dataset)

    def wait_ready(self, name: str, *, timeout_s: float = 600.0) -> DatasetView:
        """Wait until ingest has ended. Raises InvalidTable where the upload's structure is faulty, WrongState where the
        dataset was deleted or overlaps another account, DeadlineExceeded."""
        clock, pause = Clock(timeout_s), Retry(first_s=0.1, most_s=1.0)
        for asked in itertools.count(1):
            view = self.dataset(name)
            if view.dataset.state is DatasetState.READY:
                return view
            if view.dataset.state is DatasetState.FAILED:
                raise InvalidTable(view.dataset.failure or "the structure of the upload is faulty")
            if view.dataset.state is DatasetState.DELETED:
                raise WrongState("the dataset was deleted")
            if view.dataset.state is DatasetState.AWAITING_LINK:
                raise WrongState(f"dataset {name!r} waits: {OVERLAPS}")
            clock.left_s(of="ingest")
            pause.pause(asked)
        raise AssertionError("count does not end")
