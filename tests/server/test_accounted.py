"""A release whose verdict is inside its epsilon: from the quote to the attestation, on 12,000 rows."""

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dp_models.base import Plan
from server import approvals, datasets, releases, requests
from server.gateway import Gateway
from server.identity import Office, Principal
from server.jobs import runner
from server.jobs.evaluate import evaluate
from server.jobs.fit import fit
from server.pipeline import run_release
from synthgate.accounted import Z95, beyond
from synthgate.dataset import DatasetState, PrivacyUnit, PublicSizes
from synthgate.domain import UNIT_COLUMN
from synthgate.errors import PolicyRefused, SynthgateError, WrongState
from synthgate.events import Composed, DiscreteGaussian
from synthgate.policy import DEFAULT_POLICY, MARGIN, Policy
from synthgate.release import ReleaseState
from synthgate.statement import Scope
from synthgate.verify import verify_envelope
from tests.server.composed import ANALYST, DOMAIN, STEWARD, TICK_S, Clock, call, leased

ROWS = 12_000
SIZES = PublicSizes(rows=ROWS, units=ROWS)
POLICY = replace(DEFAULT_POLICY, rules=tuple(r for r in DEFAULT_POLICY.rules if r.score != "risk.linkability"))
OFFICER = Principal("officer", Office.OFFICER)


@dataclass
class Jobs:
    """Stands where `server.jobs.runner.run` does: the real fit and evaluation, in this process; no page is drawn."""

    copied: bool = False
    done: list[str] = field(default_factory=list)
    fails: str = ""

    def __call__(
        self, kind: str, spec: Mapping[str, Any], *, folder: Path, secret: bytes, cancelled: threading.Event,
        progress: Callable[[str], None], limits: runner.Limits, python: Path | None,
    ) -> Mapping[str, Any]:  # fmt: skip
        folder.mkdir()
        self.done.append(kind)
        try:
            if kind == "fit":
                return self._fit(spec, folder, secret)
            if kind == "evaluate":
                made = evaluate(spec, folder=folder, secret=secret, progress=lambda _stage: None)
                if self.fails:
                    self.fails = ""
                    raise runner.JobFailed(runner.Reason.INTERRUPTED)
                return made
        except SynthgateError as error:
            raise runner.JobFailed(runner.Reason.REFUSED, error=error) from error
        (folder / "report.html").write_text("<p>a report</p>")
        return {}

    def _fit(self, spec: Mapping[str, Any], folder: Path, secret: bytes) -> Mapping[str, Any]:
        made = dict(fit(spec, folder=folder, secret=secret, progress=lambda _stage: None))
        return made


def rows(folder: Path, *, seed: int = 1) -> None:
    """Private rows; the secret follows from age and sex for nobody."""
    draw = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for part, count in (("train", 9_600), ("holdout", 2_400)):
        table = {
            "age": pa.array(draw.integers(0, 100, count), pa.int64()),
            "sex": pa.array(draw.choice(["f", "m"], count), pa.string()),
            "ill": pa.array(draw.random(count) < 0.3, pa.bool_()),
            UNIT_COLUMN: pa.array(range(count), pa.int64()),
        }
        pq.write_table(pa.table(table), folder / f"{part}.parquet")


def prepared(gateway: Gateway, clock: Clock, jobs: Jobs, *, policy: Policy = POLICY) -> Gateway:
    datasets.register(
        gateway, call(STEWARD), name="table", domain=DOMAIN, unit=PrivacyUnit(), sizes=SIZES, account="people",
        policy=policy,
    )  # fmt: skip
    with gateway.store.begin() as tx:
        record = tx.datasets.get("table")
        found = {datasets.READY_AT: gateway.now().isoformat()}
        ready = replace(record, dataset=replace(record.dataset, state=DatasetState.READY), found=found)
        tx.datasets.replace(ready, expected=DatasetState.CREATED)
    rows(gateway.settings.rows / "table")
    clock.seconds += TICK_S + 1
    return replace(gateway, job=jobs)


def asked(gateway: Gateway, epsilon: float = 1.0) -> str:
    return requests.create(
        gateway, call(ANALYST), dataset="table", engine="independent", epsilon=epsilon, delta=None
    ).release.id


def test_a_release_is_judged_inside_its_epsilon(gateway: Gateway, clock: Clock) -> None:
    gateway = prepared(gateway, clock, Jobs())
    quote = requests.quote(gateway, ANALYST, dataset="table", engine="independent", epsilon=1.0, delta=None)
    assert quote.refusals == ()
    assert quote.plan_epsilon <= 1.0
    release = asked(gateway)
    leased(gateway, release)
    run_release(gateway, release)
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        assert tx.releases.verdicts("people") == 0
    plan = Plan.from_json(record.plan)
    assert plan.verdict is not None
    assert isinstance(plan.event, Composed)
    assert plan.event.events[-1] == DiscreteGaussian(plan.verdict.sigma, 1)
    assert record.release.state is ReleaseState.RELEASED, (record.failure, record.release.reasons)
    print(record.release.margin)
