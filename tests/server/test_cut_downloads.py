"""Downloads that a reject or a revocation meets: a change of state before every step of a download, in turn."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from server import approvals, revocation
from server.config import CHUNK_BYTES
from server.gateway import Gateway
from server.identity import Office, Principal
from server.releases import downloadable, move
from server.serving import Piece, pieces
from server.store import Store, Transaction
from synthgate.errors import DataCorrupted, NotFound, WrongState
from synthgate.release import ReleaseState
from tests.server.composed import ANALYST, STEWARD, TICK_S, Clock, call
from tests.server.released import Maker, ToldStorage, charged, derived, forked

OFFICER = Principal("officer", Office.OFFICER)


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker.under(tmp_path_factory.mktemp("cut"))


@dataclass(frozen=True, slots=True)
class ToldStore:
    """A store that tells of the end of every transaction."""

    store: Store
    told: Callable[[str], None]

    @contextmanager
    def begin(self) -> Iterator[Transaction]:
        with self.store.begin() as tx:
            yield tx
        self.told("checked")

    def close(self) -> None:
        self.store.close()


@dataclass(slots=True)
class Steps:
    """The steps of a download, and what happens before one of them."""

    at: int
    change: Callable[[], object]
    taken: list[str] = field(default_factory=list)
    before: str = ""
    """The last step before the change; empty where it never came."""
    changing: bool = False

    def __call__(self, step: str) -> None:
        if self.changing:
            return
        if len(self.taken) == self.at:
            self.changing, self.before = True, step
            self.change()
            self.changing = False
        self.taken.append(step)

    @property
    def changed(self) -> bool:
        return bool(self.before)


@dataclass(frozen=True, slots=True)
class Meeting:
    """A download from ``offset`` of so many bytes by ``principal``, which meets ``change``."""

    change: str
    size: int
    offset: int
    principal: Principal

    def made(self, maker: Maker) -> "Scene":
        gateway, clock = maker.gateway()
        state = ReleaseState.AWAITING_APPROVAL if self.change == "reject" else ReleaseState.RELEASED
        source = release = charged(gateway, state, {"data": bytes(self.size), "model": b"model"})
        clock.seconds += 2 * TICK_S
        if self.change == "revoke the source":
            release = derived(gateway, source, ReleaseState.RELEASED, {"data": b"\1" * self.size})
            clock.seconds += 2 * TICK_S
        return Scene(gateway, clock, source, release)

    def changed(self, gateway: Gateway, scene: "Scene") -> None:
        if self.change == "reject":
            approvals.reject(gateway, call(OFFICER), scene.release, reason="no")
        elif self.change == "revoke":
            revocation.revoke(gateway, call(OFFICER), scene.release, reason="no")
        elif self.change == "revoke the source":
            revocation.revoke(gateway, call(OFFICER), scene.source, reason="no")
        else:
            self._move(gateway, scene.release)

    @staticmethod
    def _move(gateway: Gateway, release: str) -> None:
        with gateway.store.begin() as tx:
            move(gateway, tx, tx.releases.get(release), ReleaseState.REVOKED)


@dataclass(frozen=True, slots=True)
class Scene:
    """What a meeting begins with; every run has a copy of it."""

    gateway: Gateway
    clock: Clock
    source: str
    release: str


Download = Callable[..., Iterator[Piece]]


def meet(scene: Scene, meeting: Meeting, at: int, download: Download) -> Steps:
    """Run it with the change before step ``at``. After the change has committed a piece leaves only where it had passed
    the check of the state by then, and no second one; and the download ends with a refusal."""
    gateway = forked(scene.gateway, scene.clock)
    steps = Steps(at, lambda: meeting.changed(gateway, scene))
    told = replace(
        gateway,
        store=ToldStore(gateway.store, steps),
        artifacts=replace(gateway.artifacts, storage=ToldStorage(gateway.artifacts.storage, steps)),
    )
    after = left = 0
    refused = False
    try:
        for piece in download(told, meeting.principal, scene.release, offset=meeting.offset):
            left += len(piece.data)
            after += steps.changed
            steps("left")
    except (WrongState, NotFound, DataCorrupted):
        refused = True
    under_way = steps.before == "checked" and "read" in steps.taken
    assert after <= under_way, f"{meeting} at {at}: {after} pieces left after the change"
    if meeting.change == "reject":
        assert (refused, left) == (True, 0)
    elif not steps.changed:
        assert (refused, left) == (False, meeting.size - meeting.offset)
    elif not refused:
        assert left == meeting.size - meeting.offset, "a download that is cut off must not look whole"
    return steps


SIZES_BYTES = (1, CHUNK_BYTES + 1, 2 * CHUNK_BYTES + 1)
MEETINGS = [
    Meeting(change, size, offset, principal)
    for change in ("revoke", "revoke the source", "move", "reject")
    for size in SIZES_BYTES
    for offset in sorted({0, size // 2, size - 1, size})
    for principal in (ANALYST, STEWARD, OFFICER)
]


@pytest.mark.guarantee("nothing-unreleased-leaves")
def test_no_piece_leaves_after_a_reject_or_a_revocation_but_the_one_under_way(
    maker: Maker, record_property: Callable[[str, object], None]
) -> None:
    met = 0
    for meeting in MEETINGS:
        scene = meeting.made(maker)
        for at in itertools.count():
            met += 1
            if not meet(scene, meeting, at, pieces).changed:
                break
    assert met >= 1_000
    record_property("reached", f"{met} interleavings: a change before every step of {len(MEETINGS)} downloads")


@pytest.mark.guarantee("nothing-unreleased-leaves")
def test_a_download_that_asks_for_the_state_once_is_convicted(maker: Maker) -> None:
    def asks_once(gateway: Gateway, principal: Principal, release: str, *, offset: int) -> Iterator[Piece]:
        record = downloadable(gateway, principal, release)
        with gateway.artifacts.open(record.artifacts["data"]) as file:
            file.seek(offset)
            while data := file.read(CHUNK_BYTES):
                yield Piece(offset=offset, data=data, total_bytes=record.release.bytes, sha256=record.release.sha256)
                offset += len(data)

    meeting = Meeting("move", 2 * CHUNK_BYTES + 1, 0, ANALYST)
    with pytest.raises(AssertionError, match="pieces left after the change"):
        for at in range(12):
            meet(meeting.made(maker), meeting, at, asks_once)
