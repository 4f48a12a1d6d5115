"""What the ids in a report's rows are called."""

from collections.abc import Iterable
from uuid import UUID

from models.database import Row, fetch

# By the column that names a record.
TABLES = {
    "team_id": "teams",
    "agent_id": "agents",
    "channel_id": "channels",
    "reason_id": "closing_reasons",
}


async def names(column: str, rows: Iterable[Row], *, workspace_id: UUID) -> dict[UUID, str]:
    """The names of the records in a column."""
    found = await fetch(
        f"SELECT id, name FROM {TABLES[column]} WHERE workspace_id = $1 AND id = ANY($2)",  # noqa: S608 - constants
        workspace_id,
        list({row[column] for row in rows if row[column] is not None}),
    )
    return {row["id"]: row["name"] for row in found}
