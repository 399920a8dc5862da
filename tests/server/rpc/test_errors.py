"""Errors on the wire: every class has a status and comes back as itself, and nothing foreign gets out."""

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, PreconditionFailure
from google.rpc.status_pb2 import Status

from server.rpc.errors import CATALOGUE, DOMAIN, public, status
from synthgate import errors

CLASSES = sorted(errors.tree().values(), key=lambda kind: kind.__name__)
METADATA_BYTES = 8 * 1024
"""What gRPC lets through of the metadata of one call."""


def on_the_wire(error: errors.SynthgateError) -> tuple[grpc.Status, Status, ErrorInfo]:
    told = status(error)
    (rich,) = [Status.FromString(v) for k, v in told.trailing_metadata if k == "grpc-status-details-bin"]
    info = ErrorInfo()
    assert rich.details[0].Unpack(info)
    return told, rich, info


def size(told: grpc.Status) -> int:
    """Of the message, where a byte beyond printable ASCII is three, and of the details in base64."""
    message = sum(1 if " " <= c <= "~" else 3 * len(c.encode()) for c in told.details)
    return message + sum(len(value) * 4 // 3 + 4 for _, value in told.trailing_metadata)


def test_every_class_of_the_tree_has_a_status_and_nothing_else_has() -> None:
    assert set(CATALOGUE) == set(CLASSES)
    assert grpc.StatusCode.OK not in CATALOGUE.values()
    assert grpc.StatusCode.UNKNOWN not in CATALOGUE.values()


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_class_travels_with_its_reason_and_its_facts(kind: type[errors.SynthgateError]) -> None:
    told, rich, info = on_the_wire(kind("what to do next", facts={"limit": "3"}))
    assert (info.reason, info.domain, dict(info.metadata)) == (kind.reason, DOMAIN, {"limit": "3"})
    assert told.code is CATALOGUE[kind]
    assert (rich.code, rich.message) == (told.code.value[0], "what to do next")
    assert errors.tree()[info.reason] is kind


def test_an_exhausted_budget_is_a_violated_precondition() -> None:
    _, rich, _ = on_the_wire(errors.BudgetExhausted("nothing fits"))
    failure = PreconditionFailure()
    assert rich.details[1].Unpack(failure)
    assert failure.violations[0].type == "BUDGET"


@pytest.mark.parametrize("letter", ["x", "é", "\n", "漢", "🦊"])
def test_an_error_fits_the_metadata_however_long_its_words_are(letter: str) -> None:
    facts = {f"refusal_{i}": letter * 50 for i in range(300)}
    for kind in (errors.PolicyRefused, errors.BudgetExhausted):
        told, rich, info = on_the_wire(kind(letter * 10**6, facts=facts))
        assert size(told) < METADATA_BYTES
        assert rich.message.endswith("...")
        assert len(rich.message) > 150
        assert 1 <= len(info.metadata) < len(facts)


@pytest.mark.parametrize(
    "error", [ValueError("Mrs Private"), errors.InternalError("a path"), KeyError("zper"), grpc.RpcError("peer")]
)
def test_what_is_not_of_the_tree_becomes_an_incident_without_its_words(error: Exception) -> None:
    told = public(error, "GetDataset")
    assert type(told) is errors.InternalError
    assert str(error) not in told.message
    assert told.facts["incident"] in told.message


def test_what_is_of_the_tree_passes_as_it_is() -> None:
    error = errors.NotFound("there is no dataset 'x'")
    assert public(error, "GetDataset") is error
