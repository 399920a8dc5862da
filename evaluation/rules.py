"""The rules of a policy as an evaluation and its report look them up."""

from collections.abc import Iterable

from synthgate.policy import Rule


def by_score(rules: Iterable[Rule]) -> dict[str, Rule]:
    """Rules by what they read, in their order. Raises ValueError where two read one score: whoever looked one up would
    miss the other. `Policy.concrete` gives no two."""
    found: dict[str, Rule] = {}
    for rule in rules:
        if rule.score in found:
            raise ValueError(f"two rules read {rule.score}")
        found[rule.score] = rule
    return found
