"""Settings of the gateway: the one place of the server that reads the environment: ``SYNTHGATE_*``, and
what shows GPUs to jobs."""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from server.identity import DEVELOPMENT, GATEWAY, Appointment
from synthgate.errors import InvalidArgument

MIB = 1024 * 1024
CHUNK_BYTES = MIB
MESSAGE_BYTES = 16 * MIB
SMARTNOISE_PYTHON = Path(__file__).parents[1] / ".venv-smartnoise" / "bin" / "python"
"""Where `make smartnoise` builds it: beside the packages."""
BUILT_IN_ENGINES = (
    "aim", "gan", "independent", "mst", "smartnoise-aim", "smartnoise-mst", "smartnoise-mwem", "star", "tree", "vae",
)  # fmt: skip

ACCELERATOR = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
"""What of the gateway's environment decides which GPUs a job sees."""

_PRINCIPAL = re.compile(r"[a-z][a-z0-9._-]{0,62}")


class Quota(BaseModel):
    """What one principal may take in a window of time, inside what the accounts' caps admit (`server.quotas`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window_days: float = Field(default=30.0, gt=0, le=3_660, description="Length of the window, which slides.")
    share: float = Field(default=1.0, gt=0, le=1, description="Share of each account's cap, of charges not voided.")
    releases: int = Field(default=1_000, ge=0, description="Charged releases of all accounts, those voided left out.")
    requests: int = Field(default=10_000, ge=0, description="The same with those that were cancelled before a charge.")


class Settings(BaseSettings):
    """What an operator can set. Every field is also an environment variable ``SYNTHGATE_<NAME>``."""

    model_config = SettingsConfigDict(env_prefix="SYNTHGATE_", frozen=True, extra="ignore")

    state: Path = Field(default=Path("synthgate-state"), description="Folder of database, rows, artifacts and keys.")
    host: str = Field(default="127.0.0.1", description="Address to listen on; development identity is loopback only.")
    port: int = Field(default=0, ge=0, le=65_535, description="Port to listen on; 0 takes a free one.")
    certified_engines: tuple[str, ...] = Field(
        default=BUILT_IN_ENGINES, description="Engines that the operator holds to be private end to end."
    )
    verdict_tick_s: float = Field(default=15.0, gt=0, le=3_600, description="Verdicts are published on it.")
    jobs: int = Field(default=1, ge=0, le=64, description="Jobs that run side by side; 0 admits and runs nothing.")
    database_url: SecretStr = Field(
        default=SecretStr(""), description="sqlite:///path or postgresql://...; empty: gateway.db in the state folder."
    )
    instance: str = Field(
        default="", pattern=r"^[A-Za-z0-9._-]{0,63}$",
        description="Name of this gateway among those that share a database; empty takes the host's name.",
    )  # fmt: skip
    lease_s: float = Field(
        default=10.0, gt=0, le=300, description="A job whose gateway is silent for so long is another gateway's."
    )
    heartbeat_s: float = Field(
        default=3.0, gt=0, description="Leases are renewed at this interval, at most a third of lease_s."
    )
    fit_timeout_s: float = Field(
        default=1_800.0, gt=0, description="A fit or a derived sample that takes longer is FAILED."
    )
    evaluate_timeout_s: float = Field(default=1_800.0, gt=0, description="An evaluation that takes longer is FAILED.")
    ingest_timeout_s: float = Field(default=1_800.0, gt=0, description="An ingest that takes longer is FAILED.")
    job_memory_mib: int = Field(default=8_192, ge=256, description="Resident memory of one job, watched.")
    smartnoise_python: Path = Field(
        default=SMARTNOISE_PYTHON, description="Interpreter that fits smartnoise-*; `make smartnoise` builds it."
    )
    upload_bytes: int = Field(default=4 * 1024 * MIB, ge=1, description="The largest upload in bytes.")
    quotas: Mapping[str, Quota] = Field(
        default_factory=dict, description="By principal, else by role, as JSON; without one the caps alone limit."
    )
    verdicts_per_account: int = Field(
        default=3, ge=0, description="Unaccounted verdicts of an account for its life; policies may allow fewer."
    )
    checkpoint_folder: Path | None = Field(
        default=None,
        description="Folder of signed checkpoints, where no restored backup reaches; none: checkpoints in the state.",
    )
    checkpoint_s: float = Field(
        default=300.0, gt=0, description="A checkpoint is taken at this interval where the books have changed."
    )
    derived_releases: int = Field(default=100, ge=0, description="Releases derived from one release, at most.")
    artifacts_url: str = Field(
        default="", description="Where artifacts lie: a folder or any fsspec URL; empty for `artifacts` in the state."
    )
    artifact_keys: tuple[Path, ...] = Field(
        default=(), description="Files of 32 bytes, newest first, that encrypt artifacts; none for one in `keys`."
    )
    principals: dict[str, Appointment] = Field(
        default=dict(DEVELOPMENT), min_length=1,
        description="Who may call: names to offices, or to an office and a person; one token each in `tokens`.",
    )  # fmt: skip
    approval_days: float = Field(default=7.0, gt=0, le=3_650, description="Days for which an approval counts.")
    waiting_days: float = Field(
        default=30.0, gt=0, le=3_650, description="Days after which a release that still awaits approval is REJECTED."
    )
    reflection: bool = Field(default=True, description="Whether gRPC reflection answers.")

    @field_validator("heartbeat_s")
    @classmethod
    def _often(cls, heartbeat_s: float, info: ValidationInfo) -> float:
        if 3 * heartbeat_s > info.data.get("lease_s", 0.0):
            raise ValueError("renew leases at least three times in lease_s")
        return heartbeat_s

    @field_validator("host")
    @classmethod
    def _loopback(cls, host: str) -> str:
        if not ip_address(host).is_loopback:
            raise ValueError("tokens of the development identity travel in the clear: listen on a loopback address")
        return host

    @field_validator("principals", mode="before")
    @classmethod
    def _offices(cls, principals: Any) -> Any:
        """An office alone is the short form."""
        if not isinstance(principals, Mapping):
            return principals
        for given in principals.values():
            if isinstance(given, Mapping) and set(given) - {"office", "person"}:
                raise ValueError("a principal has an office, and a person where that person has several principals")
        return {name: {"office": given} if isinstance(given, str) else given for name, given in principals.items()}

    @field_validator("principals")
    @classmethod
    def _names(cls, principals: dict[str, Appointment]) -> dict[str, Appointment]:
        for name in principals:
            if not _PRINCIPAL.fullmatch(name) or name == GATEWAY:
                raise ValueError(f"a principal's name matches {_PRINCIPAL.pattern} and is not {GATEWAY!r}")
        return principals

    @classmethod
    def read(cls, config: Path | None, given: Mapping[str, Any]) -> Self:
        """Settings from the environment, over them a YAML mapping of the same names, over it ``given``.

        Raises InvalidArgument for a file that is no such mapping, pydantic's ValidationError for faulty values.
        """
        document = {}
        if config is not None:
            try:
                document = yaml.safe_load(config.read_text())
            except (OSError, yaml.YAMLError):
                raise InvalidArgument(f"the settings file {config} cannot be read as YAML") from None
            if not isinstance(document, dict) or set(document) - set(cls.model_fields):
                raise InvalidArgument(f"a settings file maps names to values; known are {', '.join(cls.model_fields)}")
        return cls(**(document | dict(given)))

    @property
    def database(self) -> str:
        """Where the store is: a URL, or the path of an SQLite file. May hold a password."""
        return self.database_url.get_secret_value() or str(self.state / "gateway.db")

    def person(self, principal: str) -> str:
        """The person behind a principal, by default its name."""
        appointment = self.principals.get(principal)
        return appointment.person or principal if appointment else principal

    def names(self, principal: str, *before: str) -> frozenset[str]:
        """Every name of the person behind a principal: the person, all principals of it, and those that it had
        ``before``, as a record kept them: who changes the settings makes nobody forget who asked."""
        person = self.person(principal)
        return frozenset({principal, person, *before, *(p for p in self.principals if self.person(p) == person)})

    @property
    def shared(self) -> bool:
        """Whether several gateways may use the database at once; an SQLite file has one."""
        return self.database.startswith("postgresql")

    @property
    def instances(self) -> Path:
        """What each gateway has to itself: its lock and its address."""
        return self.state / "instances"

    @property
    def checkpoints(self) -> Path:
        """Signed checkpoints of the books, outside the database and its backups."""
        return self.checkpoint_folder or self.state / "checkpoints"

    @property
    def keys(self) -> Path:
        """Keys, outside the database and its backups."""
        return self.state / "keys"

    @property
    def tokens(self) -> Path:
        """One file a role."""
        return self.state / "tokens"

    @property
    def rows(self) -> Path:
        """Ingested private rows, one folder a dataset."""
        return self.state / "rows"

    @property
    def fingerprints(self) -> Path:
        """Keyed hashes of the units of every upload, one file a dataset, kept as long as its account's ledger."""
        return self.state / "fingerprints"

    @property
    def uploads(self) -> Path:
        """Uploads on their way to ingest."""
        return self.state / "uploads"

    @property
    def work(self) -> Path:
        """Folders of running jobs, destroyed when they end and at every start."""
        return self.state / "work"

    @property
    def attempts(self) -> Path:
        """Sealed secrets and journals of attempts under way; never backed up."""
        return self.state / "attempts"

    @property
    def artifacts(self) -> Path:
        """Released data, reports and attestations by content, where `artifacts_url` names no other place."""
        return self.state / "artifacts"


def accelerator() -> dict[str, str]:
    """What shows a job the GPUs that this process sees. An empty ``CUDA_VISIBLE_DEVICES`` hides them all."""
    return {name: os.environ[name] for name in ACCELERATOR if name in os.environ}
