"""Eight processes open tickets at once: 1..N, each once; the same check fails without the lock."""

from pathlib import Path

import pytest

from models import Ticket, database
from models.ticket import invariant as ticket_invariant
from models.verify import violations
from tests.conftest import ConnectedTo, CopyOfDatabase
from tests.factories import a_channel, a_contact, a_workspace
from tests.test_races import race

RACER = Path(__file__).parent / "ticket_racer.py"


async def arrange() -> None:
    channel = await a_channel(await a_workspace())
    for number in range(5):
        await a_contact(channel, sender=f"customer-{number}")


@pytest.mark.timeout(120)
async def test_of_many_processes_each_number_is_given_once(pool: str, database: str) -> None:
    await arrange()

    given = await race(pool, locked=True, racer=RACER)

    assert sorted(given) == list(range(1, len(given) + 1))
    assert await Ticket.all().count() == len(given) > 100


@pytest.mark.timeout(120)
@pytest.mark.leaves_violations
async def test_without_the_lock_numbers_are_given_twice(
    copy_of_database: CopyOfDatabase, connected_to: ConnectedTo
) -> None:
    async with copy_of_database("unnumbered") as url, connected_to(url):
        await arrange()
        await database.fetch("ALTER TABLE tickets DROP CONSTRAINT tickets_number_once")

        await race(url, processes_max=4, locked=False, racer=RACER)

        broken = {violation.invariant for violation in await violations()}
        assert ticket_invariant.TICKETS_WITHOUT_HOLES.promise in broken
