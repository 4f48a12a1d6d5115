"""Real servers for the whole session, and an empty database for every test that asks for one."""

import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from api.engines import Engines, embedded
from models import Workspace
from models import database as models_database
from models.migration import upgrade
from models.verify import violations
from tests.factories import a_workspace

POOL_MAX = 20
TEMPLATE = f"relevo_template_{os.getpid()}"
DATABASE = f"relevo_test_{os.getpid()}"
CopyOfDatabase = Callable[..., AbstractAsyncContextManager[str]]
ConnectedTo = Callable[[str], AbstractAsyncContextManager[None]]

# One row that all processes read, so that a test travels in time with every process it starts.
TRAVELLING_CLOCK = """
    CREATE TABLE test_clock (shift interval NOT NULL, stopped_at timestamptz);
    INSERT INTO test_clock VALUES ('0', NULL);
    CREATE OR REPLACE FUNCTION relevo_now() RETURNS timestamptz LANGUAGE sql STABLE
        AS 'SELECT coalesce(stopped_at, clock_timestamp()) + shift FROM public.test_clock';
"""


class Clock:
    """The database's clock, which tests may put forward."""

    async def travel(self, **by: float) -> None:
        """Let time pass for every process: `await clock.travel(days=1)`."""
        await models_database.fetch("UPDATE test_clock SET shift = shift + $1", timedelta(**by))

    async def stop(self) -> None:
        """Let no time pass but by travelling: what is exact to the instant can be tried."""
        await models_database.fetch("UPDATE test_clock SET stopped_at = clock_timestamp()")


@pytest.fixture(scope="session")
def servers() -> Iterator[Engines]:
    """The servers that the environment names, else embedded ones."""
    database_url, redis_url = os.environ.get("DATABASE_URL"), os.environ.get("REDIS_URL")
    if database_url and redis_url:
        yield Engines(database_url, redis_url)
        return
    # Not below pytest's own folder: the next session to start would shut PostgreSQL's user out.
    with (
        tempfile.TemporaryDirectory(prefix="relevo-tests-") as folder,
        embedded(Path(folder), durable=False) as engines,
    ):
        yield Engines(database_url or engines.database_url, redis_url or engines.redis_url)


@pytest.fixture(scope="session")
def redis_url(servers: Engines) -> str:
    return servers.redis_url


@pytest.fixture(scope="session")
async def template_url(servers: Engines) -> AsyncIterator[str]:
    """A database as the migrations leave it, but for its clock; nobody may stay connected to it."""
    await _administer(servers, f'CREATE DATABASE "{TEMPLATE}"')
    url = _named(servers.database_url, TEMPLATE)
    await upgrade(url)
    connection = await asyncpg.connect(**models_database.credentials(url))
    await connection.execute(TRAVELLING_CLOCK)
    await connection.close()
    yield url
    await _administer(servers, f'DROP DATABASE "{TEMPLATE}" WITH (FORCE)')


@pytest.fixture(scope="session")
def copy_of_database(servers: Engines, template_url: str) -> CopyOfDatabase:
    """Databases of one's own, to break: `async with copy_of_database("races") as url`."""

    @asynccontextmanager
    async def copy(name: str, template: str = TEMPLATE) -> AsyncIterator[str]:
        name = f"{DATABASE}_{name}"
        await _administer(servers, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        try:
            yield _named(servers.database_url, name)
        finally:
            await _administer(servers, f'DROP DATABASE "{name}" WITH (FORCE)')

    return copy


@pytest.fixture(scope="session")
async def empty_database(servers: Engines, template_url: str) -> AsyncIterator[str]:
    """Make this session's database without connecting to it."""
    await _administer(servers, f'CREATE DATABASE "{DATABASE}" TEMPLATE "{TEMPLATE}"')
    yield _named(servers.database_url, DATABASE)
    await _administer(servers, f'DROP DATABASE "{DATABASE}" WITH (FORCE)')


@pytest.fixture(scope="session")
async def pool(empty_database: str) -> AsyncIterator[str]:
    """The session's one pool, opened in its one loop."""
    await models_database.connect(empty_database, pool_max=POOL_MAX)
    yield empty_database
    await models_database.close()


@pytest.fixture
def connected_to(pool: str) -> ConnectedTo:
    """Lead the models to another database for a while: `async with connected_to(url)`."""

    @asynccontextmanager
    async def connected(url: str) -> AsyncIterator[None]:
        await models_database.close()
        await models_database.connect(url)
        try:
            yield
        finally:
            await models_database.close()
            await models_database.connect(pool, pool_max=POOL_MAX)

    return connected


@pytest.fixture(scope="session")
async def emptying(pool: str) -> str:
    rows = await models_database.fetch(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        " AND tablename NOT IN ('aerich', 'test_clock')"
    )
    return "TRUNCATE " + ", ".join(f'"{row["tablename"]}"' for row in rows)


@pytest.fixture
async def database(request: pytest.FixtureRequest, pool: str, emptying: str) -> AsyncIterator[str]:
    """The URL of an empty database that the models are connected to.

    After the test every invariant must hold, unless it is marked `leaves_violations`.
    """
    yield pool
    expected = request.node.get_closest_marker("leaves_violations")
    found = [] if expected else await violations()
    await models_database.fetch(
        "UPDATE test_clock SET shift = '0', stopped_at = NULL"
        " WHERE shift <> '0' OR stopped_at IS NOT NULL"
    )
    await models_database.fetch(emptying)
    assert found == []


@pytest.fixture
def clock(database: str) -> Clock:
    return Clock()


@pytest.fixture
async def workspace(database: str) -> Workspace:
    return await a_workspace()


def _named(database_url: str, name: str) -> str:
    return urlsplit(database_url)._replace(path=f"/{name}").geturl()


async def _administer(servers: Engines, statement: str) -> None:
    connection = await asyncpg.connect(**models_database.credentials(servers.database_url))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
