"""A rehearsal with a planted fault, ``python -m tests.e2e.planted_rehearsal FOLDER``: it learns from the private
training rows of a dataset, in the folder ``PLANTED_ROWS``, in place of released ones."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from server import rehearsal
from synthgate.dataset import PublicSizes

honest = rehearsal.deal


def planted(spec: Mapping[str, Any], folder: Path, *, generator: np.random.Generator) -> PublicSizes:
    sizes = honest(spec, folder, generator=generator)
    shutil.copy(Path(os.environ["PLANTED_ROWS"]) / "train.parquet", folder / rehearsal.TRAIN)
    return sizes


if __name__ == "__main__":
    rehearsal.deal = planted
    sys.exit(rehearsal.main())
