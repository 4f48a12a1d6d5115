"""What reports are measured on is of the kind that they are computed from, at a small size."""

import asyncpg
import pytest

from models import invariant
from models.database import credentials
from models.report import invariant as report_invariant
from tests.conftest import CopyOfDatabase
from tests.million import generate

CONVERSATIONS = 400
DAYS = 10


@pytest.mark.timeout(60)
async def test_a_generated_history_keeps_the_promises_of_figures(
    copy_of_database: CopyOfDatabase,
) -> None:
    async with copy_of_database("million") as url:
        connection = await asyncpg.connect(**credentials(url))
        await generate(connection, CONVERSATIONS, days=DAYS)
        found = [
            (promise.promise, row[0])
            for promise in (
                report_invariant.COUNTED_AS_IT_HAPPENED,
                report_invariant.OPENED_ONCE,
                report_invariant.STAYS_WHILE_WAITING,
                report_invariant.AVAILABLE_AS_IT_IS,
                invariant.LOAD_COUNTS_ASSIGNED,
                invariant.ONE_OPEN_ASSIGNMENT,
                invariant.CLOSED_BY_A_CLOSURE,
            )
            for row in await connection.fetch(promise.breaches)
        ]
        counted = await connection.fetchval("SELECT count(*) FROM figures WHERE measure = 'OPENED'")
        await connection.close()

    assert counted == CONVERSATIONS
    assert found == []
