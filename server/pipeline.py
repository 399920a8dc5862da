"""`run_release`: one release, in one direction.

    commit the charge -> fit the plan -> evaluate the sample -> decide -> reject, or keep -> await approval, or release

The charge is durable before a private row can be opened, and nothing after that gives it back. Every pair of writes is
placed so that a crash over-counts: what a crash leaves behind is unreachable, and `server.recovery` closes it.
"""

import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from dp_models.base import Plan
from server.attestation import statement
from server.catalog.base import DatasetRecord, ReleaseRecord
from server.environments import interpreter
from server.gateway import GATEWAY, Gateway
from server.jobs import runner
from server.policy import decide
from server.publication import publish
from server.releases import destroy_data, move
from server.store import Transaction
from synthgate.dataset import DatasetState
from synthgate.ledger import EntryKind
from synthgate.policy import Verdict
from synthgate.release import ReleaseState
from synthgate.report import Report
from synthgate.statement import PrivacyStatement

log = structlog.get_logger()

Run = Callable[..., Mapping[str, Any]]
"""``run(kind, spec, timeout_s, python=None)``: one job of this attempt in its own folder; returns its result."""


def run_release(gateway: Gateway, release: str) -> None:
    """Bring a PENDING release to rest: RELEASED, REJECTED, AWAITING_APPROVAL, FAILED or CANCELLED."""
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        if record.release.state is not ReleaseState.PENDING:
            return
        dataset = tx.datasets.get(record.release.dataset)
        tx.ledger.commit(release, by=GATEWAY)
        record = move(gateway, tx, _numbered(tx, record), ReleaseState.TRAINING)
    with _at_rest_afterwards(gateway, release), _attempt(gateway, release) as (work, run):
        plan, sample = Plan.from_json(record.plan), work / "fit" / "sample.parquet"
        fitted = _fit(gateway, record, dataset, run)
        claim = statement(plan, dataset, record, weaknesses=tuple(fitted["weaknesses"]))
        record = _advance(gateway, replace(record, statement=claim.to_dict()), ReleaseState.EVALUATING)
        report = _evaluate(gateway, dataset, sample, fitted["sha256"], work, run)
        verdict = decide(record.policy, dataset.dataset.domain, claim, report)
        record = _keep_report(gateway, record, dataset, claim, verdict, work, run)
        if not verdict.passed:
            shutil.rmtree(work / "fit")
            _advance(gateway, record, ReleaseState.REJECTED, reasons=verdict.reasons)
            return
        with _kept(gateway, record, sample, fitted) as record:
            if record.policy.approvals > 0:
                _advance(gateway, record, ReleaseState.AWAITING_APPROVAL)
                return
            with gateway.store.begin() as tx:
                _check_wanted(gateway, tx, record)
                publish(gateway, tx, record)


def _numbered(tx: Transaction, record: ReleaseRecord) -> ReleaseRecord:
    """The record with which unaccounted verdict of the account it is, of how many allowed, and what the account is."""
    account = record.release.account
    commits = sum(entry.kind is EntryKind.COMMIT for entry in tx.ledger.entries(account))
    opened = tx.ledger.balance(account).account
    allowed = record.policy.verdicts_max + opened.verdicts_granted
    return replace(record, verdict_number=commits, verdicts_allowed=allowed, sandbox=opened.sandbox)


def _check_wanted(gateway: Gateway, tx: Transaction, record: ReleaseRecord) -> None:
    """Raise JobFailed (cancelled) where the release was told to stop or its dataset is deleted by now."""
    deleted = tx.datasets.get(record.release.dataset).dataset.state is DatasetState.DELETED
    if deleted or gateway.running[record.release.id].is_set():
        gateway.running[record.release.id].set()
        raise runner.JobFailed(runner.Reason.CANCELLED)


@contextmanager
def _at_rest_afterwards(gateway: Gateway, release: str) -> Iterator[None]:
    """Whatever happens inside, the release is at rest, its data are gone unless kept, and watchers are told."""
    try:
        yield
    except runner.JobFailed as failed:
        # Whatever a job died of after it was told to stop: a deletion takes its rows away while it still runs.
        cancelled = gateway.running[release].is_set() and not gateway.stopping.is_set()
        message = "the gateway was stopped" if gateway.stopping.is_set() else failed.message
        fail(gateway, release, message, ReleaseState.CANCELLED if cancelled else ReleaseState.FAILED)
    except Exception:
        log.exception("release failed", release=release)
        fail(gateway, release, "a fault of the gateway; its log has the incident")
    finally:
        gateway.news.publish(release, stage="")


def fail(gateway: Gateway, release: str, message: str, state: ReleaseState = ReleaseState.FAILED) -> None:
    """Close a release that cannot go on, unless it is at rest already. Its charge stays; a sample kept for it goes."""
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        if record.release.state.terminal or record.release.state is ReleaseState.AWAITING_APPROVAL:
            return
        move(gateway, tx, record, state, failure=message)
        tx.audit.append(principal=GATEWAY, action=str(state), resource=release, detail={"why": message})


@contextmanager
def _attempt(gateway: Gateway, release: str) -> Iterator[tuple[Path, Run]]:
    """A folder and a secret for one attempt; both are destroyed with it."""
    work, secret = gateway.settings.work / release, secrets.token_bytes(32)
    limits = gateway.settings.job_memory_mib * 2**20

    def run(kind: str, spec: Mapping[str, Any], timeout_s: float, *, python: Path | None = None) -> Mapping[str, Any]:
        return runner.run(
            kind, spec, python=python, folder=work / kind, secret=secret, cancelled=gateway.running[release],
            limits=runner.Limits(timeout_s=timeout_s, memory_bytes=limits),
            progress=lambda stage: gateway.news.publish(release, stage=stage),
        )  # fmt: skip

    work.mkdir(mode=0o700, parents=True)
    try:
        yield work, run
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _advance(gateway: Gateway, record: ReleaseRecord, state: ReleaseState, **changes: Any) -> ReleaseRecord:
    with gateway.store.begin() as tx:
        _check_wanted(gateway, tx, record)
        moved = move(gateway, tx, record, state, **changes)
        tx.audit.append(principal=GATEWAY, action=str(state), resource=record.release.id, detail={})
    gateway.news.publish(record.release.id)
    return moved


def _rows(gateway: Gateway, dataset: DatasetRecord, part: str) -> str:
    return str((gateway.settings.rows / dataset.dataset.name / f"{part}.parquet").absolute())


def _fit(gateway: Gateway, record: ReleaseRecord, dataset: DatasetRecord, run: Run) -> Mapping[str, Any]:
    spec = {
        "domain": dataset.dataset.domain.to_dict(),
        "plan": dict(record.plan),
        "train": _rows(gateway, dataset, "train"),
    }
    gateway.news.publish(record.release.id, stage="starting")
    python = interpreter(gateway.settings, record.release.engine)
    return run("fit", spec, gateway.settings.fit_timeout_s, python=python)


def _evaluate(gateway: Gateway, dataset: DatasetRecord, sample: Path, sha256: str, work: Path, run: Run) -> Report:
    """The report on the very bytes that were sampled; other bytes are a fault."""
    spec = {
        "domain": dataset.dataset.domain.to_dict(),
        "train": _rows(gateway, dataset, "train"),
        "holdout": _rows(gateway, dataset, "holdout"),
        "sample": str(sample.absolute()),
    }
    judged = run("evaluate", spec, gateway.settings.evaluate_timeout_s)
    if judged["sample_sha256"] != sha256:
        raise runner.JobFailed(runner.Reason.CRASHED)
    return Report.from_dict(json.loads((work / "evaluate" / "report.json").read_bytes()))


def _keep_report(
    gateway: Gateway,
    record: ReleaseRecord,
    dataset: DatasetRecord,
    claim: PrivacyStatement,
    verdict: Verdict,
    work: Path,
    run: Run,
) -> ReleaseRecord:
    """Render the report and keep both forms, for stewards and officers."""
    release, document = record.release, work / "evaluate" / "report.json"
    facts = {
        "release": release.id, "dataset": release.dataset, "engine": f"{release.engine} ({release.because})",
        "asked": f"epsilon {release.epsilon:g} at delta {release.delta:g}", "account": release.account,
        "policy": f"{record.policy.name} ({record.policy.digest[:12]})", "requested by": release.requested_by,
    }  # fmt: skip
    spec = {
        "report": str(document.absolute()), "title": f"Release {release.id} of {release.dataset}", "facts": facts,
        "verdict": verdict.to_dict(), "statement": claim.to_dict(), "domain": dataset.dataset.domain.to_dict(),
    }  # fmt: skip
    run("render", spec, gateway.settings.evaluate_timeout_s)
    kept = {
        "report_json": gateway.artifacts.put(document),
        "report_html": gateway.artifacts.put(work / "render" / "report.html"),
    }
    return replace(record, artifacts=kept)


@contextmanager
def _kept(gateway: Gateway, record: ReleaseRecord, sample: Path, fitted: Mapping[str, Any]) -> Iterator[ReleaseRecord]:
    """The record with the sample stored for it; what raises inside destroys the sample again."""
    kept = {**record.artifacts, "data": gateway.artifacts.put(sample)}
    described = {"sha256": fitted["sha256"], "bytes": fitted["bytes"], "rows": fitted["rows"]}
    record = replace(record, artifacts=kept, release=replace(record.release, **described))
    try:
        yield record
    except BaseException:
        destroy_data(gateway, record)
        raise
