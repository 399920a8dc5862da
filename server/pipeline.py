"""`run_release`: one release, in one direction.

    seal a secret -> commit the charge -> fit the plan -> evaluate the sample -> decide
        -> reject, or keep -> await approval, or release

The charge is durable before a private row can be opened, and nothing after that gives it back. Every pair of writes is
placed so that a crash over-counts: what a crash leaves behind is unreachable, and `server.recovery` queues the release
again or closes it. A release that is run again has been charged, and draws what it drew before.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from dp_models.base import Plan
from dp_models.mechanisms.accounting import epsilon
from dp_models.registry import own
from server import checkpoints, pricing
from server.accounts import grant
from server.after_verdict import REPORT, decided_before, plain
from server.attempts import Run, advance, at_rest_afterwards, attempt, check_wanted, kept
from server.attestation import statement
from server.catalog.base import DatasetRecord, ReleaseRecord
from server.environments import interpreter
from server.failpoints import Step
from server.gateway import GATEWAY, Gateway
from server.jobs import runner
from server.policy import decide, verdicts_allowed
from server.publication import publish
from server.releases import move
from server.replays import repeatable, seal, unsealed
from server.sealed import VERDICT
from server.store import Transaction
from synthgate.accounted import NoisyMargin
from synthgate.errors import WrongState
from synthgate.ledger import EntryKind, ReservationState
from synthgate.policy import EPSILON, MARGIN, Verdict
from synthgate.release import ReleaseState
from synthgate.report import Report
from synthgate.statement import PrivacyStatement


def run_release(gateway: Gateway, release: str) -> None:
    """Bring a PENDING release to rest: RELEASED, REJECTED, AWAITING_APPROVAL, FAILED or CANCELLED."""
    with gateway.store.begin() as tx:
        record = tx.releases.get(release)
        if record.release.state is not ReleaseState.PENDING:
            return
        dataset = tx.datasets.get(record.release.dataset)
        gateway.leases.check(tx, release)
        if tx.ledger.reservation(release).state is ReservationState.RESERVED:
            seal(gateway, record, dataset)
            tx.ledger.commit(release, by=GATEWAY)
            record = _numbered(gateway, tx, record)
        record = move(gateway, tx, record, ReleaseState.TRAINING)
        tx.audit.append(principal=GATEWAY, action=str(ReleaseState.TRAINING), resource=release, detail={})
        gateway.at(Step.COMMIT_WRITING)
    with (
        at_rest_afterwards(gateway, release),
        attempt(gateway, release, _secret(gateway, record, dataset)) as (work, run),
    ):
        checkpoints.take(gateway)  # no backup of the database can take back what rows are opened for
        plan, sample = Plan.from_json(record.plan), work / "fit" / "sample.parquet"
        fitted = _fit(gateway, record, dataset, run)
        claim = statement(plan, dataset, record, noise=tuple(fitted["noise"]), weaknesses=tuple(fitted["weaknesses"]))
        record = advance(gateway, replace(record, statement=claim.to_dict()), ReleaseState.EVALUATING)
        report = _evaluate(gateway, record, dataset, sample, fitted["sha256"], work, run)
        verdict = decide(record.policy, dataset.dataset.domain, claim, report)
        record = _with_margin(record, report)
        record = _keep_report(gateway, record, dataset, claim, verdict, work, run)
        if not verdict.passed:
            shutil.rmtree(work / "fit")
            advance(gateway, record, ReleaseState.REJECTED, reasons=verdict.reasons)
            return
        with kept(gateway, record, fitted, _files(sample, fitted)) as record:
            if record.policy.approvals > 0:
                advance(gateway, record, ReleaseState.AWAITING_APPROVAL)
                return
            with gateway.store.begin() as tx:
                check_wanted(gateway, tx, record)
                publish(gateway, tx, record)
            gateway.at(Step.RELEASED)


def _numbered(gateway: Gateway, tx: Transaction, record: ReleaseRecord) -> ReleaseRecord:
    """The record with which unaccounted verdict of the account it is, of how many allowed, and what the account is."""
    account = record.release.account
    opened = tx.ledger.balance(account).account
    if record.accounted:
        return replace(record, sandbox=opened.sandbox)
    entries, accounted = tx.ledger.entries(account), tx.releases.accounted(account)
    commits = sum(entry.kind is EntryKind.COMMIT and entry.reservation not in accounted for entry in entries)
    limit, granted = gateway.settings.verdicts_per_account, opened.verdicts_granted
    return replace(
        record, verdict_number=commits, sandbox=opened.sandbox, verdicts_grant=grant(entries),
        verdicts_allowed=verdicts_allowed(record.policy, limit=limit, granted=granted),
    )  # fmt: skip


def _secret(gateway: Gateway, record: ReleaseRecord, dataset: DatasetRecord) -> bytes:
    """What keys the attempt. Raises WrongState or FailedPrecondition, before a row is opened, where the plan is not the
    one that its charge was reserved for, or is for another domain or verdict: then the catalog was edited."""
    plan = Plan.from_json(record.plan)
    with gateway.store.begin() as tx:
        kept = tx.ledger.reservation(record.release.id).charge
        account = tx.ledger.balance(record.release.account).account
    within = epsilon(plan.event, plan.budget.delta) <= plan.budget.epsilon
    asked = plan.domain == dataset.dataset.domain.digest and record.accounted is (plan.verdict is not None)
    if pricing.charge(plan, account) != kept or not asked or not within:
        raise WrongState("the plan is not the one that its charge was reserved for; nothing was opened for it")
    return unsealed(gateway, record, dataset)


def _rows(gateway: Gateway, dataset: DatasetRecord, part: str) -> str:
    return str((gateway.settings.rows / dataset.dataset.name / f"{part}.parquet").absolute())


def _fit(gateway: Gateway, record: ReleaseRecord, dataset: DatasetRecord, run: Run) -> Mapping[str, Any]:
    spec = {
        "domain": dataset.dataset.domain.to_dict(),
        "plan": dict(record.plan),
        "train": _rows(gateway, dataset, "train"),
        "journal": str(gateway.sealed.journal(record.release.id, fence=gateway.leases.mine(record.release.id).fence)),
    }
    gateway.news.publish(record.release.id, stage="starting")
    python = interpreter(gateway.settings, record.release.engine)
    return run("fit", spec, gateway.settings.fit_timeout_s, python=python)


def _evaluate(
    gateway: Gateway, record: ReleaseRecord, dataset: DatasetRecord, sample: Path, sha256: str, work: Path, run: Run
) -> Report:
    """The report on the very bytes that were sampled, with the noisy margin of an accounted verdict; other bytes are a
    fault."""
    spec = {
        **record.policy.attacker.spec(dataset.dataset.domain),
        "train": _rows(gateway, dataset, "train"),
        "holdout": _rows(gateway, dataset, "holdout"),
        "sample": str(sample.absolute()),
        **_verdict(gateway, record, dataset),
    }
    folder = work / "evaluate"
    try:
        judged = run("evaluate", spec, gateway.settings.evaluate_timeout_s)
    except runner.JobFailed as failure:
        again = partial(repeatable, gateway, record, dataset)
        judged = decided_before(failure, folder, record, again=again)
    if judged["sample_sha256"] != sha256:
        raise runner.JobFailed(runner.Reason.CRASHED)
    return Report.from_dict(json.loads((folder / REPORT).read_bytes()))


def _verdict(gateway: Gateway, record: ReleaseRecord, dataset: DatasetRecord) -> Mapping[str, Any]:
    """What the evaluation needs for an accounted verdict; nothing for an exact one."""
    if not record.accounted:
        return {}
    release, rules = record.release.id, record.policy.concrete(dataset.dataset.domain)
    journal = gateway.sealed.journal(release, fence=gateway.leases.mine(release).fence, of=VERDICT)
    return {
        "plan": dict(record.plan),
        "rules": [rule.to_dict() for rule in rules if rule.score != EPSILON],
        "journal": str(journal),
    }


def _with_margin(record: ReleaseRecord, report: Report) -> ReleaseRecord:
    """The record with the noisy margin that decided, where there is one."""
    score, plan = report.get(MARGIN), Plan.from_json(record.plan)
    if score is None or plan.verdict is None:
        return record
    margin = NoisyMargin(value=int(score.value), sigma=plan.verdict.sigma)
    return replace(record, release=replace(record.release, margin=margin))


def _keep_report(
    gateway: Gateway,
    record: ReleaseRecord,
    dataset: DatasetRecord,
    claim: PrivacyStatement,
    verdict: Verdict,
    work: Path,
    run: Run,
) -> ReleaseRecord:
    """Render the report and keep its forms, for stewards and officers."""
    release = record.release
    number = f"{record.verdict_number} of {record.verdicts_allowed} allowed on this account"
    facts = {
        "release": release.id, "dataset": release.dataset, "engine": f"{release.engine} ({release.because})",
        "asked": f"epsilon {release.epsilon:g} at delta {release.delta:g}", "account": release.account,
        "requested by": release.requested_by, "registered by": dataset.dataset.registered_by,
        "decision": "inside the epsilon, and not counted" if record.accounted else number,
    }  # fmt: skip
    spec = {
        "report": str((work / "evaluate" / REPORT).absolute()), "facts": facts,
        "title": f"Release {release.id} of {release.dataset}", "verdict": verdict.to_dict(),
        "statement": claim.to_dict(), "domain": dataset.dataset.domain.to_dict(), "policy": record.policy.to_dict(),
        "audited": own(release.engine), "tick_s": gateway.settings.verdict_tick_s,
    }  # fmt: skip
    try:
        run("render", spec, gateway.settings.evaluate_timeout_s)
    except runner.JobFailed as failure:
        plain(failure, work / "render", record, spec, again=partial(repeatable, gateway, record, dataset))
    with gateway.store.begin() as tx:
        check_wanted(gateway, tx, record)
    stored = gateway.artifacts.put(work / "render" / "report.json")
    gateway.at(Step.REPORT_STORED)
    page = gateway.artifacts.put(work / "render" / "report.html")
    decision = gateway.artifacts.put(work / "render" / "decision.html")
    gateway.at(Step.REPORT_PAGE_STORED)
    return replace(record, artifacts={"report_json": stored, "report_html": page, "report_decision": decision})


def _files(sample: Path, fitted: Mapping[str, Any]) -> dict[str, Path]:
    """What is stored of a fit: the sample, and the model where its engine's can be."""
    model = {"model": sample.with_name(fitted["model"])} if fitted["model"] else {}
    return {"data": sample, **model}
