"""What the ledger's verbs may do, as pure functions: the state that entries give, and the next entry or the refusal.

Entries that these functions return are not yet placed: ``server.ledger.chain.seal`` gives sequence and digests.
Invariants: an account's sums run over RESERVED and COMMITTED reservations; a void takes its charge out of both meters;
a commit is for ever; no entry may leave both meters above their caps; a refusal changes nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction

from server.ledger import meter
from synthgate.budget import PrivacyBudget
from synthgate.errors import AlreadyExists, BudgetExhausted, FailedPrecondition, InvalidArgument, NotFound, WrongState
from synthgate.ledger import PPM, Account, Balance, Charge, Entry, EntryKind, Reservation, ReservationState

AMOUNT_MAX = 2**62
"""No charge has a larger component; every store holds it exactly."""

Scale = tuple[Callable[[Charge], int], int]

_STATES = {
    EntryKind.RESERVE: ReservationState.RESERVED,
    EntryKind.COMMIT: ReservationState.COMMITTED,
    EntryKind.VOID: ReservationState.VOIDED,
}


def account_of(name: str, entries: Iterable[Entry]) -> Account:
    """The account that its entries, in order, give. Raises NotFound where none opens it."""
    account: Account | None = None
    for entry in entries:
        if entry.kind is EntryKind.OPEN and entry.cap is not None:
            account = Account(
                name=entry.account, cap=entry.cap, order=entry.order, capacity=entry.capacity, sandbox=entry.sandbox,
                opened_by=entry.principal, opened_at=entry.at, verdicts_granted=entry.verdicts_granted,
            )  # fmt: skip
        elif entry.kind is EntryKind.AMEND and entry.cap is not None and account is not None:
            account = replace(account, cap=entry.cap, capacity=entry.capacity, verdicts_granted=entry.verdicts_granted)
    if account is None:
        raise NotFound(f"there is no account {name!r}")
    return account


def reservations_of(entries: Iterable[Entry]) -> dict[str, Reservation]:
    """The reservations that entries, in order, give, by id."""
    found: dict[str, Reservation] = {}
    for entry in entries:
        if entry.kind in _STATES and entry.charge is not None:
            found[entry.reservation] = Reservation(
                id=entry.reservation, account=entry.account, charge=entry.charge, state=_STATES[entry.kind]
            )
    return found


def balance_of(name: str, entries: Sequence[Entry]) -> Balance:
    """The balance of one account from all its entries, in order. Raises NotFound."""
    held = reservations_of(entries).values()
    return Balance(
        account=account_of(name, entries),
        committed=total(r.charge for r in held if r.state is ReservationState.COMMITTED),
        reserved=total(r.charge for r in held if r.state is ReservationState.RESERVED),
    )


def total(charges: Iterable[Charge]) -> Charge:
    """The sum; ``rdp`` is None as soon as one of them is."""
    epsilon, delta, rdp = 0, 0, 0
    opaque = False
    for each in charges:
        epsilon, delta, rdp = epsilon + each.epsilon, delta + each.delta, rdp + (each.rdp or 0)
        opaque |= each.rdp is None
    return Charge(epsilon=epsilon, delta=delta, rdp=None if opaque else rdp)


def opened(account: Account, *, taken: bool, reason: str) -> Entry:
    """The entry of a new account, whose order and capacity must be the meter's for its cap.

    Raises AlreadyExists where the name is ``taken``, InvalidArgument.
    """
    if taken:
        raise AlreadyExists(f"an account {account.name!r} exists; choose another name or amend that one")
    if (account.order, account.capacity) != meter.order_and_capacity(account.cap):
        raise InvalidArgument("an account opens with the order and capacity that its cap gives; use meter.new_account")
    _check_grant(account.verdicts_granted)
    return _entry(
        EntryKind.OPEN, account.name, by=account.opened_by, at=account.opened_at, reason=reason, cap=account.cap,
        order=account.order, capacity=account.capacity, sandbox=account.sandbox,
        verdicts_granted=account.verdicts_granted,
    )  # fmt: skip


def amended(
    balance: Balance, *, cap: PrivacyBudget, verdicts_granted: int, by: str, reason: str, at: datetime
) -> Entry:
    """The entry of a new cap, with K at the frozen order, or grant. Raises FailedPrecondition, InvalidArgument."""
    if not reason.strip():
        raise InvalidArgument("give a reason for the amendment; it is kept in the ledger")
    _check_grant(verdicts_granted)
    account = replace(balance.account, cap=cap, capacity=meter.capacity(cap, balance.account.order))
    if not replace(balance, account=account).holds:
        raise FailedPrecondition(
            f"epsilon {cap.epsilon:g} at delta {cap.delta:g} lies below what account {account.name!r} has already "
            "committed and reserved; choose a larger cap, or cancel releases that wait"
        )
    return _entry(
        EntryKind.AMEND, account.name, by=by, at=at, reason=reason, cap=cap, order=account.order,
        capacity=account.capacity, sandbox=account.sandbox, verdicts_granted=verdicts_granted,
    )  # fmt: skip


def reserved(balance: Balance, reservation: str, charge: Charge, *, taken: bool, by: str, at: datetime) -> Entry:
    """The entry that sets ``charge`` aside. Raises AlreadyExists where the id is ``taken``, BudgetExhausted,
    InvalidArgument for a charge that no meter can count."""
    if not reservation:
        raise InvalidArgument("a reservation needs an id")
    amounts = (charge.epsilon, charge.delta, 0 if charge.rdp is None else charge.rdp)
    if any(type(a) is not int or not 0 <= a < AMOUNT_MAX for a in amounts) or charge.epsilon == 0:
        raise InvalidArgument("a charge has a positive epsilon and whole amounts that are not negative")
    if taken:
        raise AlreadyExists(f"reservation {reservation!r} exists")
    if not balance.admits(charge):
        raise exhausted(balance, charge)
    return _entry(EntryKind.RESERVE, balance.account.name, by=by, at=at, reservation=reservation, charge=charge)


def settled(kind: EntryKind, found: Reservation, *, by: str, at: datetime, reason: str = "") -> Entry:
    """The COMMIT or VOID entry of a reservation. Raises WrongState unless it is RESERVED."""
    if found.state is not ReservationState.RESERVED:
        raise WrongState(f"reservation {found.id!r} is {found.state}; only a RESERVED one can be committed or voided")
    return _entry(kind, found.account, by=by, at=at, reason=reason, reservation=found.id, charge=found.charge)


def exhausted(balance: Balance, charge: Charge) -> BudgetExhausted:
    """The refusal of ``charge``, with every share read on the meter that comes closest to admitting it.

    So committed, reserved and asked add up to more than 100 %; the smaller share of each over both meters might not.
    Whoever knows the plan's price adds the largest epsilon that still fits (`meter.largest_epsilon`).
    """
    cap, name = balance.account.cap, balance.account.name
    amount, limit = _binding(balance, charge)
    committed, held, asked = (_ppm(amount(c), limit) for c in (balance.committed, balance.reserved, charge))
    return BudgetExhausted(
        f"account {name!r} does not admit this: of its cap (epsilon {cap.epsilon:g}, delta {cap.delta:g}) "
        f"{_percent(committed)} is committed, {_percent(held)} reserved, and {_percent(asked)} was asked; nothing was "
        "charged",
        facts={
            "account": name,
            "cap_epsilon": f"{cap.epsilon:g}",
            "cap_delta": f"{cap.delta:g}",
            "committed_ppm": str(committed),
            "reserved_ppm": str(held),
            "taken_ppm": str(_ppm(amount(balance.committed) + amount(balance.reserved), limit)),
            "asked_ppm": str(asked),
        },
    )


def _binding(balance: Balance, charge: Charge) -> Scale:
    """How to read an amount of a charge, and its limit, on the meter that ``charge`` overshoots least."""
    after = total((balance.committed, balance.reserved, charge))

    def share(scale: Scale) -> Fraction:
        amount, limit = scale
        return Fraction(amount(after), limit or 1)

    epsilon: Scale = (lambda c: c.epsilon, balance.account.cap.epsilon_units)
    delta: Scale = (lambda c: c.delta, balance.delta_cap)
    meter_a = max(epsilon, delta, key=share)
    if balance.after(charge).rdp is None:
        return meter_a
    meter_b: Scale = (lambda c: c.rdp or 0, balance.account.capacity)
    return min(meter_a, meter_b, key=share)


def _ppm(part: int, whole: int) -> int:
    return -(-part * PPM // (whole or 1))


def _percent(ppm: int) -> str:
    return f"{ppm * 100 / PPM:.1f} %"


def _check_grant(verdicts: int) -> None:
    if type(verdicts) is not int or verdicts < 0:
        raise InvalidArgument("verdicts_granted is a whole number that is not negative")


def _entry(
    kind: EntryKind, account: str, *, by: str, at: datetime, reason: str = "", reservation: str = "",
    charge: Charge | None = None, cap: PrivacyBudget | None = None, order: int = 0, capacity: int = 0,
    sandbox: bool = False, verdicts_granted: int = 0,
) -> Entry:  # fmt: skip
    return Entry(
        sequence=0, previous="", digest="", account=account, kind=kind, principal=by, reason=reason, at=at,
        reservation=reservation, charge=charge, cap=cap, order=order, capacity=capacity, sandbox=sandbox,
        verdicts_granted=verdicts_granted,
    )  # fmt: skip
