"""Every environment variable, typed, with its unit in the name, read once at start-up."""

import ipaddress
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """VMCLONE_* variables. Built in start-up code, never at import."""

    model_config = SettingsConfigDict(env_prefix="VMCLONE_", frozen=True)

    home: Path = Path("var")  # all state of this machine lies below it
    listen: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65535)
    public_url: str | None = None  # for locations, where the Host header is not what clients see
    database_url: SecretStr | None = None  # postgresql://…; unset: the embedded server
    broker_url: SecretStr | None = None  # redis://…; unset: the embedded server
    admin_password: SecretStr | None = None
    access_key_file: Path | None = None  # secrets of access keys are derived from it
    webhook_secret: SecretStr | None = None  # whsec_…: callbacks are signed

    log_format: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning"] = "info"
    metrics: Literal["on", "off"] = "on"
    metrics_token: SecretStr | None = None  # asked for as a bearer token
    worker_metrics_port: int | None = Field(default=None, ge=1, le=65535)  # None: not served
    worker_metrics_listen: str = "127.0.0.1"

    lease_s: float = Field(default=15, ge=1)
    session_timeout_s: int = Field(default=7200, ge=60)
    job_timeout_s: int = Field(default=12 * 3600, ge=1)
    job_retention_s: int = Field(default=30 * 86400, ge=60)
    destroyed_retention_s: int = Field(default=7 * 86400, ge=0)  # before a VM is expunged
    base_grace_s: int = Field(default=3600, ge=0)  # how long an unused base is kept for reuse
    cpu_overprovisioning: float = Field(default=10, gt=0)
    memory_overprovisioning: float = Field(default=1, gt=0)
    thin_share: float = Field(default=0.05, ge=0, le=1)  # of a linked or reflinked volume's size
    thin_minimum_bytes: int = Field(default=64 << 20, ge=0)
    snapshot_share: float = Field(default=0.1, ge=0, le=1)  # of a running source's volume: the
    snapshot_minimum_bytes: int = Field(default=256 << 20, ge=0)  # most that it may write meanwhile
    storage_keep_free: float = Field(default=0.05, ge=0, lt=1)  # the stop line
    host_slots: int = Field(default=64, ge=1)  # open items a host takes at once
    storage_full_copies: int = Field(default=16, ge=1)  # onto one storage at once
    identity_limit_s: float = Field(default=300, ge=0)  # for a new guest to say who it is
    identity_port: int = Field(default=22, ge=1, le=65535)  # asked where it has no agent
    worker_processes: int = Field(default=4, ge=1)

    simulator_step_s: float = Field(default=0, ge=0)  # latency of each simulated call
    simulator_failure_rate: float = Field(default=0, ge=0, le=1)

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @cached_property
    def lock_folder(self) -> Path:
        return self.home / "locks"

    @cached_property
    def key_file(self) -> Path:
        """The same file on every machine that runs the API or makes access keys."""
        return self.access_key_file or self.home / "access-keys.key"

    @cached_property
    def embedded(self) -> bool:
        """True where this machine runs its own PostgreSQL and Valkey."""
        return self.database_url is None and self.broker_url is None

    @cached_property
    def listens_on_loopback(self) -> bool:
        if self.listen == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.listen).is_loopback
        except ValueError:
            return False
