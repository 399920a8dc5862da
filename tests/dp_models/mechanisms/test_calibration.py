"""The least noise for a budget."""

import math

import pytest

from dp_models.mechanisms.accounting import epsilon
from dp_models.mechanisms.calibration import calibrate, round_up
from dp_models.mechanisms.events import compose
from synthgate.budget import PrivacyBudget
from synthgate.errors import FailedPrecondition
from synthgate.events import Composed, DiscreteGaussian, Exponential, Gaussian, PoissonGaussian, Repeated

SHAPES = {
    "one gaussian": Gaussian,
    "ten tables": lambda s: Repeated(DiscreteGaussian(s), 10),
    "selections": lambda s: Repeated(Exponential(1 / s), 5),
    "training": lambda s: PoissonGaussian(0.05, s, 200),
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("asked", [0.001, 0.1, 1.0, 10.0])
def test_the_price_is_the_budget_from_below(shape: str, asked: float) -> None:
    budget = PrivacyBudget.spend(asked, 1e-6)
    scale = calibrate(SHAPES[shape], budget)
    assert 0.999 * asked <= epsilon(SHAPES[shape](scale), 1e-6) <= asked


def test_the_textbook_gaussian() -> None:
    assert calibrate(Gaussian, PrivacyBudget.spend(1.0, 5e-8)) == pytest.approx(4.809, rel=1e-3)


def test_a_part_that_costs_too_much_already_is_refused() -> None:
    with pytest.raises(FailedPrecondition, match="epsilon 1"):
        calibrate(lambda s: Composed((Gaussian(1.0), Gaussian(s))), PrivacyBudget.spend(1.0, 1e-6))


@pytest.mark.parametrize(("scale", "wanted"), [(1.23401, 1.235), (345.0, 345.0), (0.0123401, 0.01235), (2.0, 2.0)])
def test_noise_rounds_up(scale: float, wanted: float) -> None:
    assert round_up(scale) == wanted


def test_what_is_rounded_stays_and_what_lies_between_is_never_rounded_down() -> None:
    for digits, numbers in ((3, range(1_000, 70_000)), (4, range(1_000, 10_000)), (5, range(1_000, 10_000))):
        for number in numbers:
            scale = round(number / 10**digits, digits)
            assert round_up(scale) == scale
            above = math.nextafter(scale, math.inf)
            assert above <= round_up(above) == round((number + 1) / 10**digits, digits)


def test_one_form_for_what_ran() -> None:
    one, two = DiscreteGaussian(3.0), Exponential(0.1)
    assert compose([one]) == one
    assert compose([one, one]) == Repeated(one, 2)
    assert compose([one, one, two, one]) == Composed((Repeated(one, 2), two, one))
