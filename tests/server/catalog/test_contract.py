"""What every catalog, request log and audit log does, whichever store keeps it."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from server.ledger import chain
from server.store import Store, Transaction
from synthgate.accounted import NoisyMargin
from synthgate.dataset import DatasetState, PublicSizes
from synthgate.errors import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    RequestIdReused,
    SynthgateError,
    WrongState,
)
from synthgate.policy import DEFAULT_POLICY
from synthgate.release import TRANSITIONS, ReleaseState
from tests.server.catalog.records import DERIVATION, dataset, release
from tests.server.stores import EPOCH, EPS1, MAKERS, account


@pytest.mark.parametrize("state", DatasetState)
@pytest.mark.parametrize("sizes", [None, PublicSizes(rows=5, units=5)])
def test_a_dataset_comes_back_as_it_was(store: Store, state: DatasetState, sizes: PublicSizes | None) -> None:
    record = replace(
        dataset(state=state, sizes=sizes, failure="no header"), tenant="abroad", fingerprint="ab", overlaps=("a", "b"),
        distinct_from=("c",),
    )  # fmt: skip
    with store.begin() as tx:
        tx.datasets.add(record)
    with store.begin() as tx:
        assert tx.datasets.get("randhie") == record


def test_datasets_are_listed_in_order_without_the_deleted(store: Store) -> None:
    with store.begin() as tx:
        for name in ("zebra", "ant", "bee"):
            tx.datasets.add(dataset(name))
        tx.datasets.replace(dataset("ant", state=DatasetState.DELETED), expected=DatasetState.CREATED)
        tx.datasets.replace(dataset("zebra", state=DatasetState.READY), expected=DatasetState.CREATED)
        assert [r.dataset.name for r in tx.datasets.list()] == ["zebra", "bee"]
        assert [r.dataset.name for r in tx.datasets.list(deleted=True)] == ["zebra", "ant", "bee"]
        assert tx.datasets.get("ant").dataset.state is DatasetState.DELETED
        with pytest.raises(AlreadyExists):
            tx.datasets.add(dataset("ant"))


@pytest.mark.parametrize("state", ReleaseState)
def test_a_release_comes_back_as_it_was(registered: Store, state: ReleaseState) -> None:
    elsewhere = EPOCH.astimezone(timezone(timedelta(hours=-3)))
    derivation = DERIVATION if state is ReleaseState.SAMPLING else None
    record = release(state=state, updated_at=elsewhere + timedelta(microseconds=1), derivation=derivation)
    with registered.begin() as tx:
        tx.releases.add(record)
    with registered.begin() as tx:
        found = tx.releases.get("r1")
    assert found == record
    assert found.release.updated_at.utcoffset() == timedelta(0)


def test_what_is_kept_does_not_change_with_the_callers_mappings(registered: Store) -> None:
    record = release()
    with registered.begin() as tx:
        tx.releases.add(record)
        record.plan["parameters"]["sigma"] = 0.0
        tx.releases.get("r1").plan["parameters"]["sigma"] = 0.0
        assert tx.releases.get("r1") == release()


def test_releases_are_listed_in_order_and_filtered(registered: Store) -> None:
    with registered.begin() as tx:
        tx.datasets.add(dataset("other"))
        for name, where in (("z", "randhie"), ("a", "other"), ("m", "randhie")):
            tx.releases.add(release(name, dataset=where))
        tx.releases.replace(release("z", state=ReleaseState.TRAINING), expected=ReleaseState.PENDING)

        def listed(**how: object) -> list[str]:
            return [r.release.id for r in tx.releases.list(**how)]  # type: ignore[arg-type]

        assert listed() == ["z", "a", "m"]
        assert listed(dataset="randhie") == ["z", "m"]
        assert listed(states=(ReleaseState.PENDING,)) == ["a", "m"]
        assert listed(dataset="randhie", states=(ReleaseState.TRAINING, ReleaseState.FAILED)) == ["z"]
        assert listed(dataset="nowhere") == []
        assert listed(states=(ReleaseState.PENDING,), limit=1) == ["a"]
        assert listed(after="z") == ["a", "m"] and listed(after="z", dataset="randhie") == ["m"]
        assert listed(after="a", limit=1) == ["m"] and listed(after="m") == []
        with pytest.raises(NotFound):
            listed(after="nobody")
        assert listed(limit=2) == ["z", "a"] and listed(limit=9) == ["z", "a", "m"]


@pytest.mark.parametrize("new", ReleaseState)
@pytest.mark.parametrize("old", ReleaseState)
def test_a_release_moves_along_its_transitions_alone(registered: Store, old: ReleaseState, new: ReleaseState) -> None:
    allowed = new is old or new in set(TRANSITIONS.get(old, ())) - {ReleaseState.SAMPLING}
    with registered.begin() as tx:
        tx.releases.add(release(state=old))
        if allowed:
            tx.releases.replace(release(state=new), expected=old)
        else:
            with pytest.raises(WrongState):
                tx.releases.replace(release(state=new), expected=old)
        assert tx.releases.get("r1") == release(state=new if allowed else old)


@pytest.mark.parametrize("new", ReleaseState)
def test_a_derived_release_is_sampled_and_never_fitted_or_approved(registered: Store, new: ReleaseState) -> None:
    """A charged release that could be SAMPLING would be RELEASED without a verdict."""
    states = {ReleaseState.PENDING, ReleaseState.SAMPLING, ReleaseState.FAILED, ReleaseState.CANCELLED}
    with registered.begin() as tx:
        tx.releases.add(release(derivation=DERIVATION))
        with nullcontext() if new in states else pytest.raises(WrongState):
            tx.releases.replace(release(derivation=DERIVATION, state=new), expected=ReleaseState.PENDING)
    with registered.begin() as tx, pytest.raises(InvalidArgument):
        state = tx.releases.get("r1").release.state
        tx.releases.replace(release(derivation=replace(DERIVATION, source="r2"), state=state), expected=state)


def test_verdicts_are_the_releases_whose_charge_was_not_voided(registered: Store) -> None:
    with registered.begin() as tx:
        tx.ledger.open(account("others"), reason="")
        for name in ("kept", "failed", "voided", "waiting"):
            tx.ledger.reserve("people", name, EPS1, by="analyst")
            tx.releases.add(release(name))
        tx.ledger.reserve("others", "elsewhere", EPS1, by="analyst")
        tx.releases.add(release("elsewhere", account="others"))
        tx.releases.add(release("derived", derivation=DERIVATION))
        assert tx.releases.verdicts("people") == 4
        tx.ledger.commit("kept", by="gateway")
        tx.ledger.commit("failed", by="gateway")
        tx.releases.replace(release("failed", state=ReleaseState.FAILED), expected=ReleaseState.PENDING)
        tx.ledger.void("voided", by="analyst", reason="")
        tx.releases.replace(release("voided", state=ReleaseState.CANCELLED), expected=ReleaseState.PENDING)
        assert [tx.releases.verdicts(name) for name in ("people", "others", "nobody")] == [3, 1, 0]


def test_accounted_verdicts_are_not_counted(registered: Store) -> None:
    """Nor does one that was voided hide another."""
    accounted = replace(release("accounted"), policy=DEFAULT_POLICY)
    margin = NoisyMargin(value=-83, sigma=21.516)
    with registered.begin() as tx:
        for name in ("exact", "accounted", "voided"):
            tx.ledger.reserve("people", name, EPS1, by="analyst")
        tx.releases.add(release("exact"))
        tx.releases.add(accounted)
        tx.releases.add(replace(release("voided"), policy=DEFAULT_POLICY))
        tx.releases.add(replace(release("derived", derivation=DERIVATION), policy=DEFAULT_POLICY))
        tx.ledger.void("voided", by="analyst", reason="")
        tx.ledger.commit("accounted", by="gateway")
        judged = replace(accounted, release=replace(accounted.release, margin=margin, state=ReleaseState.TRAINING))
        tx.releases.replace(judged, expected=ReleaseState.PENDING)
    with registered.begin() as tx:
        assert tx.releases.verdicts("people") == 1
        assert tx.releases.accounted("people") == {"accounted", "voided"}
        assert tx.releases.accounted("nobody") == frozenset()
        assert tx.releases.get("accounted") == judged


def test_answers_are_kept_by_principal_method_and_id(store: Store) -> None:
    with store.begin() as tx:
        tx.requests.remember("ann", "create", "1", payload="p", resource="releases/r1")
    with store.begin() as tx:
        assert tx.requests.recall("ann", "create", "1", payload="p") == "releases/r1"
        for other in (("bob", "create", "1"), ("ann", "cancel", "1"), ("ann", "create", "2")):
            assert tx.requests.recall(*other, payload="p") is None
            tx.requests.remember(*other, payload="p", resource="x")
        with pytest.raises(RequestIdReused):
            tx.requests.recall("ann", "create", "1", payload="q")
        with pytest.raises(AlreadyExists):
            tx.requests.remember("ann", "create", "1", payload="p", resource="releases/r2")


def test_the_audit_log_is_chained_and_paged(store: Store) -> None:
    with store.begin() as tx:
        assert tx.audit.records() == ()
        made = [
            tx.audit.append(principal="ä", action="open", resource=str(i), detail={"k": "v"} if i else {})
            for i in range(5)
        ]
    with store.begin() as tx:
        assert tx.audit.records() == tuple(made)
        assert tx.audit.records(after=2, limit=2) == tuple(made[2:4])
        assert tx.audit.records(limit=0) == tx.audit.records(after=5) == ()
    assert chain.verify(made) == made[-1]
    assert [(r.sequence, r.resource) for r in made] == [(i + 1, str(i)) for i in range(5)]


REFUSALS: dict[str, tuple[Callable[[Transaction], object], type[SynthgateError]]] = {
    "dataset: add twice": (lambda tx: tx.datasets.add(dataset()), AlreadyExists),
    "dataset: get an unknown one": (lambda tx: tx.datasets.get("nobody"), NotFound),
    "dataset: replace an unknown one": (
        lambda tx: tx.datasets.replace(dataset("nobody"), expected=DatasetState.CREATED),
        NotFound,
    ),
    "dataset: replace in another state": (
        lambda tx: tx.datasets.replace(dataset(), expected=DatasetState.READY),
        WrongState,
    ),
    "dataset: keep what JSON cannot hold": (
        lambda tx: tx.datasets.add(replace(dataset("nan"), found={"x": float("nan")})),
        InvalidArgument,
    ),
    "release: add twice": (lambda tx: tx.releases.add(release()), AlreadyExists),
    "release: of an unknown dataset": (lambda tx: tx.releases.add(release("r2", dataset="nobody")), NotFound),
    "release: get an unknown one": (lambda tx: tx.releases.get("nobody"), NotFound),
    "release: replace an unknown one": (
        lambda tx: tx.releases.replace(release("nobody"), expected=ReleaseState.PENDING),
        NotFound,
    ),
    "release: replace in another state": (
        lambda tx: tx.releases.replace(release(), expected=ReleaseState.TRAINING),
        WrongState,
    ),
    "release: move to another account": (
        lambda tx: tx.releases.replace(release(account="others"), expected=ReleaseState.PENDING),
        InvalidArgument,
    ),
    "release: a time without a zone": (
        lambda tx: tx.releases.add(release("r2", created_at=datetime(2026, 1, 1))),
        InvalidArgument,
    ),
    "request: another payload": (lambda tx: tx.requests.recall("a", "m", "1", payload="q"), RequestIdReused),
    "request: answered twice": (
        lambda tx: tx.requests.remember("a", "m", "1", payload="p", resource="x"),
        AlreadyExists,
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_refusals_are_the_same_in_both_stores_and_change_nothing(tmp_path: Path, refusal: str) -> None:
    verb, error = REFUSALS[refusal]
    said = []
    for make in MAKERS.values():
        store = make(tmp_path)
        with store.begin() as tx:
            tx.datasets.add(dataset())
            tx.releases.add(release())
            tx.requests.remember("a", "m", "1", payload="p", resource="r")
        with store.begin() as tx, pytest.raises(SynthgateError) as raised:
            verb(tx)
        assert type(raised.value) is error
        with store.begin() as tx:
            assert (tx.datasets.list(), tx.releases.list()) == ((dataset(),), (release(),))
        said.append(raised.value.message)
        store.close()
    assert said[0] == said[1]
