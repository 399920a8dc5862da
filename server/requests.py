"""Requests for releases: `quote` prices one, `create` admits it, reserves its charge and queues the work.

Everything here follows from public facts, so refusals say everything and cost nothing.
"""

import secrets
from dataclasses import dataclass

from dp_models.base import Plan
from dp_models.mechanisms.accounting import epsilon as pld_epsilon
from server import datasets, environments, policy, pricing, quotas
from server.accounts import folded
from server.catalog.base import DatasetRecord, ReleaseRecord
from server.failpoints import Step
from server.gateway import Call, Gateway
from server.identity import Principal
from server.ledger import rules
from server.store import Transaction
from synthgate.budget import PrivacyBudget
from synthgate.dataset import DatasetState, PublicSizes
from synthgate.errors import BudgetExhausted, EngineNotCertified, NotFound, PolicyRefused, WrongState
from synthgate.ledger import Balance, Charge
from synthgate.policy import VerdictKind
from synthgate.release import Quote, Release, ReleaseState


@dataclass(frozen=True, slots=True)
class Unmade:
    """What admission read where it could not end: no ``plan`` is known yet, or its charge does not fit."""

    record: DatasetRecord
    balance: Balance
    budget: PrivacyBudget
    plan: Plan | None


def quote(
    gateway: Gateway, principal: Principal, *, dataset: str, engine: str, epsilon: float, delta: float | None
) -> Quote:
    """Price a request: no charge, no row. What would refuse it is listed, not raised; a malformed request raises, and
    so does one for an engine that may run but whose environment is missing."""
    with gateway.store.begin() as tx:
        record = _ready(gateway, tx, principal, dataset)
        balance = tx.ledger.balance(record.dataset.account)
        verdicts = _verdicts(tx, record)
        taken = quotas.taken(gateway, tx, principal)
    plan, charge = _price(record, balance, engine, epsilon, delta)
    if _uncertified(gateway, record, plan, balance) is None:
        environments.check(gateway.settings, plan.engine)
    refusals = _refusals(gateway, record, plan, balance, verdicts)
    largest = pricing.largest_epsilon(balance, engine, record.dataset.domain, _sizes(record), record.policy.verdict)
    if not balance.admits(charge):
        refusals = (*refusals, _exhausted(balance, charge, plan, largest).message)
    if taken is not None and (beyond := taken.refusal(balance, charge)):
        refusals = (*refusals, beyond.message)
    return Quote(
        engine=plan.engine, because=plan.because, epsilon=plan.budget.epsilon, delta=plan.budget.delta,
        plan_epsilon=pld_epsilon(plan.event, plan.budget.delta), share_ppm=balance.alone_ppm(charge),
        taken_ppm=balance.share_ppm, after_ppm=balance.after(charge).share_ppm, largest_epsilon=largest,
        refusals=refusals, rows=plan.sizes.sample_rows,
    )  # fmt: skip


def create(
    gateway: Gateway, call: Call, *, dataset: str, engine: str, epsilon: float, delta: float | None
) -> ReleaseRecord:
    """Admit, reserve the charge and queue the work, in one transaction; every refusal is free of charge.

    Raises InvalidArgument, NotFound, WrongState, EngineNotCertified, PolicyRefused, BudgetExhausted, QuotaExhausted,
    and FailedPrecondition where the engine cannot plan it or its environment is missing.
    """

    def admit(tx: Transaction) -> ReleaseRecord | Unmade:
        if (known := call.answered(tx)) is not None:
            return tx.releases.get(known)
        record = _ready(gateway, tx, call.principal, dataset)
        balance = tx.ledger.balance(record.dataset.account)
        budget = _budget(balance, epsilon, delta)
        plan = pricing.known(engine, record.dataset.domain, _sizes(record), budget, record.policy.verdict)
        made = None if plan is None else _reserve(gateway, tx, call, record, plan, balance)
        return made or Unmade(record, balance, budget, plan)

    while isinstance(found := gateway.store.together(admit), Unmade):
        domain, sizes, verdict = found.record.dataset.domain, _sizes(found.record), found.record.policy.verdict
        if found.plan is not None:
            charge = pricing.charge(found.plan, found.balance.account)
            largest = pricing.largest_epsilon(found.balance, engine, domain, sizes, verdict)
            raise _exhausted(found.balance, charge, found.plan, largest)
        pricing.plan(engine, domain, sizes, found.budget, verdict)  # may take seconds, once: never inside a transaction
    gateway.at(Step.RESERVED)
    gateway.wake.set()
    return found


def _reserve(
    gateway: Gateway, tx: Transaction, call: Call, record: DatasetRecord, plan: Plan, balance: Balance
) -> ReleaseRecord | None:
    """The new release; None where the account does not admit its charge."""
    verdicts = _verdicts(tx, record)
    _check(gateway, record, plan, balance, verdicts)
    charge = pricing.charge(plan, balance.account)
    taken = quotas.taken(gateway, tx, call.principal)
    if taken is not None and (beyond := taken.refusal(balance, charge)):
        raise beyond
    release = _new(gateway, call, record, plan, balance, charge)
    try:
        tx.ledger.reserve(release.account, release.id, charge, by=call.principal.name)
    except BudgetExhausted:
        return None
    made = ReleaseRecord(
        release=release, plan=plan.to_json(), policy=record.policy, verdict_number=0 if plan.verdict else verdicts + 1,
        requester_names=tuple(sorted(gateway.settings.names(call.principal.name))),
    )  # fmt: skip
    tx.releases.add(made)
    call.answer(tx, release.id, dataset=release.dataset, engine=release.engine, epsilon=f"{release.epsilon:g}")
    gateway.at(Step.RESERVE_WRITING)
    return made


def _new(gateway: Gateway, call: Call, record: DatasetRecord, plan: Plan, balance: Balance, charge: Charge) -> Release:
    now = gateway.now()
    return Release(
        id=f"r-{secrets.token_hex(8)}", dataset=record.dataset.name, account=record.dataset.account,
        engine=plan.engine, because=plan.because, epsilon=plan.budget.epsilon, delta=plan.budget.delta,
        share_ppm=balance.alone_ppm(charge), state=ReleaseState.PENDING, requested_by=call.principal.name,
        created_at=now, updated_at=now, approvals_needed=record.policy.approvals,
    )  # fmt: skip


def _ready(gateway: Gateway, tx: Transaction, principal: Principal, dataset: str) -> DatasetRecord:
    record = tx.datasets.get(dataset)
    if record.dataset.state is DatasetState.DELETED:
        raise NotFound(f"there is no dataset {dataset!r}")
    if datasets.state_seen(gateway, record, principal) is not DatasetState.READY:
        raise WrongState(f"dataset {dataset!r} is not READY yet; upload its rows and wait until it is")
    return record


def _verdicts(tx: Transaction, record: DatasetRecord) -> int:
    """Unaccounted verdicts of the account so far; not looked up for a policy that adds none, for all of its accounted
    releases are behind the answer."""
    return tx.releases.verdicts(record.dataset.account) if record.policy.verdict is VerdictKind.EXACT else 0


def _sizes(record: DatasetRecord) -> PublicSizes:
    if record.dataset.sizes is None:
        raise WrongState("the dataset's sizes are not known yet")
    return record.dataset.sizes


def _price(
    record: DatasetRecord, balance: Balance, engine: str, epsilon: float, delta: float | None
) -> tuple[Plan, Charge]:
    budget = _budget(balance, epsilon, delta)
    plan = pricing.plan(engine, record.dataset.domain, _sizes(record), budget, record.policy.verdict)
    return plan, pricing.charge(plan, balance.account)


def _budget(balance: Balance, epsilon: float, delta: float | None) -> PrivacyBudget:
    return PrivacyBudget.spend(epsilon, pricing.default_delta(balance.account) if delta is None else delta)


def _refusals(gateway: Gateway, record: DatasetRecord, plan: Plan, balance: Balance, verdicts: int) -> tuple[str, ...]:
    return policy.admit(
        record.policy, plan, record.dataset.domain, certified=plan.engine in gateway.settings.certified_engines,
        sandbox=balance.account.sandbox, verdicts=verdicts,
        allowed=policy.verdicts_allowed(
            record.policy, limit=gateway.settings.verdicts_per_account, granted=balance.account.verdicts_granted
        ),
    )  # fmt: skip


def _uncertified(gateway: Gateway, record: DatasetRecord, plan: Plan, balance: Balance) -> str | None:
    certified, sandbox = plan.engine in gateway.settings.certified_engines, balance.account.sandbox
    return policy.certified_or_why(record.policy, plan.engine, certified=certified, sandbox=sandbox)


def _check(gateway: Gateway, record: DatasetRecord, plan: Plan, balance: Balance, verdicts: int) -> None:
    if why := _uncertified(gateway, record, plan, balance):
        raise EngineNotCertified(f"{why}; certified are {', '.join(gateway.settings.certified_engines)}")
    environments.check(gateway.settings, plan.engine)
    if refusals := _refusals(gateway, record, plan, balance, verdicts):
        raise PolicyRefused("; ".join(refusals), facts={f"refusal_{i}": r for i, r in enumerate(refusals, 1)})


def _exhausted(balance: Balance, charge: Charge, plan: Plan, largest: float) -> BudgetExhausted:
    """The ledger's refusal, with what would still fit."""
    refusal = rules.exhausted(folded(balance), charge)
    advice = (
        f"the largest epsilon that still fits is {largest:g} for {plan.engine}"
        if largest > 0
        else f"no epsilon of {plan.engine} fits any more; an officer can amend the account"
    )
    facts = refusal.facts | {"largest_epsilon": f"{largest:g}"}
    return BudgetExhausted(f"{refusal.message}; {advice}", facts=facts)
