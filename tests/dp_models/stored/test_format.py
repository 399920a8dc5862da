"""Every engine's model comes back as it was; whatever is no model is DataCorrupted, and nothing else is raised."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp_models import registry as engines
from dp_models.encoding.binning import Columns
from dp_models.encoding.codes import Codec
from dp_models.graphical.model import GraphModel, Step
from dp_models.stored.format import Parts
from dp_models.stored.registry import KINDS, dump, read
from dp_models.stored.sampling import derive
from server.jobs.canonical import conform
from synthgate.derivation import Condition, Derivation
from synthgate.errors import DataCorrupted
from tests.dp_models.private_tables import DOMAIN
from tests.dp_models.stored_models import ENGINES, SMALL, fitted, small


def stored(engine: str) -> bytes:
    data = dump(fitted(engine))
    assert data is not None
    return data


def test_every_engine_that_the_gateway_certifies_is_here() -> None:
    assert set(ENGINES) == {
        name for name in engines.names() if name in ("aim", "gan", "independent", "mst", "star", "tree", "vae")
    }
    assert {fitted(engine).parts().kind for engine in ENGINES} == set(KINDS)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_loaded_model_samples_the_same_bytes(engine: str) -> None:
    model, loaded = fitted(engine), read(stored(engine), DOMAIN)
    for rows in (0, 1, 500):
        tables = [m.sample(rows, generator=np.random.default_rng(7)) for m in (model, loaded)]
        assert tables[0].equals(tables[1])
    assert dump(loaded) == stored(engine) == stored(engine)


def test_a_graph_over_the_declared_bins_comes_back_and_can_be_conditioned() -> None:
    """What `smartnoise-mst` and `-aim` store: codes of `Codec` without a grid."""
    codec, rng = Codec(SMALL), np.random.default_rng(0)
    columns = Columns(codec, tuple(np.ones(size) for size in codec.sizes), (None,) * len(codec.sizes))
    chances = [rng.random((1 if i == 0 else codec.sizes[i - 1], size)) for i, size in enumerate(codec.sizes)]
    steps = tuple(Step(i, (i - 1,) if i else (), table) for i, table in enumerate(chances))
    model = GraphModel(columns, codec.sizes, steps, tuple(c.settle(np.eye(c.size)) for c in codec.columns))
    loaded = read(dump(model) or b"", SMALL)
    drawn = [m.sample(500, generator=np.random.default_rng(7)) for m in (model, loaded)]
    assert drawn[0].equals(drawn[1])
    asked = Derivation(source="r", conditions=(Condition(column="sex", value="F"),), rows=300)
    table, _ = derive(loaded, SMALL, asked, rows=300, generator=np.random.default_rng(7))
    assert table["sex"].unique().to_pylist() == ["F"] and table.num_rows == 300


@pytest.mark.parametrize("engine", ENGINES)
def test_a_file_holds_numbers_and_the_declaration_alone(engine: str) -> None:
    """White-box: arrays are float64, as long as declared codes, groups and layers, and not as the 1,000 rows."""
    parts = Parts.from_bytes(stored(engine))
    assert parts.domain == DOMAIN
    assert {a.dtype for a in parts.arrays.values()} == {np.dtype(np.float64)}
    assert not any(1_000 in a.shape for a in parts.arrays.values())
    assert set(parts.structure) <= {"atoms", "bought", "cells", "rounded", "steps", "target"}


def test_other_classes_are_not_stored() -> None:
    assert dump(object()) is None
    assert dump(type("Copied", (type(small()),), {})(**vars(small()))) is None, "a subclass may hold anything"


def test_a_model_of_another_domain_is_refused() -> None:
    with pytest.raises(DataCorrupted, match="another domain"):
        read(stored("tree"), SMALL)


Change = Callable[[dict[str, Any], dict[str, Any]], object]
CHANGES: dict[str, Change] = {
    "an array is missing": lambda s, a: a.pop("steps.0"),
    "nan": lambda s, a: a.update({"steps.0": a["steps.0"] * np.nan}),
    "infinite": lambda s, a: a.update({"within.1": a["within.1"] + np.inf}),
    "negative": lambda s, a: a.update({"steps.1": -a["steps.1"]}),
    "an empty row": lambda s, a: a.update({"steps.1": a["steps.1"] * 0}),
    "another shape": lambda s, a: a.update({"within.0": a["within.0"][:, :-1]}),
    "too few cells": lambda s, a: a.update({"steps.1": a["steps.1"][:-1]}),
    "no dimension": lambda s, a: a.update({"target": np.float64(1.0).reshape(())}),
    "nothing to draw": lambda s, a: a.update({"target": np.zeros(0)}),
    "float32": lambda s, a: a.update({"target": a["target"].astype(np.float32)}),
    "integers": lambda s, a: a.update({"target": np.ones(2, dtype=np.int64)}),
    "a column twice": lambda s, a: s["steps"].__setitem__(0, [0, None]),
    "before its parent": lambda s, a: s.update(steps=[[1, 0], [0, None], [2, None]]),
    "its own parent": lambda s, a: s.update(steps=[[1, 1], [0, None], [2, None]]),
    "a column too few": lambda s, a: s["steps"].pop(),
    "the target drawn again": lambda s, a: s["steps"].append([3, None]),
    "beyond the columns": lambda s, a: s["steps"].__setitem__(0, [9, None]),
    "a truth value for a column": lambda s, a: s["steps"].__setitem__(0, [True, None]),
    "another target": lambda s, a: s.update(target=2),
    "no target": lambda s, a: s.update(target=None),
    "a target beyond": lambda s, a: s.update(target=10**30),
    "no steps": lambda s, a: s.pop("steps"),
    "steps that are none": lambda s, a: s.update(steps=[None, 1, "x"]),
    "a step too short": lambda s, a: s.update(steps=[[], [0], [2, None]]),
    "no cells": lambda s, a: s.pop("cells"),
    "a grid beyond all limits": lambda s, a: s.update(cells=10**9),
    "a grid too coarse": lambda s, a: s.update(cells=5),
    "a rounded category": lambda s, a: s.update(rounded=[0]),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_model_that_cannot_be_is_refused(change: Change) -> None:
    parts = small().parts()
    structure, arrays = json.loads(json.dumps(parts.structure)), dict(parts.arrays)
    assert read(replace(parts, structure=structure, arrays=arrays).to_bytes(), SMALL)
    change(structure, arrays)
    with pytest.raises(DataCorrupted):
        read(replace(parts, structure=structure, arrays=arrays).to_bytes(), SMALL)


@pytest.mark.parametrize("given_", [[0, 0], [5], [-1], [True], ["0"], None, 0], ids=str)
def test_a_graph_that_cannot_be_drawn_is_refused(given_: object) -> None:
    parts = fitted("mst").parts()
    structure = json.loads(json.dumps(parts.structure))
    structure["steps"][-1][1] = given_
    with pytest.raises(DataCorrupted):
        read(replace(parts, structure=structure).to_bytes(), DOMAIN)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"\x80\x04\x95", bytes(100), b"\xff" * 100, b"\x02" + bytes(7) + b"{}"])
def test_what_is_no_file_is_refused(data: bytes) -> None:
    with pytest.raises(DataCorrupted):
        read(data, DOMAIN)


@pytest.mark.parametrize("engine", ["gan", "independent", "mst", "tree", "vae"])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_altered_bytes_are_corrupt_or_still_a_model(engine: str, data: st.DataObject) -> None:
    """Bytes are changed, cut or repeated anywhere, most of them in the header. Then the file is refused, or it is a
    model (a probability that differs in its last digits) whose rows are what the declaration allows."""
    content = bytearray(stored(engine))
    header = 8 + int.from_bytes(content[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        end = data.draw(st.sampled_from([8, header, len(content)]))
        where = data.draw(st.integers(0, end - 1))
        what = data.draw(st.sampled_from(["flip", "cut", "repeat"]))
        if what == "flip":
            content[where] ^= data.draw(st.integers(1, 255))
        elif what == "cut":
            del content[where : where + data.draw(st.integers(1, 40))]
        else:
            content[where:where] = content[where : where + data.draw(st.integers(1, 40))]
    try:
        model = read(bytes(content), DOMAIN)
    except DataCorrupted:
        return
    table: pa.Table = model.sample(20, generator=np.random.default_rng(0))
    conform(table, DOMAIN, rows=20)
