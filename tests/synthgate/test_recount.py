"""The recount against hand-checked figures, and against everything that a ledger could be made to lie about."""

import ast
import sys
from pathlib import Path

import pytest
from ledgers import HONEST, K, added, chained, dropped, edited, moved, opened, recounted, swapped, tally

from synthgate import recount, renyi
from synthgate.errors import VerificationFailed
from synthgate.recount import GENESIS, Sum

AMEND_4 = {"cap": {"epsilon_units": 4 * 10**9, "delta_units": 10**12}, "capacity": K + 10**12}


def amend(**given):
    return {**opened(), "kind": "amend", "reason": "more people", "reservation": "", **given}


@pytest.mark.parametrize("module", [recount, renyi])
def test_the_recount_shares_nothing_with_what_it_checks(module):
    path = Path(module.__file__)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [f"{n.module}.{a.name}" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names]
    named += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    ours = {name for name in named if name.split(".")[0] in ("synthgate", "server", "dp_models", "evaluation")}
    assert ours <= {"synthgate.renyi", "synthgate.errors.VerificationFailed"}
    assert {name.split(".")[0] for name in named} - {"synthgate"} <= sys.stdlib_module_names


def test_the_two_files_stay_under_500_lines():
    assert sum(len(Path(m.__file__).read_text().splitlines()) for m in (recount, renyi)) < 500


@pytest.mark.parametrize(
    ("epsilon", "order", "capacity"),
    [(1, 23, 0.527489), (2, 13, 1.084733), (3, 9, 1.578853), (5, 6, 2.638941), (10, 4, 5.913560)],
)
def test_orders_and_capacities_of_delta_1e_6(epsilon, order, capacity):
    """Cap 3 by hand: 3 + ln(9/8) + ln(9 * 5e-7)/8 = 3 + 0.117783 - 1.538929 = 1.578854."""
    units = epsilon * 10**9
    assert renyi.best_orders(units, 10**12) == {order}
    (found,) = renyi.capacities(units, 10**12, order)
    assert found // 10**6 == round(capacity * 10**6)


def test_a_cap_too_small_for_any_order_leaves_meter_b_closed():
    assert renyi.capacities(10**7, 10**12, 256) == {0}


SUMS = {
    "nothing": ([], Sum(), Sum(), 0),
    "one reserved: 0.19458 / 1.57885 of meter B": (
        [moved("reserve", "a")],
        Sum(),
        Sum(epsilon=10**9, delta=5 * 10**10, rdp=194_580_000_000),
        123_242,
    ),
    "one committed": (
        [moved("reserve", "a"), moved("commit", "a")],
        Sum(epsilon=10**9, delta=5 * 10**10, rdp=194_580_000_000),
        Sum(),
        123_242,
    ),
    "one voided": ([moved("reserve", "a"), moved("void", "a")], Sum(), Sum(), 0),
    "opaque: one third of meter A": (
        [moved("reserve", "a", rdp=None)],
        Sum(),
        Sum(epsilon=10**9, delta=5 * 10**10, opaque=1),
        333_334,
    ),
}


@pytest.mark.parametrize("case", SUMS)
def test_what_an_account_adds_up_to(case):
    lines, committed, reserved, share = SUMS[case]
    found = tally(chained([opened(), *lines]))
    assert (found.committed, found.reserved, found.share_ppm) == (committed, reserved, share)
    assert found.entries == 1 + len(lines)


def test_an_honest_ledger_holds():
    found = recounted(HONEST)
    assert (found.taken, found.head) == (8, HONEST[-1]["digest"])
    (people,) = found.accounts
    assert (people.committed.epsilon, people.reserved.epsilon) == (2 * 10**9, 10**9)


@pytest.mark.parametrize(
    "more",
    [
        [moved("reserve", "r5", epsilon=10**9)],  # meter A is full, meter B holds
        [moved("void", "r4"), moved("reserve", "r5", epsilon=10**9, rdp=None)],  # meter B is closed, meter A holds
        [amend(**AMEND_4)],
        [amend(**AMEND_4), moved("reserve", "r5", epsilon=3 * 10**9, rdp=1_900_000_000_000)],
        [amend(verdicts_granted=2)],
        [opened(account="plants"), moved("reserve", "r5") | {"account": "plants"}],
    ],
)
def test_what_a_gateway_may_write_holds(more):
    recounted(added(*more)(list(HONEST)))


EDIT = {"epsilon": 1, "delta": 0, "rdp": 0}
SANDBOX = {"sandbox": True}
CHEATS = {
    "edited amount": (edited(2, anew=False, charge=EDIT), 2, "its digest"),
    "edited amount and digest": (
        lambda lines: [*lines[:1], {**chained([lines[0], {**lines[1], "charge": EDIT}])[1]}, *lines[2:]], 3,
        "does not follow",
    ),
    "edited amount, all hashed anew": (edited(2, anew=True, charge=EDIT), 3, "other amounts"),
    "edited time": (edited(3, anew=False, at="2026-01-02T03:04:06.678901+00:00"), 3, "its digest"),
    "edited principal": (edited(3, anew=False, principal="nobody"), 3, "its digest"),
    "edited salt": (edited(3, anew=False, salt="11" * 16), 3, "its digest"),
    "dropped void": (dropped(5, anew=False), 5, "has number 6"),
    "dropped reserve, hashed anew": (dropped(2, anew=True), 2, "never reserved"),
    "reordered": (swapped(3, anew=False), 3, "has number 4"),
    "reordered, hashed anew": (swapped(2, anew=True), 2, "never reserved"),
    "void after commit": (added(moved("void", "r1")), 9, "had its commit in entry 3"),
    "commit after void": (added(moved("commit", "r2", epsilon=2 * 10**9, rdp=10**12)), 9, "had its void in entry 5"),
    "double commit": (added(moved("commit", "r3")), 9, "had its commit in entry 7"),
    "double void": (added(moved("void", "r4"), moved("void", "r4")), 10, "had its void in entry 9"),
    "commit of less": (added(moved("commit", "r4", epsilon=1)), 9, "other amounts"),
    "commit of less divergence": (added(moved("commit", "r4", rdp=0)), 9, "other amounts"),
    "commit for another account": (
        added(opened(account="plants"), moved("commit", "r4") | {"account": "plants"}), 10, "another account",
    ),
    "reserved twice": (added(moved("reserve", "r1")), 9, "reserved before"),
    "negative charge": (added(moved("reserve", "r5", epsilon=-(10**9))), 9, "not negative"),
    "charge of nothing": (added(moved("reserve", "r5", epsilon=0)), 9, "not negative"),
    "charge that is no whole number": (added(moved("reserve", "r5", rdp=0.5)), 9, "whole amounts"),
    "above the cap on both meters": (
        added(moved("reserve", "r5", epsilon=10**9, rdp=10**12)), 9, "above its cap on both meters",
    ),
    "opaque above the cap": (added(moved("reserve", "r5", rdp=None)), 9, "above its cap on both meters"),
    "cap raised at opening, capacity as it was": (edited(1, anew=True, cap=AMEND_4["cap"]), 1, "its order"),
    "cap raised without amend": (edited(1, anew=False, cap=AMEND_4["cap"]), 1, "its digest"),
    "order not the best of the cap": (edited(1, anew=True, order=10), 1, "its order"),
    "K not that of the cap": (edited(1, anew=True, capacity=K + 1), 1, f"{K}e-12"),
    "K too small": (edited(1, anew=True, capacity=K - 1), 1, f"{K}e-12"),
    "amend with the K of another cap": (added(amend(**AMEND_4 | {"capacity": K})), 9, f"{K + 10**12}e-12"),
    "amend of the order": (added(amend(order=10)), 9, "fixed at opening"),
    "amend below what is taken": (
        added(amend(cap={"epsilon_units": 2 * 10**9, "delta_units": 10**12}, capacity=K - 10**12)), 9,
        "above its cap on both meters",
    ),
    "amend far below what is taken": (
        added(amend(cap={"epsilon_units": 10**9, "delta_units": 10**12}, capacity=0)), 9, "above its cap on both",
    ),
    "amend without a reason": (added(amend(reason=" ")), 9, "without a reason"),
    "amend of nothing": (added(amend(account="plants")), 9, "not opened"),
    "reserve on nothing": (added(moved("reserve", "r5") | {"account": "plants"}), 9, "not opened"),
    "opened twice": (added(opened()), 9, "opened before"),
    "cap outside limits": (edited(1, anew=True, cap={"epsilon_units": 10**12, "delta_units": 10**12}), 1, "limits"),
    "sandbox flag flipped": (edited(1, anew=False, **SANDBOX), 1, "its digest"),
    "sandbox flag flipped by amend": (added(amend(**SANDBOX)), 9, "fixed at opening"),
    "sandbox flag on a reserve": (edited(2, anew=True, **SANDBOX), 2, "no cap"),
    "a sixth verb": (added(moved("release", "r4")), 9, "its verb"),
    "a field more": (edited(2, anew=True, note="x"), 2, "its fields"),
    "a text that is not UTF-8": (edited(2, anew=False, reason="\ud800"), 2, "not UTF-8"),
    "a flag for a number": (edited(2, anew=True, order=False), 2, "its fields"),
    "a time in another zone": (edited(2, anew=True, at="2026-01-02T04:04:05.678901+01:00"), 2, "time"),
}  # fmt: skip


def verdict(cheat):
    """The number of the entry that convicts a cheat, and why; fails where the ledger passes for an honest one."""
    with pytest.raises(VerificationFailed) as caught:
        recounted(CHEATS[cheat][0]([dict(each) for each in HONEST]))
    return int(caught.value.facts["sequence"]), caught.value.message


@pytest.mark.parametrize("cheat", CHEATS)
def test_a_cheat_is_convicted_at_its_entry(cheat):
    _, number, why = CHEATS[cheat]
    found, message = verdict(cheat)
    assert found == number
    assert why in message


@pytest.mark.guarantee("cap")
def test_every_planted_cheat_is_convicted(record_property):
    convicted = [cheat for cheat in CHEATS if verdict(cheat)[0] > 0]
    assert convicted == list(CHEATS)
    record_property("reached", f"the recount convicts {len(convicted)} of {len(CHEATS)} planted cheats")


def attested(lines=HONEST, number=3, **change):
    """What the attestation of the release that entry ``number`` commits carries, signed at the last of ``lines``."""
    entry = lines[number - 1]
    facts = {"release": entry["reservation"], "account": entry["account"], "sequence": number}
    return {**facts, "digest": entry["digest"], "head": lines[-1]["digest"], **change}


LOWERED = chained([
    {**each, "charge": {**each["charge"], "epsilon": 1}} if each["reservation"] == "r1" else each for each in HONEST
])  # fmt: skip


def test_a_head_that_was_kept_convicts_a_cut_at_the_end():
    recounted(HONEST).holds_head(HONEST[-1]["digest"])
    recounted(HONEST).holds_head(GENESIS)
    cut = recounted(HONEST[:-1])
    with pytest.raises(VerificationFailed, match="removed at the end"):
        cut.holds_head(HONEST[-1]["digest"])


def test_an_attestation_convicts_a_ledger_that_was_written_anew():
    """Lowering a charge and hashing everything again leaves a ledger that holds by itself."""
    recounted(HONEST).holds_commit(**attested())
    forged = recounted(LOWERED)
    with pytest.raises(VerificationFailed, match="written anew"):
        forged.holds_commit(**attested())
    with pytest.raises(VerificationFailed, match="not the entry that the attestation"):
        forged.holds_commit(**attested(head=forged.head))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"number": 2}, "does not commit release 'r1'"),
        ({"number": 5}, "does not commit release 'r2'"),
        ({"account": "plants"}, "does not commit release 'r1'"),
        ({"release": "r3"}, "does not commit release 'r3'"),
        ({"sequence": 99}, "not the entry"),
        ({"sequence": 0, "digest": GENESIS}, "not the entry"),
        ({"head": HONEST[1]["digest"]}, "stands behind the head"),
    ],
)
def test_an_attestation_names_the_commit_of_its_own_release(change, why):
    with pytest.raises(VerificationFailed, match=why):
        recounted(HONEST).holds_commit(**attested(**change))
