"""Every figure of docs/accounting.md is what the code gives."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from dp_models.mechanisms.accounting import rdp, substitute_one_epsilon
from dp_models.mechanisms.calibration import calibrate
from server import pricing
from server.ledger import meter
from synthgate import renyi
from synthgate.budget import PrivacyBudget
from synthgate.events import Gaussian
from synthgate.ledger import Balance, Charge
from synthgate.recount import Sum, Tally
from tests.server.stores import account

TEXT = (Path(__file__).parents[3] / "docs" / "accounting.md").read_text(encoding="utf-8")
NOTHING = Charge(epsilon=0, delta=0, rdp=0)
EMPTY = Balance(account=account(), committed=NOTHING, reserved=NOTHING)


def table(header: str) -> list[list[str]]:
    """The body of the table whose header starts with these words."""
    (found,) = re.findall(rf"^\| {re.escape(header)}.*\n\|[-| ]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]


def gaussian(epsilon: float, delta: float = 5e-8) -> tuple[float, Charge]:
    """The noise multiplier of one Gaussian release, and its charge on the account of cap 3."""
    budget = PrivacyBudget.spend(epsilon, delta)
    sigma = calibrate(Gaussian, budget)
    return sigma, meter.charge(budget=budget, rdp=rdp(Gaussian(sigma), EMPTY.account.order))


@pytest.mark.parametrize("row", table("cap epsilon"))
def test_orders_and_capacities(row: list[str]) -> None:
    epsilon, order, capacity = row
    cap = PrivacyBudget.cap(float(epsilon), 1e-6)
    frozen, k = meter.order_and_capacity(cap)
    assert (int(order), capacity) == (frozen, f"{k // 10**8 / 10**4:.4f}")
    assert renyi.best_orders(cap.epsilon_units, cap.delta_units) == {int(order)}


@pytest.mark.parametrize("row", table("request epsilon"))
def test_what_one_gaussian_takes(row: list[str]) -> None:
    epsilon, sigma, divergence, share = row
    found, charge = gaussian(float(epsilon))
    assert charge.rdp is not None
    figures = (f"{found:.3f}", f"{charge.rdp / 1e12:.4f}", f"{EMPTY.alone_ppm(charge) / 1e4:.1f} %")
    assert (sigma, divergence, share) == figures


def test_what_still_fits_after_each_release_of_epsilon_1() -> None:
    rows, held, (_, charge) = table("releases of epsilon 1"), EMPTY, gaussian(1.0)
    assert [int(row[0]) for row in rows] == list(range(9))
    for _, share, largest in rows:
        assert (share, largest) == (f"{held.share_ppm / 1e4:.1f} %", f"{pricing.largest_gaussian_epsilon(held):.3f}")
        held = held.after(charge)
    assert not held.holds, "the document says that eight fit"


def test_three_is_admitted_alone_and_refused_after_one() -> None:
    (_, one), (_, three) = gaussian(1.0), gaussian(3.0)
    assert EMPTY.admits(three)
    assert not EMPTY.after(one).admits(three)
    assert "admitted on an empty account, and refused after one release of epsilon 1" in " ".join(TEXT.split())


def test_the_conversion_by_hand() -> None:
    """3 + ln(9/8) + ln(9 * 5e-7)/8, as the document writes it out."""
    assert "3 + 0.11778 − 1.53893 = 1.57885" in TEXT
    assert renyi.capacities(3 * 10**9, 10**12, 9) == {1_578_853_890_507}


def test_the_figure_of_replacing_one_unit() -> None:
    sigma, _ = gaussian(1.0, 1e-6)
    assert f"{substitute_one_epsilon(Gaussian(sigma), 1e-6):.2f} for replacing one unit" in " ".join(TEXT.split())


def test_the_smallest_sigma_of_epsilon_3_takes_the_share_that_the_document_says() -> None:
    least = meter.charge(budget=PrivacyBudget.spend(3.0, 5e-8), rdp=rdp(Gaussian(1.727), 9))
    assert f"is 1.727, and would take {EMPTY.alone_ppm(least) / 1e4:.1f} %" in TEXT


def test_one_meter_within_its_cap_is_enough_and_none_is_not() -> None:
    people = Tally(
        name="people", epsilon=3 * 10**9, delta=10**12, order=9, capacity=1_578_853_890_507, sandbox=False,
        verdicts_granted=0,
    )  # fmt: skip
    assert replace(people, committed=Sum(epsilon=8 * 10**9, rdp=1_557 * 10**9)).holds
    assert replace(people, committed=Sum(epsilon=3 * 10**9, rdp=1_752 * 10**9)).holds
    assert not replace(people, committed=Sum(epsilon=9 * 10**9, rdp=1_752 * 10**9)).holds
