"""The departments that a department hands over to, when one of them goes."""

from uuid import UUID

from models import event
from models.access import Actor
from models.database import Transaction


async def naming(transaction: Transaction, id: UUID) -> list[UUID]:
    """The departments whose lists name a team."""
    rows = await transaction.fetch(
        "SELECT team_id FROM transfer_targets WHERE to_team_id = $1 ORDER BY team_id", id
    )
    return [row["team_id"] for row in rows]


async def naming_only(
    transaction: Transaction, id: UUID, replacement_id: UUID | None
) -> list[UUID]:
    """Those whose lists would name nobody without it, which says: to anybody."""
    rows = await transaction.fetch(
        """
        SELECT o.team_id FROM transfer_targets o
        WHERE o.to_team_id = $1 AND ($2::uuid IS NULL OR o.team_id = $2) AND NOT EXISTS (
            SELECT FROM transfer_targets x WHERE x.team_id = o.team_id AND x.to_team_id <> $1)
        ORDER BY o.team_id
        """,
        id,
        replacement_id,
    )
    return [row["team_id"] for row in rows]


async def leave(
    transaction: Transaction, id: UUID, replacement_id: UUID | None, *, by: Actor
) -> None:
    """Take a team, whose lists are locked, out of all; a replacement takes its place there."""
    changed = await naming(transaction, id)
    await transaction.execute(
        """
        INSERT INTO transfer_targets (workspace_id, team_id, to_team_id)
        SELECT workspace_id, team_id, $2 FROM transfer_targets
        WHERE to_team_id = $1 AND team_id <> $2
        ON CONFLICT DO NOTHING
        """,
        id,
        replacement_id,
    )
    await transaction.execute(
        "DELETE FROM transfer_targets WHERE team_id = $1 OR to_team_id = $1", id
    )
    rows = await transaction.fetch(
        """
        SELECT team_id, array_agg(to_team_id ORDER BY to_team_id) AS named
        FROM transfer_targets WHERE team_id = ANY($1) GROUP BY 1 ORDER BY 1
        """,
        changed,
    )
    for row in rows:
        event.record(
            event.Kind.TEAM_UPDATED, by=by, to_team_id=row["team_id"], transfers_to=row["named"]
        )
