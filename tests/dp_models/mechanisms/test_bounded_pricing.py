"""Pricing runs in the serving process for whoever asks: in the corners of what a budget can be, no grid is built."""

import pytest

from dp_models.mechanisms import accounting
from dp_models.mechanisms.calibration import calibrate, round_up
from dp_models.mechanisms.events import compose
from synthgate.budget import PrivacyBudget
from synthgate.events import DiscreteGaussian, DpEvent, Gaussian, Opaque, PoissonGaussian

CORNERS = [(0.001, 1e-15), (0.001, 1e-2), (1.0, 1e-15), (100.0, 1e-15), (100.0, 1e-2)]


@pytest.mark.parametrize(("epsilon", "delta"), CORNERS)
@pytest.mark.parametrize("k", [1, 1_000])
def test_the_corners_are_priced_without_a_grid_and_keep_to_the_budget(
    epsilon: float, delta: float, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    points: list[float] = []
    build = accounting._discrete_gaussian_pld

    def counted(sigma: float, sensitivity: int, interval: float) -> object:
        points.append(24 * sigma)
        return build(sigma, sensitivity, interval)

    monkeypatch.setattr(accounting, "_discrete_gaussian_pld", counted)

    def event_at(scale: float) -> DpEvent:
        return compose([DiscreteGaussian(round_up(k * scale), k)] * 12)

    event = event_at(calibrate(event_at, PrivacyBudget.spend(epsilon, delta)))
    assert accounting.epsilon(event, delta) <= epsilon
    assert max(points, default=0.0) <= 24 * 100_000


@pytest.mark.parametrize(
    ("event", "delta", "words"),
    [
        (DiscreteGaussian(30.0), 1e-6, "PLD"),
        (DiscreteGaussian(30.0), 1e-13, "RDP"),
        (PoissonGaussian(0.1, 0.2, 1_000), 1e-6, "RDP"),
        (Gaussian(3.0), 1e-15, "exact formula"),
        (Opaque(1.0, 1e-6), 1e-6, "foreign"),
    ],
)
def test_a_statement_names_the_accountant_that_priced(event: DpEvent, delta: float, words: str) -> None:
    assert words in accounting.accountant(event, delta)
