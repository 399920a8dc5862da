"""Which models can be stored, and what reads them back: an allow-list of classes by kind.

A model of any other class is not stored, and nothing is derived from its release. A new kind is one line here.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, Self

import numpy as np

from dp_models.base import FloatArray, IntArray, Model
from dp_models.encoding.binning import Columns
from dp_models.engines.gan_model import GanModel
from dp_models.engines.independent import IndependentModel
from dp_models.engines.vae_model import VaeModel
from dp_models.graphical.model import GraphModel
from dp_models.stored.format import MAX_BYTES, Parts
from dp_models.tables.network import TreeModel
from synthgate.domain import Domain
from synthgate.errors import DataCorrupted


class StoredModel(Model, Protocol):
    """A model that can be stored. `sample` decodes `codes`; a loaded one does so to the same bytes."""

    @property
    def columns(self) -> Columns:
        """How codes become cells."""

    def codes(self, rows: int, *, generator: np.random.Generator) -> Sequence[IntArray]:
        """Fine codes (rows,) of every column; none of them ``other``."""

    def parts(self) -> Parts:
        """The model taken apart; its ``kind`` is the one of `KINDS`."""

    @classmethod
    def from_parts(cls, parts: Parts) -> Self:
        """Put together what `parts` took apart. Raises DataCorrupted for anything else."""


class ExactModel(StoredModel, Protocol):
    """A stored model that can be conditioned in closed form."""

    def given(self, likelihoods: Sequence[FloatArray]) -> tuple[Self, float]:
        """The model given evidence, a likelihood (codes,) for each column, and the evidence's probability (0.0 where it
        cannot be: then the model is of no use)."""


KINDS: Mapping[str, type[StoredModel]] = MappingProxyType(
    {"gan": GanModel, "graph": GraphModel, "independent": IndependentModel, "tree": TreeModel, "vae": VaeModel}
)
EXACT: tuple[type[ExactModel], ...] = (GraphModel, IndependentModel, TreeModel)
"""The ones that are conditioned in closed form; the others are sampled by rejection."""


def dump(model: object) -> bytes | None:
    """The model as a file; None for a class that is not of `KINDS`, and for a model larger than a file may be."""
    known = next((cls for cls in KINDS.values() if type(model) is cls), None)
    if known is None or not isinstance(model, known):
        return None
    data = model.parts().to_bytes()
    return data if len(data) <= MAX_BYTES else None


def read(data: bytes, domain: Domain) -> StoredModel:
    """The model in a file. Raises DataCorrupted for whatever is no model of this domain."""
    parts = Parts.from_bytes(data)
    if parts.domain != domain:
        raise DataCorrupted("the stored model is one of another domain")
    if parts.kind not in KINDS:
        raise DataCorrupted("the stored model is of a kind that this version does not know")
    return KINDS[parts.kind].from_parts(parts)
