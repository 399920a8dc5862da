"""What the ledger's state machine compares every store with."""

import functools
from dataclasses import dataclass, field

from server.ledger import meter
from synthgate.budget import PrivacyBudget
from synthgate.ledger import Charge, EntryKind

Added = tuple[object, ...]
"""Kind, account, reservation, charge and cap of an entry."""
capacity = functools.cache(meter.capacity)


@dataclass
class Held:
    account: str
    charge: Charge
    state: EntryKind = EntryKind.RESERVE


@dataclass
class Reference:
    """What must hold, in a dozen lines that share nothing with the ledger but K."""

    caps: dict[str, PrivacyBudget] = field(default_factory=dict)
    orders: dict[str, int] = field(default_factory=dict)
    held: dict[str, Held] = field(default_factory=dict)
    entries: list[Added] = field(default_factory=list)

    def id(self, offset: int) -> str:
        return f"r{len(self.held) + offset}"

    def live(self, name: str) -> list[Charge]:
        return [h.charge for h in self.held.values() if h.account == name and h.state is not EntryKind.VOID]

    def fits(self, name: str, charges: list[Charge], cap: PrivacyBudget) -> bool:
        epsilon_fits = sum(c.epsilon for c in charges) <= cap.epsilon_units
        delta_fits = 2 * sum(c.delta for c in charges) <= cap.delta_units
        k = capacity(cap, self.orders[name])
        rdp = [c.rdp for c in charges if c.rdp is not None]
        return (epsilon_fits and delta_fits) or (k > 0 and len(rdp) == len(charges) and sum(rdp) <= k)
