"""A gate that can say no: engines that copy, forge or swerve, installed as plug-ins and certified by the operator."""

from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from synthgate.errors import EngineNotCertified, FailedPrecondition, SynthgateError
from synthgate.release import Release, ReleaseState
from synthgate.statement import Scope
from synthgate.verify import verify
from tests.e2e.calls import RPCS
from tests.e2e.people import LENIENT, STRICT
from tests.e2e.process import ROLES, WORDS, Served


@pytest.fixture(scope="session")
def judged(served: Served) -> str:
    """5,000 people under the default's thresholds, on an account that holds many releases."""
    return served.dataset("judged", rows=5_000, policy=STRICT, cap=20.0)


@pytest.fixture(scope="session")
def small(served: Served) -> str:
    return served.dataset("small", cap=20.0)


def answers(served: Served, release: str) -> dict[tuple[str, str], bytes]:
    """What every RPC answers to every role that asks for a release; refusals are not in it."""
    found = {}
    for rpc in RPCS:
        for role in ROLES:
            try:
                answer = getattr(getattr(served, rpc.service), rpc.name)(
                    rpc.request(release, "no-such-dataset"), metadata=served.token(role), timeout=30
                )
                parts = list(answer) if hasattr(answer, "__next__") else [answer]
            except grpc.RpcError:
                continue
            found[rpc.name, role] = b"".join(part.SerializeToString() for part in parts)
    return found


@pytest.mark.parametrize(
    ("engine", "reasons"),
    [
        ("copycat-tenth", {"risk.copies ABOVE_THRESHOLD"}),
        ("copycat-all", {"risk.copies ABOVE_THRESHOLD", "risk.inference.visits ABOVE_THRESHOLD"}),
    ],
)
def test_copied_rows_are_rejected_and_out_of_everyones_reach(
    served: Served, judged: str, engine: str, reasons: set[str]
) -> None:
    stored, charged = served.parquet_on_disk(), served.balance(judged).balance.committed.epsilon
    asked = served.analyst.create_release(judged, epsilon=1.0, engine=engine)
    release = served.ended(asked)
    assert release.state is ReleaseState.REJECTED
    assert reasons <= set(release.reasons)
    assert (release.sha256, release.bytes, release.rows) == ("", 0, 0)
    assert served.balance(judged).balance.committed.epsilon == charged + 10**9
    assert served.parquet_on_disk() == stored
    found = answers(served, asked.id)
    assert not {name for name, _ in found} & {"DownloadRelease", "GetAttestation"}
    assert {role for name, role in found if name == "GetReport"} == {"steward", "officer"}
    assert not [who for who, content in found.items() if b"PAR1" in content]
    assert tuple(served.analyst.watch(asked.id))[-1].state is ReleaseState.CLOSED


def test_fresh_rows_in_their_place_are_released(served: Served, judged: str, tmp_path: Path) -> None:
    asked = served.analyst.create_release(judged, epsilon=1.0, engine="fresh")
    assert served.ended(asked).state is ReleaseState.RELEASED
    assert tuple(served.analyst.watch(asked.id))[-1].state is ReleaseState.RELEASED
    file = served.analyst.download(asked.id, tmp_path / "release.parquet")
    signed = served.analyst.attestation(asked.id)
    assert verify(file, signed.envelope, signed.public_key).engine == "fresh"


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("renamed", "other columns or types"),
        ("undeclared", "cells in age that the domain does not allow"),
        ("short", "1499 rows where 1500 were asked for"),
        ("swerving", "other mechanisms than its plan priced"),
        ("talkative", "the job stopped unexpectedly"),
    ],
)
def test_an_engine_that_breaks_its_word_fails_and_its_charge_stays(
    served: Served, small: str, engine: str, told: str
) -> None:
    stored, before = served.parquet_on_disk(), served.balance(small).balance.committed.epsilon
    asked = served.analyst.create_release(small, epsilon=1.0, engine=engine)
    release = served.ended(asked)
    assert release.state is ReleaseState.FAILED
    assert told in release.stage
    assert WORDS not in release.stage
    assert served.balance(small).balance.committed.epsilon == before + 10**9
    assert served.parquet_on_disk() == stored
    assert WORDS not in served.log.read_text()


def test_an_analyst_cannot_tell_what_closed_a_release(served: Served, judged: str, small: str) -> None:
    """Rejected by the gate, failed in the worker, cancelled on request: the same but for what was asked."""
    for dataset, engine in ((judged, "copycat-all"), (small, "short")):
        if not served.analyst.releases(dataset):  # else the tests above have left some
            tuple(served.analyst.watch(served.analyst.create_release(dataset, epsilon=1.0, engine=engine).id))
    cancelled = served.steward.create_release(small, epsilon=1.0, engine="stalling")
    served.until(cancelled, "fitting")
    mine = served.analyst.create_release(small, epsilon=1.0, engine="short")
    served.analyst.cancel(mine.id)
    served.steward.cancel(cancelled.id)
    served.ended(cancelled)
    tuple(served.analyst.watch(mine.id))
    found = [*served.analyst.releases(judged), *served.analyst.releases(small)]
    closed = [r for r in found if r.state is ReleaseState.CLOSED]
    states = {served.steward.release(r.id).state for r in closed}
    assert {ReleaseState.REJECTED, ReleaseState.FAILED, ReleaseState.CANCELLED} <= states
    assert len({_without_the_question(r) for r in closed}) == 1
    assert cancelled.id not in {r.id for r in found}


def _without_the_question(release: Release) -> Release:
    epoch = release.created_at.replace(year=2000, month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    return replace(
        release, id="", dataset="", account="", engine="", because="", share_ppm=0, created_at=epoch, updated_at=epoch,
        policy="", policy_version=0, policy_digest="",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("overspending", "planned to spend more than was asked"),
        ("discounting", "did not plan what was asked"),
        ("resizing", "did not plan what was asked"),
    ],
)
def test_a_plan_for_more_than_was_asked_is_refused_free_of_charge(
    served: Served, small: str, engine: str, told: str
) -> None:
    before = served.steward.entries(small)
    for act in (served.analyst.create_release, served.analyst.quote_release):
        with pytest.raises(FailedPrecondition, match=told):
            act(small, epsilon=1.0, engine=engine)
    assert served.steward.entries(small) == before


def test_an_engine_off_the_operators_list_is_refused_free_of_charge(served: Served, small: str) -> None:
    before = served.steward.entries(small)
    with pytest.raises(EngineNotCertified, match="tree") as caught:
        served.analyst.create_release(small, epsilon=1.0, engine="uncertified")
    assert caught.value.reason == "ENGINE_NOT_CERTIFIED"
    assert served.steward.entries(small) == before
    assert "not certified" in served.analyst.quote_release(small, epsilon=1.0, engine="uncertified").refusals[0]


def test_a_sandbox_lets_it_run_and_says_that_nothing_is_guaranteed(served: Served, tmp_path: Path) -> None:
    strict = served.dataset("sandbox-strict", sandbox=True, rows=300)
    with pytest.raises(EngineNotCertified, match="certified_only"):
        served.analyst.create_release(strict, epsilon=1.0, engine="uncertified")
    name = served.dataset("sandbox", sandbox=True, policy=replace(LENIENT, certified_only=False))
    asked = served.analyst.create_release(name, epsilon=1.0, engine="uncertified")
    assert served.ended(asked).state is ReleaseState.RELEASED
    assert tuple(served.analyst.watch(asked.id))[-1].state is ReleaseState.RELEASED
    signed = served.analyst.attestation(asked.id)
    found = verify(served.analyst.download(asked.id, tmp_path / "r.parquet"), signed.envelope, signed.public_key)
    assert (found.guarantee, found.statement.scope) == ("none", Scope.NONE)
    assert any("no privacy guarantee" in sentence for sentence in found.statement.not_covered)


def test_an_engine_that_bursts_while_planning_tells_nobody_why(served: Served, small: str) -> None:
    before = served.steward.entries(small)
    with pytest.raises(SynthgateError) as caught:
        served.analyst.create_release(small, epsilon=1.0, engine="bursting")
    assert caught.value.reason == "INTERNAL"
    assert WORDS not in caught.value.message
    assert caught.value.facts["incident"] in caught.value.message
    assert caught.value.facts["incident"] in served.log.read_text()
    assert served.steward.entries(small) == before
