"""Principals: those of the settings, one token each, and nobody else."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from server import datasets
from server.config import Settings
from server.gateway import Gateway
from server.identity import DEVELOPMENT, Appointment, Office, Principal, authenticate, on_disk, provision
from server.store import Store
from synthgate.dataset import PrivacyUnit
from synthgate.errors import InvalidPolicy, Unauthenticated
from tests.server.approving import PRINCIPALS, TWO
from tests.server.composed import DOMAIN, SIZES, STEWARD, call


def test_each_principal_has_a_token_and_whoever_is_named_no_more_has_none(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    provision(store, folder)
    known = provision(store, folder, PRINCIPALS)
    tokens = {path.name: f"Bearer {path.read_text()}" for path in folder.iterdir()}
    assert {authenticate(known, tokens[name]) for name in PRINCIPALS} == {
        Principal(name, appointment.office) for name, appointment in PRINCIPALS.items()
    }
    for gone in ("officer", "auditor"):
        with pytest.raises(Unauthenticated):
            authenticate(known, tokens[gone])
    with store.begin() as tx:
        assert {name for name, _, _ in tx.principals.list()} == set(PRINCIPALS)
        tx.principals.remove("nobody")
    moved = provision(store, folder, PRINCIPALS | {"oda": Appointment(Office.AUDITOR)})
    assert authenticate(moved, tokens["oda"]).office is Office.AUDITOR


def test_without_the_store_too_nobody_is_known_but_who_is_appointed(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "tokens"
    former = provision(store, folder)
    known = provision(store, folder, PRINCIPALS)
    assert on_disk(folder, PRINCIPALS) == known
    officer = next(token for token, who in former.items() if who.name == "officer")
    assert (folder / "officer").exists() and officer not in on_disk(folder, PRINCIPALS)


def test_principals_are_read_in_both_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().principals == DEVELOPMENT
    given = {"olga": "officer", "olga-asks": {"office": "analyst", "person": "olga"}}
    monkeypatch.setenv("SYNTHGATE_PRINCIPALS", json.dumps(given))
    settings = Settings()
    assert settings.principals["olga"] == Appointment(Office.OFFICER)
    assert [settings.person(name) for name in ("olga", "olga-asks", "somebody")] == ["olga", "olga", "somebody"]


@pytest.mark.parametrize(
    "given",
    [{}, {"": "officer"}, {"../x": "officer"}, {"Olga": "officer"}, {"gateway": "officer"}, {"olga": "king"},
     {"olga": {"office": "officer", "colour": "red"}}, {"olga": {}}, {"olga": 1}, "officer"],
)  # fmt: skip
def test_faulty_principals_are_refused(given: object) -> None:
    with pytest.raises(ValidationError):
        Settings(principals=given)  # type: ignore[arg-type]


@pytest.mark.parametrize(("persons", "able"), [(("", ""), 2), (("olga", "olga"), 1), (("", "steward"), 1)])
def test_a_policy_asks_for_no_more_officers_than_can_approve(
    gateway: Gateway, persons: tuple[str, str], able: int
) -> None:
    officers = {f"o{i}": Appointment(Office.OFFICER, person) for i, person in enumerate(persons)}
    settings = gateway.settings.model_copy(update={"principals": {"steward": Appointment(Office.STEWARD)} | officers})
    within = replace(gateway, settings=settings)
    with pytest.raises(InvalidPolicy, match=f"the officers are {able}"):
        datasets.register(
            within, call(STEWARD), name="table", domain=DOMAIN, unit=PrivacyUnit(), sizes=SIZES, account="people",
            policy=replace(TWO, approvals=able + 1),
        )  # fmt: skip
