"""`Policy`, `Rule`, `Verdict`: what must hold before data leave, as values. How they decide is in ``server.policy``."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from synthgate.attacker import AS_DECLARED, Attacker
from synthgate.audience import Audience
from synthgate.domain import Domain
from synthgate.errors import InvalidPolicy

INFERENCE = "risk.inference."
LINKABILITY = "risk.linkability"
RISKS = ("risk.singling_out.univariate", "risk.singling_out.multivariate", LINKABILITY)
COPIES = "risk.copies"
NEAR_COPIES = "risk.near_copies"
MEMBERSHIP = tuple(f"risk.membership.{attack}{kind}" for attack in ("domias", "nearest")
                   for kind in ("", "_tpr", "_outliers"))  # fmt: skip
EPSILON = "privacy.epsilon"
"""Not a metric: the statement's epsilon, which every policy with rules bounds by its ``epsilon_max``."""
MARGIN = "verdict.margin"
"""Not a metric: the noisy margin of an accounted verdict, which is at most 0 where the release passes."""
FIXED_SCORES = frozenset(
    {*RISKS, COPIES, NEAR_COPIES, *MEMBERSHIP, "utility.tv1", "utility.tv2", "utility.tv2_excess", "utility.tv3",
     "utility.association", "utility.tstr", "utility.tstr_gap", "utility.tv4", "utility.tstr_linear",
     "utility.tstr_linear_gap",
     "utility.tstr_gap_worst", "utility.kmarginal", "utility.equals_percent", "utility.ranges",
     "utility.propensity_auc", "utility.pmse_ratio", "utility.tv1_worst", "utility.coverage_categories",
     "utility.coverage_tails", "utility.violations", "fairness.shares", "fairness.representation",
     "fairness.tstr_gap", "fairness.demographic_parity", "fairness.equal_opportunity"}
)  # fmt: skip
ATTACKS = (*RISKS, INFERENCE + "*")
ACCOUNTED = frozenset({*RISKS, COPIES, "utility.tv1", "utility.tv2", "utility.tv3"})
"""The scores, beside inference, whose upper bounds an accounted verdict can decide: one unit moves each by little."""


class VerdictKind(StrEnum):
    """How the rules are decided: all together by one noisy margin inside the epsilon, or each by its exact score,
    outside of any epsilon and so only a few times in the life of an account."""

    ACCOUNTED = "accounted"
    EXACT = "exact"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One bound on one score's pessimistic end. ``score`` is a name of a report, or ``risk.inference.*`` for the
    inference risk of every declared secret. Exactly one of ``at_most`` and ``at_least`` is set."""

    score: str
    at_most: float | None = None
    at_least: float | None = None

    def __post_init__(self) -> None:
        if self.score not in FIXED_SCORES | {EPSILON, MARGIN} and not self.score.startswith(INFERENCE):
            known = f"known are {', '.join(sorted(FIXED_SCORES))}, {INFERENCE}* and {INFERENCE}COLUMN"
            raise InvalidPolicy(f"no metric gives a score named {ascii(self.score)[:60]}; {known}")
        bounds = [b for b in (self.at_most, self.at_least) if b is not None]
        if len(bounds) != 1 or isinstance(bounds[0], bool) or not isinstance(bounds[0], (int, float)):
            raise InvalidPolicy(f"rule {self.score}: set exactly one of at_most and at_least, to a number")
        if not math.isfinite(bounds[0]):
            raise InvalidPolicy(f"rule {self.score}: the bound must be finite")

    @property
    def is_attack(self) -> bool:
        """Whether it bounds the excess of an attack on trained units."""
        return self.score in RISKS or self.score.startswith(INFERENCE)

    @property
    def strictness(self) -> float:
        """Higher for the stricter of two bounds on the same side of a score."""
        return self.at_least if self.at_least is not None else -(self.at_most or 0.0)

    @property
    def name(self) -> str:
        """The rule in words, for attestations and verdicts: the score, the relation, the threshold."""
        return f"{self.score} <= {self.at_most:g}" if self.at_most is not None else f"{self.score} >= {self.at_least:g}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        bound = {"at_most": self.at_most} if self.at_most is not None else {"at_least": self.at_least}
        return {"score": self.score, **bound}


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The conditions of a release. A policy without rules refuses everything.

    ``epsilon_max`` bounds one release's epsilon; ``certified_only`` asks for an engine on the operator's list;
    ``verdicts_max`` bounds the unaccounted verdicts of an account for its life, below what the gateway allows every
    account; ``approvals`` is how many officers must approve a passing release. ``version`` is the author's number for
    it; what a release pins is the ``digest``. Whether the rules serve the ``audience`` is asked by
    `synthgate.fitness.check`. ``attacker`` widens what attackers know and look for. ``verdict`` is how the rules are
    decided.
    """

    name: str
    epsilon_max: float
    certified_only: bool
    verdicts_max: int
    approvals: int
    rules: tuple[Rule, ...]
    version: int = 1
    audience: Audience | None = None
    attacker: Attacker = AS_DECLARED
    verdict: VerdictKind = VerdictKind.ACCOUNTED

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 64 or not self.name.isprintable():
            raise InvalidPolicy("a policy's name is 1 to 64 printable characters")
        if type(self.epsilon_max) not in (int, float) or not 0 < self.epsilon_max < math.inf:
            raise InvalidPolicy("epsilon_max is a positive finite number")
        if not isinstance(self.certified_only, bool):
            raise InvalidPolicy("certified_only is true or false")
        for name, least, most in (("verdicts_max", 0, 1_000), ("approvals", 0, 10), ("version", 1, 1_000_000)):
            if type(value := getattr(self, name)) is not int or not least <= value <= most:
                raise InvalidPolicy(f"{name} is a whole number between {least} and {most}")
        if len({r.score for r in self.rules}) != len(self.rules):
            raise InvalidPolicy("a score has two rules; keep the stricter")
        if any(r.score == EPSILON for r in self.rules):
            raise InvalidPolicy("the bound on epsilon is set by epsilon_max, not by a rule")
        if self.audience is not None and not isinstance(self.audience, Audience):
            raise InvalidPolicy(f"audience is one of {', '.join(Audience)}, or left out")
        if any(r.score == MARGIN for r in self.rules):
            raise InvalidPolicy("the margin follows from the other rules; ask for it with `verdict: accounted`")
        if self.verdict not in tuple(VerdictKind):
            raise InvalidPolicy(f"verdict is {VerdictKind.ACCOUNTED} or {VerdictKind.EXACT}")
        object.__setattr__(self, "verdict", VerdictKind(self.verdict))
        if self.verdict is VerdictKind.ACCOUNTED:
            self._check_decidable()

    def _check_decidable(self) -> None:
        for rule in self.rules:
            if rule.at_most is None or not (rule.is_attack or rule.score in ACCOUNTED):
                raise InvalidPolicy(
                    f"an accounted verdict cannot decide the rule {rule.name}: it takes upper bounds on the risks and"
                    " on utility.tv1, tv2 and tv3; leave the rule out, or choose `verdict: exact`"
                )

    def concrete(self, domain: Domain) -> tuple[Rule, ...]:
        """The bound on epsilon and the rules, with ``risk.inference.*`` written out for every secret, those that
        ``attacker`` adds included; nothing for a policy without rules. Of bounds on one side of a score the strictest
        stands: a column may have a rule of its own beside the one for all."""
        secrets = self.attacker.widened(domain).secrets
        out = {(EPSILON, True): Rule(score=EPSILON, at_most=self.epsilon_max)} if self.rules else {}
        for rule in self.rules:
            every = [INFERENCE + s for s in secrets] if rule.score == INFERENCE + "*" else [rule.score]
            for one in (replace(rule, score=score) for score in every):
                side = one.score, one.at_most is not None
                if side not in out or one.strictness > out[side].strictness:
                    out[side] = one
        return tuple(out.values())

    @property
    def digest(self) -> str:
        """sha256 of the canonical JSON, in hex: what a release pins. An exact verdict is not mentioned in it, so that
        policies which are older than the choice keep their digest."""
        plain = self.to_dict()
        if self.verdict is VerdictKind.EXACT:
            del plain["verdict"]
        return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values. What came later is left out where it is as before, so that digests stay."""
        plain = {k: getattr(self, k) for k in ("name", "epsilon_max", "certified_only", "verdicts_max", "approvals")}
        plain |= {"verdict": str(self.verdict), "rules": [r.to_dict() for r in self.rules]}
        later = {
            "version": self.version if self.version != 1 else None,
            "audience": str(self.audience) if self.audience else None,
            "attacker": self.attacker.to_dict() or None,
        }
        return plain | {key: value for key, value in later.items() if value is not None}

    @classmethod
    def from_stored(cls, document: Mapping[str, Any]) -> "Policy":
        """Read a policy that the gateway stored: one that names no verdict is older than the choice, thus exact."""
        return cls.from_dict({"verdict": str(VerdictKind.EXACT), **document})

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Policy":
        """Read a policy; what it leaves out is as in DEFAULT_POLICY, or in EXACT_POLICY where it says ``verdict:
        exact``, with the thresholds of its audience where it names one. Raises InvalidPolicy."""
        if not isinstance(document, Mapping):
            raise InvalidPolicy("a policy is a mapping")
        chosen = EXACT_POLICY if document.get("verdict") == VerdictKind.EXACT else DEFAULT_POLICY
        base = chosen.to_dict()
        known = (*base, "version", "audience", "attacker")
        if unknown := set(map(str, document)) - set(known):
            raise InvalidPolicy(f"unknown key {sorted(unknown)[0]!r} in the policy; known are {', '.join(known)}")
        audience = _audience(document.get("audience"))
        if audience is not None:
            base["rules"] = [rule.to_dict() for rule in for_audience(chosen.rules, audience)]
        merged = base | dict(document) | {"audience": audience}
        if "attacker" in merged:
            merged["attacker"] = Attacker.from_dict(merged["attacker"])
        rules = merged.pop("rules")
        if not isinstance(rules, (list, tuple)) or not all(isinstance(r, Mapping) for r in rules):
            raise InvalidPolicy("rules is a list of mappings with score and at_most or at_least")
        if any(set(r) - {"score", "at_most", "at_least"} or not isinstance(r.get("score"), str) for r in rules):
            raise InvalidPolicy("a rule has the keys score and at_most or at_least, and no others")
        return cls(**merged, rules=tuple(Rule(**r) for r in rules))


def _audience(value: Any) -> Audience | None:
    try:
        return None if value is None else Audience(value)
    except ValueError:
        raise InvalidPolicy(f"audience is one of {', '.join(Audience)}, or left out") from None


RISK_THRESHOLD = 0.09
COPIES_THRESHOLD = 0.01
MEMBERSHIP_THRESHOLD = 0.25
"""An area of 0.75: half of the way from guessing to knowing, and beyond what luck shows on 168 held-out units (measured
in ADR 0064)."""


def for_audience(rules: tuple[Rule, ...], audience: Audience) -> tuple[Rule, ...]:
    """The rules with the audience's threshold as the bound on every attack."""
    return tuple(Rule(score=r.score, at_most=audience.threshold) if r.score in ATTACKS else r for r in rules)


DEFAULT_POLICY = Policy(
    name="default",
    epsilon_max=3.0,
    certified_only=True,
    verdicts_max=3,
    approvals=0,
    rules=(
        *(Rule(score=s, at_most=RISK_THRESHOLD) for s in ATTACKS),
        Rule(score=COPIES, at_most=COPIES_THRESHOLD),
        Rule(score="utility.tv2", at_most=0.25),
    ),
)
EXACT_POLICY = replace(
    DEFAULT_POLICY,
    verdict=VerdictKind.EXACT,
    rules=(
        *DEFAULT_POLICY.rules[:-1],
        Rule(score=NEAR_COPIES, at_most=0.05),
        *(Rule(score=s, at_most=MEMBERSHIP_THRESHOLD) for s in ("risk.membership.domias", "risk.membership.nearest")),
        Rule(score="utility.tv2_excess", at_most=0.20),
    ),
)
"""The default where the verdict is exact: for tables that are too small for an accounted one. It has four rules that an
accounted one cannot decide."""


class Outcome(StrEnum):
    """What a rule found. Everything but PASSED refuses."""

    PASSED = "PASSED"
    ABOVE = "ABOVE_THRESHOLD"
    BELOW = "BELOW_THRESHOLD"
    MISSING = "SCORE_MISSING"
    INCONCLUSIVE = "SCORE_INCONCLUSIVE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule and what came of it."""

    rule: Rule
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The decision about one canonical sample. Without a single finding it has not passed."""

    findings: tuple[Finding, ...]

    @property
    def passed(self) -> bool:
        """Whether every rule, and at least one, passed."""
        return bool(self.findings) and all(f.outcome is Outcome.PASSED for f in self.findings)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reason codes of a refusal, such as ``risk.copies ABOVE_THRESHOLD``."""
        failed = tuple(f"{f.rule.score} {f.outcome}" for f in self.findings if f.outcome is not Outcome.PASSED)
        return failed if self.findings else ("EMPTY_POLICY",)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"findings": [{"rule": f.rule.to_dict(), "outcome": str(f.outcome)} for f in self.findings]}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Verdict":
        """Read a verdict that the gateway wrote."""
        found = document["findings"]
        return cls(findings=tuple(Finding(rule=Rule(**f["rule"]), outcome=Outcome(f["outcome"])) for f in found))
