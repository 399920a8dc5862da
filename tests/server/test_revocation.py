"""Revocation on a composed gateway: the release, what was derived from it, and a download that is under way."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from server import releases, revocation
from server.config import CHUNK_BYTES
from server.gateway import Gateway
from server.identity import Office, Principal
from server.publication import next_tick
from server.releases import move
from server.rpc.releases import ReleaseRpc
from synthgate.errors import InvalidArgument, NotFound, VerificationFailed, WrongState
from synthgate.release import ReleaseState
from synthgate.revocations import RevocationList
from synthgate.v1 import release_service_pb2 as pb
from synthgate.verify import check_revocations, read_revocations, verify_envelope
from tests.server.composed import ANALYST, TICK_S, Clock, call
from tests.server.released import attested
from tests.server.test_derived import derive, ran, source, stored

__all__ = ["source"]
OFFICER = Principal("officer", Office.OFFICER)


class Context:
    """What a servicer needs of gRPC's context: who calls."""

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", "Bearer analyst-token"),)

    async def abort(self, code: object, details: str, metadata: object) -> None:
        raise InterruptedError(details)


def download(gateway: Gateway, release: str, between: Callable[[int], None]) -> tuple[int, str]:
    """Chunks that leave, and what ended the download; ``between`` runs after each of them."""
    rpc = ReleaseRpc(gateway, {hashlib.sha256(b"analyst-token").hexdigest(): ANALYST})

    async def run() -> tuple[int, str]:
        chunks = 0
        try:
            async for _ in rpc.DownloadRelease(pb.DownloadReleaseRequest(id=release), Context()):
                chunks += 1
                between(chunks)
        except InterruptedError as told:
            return chunks, str(told)
        return chunks, ""

    return asyncio.run(run())


def enlarged(gateway: Gateway, release: str, chunks: int) -> None:
    """Let the release have ``chunks`` chunks of data."""
    attested(gateway, release, bytes(CHUNK_BYTES * chunks))


def test_what_is_revoked_is_given_out_no_more_nor_what_was_derived(gateway: Gateway, source: str, clock: Clock) -> None:
    made = ran(gateway, derive(gateway, source, rows=10))
    assert made.release.state is ReleaseState.RELEASED
    with gateway.store.begin() as tx:
        before = tx.ledger.entries()
    revoked = revocation.revoke(gateway, call(OFFICER), source, reason="a mistake in the declaration")
    assert revoked.release.state is ReleaseState.REVOKED
    for name in (source, made.release.id):
        record = stored(gateway, name)
        assert record.release.state is ReleaseState.REVOKED
        assert record.artifacts["data"] not in gateway.artifacts.digests()
        assert record.artifacts["attestation"] in gateway.artifacts.digests()
        with pytest.raises((WrongState, NotFound)):
            releases.downloadable(gateway, ANALYST, name)
    clock.seconds += TICK_S
    with pytest.raises(WrongState):
        derive(gateway, source)
    with gateway.store.begin() as tx:
        assert tx.ledger.entries() == before
        told = [(r.action, r.resource) for r in tx.audit.records() if r.action == "Revoke"]
    assert told == [("Revoke", source), ("Revoke", made.release.id)]


def test_a_revocation_is_answered_again_and_made_once(gateway: Gateway, source: str) -> None:
    asked = call(OFFICER)
    first = revocation.revoke(gateway, asked, source, reason="a mistake")
    assert revocation.revoke(gateway, asked, source, reason="a mistake") == first
    with pytest.raises(WrongState, match="REVOKED; only a RELEASED"):
        revocation.revoke(gateway, call(OFFICER), source, reason="again")
    with pytest.raises(InvalidArgument, match="reason"):
        revocation.revoke(gateway, call(OFFICER), source, reason=" ")
    with pytest.raises(NotFound):
        revocation.revoke(gateway, call(OFFICER), "r-nowhere", reason="a mistake")


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_download_ends_after_the_chunk_under_way(gateway: Gateway, source: str, after: int) -> None:
    enlarged(gateway, source, 4)
    assert download(gateway, source, lambda _: None) == (4, "")

    def between(chunks: int) -> None:
        if chunks == after:
            revocation.revoke(gateway, call(OFFICER), source, reason="a mistake")

    chunks, told = download(gateway, source, between)
    assert chunks == after
    assert "only RELEASED data" in told


def test_bytes_that_another_release_serves_stay(gateway: Gateway, source: str) -> None:
    made = ran(gateway, derive(gateway, source, rows=10))
    data = stored(gateway, made.release.id).artifacts["data"]
    with gateway.store.begin() as tx:
        record = tx.releases.get(made.release.id)
        twin = replace(record, release=replace(record.release, id="r-twin", derivation=None))
        tx.releases.add(replace(twin, release=replace(twin.release, state=ReleaseState.PENDING)))
        for state in (ReleaseState.TRAINING, ReleaseState.EVALUATING, ReleaseState.RELEASED):
            move(gateway, tx, tx.releases.get("r-twin"), state)
    revocation.revoke(gateway, call(OFFICER), source, reason="a mistake")
    assert data in gateway.artifacts.digests()


def known(gateway: Gateway) -> RevocationList:
    return read_revocations(revocation.signed_list(gateway), gateway.signer.public_pem)


def test_what_is_revoked_stands_on_the_signed_list_from_the_tick_on_for_ever(
    gateway: Gateway, source: str, clock: Clock
) -> None:
    made, other = (ran(gateway, derive(gateway, source, rows=10)).release for _ in range(2))
    assert known(gateway).number == 0
    revocation.revoke(gateway, call(OFFICER), other.id, reason="words that nobody is told")
    assert known(gateway).entries == ()
    clock.seconds += TICK_S
    first = known(gateway)
    assert [(e.release, e.sha256, e.reason) for e in first.entries] == [(other.id, other.sha256, "OFFICER_REVOKED")]
    revocation.revoke(gateway, call(OFFICER), source, reason="words that nobody is told")
    clock.seconds += TICK_S
    second = known(gateway)
    assert (first.number, second.number) == (1, 3)
    assert second.entries[0] == first.entries[0]
    assert {e.release: e.reason for e in second.entries[1:]} == {source: "OFFICER_REVOKED", made.id: "SOURCE_REVOKED"}
    assert {e.revoked_at for e in second.entries[1:]} == {
        next_tick(second.issued_at - timedelta(seconds=TICK_S), TICK_S)
    }
    assert b"nobody is told" not in base64.b64decode(json.loads(revocation.signed_list(gateway))["payload"])
    with gateway.artifacts.open(stored(gateway, made.id).artifacts["attestation"]) as file:
        attestation = verify_envelope(file.read(), gateway.signer.public_pem)
    with pytest.raises(VerificationFailed, match="was revoked on"):
        check_revocations(attestation, revocation.signed_list(gateway), gateway.signer.public_pem)
