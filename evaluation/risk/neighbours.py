"""The released row nearest to each target, by anonymeter's Gower distance over *declared* ranges.

anonymeter's own search scales a numeric column by the range that it observes in the two tables at hand, so that one
outlier changes every distance, and sorts all candidates to learn the nearest one. Here columns come scaled by their
declared bounds, and one pass keeps the nearest row (the first of equals). A null, on which the distance is undefined,
becomes the middle of the range plus a category of its own.
"""

from math import inf

import numba
import numpy as np
import numpy.typing as npt
import pandas as pd
from anonymeter.neighbors.mixed_types_kneighbors import gower_distance

from evaluation.tables import Floats, scaled
from synthgate.domain import NUMERIC, Domain


def nearest(
    queries: pd.DataFrame, candidates: pd.DataFrame, domain: Domain, names: tuple[str, ...]
) -> npt.NDArray[np.int64]:
    """Positions in ``candidates``, shape (len(queries),), of the row nearest in the columns ``names``.

    J. C. Gower, A general coefficient of similarity and some of its properties, Biometrics 27 (1971).
    """
    numbers: list[Floats] = []
    labels: list[Floats] = []
    for name in names:
        cells = np.concatenate([queries[name].to_numpy(), candidates[name].to_numpy()])
        if domain[name].kind not in NUMERIC:
            labels.append(pd.factorize(cells)[0].astype(np.float64))
            continue
        share = scaled(cells, domain[name])
        missing = np.isnan(share)
        numbers.append(np.where(missing, 0.5, share))
        if missing.any():
            labels.append(missing.astype(np.float64))
    rows = np.column_stack([*numbers, *labels])
    return np.asarray(_nearest(rows[: len(queries)], rows[len(queries) :], len(numbers)), dtype=np.int64)


@numba.jit(nopython=True, nogil=True)
def _nearest(queries: Floats, candidates: Floats, numbers: int) -> npt.NDArray[np.int64]:
    """Row positions; the first ``numbers`` columns are shares of a range, the others labels."""
    found = np.zeros(len(queries), dtype=np.int64)
    for i in range(len(queries)):
        least = inf
        for j in range(len(candidates)):
            distance = gower_distance(queries[i], candidates[j], numbers)
            if distance < least:
                least = distance
                found[i] = j
    return found
