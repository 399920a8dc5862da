"""`Parts`: a fitted model as named arrays and a description, in one safetensors file. Nothing in it can run.

The file holds float64 and int64 arrays by name, and one metadata entry, ``synthgate``: JSON with

    version     1
    kind        which class reads it (`dp_models.stored.registry`)
    domain      the declared domain (`Domain.to_dict`)
    structure   what is no array: integers, lists and null, by the kind's own names

Invariants: what is written is what the noise paid for and public facts, as models are made of nothing else. Reading
trusts nothing: whatever is not a file of this version, with finite numbers of the wanted shapes, is DataCorrupted, in
words that say where and never what. The same model always gives the same bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from dp_models.base import FloatArray, IntArray
from dp_models.encoding.atoms import Atoms
from dp_models.encoding.binning import Columns
from dp_models.encoding.codes import Codec, ColumnCodes
from dp_models.encoding.grid import MIN_CELLS
from synthgate.domain import Domain
from synthgate.errors import DataCorrupted, SynthgateError

VERSION = 1
MAX_BYTES = 256 * 2**20
"""A model that needs more is not stored."""
MAX_CELLS = 2**14
"""The finest grid of a numeric column."""
MAX_NUMBER = 1e12
"""What a probability, a count or a weight stays below by far."""
_ENTRY = "synthgate"
_KEYS = {"version", "kind", "domain", "structure"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A model taken apart. Readers ask for each part by name and shape, and raise DataCorrupted where it is not so."""

    kind: str
    domain: Domain
    structure: Mapping[str, Any]
    arrays: Mapping[str, FloatArray | IntArray]

    def to_bytes(self) -> bytes:
        """The file."""
        described = {
            "version": VERSION,
            "kind": self.kind,
            "domain": self.domain.to_dict(),
            "structure": dict(self.structure),
        }
        text = json.dumps(described, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return save({name: np.ascontiguousarray(a) for name, a in self.arrays.items()}, metadata={_ENTRY: text})

    @classmethod
    def from_bytes(cls, data: bytes) -> "Parts":
        """Read a file. Raises DataCorrupted."""
        if len(data) > MAX_BYTES:
            raise DataCorrupted(f"a stored model has at most {MAX_BYTES:,} bytes")
        try:
            arrays = load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            described = json.loads(header["__metadata__"][_ENTRY])
            domain = Domain.from_dict(described["domain"])
        except (SafetensorError, SynthgateError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise DataCorrupted("the stored model cannot be read as one") from None
        if set(described) != _KEYS or described["version"] != VERSION or not isinstance(described["structure"], dict):
            raise DataCorrupted(f"the stored model is not of version {VERSION}")
        if not all(a.dtype in (np.float64, np.int64) for a in arrays.values()):
            raise DataCorrupted("the stored model holds other numbers than float64 and int64")
        return cls(kind=str(described["kind"]), domain=domain, structure=described["structure"], arrays=arrays)

    def floats(self, name: str, *shape: int | None, most: float = MAX_NUMBER) -> FloatArray:
        """Numbers of a shape, none beyond ``most``; None stands for any length of at least 1."""
        found = self.arrays.get(name)
        fits = (
            found is not None
            and found.dtype == np.float64
            and found.ndim == len(shape)
            and all(n >= 1 and w in (None, n) for n, w in zip(found.shape, shape, strict=True))
            and bool((np.abs(found) <= most).all())
        )
        if not fits:
            raise DataCorrupted(
                f"the stored model's {name} is missing, or has another shape, or holds numbers that cannot be"
            )
        return np.asarray(found, dtype=np.float64)

    def weights(self, name: str, *shape: int | None) -> FloatArray:
        """Numbers of a shape that are not negative, and whose sums over the last axis are positive."""
        found = self.floats(name, *shape)
        if not ((found >= 0).all() and (found.sum(axis=-1) > 0).all()):
            raise DataCorrupted(f"the stored model's {name} are not weights")
        return found

    def integer(self, name: str, *, low: int, high: int) -> int:
        """A whole number of the structure, ``low`` to ``high``."""
        return checked_integer(self.structure.get(name), low=low, high=high)

    def integers(self, name: str, *, low: int, high: int) -> list[int]:
        """A list of whole numbers of the structure."""
        return [checked_integer(v, low=low, high=high) for v in checked_list(self.structure.get(name))]

    def columns(self) -> Columns:
        """The columns that `columns_parts` took apart."""
        cells = self.integer("cells", low=0, high=MAX_CELLS)
        if 0 < cells < MIN_CELLS:
            raise DataCorrupted("the stored model has a grid that cannot be")
        codec = Codec(self.domain, cells)
        rounded = self.integers("rounded", low=0, high=len(codec.columns) - 1)
        weights: list[FloatArray] = []
        shares: list[FloatArray | None] = []
        for i, column in enumerate(codec.columns):
            found = self.floats(f"columns.{i}", column.size)
            if (found < 0).any():
                raise DataCorrupted("the stored model holds a negative count")
            weights.append(found)
            steps = 0 if column.grid is None else len(column.grid.steps)
            if i in rounded and not steps:
                raise DataCorrupted("the stored model rounds a column that has no units")
            shares.append(self.weights(f"granularity.{i}", steps + 1) if i in rounded else None)
        searched = self.integers("atoms", low=0, high=len(codec.columns) - 1)
        return Columns(codec, tuple(weights), tuple(shares), {i: self._atoms(i, codec.columns[i]) for i in searched})

    def _atoms(self, i: int, column: ColumnCodes) -> Atoms:
        """The single values of a column: rising, each in its cell, no cell with more of them than it has rows."""
        values = self.floats(f"atoms.{i}.values", None, most=np.inf)
        shares = self.floats(f"atoms.{i}.shares", len(values))
        if column.grid is None or not (np.diff(values) > 0).all() or not ((shares > 0) & (shares <= 1)).all():
            raise DataCorrupted("the stored model holds single values that cannot be")
        edges = column.grid.edges
        if not (edges[0] <= values[0] and values[-1] <= edges[-1]):
            raise DataCorrupted("the stored model holds single values beyond the declared bounds")
        atoms = Atoms.of(column, values, shares)
        if (np.bincount(atoms.cells, weights=shares) > 1 + 1e-9).any():
            raise DataCorrupted("the stored model holds more single values than rows")
        return atoms


def columns_parts(columns: Columns) -> tuple[dict[str, Any], dict[str, FloatArray]]:
    """Structure and arrays of `Columns`: the noisy one-way tables, how far values are rounded, and single values."""
    rounded = [i for i, share in enumerate(columns.granularity) if share is not None]
    arrays = {f"columns.{i}": w for i, w in enumerate(columns.weights)}
    arrays |= {f"granularity.{i}": share for i, share in enumerate(columns.granularity) if share is not None}
    for i, atoms in columns.atoms.items():
        arrays |= {f"atoms.{i}.values": atoms.values, f"atoms.{i}.shares": atoms.shares}
    return {"cells": columns.codec.cells, "rounded": rounded, "atoms": sorted(columns.atoms)}, arrays


def checked_integer(value: Any, *, low: int, high: int) -> int:
    """``value`` where it is a whole number from ``low`` to ``high``. Raises DataCorrupted."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise DataCorrupted("the stored model's structure holds a number that cannot be")
    return value


def checked_list(value: Any) -> list[Any]:
    """``value`` where it is a list. Raises DataCorrupted."""
    if not isinstance(value, list):
        raise DataCorrupted("the stored model's structure lacks a list")
    return value
