"""The released row nearest to each target, by anonymeter's Gower distance over *declared* ranges.

anonymeter scales a numeric column by the range it observes in the two tables at hand, so that one outlier in one of
them changes every distance. Two sentinel targets at the declared bounds pin that range; their own answers are dropped.
A null, on which its distance is undefined, becomes the middle of the range plus a category of its own.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from anonymeter.neighbors.mixed_types_kneighbors import MixedTypeKNeighbors

from evaluation.tables import MISSING, scaled
from synthgate.domain import NUMERIC, Domain

NULL = "\x00null"


def nearest(
    queries: pd.DataFrame, candidates: pd.DataFrame, domain: Domain, names: tuple[str, ...]
) -> npt.NDArray[np.int64]:
    """Positions in ``candidates``, shape (len(queries),), of the row nearest in the columns ``names``.

    J. C. Gower, A general coefficient of similarity and some of its properties, Biometrics 27 (1971).
    """
    numeric = [n for n in names if domain[n].kind in NUMERIC]
    nullable = {n for n in numeric if queries[n].isna().any() or candidates[n].isna().any()}
    asked = _encoded(queries, domain, names, nullable)
    bounds = pd.DataFrame({c: [0.0, 1.0] if asked[c].dtype.kind == "f" else [MISSING, MISSING] for c in asked.columns})
    search = MixedTypeKNeighbors(n_neighbors=1, n_jobs=-1).fit(_encoded(candidates, domain, names, nullable))
    found = search.kneighbors(pd.concat([asked, bounds], ignore_index=True))
    return np.asarray(found, dtype=np.int64)[:-2, 0]


def _encoded(frame: pd.DataFrame, domain: Domain, names: tuple[str, ...], nullable: set[str]) -> pd.DataFrame:
    cells: dict[str, npt.NDArray[np.generic]] = {}
    for name in names:
        values = frame[name].to_numpy()
        if domain[name].kind not in NUMERIC:
            cells[name] = values
            continue
        share = scaled(values, domain[name])
        cells[name] = np.where(np.isnan(share), 0.5, share)
        if name in nullable:
            cells[name + NULL] = np.where(np.isnan(share), MISSING, "").astype(object)
    return pd.DataFrame(cells)
