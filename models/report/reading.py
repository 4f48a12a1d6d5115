"""How reports are read: in transactions of their own, with room to sort a month in memory."""

from typing import Any

from models.database import Row, snapshot

# Of one sort; of what an operation reads there is one at a time.
WORK_MEM_MB = 64
# Plans are made for the range and the filters that are asked for.
_SETTINGS = f"SET LOCAL work_mem = '{WORK_MEM_MB}MB'; SET LOCAL plan_cache_mode = force_custom_plan"


async def read(statement: str, arguments: list[Any]) -> list[Row]:
    async with snapshot() as transaction:
        await transaction.execute(_SETTINGS)
        return await transaction.fetch(statement, *arguments)
