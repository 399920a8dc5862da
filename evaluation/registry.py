"""The metrics by name, in the order in which they run and appear. A new one is a file and a line below."""

from collections.abc import Iterable, Iterator
from importlib import import_module

from evaluation.base import Metric

BUILT_IN = (
    "evaluation.risk.singling_out:SinglingOut",
    "evaluation.risk.linkability:Linkability",
    "evaluation.risk.inference:Inference",
    "evaluation.risk.copies:Copies",
    "evaluation.risk.near_copies:NearCopies",
    "evaluation.risk.membership:Membership",
    "evaluation.utility.marginals:Marginals",
    "evaluation.utility.association:Association",
    "evaluation.utility.tstr:TrainOnSynthetic",
    "evaluation.utility.kmarginal:KMarginal",
    "evaluation.utility.ranges:Ranges",
    "evaluation.utility.propensity:Propensity",
    "evaluation.utility.columns:Columns",
    "evaluation.utility.violations:Violations",
    "evaluation.fairness.shares:GroupShares",
    "evaluation.fairness.prediction:GroupPrediction",
)


class Registry:
    """An ordered set of metrics with unique names."""

    def __init__(self, metrics: Iterable[Metric] = ()) -> None:
        self._metrics: dict[str, Metric] = {}
        for metric in metrics:
            self.register(metric)

    def register(self, metric: Metric) -> None:
        """Add a metric at the end. Raises ValueError where its name is taken or empty."""
        if not metric.name:
            raise ValueError("a metric needs a name")
        if metric.name in self._metrics:
            raise ValueError(f"a metric named {metric.name} is registered already; choose another name")
        self._metrics[metric.name] = metric

    def __iter__(self) -> Iterator[Metric]:
        return iter(self._metrics.values())

    def __len__(self) -> int:
        return len(self._metrics)


def default() -> Registry:
    """The built-in metrics, freshly made and imported only now."""
    registry = Registry()
    for path in BUILT_IN:
        module, _, name = path.partition(":")
        registry.register(getattr(import_module(module), name)())
    return registry
