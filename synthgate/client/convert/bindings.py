"""What officers approve, to and from protobuf."""

from dataclasses import asdict, fields
from typing import Any

from synthgate.approval import Binding
from synthgate.v1 import release_service_pb2 as releases


def binding_to_proto(binding: Binding) -> releases.Binding:
    """A binding as a message."""
    return releases.Binding(**asdict(binding))


def binding_from_proto(message: releases.Binding) -> Binding:
    """The binding in a message; its digest is made anew, not taken on trust."""
    read: dict[str, Any] = {field.name: getattr(message, field.name) for field in fields(Binding)}
    names = {name: tuple(read[name]) for name in ("registrar_names", "requester_names")}
    return Binding(**read | names)
