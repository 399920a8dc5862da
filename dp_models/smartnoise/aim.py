"""`SmartNoiseAim`: SmartNoise's AIM with this project's noise and sizes, under a privacy filter.

AIM (McKenna, Mullins, Sheldon, Miklau 2022) measures every column, then again and again the pair that its model gets
most wrong, with less noise whenever a table showed nothing but noise. Its scales adapt, so no loss distribution prices
it: all of it is one filter of zero-concentrated rho, which the noise enforces, and the accountant reads that rho alone.
Planning imports nothing of SmartNoise.
"""

import math
from dataclasses import dataclass

from dp_models.base import Model, Noise, Plan, Rows
from dp_models.encoding.codes import Codec
from dp_models.mechanisms.calibration import calibrate
from dp_models.settings import COUNT, check
from dp_models.smartnoise.coded import Coded
from synthgate.budget import PrivacyBudget
from synthgate.dataset import PublicSizes
from synthgate.domain import Domain
from synthgate.errors import FailedPrecondition, InvalidArgument
from synthgate.events import ZeroConcentrated

MAX_CODES = 100_000
"""Codes of all columns together; every column is measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmartNoiseAim:
    """How AIM spends and how large it may grow; the defaults are SmartNoise's.

    ``rounds_per_column`` sets the first noise scale, as if there were that many rounds a column (at least 2). Pairs of
    more than ``max_cells`` cells are never measured. ``model_mib`` bounds the model's tables in MiB. ``steps`` is how
    long each fit descends; no noise depends on it.
    """

    rounds_per_column: int = 16
    max_cells: int = 10_000
    model_mib: int = 80
    steps: int = 1_000

    def __post_init__(self) -> None:
        check(self, **dict.fromkeys(("rounds_per_column", "max_cells", "model_mib", "steps"), COUNT))
        if self.rounds_per_column < 2:
            raise InvalidArgument("AIM needs at least 2 rounds a column; one-way tables would take all of the budget")

    @property
    def name(self) -> str:
        """``smartnoise-aim``."""
        return "smartnoise-aim"

    def plan(self, domain: Domain, sizes: PublicSizes, budget: PrivacyBudget) -> Plan:
        """The rho of the filter. Raises FailedPrecondition for a domain of too many codes, and where no rho is small
        enough for the budget."""
        codes = Codec(domain).sizes
        if sum(codes) > MAX_CODES:
            raise FailedPrecondition(
                f"the declared columns have {sum(codes):,} codes, more than the {MAX_CODES:,} of {self.name}; declare"
                " fewer categories or columns"
            )
        scale = calibrate(lambda s: ZeroConcentrated(1 / s**2), budget)
        rho = math.nextafter(1 / scale**2, 0.0)
        return Plan(
            engine=self.name,
            because="asked for by name",
            domain=domain.digest,
            sizes=sizes,
            budget=budget,
            event=ZeroConcentrated(rho),
            parameters={
                "rho": rho,
                "rounds": self.rounds_per_column * len(codes),
                "max_cells": self.max_cells,
                "model_mib": self.model_mib,
                "steps": self.steps,
            },
        )

    def fit(self, rows: Rows, domain: Domain, plan: Plan, *, noise: Noise) -> Model:
        """Run until the filter's rho is used up. Raises DataCorrupted for rows that ingest did not make."""
        from dp_models.smartnoise.inside.aim import FilteredAim

        coded = Coded.of(rows, domain, max_rows=plan.sizes.max_rows)
        return FilteredAim(plan, noise).run(coded, Codec(domain))
