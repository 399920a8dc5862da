"""Same inputs and seed, same bytes: in two processes whose dictionaries and sets are ordered otherwise."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from stored_tables import MIXED, write
from test_evaluate import _rows as mixed_rows

HERE = Path(__file__).parent
SCRIPT = """
import hashlib, sys
from pathlib import Path
from report_cases import statement
from stored_tables import MIXED
from evaluation.report import compose, decision_page, page
from evaluation.run import evaluate
from server.policy import decide
from synthgate.policy import EXACT_POLICY
folder, seed = Path(sys.argv[1]), bytes.fromhex(sys.argv[2])
files = [folder / f"{name}.parquet" for name in ("train", "holdout", "sample")]
report = evaluate(MIXED, *files, seed=seed, progress=lambda _: None)
claim = statement()
verdict = decide(EXACT_POLICY, MIXED, claim, report)
document = compose(
    report, title="Release", facts={"b": "1", "a": "2"}, verdict=verdict, statement=claim, domain=MIXED,
    policy=EXACT_POLICY,
)
content = document.to_json()
for form in (content, page(document).encode(), decision_page(document, hashlib.sha256(content).hexdigest()).encode()):
    print(hashlib.sha256(form).hexdigest())
"""


def _forms(folder: Path, *, hashing: str, seed: bytes = bytes(16)) -> list[str]:
    environment = os.environ | {
        "PYTHONHASHSEED": hashing, "PYTHONPATH": f"{HERE}:{HERE.parents[1]}", "OMP_NUM_THREADS": hashing,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder), seed.hex()], capture_output=True, text=True, env=environment,
        check=True, timeout=300,
    )  # fmt: skip
    return done.stdout.split()


@pytest.mark.guarantee("report-holds-back")
def test_same_inputs_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    for seed, (name, size) in enumerate({"train": 300, "holdout": 100, "sample": 300}.items()):
        cells = mixed_rows(size, random.Random(seed))
        cells = {key: [None if v == "\x00other" else v for v in column] for key, column in cells.items()}
        write(tmp_path / f"{name}.parquet", MIXED, cells)
    first, second = (_forms(tmp_path, hashing=hashing) for hashing in ("1", "2"))
    assert len(set(first)) == 3
    assert first == second
    assert not set(first) & set(_forms(tmp_path, hashing="1", seed=bytes(range(16))))
    assert hashlib.sha256(b"").hexdigest() not in first
