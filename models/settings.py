"""Every knob of an installation, read once from the environment."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Network = IPv4Network | IPv6Network
_host_name = re.compile(r"(?=.*[a-z])[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def allowed_target(entry: str) -> str | Network:
    """A host's name, or a network (an address is one of its own); raises ValueError."""
    name = entry.strip().lower().rstrip(".")
    if _host_name.fullmatch(name) and ":" not in name:
        return name
    return ip_network(entry.strip(), strict=False)


class Settings(BaseSettings):
    """The environment of one process; only the composition roots construct it."""

    model_config = SettingsConfigDict(env_prefix="RELEVO_", frozen=True, extra="ignore")

    home: Path = Field(default=Path(".relevo"), description="Data folder of the embedded engines")
    database_url: str | None = Field(
        default=None, validation_alias=AliasChoices("DATABASE_URL", "RELEVO_DATABASE_URL")
    )
    redis_url: str | None = Field(
        default=None, validation_alias=AliasChoices("REDIS_URL", "RELEVO_REDIS_URL")
    )
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    allowed_origins: tuple[str, ...] = ()
    database_pool_max: int = Field(default=10, ge=2, le=200)
    groups_reserved: bool = Field(
        default=False, description="Whether only `relevo group` creates sales groups"
    )
    webhook_targets_allowed: tuple[str, ...] = Field(
        default=(),
        description="Host names and networks (CIDR) inside one's own that webhooks may reach",
    )
    log_level: str = "INFO"

    @field_validator("webhook_targets_allowed")
    @classmethod
    def _require_targets(cls, entries: tuple[str, ...]) -> tuple[str, ...]:
        for entry in entries:
            allowed_target(entry)
        return entries
