"""The worker process: sweeps and webhooks, which need only the database, and the jobs beside."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import asyncpg
import structlog

from models import database, migration
from models.settings import Settings
from models.wakeup import Wakeups
from models.webhook import target
from workers import tasks
from workers.heartbeat import beating
from workers.sweeps import Sweeper
from workers.webhooks import Deliverer

# After a signal: to finish by themselves, to be cancelled, to be left. Together below the 10 s
# after which most platforms kill.
GRACE_SECONDS = 5.0
CLOSE_SECONDS_MAX = 2.0
STOP_SECONDS_MAX = 9.0

log = structlog.get_logger(__name__)


class Unusable(Exception):
    """Something outside the program has to change first; the message says what, in one line."""


async def run(settings: Settings, *, burst: bool = False) -> None:
    """Work until SIGTERM or SIGINT, or with `burst` until nothing is due; raises Unusable."""
    database_url, redis_url = _addresses(settings)
    target.allow(settings.webhook_targets_allowed)
    sweeper, deliverer = Sweeper(), Deliverer()
    _stop_on_signals(sweeper, deliverer)
    try:
        await _connect(database_url, pool_max=settings.database_pool_max)
        async with _telling(redis_url, deliverer):
            await (_burst if burst else partial(_work, redis_url))(sweeper, deliverer)
    except asyncio.CancelledError:
        if not sweeper.is_stopping:
            raise
    finally:
        await _disconnect()


@asynccontextmanager
async def _telling(redis_url: str, deliverer: Deliverer) -> AsyncIterator[None]:
    """What is committed here wakes the readers of the log everywhere, and what is committed
    anywhere wakes the deliveries here.
    """
    wakeups = Wakeups(redis_url)
    database.on_commit(wakeups.committed)
    wakeups.listen(deliverer.wake)
    wakeups.start()
    try:
        yield
    finally:
        await wakeups.stop()


async def _burst(sweeper: Sweeper, deliverer: Deliverer) -> None:
    try:
        await sweeper.burst()
    finally:
        await deliverer.burst()


async def _work(redis_url: str, sweeper: Sweeper, deliverer: Deliverer) -> None:
    log.info("worker started")
    jobs = asyncio.create_task(tasks.serve(redis_url, sweeper))
    try:
        async with beating(sweeper), asyncio.TaskGroup() as group:
            group.create_task(sweeper.run())
            group.create_task(deliverer.run())
    finally:
        await _end(jobs)
        log.info("worker stopped")


async def _end(jobs: asyncio.Task[None]) -> None:
    """Cancel the jobs, more than once: libraries on their way swallow a cancellation at times.

    The first one leaves running jobs the time that they are promised.
    """
    for seconds in (tasks.JOB_COMPLETION_SECONDS_MAX + 0.5, 0.5, 0.5):
        jobs.cancel()
        done, _ = await asyncio.wait({jobs}, timeout=seconds)
        if done:
            return


def _stop_on_signals(sweeper: Sweeper, deliverer: Deliverer) -> None:
    """A signal lets the work finish, then cancels it, and at last leaves a frozen server behind.

    What is left behind commits nothing: the server rolls it back, and a sweep repeats it.
    """
    loop = asyncio.get_running_loop()
    work = asyncio.current_task()
    assert work is not None  # noqa: S101 - a coroutine runs in a task

    def stop() -> None:
        if sweeper.is_stopping:
            return
        sweeper.stop()
        deliverer.stop()
        loop.call_later(GRACE_SECONDS, work.cancel)
        loop.call_later(STOP_SECONDS_MAX, os._exit, 0)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def _addresses(settings: Settings) -> tuple[str, str]:
    if not settings.database_url:
        raise Unusable("no database is named: set DATABASE_URL")
    if not settings.redis_url:
        raise Unusable("no Valkey or Redis is named: set REDIS_URL")
    try:
        tasks.client(settings.redis_url)
    except ValueError as error:
        raise Unusable(f"REDIS_URL cannot be used ({error})") from error
    return settings.database_url, settings.redis_url


async def _connect(database_url: str, *, pool_max: int) -> None:
    try:
        await migration.require_current(database_url)
        await database.connect(database_url, pool_max=pool_max)
    except (migration.SchemaBehind, migration.SchemaNewer) as error:
        raise Unusable(str(error)) from error
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Unusable(f"the database refuses ({reason}): check DATABASE_URL") from error


async def _disconnect() -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS_MAX):
            await database.close()
