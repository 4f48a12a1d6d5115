"""Jobs over Valkey: hints to look at once. Losing all of them loses nothing.

Whoever enqueues uses `client`, or the same queue name and JSON.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from uuid import UUID

import orjson
import structlog
from arq import ArqRedis, Worker
from redis.exceptions import RedisError

from models import queue
from workers.sweeps import Sweeper

POLL_SECONDS = 0.1
# A killed worker's job is run again after this and ten seconds: one long job would delay them all.
JOB_TIMEOUT_SECONDS = 10
JOB_COMPLETION_SECONDS_MAX = 3.0
TRIES_MAX = 3
JOBS_MAX = 4

CONNECT_SECONDS_MAX = 1.0
# Without it a frozen server holds a worker for ever.
ANSWER_SECONDS_MAX = 2.0
RESTART_SECONDS = 0.5
RESTART_SECONDS_MAX = 4.0
# Whoever ran this long was well.
WELL_AFTER_SECONDS = 10.0

# Not arq's pickle: whoever can write to Valkey could run any code here.
_encode = partial(orjson.dumps, default=str)

log = structlog.get_logger(__name__)


async def sweep(ctx: dict[Any, Any]) -> None:
    """Look for what is due at once."""
    ctx["sweeper"].wake()


async def drain(ctx: dict[Any, Any], team_ids: Sequence[str]) -> None:  # noqa: ARG001 - arq's
    """Give out what waits in these queues."""
    await queue.drain(teams=[UUID(team_id) for team_id in team_ids])


def client(redis_url: str) -> ArqRedis:
    """For enqueuing; connects when first used. Raises ValueError when the address is none."""
    redis: ArqRedis = ArqRedis.from_url(
        redis_url,
        socket_connect_timeout=CONNECT_SECONDS_MAX,
        socket_timeout=ANSWER_SECONDS_MAX,
    )
    redis.job_serializer = _encode
    redis.job_deserializer = orjson.loads
    redis.default_queue_name = queue.JOBS_QUEUE
    return redis


async def serve(redis_url: str, sweeper: Sweeper) -> None:
    """Run jobs until cancelled: arq's worker ends with any outage, then a fresh one begins."""
    loop = asyncio.get_running_loop()
    seconds = RESTART_SECONDS
    while True:
        started_at = loop.time()
        try:
            await _serve_while_connected(redis_url, sweeper)
        except Exception as error:  # noqa: BLE001 - sweeps go on, and so does this
            if loop.time() - started_at > WELL_AFTER_SECONDS:
                seconds = RESTART_SECONDS
            log.warning("jobs interrupted", error=repr(error), again_in_seconds=seconds)
        await asyncio.sleep(seconds)
        seconds = min(seconds * 2, RESTART_SECONDS_MAX)


async def _serve_while_connected(redis_url: str, sweeper: Sweeper) -> None:
    redis = client(redis_url)
    worker = Worker(
        functions=[sweep, drain],
        queue_name=queue.JOBS_QUEUE,
        redis_pool=redis,
        handle_signals=False,
        max_jobs=JOBS_MAX,
        job_timeout=JOB_TIMEOUT_SECONDS,
        max_tries=TRIES_MAX,
        keep_result=0,
        poll_delay=POLL_SECONDS,
        ctx={"sweeper": sweeper},
        job_serializer=_encode,
        job_deserializer=orjson.loads,
    )
    try:
        await worker.async_run()
    finally:
        await _finish(worker)
        with suppress(RedisError, OSError):
            await redis.aclose()


async def _finish(worker: Worker) -> None:
    """Give running jobs a moment; arq's own `close` waits for them, and for Valkey, for ever."""
    running = set(worker.tasks.values())
    if not running:
        return
    _, late = await asyncio.wait(running, timeout=JOB_COMPLETION_SECONDS_MAX)
    for task in late:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
