"""The main job over real gRPC: a table in, a quote, a release, a refusal by the budget, an attestation that holds."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dp_models.encoding.table import arrow_schema
from dp_models.mechanisms.noise import EXACT_COUNTS
from synthgate.attestation import Judged
from synthgate.cli.main import app
from synthgate.errors import BudgetExhausted, PermissionDenied, VerificationFailed, WrongState
from synthgate.ledger import AccountView, Entry, EntryKind
from synthgate.policy import EXACT_POLICY
from synthgate.release import Quote, Release, ReleaseState
from synthgate.report import ReportForm
from synthgate.statement import Scope
from synthgate.verify import verify
from tests.e2e.people import DOMAIN
from tests.e2e.process import TICK_S, Served

ROWS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What was seen on the way from a registered table to a released one."""

    name: str
    untouched: tuple[Entry, ...]
    quote: Quote
    quoted: tuple[Entry, ...]
    asked: Release
    watched: tuple[Release, ...]
    stages: tuple[Release, ...]
    early: str
    balance: AccountView


@pytest.fixture(scope="session")
def story(served: Served) -> Story:
    name = served.dataset("story", rows=ROWS, policy=EXACT_POLICY)
    untouched = served.steward.entries(name)
    quote = served.analyst.quote_release(name, epsilon=1.0)
    quoted = served.steward.entries(name)
    asked = served.analyst.create_release(name, epsilon=1.0)
    with pytest.raises(WrongState) as early:
        served.steward.attestation(asked.id)
    stages = tuple(served.steward.watch(asked.id))
    watched = tuple(served.analyst.watch(asked.id))
    return Story(
        name=name, untouched=untouched, quote=quote, quoted=quoted, asked=asked, watched=watched, stages=stages,
        early=early.value.message, balance=served.balance(name),
    )  # fmt: skip


@pytest.fixture(scope="session")
def data(served: Served, story: Story, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served.analyst.download(story.asked.id, tmp_path_factory.mktemp("downloads") / "release.parquet")


def test_a_quote_charges_nothing_and_names_what_the_release_then_takes(story: Story) -> None:
    assert story.quoted == story.untouched
    assert [e.kind for e in story.untouched] == [EntryKind.OPEN]
    quote = story.quote
    assert (quote.refusals, quote.taken_ppm, quote.rows, quote.delta) == ((), 0, ROWS, 5e-8)
    assert 0 < quote.plan_epsilon <= 1.0
    assert quote.share_ppm == quote.after_ppm == story.asked.share_ppm == story.balance.taken_ppm
    assert (quote.engine, quote.because) == (story.asked.engine, story.asked.because)


def test_a_release_passes_every_stage_and_is_released(story: Story) -> None:
    states = list(dict.fromkeys(seen.state for seen in story.stages))
    assert states[-3:] == [ReleaseState.TRAINING, ReleaseState.EVALUATING, ReleaseState.RELEASED]
    assert {"fitting", "rendering"} <= {seen.stage for seen in story.stages}
    last = story.stages[-1]
    assert (last.reasons, last.stage, last.rows) == ((), "", ROWS)


def test_the_charge_is_committed_before_training_and_stays(served: Served, story: Story) -> None:
    kinds = [e.kind for e in served.steward.entries(story.name)]
    assert kinds == [EntryKind.OPEN, EntryKind.RESERVE, EntryKind.COMMIT]
    assert story.balance.balance.reserved.epsilon == 0
    assert story.balance.balance.committed.epsilon == 10**9
    assert story.balance.verdicts == 1


def test_an_analyst_sees_one_bit_on_a_tick(served: Served, story: Story) -> None:
    assert story.asked.state is ReleaseState.PENDING
    assert {s.state for s in story.watched} <= {ReleaseState.PENDING, ReleaseState.RELEASED}
    for seen in (story.asked, *story.watched):
        assert (seen.stage, seen.reasons, seen.approvals) == ("", (), ())
        if seen.state is ReleaseState.PENDING:
            assert (seen.sha256, seen.bytes, seen.rows, seen.updated_at) == ("", 0, 0, seen.created_at)
    last = story.watched[-1]
    assert (last.state, last.rows, len(last.sha256)) == (ReleaseState.RELEASED, ROWS, 64)
    ticks = last.updated_at.timestamp() / TICK_S
    assert ticks == pytest.approx(round(ticks), abs=1e-3)
    assert last == served.analyst.release(story.asked.id)


def test_only_released_data_are_attested(story: Story) -> None:
    assert "only released data are attested" in story.early


def test_the_released_table_is_the_declared_one_and_nothing_besides(data: Path) -> None:
    table = pq.read_table(data)
    assert table.num_rows == ROWS
    assert table.schema.equals(arrow_schema(DOMAIN), check_metadata=True)
    assert not table.schema.metadata


def test_a_csv_is_made_from_the_verified_bytes(served: Served, story: Story, data: Path, tmp_path: Path) -> None:
    text = served.analyst.download(story.asked.id, tmp_path / "release.csv")
    convert = pa.csv.ConvertOptions(column_types=arrow_schema(DOMAIN))
    assert pa.csv.read_csv(text, convert_options=convert).equals(pq.read_table(data))


def test_the_attestation_holds_offline(served: Served, story: Story, data: Path) -> None:
    signed = served.analyst.attestation(story.asked.id)
    found = verify(data, signed.envelope, signed.public_key)
    assert found.release == story.asked.id
    assert (found.statement.scope, found.statement.end_to_end) == (Scope.GENERATOR, False)
    assert found.statement.epsilon == pytest.approx(story.quote.plan_epsilon)
    assert isinstance(found.origin, Judged)
    assert (found.origin.decision.number, found.origin.decision.allowed) == (1, EXACT_POLICY.verdicts_max)
    assert EXACT_COUNTS in found.statement.noise
    assert any("decision 1 of 3" in sentence for sentence in found.statement.not_covered)
    (commit,) = [e for e in served.steward.entries(story.name) if e.kind is EntryKind.COMMIT]
    assert (found.origin.ledger.sequence, found.origin.ledger.digest) == (commit.sequence, commit.digest)
    assert (found.origin.policy.digest, found.origin.policy.version) == (EXACT_POLICY.digest, EXACT_POLICY.version)
    assert served.fingerprint in signed.envelope.decode()


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0], ids=["first", "middle", "last"])
def test_one_flipped_byte_in_the_data_fails(
    served: Served, story: Story, data: Path, tmp_path: Path, at: float
) -> None:
    signed = served.analyst.attestation(story.asked.id)
    content = bytearray(data.read_bytes())
    content[round(at * (len(content) - 1))] ^= 1
    forged = tmp_path / "forged.parquet"
    forged.write_bytes(content)
    with pytest.raises(VerificationFailed) as caught:
        verify(forged, signed.envelope, signed.public_key)
    assert caught.value.facts["step"] == "5"


def test_the_report_is_the_stewards_and_never_the_analysts(served: Served, story: Story) -> None:
    report = served.steward.report(story.asked.id)
    wanted = {rule.score for rule in EXACT_POLICY.concrete(DOMAIN)} - {"privacy.epsilon"}
    assert wanted <= {score.name for score in report.scores}
    forms = {form: served.officer.report_file(story.asked.id, form=form) for form in ReportForm}
    assert all(b"not differentially private" in content for content in forms.values())
    assert hashlib.sha256(forms[ReportForm.JSON]).hexdigest().encode() in forms[ReportForm.DECISION]
    assert EXACT_POLICY.digest.encode() in forms[ReportForm.HTML]
    assert served.analyst.release(story.asked.id).policy_digest == EXACT_POLICY.digest
    with pytest.raises(PermissionDenied):
        served.analyst.report(story.asked.id)


def test_what_no_longer_fits_is_refused_with_all_figures_and_changes_nothing(served: Served, story: Story) -> None:
    before = (served.steward.entries(story.name), served.balance(story.name), served.steward.releases(story.name))
    with pytest.raises(BudgetExhausted) as caught:
        served.analyst.create_release(story.name, epsilon=3.0)
    assert (
        served.steward.entries(story.name), served.balance(story.name), served.steward.releases(story.name)
    ) == before  # fmt: skip
    facts = caught.value.facts
    assert (facts["cap_epsilon"], facts["cap_delta"]) == ("3", "1e-06")
    assert int(facts["committed_ppm"]) == int(facts["taken_ppm"]) == story.balance.taken_ppm
    assert int(facts["asked_ppm"]) <= 1_000_000 < int(facts["asked_ppm"]) + story.balance.taken_ppm
    assert all(figure in caught.value.message for figure in ("epsilon 3", "1e-06", facts["largest_epsilon"]))
    assert served.analyst.quote_release(story.name, epsilon=float(facts["largest_epsilon"])).refusals == ()
    beyond = float(facts["largest_epsilon"]) * 1.02
    assert "still fits" in served.analyst.quote_release(story.name, epsilon=beyond).refusals[0]


def test_the_same_request_is_admitted_on_an_empty_account(served: Served) -> None:
    name = served.dataset("story-empty", rows=ROWS, policy=EXACT_POLICY)
    asked = served.analyst.create_release(name, epsilon=3.0)
    assert asked.state is ReleaseState.PENDING
    served.analyst.cancel(asked.id)
    assert served.ended(asked).state is ReleaseState.CANCELLED


def test_a_stored_artifact_that_changed_is_not_served(served: Served, story: Story, tmp_path: Path) -> None:
    stored = served.state / "artifacts" / story.watched[-1].sha256
    content = stored.read_bytes()
    stored.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        with pytest.raises(Exception, match="does not have its digest"):
            served.steward.download(story.asked.id, tmp_path / "release.parquet")
    finally:
        stored.write_bytes(content)


def test_an_auditor_recounts_the_ledger_and_finds_the_release_in_it(
    served: Served, story: Story, tmp_path: Path
) -> None:
    signed = served.analyst.attestation(story.asked.id)
    for name, content in (("release.json", signed.envelope), ("gateway.pem", signed.public_key)):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    attested = ("--attestation", str(tmp_path / "release.json"), "--key", str(tmp_path / "gateway.pem"))
    asked = ["--state", str(served.state), "--role", "auditor", "--json", "ledger", "check", *attested]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    (account,) = [a for a in json.loads(done.output)["accounts"] if a["account"] == story.name]
    assert (account["taken_ppm"], account["entries"]) == (story.balance.taken_ppm, 3)
    for role, code in (("steward", 0), ("officer", 0), ("analyst", 5)):
        assert CliRunner().invoke(app, [*asked[:3], role, *asked[4:]]).exit_code == code


def test_the_history_prices_the_plan_alone(served: Served, story: Story) -> None:
    entries, prices = served.auditor.history(story.name)
    assert [e.kind for e in entries] == [EntryKind.OPEN, EntryKind.RESERVE, EntryKind.COMMIT]
    (price,) = prices
    assert (price.release, price.delta) == (story.asked.id, 5e-8)
    assert price.epsilon == pytest.approx(story.quote.plan_epsilon)
    with pytest.raises(PermissionDenied):
        served.analyst.history(story.name)
