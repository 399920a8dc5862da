"""`summarise`: what may go with a release in public, made of the released table and its attestation alone.

Whoever may download a release can make it, and anybody could make it again: nothing in it comes of a private row but by
the released rows, whose privacy the attestation states. It has no score. The table is checked against the attestation
before (`synthgate.verify`); this module trusts what it is handed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from synthgate.attestation import NO_VERDICT, Attestation, Derived, Judged
from synthgate.derivation import REPLICATE
from synthgate.plain import PRIORS, belief, promise
from synthgate.statement import Scope

VERSION = 1
MAX_BARS = 12
"""Values of a column that are shown; of more the most frequent ones, and ranges of a number."""
LIMITS = (
    "The rows are synthetic: none of them is a person, and what is rare in them may be invented.",
    "What is true of a population can be learned from any good table about it, also about people outside it.",
    "People who belong together, such as a household, are protected one unit at a time.",
    "Relations that the engine did not learn are not in the rows. How useful they are for a question is for whoever "
    "asks it to find out, best on real rows.",
    "Whether the rows are anonymous in the sense of a law is not decided here.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A value or range of a column, and the share of all released rows that have it, 0 to 1."""

    label: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One column of the released table. ``missing`` is the share of rows without a value; ``others`` says how many
    further values are not shown, and ``rest`` the share of rows that have one."""

    name: str
    kind: str
    bars: tuple[Bar, ...]
    missing: float
    others: int
    rest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A public summary: ``facts``, ``beliefs`` (how sure an attacker was and can become), columns, how to check it."""

    title: str
    promise: str
    passed: str
    facts: Mapping[str, str]
    beliefs: tuple[tuple[float, float], ...]
    columns: tuple[Shown, ...]
    rules: tuple[str, ...]
    not_covered: tuple[str, ...]
    weakened_by: tuple[str, ...]
    limits: tuple[str, ...]
    check: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {"version": VERSION, **asdict(self)}


def summarise(table: pa.Table, attested: Attestation) -> Summary:
    """The summary of a released table."""
    statement, nothing = attested.statement, attested.statement.scope is Scope.NONE
    origin, released = attested.origin, attested.released_at.isoformat(sep=" ", timespec="seconds")
    numbers = REPLICATE if isinstance(origin, Derived) and origin.derivation.replicates else None
    facts = {
        "release": attested.release,
        "dataset": attested.dataset,
        "rows": f"{table.num_rows:,}, synthetic",
        "engine": attested.engine,
        "released": released,
        "epsilon at delta": "none is claimed" if nothing else f"{statement.epsilon:.4g} at {statement.delta:g}",
        "it covers": _COVERS[statement.scope],
        "privacy unit": "none" if nothing else statement.unit,
        "made from": f"{statement.sizes.rows:,} rows of {statement.sizes.units:,} units ({statement.sizes.origin})",
        **({"noise": " ".join(statement.noise)} if statement.noise else {}),
        "sha256": attested.sha256,
        **(_judged(origin) if isinstance(origin, Judged) else _derived(origin)),
    }
    return Summary(
        title=f"Release {attested.release} of {attested.dataset}",
        promise=promise(statement),
        passed=_passed(attested),
        facts=facts,
        beliefs=() if nothing else tuple((p, belief(statement.epsilon, p)) for p in PRIORS),
        columns=tuple(_column(name, table.column(name)) for name in table.column_names if name != numbers),
        rules=tuple(rule.name for rule in origin.policy.rules) if isinstance(origin, Judged) else (),
        not_covered=statement.not_covered,
        weakened_by=statement.weakened_by,
        limits=LIMITS,
        check=(
            "synthgate verify release.parquet attestation.json --key gateway.pub",
            "synthgate verify release.parquet attestation.json --key gateway.pub --revocations revocations.json",
        ),
    )


_COVERS = {
    Scope.GENERATOR: "the generator's output, not the verdict about it",
    Scope.RELEASE: "the release, the verdict included",
    Scope.NONE: "nothing (sandbox)",
}


def _judged(origin: Judged) -> dict[str, str]:
    policy = origin.policy
    version = "" if policy.version is None else f", version {policy.version}"
    return {"policy": f"{policy.name}{version}", "policy's sha256": policy.digest}


def _derived(origin: Derived) -> dict[str, str]:
    asked = origin.derivation
    conditions = " and ".join(map(str, asked.conditions))
    facts = {
        "derived from": asked.source,
        "conditions": conditions,
        "rebalanced": asked.rebalance.column if asked.rebalance is not None else "",
        "replicates": f"{asked.replicates}, shown together" if asked.replicates else "",
        "source's attestation": origin.attestation,
    }
    return {name: text for name, text in facts.items() if text}


def _passed(attested: Attestation) -> str:
    origin = attested.origin
    if isinstance(origin, Derived):
        return (
            f"This table was drawn from the model of release {origin.derivation.source}, which passed; verdict: "
            f"{NO_VERDICT}. It says no more about anybody than that model does."
        )
    count = len(attested.approvals)
    approved = f", and {count} officer{'s' if count > 1 else ''} approved it" if count else ""
    how = (
        "by an exact comparison with private rows, outside of the epsilon"
        if origin.decision.unaccounted
        else "by one noisy figure inside of the epsilon"
    )
    if attested.statement.scope is Scope.NONE:
        how = "on a sandbox account, where nothing is promised"
    return f"It was attacked and measured, and passed the rules of policy {origin.policy.name} {how}{approved}."


def _column(name: str, cells: pa.ChunkedArray) -> Shown:
    rows = max(len(cells), 1)
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if pa.types.is_floating(cells.type):
        cells = pc.add(cells, 0.0)  # no zero has a sign
    present = cells.drop_null()
    numeric = _is_number(cells.type)
    counted = sorted(_counts(present), key=lambda pair: (-pair[1], str(pair[0])))
    if numeric and len(counted) > MAX_BARS:
        bars = tuple(Bar(label=label, share=count / rows) for label, count in _ranges(present))
        shown, others = bars, 0
    else:
        kept = counted[:MAX_BARS]
        ordered = sorted(kept) if numeric else kept
        shown = tuple(Bar(label=_text(value), share=count / rows) for value, count in ordered)
        others = len(counted) - len(kept)
    told = sum(bar.share for bar in shown)
    missing = cells.null_count / rows
    rest = max(1 - missing - told, 0.0) if others else 0.0
    return Shown(name=name, kind=_kind(cells.type), bars=shown, missing=missing, others=others, rest=rest)


def _counts(present: pa.ChunkedArray) -> Iterator[tuple[Any, int]]:
    for entry in pc.value_counts(present).to_pylist():
        yield entry["values"], entry["counts"]


def _ranges(present: pa.ChunkedArray) -> list[tuple[str, int]]:
    """Equal ranges from the least to the largest released value, with the rows in each."""
    if pa.types.is_floating(present.type):
        return _of_floats(present.cast(pa.float64()).to_numpy())
    moments = pa.types.is_timestamp(present.type)
    numbers = present.cast(pa.int64()).to_numpy()
    low, high = int(numbers.min()), int(numbers.max())
    wide = -(-(high - low + 1) // MAX_BARS)
    places = (numbers.view(np.uint64) - np.array(low, np.int64).view(np.uint64)) // np.uint64(wide)  # wraps, as it must
    counts = np.bincount(places.astype(np.int64))
    firsts = range(low, high + 1, wide)
    pairs = [(first, min(first + wide - 1, high)) for first in firsts]
    if moments:
        days = [pa.array(pair, pa.int64()).cast(present.type).to_pylist() for pair in pairs]
        labels = [f"{first.date()} to {last.date()}" for first, last in days]
    else:
        labels = [f"{first} to {last}" if last > first else f"{first}" for first, last in pairs]
    return list(zip(labels, counts.tolist(), strict=True))


def _of_floats(numbers: NDArray[np.float64]) -> list[tuple[str, int]]:
    half = numbers / 2  # the distance of the two largest floats is none
    low, wide = half.min(), (half.max() - half.min()) / MAX_BARS
    if wide == 0:  # closer to each other than any part of their distance
        return [(f"{2 * low:.4g}", len(numbers))]
    counts = np.bincount(np.minimum((half - low) / wide, MAX_BARS - 1).astype(np.int64), minlength=MAX_BARS)
    edges = [2 * (low + wide * i) for i in range(MAX_BARS)] + [numbers.max()]
    return [(f"{edges[i]:.4g} to {edges[i + 1]:.4g}", int(count)) for i, count in enumerate(counts)]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_timestamp(kind))


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_boolean(kind):
        return "true or false"
    if pa.types.is_timestamp(kind):
        return "moments"
    return "numbers" if _is_number(kind) else "categories"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:.6g}" if isinstance(value, float) else str(value)
