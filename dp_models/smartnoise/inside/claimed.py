"""`ForeignModel`: one of SmartNoise's synthesizers, fitted and sampled as it is, with codes in and codes out.

The cardinalities are declared: the transformers are fitted on every code of every column, not on rows. The fitted
object keeps rows (one reason why it is not certified), so it lives in the worker that made it and is never stored.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from snsynth import Synthesizer
from snsynth.transform import OneHotEncoder, TableTransformer
from snsynth.transform.table import NoTransformer

from dp_models.base import IntArray, Plan
from dp_models.encoding.codes import Codec


@dataclass(frozen=True)
class ForeignModel:
    """``engine`` is SmartNoise's object; ``text`` says that it reads and writes text, the first row being names."""

    engine: Any
    codec: Codec
    text: bool

    @classmethod
    def fitted(
        cls, kind: str, codes: IntArray, codec: Codec, plan: Plan, *, generator: np.random.Generator
    ) -> "ForeignModel":
        """Fit on codes (columns, rows); ``generator`` seeds the global generators that SmartNoise draws from, of which
        torch's would else start at the same constant in every process."""
        _seed(generator)
        options = dict(plan.parameters)
        if "batch_size" in options:  # even, and no larger than the table
            options["batch_size"] = max(2, min(options["batch_size"], codes.shape[1]) // 2 * 2)
        if kind.endswith("ctgan"):
            options |= {"verbose": False, "cuda": False}
        engine = Synthesizer.create(kind, epsilon=plan.budget.epsilon, delta=plan.budget.delta, **options)
        text = kind == "pacsynth"
        if text:
            names = [str(i) for i in range(len(codes))]
            table = [names, *(list(map(str, row)) for row in codes.T.tolist())]
            engine.fit(table, transformer=NoTransformer(), sensitive_zeros=names)
        else:
            engine.fit([tuple(row) for row in codes.T.tolist()], transformer=_one_hot(codec.sizes))
        return cls(engine, codec, text)

    def sample(self, rows: int, *, generator: np.random.Generator) -> pa.Table:
        """``rows`` rows; where the code gives fewer, they are drawn again from those that it gave. What is no code of
        its column counts as `other`."""
        _seed(generator)
        drawn = list(self.engine.sample(rows)) if rows else []
        others = [c.other for c in self.codec.columns]
        codes = np.array([_codes(row, others) for row in drawn[self.text :]] or [others], dtype=np.int64)
        if len(codes) != rows:
            codes = codes[generator.integers(0, len(codes), size=rows)]
        return self.codec.decode(codes.T, generator=generator)


def _codes(row: Any, others: list[int]) -> list[int]:
    cells = [int(cell) if str(cell) else other for cell, other in zip(row, others, strict=True)]
    return [cell if 0 <= cell <= other else other for cell, other in zip(cells, others, strict=True)]


def _one_hot(sizes: tuple[int, ...]) -> TableTransformer:
    made = TableTransformer([OneHotEncoder() for _ in sizes])
    made.fit([tuple(min(code, size - 1) for size in sizes) for code in range(max(sizes))])
    return made


def _seed(generator: np.random.Generator) -> None:
    torch.manual_seed(int(generator.integers(2**63)))
    np.random.seed(int(generator.integers(2**32)))  # SmartNoise draws from it
