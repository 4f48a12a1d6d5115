"""PostgreSQL is told of tables that outgrew what it knows, once for each time that they doubled."""

from models import Workspace
from models.database import fetch, fetchval, tx
from models.statistics import PAGES_MIN, look_again
from tests.factories import a_channel, a_contact
from tests.workers.test_worker_process import locking

PAGES = "SELECT relpages FROM pg_class WHERE relname = 'contact_identities'"


async def test_a_table_that_grew_is_looked_at_and_not_again_before_it_doubled(
    workspace: Workspace,
) -> None:
    contact = await a_contact(await a_channel(workspace))
    while await look_again():
        pass
    before = await fetchval(PAGES)

    await _add(contact.id, rows=5_000)
    grown, known = await look_again(), await fetchval(PAGES)
    again = await look_again()
    await _add(contact.id, rows=2_000)
    slightly = await look_again()

    assert (grown, again, slightly) == (1, 0, 0)
    assert known > 2 * before + PAGES_MIN


async def test_what_somebody_looks_at_or_changes_is_left_to_them(
    workspace: Workspace, database: str
) -> None:
    contact = await a_contact(await a_channel(workspace))
    await _add(contact.id, rows=5_000)
    while await look_again():
        pass
    await _add(contact.id, rows=20_000)

    for mode in ("SHARE UPDATE EXCLUSIVE", "ACCESS EXCLUSIVE"):
        async with locking(database, f"LOCK TABLE contact_identities IN {mode} MODE"):
            assert await look_again() == 0

    assert await look_again() == 1


async def test_whose_tables_are_somebody_elses_leaves_them_alone(workspace: Workspace) -> None:
    contact = await a_contact(await a_channel(workspace))
    await _add(contact.id, rows=5_000)

    async with tx() as transaction:
        await transaction.execute("SET LOCAL ROLE pg_read_all_data")
        others = await look_again()
        await transaction.execute("RESET ROLE")
        ours = await look_again()

    assert (others, ours) == (0, 1)


async def _add(contact_id: object, rows: int) -> None:
    await fetch(
        """
        INSERT INTO contact_identities (id, workspace_id, contact_id, channel_id, external_id)
        SELECT gen_random_uuid(), i.workspace_id, i.contact_id, i.channel_id, gen_random_uuid()
        FROM (SELECT * FROM contact_identities WHERE contact_id = $1 LIMIT 1) i,
             generate_series(1, $2)
        """,
        contact_id,
        rows,
    )
