"""Handing long drains to a worker, so that no request waits for more than a few batches."""

from contextlib import suppress
from functools import partial
from uuid import UUID

import orjson
from arq import ArqRedis
from redis.exceptions import RedisError

from models.queue import JOBS_QUEUE

TIMEOUT_SECONDS = 1.0


class Jobs:
    """Enqueues without waiting for anybody; without Valkey the sweeper does it seconds later."""

    def __init__(self, redis_url: str) -> None:
        self._redis: ArqRedis = ArqRedis.from_url(
            redis_url, socket_connect_timeout=TIMEOUT_SECONDS, socket_timeout=TIMEOUT_SECONDS
        )
        # Not arq's pickle: whoever can write to Valkey could run any code in the workers.
        self._redis.job_serializer = partial(orjson.dumps, default=str)
        self._redis.job_deserializer = orjson.loads
        self._redis.default_queue_name = JOBS_QUEUE

    async def drain(self, team_ids: list[UUID]) -> None:
        with suppress(RedisError, OSError, TimeoutError):
            await self._redis.enqueue_job("drain", [str(team_id) for team_id in team_ids])

    async def close(self) -> None:
        with suppress(RedisError, OSError):
            await self._redis.aclose()
