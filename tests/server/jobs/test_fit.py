"""Fit: what was priced is what runs, and whatever an engine returns or raises, only the declared leaves the job."""

import itertools
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dp_models import registry
from dp_models.encoding.table import arrow_schema
from dp_models.mechanisms.noise import EXACT_CHOICES, EXACT_COUNTS
from server.jobs.derive import derive
from server.jobs.fit import EngineFault, fit
from server.jobs.runner import JobFailed, Limits, Reason, run
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.derivation import Condition, Derivation
from synthgate.errors import DataCorrupted, FailedPrecondition, UnknownEngine
from tests.server.jobs.engines import install
from tests.server.jobs.kinds import PRIVATE
from tests.server.jobs.tables import DOMAIN, EVERY_KIND, KEY, OTHER_KEY, store

SIZES = PublicSizes(rows=60, units=60)
UPLOAD = "colour,age\n" + "".join(f"{('red', 'blue')[i % 2]},{i}\n" for i in range(60))
_journals = itertools.count()


@pytest.fixture
def foreign(tmp_path, monkeypatch):
    install(tmp_path / "site")
    monkeypatch.syspath_prepend(tmp_path / "site")
    registry.installed.cache_clear()
    yield
    registry.installed.cache_clear()


def fit_spec(folder, engine, *, domain=DOMAIN, epsilon=1.0):
    store(folder / "rows", UPLOAD)
    plan = registry.synthesizer(engine).plan(DOMAIN, SIZES, PrivacyBudget.spend(epsilon, 1e-6))
    return {
        "domain": domain.to_dict(), "plan": plan.to_json(), "train": str(folder / "rows" / "train.parquet"),
        "journal": str(folder / f"journal-{next(_journals)}"),
    }  # fmt: skip


def fitted(folder, engine, *, secret=KEY, **kwargs):
    return fit(fit_spec(folder, engine, **kwargs), folder=folder, secret=secret, progress=lambda stage: None)


@pytest.mark.parametrize("engine", ["independent", "tree"])
def test_the_built_in_engines_fit_what_they_planned(tmp_path, engine):
    result = fitted(tmp_path, engine)
    sample = pq.read_table(tmp_path / "sample.parquet")
    assert sample.schema.equals(arrow_schema(DOMAIN), check_metadata=True)
    assert result["rows"] == sample.num_rows == SIZES.sample_rows
    assert result["bytes"] == (tmp_path / "sample.parquet").stat().st_size
    assert result["weaknesses"] == []
    assert result["noise"] == ([EXACT_COUNTS] if engine == "independent" else [EXACT_COUNTS, EXACT_CHOICES])
    assert result["event"] == fit_spec(tmp_path, engine)["plan"]["event"]


@pytest.mark.parametrize("engine", ["independent", "tree"])
def test_a_model_that_can_be_stored_lies_beside_its_sample(tmp_path, engine):
    assert fitted(tmp_path, engine, epsilon=30.0)["model"] == "model.safetensors"  # so that noise leaves red its rows
    spec = {
        "domain": DOMAIN.to_dict(), "model": str(tmp_path / "model.safetensors"), "rows": 40,
        "derivation": Derivation(source="r", conditions=(Condition(column="colour", value="red"),)).to_dict(),
    }  # fmt: skip
    (tmp_path / "derived").mkdir()
    made = derive(spec, folder=tmp_path / "derived", secret=KEY, progress=lambda stage: None)
    sample = pq.read_table(tmp_path / "derived" / "sample.parquet")
    assert (made["rows"], sample["colour"].to_pylist()) == (40, ["red"] * 40)
    with pytest.raises(DataCorrupted, match="another domain"):
        derive(spec | {"domain": EVERY_KIND.to_dict()}, folder=tmp_path, secret=KEY, progress=print)


def test_a_foreign_model_is_not_stored(tmp_path, foreign):
    assert fitted(tmp_path, "honest")["model"] == ""
    assert list(tmp_path.glob("*.safetensors")) == []


def test_the_secret_keys_the_sample(tmp_path, foreign):
    first, again, other = (fitted(tmp_path, "honest", secret=secret) for secret in (KEY, KEY, OTHER_KEY))
    assert first["sha256"] == again["sha256"] != other["sha256"]


@pytest.mark.parametrize(
    ("engine", "words"),
    [
        ("silent", "no mechanism has run"),
        ("cheaper", "ran other mechanisms than its plan priced"),
        ("extra_column", "other columns or types"),
        ("renamed", "other columns or types"),
        ("retyped", "other columns or types"),
        ("short", "returned 999 rows where 1000 were asked for"),
        ("undeclared", "cells in colour that the domain does not allow"),
        ("null", "cells in age that the domain does not allow"),
        ("beyond", "cells in age that the domain does not allow"),
        ("frame", "did not return an Arrow table"),
    ],
)
def test_engines_that_break_their_word_are_refused(tmp_path, foreign, engine, words):
    with pytest.raises(FailedPrecondition, match=words) as caught:
        fitted(tmp_path, engine)
    assert PRIVATE not in caught.value.message
    assert not (tmp_path / "sample.parquet").exists()


def test_metadata_of_an_engine_is_dropped(tmp_path, foreign):
    fitted(tmp_path, "chatty")
    assert PRIVATE.encode() not in (tmp_path / "sample.parquet").read_bytes()


@pytest.mark.parametrize("engine", ["raising_ours", "raising_sample"])
def test_an_engine_cannot_speak_through_our_errors(tmp_path, foreign, engine):
    with pytest.raises(EngineFault) as caught:
        fitted(tmp_path, engine)
    assert PRIVATE not in str(caught.value)


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        ("raising_ours", Reason.CRASHED),
        ("raising_theirs", Reason.CRASHED),
        ("exhausted", Reason.OUT_OF_MEMORY),
        ("cheaper", Reason.REFUSED),
    ],
)
def test_a_foreign_engine_in_a_process_of_its_own(tmp_path, foreign, engine, reason):
    """The worker finds the plug-in where the gateway found it, and its words stay in the log."""
    with pytest.raises(JobFailed) as caught:
        run_fit(tmp_path, engine)
    assert caught.value.reason is reason
    assert PRIVATE not in caught.value.message
    assert not [path for path in (tmp_path / "job").glob("*.json") if PRIVATE in path.read_text()]


def test_an_honest_foreign_engine_runs(tmp_path, foreign):
    assert run_fit(tmp_path, "honest")["rows"] == 1_000


def run_fit(folder, engine):
    return run(
        "fit",
        fit_spec(folder, engine),
        folder=folder / "job",
        secret=KEY,
        limits=Limits(timeout_s=60),
        cancelled=threading.Event(),
        progress=lambda stage: None,
    )


def test_a_plan_of_another_domain_is_refused(tmp_path):
    with pytest.raises(FailedPrecondition, match="made for another domain"):
        fitted(tmp_path, "independent", domain=EVERY_KIND)


def test_an_engine_that_is_not_installed_is_named(tmp_path):
    spec = fit_spec(tmp_path, "independent")
    spec["plan"] = spec["plan"] | {"engine": "vanished"}
    with pytest.raises(UnknownEngine, match="vanished"):
        fit(spec, folder=tmp_path, secret=KEY, progress=print)


def test_an_empty_training_table_can_be_fitted(tmp_path):
    """One declared row may well be held out; the engine then works on nothing but noise."""
    spec = fit_spec(tmp_path, "independent")
    train = pq.read_table(spec["train"])
    pq.write_table(pa.Table.from_batches([], schema=train.schema), spec["train"])
    assert fit(spec, folder=tmp_path, secret=KEY, progress=print)["rows"] == SIZES.sample_rows
