"""synthgate: the vocabulary of the gateway, its errors, and its client.

    import synthgate
    with synthgate.Client.from_state(Path("state"), "analyst") as gateway:
        release = gateway.create_release("people", epsilon=1.0)

Importing it loads the standard library alone; `Client` brings gRPC when it is first used. Offline verification is
`synthgate.verify.verify`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from synthgate.attestation import Attestation
from synthgate.budget import PrivacyBudget
from synthgate.dataset import Dataset, DatasetState, DatasetView, PrivacyUnit, PublicSizes
from synthgate.derivation import Condition, Derivation, Rebalance, Share
from synthgate.domain import Column, Domain, Kind, Role
from synthgate.errors import SynthgateError
from synthgate.events import DpEvent
from synthgate.ledger import Account, AccountView, Balance, Charge, Entry
from synthgate.policy import DEFAULT_POLICY, Policy, Rule, Verdict
from synthgate.release import Quote, Release, ReleaseState
from synthgate.report import Report, Score
from synthgate.statement import PrivacyStatement

if TYPE_CHECKING:
    from synthgate.client.client import Client
    from synthgate.client.releases import SignedAttestation
    from synthgate.client.wire import Retry

__version__ = "0.1.0"
__all__ = [
    "DEFAULT_POLICY",
    "Account",
    "AccountView",
    "Attestation",
    "Balance",
    "Charge",
    "Client",
    "Column",
    "Condition",
    "Dataset",
    "DatasetState",
    "DatasetView",
    "Derivation",
    "Domain",
    "DpEvent",
    "Entry",
    "Kind",
    "Policy",
    "PrivacyBudget",
    "PrivacyStatement",
    "PrivacyUnit",
    "PublicSizes",
    "Quote",
    "Rebalance",
    "Release",
    "ReleaseState",
    "Report",
    "Retry",
    "Role",
    "Rule",
    "Score",
    "Share",
    "SignedAttestation",
    "SynthgateError",
    "Verdict",
]
_LAZY = {
    "Client": "synthgate.client.client",
    "Retry": "synthgate.client.wire",
    "SignedAttestation": "synthgate.client.releases",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'synthgate' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
