"""Laws of derived releases in one process: of what they come, who may have them, what they cost and when they end.

The source is put to RELEASED as the pipeline does it; its model is two columns by hand: sex is always f, ages are even.
"""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from dp_models.base import Plan
from dp_models.encoding.binning import Binning, Columns
from dp_models.encoding.table import replicates_schema
from dp_models.engines.independent import IndependentModel
from dp_models.stored.registry import dump
from dp_models.tables.bought import Bought, OneWay
from server import erasure, releases
from server.artifacts import name_of
from server.attempts import advance, at_rest_afterwards, kept
from server.attestation import statement
from server.catalog.base import ReleaseRecord
from server.derived import create, run_derived
from server.gateway import Call, Gateway
from server.identity import Office, Principal
from server.publication import publish
from server.queue import Queue
from server.recovery import recover
from server.releases import move
from synthgate.derivation import Condition, Derivation
from synthgate.errors import InvalidArgument, NotFound, RequestIdReused, TooLarge, WrongState
from synthgate.release import ReleaseState
from tests.server.composed import ANALYST, DOMAIN, SIZES, STEWARD, TICK_S, Clock, asked, call, leased, registered

OTHER = Principal("other", Office.ANALYST)


def model() -> IndependentModel:
    codec = Binning(DOMAIN, 2).codec
    even = np.ones(100) / 100
    tables = (np.append(even, 0.0), np.array([1.0, 0.0, 0.0]), np.array([0.5, 0.5, 0.0]))
    noisy = tuple((OneWay(np.arange(len(t)), t * 4_800),) for t in tables)
    groups = tuple(np.arange(len(t)) for t in tables)
    bought = Bought(one_way=noisy, sigma=5.0, groups=groups, tables=(), rows=4_800, max_rows=1)
    return IndependentModel(Columns(codec, tables, (None, None, None)), tables, bought)


@pytest.fixture
def source(gateway: Gateway, clock: Clock) -> str:
    """A RELEASED release of the analyst, published."""
    record = registered(gateway)
    clock.seconds = TICK_S
    release = asked(gateway)
    with gateway.store.begin() as tx:
        tx.ledger.commit(release, by="gateway")
        found = move(gateway, tx, tx.releases.get(release), ReleaseState.TRAINING)
        found = move(gateway, tx, found, ReleaseState.EVALUATING, rows=SIZES.rows)
        claim = statement(Plan.from_json(found.plan), record, found, noise=(), weaknesses=())
        content = dump(model())
        assert content is not None
        kept = {"data": gateway.artifacts.put(b"PAR1"), "model": gateway.artifacts.put(content)}
        publish(gateway, tx, replace(found, statement=claim.to_dict(), artifacts=kept))
    clock.seconds = 2 * TICK_S + 1
    return release


def derive(gateway: Gateway, source: str, who: Principal = ANALYST, **asked: Any) -> ReleaseRecord:
    conditions = tuple(Condition(column=c, value=v) for c, v in asked.pop("conditions", {}).items())
    return create(gateway, call(who), Derivation(source=source, conditions=conditions, **asked))


def ran(gateway: Gateway, record: ReleaseRecord) -> ReleaseRecord:
    """The release after its job, in a process of its own as ever."""
    leased(gateway, record.release.id)
    run_derived(gateway, record.release.id)
    return stored(gateway, record.release.id)


def stored(gateway: Gateway, release: str) -> ReleaseRecord:
    with gateway.store.begin() as tx:
        return tx.releases.get(release)


def test_a_derived_release_comes_to_rest_without_ledger_verdict_or_row(gateway: Gateway, source: str) -> None:
    with gateway.store.begin() as tx:
        before = (tx.ledger.entries(), tx.releases.verdicts("people"))
    made = derive(gateway, source, conditions={"age": "30..39"}, rows=500)
    assert (made.release.epsilon, made.release.share_ppm, made.verdict_number) == (0.0, 0, 0)
    done = ran(gateway, made)
    assert done.release.state is ReleaseState.RELEASED, done.failure
    with gateway.store.begin() as tx:
        assert (tx.ledger.entries(), tx.releases.verdicts("people")) == before
    with gateway.artifacts.open(done.artifacts["data"]) as file:
        table = pq.read_table(file)
    assert np.bincount(table["age"].to_numpy(), minlength=100)[30:40].tolist() == [50] * 10
    assert set(table["sex"].to_pylist()) == {"f"}
    assert set(done.artifacts) == {"data", "attestation"}
    assert not list(gateway.settings.work.glob("*"))
    assert not gateway.settings.rows.exists()


def test_replicates_are_one_attested_table_with_a_number_a_row(gateway: Gateway, source: str) -> None:
    done = ran(gateway, derive(gateway, source, replicates=3, rows=2_000))
    assert done.release.state is ReleaseState.RELEASED, done.failure
    assert (done.release.rows, set(done.artifacts)) == (6_000, {"data", "attestation"})
    assert "posterior" in done.sampling
    with gateway.artifacts.open(done.artifacts["data"]) as file:
        table = pq.read_table(file)
    assert table.schema.equals(replicates_schema(DOMAIN))
    assert np.bincount(table["_replicate"].to_numpy()).tolist() == [0, 2_000, 2_000, 2_000]
    ages = [table.filter(pc.equal(table["_replicate"], i))["age"].to_pylist() for i in (1, 2, 3)]
    assert ages[0] != ages[1] != ages[2]


def test_all_replicates_together_have_at_most_ten_times_the_rows(gateway: Gateway, source: str) -> None:
    made = derive(gateway, source, replicates=10)
    assert made.release.derivation is not None and made.release.derivation.rows == SIZES.rows
    derive(gateway, source, replicates=100, rows=600)
    for faulty in ({"replicates": 11}, {"replicates": 100, "rows": 601}):
        with pytest.raises(InvalidArgument, match="10 times the source's in all"):
            derive(gateway, source, **faulty)


def test_rows_default_to_the_sources_and_go_to_ten_times_that(gateway: Gateway, source: str) -> None:
    asked_of = derive(gateway, source).release.derivation
    assert asked_of is not None and asked_of.rows == SIZES.rows
    derive(gateway, source, rows=10 * SIZES.rows)
    with pytest.raises(InvalidArgument, match="60,000"):
        derive(gateway, source, rows=10 * SIZES.rows + 1)


def test_what_the_model_cannot_give_fails_in_public_words(gateway: Gateway, source: str, clock: Clock) -> None:
    done = ran(gateway, derive(gateway, source, conditions={"sex": "m"}))
    assert (done.release.state, set(done.artifacts)) == (ReleaseState.FAILED, set())
    shown = releases.read(gateway, ANALYST, done.release.id).release
    assert (shown.state, shown.stage) == (ReleaseState.PENDING, ""), "published on the tick"
    clock.seconds += TICK_S
    shown = releases.read(gateway, ANALYST, done.release.id).release
    assert shown.state is ReleaseState.CLOSED
    assert "conditions on sex no probability" in shown.stage


def test_why_a_charged_release_failed_stays_hidden(gateway: Gateway, source: str, clock: Clock) -> None:
    """The negative control of the test above: of those, why is what rows may have had a part in."""
    failed = asked(gateway)
    with gateway.store.begin() as tx:
        move(gateway, tx, tx.releases.get(failed), ReleaseState.FAILED, failure="the job stopped unexpectedly")
    clock.seconds += TICK_S
    assert releases.read(gateway, ANALYST, failed).release.stage == ""


def test_to_an_analyst_the_source_is_released_from_its_tick_on(gateway: Gateway, source: str, clock: Clock) -> None:
    clock.seconds = TICK_S + 0.001
    with gateway.store.begin() as tx:
        record = tx.releases.get(source)
        late = replace(record, release=replace(record.release, updated_at=gateway.now()))
        tx.releases.replace(late, expected=ReleaseState.RELEASED)
    with pytest.raises(WrongState, match="is PENDING"):
        derive(gateway, source)
    assert derive(gateway, source, STEWARD).release.requested_by == "steward"


@pytest.mark.parametrize("hidden", ["r-0000000000000000", None])
def test_absent_and_forbidden_sources_look_the_same(gateway: Gateway, source: str, hidden: str | None) -> None:
    name = hidden or source
    with pytest.raises(NotFound, match=f"^there is no release '{name}'$"):
        derive(gateway, name, OTHER)


@pytest.mark.parametrize("state", [ReleaseState.PENDING, ReleaseState.FAILED, ReleaseState.CANCELLED])
def test_nothing_comes_of_a_release_that_is_not_released(
    gateway: Gateway, source: str, clock: Clock, state: ReleaseState
) -> None:
    other = asked(gateway)
    if state is not ReleaseState.PENDING:
        with gateway.store.begin() as tx:
            move(gateway, tx, tx.releases.get(other), state)
    clock.seconds += TICK_S
    with pytest.raises(WrongState, match="derive from one that is RELEASED"):
        derive(gateway, other)


def revoke(gateway: Gateway, source: str) -> None:
    with gateway.store.begin() as tx:
        move(gateway, tx, tx.releases.get(source), ReleaseState.REVOKED)


def test_nothing_new_comes_of_a_revoked_source(gateway: Gateway, source: str, clock: Clock) -> None:
    waiting = derive(gateway, source)
    revoke(gateway, source)
    clock.seconds += TICK_S
    with pytest.raises(WrongState):
        derive(gateway, source)
    done = ran(gateway, waiting)
    assert done.release.state is ReleaseState.FAILED
    assert "REVOKED; nothing is derived" in done.failure


def test_a_source_that_is_revoked_while_it_is_sampled_is_not_derived_from(gateway: Gateway, source: str) -> None:
    waiting = derive(gateway, source, rows=10)
    revoked: list[str] = []

    def revoke_once(_name: str) -> None:
        if gateway.news.stages.get(waiting.release.id) == "sampling" and not revoked:
            revoked.append(source)
            revoke(gateway, source)

    with gateway.news.listening(waiting.release.id, revoke_once):
        done = ran(gateway, waiting)
    assert (revoked, done.release.state) == ([source], ReleaseState.FAILED)
    data = [d for d in gateway.artifacts.digests() if d not in stored(gateway, source).artifacts.values()]
    assert data == []


def twin(gateway: Gateway, source: str) -> bool:
    """Two samples of the same bytes: the first is revoked while the second is stored. Whether the second is there."""
    ends = [derive(gateway, source, rows=10), derive(gateway, source, rows=10)]
    first, second = (end.release.id for end in ends)
    path = gateway.settings.state / "same"
    path.write_bytes(b"PAR1 the same")
    made = {"sha256": name_of(path), "bytes": 13, "rows": 10}
    for release in (first, second):
        leased(gateway, release)
        with at_rest_afterwards(gateway, release):
            record = advance(gateway, stored(gateway, release), ReleaseState.SAMPLING)
            with kept(gateway, record, made, {"data": path}) as record:
                if release == second:
                    revoke(gateway, first)
                    releases.destroy_data(gateway, stored(gateway, first))
                with gateway.store.begin() as tx:
                    publish(gateway, tx, record)
    assert stored(gateway, second).release.state is ReleaseState.RELEASED
    return name_of(path) in gateway.artifacts.digests()


def test_a_twin_that_is_revoked_leaves_what_is_being_stored(gateway: Gateway, source: str) -> None:
    assert twin(gateway, source)


def test_counting_only_what_is_at_rest_is_convicted(
    gateway: Gateway, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "NEEDING", (ReleaseState.RELEASED, ReleaseState.AWAITING_APPROVAL))
    assert not twin(gateway, source)


def test_what_was_held_and_never_stored_is_held_no_more(gateway: Gateway, source: str, tmp_path: Path) -> None:
    """The second fails: what it held of the first, which was revoked meanwhile, goes with it."""
    waiting = derive(gateway, source, rows=10).release.id
    path = tmp_path / "same"
    path.write_bytes(b"PAR1 the same")
    made = {"sha256": name_of(path), "bytes": 13, "rows": 10}
    leased(gateway, waiting)
    with at_rest_afterwards(gateway, waiting):
        record = advance(gateway, stored(gateway, waiting), ReleaseState.SAMPLING)
        with kept(gateway, record, made, {"data": path}):
            raise WrongState("it fails")
    assert stored(gateway, waiting).release.state is ReleaseState.FAILED
    assert name_of(path) not in gateway.artifacts.digests()


def test_a_derived_release_is_no_source(gateway: Gateway, source: str) -> None:
    made = derive(gateway, source)
    with pytest.raises(InvalidArgument, match=f"derive from its source '{source}'"):
        derive(gateway, made.release.id)


def test_deletion_destroys_the_model_and_stops_what_waits(gateway: Gateway, source: str) -> None:
    waiting = derive(gateway, source)
    artifacts = stored(gateway, source).artifacts
    erasure.delete(gateway, call(STEWARD), "table")
    assert stored(gateway, waiting.release.id).release.state is ReleaseState.CANCELLED
    assert set(gateway.artifacts.digests()) == {artifacts["data"], artifacts["attestation"]}
    with pytest.raises(WrongState, match="the model with it"):
        derive(gateway, source)


def test_sample_and_model_go_together_unless_they_are_served(gateway: Gateway, source: str) -> None:
    """What rejection, failure and cancellation do."""
    served = stored(gateway, source)
    waiting = stored(gateway, asked(gateway))
    own = {"data": gateway.artifacts.put(b"PAR1 own"), "model": gateway.artifacts.put(b"own")}
    releases.destroy_data(gateway, replace(waiting, artifacts={**own, "report_json": gateway.artifacts.put(b"report")}))
    assert not set(own.values()) & set(gateway.artifacts.digests())
    releases.destroy_data(gateway, replace(waiting, artifacts=served.artifacts))
    assert set(served.artifacts.values()) < set(gateway.artifacts.digests())


def test_cancelling_voids_nothing(gateway: Gateway, source: str) -> None:
    waiting = derive(gateway, source)
    with gateway.store.begin() as tx:
        before = tx.ledger.entries()
    assert releases.cancel(gateway, call(ANALYST), waiting.release.id)
    with gateway.store.begin() as tx:
        assert tx.ledger.entries() == before
    assert stored(gateway, waiting.release.id).release.state is ReleaseState.CANCELLED


def test_a_restart_keeps_what_waits_and_closes_what_was_sampled(gateway: Gateway, source: str) -> None:
    waiting, sampled = derive(gateway, source), derive(gateway, source)
    with gateway.store.begin() as tx:
        move(gateway, tx, tx.releases.get(sampled.release.id), ReleaseState.SAMPLING)
    assert recover(gateway) == (sampled.release.id,)
    assert stored(gateway, waiting.release.id).release.state is ReleaseState.PENDING
    assert stored(gateway, source).artifacts["model"] in gateway.artifacts.digests()


def test_derived_releases_start_on_a_tick_alone(gateway: Gateway, source: str, clock: Clock) -> None:
    """When the one slot is free tells how long somebody's fit took."""
    started: list[str] = []
    queue = Queue(gateway, start=lambda job, name: started.append(name))
    waiting = derive(gateway, source).release.id
    for clock.seconds in (2 * TICK_S + 2, 3 * TICK_S - 0.001):
        queue.take()
        assert started == []
    clock.seconds = 3 * TICK_S
    queue.take()
    assert started == [waiting]


def test_a_request_id_answers_once(gateway: Gateway, source: str) -> None:
    first = Call(ANALYST, "CreateRelease", "same", hashlib.sha256(b"a").hexdigest())
    made = [create(gateway, first, Derivation(source=source)).release.id for _ in range(2)]
    assert made[0] == made[1]
    with pytest.raises(RequestIdReused):
        create(gateway, replace(first, payload="b"), Derivation(source=source, rows=7))


def test_one_source_has_so_many_derived_releases(gateway: Gateway, source: str) -> None:
    few = replace(gateway, settings=gateway.settings.model_copy(update={"derived_releases": 2}))
    kept = [derive(few, source) for _ in range(2)]
    with pytest.raises(TooLarge, match="at most 2"):
        derive(few, source)
    releases.cancel(gateway, call(ANALYST), kept[0].release.id)
    assert derive(few, source)


def test_a_stored_model_that_changed_is_not_sampled(gateway: Gateway, source: str) -> None:
    waiting = derive(gateway, source)
    path = gateway.settings.artifacts / stored(gateway, source).artifacts["model"]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert ran(gateway, waiting).release.state is ReleaseState.FAILED
