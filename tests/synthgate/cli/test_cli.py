"""The command line against a fake gateway: what is asked, what is shown, and the exit code."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from gateway_fake import BINDING
from typer.testing import CliRunner

from synthgate import errors
from synthgate.cli.main import app
from synthgate.cli.output import exit_code, percent, printable
from synthgate.dataset import ColumnFindings, DatasetState
from synthgate.derivation import Condition, Derivation, Rebalance, Share
from synthgate.errors import tree
from synthgate.release import ReleaseState

SCHEMA = """
columns: [{name: a, kind: integer, low: 0, high: 9, role: sensitive, secret: true}]
unit: {column: who, max_rows: 1}
rows: 2
"""
COMMANDS = {
    "serve", "schema draft", "verify", "dataset create", "dataset show", "dataset list", "dataset delete",
    "dataset link",
    "release create", "release quote", "release watch", "release show", "release list", "release cancel",
    "release download", "release report", "release attestation", "release approve", "release reject", "release revoke",
    "release rehearse", "release summary",
    "revocations export",
    "ledger open", "ledger amend", "ledger show", "ledger list", "ledger export", "ledger check",
    "audit list", "audit export", "audit checkpoint", "audit verify", "audit accept",
}  # fmt: skip


@pytest.fixture
def state(gateway, tmp_path):
    folder = tmp_path / "state"
    (folder / "tokens").mkdir(parents=True)
    (folder / "endpoint").write_text(gateway.address)
    for role in ("steward", "analyst", "officer"):
        (folder / "tokens" / role).write_text("s3cret\n")
    return folder


@pytest.fixture
def run(state):
    """Run a command line on the fake gateway; its exit code must be as told."""

    def call(*words, code=0, env=None):
        before = {"SYNTHGATE_STATE": str(state), "COLUMNS": "200", "TERM": "dumb", **(env or {})}
        result = CliRunner().invoke(app, [str(w) for w in words], env=before)
        assert result.exit_code == code, result.output
        return result

    return call


@pytest.fixture
def files(tmp_path):
    (tmp_path / "s.yaml").write_text(SCHEMA)
    (tmp_path / "t.csv").write_text("who,a,note\np1,3,psst\np2,4,psst\n")
    (tmp_path / "p.yaml").write_text("name: strict\napprovals: 1\n")
    return tmp_path


def create_dataset(run, files, *more, **how):
    given = ("--schema", files / "s.yaml", "--file", files / "t.csv", "--account", "people")
    return run("dataset", "create", "demo", *given, *more, **how)


def walk(group, prefix=()):
    for name, child in group.commands.items():
        if hasattr(child, "commands"):
            yield from walk(child, (*prefix, name))
        else:
            yield " ".join((*prefix, name)), child


def test_the_commands_are_these_and_every_option_has_help_and_a_default():
    group = typer.main.get_command(app)
    found = dict(walk(group))
    assert set(found) == COMMANDS
    for name, child in [*found.items(), ("synthgate", group)]:
        assert child.help, name
        for parameter in child.params:
            assert parameter.help, f"{name} {parameter.name}"
            told = parameter.required or parameter.default is not None or "default" in parameter.help
            assert told, f"{name} {parameter.name} tells no default"
        assert name in ("serve", "audit accept", "synthgate") or any(p.name == "as_json" for p in child.params)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(run, name):
    assert "Usage" in run(*name.split(), "--help").output


def test_accounts(gateway, run):
    shown = run("ledger", "open", "people", "--epsilon", 3, "--delta", "1e-6", "--role", "steward").output
    assert "epsilon 3, delta 1e-06" in shown
    amended = run("ledger", "amend", "people", "--verdicts", 2, "--reason", "board", "--role", "officer", "--json")
    assert json.loads(amended.output)["account"]["verdicts_granted"] == 2
    assert "0.0 %" in run("ledger", "show", "people").output
    book = json.loads(run("ledger", "show", "people", "--entries", "--json").output)["entries"]
    assert [e["kind"] for e in book] == ["open", "amend"]
    assert "amend" in run("ledger", "show", "people", "--entries").output
    assert json.loads(run("--json", "ledger", "list").output)[0]["account"]["cap"] == {"epsilon": 3.0, "delta": 1e-6}
    assert "people" in run("ledger", "list").output


def test_a_dataset_is_created_sent_and_shown(gateway, run, files):
    result = create_dataset(run, files, "--policy", files / "p.yaml")
    assert "not declared, so not sent: note" in result.output
    assert "psst" not in result.output
    assert gateway.uploads["demo"]["data"] == b"who,a\np1,3\np2,4\n"
    for text in ("READY", "strict", "clamped", "below 5,000 units", "0 to 9"):
        assert text in run("dataset", "show", "demo").output
    value = json.loads(run("dataset", "show", "demo", "--json").output)
    assert (value["state"], value["policy"]["approvals"], value["findings"][0]["clamped"]) == ("READY", 1, 2)
    assert [d["name"] for d in json.loads(run("dataset", "list", "--json").output)] == ["demo"]
    assert "demo" in run("dataset", "list").output


@pytest.mark.parametrize("found", [{"empty": 3}, {"unparsable": 1}, {"undeclared": 2}, {"clamped": 2}])
@pytest.mark.parametrize("nullable", [True, False])
def test_a_steward_is_warned_of_cells_that_samples_will_fill(gateway, run, files, found, nullable):
    create_dataset(run, files)
    view = gateway.datasets["demo"]
    domain = view.dataset.domain
    columns = tuple(replace(c, nullable=nullable) if c.name == "a" else c for c in domain.columns)
    dataset = replace(view.dataset, domain=replace(domain, columns=columns))
    gateway.datasets["demo"] = replace(view, dataset=dataset, findings=(ColumnFindings(column="a", **found),))
    warned = "warning: a: samples hold declared values" in run("dataset", "show", "demo").output.replace("\n", " ")
    assert warned == (not nullable and "clamped" not in found)


def test_a_dataset_that_waits_is_linked_or_told_apart(gateway, run, files):
    create_dataset(run, files)
    view = gateway.datasets["demo"]
    gateway.datasets["demo"] = replace(view, dataset=replace(view.dataset, state=DatasetState.AWAITING_LINK))
    assert "its units overlap another account's" in run("dataset", "show", "demo").output
    run("dataset", "link", "demo", "--distinct", code=2)
    run("dataset", "link", "demo", "--reason", "why", code=2)
    run("dataset", "link", "demo", "--role", "steward")
    run("dataset", "link", "demo", "--distinct", "--reason", "two hospitals", "--role", "officer")
    assert gateway.linked == [("demo", False, ""), ("demo", True, "two hospitals")]


def test_a_dataset_upload_that_broke_off_is_resumed_by_the_same_command(gateway, run, files):
    gateway.fail("UploadRows", errors.TooLarge("a limit"))
    create_dataset(run, files, code=3)
    gateway.fail("CreateDataset", errors.AlreadyExists("taken"))
    assert json.loads(create_dataset(run, files, "--json").stdout)["dropped"] == ["note"]
    gateway.fail("CreateDataset", errors.AlreadyExists("taken"))
    create_dataset(run, files, code=3)  # READY: the name is taken for good


def test_nothing_is_registered_where_the_files_are_faulty(gateway, run, files):
    (files / "t.csv").write_text("who,b\n1,2\n")
    assert "INVALID_TABLE" in create_dataset(run, files, code=2).output
    (files / "s.yaml").write_text("columns: []")
    assert "INVALID_DOMAIN" in create_dataset(run, files, code=2).output
    assert not gateway.calls


def test_a_faulty_upload_found_at_ingest_is_invalid(gateway, run, files):
    create_dataset(run, files)
    gateway.fail("GetDataset", errors.InvalidTable("line 2 has 3 fields"))
    assert "line 2 has 3 fields" in run("dataset", "show", "demo", code=2).output


def test_deleting_asks_first(gateway, run, files):
    create_dataset(run, files)
    assert "--yes" in run("dataset", "delete", "demo", code=2).output
    run("dataset", "delete", "demo", "--yes")
    assert gateway.datasets["demo"].dataset.state is DatasetState.DELETED


def test_a_release_is_priced_first(gateway, run):
    for words in (("release", "quote", "demo"), ("release", "create", "demo", "--dry-run")):
        shown = run(*words, "--epsilon", 1).output
        assert all(text in shown for text in ("12.3 %", "22.3 %", "2.500", "would be admitted"))
    gateway.refusals = ("BUDGET_EXHAUSTED",)
    assert "refused: BUDGET_EXHAUSTED" in run("release", "quote", "demo", "--epsilon", 1).output
    assert json.loads(run("release", "quote", "demo", "--epsilon", 1, "--json").output)["refusals"]
    assert not gateway.releases


def test_a_release_is_made_and_followed(gateway, run):
    release = json.loads(run("release", "create", "demo", "--epsilon", 1, "--json").output)
    assert (release["state"], release["engine"]) == ("PENDING", "tree")
    lines = [json.loads(x) for x in run("release", "watch", "r1", "--json").output.splitlines()]
    assert [x["state"] for x in lines] == ["PENDING", "TRAINING", "EVALUATING", "RELEASED"]
    assert "RELEASED" in run("release", "watch", "r1").output
    assert "12.3 % of people" in run("release", "show", "r1").output
    assert "r1" in run("release", "list", "--dataset", "demo").output
    assert json.loads(run("release", "list", "--dataset", "x", "--json").output) == []
    assert "CANCELLED" in run("release", "cancel", "r1").output


def test_a_release_is_derived(gateway, run):
    run("release", "create", "demo", "--epsilon", 1)
    gateway.releases["r1"] = replace(gateway.releases["r1"], state=ReleaseState.RELEASED, rows=1_500)
    given = ("--condition", "note=a=b, c", "--condition", "age=", "--condition", "pay=1..2", "--rows", "2.5x")
    balance = ("--rebalance", "income", "--share", "<=50K=0.25", "--share", "=0.75")
    shown = run("release", "create", "--from", "r1", *given, *balance, "--wait").output
    for text in ("note=a=b, c and age is null and pay=1..2", "income: <=50K 0.25, null 0.75", "3,750"):
        assert text in shown
    assert gateway.releases["r2"].derivation == Derivation(
        source="r1",
        conditions=tuple(Condition(column=c, value=v) for c, v in (("note", "a=b, c"), ("age", ""), ("pay", "1..2"))),
        rebalance=Rebalance(column="income", shares=(Share(value="<=50K", share=0.25), Share(value="", share=0.75))),
        rows=3_750,
    )
    listed = run("release", "list").output
    assert "derived from r1" in listed
    assert json.loads(run("release", "create", "--from", "r1", "--rows", 7, "--json").output)["derivation"]["rows"] == 7
    assert "10, numbered in column _replicate" in run("release", "create", "--from", "r1", "--replicates", 10).output


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("demo",),
        ("--epsilon", "1"),
        ("demo", "--epsilon", "1", "--rows", "5"),
        ("demo", "--epsilon", "1", "--condition", "a=1"),
        ("demo", "--epsilon", "1", "--replicates", "10"),
        ("--from", "r1", "--replicates", "1"),
        ("--from", "r1", "--replicates", "10", "--condition", "a=1"),
        ("--from", "r1", "--epsilon", "1"),
        ("--from", "r1", "--engine", "tree"),
        ("--from", "r1", "--dry-run"),
        ("demo", "--from", "r1"),
        ("--from", "r1", "--condition", "a"),
        ("--from", "r1", "--condition", "a=1", "--condition", "a=2"),
        ("--from", "r1", "--share", "a=1"),
        ("--from", "r1", "--rebalance", "a", "--share", "0.5"),
        ("--from", "r1", "--rebalance", "a", "--share", "b=half"),
        *(("--from", "r1", "--rows", rows) for rows in ("0", "1.5", "-1", "many", "0x", "x", "nan", "infx")),
    ],
    ids=" ".join,
)
def test_what_cannot_be_derived_is_refused_here(gateway, run, words):
    run("release", "create", "demo", "--epsilon", 1)
    gateway.releases["r1"] = replace(gateway.releases["r1"], state=ReleaseState.RELEASED, rows=1_500)
    assert "INVALID_ARGUMENT" in run("release", "create", *words, code=2).output
    assert list(gateway.releases) == ["r1"]


def test_times_of_a_source_that_is_not_released_are_refused(gateway, run):
    run("release", "create", "demo", "--epsilon", 1)
    assert "WRONG_STATE" in run("release", "create", "--from", "r1", "--rows", "10x", code=3).output


def test_waiting_for_a_closed_release_is_told_by_the_exit_code(gateway, run):
    gateway.states = (ReleaseState.CLOSED,)
    assert "CLOSED" in run("release", "create", "demo", "--epsilon", 1, "--wait", code=7).output
    value = json.loads(run("release", "create", "demo", "--epsilon", 1, "--wait", "--json", code=7).output)
    assert value["state"] == "CLOSED"
    run("release", "watch", "r1", code=7)
    gateway.states = (ReleaseState.RELEASED,)
    run("release", "create", "demo", "--epsilon", 1, "--wait")


def test_a_release_is_fetched(gateway, run, tmp_path):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1, None]}), sink)
    gateway.artifact = sink.getvalue().to_pybytes()
    run("release", "create", "demo", "--epsilon", 1)
    run("release", "download", "r1", "-o", tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text() == '"a"\n1\n\n'
    assert json.loads(run("release", "download", "r1", "-o", tmp_path / "r.parquet", "--json").output)
    assert (tmp_path / "r.parquet").read_bytes() == gateway.artifact
    run("release", "download", "r1", "-o", tmp_path / "r.xlsx", code=2)
    run("release", "attestation", "r1", "-o", tmp_path / "a.json", "--key-output", tmp_path / "k.pub")
    assert (tmp_path / "a.json").read_bytes() == b"{}"
    assert (tmp_path / "k.pub").read_bytes() == b"PEM"
    run("release", "attestation", "r1", "-o", tmp_path / "none" / "a.json", code=2)


def test_a_report_is_private(run, tmp_path):
    run("release", "create", "demo", "--epsilon", 1)
    result = run("release", "report", "r1", "-o", tmp_path / "r.html", "--role", "steward")
    assert "do not forward" in result.output
    assert (tmp_path / "r.html").stat().st_mode & 0o077 == 0
    run("release", "report", "r1", "-o", tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["scores"]
    assert "risk.copies" in run("release", "report", "r1").output
    value = json.loads(run("release", "report", "r1", "--json").output)
    assert "do not forward" in value["banner"]
    run("release", "report", "r1", "-o", tmp_path / "r.pdf", code=2)


@pytest.mark.parametrize(
    ("form", "name", "content"),
    [("html", "r.html", "<html></html>"), ("decision", "r.html", "<html>decide</html>"), ("json", "r.json", "scores")],
)
def test_a_report_has_three_forms(run, tmp_path, form, name, content):
    run("release", "create", "demo", "--epsilon", 1)
    run("release", "report", "r1", "--format", form, "-o", tmp_path / name)
    assert content in (tmp_path / name).read_text()
    run("release", "report", "r1", "--format", form, code=2)
    other = "r.html" if name == "r.json" else "r.json"
    run("release", "report", "r1", "--format", form, "-o", tmp_path / other, code=2)


def test_officers_decide(gateway, run):
    run("release", "create", "demo", "--epsilon", 1)
    assert "WRONG_STATE" in run("release", "approve", "r1", "--reason", "fine", "--role", "officer", code=3).output
    gateway.releases["r1"] = replace(gateway.releases["r1"], binding=BINDING, approvals_needed=2)
    shown = run("release", "show", "r1", "--role", "officer").output
    assert BINDING.digest in shown
    value = json.loads(run("release", "show", "r1", "--role", "officer", "--json").output)["binding"]
    assert (value["report"], value["digest"]) == (BINDING.report, BINDING.digest)
    run("release", "approve", "r1", "--binding", "cd" * 32, "--reason", "fine", code=3)
    told = run("release", "approve", "r1", "--reason", "fine", "--role", "officer").output
    for text in (
        f"binding {BINDING.digest}",
        f"data: {BINDING.data}",
        f"report: {BINDING.report}",
        "requester: analyst",
    ):
        assert text in told
    assert "REJECTED" in run("release", "reject", "r1", "--reason", "no").output
    assert "REVOKED" in run("release", "revoke", "r1", "--reason", "no more").output


def test_a_draft_is_written_here(run, files):
    assert 'name: "note"' in run("schema", "draft", files / "t.csv").output
    run("schema", "draft", files / "t.csv", "-o", files / "draft.yaml")
    assert "psst" not in (files / "draft.yaml").read_text()
    assert "columns" in json.loads(run("schema", "draft", files / "t.csv", "--json").output)["schema"]
    run("schema", "draft", files / "none.csv", code=2)


def test_a_gateway_is_named_before_or_after_or_by_the_environment(gateway, run, state, tmp_path):
    token = state / "tokens" / "analyst"
    nothing = {"SYNTHGATE_STATE": ""}
    assert "say which gateway" in run("ledger", "list", code=2, env=nothing).output
    run("--state", state, "--role", "officer", "ledger", "list", env=nothing)
    run("ledger", "list", "--state", state, "--role", "officer", env=nothing)
    run("--address", gateway.address, "--token-file", token, "ledger", "list")
    run("ledger", "list", "--address", gateway.address, "--token-file", token)
    run("ledger", "list", "--address", gateway.address, code=2)
    run("--state", tmp_path, "ledger", "list", "--state", state)
    assert "no gateway runs" in run("--state", tmp_path, "ledger", "list", code=1).output
    run("ledger", "list", env={"SYNTHGATE_ROLE": "auditor"}, code=5)
    run("ledger", "list", "--role", "king", code=5)
    run("ledger", "list", "--role", "../king", code=2)
    run("ledger", "list", "--address", "example.org:1", "--token-file", token, code=2)


@pytest.mark.parametrize("kind", tree().values(), ids=tree().keys())
def test_every_error_is_one_line_or_json_and_has_its_code(gateway, run, kind):
    gateway.fail("GetRelease", *[kind("do\nthis\x1b[2J", facts={"cap": "3"})] * 10)
    code = exit_code(kind(""))
    shown = run("release", "show", "r1", code=code).stderr
    assert shown == f"error: do this?[2J [{kind.reason}]\n"
    if kind is not errors.Unavailable:
        as_json = json.loads(run("release", "show", "r1", "--json", code=code).stderr)
        assert as_json == {"error": {"reason": kind.reason, "message": "do\nthis\x1b[2J", "facts": {"cap": "3"}}}


def test_exit_codes():
    wanted = {"INVALID_TABLE": 2, "BUDGET_EXHAUSTED": 3, "REQUEST_ID_REUSED": 3, "NOT_FOUND": 4, "PERMISSION_DENIED": 5,
              "VERIFICATION_FAILED": 6, "UNAVAILABLE": 1, "INTERNAL": 1}  # fmt: skip
    assert {reason: exit_code(tree()[reason]("")) for reason in wanted} == wanted


@pytest.mark.parametrize(("ppm", "shown"), [(0, "0.0 %"), (1, "< 0.1 %"), (123_400, "12.3 %"), (1_000_001, "100.0 %")])
def test_shares_are_shown_in_per_cent(ppm, shown):
    assert percent(ppm) == shown


def test_names_are_shown_as_they_are(gateway, run):
    run("ledger", "open", "[bold]x", "--epsilon", 1, "--delta", "1e-6")
    assert "[bold]x" in run("ledger", "list").output
    assert printable("a\x1b[31m\nb") == "a?[31m b"


def test_what_is_no_text_is_refused(run):
    assert "UTF-8" in run("release", "show", "\udcff", code=2).output


SERVER = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(23))
print("serving", *sys.argv[1:], flush=True)
signal.pause()
"""


def test_serve_becomes_the_gateway(tmp_path):
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "__init__.py").touch()
    (tmp_path / "server" / "__main__.py").write_text(SERVER)
    words = [sys.executable, "-m", "synthgate.cli.main", "--state", "s", "serve", "--config", "c.toml", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout.readline() == "serving --state s --config c.toml --port 0\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 23
