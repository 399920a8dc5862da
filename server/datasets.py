"""Datasets: declared, uploaded, read. No method gives rows back."""

import hashlib
import hmac
import json
import os
from dataclasses import replace
from datetime import datetime
from typing import Any

from dp_models.verdict import verdict_sigma
from server import populations, pricing
from server.accounts import check_name
from server.catalog.base import DatasetRecord
from server.failpoints import Step
from server.gateway import Call, Gateway
from server.identity import Office, Principal
from server.keys import write_once
from server.policy import half_width
from server.populations import check_account, is_steward
from server.publication import next_tick
from server.storage import sync
from server.store import Transaction
from synthgate import fitness
from synthgate.accounted import beyond
from synthgate.budget import PrivacyBudget
from synthgate.dataset import Dataset, DatasetState, PrivacyUnit, PublicSizes, SizeOrigin
from synthgate.domain import Domain
from synthgate.errors import InvalidPolicy, InvalidTable, NotFound, PermissionDenied, TooLarge, WrongState
from synthgate.ledger import Account
from synthgate.policy import Policy, VerdictKind

SMALL_UNITS = 5_000
"""Below this many units innocent tables may be refused by an attack threshold of 0.09 (9 % of them at a holdout of
1,182, 81 % at 500: simulated with four secrets)."""

READY_AT = "ready_at"
AWAITING_ROWS = (DatasetState.CREATED, DatasetState.FAILED)


def register(
    gateway: Gateway,
    call: Call,
    *,
    name: str,
    domain: Domain,
    unit: PrivacyUnit,
    sizes: PublicSizes | None,
    account: str,
    policy: Policy,
) -> DatasetRecord:
    """Record a declaration. Raises InvalidArgument, NotFound (account), AlreadyExists; costs nothing."""
    check_name(name)
    fitness.check(policy, domain)
    dataset = Dataset(
        name=name, domain=domain, unit=unit, sizes=sizes, account=account, policy=policy.name,
        state=DatasetState.CREATED, registered_by=call.principal.name, created_at=gateway.now(),
        warnings=_warnings(sizes, policy, gateway.settings.verdicts_per_account),
    )  # fmt: skip
    with gateway.store.begin() as tx:
        if call.answered(tx) is None:
            check_account(tx, account, call.principal)
            _check_officers(gateway, call.principal, policy)
            names = tuple(sorted(gateway.settings.names(call.principal.name)))
            warnings = (*dataset.warnings, *_no_room(tx.ledger.balance(account).account, sizes, policy))
            dataset = replace(dataset, warnings=warnings)
            record = DatasetRecord(dataset=dataset, policy=policy, tenant=call.principal.tenant, registrar_names=names)
            tx.datasets.add(record)
            call.answer(tx, name, account=account, domain=domain.digest, policy=policy.digest)
            gateway.at(Step.REGISTER_WRITING)
        registered = tx.datasets.get(name)
    gateway.at(Step.REGISTERED)
    return registered


def _check_officers(gateway: Gateway, registrar: Principal, policy: Policy) -> None:
    settings = gateway.settings
    officers = {settings.person(name) for name, a in settings.principals.items() if a.office is Office.OFFICER}
    able = len(officers - {settings.person(registrar.name)})
    if policy.approvals > able:
        raise InvalidPolicy(
            f"the policy asks for {policy.approvals} approvals; the officers are {able}, without whoever registers"
        )


def read(gateway: Gateway, principal: Principal, name: str) -> DatasetRecord:
    """One dataset as the caller may see it. Raises NotFound, also for deleted ones."""
    with gateway.store.begin() as tx:
        record = tx.datasets.get(name)
    if record.dataset.state is DatasetState.DELETED:
        raise NotFound(f"there is no dataset {name!r}")
    return seen(gateway, record, principal)


def read_all(gateway: Gateway, principal: Principal) -> tuple[DatasetRecord, ...]:
    """Every dataset, in the order of registration."""
    with gateway.store.begin() as tx:
        return tuple(seen(gateway, record, principal) for record in tx.datasets.list())


def seen(gateway: Gateway, record: DatasetRecord, principal: Principal) -> DatasetRecord:
    """The record as the caller may see it: what ingest found is for its steward, sizes that it counted for others from
    READY on, what it overlaps for nobody."""
    state = state_seen(gateway, record, principal)
    hidden: dict[str, Any] = {"overlaps": (), "distinct_from": (), "fingerprint": "", "taken": ""}
    shown = replace(record, dataset=replace(record.dataset, state=state), **hidden)
    if is_steward(record, principal):
        return shown
    sizes = shown.dataset.sizes
    if sizes is not None and sizes.origin is SizeOrigin.COUNTED and state is not DatasetState.READY:
        sizes = None
    return replace(shown, dataset=replace(shown.dataset, failure="", sizes=sizes), found={})


def state_seen(gateway: Gateway, record: DatasetRecord, principal: Principal) -> DatasetState:
    """The state that the caller may see. How long ingest takes, whether it fails, and whether it has to wait for a link
    depend on private rows: READY is published on a tick, and until then a dataset is CREATED to everyone but its
    steward."""
    state = record.dataset.state
    if state is DatasetState.READY:
        ready_at = datetime.fromisoformat(record.found[READY_AT])
        if gateway.now() < next_tick(ready_at, gateway.settings.verdict_tick_s):
            state = DatasetState.INGESTING
    published = state in (DatasetState.READY, DatasetState.DELETED)
    return state if published or is_steward(record, principal) else DatasetState.CREATED


def _warnings(sizes: PublicSizes | None, policy: Policy, verdicts: int) -> tuple[str, ...]:
    found = []
    if sizes is None:
        found.append("the exact number of rows will be published; no budget covers it")
    elif sizes.units < SMALL_UNITS and policy.verdict is VerdictKind.EXACT:
        found.append(
            f"with {sizes.units:,} units the holdout has {sizes.holdout_units:,}, and an attack's excess is known only "
            f"to about {half_width(sizes.attack_targets):.3f}: innocent tables may be refused"
        )
    if policy.verdicts_max > verdicts and policy.verdict is VerdictKind.EXACT:
        found.append(
            f"this gateway allows an account {verdicts} verdicts, whatever the policy says; officers grant more"
        )
    return tuple(found)


def _no_room(account: Account, sizes: PublicSizes | None, policy: Policy) -> tuple[str, ...]:
    """A warning where no request could be admitted, whatever its epsilon: the noise of its accounted verdict would hide
    what a rule asks for."""
    if sizes is None or policy.verdict is VerdictKind.EXACT:
        return ()
    largest = min(policy.epsilon_max, account.cap.epsilon)
    sigma = verdict_sigma(PrivacyBudget.spend(largest, pricing.default_delta(account)))
    if not list(beyond(policy.rules, sizes, sigma)):
        return ()
    return (
        f"with {sizes.units:,} units no request can be admitted, not even at epsilon {largest:g}: register the table "
        "with `verdict: exact` in its policy, or with higher bounds",
    )


def upload(gateway: Gateway, principal: Principal, name: str) -> "Upload":
    """The upload of a dataset, for its steward alone: whether it awaits rows tells what became of those it was sent.
    Raises InvalidArgument, NotFound, PermissionDenied."""
    check_name(name)
    with gateway.store.begin() as tx:
        record = tx.datasets.get(name)
    if not is_steward(record, principal):
        raise PermissionDenied("only who registered a dataset uploads its rows")
    return Upload(gateway, name)


class Upload:
    """Bytes on their way to ingest: ``<uploads>/<dataset>.part`` beside the promise of length and digest.

    What has arrived is durable at every `close`, so an upload resumes after any interruption.
    """

    def __init__(self, gateway: Gateway, dataset: str) -> None:
        check_name(dataset)
        self._gateway = gateway
        self.dataset = dataset
        self.path = gateway.settings.uploads / f"{dataset}.part"
        self._promise = gateway.settings.uploads / f"{dataset}.json"

    @property
    def promise(self) -> dict[str, Any]:
        """``total_bytes`` and ``sha256`` as promised; zeros before the first header."""
        if not self._promise.exists():
            return {"total_bytes": 0, "sha256": ""}
        return dict(json.loads(self._promise.read_text()))

    @property
    def received_bytes(self) -> int:
        """How much is durable."""
        return self.path.stat().st_size if self.path.exists() else 0

    def begin(self, *, total_bytes: int, sha256: str) -> bool:
        """Take the promise; another one starts the upload anew. False where this very upload was taken in before: it is
        answered as it was, and nothing is read again. Raises WrongState, TooLarge, InvalidTable."""
        with self._gateway.store.begin() as tx:
            record = tx.datasets.get(self.dataset)
            taken = record.taken == self._named(tx, record, total_bytes, sha256)
        if record.dataset.state not in AWAITING_ROWS:
            if taken:
                return False
            raise WrongState(f"dataset {self.dataset!r} awaits no rows; they are uploaded once, after it was created")
        if total_bytes > self._gateway.settings.upload_bytes:
            raise TooLarge(f"an upload has at most {self._gateway.settings.upload_bytes:,} bytes")
        if total_bytes < 1 or len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
            raise InvalidTable("promise the file's length, at least 1 byte, and its sha256 in lower-case hex")
        promise = {"total_bytes": total_bytes, "sha256": sha256}
        if self.promise != promise:
            self.discard()
            write_once(self._promise, json.dumps(promise).encode())
            self._gateway.at(Step.PROMISED)
        return True

    def append(self, offset: int, data: bytes) -> None:
        """Add a chunk. Raises InvalidTable where it does not start at what has arrived or goes beyond the promise."""
        received = self.received_bytes
        if offset != received:
            raise InvalidTable(f"the next chunk starts at {received}", facts={"received_bytes": str(received)})
        if received + len(data) > self.promise["total_bytes"]:
            raise InvalidTable("the file is longer than promised; start again with its true length")
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(data)

    def finish(self, principal: Principal) -> None:
        """Check length and digest, and queue the file for ingest. Raises InvalidTable: truncated (what arrived
        stays, to resume), or another file than promised (what arrived is destroyed)."""
        received, promise = self.received_bytes, self.promise
        if received < promise["total_bytes"]:
            raise InvalidTable(
                f"the upload was truncated at {received} of {promise['total_bytes']} bytes; resume at that offset",
                facts={"received_bytes": str(received)},
            )
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        sync(self.path.parent)
        self._gateway.at(Step.ARRIVED)
        if digest != promise["sha256"]:
            self.discard()
            raise InvalidTable("the file's sha256 is not the promised one; upload it again")
        with self._gateway.store.begin() as tx:
            record = tx.datasets.get(self.dataset)
            named = self._named(tx, record, promise["total_bytes"], digest)
            if record.dataset.state not in AWAITING_ROWS:
                if record.taken == named:
                    return
                raise WrongState(f"dataset {self.dataset!r} awaits no rows by now; nothing was taken")
            move(tx, replace(record, taken=named), DatasetState.INGESTING, failure="")
            tx.audit.append(principal=principal.name, action="UploadRows", resource=self.dataset, detail={})
            self._gateway.at(Step.UPLOAD_WRITING)
        self._gateway.at(Step.UPLOADED)
        self._gateway.wake.set()

    def _named(self, tx: Transaction, record: DatasetRecord, total_bytes: int, sha256: str) -> str:
        """The upload's name for ever. Keyed, since whoever reads the database must not test guesses of a file by it."""
        key = populations.key(self._gateway, tx, record.tenant)
        return hmac.digest(key, f"upload 1 {self.dataset} {total_bytes} {sha256}".encode(), "sha256").hex()

    def discard(self) -> None:
        """Forget what arrived."""
        self.path.unlink(missing_ok=True)
        self._promise.unlink(missing_ok=True)


def move(tx: Transaction, record: DatasetRecord, state: DatasetState, **changes: Any) -> None:
    """Write the record in another state."""
    moved = replace(record, dataset=replace(record.dataset, state=state, **changes))
    tx.datasets.replace(moved, expected=record.dataset.state)
