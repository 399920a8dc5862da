"""A gateway in memory with several officers, releases that await two of them, and whoever can write its database."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from server import accounts, approvals, quorum
from server.artifacts import Artifacts
from server.attestation import Signer
from server.catalog.base import ReleaseRecord
from server.ciphertext import Key
from server.config import Settings
from server.gateway import Gateway
from server.identity import Appointment, Office, Principal
from server.keys import Keys
from server.quorum import Quorum
from server.sealed import Sealed
from server.store_memory import MemoryStore
from synthgate.policy import EXACT_POLICY
from synthgate.release import Release, ReleaseState
from tests.server.composed import STEWARD, TICK_S, Clock, call, registered
from tests.server.released import bucket, charged

OLGA, OTTO, ODA = (Principal(name, Office.OFFICER) for name in ("olga", "otto", "oda"))
PRINCIPALS = {
    "steward": Appointment(Office.STEWARD),
    "analyst": Appointment(Office.ANALYST),
    "olga": Appointment(Office.OFFICER),
    "otto": Appointment(Office.OFFICER),
    "oda": Appointment(Office.OFFICER),
}
TWO = replace(EXACT_POLICY, name="two", approvals=2, verdicts_max=100)
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class TwoOfThree:
    """One release of the analyst that awaits two of three officers."""

    gateway: Gateway
    clock: Clock
    release: str

    def quorum(self) -> Quorum:
        with self.gateway.store.begin() as tx:
            return quorum.quorum(self.gateway, tx, tx.releases.get(self.release))

    def stored(self) -> ReleaseRecord:
        with self.gateway.store.begin() as tx:
            return tx.releases.get(self.release)

    def approve(self, officer: Principal, *, binding: str = "") -> Release:
        """Approve what is there now, or what ``binding`` names."""
        digest = binding or self.quorum().binding.digest
        return approvals.approve(
            self.gateway, call(officer), self.release, binding=digest, reason="looked at it"
        ).release

    def edit(self, change: Callable[[dict[str, Any]], object], *, of: str = "releases") -> None:
        """Change what is stored of the release, or of its dataset, as whoever can write the database does."""
        assert isinstance(self.gateway.store, MemoryStore)
        assert self.gateway.store._kept is not None
        kept: dict[str, str] = getattr(self.gateway.store._kept, of)
        key = self.release if of == "releases" else "table"
        document = json.loads(kept[key])
        change(document)
        kept[key] = json.dumps(document)

    def within(self, **settings: Any) -> "TwoOfThree":
        """The same under other settings."""
        changed = self.gateway.settings.model_copy(update=settings)
        return replace(self, gateway=replace(self.gateway, settings=changed))


def awaiting(
    folder: Path, *, approvals_needed: int = 2, principals: Mapping[str, Appointment] = PRINCIPALS
) -> TwoOfThree:
    clock, keys = Clock(), Keys(folder / "keys")
    settings = Settings(state=folder, verdict_tick_s=TICK_S, principals=dict(principals))
    gateway = Gateway(
        settings=settings, store=MemoryStore(clock=clock), artifacts=Artifacts(bucket(), (Key(bytes(32)),)),
        keys=keys, signer=Signer(keys.signing()), now=clock, sealed=Sealed(folder / "attempts", keys),
    )  # fmt: skip
    accounts.open_account(gateway, call(STEWARD), name="people", epsilon=3.0, delta=1e-6, sandbox=False)
    registered(gateway, policy=replace(TWO, approvals=approvals_needed))
    clock.seconds = TICK_S + 1
    return TwoOfThree(gateway, clock, another(gateway))


def another(gateway: Gateway) -> str:
    """One more release that awaits the officers."""
    kinds = ("data", "model", "report_json", "report_html", "report_decision")
    contents = {kind: f"the {kind} of {len(gateway.artifacts.digests())}".encode() for kind in kinds}
    return charged(gateway, ReleaseState.AWAITING_APPROVAL, contents)
