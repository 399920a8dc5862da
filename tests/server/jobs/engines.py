"""Foreign synthesizers, honest and not, installed by entry points of a distribution that a test lays on the path."""

from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from dp_models.base import Plan
from dp_models.encoding.table import arrow_schema
from synthgate.errors import InvalidTable
from synthgate.events import DiscreteGaussian
from tests.server.jobs.kinds import PRIVATE

NAMES = (
    "honest", "silent", "cheaper", "raising_ours", "raising_theirs", "extra_column", "renamed", "retyped", "short",
    "undeclared", "null", "beyond", "frame", "exhausted", "chatty", "raising_sample",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Foreign:
    """Samples one constant row over and over; ``name`` is what is wrong with it."""

    name: str

    def plan(self, domain, sizes, budget):
        return Plan(
            engine=self.name,
            because="asked for by name",
            domain=domain.digest,
            sizes=sizes,
            budget=budget,
            event=DiscreteGaussian(100.0),
            parameters={},
        )

    def fit(self, rows, domain, plan, *, noise):
        if self.name == "raising_ours":
            raise InvalidTable(PRIVATE)
        if self.name == "raising_theirs":
            raise ValueError(PRIVATE)
        if self.name == "exhausted":
            raise MemoryError
        if self.name != "silent":
            noise.ran(DiscreteGaussian(101.0) if self.name == "cheaper" else plan.event)
        return Model(self.name, domain)


@dataclass(frozen=True, slots=True)
class Model:
    name: str
    domain: object

    def sample(self, rows, *, generator):
        if self.name == "raising_sample":
            raise InvalidTable(PRIVATE)
        if self.name == "short":
            rows -= 1
        schema = arrow_schema(self.domain)
        table = pa.table([pa.array(["red"] * rows), pa.array(generator.integers(0, 121, rows))], schema=schema)
        if self.name == "undeclared":
            return table.set_column(0, "colour", pa.array([PRIVATE] * rows))
        if self.name == "null":
            return table.set_column(1, "age", pa.array([None] * rows, pa.int64()))
        if self.name == "beyond":
            return table.set_column(1, "age", pc.add(table["age"], 1_000))
        if self.name == "extra_column":
            return table.append_column("note", pa.array([PRIVATE] * rows))
        if self.name == "renamed":
            return table.rename_columns(["colour", PRIVATE])
        if self.name == "retyped":
            return table.cast(pa.schema([("colour", pa.string()), ("age", pa.int32())]))
        if self.name == "chatty":
            return table.replace_schema_metadata({PRIVATE: PRIVATE})
        return table.to_pandas() if self.name == "frame" else table


BUILDERS = {name: partial(Foreign, name) for name in NAMES}
globals().update(BUILDERS)


def install(folder):
    """Lay a distribution in ``folder`` whose entry points are these engines."""
    metadata = folder / "foreign_engines-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign-engines\nVersion: 1.0\n")
    lines = [f"{name} = tests.server.jobs.engines:{name}" for name in NAMES]
    (metadata / "entry_points.txt").write_text("[synthgate.engines]\n" + "\n".join(lines) + "\n")
