"""One table under two accounts, over the wire: it waits, is linked, and is charged to the account that has it."""

import pyarrow.parquet as pq
import pytest

from synthgate import errors
from synthgate.dataset import DatasetState
from tests.e2e.people import LENIENT, declaration, people
from tests.e2e.process import Served

pytestmark = pytest.mark.guarantee("population")


def test_a_table_of_another_account_waits_until_it_is_linked(served: Served) -> None:
    file = served.state.with_name("twice.parquet")
    pq.write_table(people(1_500, seed=77), file)
    for name in ("twice-a", "twice-b", "twice-c"):
        served.steward.open_account(name, epsilon=3.0, delta=1e-6)
        served.steward.create_dataset(name, declaration(1_500), account=name, policy=LENIENT)
        served.steward.upload(name, file)
        if name == "twice-a":
            served.steward.wait_ready(name)
            continue
        with pytest.raises(errors.WrongState, match="dataset link"):
            served.steward.wait_ready(name)
    assert served.steward.dataset("twice-b").dataset.state is DatasetState.AWAITING_LINK
    assert served.analyst.dataset("twice-b").dataset.state is DatasetState.CREATED
    with pytest.raises(errors.PermissionDenied):
        served.steward.distinguish_dataset("twice-b", reason="not mine to say")

    served.steward.link_dataset("twice-b")
    assert served.steward.wait_ready("twice-b").dataset.account == "twice-a"
    served.officer.distinguish_dataset("twice-c", reason="a test")
    assert served.steward.wait_ready("twice-c").dataset.account == "twice-c"
    for name in ("twice-a", "twice-b"):
        served.analyst.create_release(name, engine="independent", epsilon=0.5)
    taken = {name: served.balance(name).taken_ppm for name in ("twice-a", "twice-b")}
    assert taken["twice-a"] > served.balance("twice-c").taken_ppm == taken["twice-b"] == 0
    assert served.steward.balance("twice-a").verdicts == 2
