"""An approval is of everything that was looked at: whatever of it changes, the approval counts no more."""

import base64
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from server import approvals, publication, quorum
from server.attestation import Signer
from server.catalog.base import ReleaseRecord
from server.config import Settings
from server.gateway import Gateway
from server.identity import Appointment, Office, Principal
from server.store import Transaction
from synthgate.approval import APPROVAL_TYPE, Approval, Binding, json_digest
from synthgate.attestation import PAYLOAD_TYPE, canonical_json
from synthgate.errors import PermissionDenied, VerificationFailed, WrongState
from synthgate.release import ReleaseState
from synthgate.verify import signed_payload, verify_envelope
from tests.server.approving import DAY_S, ODA, OLGA, OTTO, PRINCIPALS, TwoOfThree, another, awaiting
from tests.server.composed import registered

FIELDS = tuple(field.name for field in fields(Binding))
OTHER = "0" * 64


@pytest.fixture
def office(tmp_path: Path) -> TwoOfThree:
    return awaiting(tmp_path)


class Salted(Signer):
    """The same key, another salt."""

    def salt(self, name: str) -> str:
        return OTHER


def _elsewhere(office: TwoOfThree) -> TwoOfThree:
    """The approvals of one release under another."""
    given, moved = office.stored().approvals, replace(office, release=another(office.gateway))
    moved.edit(lambda d: d.update(approvals=list(given)))
    return moved


def _other_dataset(office: TwoOfThree) -> TwoOfThree:
    registered(office.gateway, "other")
    office.edit(lambda d: d["release"].update(dataset="other"))
    return office


def _release(change: Callable[[dict[str, Any]], object]) -> Callable[[TwoOfThree], TwoOfThree]:
    def edit(office: TwoOfThree) -> TwoOfThree:
        office.edit(change)
        return office

    return edit


def _dataset(change: Callable[[dict[str, Any]], object]) -> Callable[[TwoOfThree], TwoOfThree]:
    def edit(office: TwoOfThree) -> TwoOfThree:
        office.edit(change, of="datasets")
        return office

    return edit


EDITS: dict[str, Callable[[TwoOfThree], TwoOfThree]] = {
    "release": _elsewhere,
    "dataset": _other_dataset,
    "registrar": _dataset(lambda d: d["dataset"].update(registered_by="somebody")),
    "domain": _dataset(lambda d: d["dataset"]["domain"]["columns"][0].update(high=98)),
    "account": _release(lambda d: d["release"].update(account="others")),
    "engine": _release(lambda d: d["release"].update(engine="tree")),
    "requester": _release(lambda d: d["release"].update(requested_by="somebody")),
    "data": _release(lambda d: d["artifacts"].update(data=OTHER)),
    "model": _release(lambda d: d["artifacts"].update(model=OTHER)),
    "report": _release(lambda d: d["artifacts"].update(report_json=OTHER)),
    "report_page": _release(lambda d: d["artifacts"].update(report_html=OTHER)),
    "decision_page": _release(lambda d: d["artifacts"].update(report_decision=OTHER)),
    "policy": _release(lambda d: d["policy"].update(name="milder")),
    "policy_digest": _release(lambda d: d["policy"]["rules"][0].update(at_most=0.5)),
    "plan": _release(lambda d: d["plan"].update(engine="other")),
    "statement": _release(lambda d: d["statement"].update(epsilon=0.01)),
    "verdict": _release(lambda d: d.update(verdict_number=7)),
    "verdicts_allowed": _release(lambda d: d.update(verdicts_allowed=1_000)),
    "salt": lambda o: replace(o, gateway=replace(o.gateway, signer=Salted(o.gateway.keys.signing()))),
    "registrar_names": _dataset(lambda d: d.update(registrar_names=["somebody"])),
    "requester_names": _release(lambda d: d.update(requester_names=[])),
}
"""For each field, how what it says can be changed in a gateway that runs."""


def judge(office: TwoOfThree, field: str) -> None:
    """One of two officers approves, the field changes, the other approves what is there now: nothing is released."""
    before = office.quorum().binding
    office.approve(OLGA)
    changed = EDITS[field](office)
    found = changed.quorum()
    assert getattr(found.binding, field) != getattr(before, field)
    assert found.counted == (), "the approval of what was there before counts"
    assert found.void[0][0] == "olga"
    with pytest.raises(WrongState, match="look at it again"):
        changed.approve(OTTO, binding=before.digest)
    second = changed.approve(OTTO)
    assert second.state is ReleaseState.AWAITING_APPROVAL, "released with one approval that counts"
    assert second.approvals == ("otto",)
    assert "olga (given for something else" in second.stage


def test_every_field_has_an_edit() -> None:
    assert tuple(EDITS) == FIELDS


@pytest.mark.guarantee("approvals-bind")
@pytest.mark.parametrize("field", FIELDS)
def test_what_changes_a_bound_field_makes_approvals_void(office: TwoOfThree, field: str) -> None:
    judge(office, field)


@pytest.mark.guarantee("approvals-bind")
@pytest.mark.parametrize("field", FIELDS)
def test_counting_names_alone_is_convicted(office: TwoOfThree, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(given: Any, binding: Binding, now: Any, *, key: bytes, settings: Any) -> Any:
        read = (json.loads(signed_payload(e.encode(), key, payload_type=APPROVAL_TYPE)) for e in given)
        return tuple(replace(Approval.from_dict(a), binding=binding.digest) for a in read), ()

    monkeypatch.setattr(quorum, "standing", careless)
    with pytest.raises(AssertionError, match="what was there before counts"):
        judge(office, field)


@pytest.mark.guarantee("approvals-bind")
def test_every_field_of_the_value_is_bound(office: TwoOfThree, record_property: Callable[[str, object], None]) -> None:
    office.approve(OLGA)
    gateway, binding, given = office.gateway, office.quorum().binding, office.stored().approvals

    def counted(changed: Binding) -> int:
        return len(quorum.standing(
            given, changed, gateway.now(), key=gateway.signer.public_pem, settings=gateway.settings
        )[0])  # fmt: skip

    assert counted(binding) == 1
    for field in FIELDS:
        value = getattr(binding, field)
        more: dict[type, Any] = {int: 1, str: "x", tuple: ("x",)}
        assert counted(replace(binding, **{field: value + more[type(value)]})) == 0, field
    record_property("reached", f"{len(FIELDS)} bound fields changed one by one, in the value and in a running gateway")


def swapping(office: TwoOfThree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the report change between the last approval and the publication, in whatever transaction that is."""

    def publish(gateway: Gateway, tx: Transaction, record: ReleaseRecord) -> ReleaseRecord:
        swapped = replace(record, artifacts={**record.artifacts, "report_json": OTHER})
        tx.releases.replace(swapped, expected=record.release.state)
        return publication.publish(gateway, tx, swapped)

    monkeypatch.setattr(approvals, "publish", publish)


@pytest.mark.guarantee("approvals-bind")
def test_a_report_that_is_swapped_before_the_publication_is_not_released(
    office: TwoOfThree, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.approve(OLGA)
    swapping(office, monkeypatch)
    with pytest.raises(WrongState, match=r"0 of 2 approvals that count; .*olga \(given for something else"):
        office.approve(OTTO)
    assert office.stored().release.state is ReleaseState.AWAITING_APPROVAL
    assert "attestation" not in office.stored().artifacts


@pytest.mark.guarantee("approvals-bind")
def test_publishing_without_counting_again_is_convicted(office: TwoOfThree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication, "checked", lambda gateway, tx, record: quorum.quorum(gateway, tx, record).counted)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        test_a_report_that_is_swapped_before_the_publication_is_not_released(office, monkeypatch)
    assert office.stored().release.state is ReleaseState.RELEASED


@pytest.mark.guarantee("approvals-bind")
def test_enough_approvals_of_the_same_binding_release_it_and_are_attested(office: TwoOfThree) -> None:
    with office.gateway.store.begin() as tx, pytest.raises(WrongState, match="0 of 2 approvals"):
        publication.publish(office.gateway, tx, tx.releases.get(office.release))
    assert office.approve(OLGA).state is ReleaseState.AWAITING_APPROVAL
    binding = office.quorum().binding
    released = office.approve(ODA)
    assert (released.state, released.approvals) == (ReleaseState.RELEASED, ("olga", "oda"))
    assert released.binding == binding
    with office.gateway.artifacts.open(office.stored().artifacts["attestation"]) as file:
        attested = verify_envelope(file.read(), office.gateway.signer.public_pem)
    assert [(a.officer, a.binding) for a in attested.approvals if isinstance(a, Approval)] == [
        ("olga", binding.digest), ("oda", binding.digest),
    ]  # fmt: skip


FORGERIES: dict[str, Callable[[Gateway, str], str]] = {
    "a flipped bit": lambda g, e: e.replace('"sig":"', '"sig":"A', 1),
    "another officer's name": lambda g, e: _signed_as(e, officer="otto"),
    "a later end": lambda g, e: _signed_as(e, expires_at="2999-01-01T00:00:00+00:00"),
    "another binding": lambda g, e: _signed_as(e, binding=OTHER),
    "another key": lambda g, e: _signed_by(Signer(Ed25519PrivateKey.generate()), _payload(e)),
    "another type": lambda g, e: _signed_by(g.signer, _payload(e), PAYLOAD_TYPE),
    "other names": lambda g, e: _resealed(g, e, names="olga"),
    "more than an approval": lambda g, e: _resealed(g, e, reason="fine"),
    "no zone": lambda g, e: _resealed(g, e, at="2026-01-01T00:00:00"),
    "no envelope": lambda g, e: "olga",
    "nothing": lambda g, e: "",
}


def _payload(envelope: str) -> bytes:
    return base64.b64decode(json.loads(envelope)["payload"])


def _signed_as(envelope: str, **changes: str) -> str:
    """Other words over the old signature."""
    payload = canonical_json(json.loads(_payload(envelope)) | changes)
    return canonical_json(json.loads(envelope) | {"payload": base64.b64encode(payload).decode()}).decode()


def _resealed(gateway: Gateway, envelope: str, **changes: str) -> str:
    """What no version of this gateway would sign, with its signature."""
    return _signed_by(gateway.signer, canonical_json(json.loads(_payload(envelope)) | changes))


def _signed_by(signer: Signer, payload: bytes, payload_type: str = APPROVAL_TYPE) -> str:
    return signer.sign_payload(payload, payload_type=payload_type).decode()


@pytest.mark.guarantee("approvals-bind")
@pytest.mark.parametrize("kind", FORGERIES)
def test_an_approval_that_was_forged_or_edited_counts_for_nobody(office: TwoOfThree, kind: str) -> None:
    office.approve(OLGA)
    (given,) = office.stored().approvals
    forged = FORGERIES[kind](office.gateway, given)
    with pytest.raises(VerificationFailed):
        quorum.read(forged, office.gateway.signer.public_pem)
    office.edit(lambda d: d.update(approvals=[forged, forged]))
    assert office.quorum().counted == ()
    office.edit(lambda d: d.update(approvals=[given, forged, given, given]))
    assert office.quorum().officers == ("olga",)
    office.edit(lambda d: d["release"].update(approvals=["olga", "otto", "oda"]))
    assert office.approve(OTTO).approvals == ("olga", "otto")


@pytest.mark.guarantee("approvals-bind")
def test_nothing_stored_lowers_how_many_must_approve(office: TwoOfThree) -> None:
    office.edit(lambda d: d["release"].update(approvals_needed=0))
    assert office.quorum().needed == 2
    office.edit(lambda d: d["policy"].update(approvals=0))
    assert office.quorum().needed == 2
    assert office.approve(OLGA).state is ReleaseState.AWAITING_APPROVAL
    assert office.approve(OTTO).state is ReleaseState.RELEASED


@dataclass(frozen=True, slots=True)
class Barred:
    """Who may not approve, under which appointments."""

    who: Principal
    why: str
    principals: dict[str, Appointment]


OFFICER, THEIRS = Office.OFFICER, "requested or registered"
BARRED = {
    "the requester": Barred(Principal("analyst", OFFICER), THEIRS, {"analyst": Appointment(OFFICER)}),
    "the registrar": Barred(Principal("steward", OFFICER), THEIRS, {"steward": Appointment(OFFICER)}),
    "the requester by another name": Barred(
        OTTO, THEIRS, {"analyst": Appointment(Office.ANALYST, "ann"), "otto": Appointment(OFFICER, "ann")},
    ),
    "the registrar by another name": Barred(OTTO, THEIRS, {"otto": Appointment(OFFICER, "steward")}),
    "an officer a second time": Barred(OLGA, "approved it before", {}),
    "an officer by another name": Barred(OTTO, "approved it before", {"otto": Appointment(OFFICER, "olga")}),
    "no officer": Barred(OTTO, "no officer", {"otto": Appointment(Office.AUDITOR)}),
    "nobody that the settings name": Barred(Principal("olaf", OFFICER), "no officer", {}),
}  # fmt: skip


@pytest.mark.guarantee("approvals-bind")
@pytest.mark.parametrize("case", BARRED.values(), ids=BARRED)
def test_nobody_approves_what_is_theirs_or_twice(office: TwoOfThree, case: Barred) -> None:
    within = office.within(principals=PRINCIPALS | case.principals)
    within.approve(OLGA)
    with pytest.raises(PermissionDenied, match=case.why):
        within.approve(case.who)
    assert within.quorum().officers == ("olga",)
    assert within.approve(ODA).state is ReleaseState.RELEASED


@dataclass(frozen=True, slots=True)
class Renamed:
    """Who is one person ``at_first``, and what an operator's ``change`` makes of it; None takes a principal away."""

    at_first: dict[str, Appointment]
    change: dict[str, Appointment | None]
    why: str = THEIRS

    def after(self) -> dict[str, Appointment]:
        changed = PRINCIPALS | self.at_first | self.change
        return {name: appointment for name, appointment in changed.items() if appointment is not None}


ANN = {"analyst": Appointment(Office.ANALYST, "ann"), "otto": Appointment(OFFICER, "ann")}
STEW = {"steward": Appointment(Office.STEWARD, "stew"), "otto": Appointment(OFFICER, "stew")}
OLA = {"olga": Appointment(OFFICER, "ola"), "otto": Appointment(OFFICER, "ola")}
RENAMED = {
    "the requester leaves": Renamed(ANN, {"analyst": None}),
    "the requester becomes another": Renamed(ANN, {"analyst": Appointment(Office.ANALYST, "somebody")}),
    "the requester's officer becomes another": Renamed(ANN, {"otto": Appointment(OFFICER)}),
    "the requester comes back as an officer": Renamed(
        {"analyst": Appointment(Office.ANALYST, "ann")}, {"analyst": None, "otto": Appointment(OFFICER, "ann")}
    ),
    "the registrar leaves": Renamed(STEW, {"steward": None}),
    "the registrar becomes another": Renamed(STEW, {"steward": Appointment(Office.STEWARD)}),
    "the registrar's officer becomes another": Renamed(STEW, {"otto": Appointment(OFFICER, "otto")}),
    "an officer becomes two persons": Renamed(OLA, {"otto": Appointment(OFFICER)}, "approved it before"),
}


def renamed(folder: Path, case: Renamed) -> None:
    office = awaiting(folder, principals=PRINCIPALS | case.at_first)
    office.approve(OLGA)
    within = office.within(principals=case.after())
    with pytest.raises(PermissionDenied, match=case.why):
        within.approve(OTTO)
    assert within.quorum().officers == ("olga",)
    assert within.approve(ODA).state is ReleaseState.RELEASED


@pytest.mark.guarantee("approvals-bind")
@pytest.mark.parametrize("case", RENAMED.values(), ids=RENAMED)
def test_a_change_of_the_settings_makes_nobody_another_person(tmp_path: Path, case: Renamed) -> None:
    renamed(tmp_path, case)


@pytest.mark.guarantee("approvals-bind")
@pytest.mark.parametrize("case", RENAMED.values(), ids=RENAMED)
def test_comparing_the_persons_of_the_moment_is_convicted(
    tmp_path: Path, case: Renamed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Settings, "names", lambda self, principal, *before: frozenset({self.person(principal)}))
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        renamed(tmp_path, case)


@pytest.mark.guarantee("approvals-bind")
def test_records_without_names_are_of_whom_they_name(office: TwoOfThree) -> None:
    """What was asked and registered by a version that kept none: the binding's digest is what it was."""
    for of in ("releases", "datasets"):
        office.edit(lambda d: d.pop("requester_names", d.pop("registrar_names", None)), of=of)
    binding = office.quorum().binding
    assert (binding.requester_names, binding.registrar_names) == ((), ())
    without = {name: value for name, value in asdict(binding).items() if not name.endswith("_names")}
    assert binding.digest == json_digest(without)
    barred = office.within(principals=PRINCIPALS | {"analyst": Appointment(OFFICER)})
    with pytest.raises(PermissionDenied, match=THEIRS):
        barred.approve(Principal("analyst", OFFICER))


@pytest.mark.guarantee("approvals-bind")
def test_an_approval_ends_when_the_officer_does(office: TwoOfThree) -> None:
    office.approve(OLGA)
    left = office.within(principals={name: a for name, a in PRINCIPALS.items() if name != "olga"})
    assert left.approve(OTTO).state is ReleaseState.AWAITING_APPROVAL
    assert "olga (no officer any more)" in left.quorum().explanation
    assert left.approve(ODA).state is ReleaseState.RELEASED


@pytest.mark.guarantee("approvals-bind")
def test_an_approval_ends_after_its_days_and_can_be_given_again(office: TwoOfThree) -> None:
    office.approve(OLGA)
    office.clock.seconds += 7 * DAY_S - 1
    assert office.quorum().officers == ("olga",)
    office.clock.seconds += 1
    assert office.quorum().counted == ()
    waiting = office.approve(OTTO)
    assert (waiting.state, waiting.approvals) == (ReleaseState.AWAITING_APPROVAL, ("otto",))
    assert "olga (expired)" in waiting.stage
    assert office.approve(OLGA).state is ReleaseState.RELEASED


@pytest.mark.guarantee("approvals-bind")
def test_a_clock_that_went_back_counts_no_approval_from_the_future(office: TwoOfThree) -> None:
    office.approve(OLGA)
    office.clock.seconds -= 1
    assert office.quorum().counted == ()
