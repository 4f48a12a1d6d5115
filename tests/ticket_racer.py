"""A process of its own that opens tickets beside its rivals (see test_ticket_races.py).

It speaks as racer.py does, and says the numbers that it was given.
"""

import asyncio
import sys
from typing import Any

import structlog

from models import Contact, database
from models.access import Actor
from models.database import retrying, tx
from models.errors import BadUserInput, DomainError
from models.ticket import opening
from models.ticket.opening import open_ticket
from tests.racer import TASKS, tell

ROUNDS = 12


async def unlocked(*_: Any) -> None:
    """What takes the place of the lock, to see that the test can fail."""


async def race(requesters: list[Contact]) -> None:
    """Open tickets one after the other; every fourth is thought better of."""
    for number in range(ROUNDS):
        requester = requesters[number % len(requesters)]
        by = Actor.system(requester.workspace_id)

        async def command(by: Actor = by, requester: Contact = requester, at: int = number) -> int:
            async with tx():
                ticket = await open_ticket(by=by, subject="Light", requester_id=requester.id)
                if at % 4 == 3:
                    raise BadUserInput("No.")
            return ticket.number

        try:
            tell(await retrying(command))
        except DomainError:
            continue


async def main(database_url: str, locked: str) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    if locked == "unlocked":
        opening._lock_numbers = unlocked
    await database.connect(database_url, pool_max=TASKS + 1)
    requesters = await Contact.all()
    tell("ready")
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*[race(requesters) for _ in range(TASKS)])
    await database.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[3]))
