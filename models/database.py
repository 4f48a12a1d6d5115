"""The one pool of a process, and the only kind of transaction.

Commands write through `tx()`; consistent reads that feed a stream go through `snapshot()`; single
statements outside of both through `fetch()` and its siblings.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit
from uuid import UUID

import asyncpg
import orjson
import structlog
from tortoise import Tortoise
from tortoise.backends.asyncpg.client import AsyncpgDBClient, TransactionWrapper
from tortoise.connection import get_connections

from models.connection import Settled
from models.errors import Busy, DomainError, OutcomeUnknown
from models.settings import Settings

Result = TypeVar("Result")
Row = asyncpg.Record
# How rows are read: `fetch`, or that of a transaction.
Read = Callable[..., Awaitable[list[Row]]]
if TYPE_CHECKING:
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

CONNECTION_NAME = "default"
STATEMENT_TIMEOUT_MS = 5_000
LOCK_TIMEOUT_MS = 3_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 5_000
ACQUIRE_TIMEOUT_SECONDS = 5.0
COMMAND_TIMEOUT_SECONDS = 10.0
TRIES_MAX = 6
BACKOFF_SECONDS = 0.02

# Deadlock, serialization failure, lock not available, cached plan of a changed table.
_RETRYABLE_STATES = frozenset({"40P01", "40001", "55P03", "0A000"})
# A lost connection has many shapes; a repeated command is safe, because commands are idempotent.
_LOST_CONNECTION = (
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
    ConnectionError,
)

log = structlog.get_logger(__name__)


class Transaction:
    """A command's own connection, the events it will number, and what follows its commit."""

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self.events: list[dict[str, Any]] = []
        # What runs once after the commit, by a key that lets a module find its own again.
        self.followers: dict[str, Any] = {}
        self.is_over = False
        self.fetch = connection.fetch
        self.fetchrow = connection.fetchrow
        self.fetchval = connection.fetchval
        self.execute = connection.execute

    async def commit(self) -> None:
        """Number the buffered events and commit, in one message: the numbering lock is held for
        one flush and no round trip. Raises OutcomeUnknown when nobody answers.
        """
        if self.events:
            await self._begin_runs()
        last = "SELECT flush_events(); COMMIT" if self.events else "COMMIT"
        try:
            status = await self._connection.execute(last)
        except _LOST_CONNECTION as error:
            raise OutcomeUnknown from error
        if status == "ROLLBACK":
            # Somebody went on after a failed statement; PostgreSQL does not call it an error.
            raise asyncpg.InFailedSQLTransactionError("Nothing of this was committed.")

    async def _begin_runs(self) -> None:
        """Hand the events over for numbering; what they start in workflows starts with them, and
        what they count as is counted with them.
        """
        pending = encode([_counted(fact) for fact in self.events])
        if await self._connection.fetchval("SELECT begin_runs($1::text::jsonb)", pending):
            conversations = {it["conversation_id"] for it in self.events if "conversation_id" in it}
            contacts = {it["contact_id"] for it in self.events if "contact_id" in it}
            if _go_on is not None:
                self.followers["workflow.runs"] = partial(_go_on, conversations, contacts)

    async def after_commit(self) -> None:
        hooks = [partial(hook, self) for hook in _on_commit] if self.events else []
        for work in (*hooks, *self.followers.values()):
            try:
                await work()
            except Exception:
                # The change is committed; a sweeper repeats what its followers did not finish.
                log.exception("follower failed", follower=repr(work))


def encode(value: object) -> str:
    """JSON for a jsonb parameter; asyncpg's UUIDs are a class of their own, unknown to orjson."""
    return orjson.dumps(value, default=str).decode()


# Commands find rows by their ids, so one plan fits every call; PostgreSQL would plan each of their
# statements anew every time, for longer than it takes to run them.
_BEGIN = "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan"

_current: ContextVar[Transaction | None] = ContextVar("relevo_transaction", default=None)
_on_commit: list[Callable[[Transaction], Awaitable[object]]] = []


def on_commit(hook: Callable[[Transaction], Awaitable[object]]) -> Callable[[], None]:
    """Call `hook` after every commit that numbered events (composition roots only).

    Returns what ends it.
    """
    _on_commit.append(hook)
    return partial(_on_commit.remove, hook)


_go_on: Callable[[set[UUID], set[UUID]], Awaitable[None]] | None = None


def when_runs_are_due(go_on: Callable[[set[UUID], set[UUID]], Awaitable[None]]) -> None:
    """Let the module of workflow runs, which is above this one, go on with those of these
    conversations, and of these contacts, after a commit.
    """
    global _go_on  # noqa: PLW0603 - one per process, set when that module is imported
    _go_on = go_on


_count: Callable[[Mapping[str, Any]], list[dict[str, Any]]] | None = None


def count_by(figures: Callable[[Mapping[str, Any]], list[dict[str, Any]]]) -> None:
    """Let the module of figures, which is above this one, say what each event counts as."""
    global _count  # noqa: PLW0603 - one per process, set when that module is imported
    _count = figures


def _counted(fact: dict[str, Any]) -> dict[str, Any]:
    figures = _count(fact) if _count is not None else []
    return {**fact, "figures": figures} if figures else fact


def credentials(database_url: str) -> dict[str, Any]:
    """What Tortoise's client takes, from a PostgreSQL URL (the host may be a socket folder)."""
    url = urlsplit(database_url)
    options = dict(parse_qsl(url.query))
    return {
        "host": options.pop("host", None) or url.hostname or "127.0.0.1",
        "port": int(options.pop("port", None) or url.port or 5432),
        "user": unquote(url.username or "") or options.pop("user", "postgres"),
        "password": unquote(url.password) if url.password else None,
        "database": url.path.lstrip("/") or "postgres",
        **({"ssl": options["sslmode"]} if options.get("sslmode", "disable") != "disable" else {}),
    }


def tortoise_config(database_url: str, *, pool_max: int = 10) -> dict[str, Any]:
    return {
        "connections": {
            CONNECTION_NAME: {
                "engine": "tortoise.backends.asyncpg",
                "credentials": {
                    **credentials(database_url),
                    # Opening a connection takes longer than a command: the first must not wait.
                    "minsize": pool_max,
                    "maxsize": pool_max,
                    "command_timeout": COMMAND_TIMEOUT_SECONDS,
                    "connection_class": Settled,
                    "reset": _keep_session,
                    "server_settings": {
                        "application_name": "relevo",
                        "timezone": "UTC",
                        "statement_timeout": str(STATEMENT_TIMEOUT_MS),
                        "lock_timeout": str(LOCK_TIMEOUT_MS),
                        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
                        "client_connection_check_interval": "1000",
                        # Rules compare rows by index; a parallel plan never pays at this size.
                        "max_parallel_workers_per_gather": "0",
                        "jit": "off",
                    },
                },
            }
        },
        "apps": {
            "models": {
                "models": ["models", "aerich.models"],
                "default_connection": CONNECTION_NAME,
            }
        },
        "use_tz": True,
        "timezone": "UTC",
    }


def __getattr__(name: str) -> Any:
    """`TORTOISE_ORM`, which aerich's own command reads, made when asked for."""
    if name == "TORTOISE_ORM":
        return tortoise_config(Settings().database_url or "postgresql://postgres@localhost/relevo")
    raise AttributeError(name)


async def connect(database_url: str, *, pool_max: int = 10) -> None:
    """Open the pool; raises OSError or asyncpg.PostgresError when nobody answers."""
    config = tortoise_config(database_url, pool_max=pool_max)
    # The lifespan's task is not the requests' task: without the fallback they see no context.
    await Tortoise.init(config=config, _enable_global_fallback=True)
    client = _client()
    if client._pool is None:  # noqa: SLF001 - Tortoise opens the pool on first use only
        await client.create_connection(with_db=True)


async def close() -> None:
    await Tortoise.close_connections()


def _client() -> AsyncpgDBClient:
    client = get_connections().get(CONNECTION_NAME)
    while isinstance(client, TransactionWrapper):
        client = client._parent  # noqa: SLF001 - the wrapper keeps its pool's client there
    assert isinstance(client, AsyncpgDBClient)  # noqa: S101 - the configuration names this engine
    return client


def _pool() -> "asyncpg.Pool[asyncpg.Record]":
    pool = _client()._pool  # noqa: SLF001 - Tortoise has no public name for its pool
    if pool is None:
        raise Busy
    return pool


async def _acquire() -> "Connection":
    try:
        return await _pool().acquire(timeout=ACQUIRE_TIMEOUT_SECONDS)
    except TimeoutError as error:
        raise Busy from error


@asynccontextmanager
async def tx() -> AsyncIterator[Transaction]:
    """Join the running transaction, or run one that commits with its events numbered.

    Safe against cancellation at every await: the connection always goes back to the pool
    (Tortoise's own `in_transaction` loses it when cancelled while entering). What was asked to
    `follow` runs after the commit, outside of the transaction. READ COMMITTED.
    """
    running = current()
    if running is not None:
        yield running
        return
    async with _connection() as connection:
        transaction = Transaction(connection)
        await connection.execute(_BEGIN)
        token = _current.set(transaction)
        try:
            yield transaction
            await transaction.commit()
        finally:
            transaction.is_over = True
            _current.reset(token)
    await transaction.after_commit()


@asynccontextmanager
async def attempt(transaction: Transaction) -> AsyncIterator[None]:
    """A part of a transaction that can fail alone: neither its changes nor its events stay.

    Locks that it took are given up too; what it asked to follow the commit runs, to no effect.
    """
    events = len(transaction.events)
    await transaction.execute("SAVEPOINT attempt")
    try:
        yield
    except DomainError:
        # Anything else ends the whole transaction.
        await transaction.execute("ROLLBACK TO SAVEPOINT attempt; RELEASE SAVEPOINT attempt")
        del transaction.events[events:]
        raise
    await transaction.execute("RELEASE SAVEPOINT attempt")


@asynccontextmanager
async def snapshot() -> AsyncIterator[Transaction]:
    """A REPEATABLE READ READ ONLY transaction: everything read inside is of one instant."""
    async with _connection() as connection:
        await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield Transaction(connection)
        await connection.execute("COMMIT")


@asynccontextmanager
async def _connection() -> AsyncIterator["Connection"]:
    """A pool connection that Tortoise's models of this task use too."""
    connection = await _acquire()
    try:
        wrapper = TransactionWrapper(_client())
        wrapper._connection = connection  # type: ignore[assignment]  # a proxy of one  # noqa: SLF001 - what Tortoise's own context sets
        token = get_connections().set(CONNECTION_NAME, wrapper)
        try:
            yield connection
        finally:
            get_connections().reset(token)
    finally:
        # Shielded, so that a second cancellation cannot keep the slot.
        await asyncio.shield(_release(connection))


async def _release(connection: "Connection") -> None:
    """Give a connection back, whatever state it is in.

    Never raises: the command is committed or not by now, and an error here would repeat it.
    """
    try:
        await connection.settle()  # type: ignore[attr-defined]  # the pool's proxy passes it on
        if connection.is_in_transaction():
            await connection.execute("ROLLBACK")
    except Exception as error:  # noqa: BLE001 - a dead connection has nothing to roll back
        log.info("rollback failed", error=type(error).__name__)
        with suppress(Exception):
            connection.terminate()
    try:
        # The pool replaces a connection that is closed.
        await _pool().release(connection)
    except Exception as error:  # noqa: BLE001 - see above
        log.info("release failed", error=type(error).__name__)


async def _keep_session(connection: "Settled") -> None:
    """Nothing sets session state here, so a released connection needs no round trip to reset it."""
    await connection.settle()


async def retrying(command: Callable[[], Awaitable[Result]], *, repeatable: bool = True) -> Result:
    """Run a whole command again after a deadlock, a serialization failure or a lost connection.

    A command that is not `repeatable` would take effect twice if its commit succeeded unheard: then
    OutcomeUnknown is raised instead.
    """
    for attempt in range(1, TRIES_MAX):
        try:
            return await command()
        except Exception as error:
            unheard = isinstance(error, OutcomeUnknown) and not repeatable
            if unheard or not is_retryable(error):
                raise
            log.info("command retried", attempt=attempt, error=type(error).__name__)
        await asyncio.sleep(BACKOFF_SECONDS * 2**attempt * random.random())  # noqa: S311 - jitter
    return await command()


class Raced(Exception):
    """Another transaction was faster in a way that only a constraint saw: run the command again."""


def is_retryable(error: BaseException | None) -> bool:
    """Whether a command that met this error may well succeed when it is run again."""
    if error is None:
        return False
    if getattr(error, "sqlstate", None) in _RETRYABLE_STATES:
        return True
    return isinstance(error, (Raced, *_LOST_CONNECTION)) or is_retryable(error.__cause__)


def current() -> Transaction | None:
    """The transaction that runs; not one that ended, which a task born inside it still sees."""
    running = _current.get()
    return None if running is None or running.is_over else running


async def fetch(statement: str, *arguments: object) -> list[Row]:
    """Rows of one statement, on the running transaction if there is one."""
    running = current()
    if running is not None:
        return await running.fetch(statement, *arguments)
    connection = await _acquire()
    try:
        return await connection.fetch(statement, *arguments)
    finally:
        await asyncio.shield(_release(connection))


async def fetchrow(statement: str, *arguments: object) -> Row | None:
    rows = await fetch(statement, *arguments)
    return rows[0] if rows else None


async def fetchval(statement: str, *arguments: object) -> Any:
    row = await fetchrow(statement, *arguments)
    return row[0] if row is not None else None
