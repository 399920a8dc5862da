"""Releases are listed a page at a time, read in pieces, and nobody's pages tell of what they may not see."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from server import accounts, releases
from server.app import compose
from server.config import Settings
from server.gateway import Gateway
from server.identity import Office, Principal
from server.rpc.releases import ReleaseRpc
from synthgate.errors import InvalidArgument
from synthgate.v1 import release_service_pb2 as pb
from tests.server.composed import ANALYST, STEWARD, Clock, asked, call, registered

OTHER = Principal("other", Office.ANALYST)
COUNT = 9


@pytest.fixture
def gateway(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Gateway:
    monkeypatch.setattr(releases, "PIECE", 2)
    made = replace(compose(Settings(state=tmp_path)), now=clock)
    accounts.open_account(made, call(STEWARD), name="people", epsilon=3.0, delta=1e-6, sandbox=False)
    registered(made)
    first = asked(made)
    with made.store.begin() as tx:
        record = tx.releases.get(first)
        for number in range(COUNT):
            whose = (ANALYST, OTHER, OTHER)[number % 3].name
            tx.releases.add(replace(record, release=replace(record.release, id=f"r-{number}", requested_by=whose)))
    return made


def pages(gateway: Gateway, who: Principal, size: int) -> list[list[str]]:
    """The ids of every page."""
    made, token = [], ""
    while True:
        answer = listed(gateway, who, page_size=size, page_token=token)
        made.append([release.id for release in answer.releases if len(release.id) < 5])
        token = answer.next_page_token
        if not token:
            return made


def listed(gateway: Gateway, who: Principal, **request: Any) -> pb.ListReleasesResponse:
    work = ReleaseRpc.ListReleases.__wrapped__  # type: ignore[attr-defined]
    found: pb.ListReleasesResponse = work(
        ReleaseRpc(gateway, {}), pb.ListReleasesRequest(**request), SimpleNamespace(principal=who)
    )
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 100])
@pytest.mark.parametrize("who", [ANALYST, OTHER, STEWARD], ids=lambda who: who.name)
def test_pages_together_are_all_that_the_caller_may_see(gateway: Gateway, who: Principal, size: int) -> None:
    wanted = {ANALYST.name: [0, 3, 6], OTHER.name: [1, 2, 4, 5, 7, 8], STEWARD.name: list(range(COUNT))}[who.name]
    found = pages(gateway, who, size)
    assert [int(name[2:]) for page in found for name in page] == wanted
    assert all(len(page) <= size for page in found)


@pytest.mark.parametrize("token", ["r-0", "nobody"])
def test_a_token_of_a_release_that_is_not_seen_is_refused_as_one_that_is_absent(gateway: Gateway, token: str) -> None:
    with pytest.raises(InvalidArgument, match="page before"):
        listed(gateway, OTHER, page_token=token)


def test_no_transaction_reads_more_than_a_piece(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    with gateway.store.begin() as tx:
        kind = type(tx.releases)
    whole = kind.list

    def watched(self: Any, **how: Any) -> Any:
        found = whole(self, **how)
        read.append(len(found))
        return found

    monkeypatch.setattr(kind, "list", watched)
    assert len(listed(gateway, OTHER, page_size=3).releases) == 3
    assert max(read) <= 2
