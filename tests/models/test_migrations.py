"""The schema is what the migrations say, however often and by however many they are applied."""

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import asyncpg
import pytest

from models.database import credentials
from models.migration import (
    LOCATION,
    SchemaBehind,
    SchemaNewer,
    known,
    require_current,
    upgrade,
)
from tests.conftest import CopyOfDatabase

ROOT = Path(__file__).parent.parent.parent
MANIFEST = ROOT / "tests" / "schema_manifest.txt"
EMPTY = "template0"

# What Tortoise and aerich neither compare nor know: this is held by a file that reviews show.
HELD_BY_HAND = """
    SELECT format('constraint %s.%s: %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
    UNION ALL
    SELECT format('index %s', indexdef) FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL
    SELECT format('default %s.%s: %s', table_name, column_name, column_default)
    FROM information_schema.columns
    WHERE table_schema = 'public' AND column_default IS NOT NULL
    UNION ALL
    SELECT format('column %s.%s: %s%s', table_name, column_name, data_type,
                  CASE is_nullable WHEN 'NO' THEN ' not null' END)
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL
    SELECT format('function %s', oid::regprocedure) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace
"""

UPGRADE = """
from models.migration import upgrade
print(*asyncio.run(upgrade(url)))
"""
DOWNGRADE = """
from aerich import Command
from models.database import tortoise_config
async def downgrade():
    async with Command(tortoise_config(url), app="models", location=location) as command:
        print(*await command.downgrade(0, delete=False))
asyncio.run(downgrade())
"""
# With a column that no migration knows, the same must find something to add.
MIGRATE_MORE = """
from models import Workspace
from tortoise import fields
Workspace._meta.add_field("unknown", fields.IntField(null=True))
"""
MIGRATE = """
from aerich import Command
from models.database import tortoise_config
async def migrate():
    async with Command(tortoise_config(url), app="models", location=location) as command:
        print(repr(await command.migrate("probe")))
asyncio.run(migrate())
"""


async def run(script: str, url: str, location: Path = LOCATION) -> str:
    """Run a script in a process of its own; returns the last line that it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import asyncio, sys; _, url, location = sys.argv\n" + script),
        *(url, str(location)),
        cwd=ROOT,
        stdout=PIPE,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().strip().splitlines()[-1] if out.strip() else ""


async def query(url: str, statement: str) -> list[str]:
    connection = await asyncpg.connect(**credentials(url))
    try:
        return [row[0] for row in await connection.fetch(statement)]
    finally:
        await connection.close()


async def manifest(url: str) -> list[str]:
    lines = await query(url, HELD_BY_HAND)
    return sorted(line for line in lines if "test_clock" not in line and "aerich" not in line)


async def test_the_schema_is_the_one_in_the_manifest(pool: str) -> None:
    """RELEVO_UPDATE_MANIFEST=1 writes the manifest anew, for a review to read."""
    found = await manifest(pool)
    if os.environ.get("RELEVO_UPDATE_MANIFEST"):
        MANIFEST.write_text("\n".join(found) + "\n")

    assert found == MANIFEST.read_text().splitlines()


async def test_the_migrations_leave_nothing_for_aerich_to_add(
    copy_of_database: CopyOfDatabase, tmp_path: Path
) -> None:
    location = Path(shutil.copytree(LOCATION, tmp_path / "migrations"))

    async with copy_of_database("migrate") as url:
        assert await run(MIGRATE, url, location) in {"''", "None"}
        assert await run(MIGRATE_MORE + MIGRATE, url, location) not in {"''", "None"}


async def test_several_at_once_migrate_once(copy_of_database: CopyOfDatabase) -> None:
    async with copy_of_database("thrice", EMPTY) as url:
        applied = await asyncio.gather(*[run(UPGRADE, url) for _ in range(3)])

        assert sorted(applied) == ["", "", " ".join(known())]
        await require_current(url)
        assert await manifest(url) == MANIFEST.read_text().splitlines()


async def test_what_is_taken_back_can_be_applied_again(copy_of_database: CopyOfDatabase) -> None:
    async with copy_of_database("back", EMPTY) as url:
        await run(UPGRADE, url)
        assert await run(DOWNGRADE, url)
        assert await manifest(url) == []
        with pytest.raises(SchemaBehind):
            await require_current(url)

        assert await run(UPGRADE, url) == " ".join(known())
        assert await manifest(url) == MANIFEST.read_text().splitlines()


async def test_a_database_of_newer_code_is_refused(copy_of_database: CopyOfDatabase) -> None:
    async with copy_of_database("newer") as url:
        await query(
            url, "INSERT INTO aerich (version, app, content) VALUES ('99_x', 'models', '{}')"
        )

        for refusing in (upgrade, require_current):
            with pytest.raises(SchemaNewer):
                await refusing(url)


async def test_a_database_of_older_code_is_refused(copy_of_database: CopyOfDatabase) -> None:
    async with copy_of_database("older") as url:
        await query(url, f"DELETE FROM aerich WHERE version = '{known()[-1]}'")

        with pytest.raises(SchemaBehind):
            await require_current(url)


async def test_an_empty_database_is_behind(copy_of_database: CopyOfDatabase) -> None:
    async with copy_of_database("empty", EMPTY) as url:
        with pytest.raises(SchemaBehind):
            await require_current(url)
