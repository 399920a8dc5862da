"""`Attacker`: what a policy lets attackers know, or look for, beyond what the domain declares. It only ever widens."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from synthgate.domain import Domain, Role
from synthgate.errors import InvalidPolicy

NAMED = ("also_knows", "also_secret")
KEYS = (*NAMED, "also_joins")
MOST_JOINED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Attacker:
    """Columns that attackers know although the domain calls them sensitive, and columns that they try to guess although
    the domain declares no secret there. A column may be both: it is guessed, and known where another is guessed.

    ``also_joins`` are numbers of columns, 2 to 10, that the questions of singling out join, besides two, three and
    four. They are asked however large the table: what cannot be searched to an end is inconclusive, and refuses.
    """

    also_knows: tuple[str, ...] = ()
    also_secret: tuple[str, ...] = ()
    also_joins: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for key in NAMED:
            names = getattr(self, key)
            if not all(isinstance(n, str) and n for n in names) or len(set(names)) != len(names):
                raise InvalidPolicy(f"attacker: {key} is a list of column names, each of them once")
        joins = self.also_joins
        if not all(type(n) is int and 2 <= n <= MOST_JOINED for n in joins) or len(set(joins)) != len(joins):
            raise InvalidPolicy(f"attacker: also_joins is a list of whole numbers from 2 to {MOST_JOINED}, each once")

    def __bool__(self) -> bool:
        return any(getattr(self, key) for key in KEYS)

    def widened(self, domain: Domain) -> Domain:
        """The domain as evaluation and gate read it: what is declared stays, and more is added.

        Halves keep their columns, declared by ``link`` or dealt, and get those that are known besides, the smaller half
        first. Raises InvalidPolicy where a name is no column that is released, or more columns are
        joined than there are.
        """
        if not self:
            return domain
        self._check(domain)
        if not (self.also_knows or self.also_secret):
            return domain
        columns = tuple(
            replace(
                column,
                role=Role.AUXILIARY if column.name in self.also_knows else column.role,
                secret=column.secret or column.name in self.also_secret,
            )
            for column in domain.columns
        )
        return replace(domain, columns=columns, link=self._halves(domain))

    def spec(self, domain: Domain) -> dict[str, Any]:
        """What the evaluation of a release of ``domain`` is told, JSON-ready: the wider domain, what it is without the
        columns that are known besides (None where there are none), and the numbers of columns that are joined.

        Whoever knows more may guess worse, so either attacker is tried. Raises InvalidPolicy as `widened` does."""
        wider, narrower = self.widened(domain), replace(self, also_knows=()).widened(domain)
        more = (wider.auxiliary, wider.halves) != (narrower.auxiliary, narrower.halves)
        return {
            "domain": wider.to_dict(), "declared": narrower.to_dict() if more else None, "joins": list(self.also_joins),
        }  # fmt: skip

    def _check(self, domain: Domain) -> None:
        released = {column.name for column in domain.modelled}
        for key in NAMED:
            if unknown := [name for name in getattr(self, key) if name not in released]:
                raise InvalidPolicy(
                    f"attacker: {key} names {unknown[0]!r}, which the domain does not declare or declares an identifier"
                )
        if any(count > len(released) for count in self.also_joins):
            raise InvalidPolicy(
                f"attacker: also_joins asks for {max(self.also_joins)} columns together, and {len(released)} are "
                "released"
            )

    def _halves(self, domain: Domain) -> tuple[tuple[str, ...], tuple[str, ...]]:
        first, second = domain.halves
        for name in self.also_knows:
            if name in (*domain.auxiliary, *first, *second):
                continue
            if len(first) <= len(second):
                first = (*first, name)
            else:
                second = (*second, name)
        return (first, second) if first and second else ((), ())

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values, without what is empty."""
        return {key: list(getattr(self, key)) for key in KEYS if getattr(self, key)}

    @classmethod
    def from_dict(cls, document: Any) -> "Attacker":
        """Read the key ``attacker`` of a policy. Raises InvalidPolicy."""
        if not isinstance(document, Mapping) or set(map(str, document)) - set(KEYS):
            raise InvalidPolicy(f"attacker is a mapping with the keys {', '.join(KEYS)}, and no others")
        if not all(isinstance(value, (list, tuple)) for value in document.values()):
            raise InvalidPolicy("attacker: also_joins is a list of numbers, each other key a list of column names")
        return cls(**{key: tuple(value) for key, value in document.items()})


AS_DECLARED = Attacker()
"""Adds nothing."""
