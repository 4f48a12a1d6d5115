"""Every knob of an installation, read once from the environment."""

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


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
