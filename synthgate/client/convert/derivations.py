"""What is asked of a released model, to and from protobuf."""

from synthgate.derivation import Condition, Derivation, Rebalance, Share
from synthgate.v1 import release_service_pb2 as releases


def derivation_to_proto(derivation: Derivation) -> releases.Derivation:
    """A derivation as a message."""
    balance = derivation.rebalance
    shares = [releases.Share(value=s.value, share=s.share) for s in balance.shares] if balance else []
    return releases.Derivation(
        source=derivation.source,
        conditions=[releases.Condition(column=c.column, value=c.value) for c in derivation.conditions],
        rebalance=releases.Rebalance(column=balance.column, shares=shares) if balance else None,
        rows=derivation.rows,
        replicates=derivation.replicates,
    )


def derivation_from_proto(message: releases.Derivation) -> Derivation:
    """The derivation in a message. Raises InvalidArgument."""
    shares = tuple(Share(value=s.value, share=s.share) for s in message.rebalance.shares)
    return Derivation(
        source=message.source,
        conditions=tuple(Condition(column=c.column, value=c.value) for c in message.conditions),
        rebalance=Rebalance(column=message.rebalance.column, shares=shares) if message.HasField("rebalance") else None,
        rows=message.rows,
        replicates=message.replicates,
    )
