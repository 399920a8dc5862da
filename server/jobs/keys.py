"""Every use of a job's secret, under a label of its own, so that no two uses ever share a key (HKDF-SHA256, RFC 5869).

A secret is 32 bytes: the account's key for ingest, the attempt's secret for what follows. Labels are part of what an
account means: changing one of the first three would deal its units anew, and rows once held out would be trained on.
"""

from enum import StrEnum

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_BYTES = 32


class Label(StrEnum):
    """What a subkey is for."""

    ROW = "synthgate/v1/ingest/row"
    UNIT = "synthgate/v1/ingest/unit"
    CUT = "synthgate/v1/ingest/cut"
    STREAMS = "synthgate/v1/fit/streams"
    JOURNAL = "synthgate/v1/fit/journal"
    SAMPLE = "synthgate/v1/fit/sample"
    REPLICATES = "synthgate/v1/derive/replicates"
    EVALUATION = "synthgate/v1/evaluate"
    VERDICT_STREAMS = "synthgate/v1/verdict/streams"
    VERDICT_JOURNAL = "synthgate/v1/verdict/journal"


def subkey(secret: bytes, label: Label) -> bytes:
    """The 32 bytes of ``secret`` that belong to ``label``. Raises ValueError for a secret of another length."""
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"a job's secret has {SECRET_BYTES} bytes")
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=label.encode()).derive(secret)
