"""``evaluate``: three files in, one `Report` out. What it finds depends on the files, the domain and the seed alone.

Limits are counts of work fixed by sizes, never seconds. The content of cells cannot make it fail: what cannot be told
is a score that is not conclusive, which no rule accepts.
"""

import hmac
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.base import Comparison, Findings, Metric
from evaluation.registry import Registry, default
from evaluation.risk.attack import untold
from evaluation.tables import read
from synthgate.domain import Domain
from synthgate.report import Report, Score

FAILED = "the metric failed, after the verdict was decided without it"


def evaluate(
    domain: Domain,
    train_path: Path,
    holdout_path: Path,
    sample_path: Path,
    *,
    seed: bytes,
    progress: Callable[[str], None],
    registry: Registry | None = None,
) -> Report:
    """Attack and measure one canonical sample (Parquet) against the private rows (Parquet, as ingest stored them).

    ``seed`` keys all randomness (at least 16 bytes; a purpose's share of an attempt's secret); ``progress`` is told the
    name of each metric as it starts. ``registry`` defaults to the built-in metrics. Raises InvalidTable where a file
    lacks a declared column, ValueError for a short seed or two scores of one name.
    """
    if len(seed) < 16:
        raise ValueError("the seed of an evaluation has at least 16 bytes")
    progress("reading")
    comparison = load(domain, train_path, holdout_path, sample_path)
    return compare(comparison, seed=seed, progress=progress, registry=registry)


def load(
    domain: Domain,
    train_path: Path,
    holdout_path: Path,
    sample_path: Path,
    *,
    joins: tuple[int, ...] = (),
    declared: Domain | None = None,
) -> Comparison:
    """The three tables of one comparison, and what the policy adds to it (`Comparison.joins` and ``declared``). Raises
    InvalidTable where a file lacks a declared column."""
    train, train_units = read(train_path, domain)
    holdout, holdout_units = read(holdout_path, domain)
    sample, _ = read(sample_path, domain)
    return Comparison(
        domain=domain,
        train=train,
        holdout=holdout,
        sample=sample,
        train_units=train_units,
        holdout_units=holdout_units,
        joins=joins,
        declared=declared,
    )


def compare(
    comparison: Comparison,
    *,
    seed: bytes,
    progress: Callable[[str], None],
    registry: Registry | None = None,
    tolerant: bool = False,
) -> Report:
    """The same for frames that are read and normalised already (see `evaluation.tables`). Where ``tolerant``, a metric
    that fails is a score of its name that is not conclusive, and the others go on: for a verdict that was decided
    without them, and that their failing must not take back."""
    scores: list[Score] = []
    details: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    for metric in default() if registry is None else registry:
        progress(metric.name)
        start = time.perf_counter()
        findings = _measured(metric, comparison, keyed(seed, metric.name), tolerant=tolerant)
        seconds[metric.name] = time.perf_counter() - start
        scores += findings.scores
        if findings.details:
            details[metric.name] = dict(findings.details)
    names = [score.name for score in scores]
    if len(set(names)) != len(names):
        raise ValueError("two metrics give a score of the same name")
    return Report(scores=tuple(scores), details=details, seconds=seconds)


def _measured(metric: Metric, comparison: Comparison, generator: np.random.Generator, *, tolerant: bool) -> Findings:
    try:
        return metric.measure(comparison, generator=generator)
    except Exception:  # memory that ran out included
        if not tolerant:
            raise
        traceback.print_exc()  # to the worker's private log: its words may quote a cell
        return Findings(scores=(untold(metric.name, FAILED),))


def keyed(seed: bytes, label: str) -> np.random.Generator:
    """A generator of its own for each purpose (HMAC-SHA256 of the label), so that one metric never shifts another."""
    digest = hmac.digest(seed, b"synthgate evaluation 1 " + label.encode(), "sha256")
    return np.random.default_rng(int.from_bytes(digest, "big"))
