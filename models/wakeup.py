"""Wake-ups over Valkey: hints that a log has grown. They may be lost; Valkey is told no more."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from models.database import Transaction

PREFIX = "workspace:"
TIMEOUT_SECONDS = 1.0
RECONNECT_SECONDS = 0.5
# Under load one hint serves many commits; readers of this process are woken without it.
COALESCE_SECONDS = 0.005

log = structlog.get_logger(__name__)


class Wakeups:
    """Tells other processes of commits, and hears of theirs.

    Publishing is coalesced and never awaited by a command: an unreachable Valkey costs it nothing.
    """

    def __init__(self, redis_url: str) -> None:
        self._redis_url = redis_url
        self._grown: set[UUID] = set()
        self._something = asyncio.Event()
        self._listeners: list[Callable[[UUID | None], None]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def listen(self, listener: Callable[[UUID | None], None]) -> None:
        """Call with a workspace whose log may have grown; None when any may have."""
        self._listeners.append(listener)

    async def committed(self, transaction: Transaction) -> None:
        """A hook for `database.on_commit`."""
        for workspace_id in {fact["workspace_id"] for fact in transaction.events}:
            self._hear(workspace_id)
            self._grown.add(workspace_id)
        self._something.set()

    def start(self, *, publish: bool = True, hear: bool = True) -> None:
        if publish:
            self._tasks.append(asyncio.create_task(self._publish_always()))
        if hear:
            self._tasks.append(asyncio.create_task(self._hear_always()))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def _hear(self, workspace_id: UUID | None) -> None:
        for listener in self._listeners:
            listener(workspace_id)

    async def _publish_always(self) -> None:
        redis = Redis.from_url(
            self._redis_url,
            socket_timeout=TIMEOUT_SECONDS,
            socket_connect_timeout=TIMEOUT_SECONDS,
        )
        async with redis:
            while True:
                await self._something.wait()
                await asyncio.sleep(COALESCE_SECONDS)
                self._something.clear()
                grown, self._grown = self._grown, set()
                with suppress(RedisError, OSError, TimeoutError):
                    async with redis.pipeline(transaction=False) as pipeline:
                        for workspace_id in grown:
                            pipeline.publish(f"{PREFIX}{workspace_id}", "")
                        await pipeline.execute()

    async def _hear_always(self) -> None:
        while True:
            try:
                await self._hear_connected()
            except (RedisError, OSError, TimeoutError) as error:
                log.info("wake-ups lost", error=type(error).__name__)
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _hear_connected(self) -> None:
        async with (
            Redis.from_url(self._redis_url, socket_connect_timeout=TIMEOUT_SECONDS) as redis,
            redis.pubsub() as pubsub,
        ):
            await pubsub.psubscribe(f"{PREFIX}*")
            async for message in pubsub.listen():
                if message["type"] == "psubscribe":
                    # Whatever was told while we were away is lost: look everywhere.
                    self._hear(None)
                elif message["type"] == "pmessage":
                    with suppress(ValueError):
                        self._hear(UUID(message["channel"].decode().removeprefix(PREFIX)))
