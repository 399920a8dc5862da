"""Planted bugs, which the laws of `tests.server.crash.laws` must convict."""

import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

from server import binding, checkpoints, restore
from server.failpoints import Step
from server.gateway import Gateway
from server.sealed import Sealed


class Early(Sealed):
    """Opens the rows before the charge is durable."""

    __slots__ = ()

    def make(self, release: str, *, facts: bytes) -> None:
        binding.rows(self.folder.parent / "rows" / "table")
        super().make(release, facts=facts)


class Fresh(Sealed):
    """Gives a repeated attempt a secret and a journal that the first one did not have."""

    __slots__ = ()

    def attempt(self, release: str, *, facts: bytes, rows: Path) -> bytes:
        super().attempt(release, facts=facts, rows=rows)
        return secrets.token_bytes(32)

    def journal(self, release: str, *, fence: int) -> Path:
        return self.folder / release / f"journal.{fence}"


class Forgotten(Sealed):
    """Shreds nothing."""

    __slots__ = ()

    def destroy(self, release: str) -> None:
        pass


@dataclass(frozen=True)
class Refund:
    """Takes the charge of a release that FAILED out of the books."""

    gateway: Gateway
    state: Path

    def __call__(self, step: Step) -> None:
        if step is Step.FAILED:
            with closing(sqlite3.connect(self.state / "gateway.db")) as database, database:
                database.execute("DROP TRIGGER entries_no_delete")
                database.execute("DELETE FROM entries WHERE kind = 'commit'")
        self.gateway.at(step)


@dataclass(frozen=True)
class Silent:
    """Does not say that a charge was committed."""

    gateway: Gateway

    def __call__(self, step: Step) -> None:
        if step is not Step.COMMITTED:
            self.gateway.at(step)


@dataclass(frozen=True)
class Late:
    """Signs the checkpoint of an accepted database in a transaction of its own, after the one that accepts."""

    gateway: Gateway

    def __call__(self, step: Step) -> None:
        self.gateway.at(step)
        if step is Step.ACCEPTED:
            with self.gateway.store.begin() as tx:
                checkpoints.write(self.gateway, tx)


def _late(gateway: Gateway, _state: Path) -> Gateway:
    restore.checkpoints = SimpleNamespace(**vars(checkpoints) | {"write": lambda *_: b""})  # type: ignore[assignment]
    return replace(gateway, at=Late(gateway))


def _sealed(kind: type[Sealed]) -> Callable[[Gateway, Path], Gateway]:
    return lambda gateway, _state: replace(gateway, sealed=kind(gateway.sealed.folder, gateway.keys))


PLANTS: dict[str, Callable[[Gateway, Path], Gateway]] = {
    "touch before charge": _sealed(Early),
    "fresh noise": _sealed(Fresh),
    "left behind": _sealed(Forgotten),
    "refund": lambda gateway, state: replace(gateway, at=Refund(gateway, state)),
    "signed too late": _late,
    "silent": lambda gateway, _state: replace(gateway, at=Silent(gateway)),
}
