"""Two commands that meet, in an order that a test decides."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from models.database import fetchval, tx

BLOCKED = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'"""


async def behind(
    first: Callable[[], Awaitable[object]],
    second: Callable[[], Awaitable[Any]],
    meanwhile: Callable[[], Awaitable[object]] | None = None,
) -> Any:
    """What the second comes to, begun when the first has done its work but has not committed."""
    worked, may_commit = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with tx():
            await first()
            worked.set()
            await may_commit.wait()

    holding = asyncio.create_task(hold())
    await worked.wait()
    waiting = asyncio.create_task(second())
    while not waiting.done() and not await fetchval(BLOCKED):
        pass
    assert not waiting.done()
    if meanwhile is not None:
        await meanwhile()
    may_commit.set()
    await holding
    return await waiting
