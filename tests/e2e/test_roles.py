"""Who may call what: every RPC of the contract and every role, tokens, and what answers without one."""

import re

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from synthgate.errors import Unauthenticated
from synthgate.v1 import audit_service_pb2, dataset_service_pb2, ledger_service_pb2, release_service_pb2
from tests.e2e.calls import ANALYST, AUDITOR, EVERYONE, OFFICER, RPCS, STEWARD, Rpc
from tests.e2e.process import ROLES, ROOT, Served

FILES = (audit_service_pb2, dataset_service_pb2, release_service_pb2, ledger_service_pb2)
SERVICES = [service for file in FILES for service in file.DESCRIPTOR.services_by_name.values()]


def comments() -> dict[str, str]:
    """What the contract says above each RPC."""
    found = {}
    for file in (ROOT / "proto" / "synthgate" / "v1").glob("*_service.proto"):
        for said, name in re.findall(r"((?:^  //.*\n)+)^  rpc (\w+)\(", file.read_text(), re.MULTILINE):
            found[name] = " ".join(line.strip(" /") for line in said.splitlines())
    return found


def said_to_be_allowed(comment: str) -> frozenset[str]:
    """The roles that a comment's last sentence names; everyone where it names none."""
    last = comment.rstrip(".").rsplit(". ", 1)[-1].lower()
    named = {role for role in EVERYONE if re.search(rf"\b{role}s\b", last)}
    named |= {ANALYST} if "requester" in last and "neither" not in last else set()
    reads_own = "read their own" in last or "caller may see" in last
    return EVERYONE if reads_own or not named else frozenset(named)


def code(served: Served, rpc: Rpc, metadata: object) -> grpc.StatusCode:
    try:
        answer = getattr(getattr(served, rpc.service), rpc.name)(
            rpc.request("r-0000000000000000", "no-such-dataset"), metadata=metadata, timeout=30
        )
        if hasattr(answer, "__next__"):
            list(answer)
    except grpc.RpcError as failure:
        return failure.code()
    return grpc.StatusCode.OK


def test_the_table_has_every_rpc_of_the_contract() -> None:
    assert sorted(rpc.name for rpc in RPCS) == sorted(m.name for s in SERVICES for m in s.methods)


@pytest.mark.parametrize("rpc", RPCS, ids=str)
def test_the_table_says_what_the_contract_says(rpc: Rpc) -> None:
    assert said_to_be_allowed(comments()[rpc.name]) == rpc.allowed


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("rpc", RPCS, ids=str)
def test_every_role_on_every_rpc(served: Served, rpc: Rpc, role: str) -> None:
    """Whoever may call is answered, or refused for what was asked; nobody else learns more than that."""
    found = code(served, rpc, served.token(role))
    if role in rpc.allowed:
        assert found in (
            grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT
        ), found  # fmt: skip
    else:
        assert found is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "metadata",
    [(), (("authorization", "Bearer nothing"),), (("authorization", "Bearer"),), (("authorization", "Basic x"),)],
    ids=["no token", "an unknown token", "an empty token", "another scheme"],
)
@pytest.mark.parametrize("rpc", RPCS, ids=str)
def test_without_a_known_token_nothing_is_answered(served: Served, rpc: Rpc, metadata: tuple) -> None:
    assert code(served, rpc, metadata) is grpc.StatusCode.UNAUTHENTICATED


def test_a_token_of_another_gateway_is_unknown(served: Served) -> None:
    token = served.token(STEWARD)[0][1]
    for other in (token[:-1], token + "x", token.upper(), token.replace("Bearer ", "Bearer Bearer ")):
        request = ledger_service_pb2.ListAccountsRequest()
        found = served.fault(served.ledger.ListAccounts, request, metadata=(("authorization", other),))
        assert type(found) is Unauthenticated


def test_tokens_are_private_and_the_database_does_not_hold_them(served: Served) -> None:
    database = b"".join(path.read_bytes() for path in served.state.glob("gateway.db*"))
    for role in (STEWARD, ANALYST, OFFICER, AUDITOR):
        file = served.state / "tokens" / role
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_bytes() not in database
        assert file.read_text() not in served.log.read_text()
    assert (served.state / "keys").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("service", ["", *(service.full_name for service in SERVICES)])
def test_health_answers_for_every_service(served: Served, service: str) -> None:
    stub = health_pb2_grpc.HealthStub(served.channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_every_service(served: Served) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(served.channel)
    (answer,) = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=10)
    listed = {service.name for service in answer.list_services_response.service}
    assert {service.full_name for service in SERVICES} < listed
    assert "grpc.health.v1.Health" in listed
