"""A process of its own in which customers write for the first time, several at once.

It says "ready" when it is connected, and starts at the first line of its input.
"""

import asyncio
import sys
from functools import partial
from uuid import UUID

import structlog

from models import Channel, database
from models.access import Actor
from models.database import retrying
from models.identity import Sender
from models.inbound import receive

TASKS = 4


async def write(channel: Channel, sender: str) -> None:
    command = partial(
        receive,
        by=Actor.system(channel.workspace_id),
        channel_id=channel.id,
        external_id=sender,
        sender=Sender(sender),
        text="Hello?",
    )
    await retrying(command)


async def main(database_url: str, channel_id: str, name: str, customers: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    await database.connect(database_url, pool_max=TASKS)
    channel = await Channel.get(id=UUID(channel_id))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(write(channel, f"{name}-{number}") for number in range(int(customers))))
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
