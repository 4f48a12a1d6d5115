"""The heartbeat of this process: a row that says that it lives and what it did."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID, uuid4

from models import worker
from workers.sweeps import Sweeper

LEAVE_SECONDS_MAX = 1.0


@asynccontextmanager
async def beating(sweeper: Sweeper) -> AsyncIterator[None]:
    """Beat meanwhile; whoever ends in order takes its row along."""
    id = uuid4()
    beats = asyncio.create_task(_beat_always(id, sweeper))
    try:
        yield
    finally:
        beats.cancel()
        await asyncio.gather(beats, return_exceptions=True)
        # A database that is away by now forgets the row by itself.
        with suppress(Exception):
            async with asyncio.timeout(LEAVE_SECONDS_MAX):
                await worker.leave(id)


async def _beat_always(id: UUID, sweeper: Sweeper) -> None:
    name = f"{socket.gethostname()}:{os.getpid()}"[: worker.NAME_LENGTH_MAX]
    while True:
        # An outage is told by the sweeps that it stops.
        with suppress(Exception):
            await worker.beat(id, name, swept=sweeper.total, failing=sweeper.failing)
        await asyncio.sleep(worker.BEAT_EVERY_SECONDS)
