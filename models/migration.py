"""Migrations: run once, by whoever holds the advisory lock; and a refusal to serve on another
schema than the code's.
"""

from pathlib import Path

import asyncpg
from aerich import Command

from models.database import CONNECTION_NAME, credentials, tortoise_config

LOCATION = Path(__file__).resolve().parent.parent / "migrations"
# One number for every process that migrates this database.
LOCK_KEY = 7_311_204_905
LOCK_TIMEOUT_MS = 5_000
STATEMENT_TIMEOUT_MS = 600_000


class SchemaBehind(Exception):
    """The database lacks migrations that this code needs."""

    def __init__(self, missing: list[str]) -> None:
        super().__init__(
            f"The database lacks {len(missing)} migration(s): run `relevo migrate` first."
        )


class SchemaNewer(Exception):
    """The database was migrated by newer code than this."""

    def __init__(self, unknown: list[str]) -> None:
        super().__init__(
            f"A newer Relevo migrated the database (it knows {unknown[-1]}): update this one."
        )


def known() -> list[str]:
    """The migrations of this code, oldest first."""
    files = (LOCATION / "models").glob("[0-9]*_*.py")
    return sorted((file.name for file in files), key=lambda name: int(name.split("_")[0]))


async def upgrade(database_url: str) -> list[str]:
    """Apply what is missing, under a lock; returns the names. Raises SchemaNewer.

    Concurrent calls wait for each other: the second finds nothing left to do.
    """
    guard = await _connect(database_url)
    try:
        await guard.execute("SELECT pg_advisory_lock($1)", LOCK_KEY)
        applied = await _applied(guard)
        _refuse_newer(applied)
        return await _upgrade(database_url) if applied != known() else []
    finally:
        await guard.close()


async def _upgrade(database_url: str) -> list[str]:
    config = tortoise_config(database_url, pool_max=2)
    settings = config["connections"][CONNECTION_NAME]["credentials"]["server_settings"]
    settings["lock_timeout"] = str(LOCK_TIMEOUT_MS)
    settings["statement_timeout"] = str(STATEMENT_TIMEOUT_MS)
    async with Command(config, app="models", location=str(LOCATION)) as command:
        return await command.upgrade(run_in_transaction=True)


async def require_current(database_url: str) -> None:
    """Raise SchemaBehind or SchemaNewer unless the database has exactly this code's schema."""
    connection = await _connect(database_url)
    try:
        applied = await _applied(connection)
    finally:
        await connection.close()
    _refuse_newer(applied)
    if missing := [name for name in known() if name not in applied]:
        raise SchemaBehind(missing)


def _refuse_newer(applied: list[str]) -> None:
    if unknown := [name for name in applied if name not in known()]:
        raise SchemaNewer(unknown)


async def _applied(connection: "asyncpg.Connection[asyncpg.Record]") -> list[str]:
    if not await connection.fetchval("SELECT to_regclass('aerich') IS NOT NULL"):
        return []
    rows = await connection.fetch("SELECT version FROM aerich WHERE app = 'models' ORDER BY id")
    return [row["version"] for row in rows]


async def _connect(database_url: str) -> "asyncpg.Connection[asyncpg.Record]":
    return await asyncpg.connect(**credentials(database_url))
