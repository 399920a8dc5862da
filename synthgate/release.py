"""`Release` and `ReleaseState`: the life of one request for synthetic data.

PENDING -> TRAINING -> EVALUATING -> RELEASED | REJECTED | AWAITING_APPROVAL
AWAITING_APPROVAL -> RELEASED | REJECTED;  RELEASED -> REVOKED
PENDING, TRAINING, EVALUATING, AWAITING_APPROVAL -> FAILED | CANCELLED

TRAINING, EVALUATING -> PENDING, where a lost gateway's attempt is repeated: charged once, queued again

A derived one, which is charged nothing and has no verdict: PENDING -> SAMPLING -> RELEASED | FAILED | CANCELLED
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from synthgate.accounted import NoisyMargin
from synthgate.approval import Binding
from synthgate.derivation import Derivation


class ReleaseState(StrEnum):
    """-ING in motion, -ED at rest; an analyst sees PENDING, RELEASED or CLOSED alone."""

    PENDING = "PENDING"
    TRAINING = "TRAINING"
    EVALUATING = "EVALUATING"
    SAMPLING = "SAMPLING"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    RELEASED = "RELEASED"
    REJECTED = "REJECTED"
    REVOKED = "REVOKED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CLOSED = "CLOSED"

    @property
    def terminal(self) -> bool:
        """Whether no decision about it is pending (a RELEASED one may still be REVOKED)."""
        return self not in (*ACTIVE, ReleaseState.AWAITING_APPROVAL)

    @property
    def seen_by_analyst(self) -> "ReleaseState":
        """The one bit that a verdict shows: RELEASED or CLOSED, and PENDING before."""
        if self is ReleaseState.RELEASED:
            return self
        return ReleaseState.CLOSED if self.terminal else ReleaseState.PENDING


WORKING = (ReleaseState.TRAINING, ReleaseState.EVALUATING, ReleaseState.SAMPLING)
ACTIVE = (ReleaseState.PENDING, *WORKING)
_OPEN = (*ACTIVE, ReleaseState.AWAITING_APPROVAL)
TRANSITIONS: dict[ReleaseState, frozenset[ReleaseState]] = {
    ReleaseState.PENDING: frozenset(
        {ReleaseState.TRAINING, ReleaseState.SAMPLING, ReleaseState.FAILED, ReleaseState.CANCELLED}
    ),
    ReleaseState.TRAINING: frozenset(
        {ReleaseState.EVALUATING, ReleaseState.PENDING, ReleaseState.FAILED, ReleaseState.CANCELLED}
    ),
    ReleaseState.EVALUATING: frozenset(
        {ReleaseState.AWAITING_APPROVAL, ReleaseState.RELEASED, ReleaseState.REJECTED, ReleaseState.PENDING,
         ReleaseState.FAILED, ReleaseState.CANCELLED}
    ),
    ReleaseState.SAMPLING: frozenset({ReleaseState.RELEASED, ReleaseState.FAILED, ReleaseState.CANCELLED}),
    ReleaseState.AWAITING_APPROVAL: frozenset(
        {ReleaseState.RELEASED, ReleaseState.REJECTED, ReleaseState.FAILED, ReleaseState.CANCELLED}
    ),
    ReleaseState.RELEASED: frozenset({ReleaseState.REVOKED}),
}  # fmt: skip
"""Which state may follow which; a state that is no key is final. Derived releases alone are SAMPLING, and never
TRAINING: see `allows`."""


def allows(release: "Release", state: ReleaseState) -> bool:
    """Whether the release may come to ``state`` next: by the table, and derived ones alone by SAMPLING."""
    charged_only = {ReleaseState.TRAINING, ReleaseState.EVALUATING, ReleaseState.AWAITING_APPROVAL}
    barred = {ReleaseState.SAMPLING} if release.derivation is None else charged_only
    return state in TRANSITIONS.get(release.state, frozenset()) - barred


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One request and what became of it, as one role may see it.

    To an analyst ``state`` is PENDING, RELEASED or CLOSED, ``updated_at`` is the tick of its publication and
    ``stage``, ``reasons`` are empty. ``epsilon``, ``delta`` are what was asked; ``share_ppm`` is what the plan takes of
    the account, in millionths; ``sha256`` and ``bytes`` describe the canonical Parquet of a RELEASED one. A derived
    release has a ``derivation``, which names its source, and is charged nothing: ``epsilon`` and the like are 0.
    ``approvals`` names the officers whose approvals count now; ``binding`` is what they are asked to approve, or did,
    and is shown to stewards and officers alone, where the policy asks for approvals. ``policy``, its author's
    ``policy_version`` and its ``policy_digest`` (sha256 in hex) say which policy it pinned. ``margin`` is what an
    accounted verdict decided by, hidden from analysts.
    """

    id: str
    dataset: str
    account: str
    engine: str
    because: str
    epsilon: float
    delta: float
    share_ppm: int
    state: ReleaseState
    requested_by: str
    created_at: datetime
    updated_at: datetime
    stage: str = ""
    reasons: tuple[str, ...] = ()
    approvals: tuple[str, ...] = ()
    approvals_needed: int = 0
    sha256: str = ""
    bytes: int = 0
    rows: int = 0
    derivation: Derivation | None = None
    binding: Binding | None = None
    policy: str = ""
    policy_version: int = 0
    policy_digest: str = ""
    margin: NoisyMargin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A price from public facts: nothing was charged and no row was opened.

    ``plan_epsilon`` is what the plan costs alone by PLD at ``delta``; ``share_ppm``, ``taken_ppm``, ``after_ppm`` are
    millionths of the account: what the request takes alone, what is taken already, what would be taken after it.
    ``largest_epsilon`` of this engine still fits at the default delta (0 for none). ``refusals`` says why the request
    would be refused and is empty where it would be admitted; ``rows`` is how many rows a release would have.
    """

    engine: str
    because: str
    epsilon: float
    delta: float
    plan_epsilon: float
    share_ppm: int
    taken_ppm: int
    after_ppm: int
    largest_epsilon: float
    refusals: tuple[str, ...]
    rows: int
