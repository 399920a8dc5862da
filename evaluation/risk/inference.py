"""Inference: can someone who knows a person's auxiliary columns guess a declared secret from the release?

anonymeter's attack (Giomi et al., PoPETs 2023, section 4.3): the guess is the secret of the nearest released row. A
categorical or boolean guess must be equal. A numeric one is anonymeter's regression: right within 5 % of the guess,
measured from the column's declared lower bound, so that a negative guess (which anonymeter would always count as
right) cannot occur. A guessed null is right where the secret is null.
"""

import warnings

import numpy as np
import pandas as pd
from anonymeter.evaluators.inference_evaluator import InferenceEvaluator, evaluate_inference_guesses

from evaluation.base import Comparison, Findings
from evaluation.risk.attack import MAX_CANDIDATES, Tally, Targets, candidates, shortage, targets, untold
from evaluation.risk.neighbours import nearest
from synthgate.domain import NUMERIC, Domain
from synthgate.report import Score


class NearestRow:
    """anonymeter's ``InferencePredictor``: guesses the secret of the released row nearest in the known columns."""

    def __init__(self, sample: pd.DataFrame, domain: Domain, known: tuple[str, ...], secret: str) -> None:
        self._sample = sample
        self._domain = domain
        self._known = known
        self._secret = secret

    def predict(self, x: pd.DataFrame) -> pd.Series:
        """One guess a row of ``x``, under the same index."""
        found = nearest(x, self._sample, self._domain, self._known)
        return pd.Series(self._sample[self._secret].to_numpy()[found], index=x.index)


class Inference:
    """One score ``risk.inference.SECRET`` for each declared secret; a domain without secrets has none."""

    name = "risk.inference"

    def __init__(self, *, released: int = MAX_CANDIDATES) -> None:
        self._released = released

    def measure(self, comparison: Comparison, *, generator: np.random.Generator) -> Findings:
        """Attack min(2,000, holdout) targets on each side, the same ones for every secret."""
        domain, reason = comparison.domain, shortage(comparison)
        if reason:
            return Findings(scores=tuple(untold(f"{self.name}.{s}", reason) for s in domain.secrets))
        both = targets(comparison, generator=generator)
        rows, remark = candidates(comparison.sample, self._released, generator=generator)
        scores = [_attack(s, domain, both, rows, remark, generator=generator) for s in domain.secrets]
        return Findings(scores=tuple(scores))


def _attack(
    secret: str, domain: Domain, both: Targets, rows: pd.DataFrame, remark: str, *, generator: np.random.Generator
) -> Score:
    name = f"{Inference.name}.{secret}"
    known = tuple(n for n in domain.auxiliary if n != secret)
    if not known:
        return untold(name, "no auxiliary column is declared that an attacker could start from")
    numeric = domain[secret].kind in NUMERIC
    low = domain[secret].number(domain[secret].low) if numeric else 0.0

    def measured(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{secret: frame[secret] - low}) if numeric else frame

    main, control, sample = measured(both.main), measured(both.control), measured(rows)
    # With as many attacks as targets the evaluator's own draw is a permutation, so its counts need no seed.
    evaluator = InferenceEvaluator(
        ori=main,
        syn=sample,
        control=control,
        aux_cols=list(known),
        secret=secret,
        regression=numeric,
        n_attacks=len(both),
        inference_model=NearestRow(sample, domain, known, secret),
    ).evaluate()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        counts = evaluator.results()
    drawn = sample[secret].to_numpy()[generator.integers(len(sample), size=len(both))]
    guesses = pd.Series(drawn, index=main.index)
    naive = evaluate_inference_guesses(guesses=guesses, secrets=main[secret], regression=numeric)
    tally = Tally(
        attacks=len(both),
        main=int(counts.n_success),
        control=int(counts.n_control),
        naive=int(np.count_nonzero(naive)),
    )
    return tally.score(name, remarks=(f"attacker knows {len(known)} columns", remark))
