"""Quotas: what one person may take in a sliding window of time, inside the accounts' caps.

Three limits: a share of each account's cap and a number of releases, both without what was voided, and a number of
requests with what was voided, so that asking and cancelling for ever writes no endless book. Everything is read from
the ledger in the transaction that reserves, so clients that race are admitted one after the other. What is told of it
is what the caller did. A person is counted once, whatever principals the settings give it; the quota is that of the
principal who asks.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from server.config import Quota
from server.gateway import Gateway
from server.identity import Principal
from server.ledger import rules
from server.store import Transaction
from synthgate.errors import QuotaExhausted
from synthgate.ledger import PPM, Balance, Charge, EntryKind, ReservationState

NOTHING = Charge(epsilon=0, delta=0, rdp=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reserved:
    """A charge that the person reserved in the window."""

    at: datetime
    account: str
    charge: Charge
    voided: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the person behind a principal with a quota has taken in the window that ends now, oldest first."""

    principal: str
    quota: Quota
    reserved: tuple[_Reserved, ...]

    def refusal(self, balance: Balance, charge: Charge) -> QuotaExhausted | None:
        """Why one release more for ``charge`` does not fit; None where it does."""
        live = [r for r in self.reserved if not r.voided]
        return (
            self._counted("requests", [r.at for r in self.reserved], self.quota.requests)
            or self._counted("releases", [r.at for r in live], self.quota.releases)
            or self._shared(balance, charge, [r for r in live if r.account == balance.account.name])
        )

    def _counted(self, what: str, times: list[datetime], most: int) -> QuotaExhausted | None:
        if len(times) < most:
            return None
        words = f"{len(times)} of {most} {what} in {self.quota.window_days:g} days"
        return self._refused(what, words, str(most), times[len(times) - most] if most else None)

    def _shared(self, balance: Balance, charge: Charge, mine: list[_Reserved]) -> QuotaExhausted | None:
        most = int(self.quota.share * PPM)
        taken = Balance(account=balance.account, committed=NOTHING, reserved=charge)
        if taken.share_ppm > most:
            return self._refused("share", f"{balance.alone_ppm(charge)} of {most} ppm of the account", str(most), None)
        for each in reversed(mine):  # what is newest leaves the window last
            taken = taken.after(each.charge)
            if taken.share_ppm > most:
                held = Balance(
                    account=balance.account, committed=NOTHING, reserved=rules.total(r.charge for r in mine)
                ).share_ppm
                words = f"{held} of {most} ppm of account {balance.account.name!r} in {self.quota.window_days:g} days"
                return self._refused("share", words, str(most), each.at)
        return None

    def _refused(self, what: str, words: str, most: str, leaves: datetime | None) -> QuotaExhausted:
        """``leaves`` is when what stands in the way was reserved; None where nothing does but the quota itself."""
        fits = leaves + timedelta(days=self.quota.window_days) if leaves else None
        when = "it never fits: ask for less, or the operator for more"
        if fits:
            when = f"it fits from {fits + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ} on"
        facts = {"quota": what, "limit": most, "window_days": f"{self.quota.window_days:g}"}
        return QuotaExhausted(
            f"the quota of {self.principal} is used up: {words}; nothing was charged; {when}",
            facts=facts | ({"fits_at": fits.isoformat()} if fits else {}),
        )


def taken(gateway: Gateway, tx: Transaction, principal: Principal) -> Taken | None:
    """What the person behind the principal has taken, under the principal's own quota or the role's; None for whoever
    has no quota."""
    quotas, person = gateway.settings.quotas, gateway.settings.person
    quota = quotas.get(principal.name) or quotas.get(principal.office)
    if quota is None:
        return None
    since = gateway.now() - timedelta(days=quota.window_days)
    same = {name for name in gateway.settings.principals if person(name) == person(principal.name)}
    made = (entry for name in same | {principal.name} for entry in tx.ledger.made(name, since=since))
    entries = sorted(made, key=attrgetter("sequence"))
    found = rules.reservations_of(entries)
    reserved = tuple(
        _Reserved(
            at=entry.at, account=entry.account, charge=entry.charge,
            voided=found[entry.reservation].state is ReservationState.VOIDED,
        )
        for entry in entries
        if entry.kind is EntryKind.RESERVE and entry.charge is not None
    )  # fmt: skip
    return Taken(principal=principal.name, quota=quota, reserved=reserved)
