"""Checkpoints: signed heads of both chains and every account's sums, kept as plain files outside the database.

The database cannot show by itself that it was put back from a backup. A file beside it can, as long as whoever restores
the database does not restore the file as well (setting ``checkpoint_folder``). One is written after every charge that
became final and before a row is opened for it, after every decision (released, rejected, revoked, an account opened or
amended, a dataset deleted), every ``checkpoint_s`` where the books changed, and when the gateway goes down. So whatever
was spent on rows, a checkpoint knows of it. Books with an account and no checkpoint at all have lost theirs.

Files are numbered from 1, written by rename after fsync inside a transaction that serialises all gateways of one
database, and never replaced: the largest number is the newest.
"""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import structlog

from server.failpoints import Step
from server.gateway import Gateway
from server.keys import write_once
from server.ledger import chain
from server.store import Transaction
from synthgate.checkpoint import AUDIT, LEDGER, Amounts, Checkpoint, Head, Standing
from synthgate.errors import NotFound, SynthgateError, VerificationFailed
from synthgate.release import ReleaseState
from synthgate.verify import verify_checkpoint

log = structlog.get_logger()
_NAME = re.compile(r"(\d{12})\.json")


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """The files of one folder, which is made at the first `put`."""

    folder: Path

    def numbers(self) -> list[int]:
        """What there is, the newest first."""
        names = (_NAME.fullmatch(path.name) for path in self.folder.glob("*.json"))
        return sorted((int(name[1]) for name in names if name), reverse=True)

    def read(self, number: int) -> bytes:
        """One envelope."""
        return self._path(number).read_bytes()

    def put(self, number: int, envelope: bytes) -> None:
        """Keep an envelope durably."""
        write_once(self._path(number), envelope)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:012d}.json"


def take(gateway: Gateway) -> bytes:
    """The newest checkpoint's envelope, written now if the books have changed since.

    Raises ReadOnly where the gateway only reads, or must from now on: the books do not contain their newest checkpoint
    any more. Raises NotFound where it only reads and no checkpoint was ever made.
    """
    files = Checkpoints(gateway.settings.checkpoints)
    with gateway.store.begin() as tx:
        gateway.doubt.check()
        compare(gateway, tx)
        gateway.doubt.check()
        known = newest(gateway)
        if known is not None and (known.ledger, known.audit) == heads(tx):
            return files.read(known.number)
        return write(gateway, tx)


def write(gateway: Gateway, tx: Transaction) -> bytes:
    """The envelope of a new checkpoint of the books as they are, kept durably. Nothing is compared."""
    files = Checkpoints(gateway.settings.checkpoints)
    number = max(files.numbers(), default=0) + 1
    envelope = gateway.signer.sign_payload(_made(gateway, tx, number).to_statement_bytes())
    gateway.at(Step.CHECKPOINT_MAKING)
    files.put(number, envelope)
    gateway.at(Step.CHECKPOINT_KEPT)
    return envelope


def newest_file(gateway: Gateway) -> bytes:
    """The newest checkpoint's envelope as it lies there. Raises NotFound."""
    files = Checkpoints(gateway.settings.checkpoints)
    for number in files.numbers()[:1]:
        return files.read(number)
    raise NotFound("no checkpoint was made yet")


def read(gateway: Gateway, number: int) -> Checkpoint:
    """One checkpoint, its signature verified. Raises VerificationFailed."""
    envelope = Checkpoints(gateway.settings.checkpoints).read(number)
    found = verify_checkpoint(envelope, gateway.signer.public_pem)
    if found.number != number:
        raise VerificationFailed(f"the file of checkpoint {number} holds checkpoint {found.number}")
    return found


def valid(gateway: Gateway) -> Iterator[Checkpoint]:
    """Every checkpoint whose signature holds, the newest first."""
    for number in Checkpoints(gateway.settings.checkpoints).numbers():
        try:
            yield read(gateway, number)
        except VerificationFailed:
            log.warning("a checkpoint does not verify and is passed over", number=number)


def compare(gateway: Gateway, tx: Transaction, *, starting: bool = False) -> None:
    """Compare the books with their newest checkpoint; where they do not contain it, or it is gone, the gateway only
    reads from now on (``gateway.doubt``). Before a gateway that is ``starting`` can open an account it writes a
    checkpoint, so books with an account have one."""
    try:
        known = newest(gateway)
    except VerificationFailed as error:
        gateway.doubt.reason = error.message
        return
    number, folder = 0 if known is None else known.number, gateway.settings.checkpoints
    if number < gateway.doubt.newest:
        gateway.doubt.reason = f"checkpoint {gateway.doubt.newest} is gone from {folder}"
    elif known is not None:
        gateway.doubt.newest, gateway.doubt.reason = number, lacking(tx, known)
    elif starting and tx.ledger.accounts():
        gateway.doubt.reason = f"the database has accounts, but there is no checkpoint in {folder}"


def newest(gateway: Gateway) -> Checkpoint | None:
    """The checkpoint of the highest number; None where there is none. Raises VerificationFailed where it is not this
    gateway's own: an older one would not know what was spent since."""
    for number in Checkpoints(gateway.settings.checkpoints).numbers()[:1]:
        try:
            return read(gateway, number)
        except VerificationFailed as error:
            why = f"checkpoint {number} was altered or is another gateway's: its signature fails"
            raise VerificationFailed(why) from error
    return None


def lacking(tx: Transaction, checkpoint: Checkpoint) -> str:
    """What the books lack of a checkpoint; empty where both chains contain its heads."""
    ledger = tx.ledger.entries(after=checkpoint.ledger.sequence - 1, limit=1)
    audit = tx.audit.records(after=checkpoint.audit.sequence - 1, limit=1)
    known = f"checkpoint {checkpoint.number} of {checkpoint.at.isoformat(timespec='seconds')}"
    for name, head, lines in ((LEDGER, checkpoint.ledger, ledger), (AUDIT, checkpoint.audit, audit)):
        if head.sequence and not lines:
            return f"the {name} ends before line {head.sequence}, which {known} names: the database was restored or cut"
        if head.sequence and lines[0].digest != head.digest:
            return f"line {head.sequence} of the {name} is another one than {known} names: it was written anew"
    return ""


def heads(tx: Transaction) -> tuple[Head, Head]:
    """The newest line of the ledger and of the audit log."""
    sequence = max((tx.ledger.standing(a.name).sequence for a in tx.ledger.accounts()), default=0)
    newest = tx.audit.newest()
    audit = Head(sequence=newest.sequence, digest=newest.digest) if newest else Head(sequence=0, digest=chain.GENESIS)
    return Head(sequence=sequence, digest=tx.ledger.head()), audit


async def keep_taking(gateway: Gateway) -> None:
    """Take a checkpoint every ``checkpoint_s`` seconds, until cancelled."""
    while True:
        await asyncio.sleep(gateway.settings.checkpoint_s)
        try:
            await asyncio.to_thread(take, gateway)
        except SynthgateError as error:
            log.error("no checkpoint was taken", why=error.message)
        except Exception:
            log.exception("no checkpoint was taken; trying again")


def _made(gateway: Gateway, tx: Transaction, number: int) -> Checkpoint:
    ledger, audit = heads(tx)
    return Checkpoint(
        number=number, at=gateway.now(), ledger=ledger, audit=audit,
        accounts=tuple(_standing(tx, account.name) for account in tx.ledger.accounts()),
        revoked=tuple(record.release.id for record in tx.releases.list(states=(ReleaseState.REVOKED,))),
    )  # fmt: skip


def _standing(tx: Transaction, name: str) -> Standing:
    found, (opening,) = tx.ledger.standing(name), tx.ledger.entries(name, limit=1)
    account = found.account
    assert opening.cap is not None  # noqa: S101  an account's first entry opens it
    return Standing(
        account=name, opened_with=opening.cap, cap=account.cap, sandbox=account.sandbox,
        verdicts_granted=account.verdicts_granted, committed=Amounts(**asdict(found.committed)),
        reserved=Amounts(**asdict(found.reserved)),
    )  # fmt: skip
