"""How reports are read: few at a time, in transactions of their own, with room to sort a month."""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from models.database import Row, snapshot

# Of a process, whoever asks: what else it does needs the pool, and its database the memory.
READ_AT_ONCE_MAX = 2
# Of one sort; of each that is read there is one at a time.
WORK_MEM_MB = 64
# Plans are made for the range and the filters that are asked for.
_SETTINGS = f"SET LOCAL work_mem = '{WORK_MEM_MB}MB'; SET LOCAL plan_cache_mode = force_custom_plan"
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def read(statement: str, arguments: list[Any]) -> list[Row]:
    """The rows, when it is their turn; whoever asks limits how long it waits for them."""
    async with turn(), snapshot() as transaction:
        await transaction.execute(_SETTINGS)
        return await transaction.fetch(statement, *arguments)


def turn() -> asyncio.Semaphore:
    """Of the loop that runs: none works in two."""
    return _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(READ_AT_ONCE_MAX))
