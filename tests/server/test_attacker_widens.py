"""What a policy adds to the attacker reaches registration, admission, the evaluation and the verdict."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dp_models.base import Plan
from server import pipeline, releases
from server.attestation import statement
from server.gateway import Gateway
from server.jobs.evaluate import evaluate
from server.jobs.render import render
from server.policy import admit, decide
from synthgate.attacker import Attacker
from synthgate.domain import UNIT_COLUMN, Domain
from synthgate.errors import InvalidPolicy
from synthgate.policy import EXACT_POLICY, INFERENCE, Outcome, Policy, Verdict
from synthgate.report import Report
from tests.server.composed import ANALYST, DOMAIN, STEWARD, TICK_S, Clock, asked, leased, registered
from tests.server.test_policy import plan

WIDER = Policy.from_dict(
    {
        "name": "wider",
        "version": 2,
        "verdict": "exact",
        "attacker": {"also_secret": ["age"], "also_knows": ["ill"], "also_joins": [2]},
    }
)
ADDED = INFERENCE + "age"


def test_a_column_that_is_not_declared_is_refused_at_registration(gateway: Gateway) -> None:
    with pytest.raises(InvalidPolicy, match="also_secret names 'wage'"):
        registered(gateway, policy=replace(EXACT_POLICY, attacker=Attacker(also_secret=("wage",))))
    with gateway.store.begin() as tx:
        assert tx.datasets.list() == ()


def test_an_audience_that_the_rules_do_not_serve_is_refused_at_registration(gateway: Gateway) -> None:
    copies = [{"score": "risk.copies", "at_most": 0.01}]
    with pytest.raises(InvalidPolicy, match=r"needs a rule on risk\.singling_out\.univariate"):
        registered(gateway, policy=Policy.from_dict({"audience": "internal", "rules": copies}))


def test_admission_reads_the_wider_domain() -> None:
    nobody = replace(DOMAIN, columns=DOMAIN.columns[:2])
    facts: dict[str, Any] = {"certified": True, "sandbox": False, "verdicts": 0, "allowed": 3}
    assert any("secret: true" in why for why in admit(EXACT_POLICY, plan(), nobody, **facts))
    wider = replace(EXACT_POLICY, attacker=Attacker(also_secret=("age",)))
    assert admit(wider, plan(), nobody, **facts) == ()


def test_a_release_says_which_policy_it_pinned(gateway: Gateway, clock: Clock) -> None:
    registered(gateway, policy=WIDER)
    clock.seconds = TICK_S
    release = asked(gateway)
    for who in (STEWARD, ANALYST):
        seen = releases.read(gateway, who, release).release
        assert (seen.policy, seen.policy_version, seen.policy_digest) == ("wider", 2, WIDER.digest)


def _tables(gateway: Gateway, folder: Path) -> Path:
    """Rows of the dataset, and a sample of other people."""
    for seed, (part, size) in enumerate({"train": 240, "holdout": 60, "sample": 300}.items()):
        draw = np.random.default_rng(seed)
        columns: dict[str, Any] = {
            "age": draw.integers(0, 100, size), "sex": draw.choice(["f", "m"], size), "ill": draw.random(size) < 0.3,
        }  # fmt: skip
        place = folder if part == "sample" else gateway.settings.rows / "table"
        place.mkdir(parents=True, exist_ok=True)
        if part != "sample":
            columns[UNIT_COLUMN] = np.arange(size)
        pq.write_table(pa.table(columns), place / f"{part}.parquet")
    return folder / "sample.parquet"


def _judged(gateway: Gateway, folder: Path) -> tuple[Verdict, dict[str, Any]]:
    """Evaluation, verdict and rendering as the pipeline does them, with its jobs in this process."""
    sample, release = _tables(gateway, folder), asked(gateway)
    leased(gateway, release)
    with gateway.store.begin() as tx:
        record, dataset = tx.releases.get(release), tx.datasets.get("table")
    jobs = {"evaluate": evaluate, "render": render}

    def run(job: str, spec: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        place = folder / job
        place.mkdir()
        return jobs[job](spec, folder=place, secret=bytes(32), progress=lambda _: None)

    sha256 = hashlib.sha256(sample.read_bytes()).hexdigest()
    report = pipeline._evaluate(gateway, record, dataset, sample, sha256, folder, run)  # type: ignore[arg-type]
    claim = statement(Plan.from_json(record.plan), dataset, record, noise=(), weaknesses=())
    verdict = decide(record.policy, dataset.dataset.domain, claim, report)
    kept = pipeline._keep_report(gateway, record, dataset, claim, verdict, folder, run)  # type: ignore[arg-type]
    told = {}
    for kind in ("report_json", "report_decision"):
        with gateway.artifacts.open(kept.artifacts[kind]) as file:
            told[kind] = file.read().decode()
    assert kept.artifacts["report_json"] in told["report_decision"]
    return verdict, json.loads(told["report_json"])


@pytest.fixture
def ready(gateway: Gateway, clock: Clock) -> Gateway:
    registered(gateway, policy=WIDER)
    clock.seconds = TICK_S
    return gateway


def test_what_the_policy_adds_is_attacked_judged_and_shown(ready: Gateway, tmp_path: Path) -> None:
    verdict, told = _judged(ready, tmp_path / "work")
    found = {finding.rule.score: finding.outcome for finding in verdict.findings}
    assert found[ADDED] is not Outcome.MISSING
    assert Report.from_dict(told).get(ADDED) is not None
    assert told["knowledge"]["looked for because the policy says so"] == "age"
    assert told["knowledge"]["known because the policy says so"] == "ill"
    assert told["knowledge"]["joined because the policy says so"] == "2"
    assert told["details"]["risk.singling_out"]["because_of_the_policy"] == [2]
    assert told["facts"]["policy"] == "wider, version 2"
    assert told["facts"]["policy's sha256"] == WIDER.digest


def test_an_evaluation_that_forgets_it_is_refused(
    ready: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, concrete = Attacker.widened, Policy.concrete

    def forgotten(_attacker: Attacker, domain: Domain) -> Domain:
        return domain

    def remembering(policy: Policy, domain: Domain) -> Any:
        return concrete(policy, whole(policy.attacker, domain))

    monkeypatch.setattr(Attacker, "widened", forgotten)

    monkeypatch.setattr(Policy, "concrete", remembering)
    verdict, _ = _judged(ready, tmp_path / "work")
    found = {finding.rule.score: finding.outcome for finding in verdict.findings}
    assert found[ADDED] is Outcome.MISSING
    assert not verdict.passed
