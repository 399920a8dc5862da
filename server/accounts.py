"""Accounts: opened by stewards and officers, amended by officers with a reason, read by everyone."""

import re
from collections.abc import Iterable
from dataclasses import replace

from dp_models.base import Plan
from server import checkpoints, pricing
from server.failpoints import Step
from server.gateway import Call, Gateway, checked_reason
from server.identity import Principal
from server.ledger import meter
from server.store import Transaction
from synthgate.budget import PrivacyBudget
from synthgate.errors import InvalidArgument, NotFound, PermissionDenied
from synthgate.ledger import AccountView, Balance, Charge, Entry, EntryKind, PlanPrice

NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")


def open_account(
    gateway: Gateway, call: Call, *, name: str, epsilon: float, delta: float, sandbox: bool
) -> AccountView:
    """Open the budget of one population. Raises InvalidArgument, InvalidBudget, AlreadyExists."""
    check_name(name)
    cap = PrivacyBudget.cap(epsilon, delta)
    account = meter.new_account(name, cap, sandbox=sandbox, by=call.principal.name, at=gateway.now())
    with gateway.store.begin() as tx:
        if call.answered(tx) is None:
            gateway.keys.create_account(name)
            tx.ledger.open(account, reason="opened")
            call.answer(tx, name, epsilon=f"{epsilon:g}", delta=f"{delta:g}", sandbox=str(sandbox).lower())
            gateway.at(Step.OPEN_WRITING)
    gateway.at(Step.OPENED)
    checkpoints.take(gateway)
    return view(gateway, name)


def amend_account(
    gateway: Gateway,
    call: Call,
    *,
    name: str,
    epsilon: float | None,
    delta: float | None,
    verdicts_granted: int | None,
    reason: str,
) -> AccountView:
    """Change a cap or a grant; what is left out stays. Raises NotFound, FailedPrecondition, InvalidArgument, and
    PermissionDenied for who registered data of the account or asked for a release of it."""
    reason = checked_reason(reason)
    with gateway.store.begin() as tx:
        if call.answered(tx) is None:
            account = tx.ledger.balance(name).account
            _disinterested(gateway, tx, name, call.principal)
            cap = PrivacyBudget.cap(
                account.cap.epsilon if epsilon is None else epsilon, account.cap.delta if delta is None else delta
            )
            granted = account.verdicts_granted if verdicts_granted is None else verdicts_granted
            tx.ledger.amend(name, cap=cap, verdicts_granted=granted, by=call.principal.name, reason=reason)
            amounts = {"epsilon": f"{cap.epsilon:g}", "delta": f"{cap.delta:g}", "verdicts_granted": str(granted)}
            call.answer(tx, name, reason=reason, **amounts)
            gateway.at(Step.AMEND_WRITING)
    gateway.at(Step.AMENDED)
    checkpoints.take(gateway)  # a cap that was lowered is not raised again by a backup
    return view(gateway, name)


def _disinterested(gateway: Gateway, tx: Transaction, account: str, principal: Principal) -> None:
    """Raise PermissionDenied for a person who would grant to what they registered, deleted or not, or asked for."""
    registered = tx.datasets.list(deleted=True)
    involved = {(r.dataset.registered_by, *r.registrar_names) for r in registered if r.dataset.account == account}
    asked = tx.releases.list()
    involved |= {(r.release.requested_by, *r.requester_names) for r in asked if r.release.account == account}
    names = gateway.settings.names
    if any(names(principal.name) & names(*each) for each in involved):
        raise PermissionDenied("nobody amends an account whose data they registered or asked for; ask another officer")


def view(gateway: Gateway, name: str) -> AccountView:
    """One account as everyone may see it. Raises NotFound."""
    with gateway.store.begin() as tx:
        found = _read(tx, name)
    return _view(*found)


def views(gateway: Gateway) -> tuple[AccountView, ...]:
    """Every account, in the order of opening."""
    with gateway.store.begin() as tx:
        found = [_read(tx, account.name) for account in tx.ledger.accounts()]
    return tuple(_view(*each) for each in found)


def seen(view: AccountView, principal: Principal) -> AccountView:
    """To an analyst what is reserved counts as committed: when one becomes the other tells how long other jobs took."""
    if principal.sees_stages:
        return view
    return replace(view, balance=folded(view.balance))


def folded(balance: Balance) -> Balance:
    """The same balance with what is reserved shown as committed."""
    held = balance.after(balance.committed).reserved
    return replace(balance, committed=held, reserved=Charge(epsilon=0, delta=0, rdp=0))


def grant(entries: Iterable[Entry]) -> str:
    """What officers granted of verdicts, as attestations say it, from all entries of an account; empty for nothing."""
    granted, last = 0, None
    for entry in entries:
        if entry.cap is not None and entry.verdicts_granted != granted:
            granted, last = entry.verdicts_granted, entry
    return f"{granted} of them granted by {last.principal}, last on {last.at:%Y-%m-%d}" if granted and last else ""


def plan_prices(gateway: Gateway, entries: Iterable[Entry]) -> tuple[PlanPrice, ...]:
    """What the frozen plan of each reserve among ``entries`` costs alone, without those whose release is not known.
    Priced outside of any transaction."""
    with gateway.store.begin() as tx:
        plans = {e.reservation: _plan(tx, e.reservation) for e in entries if e.kind is EntryKind.RESERVE}
    return tuple(pricing.alone(release, plan) for release, plan in plans.items() if plan is not None)


def check_name(name: str) -> None:
    """Raise InvalidArgument for a name that no account or dataset may have."""
    if not NAME.fullmatch(name):
        raise InvalidArgument("a name is 1 to 63 of a-z, 0-9 and '-', starting with a letter")


def _read(tx: Transaction, name: str) -> tuple[Balance, int]:
    return tx.ledger.balance(name), tx.releases.verdicts(name)


def _plan(tx: Transaction, release: str) -> Plan | None:
    try:
        return Plan.from_json(tx.releases.get(release).plan)
    except NotFound:
        return None


def _view(balance: Balance, verdicts: int) -> AccountView:
    return AccountView(
        balance=balance,
        taken_ppm=balance.share_ppm,
        largest_epsilon=pricing.largest_gaussian_epsilon(balance),
        verdicts=verdicts,
    )
