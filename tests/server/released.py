"""Releases with bytes that a test chooses, in any state; and storages that tell a test of every read."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import fsspec

from dp_models.base import Plan
from server import accounts
from server.artifacts import Artifacts
from server.attestation import Signer, statement
from server.catalog.base import ReleaseRecord
from server.ciphertext import Key, Stored
from server.config import Settings
from server.derived import create
from server.gateway import Doubt, Gateway
from server.keys import Keys
from server.publication import publish
from server.releases import move
from server.sealed import Sealed
from server.storage import Bucket, Storage
from server.store import Transaction
from server.store_memory import MemoryStore
from synthgate.derivation import Derivation
from synthgate.release import ReleaseState
from synthgate.verify import verify_envelope
from tests.server.composed import ANALYST, SIZES, STEWARD, TICK_S, Clock, asked, call, registered

S = ReleaseState
PATHS: dict[ReleaseState, tuple[ReleaseState, ...]] = {
    S.PENDING: (),
    S.TRAINING: (S.TRAINING,),
    S.EVALUATING: (S.TRAINING, S.EVALUATING),
    S.AWAITING_APPROVAL: (S.TRAINING, S.EVALUATING, S.AWAITING_APPROVAL),
    S.RELEASED: (S.TRAINING, S.EVALUATING, S.RELEASED),
    S.REVOKED: (S.TRAINING, S.EVALUATING, S.RELEASED, S.REVOKED),
    S.REJECTED: (S.TRAINING, S.EVALUATING, S.REJECTED),
    S.FAILED: (S.TRAINING, S.FAILED),
    S.CANCELLED: (S.TRAINING, S.CANCELLED),
}
DERIVED_PATHS: dict[ReleaseState, tuple[ReleaseState, ...]] = {
    S.PENDING: (),
    S.SAMPLING: (S.SAMPLING,),
    S.RELEASED: (S.SAMPLING, S.RELEASED),
    S.REVOKED: (S.SAMPLING, S.RELEASED, S.REVOKED),
    S.FAILED: (S.SAMPLING, S.FAILED),
    S.CANCELLED: (S.SAMPLING, S.CANCELLED),
}
"""How a release comes to each state, charged and derived."""


_buckets = itertools.count()


def bucket() -> Bucket:
    """An empty one, in memory."""
    return Bucket(fsspec.filesystem("memory"), f"/released-{next(_buckets)}")


class ForkedStore(MemoryStore):
    """A store in memory that begins with what another holds."""

    def __init__(self, other: MemoryStore, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._kept = other._kept.copy() if other._kept else None


def forked(gateway: Gateway, clock: Clock) -> Gateway:
    """Another gateway that holds the same, in memory, and shares nothing that changes."""
    storage, store = gateway.artifacts.storage, gateway.store
    assert isinstance(storage, Bucket)
    assert isinstance(store, MemoryStore)
    copied = bucket()
    for name in storage.names():
        storage.system.cp_file(f"{storage.root}/{name}", f"{copied.root}/{name}")
    return replace(
        gateway, store=ForkedStore(store, clock), artifacts=replace(gateway.artifacts, storage=copied), doubt=Doubt(),
        settings=_apart(gateway.settings),
    )  # fmt: skip


def _apart(settings: Settings) -> Settings:
    """The settings with checkpoints of their own: another store has other books."""
    folder = settings.state / f"checkpoints-{next(_buckets)}"
    return settings.model_copy(update={"checkpoint_folder": folder})


@dataclass(frozen=True, slots=True)
class Maker:
    """Gateways in memory, with one dataset each and no queue; ``keys`` are made once."""

    folder: Path
    keys: Keys
    signer: Signer

    @classmethod
    def under(cls, folder: Path) -> "Maker":
        keys = Keys(folder / "keys")
        return cls(folder, keys, Signer(keys.signing()))

    def gateway(self) -> tuple[Gateway, Clock]:
        clock = Clock()
        made = Gateway(
            settings=_apart(Settings(state=self.folder, verdict_tick_s=TICK_S)), store=MemoryStore(clock=clock),
            artifacts=Artifacts(bucket(), (Key(bytes(32)),)), keys=self.keys, signer=self.signer, now=clock,
            sealed=Sealed(self.folder / "attempts", self.keys),
        )  # fmt: skip
        accounts.open_account(made, call(STEWARD), name="people", epsilon=3.0, delta=1e-6, sandbox=False)
        registered(made)
        clock.seconds = TICK_S + 1
        return made, clock


def charged(gateway: Gateway, state: ReleaseState, contents: dict[str, bytes]) -> str:
    """A release of the analyst in ``state`` with ``contents`` stored for it by kind, whatever the state."""
    release = asked(gateway)
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        if PATHS[state]:
            tx.ledger.commit(release, by="gateway")
        claim = statement(Plan.from_json(record.plan), tx.datasets.get("table"), record, noise=(), weaknesses=())
        _walk(gateway, tx, replace(record, statement=claim.to_dict()), PATHS[state], contents)
    return release


def derived(gateway: Gateway, source: str, state: ReleaseState, contents: dict[str, bytes]) -> str:
    """A release of the analyst derived from ``source``, in ``state``."""
    release = create(gateway, call(ANALYST), Derivation(source=source)).release.id
    with gateway.store.begin() as tx:
        _walk(gateway, tx, tx.releases.get(release), DERIVED_PATHS[state], contents)
    return release


def _walk(
    gateway: Gateway, tx: Transaction, record: ReleaseRecord, path: tuple[ReleaseState, ...], contents: dict[str, bytes]
) -> None:
    stored = {kind: gateway.artifacts.put(content) for kind, content in contents.items()}
    shown = replace(record.release, sha256=stored["data"], bytes=len(contents["data"]), rows=SIZES.rows)
    record = replace(record, artifacts=stored, release=shown)
    tx.releases.replace(record, expected=record.release.state)
    for state in path:
        released = state is ReleaseState.RELEASED
        record = publish(gateway, tx, record) if released else move(gateway, tx, record, state)


def attested(gateway: Gateway, release: str, data: bytes) -> None:
    """Let a RELEASED release be of other ``data``, and its attestation say so."""
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        with gateway.artifacts.open(record.artifacts["attestation"]) as file:
            attestation = verify_envelope(file.read(), gateway.signer.public_pem)
        sha256 = gateway.artifacts.put(data)
        envelope = gateway.artifacts.put(gateway.signer.sign(replace(attestation, sha256=sha256)))
        shown = replace(record.release, sha256=sha256, bytes=len(data))
        kept = {**record.artifacts, "data": sha256, "attestation": envelope}
        tx.releases.replace(replace(record, release=shown, artifacts=kept), expected=ReleaseState.RELEASED)


@dataclass(frozen=True, slots=True)
class ToldStored:
    """Stored bytes of which every read is told before it happens."""

    stored: Stored
    told: Callable[[str], None]

    @property
    def size_bytes(self) -> int:
        return self.stored.size_bytes

    def read_at(self, offset: int, length: int) -> bytes:
        self.told("read")
        return self.stored.read_at(offset, length)

    def close(self) -> None:
        self.stored.close()


@dataclass(frozen=True, slots=True)
class ToldStorage:
    """A storage of which every opening and every read is told before it happens."""

    storage: Storage
    told: Callable[[str], None]

    def create(self, name: str, content: Iterable[bytes]) -> None:
        self.storage.create(name, content)

    def open(self, name: str) -> Stored:
        self.told("open")
        return ToldStored(self.storage.open(name), self.told)

    def remove(self, name: str) -> None:
        self.storage.remove(name)

    def names(self) -> tuple[str, ...]:
        return self.storage.names()
