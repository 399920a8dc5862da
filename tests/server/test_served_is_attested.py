"""What is served is what was attested: a thousand ways to damage or replace what is stored, and two hundred races with
whoever replaces it while it is served. The right bytes leave, or none before DATA_LOSS; a wrong byte never."""

import hashlib
import io
import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from server.artifacts import Artifacts
from server.ciphertext import CHUNK_BYTES, HEADER_BYTES, MAGIC, STEP_BYTES, Decrypted, Key, encrypt
from server.gateway import Gateway
from server.serving import pieces
from server.storage import Folder
from synthgate.errors import DataCorrupted
from synthgate.release import ReleaseState
from tests.server.composed import ANALYST, TICK_S
from tests.server.released import Maker, ToldStorage, charged

KEY = Key(bytes(range(32)))
DATA = b"".join(i.to_bytes(4, "big") for i in range((2 * CHUNK_BYTES + 1_000) // 4))
OTHER = bytes(reversed(DATA))
SHA256, OTHER_SHA256 = (hashlib.sha256(content).hexdigest() for content in (DATA, OTHER))
CORRUPTIONS, RACES = 1_000, 200


@dataclass(frozen=True, slots=True)
class Served:
    """A gateway that serves a release of DATA from a folder, and what an attacker finds there."""

    gateway: Gateway
    folder: Path
    release: str
    good: bytes
    other: bytes
    """How OTHER is stored, the data of another release."""
    envelope: str
    """The digest of the release's attestation."""

    @property
    def path(self) -> Path:
        return self.folder / SHA256

    def download(self, artifacts: Artifacts) -> tuple[bytes, bool]:
        """What left, and whether it ended with DATA_LOSS."""
        found = io.BytesIO()
        try:
            for piece in pieces(replace(self.gateway, artifacts=artifacts), ANALYST, self.release, offset=0):
                found.write(piece.data)
        except DataCorrupted:
            return found.getvalue(), True
        return found.getvalue(), False


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    folder = tmp_path_factory.mktemp("served")
    gateway, clock = Maker.under(folder / "state").gateway()
    gateway = replace(gateway, artifacts=Artifacts(Folder(folder / "artifacts"), (KEY,)))
    release = charged(gateway, ReleaseState.RELEASED, {"data": DATA})
    charged(gateway, ReleaseState.RELEASED, {"data": OTHER})
    clock.seconds += 2 * TICK_S
    with gateway.store.begin() as tx:
        envelope = tx.releases.get(release).artifacts["attestation"]
    stored = folder / "artifacts"
    good, other = (stored / SHA256).read_bytes(), (stored / OTHER_SHA256).read_bytes()
    return Served(gateway, stored, release, good, other, envelope)


def stored_as(content: bytes, name: str, key: Key) -> bytes:
    """How ``content`` would be stored under ``name`` by whoever has ``key`` and does not check the digest."""
    header = b"".join(itertools.islice(encrypt(io.BytesIO(b""), hashlib.sha256(b"").hexdigest(), key=key), 1))
    cipher, bound, count = key.of(header[-32:]), header + bytes.fromhex(name), -(-len(content) // CHUNK_BYTES)
    body = (
        cipher.encrypt(
            number.to_bytes(11, "big") + bytes([number == count - 1]),
            content[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES],
            bound,
        )
        for number in range(count)
    )
    return header + b"".join(body)


def flipped(content: bytes, position: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[position] ^= 1 << bit
    return bytes(changed)


def chunks(content: bytes) -> tuple[bytes, list[bytes]]:
    """The header, and the three chunks of DATA or OTHER as they are stored."""
    body = content[HEADER_BYTES:]
    return content[:HEADER_BYTES], [body[i : i + STEP_BYTES] for i in range(0, len(body), STEP_BYTES)]


def corruptions(served: Served, rng: random.Random) -> Iterator[tuple[str, bytes]]:
    """Without end, kinds in turn: what an attacker without the key can put in the place of the data; and, last in each
    turn, what only a fault of the gateway itself could put there."""
    good, other = served.good, served.other
    header, body = chunks(good)
    foreign_header, foreign = chunks(other)
    orders = [order for order in itertools.permutations(range(3)) if order != (0, 1, 2)]
    wrong_key = stored_as(DATA, SHA256, Key(bytes(32)))
    again = stored_as(DATA, SHA256, KEY)
    last = HEADER_BYTES + 2 * STEP_BYTES
    misnamed = [stored_as(flipped(DATA, rng.randrange(len(DATA)), 0), SHA256, KEY) for _ in range(4)]
    for turn in itertools.count():
        yield "a bit flipped", flipped(good, rng.randrange(len(good)), rng.randrange(8))
        yield "a bit of the last chunk flipped", flipped(good, rng.randrange(last, len(good)), 0)
        yield "a bit of the header flipped", flipped(good, rng.randrange(HEADER_BYTES), rng.randrange(8))
        yield "truncated", good[: rng.randrange(len(good))]
        yield "truncated at a chunk", good[: HEADER_BYTES + STEP_BYTES * (turn % 3)]
        yield "extended", good + rng.randbytes(rng.choice((1, 16, 17, 1_000)))
        yield "extended by a chunk", good + rng.choice(foreign + body)
        yield "another release's", other
        yield "another release's under this header", header + b"".join(foreign)
        yield "under another header", foreign_header + b"".join(body)
        yield "chunks in another order", header + b"".join(body[i] for i in orders[turn % len(orders)])
        yield "a chunk of another file", header + b"".join(foreign[i] if i == turn % 3 else body[i] for i in range(3))
        yield "a chunk of a second putting", again[:HEADER_BYTES] + body[0] + again[HEADER_BYTES + STEP_BYTES :]
        yield "a chunk left out", header + b"".join(body[:1] + body[2:])
        yield "empty", b""
        yield "zeros", bytes(len(good))
        yield "in the clear", DATA
        yield "another file in the clear", OTHER
        yield "in the clear after the magic", MAGIC + DATA
        yield "under a key that is not ours", wrong_key
        yield "other bytes under this name with our key", misnamed[turn % len(misnamed)]


def judge(served: Served, artifacts: Artifacts, kind: str) -> None:
    """No byte left, and the download ended with DATA_LOSS."""
    left, lost = served.download(artifacts)
    assert (len(left), lost) == (0, True), kind


@pytest.mark.guarantee("served-is-attested")
def test_nothing_is_served_of_what_was_damaged_or_replaced(
    served: Served, record_property: Callable[[str, object], None]
) -> None:
    assert served.download(served.gateway.artifacts) == (DATA, False)
    met: Counter[str] = Counter()
    try:
        for kind, content in itertools.islice(corruptions(served, random.Random(4)), CORRUPTIONS):
            assert content != served.good
            served.path.write_bytes(content)
            judge(served, served.gateway.artifacts, kind)
            met[kind] += 1
    finally:
        served.path.write_bytes(served.good)
    assert served.download(served.gateway.artifacts) == (DATA, False)
    figure = f"{met.total()} corruptions of {len(met)} kinds, DATA_LOSS before the first byte each time"
    record_property("reached", figure)


@pytest.mark.guarantee("served-is-attested")
def test_nothing_is_served_where_attestation_or_catalog_say_otherwise(served: Served) -> None:
    path = served.folder / served.envelope
    signed = path.read_bytes()
    with served.gateway.artifacts.open(served.envelope) as file:
        envelope = file.read()
    try:
        for position in range(0, len(signed), 97):
            path.write_bytes(flipped(signed, position, 0))
            judge(served, served.gateway.artifacts, "the attestation is damaged")
    finally:
        path.write_bytes(signed)
    forged = served.gateway.artifacts.put(envelope.replace(b'"payload"', b'"payl0ad"', 1))
    with served.gateway.store.begin() as tx:
        true = tx.releases.get(served.release)
    for kind, sha256 in (("data", OTHER_SHA256), ("attestation", forged)):
        with served.gateway.store.begin() as tx:
            edited = replace(true, artifacts={**true.artifacts, kind: sha256})
            tx.releases.replace(edited, expected=ReleaseState.RELEASED)
        judge(served, served.gateway.artifacts, f"the catalog names other {kind}")
    with served.gateway.store.begin() as tx:
        tx.releases.replace(true, expected=ReleaseState.RELEASED)
    assert served.download(served.gateway.artifacts) == (DATA, False)


class Swap:
    """Puts ``content`` in the place of the data, in a thread of its own that starts at one of the reads."""

    def __init__(self, served: Served, content: bytes, *, at: int, in_place: bool) -> None:
        self._served, self._content, self._at, self._in_place = served, content, at, in_place
        self._seen = 0
        self._thread = threading.Thread(target=self._swap)

    def __call__(self, _step: str) -> None:
        if self._seen == self._at:
            self._thread.start()
        self._seen += 1

    def _swap(self) -> None:
        if self._in_place:
            with self._served.path.open("r+b") as file:
                file.write(self._content)
                file.truncate()
        else:
            replacement = self._served.folder / "swapped"
            replacement.write_bytes(self._content)
            replacement.replace(self._served.path)

    def finish(self) -> bool:
        """Wait for it; whether it began."""
        if self._seen <= self._at:
            return False
        self._thread.join()
        return True


@pytest.mark.guarantee("served-is-attested")
def test_whoever_replaces_what_is_being_served_gets_no_wrong_byte_out(
    served: Served, record_property: Callable[[str, object], None]
) -> None:
    ended: Counter[str] = Counter()
    replacements = [served.other, DATA, OTHER, stored_as(DATA, SHA256, KEY), stored_as(OTHER, SHA256, Key(bytes(32)))]
    met = 0
    try:
        for race in range(RACES):
            served.path.unlink(missing_ok=True)
            served.path.write_bytes(served.good)
            swap = Swap(served, replacements[race % 5], at=race // 10 % 20, in_place=race % 2 == 1)
            artifacts = replace(served.gateway.artifacts, storage=ToldStorage(Folder(served.folder), swap))
            left, lost = served.download(artifacts)
            met += swap.finish()
            assert DATA.startswith(left), "a wrong byte left"
            assert lost or left == DATA, "a download that is cut off must not look whole"
            ended["whole" if not lost else "on the way" if left else "before the first byte"] += 1
    finally:
        served.path.write_bytes(served.good)
    assert met >= RACES / 2
    outcomes = ", ".join(f"{count} {how}" for how, count in sorted(ended.items()))
    record_property("reached", f"{RACES} swap races ({met} during the download), no wrong byte; ended: {outcomes}")


class Unhashed(Artifacts):
    """The planted fault of serving what was not hashed again."""

    def open(self, sha256: str) -> BinaryIO:
        return cast(BinaryIO, Decrypted(self.storage.open(sha256), sha256, keys=self.keys))


@dataclass(frozen=True, slots=True)
class Reopened:
    """The planted fault of hashing what is at a path, in the clear, and then opening the path again."""

    folder: Path
    between: Callable[[str], None]

    def open(self, sha256: str) -> BinaryIO:
        path = self.folder / sha256
        if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            raise DataCorrupted("it differs")
        self.between(sha256)
        return path.open("rb")


@pytest.mark.guarantee("served-is-attested")
@pytest.mark.parametrize("kind", ["a bit of the last chunk flipped", "other bytes under this name with our key"])
def test_serving_without_hashing_again_is_convicted(served: Served, kind: str) -> None:
    planted = Unhashed(served.gateway.artifacts.storage, served.gateway.artifacts.keys)
    content = next(content for found, content in corruptions(served, random.Random(4)) if found == kind)
    try:
        served.path.write_bytes(content)
        with pytest.raises(AssertionError, match=kind):
            judge(served, planted, kind)
    finally:
        served.path.write_bytes(served.good)


@pytest.mark.guarantee("served-is-attested")
def test_opening_again_what_was_hashed_is_convicted(served: Served, tmp_path: Path) -> None:
    with served.gateway.artifacts.open(served.envelope) as file:
        (tmp_path / served.envelope).write_bytes(file.read())
    (tmp_path / SHA256).write_bytes(DATA)
    swapped = tmp_path / "swapped"
    swapped.write_bytes(OTHER)

    def swap(sha256: str) -> None:
        if sha256 == SHA256:
            swapped.replace(tmp_path / SHA256)

    left, lost = served.download(cast(Artifacts, Reopened(tmp_path, swap)))
    assert (DATA.startswith(left), lost) == (False, False)
