"""Deletion: who may, and what goes with the rows."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from server import datasets, erasure, releases, serving
from server.gateway import Gateway
from server.identity import Office, Principal
from server.recovery import recover
from synthgate.dataset import DatasetState, PublicSizes, SizeOrigin
from synthgate.errors import NotFound, PermissionDenied, SynthgateError, WrongState
from synthgate.release import ReleaseState
from tests.server.composed import ANALYST, STEWARD, TICK_S, Clock, call, registered
from tests.server.released import charged
from tests.server.uploading import COLLEAGUE, FOREIGNER, OFFICER

CONTENTS = {kind: f"the {kind}".encode() for kind in ("data", "model", "report_json", "report_html")}
REFUSED: dict[str, tuple[Principal, type[SynthgateError]]] = {
    "another steward": (COLLEAGUE, PermissionDenied),
    "an analyst": (ANALYST, PermissionDenied),
    "a steward of the same name in another tenant": (FOREIGNER, NotFound),
    "an officer of another tenant": (replace(OFFICER, tenant="abroad"), NotFound),
    "an analyst of the steward's name": (Principal("steward", Office.ANALYST), PermissionDenied),
}


@pytest.fixture
def ready(gateway: Gateway, clock: Clock) -> Gateway:
    registered(gateway)
    clock.seconds += 2 * TICK_S
    return gateway


def refuse(gateway: Gateway, who: Principal, error: type[SynthgateError]) -> None:
    with pytest.raises(error):
        erasure.delete(gateway, call(who), "table")
    assert datasets.read(gateway, STEWARD, "table").dataset.state is DatasetState.READY


@pytest.mark.parametrize(("who", "error"), REFUSED.values(), ids=REFUSED)
def test_who_did_not_register_it_deletes_nothing(ready: Gateway, who: Principal, error: type[SynthgateError]) -> None:
    refuse(ready, who, error)


def test_asking_for_the_office_alone_is_convicted(ready: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "is_steward", lambda record, who: who.office is Office.STEWARD)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        refuse(ready, COLLEAGUE, PermissionDenied)


def test_what_is_refused_abroad_is_what_is_absent(ready: Gateway) -> None:
    said = []
    for name in ("table", "never"):
        with pytest.raises(NotFound) as raised:
            erasure.delete(ready, call(FOREIGNER), name)
        said.append(raised.value.message.replace(name, "NAME"))
    assert said[0] == said[1]


@pytest.mark.parametrize("who", [STEWARD, OFFICER], ids=str)
def test_its_steward_and_officers_delete_it_once_and_for_ever(ready: Gateway, who: Principal) -> None:
    deleting = call(who)
    for _ in range(2):  # the second is a retry
        assert erasure.delete(ready, deleting, "table").dataset.state is DatasetState.DELETED
    with pytest.raises(NotFound):
        erasure.delete(ready, call(who), "table")


def test_reports_and_models_go_and_what_was_released_stays(ready: Gateway, clock: Clock) -> None:
    states = (ReleaseState.RELEASED, ReleaseState.REVOKED, ReleaseState.REJECTED)
    made = {state: charged(ready, state, {k: c + state.encode() for k, c in CONTENTS.items()}) for state in states}
    clock.seconds += 2 * TICK_S
    released = made[ReleaseState.RELEASED]
    assert releases.report(ready, STEWARD, released, kind="report_json") == CONTENTS["report_json"] + b"RELEASED"
    attestations = {state: releases.attestation(ready, STEWARD, made[state]) for state in states[:2]}
    with ready.store.begin() as tx:
        kept = dict(tx.releases.get(released).artifacts)
        revoked = dict(tx.releases.get(made[ReleaseState.REVOKED]).artifacts)
    erasure.delete(ready, call(STEWARD), "table")
    expected = {kept["data"], kept["attestation"], revoked["data"], revoked["attestation"]}
    assert set(ready.artifacts.digests()) == expected
    for state, release in made.items():
        for kind in ("report_json", "report_html"):
            with pytest.raises(WrongState, match="destroyed with its dataset 'table'"):
                releases.report(ready, OFFICER, release, kind=kind)
        if state in attestations:
            assert releases.attestation(ready, STEWARD, release) == attestations[state]
    (piece,) = serving.pieces(ready, ANALYST, released, offset=0)
    assert piece.data == CONTENTS["data"] + b"RELEASED"
    with ready.store.begin() as tx:
        assert tx.datasets.get("table").found == {}


def test_a_deletion_that_keeps_reports_is_convicted(
    ready: Gateway, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure, "PRIVATE", ("model",))
    with pytest.raises(AssertionError):
        test_reports_and_models_go_and_what_was_released_stays(ready, clock)


def test_what_another_dataset_holds_with_the_same_bytes_stays(ready: Gateway, clock: Clock) -> None:
    """Until that is deleted too: two datasets do not keep each other's reports for ever."""
    mine = charged(ready, ReleaseState.RELEASED, CONTENTS)
    registered(ready, "other")
    with ready.store.begin() as tx:
        record = tx.releases.get(mine)
        theirs = replace(record, release=replace(record.release, id="r-other", dataset="other"))
        tx.releases.add(theirs)
    erasure.delete(ready, call(STEWARD), "table")
    assert releases.report(ready, STEWARD, "r-other", kind="report_json") == CONTENTS["report_json"]
    erasure.delete(ready, call(STEWARD), "other")
    assert set(ready.artifacts.digests()) == {record.artifacts["data"], record.artifacts["attestation"]}


def test_reports_that_a_crash_left_go_at_the_next_start(ready: Gateway) -> None:
    release = charged(ready, ReleaseState.RELEASED, CONTENTS)
    with ready.store.begin() as tx:
        artifacts = tx.releases.get(release).artifacts
        datasets.move(tx, tx.datasets.get("table"), DatasetState.DELETED)
    recover(ready)
    assert set(ready.artifacts.digests()) == {artifacts["data"], artifacts["attestation"]}


COUNTED = PublicSizes(rows=6_123, units=6_123, origin=SizeOrigin.COUNTED)


def counted(gateway: Gateway, clock: Clock) -> Callable[[Principal], PublicSizes | None]:
    """A dataset whose sizes were just counted, and the sizes that somebody sees of it."""
    registered(gateway)
    with gateway.store.begin() as tx:
        record = tx.datasets.get("table")
        found = {datasets.READY_AT: gateway.now().isoformat()}
        changed = replace(record, dataset=replace(record.dataset, sizes=COUNTED), found=found)
        tx.datasets.replace(changed, expected=DatasetState.READY)
    return lambda who: datasets.read(gateway, who, "table").dataset.sizes


def test_sizes_that_were_counted_are_told_on_the_tick(gateway: Gateway, clock: Clock) -> None:
    clock.seconds = 1.0
    seen = counted(gateway, clock)
    others = (ANALYST, OFFICER, COLLEAGUE, FOREIGNER)
    assert [seen(who) for who in others] == [None] * len(others)
    assert [r.dataset.sizes for r in datasets.read_all(gateway, ANALYST)] == [None]
    assert seen(STEWARD) == COUNTED
    clock.seconds = TICK_S
    assert [seen(who) for who in others] == [COUNTED] * len(others)


def test_telling_them_at_once_is_convicted(gateway: Gateway, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "next_tick", lambda moment, tick_s: moment)
    with pytest.raises(AssertionError):
        test_sizes_that_were_counted_are_told_on_the_tick(gateway, clock)


def test_sizes_that_were_declared_are_public_from_the_start(gateway: Gateway) -> None:
    declared = registered(gateway, state=DatasetState.INGESTING).dataset.sizes
    assert declared is not None
    assert datasets.read(gateway, ANALYST, "table").dataset.sizes == declared
