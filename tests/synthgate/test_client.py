"""The client against real gRPC: values in and out, errors as they were raised, retries that act once."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gateway_fake import BINDING

import synthgate
from synthgate import Client, Retry, errors
from synthgate.client.faults import BY_STATUS, error_of
from synthgate.dataset import DatasetState, PrivacyUnit, PublicSizes
from synthgate.domain import Column, Domain, Kind
from synthgate.policy import DEFAULT_POLICY
from synthgate.release import ReleaseState
from synthgate.report import ReportForm
from synthgate.schema import Declaration
from synthgate.v1 import audit_service_pb2, dataset_service_pb2, ledger_service_pb2, release_service_pb2

DECLARATION = Declaration(
    domain=Domain(columns=(Column(name="a", kind=Kind.INTEGER, low=0, high=9),)),
    unit=PrivacyUnit(column="who", max_rows=1),
    sizes=PublicSizes(rows=2, units=2),
)
METHODS = {
    "CreateDataset": "create_dataset", "GetDataset": "dataset", "ListDatasets": "datasets",
    "DeleteDataset": "delete_dataset", "LinkDataset": "link_dataset", "UploadRows": "upload", "GetUpload": "upload",
    "CreateRelease": "create_release", "QuoteRelease": "quote_release", "GetRelease": "release",
    "ListReleases": "releases", "WatchRelease": "watch", "CancelRelease": "cancel", "DownloadRelease": "download",
    "GetReport": "report", "GetAttestation": "attestation", "ApproveRelease": "approve", "RejectRelease": "reject",
    "RevokeRelease": "revoke", "GetRevocations": "revocations",
    "OpenAccount": "open_account", "AmendAccount": "amend_account", "ListAccounts": "accounts",
    "GetBalance": "balance", "ListEntries": "entries",
    "ListAuditRecords": "audit_records", "GetCheckpoint": "checkpoint",
}  # fmt: skip

PUBLIC_NAMES = """
Account AccountView Attestation Balance Charge Client Column Condition DEFAULT_POLICY Dataset DatasetState DatasetView
Derivation Domain DpEvent Entry Kind Policy PrivacyBudget PrivacyStatement PrivacyUnit PublicSizes Quote Rebalance
Release ReleaseState Report Retry Role Rule Score Share SignedAttestation SynthgateError Verdict
""".split()  # noqa: SIM905 - as prose it can be read


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("who,a,b\n" + "".join(f"p{i},{i % 10},secret\n" for i in range(400_000)))
    return path


def test_every_rpc_has_a_method():
    files = (audit_service_pb2, dataset_service_pb2, release_service_pb2, ledger_service_pb2)
    rpcs = {m.name for f in files for s in f.DESCRIPTOR.services_by_name.values() for m in s.methods}
    assert rpcs == set(METHODS)
    assert all(callable(getattr(Client, name)) for name in METHODS.values())


def test_an_account_is_opened_amended_and_read(gateway, client):
    opened = client.open_account("people", epsilon=3.0, delta=1e-6)
    assert opened.balance.account.cap.epsilon == 3.0
    amended = client.amend_account("people", reason="board of 3 May", epsilon=4.0, verdicts_granted=2)
    assert amended.balance.account.cap.epsilon == 4.0
    assert amended.balance.account.cap.delta == 1e-6
    assert amended.balance.account.verdicts_granted == 2
    assert client.accounts() == (amended,)
    assert client.balance("people") == amended
    client.amend_account("people", reason="again")
    assert [e.sequence for e in client.entries("people")] == [1, 2, 3]
    assert gateway.calls["ListEntries"] == 2  # pages of two


def test_a_dataset_is_registered_sent_and_read(gateway, client, table):
    created = client.create_dataset("people", DECLARATION, account="acc")
    assert created.dataset.domain == DECLARATION.domain
    assert created.dataset.sizes == DECLARATION.sizes
    assert created.policy == DEFAULT_POLICY
    seen = []
    assert client.upload("people", table, progress=lambda done, total: seen.append((done, total))) == ("b",)
    assert gateway.uploads["people"]["data"].startswith(b"who,a\np0,0\n")
    assert seen[-1][0] == seen[-1][1]
    assert len(seen) > 1
    assert client.wait_ready("people").findings[0].clamped == 2
    assert [d.dataset.name for d in client.datasets()] == ["people"]
    assert client.delete_dataset("people").dataset.state is DatasetState.DELETED
    with pytest.raises(errors.WrongState):
        client.wait_ready("people")


def test_sizes_may_be_left_to_be_counted(client):
    counted = Declaration(domain=DECLARATION.domain, unit=DECLARATION.unit, sizes=None)
    assert client.create_dataset("people", counted, account="acc").dataset.sizes is None


def test_an_upload_resumes_where_it_broke_off(gateway, client, table):
    client.create_dataset("people", DECLARATION, account="acc")
    gateway.break_after = 2**20
    client.upload("people", table)
    sent = gateway.uploads["people"]["data"]
    assert (gateway.calls["UploadRows"], gateway.calls["GetUpload"]) == (2, 2)
    assert len(sent.splitlines()) == 400_001


def test_an_upload_whose_answer_was_lost_is_not_sent_again(gateway, client, table):
    client.create_dataset("people", DECLARATION, account="acc")
    client.upload("people", table)
    client.upload("people", table)
    assert gateway.calls["UploadRows"] == 1


def test_a_faulty_table_is_refused_before_anything_is_sent(gateway, client, tmp_path):
    client.create_dataset("people", DECLARATION, account="acc")
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(errors.InvalidTable, match="who"):
        client.upload("people", path)
    assert gateway.calls["UploadRows"] == 0


def test_a_release_is_quoted_made_and_watched(gateway, client):
    quote = client.quote_release("people", epsilon=1.0)
    assert (quote.after_ppm, quote.refusals) == (223_000, ())
    release = client.create_release("people", epsilon=1.0, engine="vae")
    assert (release.engine, release.delta, release.state) == ("vae", 5e-8, ReleaseState.PENDING)
    states = [r.state for r in client.watch(release.id)]
    assert states == [ReleaseState.PENDING, ReleaseState.TRAINING, ReleaseState.EVALUATING, ReleaseState.RELEASED]
    assert client.release(release.id).state is ReleaseState.RELEASED
    assert client.releases("people") == client.releases() == (client.release(release.id),)
    assert client.cancel(release.id).state is ReleaseState.CANCELLED


def test_a_watch_goes_on_after_a_restart_and_repeats_nothing(gateway, client):
    release = client.create_release("people", epsilon=1.0)
    gateway.fail("WatchRelease", grpc.StatusCode.UNAVAILABLE)
    gateway.fail("within", grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    states = [r.state for r in client.watch(release.id)]
    assert states == [ReleaseState.PENDING, ReleaseState.TRAINING, ReleaseState.EVALUATING, ReleaseState.RELEASED]


def test_a_watch_ends_at_its_limit_and_on_errors(gateway, client):
    release = client.create_release("people", epsilon=1.0)
    with pytest.raises(errors.DeadlineExceeded):
        list(client.watch(release.id, timeout_s=0.0))
    with pytest.raises(errors.NotFound):
        list(client.watch("none"))


def artifact(rows=5_000):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": list(range(rows)), "b": [None, "x"] * (rows // 2)}), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize("broken", [None, 3_000])
def test_a_download_is_whole_checked_and_in_place(gateway, client, tmp_path, broken):
    gateway.artifact, gateway.break_after = artifact(), broken
    release = client.create_release("people", epsilon=1.0)
    target = client.download(release.id, tmp_path / "release.parquet")
    assert target.read_bytes() == gateway.artifact
    assert [p.name for p in tmp_path.iterdir()] == ["release.parquet"]


def test_a_part_of_an_earlier_try_is_kept_or_thrown_away(gateway, client, tmp_path):
    gateway.artifact = artifact()
    release = client.create_release("people", epsilon=1.0)
    name = f".release.parquet.{hashlib.sha256(release.id.encode()).hexdigest()[:16]}.part"
    (tmp_path / name).write_bytes(gateway.artifact)
    assert client.download(release.id, tmp_path / "release.parquet").read_bytes() == gateway.artifact
    (tmp_path / name).write_bytes(b"x" * 2_000)
    with pytest.raises(errors.DataCorrupted):
        client.download(release.id, tmp_path / "release.parquet")
    assert client.download(release.id, tmp_path / "release.parquet").read_bytes() == gateway.artifact


def test_csv_is_made_from_the_checked_parquet(gateway, client, tmp_path):
    gateway.artifact = artifact()
    release = client.create_release("people", epsilon=1.0)
    lines = client.download(release.id, tmp_path / "release.csv").read_text().splitlines()
    assert lines[:3] == ['"a","b"', "0,", '1,"x"']
    assert [p.name for p in tmp_path.iterdir()] == ["release.csv"]


def test_a_download_needs_a_name_it_can_write(client, tmp_path):
    for path in (tmp_path / "release.xlsx", tmp_path / "none" / "release.csv"):
        with pytest.raises(errors.InvalidArgument):
            client.download("r1", path)


def test_report_attestation_and_decisions(gateway, client):
    release = client.create_release("people", epsilon=1.0)
    assert client.report(release.id)["risk.copies"].high == 0.004
    assert client.report_file(release.id) == b"<html></html>"
    assert client.report_file(release.id, form=ReportForm.DECISION) == b"<html>decide</html>"
    assert client.attestation(release.id).public_key == b"PEM"
    with pytest.raises(errors.WrongState):
        client.approve(release.id, binding=BINDING.digest, reason="fine")
    gateway.releases[release.id] = replace(gateway.releases[release.id], binding=BINDING)
    assert client.release(release.id).binding == BINDING
    assert client.approve(release.id, binding=BINDING.digest, reason="fine").approvals == ("officer",)
    assert client.reject(release.id, reason="no").state is ReleaseState.REJECTED
    assert client.revoke(release.id, reason="no more").state is ReleaseState.REVOKED
    gateway.envelope = b'{"payload": ""}'
    assert client.revocations().envelope == gateway.envelope


@pytest.mark.parametrize("kind", errors.tree().values(), ids=errors.tree().keys())
def test_every_error_comes_back_as_itself(gateway, client, kind):
    gateway.fail("GetRelease", *[kind("what to do", facts={"cap": "3"})] * 3)
    with pytest.raises(errors.SynthgateError) as caught:
        client.release("r1")
    assert type(caught.value) is kind
    assert (caught.value.message, caught.value.facts) == ("what to do", {"cap": "3"})


@pytest.mark.parametrize("code", [c for c in grpc.StatusCode if c is not grpc.StatusCode.OK])
def test_a_bare_status_maps_by_its_code(gateway, client, code):
    gateway.fail("GetRelease", *[code] * 3)
    with pytest.raises(errors.SynthgateError) as caught:
        client.release("r1")
    assert type(caught.value) is BY_STATUS.get(code, errors.InternalError)


def test_a_failure_without_a_status_is_internal():
    assert type(error_of(grpc.RpcError())) is errors.InternalError


def test_a_retry_acts_once_and_a_refusal_is_not_retried(gateway, client):
    gateway.fail("CreateRelease", grpc.StatusCode.UNAVAILABLE, errors.Unavailable("restarting"))
    client.create_release("people", epsilon=1.0)
    assert (gateway.calls["CreateRelease"], len(gateway.releases)) == (3, 1)
    gateway.fail("CreateRelease", errors.BudgetExhausted("does not fit"))
    with pytest.raises(errors.BudgetExhausted):
        client.create_release("people", epsilon=1.0)
    assert gateway.calls["CreateRelease"] == 4


def test_a_given_request_id_is_kept(gateway, client):
    first = client.create_release("people", epsilon=1.0, request_id="mine")
    assert client.create_release("people", epsilon=1.0, request_id="mine") == first
    assert len(gateway.releases) == 1


def test_every_call_has_a_deadline(gateway, client, table, tmp_path):
    gateway.artifact = artifact()
    client.create_dataset("people", DECLARATION, account="acc")
    client.upload("people", table)
    release = client.create_release("people", epsilon=1.0)
    list(client.watch(release.id))
    client.download(release.id, tmp_path / "release.csv")
    assert all(left is not None and left < 4_000 for left in gateway.deadlines.values())


def test_a_wrong_token_is_unauthenticated(gateway):
    with Client(gateway.address, "wrong") as client, pytest.raises(errors.Unauthenticated):
        client.accounts()


def test_a_state_folder_tells_where_and_who(gateway, tmp_path):
    with pytest.raises(errors.Unavailable, match="serve"):
        Client.from_state(tmp_path, "analyst")
    (tmp_path / "endpoint").write_text(gateway.address + "\n")
    with pytest.raises(errors.Unauthenticated):
        Client.from_state(tmp_path, "analyst")
    with pytest.raises(errors.InvalidArgument):
        Client.from_state(tmp_path, "../steward")
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "analyst").write_text("s3cret\n")
    with Client.from_state(tmp_path, "analyst") as client:
        assert client.accounts() == ()


def test_nobody_there_is_unavailable():
    retry = Retry(attempts=2, first_s=0.001, most_s=0.001)
    with Client("127.0.0.1:1", "s3cret", retry=retry) as client, pytest.raises(errors.Unavailable, match="running"):
        client.accounts()


@pytest.mark.parametrize(
    "address", ["10.0.0.1:80", "example.org:443", "127.0.0.1", "", "0.0.0.0:1", "localhost.evil:1"]
)
def test_only_loopback_is_spoken_to(address):
    with pytest.raises(errors.InvalidArgument):
        Client(address, "s3cret")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "[::1]:1", "localhost:1"])
def test_loopback_has_three_names(address):
    Client(address, "s3cret").close()


@pytest.mark.parametrize(
    ("token", "timeout_s"), [("", 1.0), ("a\nb", 1.0), ("é", 1.0), ("t", 0.0), ("t", float("inf"))]
)
def test_tokens_and_limits_are_checked(token, timeout_s):
    with pytest.raises(errors.InvalidArgument):
        Client("127.0.0.1:1", token, timeout_s=timeout_s)


def test_the_public_names_are_these():
    assert sorted(synthgate.__all__) == PUBLIC_NAMES
    assert all(getattr(synthgate, name) for name in synthgate.__all__)
    with pytest.raises(AttributeError):
        synthgate.nothing  # noqa: B018


def test_the_face_is_light():
    code = (
        "import sys, synthgate; heavy = {'grpc', 'pandas', 'torch', 'pyarrow', 'yaml', 'cryptography', 'numpy'};"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_dataset_that_waits_is_linked_or_told_apart(gateway, client):
    client.open_account("people", epsilon=3.0, delta=1e-6)
    client.create_dataset("people", DECLARATION, account="people")
    view = gateway.datasets["people"]
    gateway.datasets["people"] = replace(view, dataset=replace(view.dataset, state=DatasetState.AWAITING_LINK))
    with pytest.raises(errors.WrongState, match="dataset link"):
        client.wait_ready("people")
    assert client.link_dataset("people").dataset.state is DatasetState.INGESTING
    client.distinguish_dataset("people", reason="two hospitals")
    assert gateway.linked == [("people", False, ""), ("people", True, "two hospitals")]
