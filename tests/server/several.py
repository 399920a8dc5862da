"""Gateways that share one store in this process, with clocks that the tests set."""

from dataclasses import dataclass, replace
from pathlib import Path

from server import accounts
from server.app import compose
from server.catalog.base import ReleaseRecord
from server.config import Settings
from server.gateway import Gateway
from server.identity import provision
from server.leases import Leases
from server.ledger import meter
from server.store import Store
from server.store_sql import SqlStore
from synthgate.budget import PrivacyBudget
from synthgate.release import ReleaseState
from tests.server.composed import STEWARD, TICK_S, Clock, asked, call, registered

TTL_S, MARGIN_S = 10.0, 3.0
TINY = meter.charge(budget=PrivacyBudget.spend(0.001, 1e-15), rdp=1e-6)


@dataclass(frozen=True)
class Several:
    """One state folder and one store with a clock; every gateway of them believes in a clock of its own."""

    folder: Path
    clock: Clock
    store: Store | None = None

    def gateway(self, instance: str, *, monotonic: Clock | None = None, leases: type[Leases] = Leases) -> Gateway:
        seconds = monotonic or self.clock
        made = compose(Settings(state=self.folder, verdict_tick_s=TICK_S, jobs=4))
        made.store.close()
        return replace(
            made, now=self.clock, store=self.store or SqlStore(self.folder / "gateway.db", clock=self.clock),
            leases=leases(
                instance=instance, ttl_s=TTL_S, margin_s=MARGIN_S, alone=False, monotonic=lambda: seconds.seconds
            ),
        )  # fmt: skip


def opened(gateway: Gateway, clock: Clock) -> ReleaseRecord:
    """An account and a dataset that can be asked of, and one PENDING release."""
    provision(gateway.store, gateway.settings.tokens)
    accounts.open_account(gateway, call(STEWARD), name="people", epsilon=3.0, delta=1e-6, sandbox=False)
    registered(gateway)
    clock.seconds += TICK_S
    with gateway.store.begin() as tx:
        release = tx.releases.list()
    if release:
        return release[0]
    name = asked(gateway)
    with gateway.store.begin() as tx:
        return tx.releases.get(name)


def another(gateway: Gateway, like: ReleaseRecord, name: str, *path: ReleaseState) -> ReleaseRecord:
    """A release like it under another id, reserved for a tiny charge, moved along ``path`` as a job does: the charge is
    committed before the first step."""
    record = replace(like, release=replace(like.release, id=name, state=ReleaseState.PENDING))
    with gateway.store.begin() as tx:
        tx.ledger.reserve("people", name, TINY, by="analyst")
        tx.releases.add(record)
        if path:
            tx.ledger.commit(name, by="gateway")
        for state in path:
            before, record = record, replace(record, release=replace(record.release, state=state))
            tx.releases.replace(record, expected=before.release.state)
    return record
