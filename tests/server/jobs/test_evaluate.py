"""Evaluate and render as jobs: the report that was written is the one that is shown, and both are reproducible."""

import hashlib
import json
import random

import pyarrow.parquet as pq
import pytest

from server.jobs.evaluate import evaluate
from server.jobs.fit import fit
from server.jobs.render import render
from synthgate.dataset import PublicSizes
from synthgate.errors import InvalidTable
from synthgate.events import DiscreteGaussian
from synthgate.policy import COPIES, EXACT_POLICY, Finding, Outcome, Rule, Verdict
from synthgate.report import Report
from synthgate.statement import PrivacyStatement, Scope
from tests.server.jobs.tables import DOMAIN, KEY, OTHER_KEY, store
from tests.server.jobs.test_fit import fit_spec

STATEMENT = PrivacyStatement(
    scope=Scope.GENERATOR,
    end_to_end=False,
    unit="a row",
    sizes=PublicSizes(rows=60, units=60),
    accountant="pld",
    event=DiscreteGaussian(100.0),
    epsilon=1.0,
    delta=1e-6,
    epsilon_substitute_one=2.0,
    not_covered=("the verdict",),
    noise=(),
    weakened_by=(),
)
VERDICT = Verdict(
    findings=(
        Finding(rule=Rule(score=COPIES, at_most=0.01), outcome=Outcome.PASSED),
        Finding(rule=Rule(score="utility.tv2", at_least=0.5), outcome=Outcome.INCONCLUSIVE),
    )
)


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """The spec of an evaluation, its result and its folder."""
    folder = tmp_path_factory.mktemp("judged")
    draw = random.Random(3)
    rows = "".join(f"{draw.choice(('red', 'blue'))},{draw.randrange(100)}\n" for _ in range(400))
    fit(fit_spec(folder, "independent"), folder=folder, secret=KEY, progress=lambda stage: None)
    store(folder / "rows", "colour,age\n" + rows)
    paths = {name: str(folder / "rows" / f"{name}.parquet") for name in ("train", "holdout")}
    spec = {"domain": DOMAIN.to_dict(), **paths, "sample": str(folder / "sample.parquet")}
    stages = []
    result = evaluate(spec, folder=folder, secret=KEY, progress=stages.append)
    assert "risk.copies" in stages
    return spec, result, folder


def test_the_report_is_about_the_very_bytes_of_the_sample(judged):
    _, result, folder = judged
    written = (folder / "report.json").read_bytes()
    assert (result["sha256"], result["bytes"]) == (hashlib.sha256(written).hexdigest(), len(written))
    assert result["sample_sha256"] == hashlib.sha256((folder / "sample.parquet").read_bytes()).hexdigest()
    assert Report.from_dict(json.loads(written)).get(COPIES) is not None


def test_the_secret_keys_all_randomness(judged, tmp_path):
    spec, _, folder = judged

    def scores(secret):
        evaluate(spec, folder=tmp_path, secret=secret, progress=lambda stage: None)
        return json.loads((tmp_path / "report.json").read_bytes())["scores"]

    assert scores(KEY) == json.loads((folder / "report.json").read_bytes())["scores"]
    assert scores(OTHER_KEY) != scores(KEY)


def test_a_table_without_a_declared_column_is_refused(judged, tmp_path):
    spec, *_ = judged
    pq.write_table(pq.read_table(spec["sample"]).drop_columns(["age"]), tmp_path / "x.parquet")
    with pytest.raises(InvalidTable, match="age"):
        evaluate(spec | {"sample": str(tmp_path / "x.parquet")}, folder=tmp_path, secret=KEY, progress=print)


def test_a_report_becomes_three_forms(judged, tmp_path):
    spec, _, folder = judged
    page = {
        "report": str(folder / "report.json"),
        "title": "Release <r1>",
        "facts": {"dataset": "visits"},
        "verdict": json.loads(json.dumps(VERDICT.to_dict())),
        "statement": STATEMENT.to_dict(),
        "domain": spec["domain"],
        "policy": EXACT_POLICY.to_dict(),
    }
    results = [render(page, folder=tmp_path, secret=KEY, progress=lambda stage: None) for _ in range(2)]
    forms = {name: (tmp_path / name).read_bytes() for name in ("report.json", "report.html", "decision.html")}
    assert results[0] == results[1] == {name: hashlib.sha256(data).hexdigest() for name, data in forms.items()}
    assert b"Release &lt;r1&gt;" in forms["report.html"]
    assert results[0]["report.json"].encode() in forms["decision.html"]


def test_a_verdict_survives_its_document():
    assert Verdict.from_dict(VERDICT.to_dict()) == VERDICT
    assert Verdict.from_dict(Verdict(findings=()).to_dict()) == Verdict(findings=())
