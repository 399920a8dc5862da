"""Derived samples over real gRPC: asked of a released model, free, exact, attested as what they are."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dp_models.encoding.table import arrow_schema
from synthgate.attestation import NO_VERDICT, Derived
from synthgate.cli.main import app
from synthgate.errors import InvalidArgument, NotFound, PermissionDenied, WrongState
from synthgate.inference import Estimate, combine, rows_ratio
from synthgate.release import Release, ReleaseState
from synthgate.v1 import release_service_pb2 as pb
from synthgate.verify import verify, verify_envelope
from tests.e2e.people import DOMAIN, LENIENT
from tests.e2e.process import Served

ROWS = 600


@pytest.fixture(scope="module")
def source(served: Served) -> Release:
    """A release of the analyst whose model is stored."""
    name = served.dataset("derived", rows=ROWS, cap=10.0)
    asked = served.analyst.create_release(name, epsilon=3.0, engine="tree")
    released = tuple(served.analyst.watch(asked.id))[-1]
    assert released.state is ReleaseState.RELEASED
    return released


@pytest.fixture(scope="module")
def derived(served: Served, source: Release) -> str:
    """What the analyst asked of it on the command line, once it is published; its account has not moved."""
    before = (served.balance("derived"), served.steward.entries("derived"))
    given = ["--condition", "age=30..39", "--condition", "region=north", "--rebalance", "smoker"]
    given += ["--share", "true=0.25", "--share", "false=0.75", "--rows", "3x", "--wait", "--json"]
    words = ["--state", str(served.state), "--role", "analyst", "release", "create", "--from", source.id, *given]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["state"], found["epsilon"], found["share_ppm"], found["engine"]) == ("RELEASED", 0.0, 0, "tree")
    assert (served.balance("derived"), served.steward.entries("derived")) == before
    return str(found["id"])


def test_a_derived_release_is_what_was_asked(served: Served, derived: str, tmp_path: Path) -> None:
    stages = tuple(served.steward.watch(derived))
    seen = tuple(served.analyst.watch(derived))
    assert [s.state for s in (*stages, *seen)] == [ReleaseState.RELEASED] * 2
    table = pq.read_table(served.analyst.download(derived, tmp_path / "derived.parquet"))
    assert table.schema.equals(arrow_schema(DOMAIN), check_metadata=True)
    assert table.num_rows == seen[0].rows == 3_000
    assert set(table["age"].unique().to_pylist()) <= set(range(30, 40))  # noise may leave an age without rows
    assert table["region"].unique().to_pylist() == ["north"]
    assert pc.sum(table["smoker"]).as_py() == 750


def test_the_attestation_says_that_it_is_derived_and_of_what(
    served: Served, source: Release, derived: str, tmp_path: Path
) -> None:
    signed, of_source = served.analyst.attestation(derived), served.analyst.attestation(source.id)
    file = served.analyst.download(derived, tmp_path / "derived.parquet")
    found = verify(file, signed.envelope, signed.public_key)
    canonical = verify_envelope(of_source.envelope, signed.public_key)
    assert isinstance(found.origin, Derived)
    assert found.origin.derivation == served.analyst.release(derived).derivation
    assert (found.origin.derivation.source, found.origin.derivation.rows) == (source.id, 3_000)
    assert found.origin.attestation == hashlib.sha256(of_source.envelope).hexdigest()
    assert found.statement == canonical.statement
    predicate = found.to_statement()["predicate"]
    assert predicate["verdict"] == NO_VERDICT
    assert not {"policy", "ledger"} & set(predicate)

    (tmp_path / "a.json").write_bytes(signed.envelope)
    (tmp_path / "key.pub").write_bytes(signed.public_key)
    words = ["verify", str(file), str(tmp_path / "a.json"), "--key", str(tmp_path / "key.pub")]
    shown = CliRunner().invoke(app, words, env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    for text in (
        source.id,
        "age=30..39 and region=north",
        "true 0.25",
        NO_VERDICT,
        "post-processing",
        "in closed form",
    ):
        assert text in shown.output


def test_replicates_are_asked_for_fetched_verified_and_combined(
    served: Served, source: Release, tmp_path: Path
) -> None:
    words = ["--state", str(served.state), "--role", "analyst", "release", "create", "--from", source.id]
    done = CliRunner().invoke(app, [*words, "--replicates", "10", "--wait", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["rows"], found["share_ppm"], found["derivation"]["replicates"]) == (10 * source.rows, 0, 10)
    file = served.analyst.download(found["id"], tmp_path / "replicates.parquet")
    signed = served.analyst.attestation(found["id"])
    attested = verify(file, signed.envelope, signed.public_key)
    assert isinstance(attested.origin, Derived)
    assert attested.origin.derivation.replicates == 10
    ages = pq.read_table(file).to_pandas().groupby("_replicate")["age"]
    combined = combine(
        (Estimate(float(a.mean()), float(a.var() / len(a))) for _, a in ages), rows_ratio=rows_ratio(attested)
    )
    assert combined.replicates == 10
    low, high = combined.interval(0.9)
    assert low < combined.value < high

    for release, words in ((source.id, "passed the rules of policy"), (found["id"], f"model of release {source.id}")):
        out = tmp_path / f"{release}.html"
        given = ["--state", str(served.state), "--role", "analyst", "release", "summary", release, "-o", str(out)]
        made = CliRunner().invoke(app, given)
        assert made.exit_code == 0, made.output
        assert words in out.read_text()

    csv = served.analyst.download(found["id"], tmp_path / "replicates.csv").read_text().splitlines()
    assert csv[0].startswith('"_replicate","age"')
    assert len(csv) == 1 + 10 * source.rows


@pytest.mark.parametrize("role", ["officer", "auditor"])
def test_who_may_not_create_may_not_derive(served: Served, source: Release, role: str) -> None:
    with pytest.raises(PermissionDenied):
        getattr(served, role).derive_release(source.id)


@pytest.mark.parametrize(
    "field", [{"epsilon": 1.0}, {"engine": "tree"}, {"dataset": "derived"}, {"delta": 1e-8}], ids=str
)
def test_what_only_a_charged_release_has_is_refused(served: Served, source: Release, field: dict[str, object]) -> None:
    request = pb.CreateReleaseRequest(request_id="x", derivation=pb.Derivation(source=source.id), **field)
    assert type(served.fault(served.releases.CreateRelease, request, role="analyst")) is InvalidArgument


@pytest.mark.slow
def test_who_may_see_the_source_may_derive_from_it_and_nobody_else(served: Served, source: Release) -> None:
    of_steward = served.steward.create_release("derived", epsilon=0.2, engine="independent")
    assert served.ended(of_steward).state is ReleaseState.RELEASED
    for hidden in (of_steward.id, "r-0000000000000000"):
        with pytest.raises(NotFound, match=f"there is no release '{hidden}'"):
            served.analyst.derive_release(hidden)
    by_steward = served.steward.derive_release(source.id, rows=10)
    assert served.ended(by_steward).state is ReleaseState.RELEASED
    with pytest.raises(NotFound):
        served.analyst.release(by_steward.id)


@pytest.mark.slow
def test_only_released_releases_of_a_stored_model_are_sources(served: Served, source: Release) -> None:
    derived = served.analyst.derive_release(source.id, rows=10)
    assert served.ended(derived).state is ReleaseState.RELEASED
    tuple(served.analyst.watch(derived.id))
    with pytest.raises(InvalidArgument, match=f"derive from its source '{source.id}'"):
        served.analyst.derive_release(derived.id)
    foreign = served.analyst.create_release("derived", epsilon=0.1, engine="fresh")
    with pytest.raises(WrongState, match="PENDING"):
        served.analyst.derive_release(foreign.id)
    assert served.ended(foreign).state is ReleaseState.RELEASED
    tuple(served.analyst.watch(foreign.id))
    with pytest.raises(WrongState, match="engine fresh has none"):
        served.analyst.derive_release(foreign.id)


@pytest.mark.slow
def test_a_model_goes_with_what_it_was_made_of(served: Served, tmp_path: Path) -> None:
    """Rejection and deletion destroy it; what was derived before stays."""
    name = served.dataset("derived-gone", rows=300, policy=replace(LENIENT, name="two", approvals=1))
    rejected, approved = (served.analyst.create_release(name, epsilon=0.5, engine="independent") for _ in range(2))
    for asked in (rejected, approved):
        assert served.until(asked, ReleaseState.AWAITING_APPROVAL).state is ReleaseState.AWAITING_APPROVAL
    named = [r.binding.model for r in served.steward.releases() if r.dataset == name and r.binding is not None]

    def stored() -> int:
        return sum((served.state / "artifacts" / model).exists() for model in named)

    assert stored() == len(set(named)) == 2
    served.officer.reject(rejected.id, reason="no")
    assert stored() == 1
    served.approve(approved, reason="looked")
    tuple(served.analyst.watch(approved.id))
    derived = served.analyst.derive_release(approved.id, rows=10)
    assert served.ended(derived).state is ReleaseState.RELEASED
    served.steward.delete_dataset(name)
    assert stored() == 0
    with pytest.raises(WrongState, match="was deleted, and the model with it"):
        served.analyst.derive_release(approved.id)
    tuple(served.analyst.watch(derived.id))
    assert served.analyst.download(derived.id, tmp_path / "derived.parquet").exists()
