import math
from datetime import UTC, datetime

import pytest

from server.ledger import meter, rules
from synthgate.budget import PrivacyBudget
from synthgate.errors import InvalidBudget
from synthgate.ledger import PPM, Balance, Charge
from tests.server.stores import EPS1, EPS3, account, gaussian

CAP3 = PrivacyBudget.cap(3.0, 1e-6)
NOTHING = Charge(epsilon=0, delta=0, rdp=0)
FLOAT_ERROR = 1e-14


def empty(epsilon: float = 3.0, delta: float = 1e-6) -> Balance:
    return Balance(account=account(epsilon=epsilon, delta=delta), committed=NOTHING, reserved=NOTHING)


def gaussian_delta(sigma: float, epsilon: float) -> float:
    """Balle and Wang 2018, theorem 8, at sensitivity 1."""

    def phi(x: float) -> float:
        return math.erfc(-x / math.sqrt(2)) / 2

    return phi(0.5 / sigma - epsilon * sigma) - math.exp(epsilon) * phi(-0.5 / sigma - epsilon * sigma)


def sigma_for(epsilon: float, delta: float) -> float:
    low, high = 0.01, 1e4
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if gaussian_delta(middle, epsilon) > delta else (low, middle)
    return high


def price(epsilon: float) -> Charge:
    return gaussian(sigma_for(epsilon, 5e-8), epsilon=epsilon)


@pytest.mark.parametrize(("epsilon", "order"), [(1, 23), (2, 13), (3, 9), (5, 6), (10, 4)])
def test_the_frozen_order(epsilon: float, order: int) -> None:
    assert meter.order_and_capacity(PrivacyBudget.cap(epsilon, 1e-6))[0] == order


def test_k_of_cap_3() -> None:
    assert meter.order_and_capacity(CAP3)[1] / 1e12 == pytest.approx(1.5788, abs=1e-4)


@pytest.mark.parametrize("order", [2, 9, 64, 256])
@pytest.mark.parametrize(("epsilon", "delta"), [(0.5, 1e-9), (3.0, 1e-6), (10.0, 0.01)])
def test_k_is_the_conversion_read_backwards_and_rounds_down(epsilon: float, delta: float, order: int) -> None:
    k = meter.capacity(PrivacyBudget.cap(epsilon, delta), order)
    converted = k / 1e12 + math.log1p(-1 / order) - math.log(order * delta / 2) / (order - 1)
    assert k == 0 or epsilon - 2e-12 <= converted <= epsilon + FLOAT_ERROR


def test_no_capacity_where_no_order_has_any() -> None:
    assert meter.order_and_capacity(PrivacyBudget.cap(0.01, 1e-6)) == (256, 0)
    assert meter.capacity(PrivacyBudget.cap(0.01, 1e-6), 2) == 0


def test_a_closed_meter_opens_at_its_frozen_order_when_the_cap_grows() -> None:
    order, _ = meter.order_and_capacity(PrivacyBudget.cap(0.01, 1e-6))
    assert meter.capacity(PrivacyBudget.cap(1.0, 1e-6), order) > 0


@pytest.mark.parametrize("order", [0, 1, 257])
def test_orders_outside_the_range_are_refused(order: int) -> None:
    with pytest.raises(InvalidBudget):
        meter.capacity(CAP3, order)


@pytest.mark.parametrize(("sigma", "epsilon", "share"), [(4.809, 1.0, 0.123), (1.727, 3.0, 0.956)])
def test_shares_of_one_gaussian_under_cap_3(sigma: float, epsilon: float, share: float) -> None:
    assert sigma_for(epsilon, 5e-8) == pytest.approx(sigma, abs=5e-4)
    taken = gaussian(sigma, epsilon=epsilon).rdp
    assert taken is not None
    assert taken / account().capacity == pytest.approx(share, abs=5e-4)


def test_eight_gaussians_of_epsilon_1_fit_under_cap_3() -> None:
    held = empty()
    for _ in range(8):
        assert held.admits(EPS1)
        held = held.after(EPS1)
    assert not held.admits(EPS1)
    assert held.share_ppm == pytest.approx(8 * 0.12324 * PPM, abs=200)


def test_epsilon_3_fits_an_empty_account_and_no_longer_after_epsilon_1() -> None:
    assert empty().admits(EPS3)
    assert not empty().after(EPS1).admits(EPS3)


def test_the_refusal_reads_every_share_on_one_meter() -> None:
    error = rules.exhausted(empty().after(EPS1), EPS3)
    facts = error.facts
    assert (facts["account"], facts["cap_epsilon"], facts["cap_delta"]) == ("people", "3", "1e-06")
    assert facts["committed_ppm"] == "0"
    assert facts["reserved_ppm"] == facts["taken_ppm"]
    assert int(facts["taken_ppm"]) == pytest.approx(0.123 * PPM, abs=500)
    assert int(facts["asked_ppm"]) == pytest.approx(0.956 * PPM, abs=500)
    assert error.message == (
        "account 'people' does not admit this: of its cap (epsilon 3, delta 1e-06) 0.0 % is committed, "
        "12.3 % reserved, and 95.6 % was asked; nothing was charged"
    )


def test_an_opaque_refusal_reads_meter_a() -> None:
    opaque = meter.charge(budget=PrivacyBudget.spend(2.5, 5e-8), rdp=math.inf)
    error = rules.exhausted(empty().after(EPS1), opaque)
    assert (error.facts["taken_ppm"], error.facts["asked_ppm"]) == ("333334", "833334")


def test_the_shares_of_a_refusal_add_up_to_more_than_the_account() -> None:
    mixed = empty().after(gaussian(1.727, epsilon=0.3)).after(gaussian(60.0, epsilon=2.6))
    charge = gaussian(5.0, epsilon=0.5)
    assert not mixed.admits(charge)
    facts = rules.exhausted(mixed, charge).facts
    assert int(facts["taken_ppm"]) + int(facts["asked_ppm"]) > PPM


@pytest.mark.parametrize(
    ("rdp", "units"),
    [
        (0.0, 0),
        (1e-13, 1),
        (0.1, 10**11),
        (0.1 + 1e-13, 10**11 + 1),
        (1000.0, 10**15),
        (1001.0, None),
        (math.inf, None),
    ],
)
def test_a_charge_rounds_up(rdp: float, units: int | None) -> None:
    made = meter.charge(budget=PrivacyBudget.spend(1.0, 5e-8), rdp=rdp)
    assert made == Charge(epsilon=10**9, delta=5 * 10**10, rdp=units)


@pytest.mark.parametrize("rdp", [math.nan, -1e-9, -math.inf])
def test_a_charge_refuses_what_is_no_divergence(rdp: float) -> None:
    with pytest.raises(InvalidBudget):
        meter.charge(budget=PrivacyBudget.spend(1.0, 5e-8), rdp=rdp)


@pytest.mark.parametrize(("delta", "default"), [(1e-6, 5e-8), (1e-5, 5e-7), (0.01, 5e-4), (1e-15, 1e-15)])
def test_default_delta(delta: float, default: float) -> None:
    assert meter.default_delta(PrivacyBudget.cap(1.0, delta)) == default


def test_ten_default_deltas_fill_meter_a() -> None:
    units = PrivacyBudget.spend(1.0, meter.default_delta(CAP3)).delta_units
    assert 10 * units == empty().delta_cap


@pytest.mark.parametrize("taken", [0, 1, 4, 7, 8])
def test_largest_epsilon_fits_and_a_step_more_does_not(taken: int) -> None:
    held = empty()
    for _ in range(taken):
        held = held.after(EPS1)
    largest = meter.largest_epsilon(held, price)
    assert largest == round(largest, 3) <= 3.0
    assert held.admits(price(largest))
    assert largest == 3.0 or not held.admits(price(largest + 0.001))


def test_largest_epsilon_after_one_of_epsilon_1() -> None:
    assert 2.7 < meter.largest_epsilon(empty().after(EPS1), price) < 3.0


def test_largest_epsilon_never_exceeds_the_cap_though_meter_b_holds_more() -> None:
    assert meter.largest_epsilon(empty(), lambda epsilon: Charge(epsilon=10**12, delta=0, rdp=0)) == 3.0


def test_largest_epsilon_is_zero_where_nothing_fits() -> None:
    full = empty().after(Charge(epsilon=3 * 10**9, delta=0, rdp=None))
    assert meter.largest_epsilon(full, price) == 0.0
    tiny = empty(epsilon=0.001)
    assert meter.largest_epsilon(tiny, lambda e: meter.charge(budget=PrivacyBudget.spend(e, 1e-9), rdp=e)) == 0.001


@pytest.mark.parametrize(("taken", "most"), [(0, 1), (1, 5), (4, 6), (7, 5), (8, 5)])
def test_largest_epsilon_asks_for_few_prices(taken: int, most: int) -> None:
    """A plan with gradients takes seconds, and a client waits for thirty of them."""
    asked: list[float] = []

    def counting(epsilon: float) -> Charge:
        asked.append(epsilon)
        return price(epsilon)

    held = empty()
    for _ in range(taken):
        held = held.after(EPS1)
    meter.largest_epsilon(held, counting)
    assert len(asked) <= most


@pytest.mark.parametrize("border", [0.2, 1.0, 2.9])
def test_largest_epsilon_ends_where_a_price_jumps_or_has_no_end(border: float) -> None:
    """An engine that plans nothing beyond a border, and one that costs ten times as much."""
    for beyond in (Charge(epsilon=2**62, delta=2**62, rdp=None), price(3.0)):
        asked: list[float] = []

        def jumps(epsilon: float, beyond: Charge = beyond, asked: list[float] = asked) -> Charge:
            asked.append(epsilon)
            return price(epsilon) if epsilon < border else beyond

        assert meter.largest_epsilon(empty().after(EPS1), jumps) == pytest.approx(min(border, 2.862), abs=0.002)
        assert len(asked) <= 48, "every fourth halves what is open"


def test_a_new_account_carries_order_and_capacity() -> None:
    made = meter.new_account("a", CAP3, sandbox=True, by="o", at=datetime(2026, 1, 1, tzinfo=UTC))
    assert (made.order, made.capacity) == meter.order_and_capacity(CAP3)
    assert made.sandbox
