"""One population, one budget: who was uploaded once gets no second budget in another account of the tenant."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from server import accounts, datasets, erasure, ingestion, populations, requests
from server.catalog.base import DatasetRecord, Lease
from server.gateway import Gateway
from server.identity import Appointment, Office, Principal
from server.populations import Known
from server.store import Transaction
from synthgate.dataset import DatasetState
from synthgate.errors import (
    FailedPrecondition,
    InternalError,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    SynthgateError,
    WrongState,
)
from tests.server.composed import ANALYST, STEWARD, TICK_S, Clock, call
from tests.server.uploading import COLLEAGUE, FOREIGNER, OFFICER, declared, ingested, people, sent, uploaded

pytestmark = pytest.mark.guarantee("population")
READY, AWAITING_LINK, INGESTING = DatasetState.READY, DatasetState.AWAITING_LINK, DatasetState.INGESTING
AUDITOR = Principal("auditor", Office.AUDITOR)


@pytest.fixture
def first(gateway: Gateway) -> Gateway:
    """The gateway with 2,000 people of one account."""
    assert uploaded(gateway, "first", "old", people(0, 2_000)).dataset.state is READY
    return gateway


@pytest.fixture
def waiting(first: Gateway) -> Gateway:
    """The same, and the same people again in another account of the same steward."""
    assert uploaded(first, "second", "new", people(0, 2_000)).dataset.state is AWAITING_LINK
    return first


def state(gateway: Gateway, name: str, who: Principal = STEWARD) -> DatasetState:
    return datasets.read(gateway, who, name).dataset.state


def asked(gateway: Gateway, clock: Clock, dataset: str) -> str:
    clock.seconds += TICK_S
    return requests.create(
        gateway, call(ANALYST), dataset=dataset, engine="independent", epsilon=1.0, delta=None
    ).release.account


@pytest.mark.parametrize(
    ("content", "account", "found"),
    [
        (people(0, 2_000), "new", AWAITING_LINK),
        (people(1_970, 3_970), "new", AWAITING_LINK),
        (people(0, 2_000), "old", READY),  # a later upload of the account's own people
        (people(1_990, 3_990), "new", READY),  # 0.5 % of either side
        (people(0, 999), "new", READY),  # too small to be compared
    ],
)
def test_an_upload_that_overlaps_another_account_waits(
    first: Gateway, content: bytes, account: str, found: DatasetState
) -> None:
    assert uploaded(first, "second", account, content).dataset.state is found
    assert (first.settings.rows / "second").exists() == (found is READY)
    assert datasets.Upload(first, "second").path.exists() == (found is not READY)


def test_no_release_of_it_can_be_asked_for(waiting: Gateway, clock: Clock) -> None:
    for who in (ANALYST, STEWARD):
        clock.seconds += TICK_S
        with pytest.raises(WrongState, match="not READY yet"):
            requests.create(waiting, call(who), dataset="second", engine="independent", epsilon=0.1, delta=None)


def told(gateway: Gateway, name: str, who: Principal) -> list[str]:
    """Everything that others than its steward can make the gateway say of a dataset, without its name and times."""
    said = []

    def ask(work: object) -> None:
        try:
            said.append(repr(work()))  # type: ignore[operator]
        except SynthgateError as error:
            said.append(f"{error.reason} {error.message} {error.facts}")

    def listed() -> list[object]:
        return [r for r in datasets.read_all(gateway, who) if r.dataset.name == name]

    ask(lambda: datasets.read(gateway, who, name))
    ask(listed)
    ask(lambda: populations.link(gateway, call(who), name))
    ask(lambda: datasets.upload(gateway, who, name).received_bytes)
    ask(lambda: requests.quote(gateway, who, dataset=name, engine="independent", epsilon=1.0, delta=None))
    ask(lambda: requests.create(gateway, call(who), dataset=name, engine="independent", epsilon=1.0, delta=None))
    with gateway.store.begin() as tx:
        said += [f"{r.action} {r.detail}" for r in tx.audit.records() if r.resource == name]
    return [text.replace(name, "NAME") for text in said]


OTHERS = (ANALYST, OFFICER, AUDITOR, COLLEAGUE, FOREIGNER)


def begun(gateway: Gateway, name: str) -> None:
    """An ingest that has begun and not ended: its gateway goes down while the job runs."""

    def job(*_arguments: object, **_more: object) -> dict[str, object]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ingested(replace(gateway, job=job), name)


def notice(gateway: Gateway) -> list[str]:
    """Who of those that must not can tell a dataset that waits from one whose ingest failed or has not ended."""
    assert uploaded(gateway, "failed", "new", b"not,the,columns\n").dataset.state is DatasetState.FAILED
    declared(gateway, "running", "new")
    sent(gateway, "running", people(0, 2_000))
    begun(gateway, "running")
    found = {name: [told(gateway, name, who) for who in OTHERS] for name in ("second", "failed", "running")}
    return [
        repr(who)
        for number, who in enumerate(OTHERS)
        if not found["second"][number] == found["failed"][number] == found["running"][number]
    ]


def test_nobody_but_its_steward_learns_that_it_waits(waiting: Gateway) -> None:
    assert state(waiting, "second") is AWAITING_LINK
    assert notice(waiting) == []
    with waiting.store.begin() as tx:
        assert tx.datasets.get("second").overlaps == ("old",)
    assert "old" not in repr(datasets.read(waiting, STEWARD, "second"))


def test_what_comes_of_an_ingest_is_told_on_the_tick_alone(first: Gateway, clock: Clock) -> None:
    """READY adds nothing to what others can read until then, and no line of the log after it."""
    clock.seconds += 1.0  # between two ticks
    declared(first, "running", "new")
    sent(first, "running", people(5_000, 7_000))
    begun(first, "running")
    assert uploaded(first, "done", "new", people(9_000, 11_000)).dataset.state is READY
    for who in OTHERS:
        assert told(first, "done", who) == told(first, "running", who)
    with first.store.begin() as tx:
        lines = [(r.action, r.detail) for r in tx.audit.records() if r.resource == "done"]
    assert ("Ingest", {}) in lines
    clock.seconds += TICK_S
    with first.store.begin() as tx:
        assert [(r.action, r.detail) for r in tx.audit.records() if r.resource == "done"] == lines
    assert state(first, "done", ANALYST) is READY


@pytest.mark.parametrize("plant", ["shown to stewards", "logged", "only what failed is logged"])
def test_who_would_tell_others_is_convicted(waiting: Gateway, monkeypatch: pytest.MonkeyPatch, plant: str) -> None:
    if plant == "only what failed is logged":
        settle = ingestion._settle

        def telling(gateway: Gateway, name: str, *, failure: str = "", **found: object) -> bool:
            if failure:
                with gateway.store.begin() as tx:
                    tx.audit.append(principal="gateway", action="Ingest", resource=name, detail={"state": "FAILED"})
            return settle(gateway, name, failure=failure, **found)  # type: ignore[arg-type]

        monkeypatch.setattr(ingestion, "_settle", telling)
    elif plant == "logged":
        with waiting.store.begin() as tx:
            tx.audit.append(principal="gateway", action="Ingest", resource="second", detail={"state": "AWAITING_LINK"})
    else:
        monkeypatch.setattr(datasets, "is_steward", lambda record, who: who.office is Office.STEWARD)
    assert notice(waiting) != []


def abroad(gateway: Gateway) -> list[str]:
    """The same people in another tenant: which of its datasets wait for an account of the first."""
    names = {"theirs": people(0, 2_000), "more": people(1_000, 3_000)}
    found = [uploaded(gateway, name, name, content, FOREIGNER) for name, content in names.items()]
    assert "theirs" in found[1].overlaps or found[0].dataset.state is AWAITING_LINK  # at home they are compared
    return [record.dataset.name for record in found if "old" in record.overlaps]


def test_across_tenants_nothing_happens(first: Gateway) -> None:
    assert abroad(first) == []
    with pytest.raises(NotFound, match="no account"):
        declared(first, "intruder", "old", FOREIGNER)
    with pytest.raises(NotFound):
        populations.distinguish(first, call(replace(OFFICER, tenant="abroad")), "first", reason="why")


def of_all_tenants(tx: Transaction, record: DatasetRecord) -> tuple[Known, ...]:
    """A check that does not ask whose data it compares with."""
    others = (r for r in tx.datasets.list() if r.fingerprint and r.dataset.account != record.dataset.account)
    return tuple(Known(r.dataset.name, r.dataset.account, r.fingerprint) for r in others)


def test_a_check_across_tenants_is_convicted(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(populations, "known", of_all_tenants)
    monkeypatch.setattr(populations, "key", lambda gateway, tx, tenant: bytes(32))
    uploaded(gateway, "first", "old", people(0, 2_000))
    assert abroad(gateway) == ["theirs", "more"]


def test_their_keys_alone_keep_tenants_apart(first: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(populations, "known", of_all_tenants)
    assert abroad(first) == []


def test_a_link_makes_one_account_of_both(waiting: Gateway, clock: Clock) -> None:
    asked(waiting, clock, "first")
    linking = call(STEWARD)
    for _ in range(2):  # the second is a retry
        populations.link(waiting, linking, "second")
    assert (state(waiting, "second"), datasets.read(waiting, STEWARD, "second").dataset.account) == (INGESTING, "old")
    assert ingested(waiting, "second").dataset.state is READY
    with waiting.store.begin() as tx:
        before = tx.ledger.balance("old")
    assert asked(waiting, clock, "second") == "old"
    with waiting.store.begin() as tx:
        old, new = (tx.ledger.balance(name) for name in ("old", "new"))
        logged = [(r.principal, r.detail) for r in tx.audit.records() if r.action == linking.method]
    assert old.account.cap == before.account.cap
    assert old.epsilon == 2 * before.epsilon > 0
    assert (new.epsilon, new.account.cap) == (0, before.account.cap)
    assert ("steward", {"account": "old"}) in logged
    assert old.account.verdicts_granted == 0
    assert split(waiting.settings.rows / "second") == split(waiting.settings.rows / "first")


def split(rows: Path) -> tuple[object, object]:
    """Who trains and who is held out: with equal tables, the same on one account."""
    train, holdout = (pq.read_table(rows / f"{side}.parquet").to_pylist() for side in ("train", "holdout"))
    return train, holdout


def test_the_steward_of_one_cannot_link(first: Gateway) -> None:
    assert uploaded(first, "second", "new", people(0, 2_000), COLLEAGUE).dataset.state is AWAITING_LINK
    refusals = {}
    for who in (COLLEAGUE, STEWARD, FOREIGNER, OFFICER):
        with pytest.raises(PermissionDenied) as raised:
            populations.link(first, call(who), "second")
        refusals[who] = raised.value
    assert not any({"old", "first"} & set(error.message.split()) or error.facts for error in refusals.values())
    assert state(first, "second", COLLEAGUE) is AWAITING_LINK


def test_what_does_not_wait_cannot_be_linked(first: Gateway) -> None:
    with pytest.raises(WrongState, match="does not wait"):
        populations.link(first, call(STEWARD), "first")
    with pytest.raises(WrongState, match="does not wait"):
        populations.distinguish(first, call(OFFICER), "first", reason="why")


def test_private_people_never_join_a_sandbox(gateway: Gateway) -> None:
    accounts.open_account(gateway, call(STEWARD), name="play", epsilon=3.0, delta=1e-6, sandbox=True)
    uploaded(gateway, "first", "play", people(0, 2_000))
    uploaded(gateway, "second", "new", people(0, 2_000))
    with pytest.raises(FailedPrecondition, match="sandbox"):
        populations.link(gateway, call(STEWARD), "second")
    assert state(gateway, "second") is AWAITING_LINK


def test_an_officer_states_that_they_are_distinct_people(waiting: Gateway, clock: Clock) -> None:
    registrar = Principal("steward", Office.OFFICER)
    for who in (STEWARD, registrar, ANALYST):
        with pytest.raises(PermissionDenied):
            populations.distinguish(waiting, call(who), "second", reason="other people")
    with pytest.raises(InvalidArgument, match="reason"):
        populations.distinguish(waiting, call(OFFICER), "second", reason=" ")
    populations.distinguish(waiting, call(OFFICER), "second", reason="ids of two hospitals")
    assert ingested(waiting, "second").dataset.state is READY
    assert asked(waiting, clock, "second") == "new"
    with waiting.store.begin() as tx:
        logged = [(r.resource, r.detail) for r in tx.audit.records() if r.principal == "officer"]
    assert logged == [("second", {"distinct": "true", "reason": "ids of two hospitals"})]
    # The statement is of this dataset and the account that it overlapped, and of no other.
    third = uploaded(waiting, "third", "third", people(0, 2_000))
    assert (third.dataset.state, third.overlaps) == (AWAITING_LINK, ("new", "old"))
    with pytest.raises(FailedPrecondition, match="several accounts"):
        populations.link(waiting, call(STEWARD), "third")


def test_a_change_of_the_settings_lets_nobody_call_their_own_distinct(gateway: Gateway) -> None:
    """The steward was one person with the officer when the dataset was registered."""
    same = {"steward": Appointment(Office.STEWARD, "same"), "officer": Appointment(Office.OFFICER, "same")}
    before = replace(gateway, settings=gateway.settings.model_copy(update={"principals": same}))
    for name, account in (("first", "old"), ("second", "new")):
        uploaded(before, name, account, people(0, 2_000))
    assert state(gateway, "second") is AWAITING_LINK
    after = {"officer": Appointment(Office.OFFICER), "otto": Appointment(Office.OFFICER)}
    later = replace(gateway, settings=gateway.settings.model_copy(update={"principals": after}))
    with pytest.raises(PermissionDenied):
        populations.distinguish(later, call(OFFICER), "second", reason="other people")
    populations.distinguish(later, call(Principal("otto", Office.OFFICER)), "second", reason="other people")


def test_rows_that_were_deleted_get_no_fresh_budget(first: Gateway) -> None:
    erasure.delete(first, call(STEWARD), "first")
    assert not (first.settings.rows / "first").exists()
    assert uploaded(first, "again", "new", people(0, 2_000)).dataset.state is AWAITING_LINK
    populations.link(first, call(STEWARD), "again")
    assert ingested(first, "again").dataset.account == "old"


def test_of_two_uploads_at_a_time_the_second_waits(gateway: Gateway, tmp_path: Path) -> None:
    for name in ("one", "two"):
        declared(gateway, name, name)
        sent(gateway, name, people(0, 2_000))
    with gateway.store.begin() as tx:
        before = populations.known(tx, tx.datasets.get("two"))
    assert ingested(gateway, "one").dataset.state is READY
    found = {"rows": 2_000, "units": 2_000, "fingerprint": "0" * 64, "overlaps": []}
    gateway.leases.own(_lease(gateway, "two"), since=gateway.leases.monotonic())
    assert not ingestion._settle(gateway, "two", found=found, folder=tmp_path, known=before)
    gateway.leases.release(gateway.store, ingestion.ingest_job("two"))
    assert state(gateway, "two") is INGESTING
    assert ingested(gateway, "two").dataset.state is AWAITING_LINK


def _lease(gateway: Gateway, name: str) -> Lease:
    with gateway.store.begin() as tx:
        lease = gateway.leases.take(tx, ingestion.ingest_job(name))
    assert lease is not None
    return lease


def test_a_lost_key_stops_every_upload_of_its_tenant(first: Gateway) -> None:
    (first.settings.keys / "tenant-main.key").unlink()
    declared(first, "second", "new")
    with pytest.raises(InternalError, match="restore it from its copy"):
        sent(first, "second", people(5_000, 7_000))
    assert state(first, "second") is DatasetState.CREATED
    assert not (first.settings.keys / "tenant-main.key").exists()
