"""Tickets of whom somebody else takes the place of: a requester, an assignee or a department.

A ticket stays with an agent or a department that goes, as history does; only where a replacement is
named it takes over what is not done with. So nobody's going waits for its tickets, and whoever sees
every ticket finds those of whoever is gone, and gives them on.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from models import event
from models.access import Actor
from models.database import Transaction

Column = Literal["assignee_id", "department_id", "requester_id"]


async def hand_over(
    transaction: Transaction,
    column: Literal["assignee_id", "department_id"],
    id: UUID,
    to_id: UUID,
    *,
    by: Actor,
) -> None:
    """Let a replacement have the tickets that are not closed, instead of who goes."""
    tickets = await transaction.fetch(
        f"""
        SELECT id FROM tickets WHERE {column} = $1 AND status <> 'CLOSED'
        ORDER BY id FOR NO KEY UPDATE
        """,  # noqa: S608 - a column of ours
        id,
    )
    await _set(transaction, column, [row["id"] for row in tickets], to_id, by=by)


async def lock_of_requester(transaction: Transaction, contact_id: UUID) -> list[UUID]:
    """The tickets of a contact, locked.

    The contact is locked, and its conversations are: nobody opens another meanwhile.
    """
    rows = await transaction.fetch(
        "SELECT id FROM tickets WHERE requester_id = $1 ORDER BY id FOR NO KEY UPDATE", contact_id
    )
    return [row["id"] for row in rows]


async def lock_going_back(
    transaction: Transaction,
    contact_id: UUID,
    moved: list[UUID],
    since: datetime,
    conversations: list[UUID],
) -> list[UUID]:
    """The tickets of a contact that go back with these conversations, locked.

    Those that moved, and those created since that nothing but these conversations has to do with.
    The contact is locked, and the conversations are.
    """
    rows = await transaction.fetch(
        """
        SELECT id FROM tickets t
        WHERE t.requester_id = $1 AND (t.id = ANY($2) OR (t.created_at >= $3
            AND EXISTS (SELECT FROM conversations c WHERE c.ticket_id = t.id)
            AND NOT EXISTS (SELECT FROM conversations c
                            WHERE c.ticket_id = t.id AND c.id <> ALL($4))
            AND NOT EXISTS (SELECT FROM ticket_actions a
                            WHERE a.ticket_id = t.id AND a.conversation_id <> ALL($4))))
        ORDER BY id FOR NO KEY UPDATE
        """,
        contact_id,
        moved,
        since,
        conversations,
    )
    return [row["id"] for row in rows]


async def give(transaction: Transaction, ids: list[UUID], contact_id: UUID, *, by: Actor) -> None:
    """Let locked tickets be another contact's."""
    await _set(transaction, "requester_id", ids, contact_id, by=by)


async def _set(
    transaction: Transaction, column: Column, ids: list[UUID], to_id: UUID, *, by: Actor
) -> None:
    """One event for each ticket."""
    rows = await transaction.fetch(
        f"""
        UPDATE tickets SET {column} = $2, version = version + 1, updated_at = relevo_now()
        WHERE id = ANY($1) RETURNING id, requester_id
        """,  # noqa: S608 - a column of ours
        ids,
        to_id,
    )
    told = {} if column == "requester_id" else {column: to_id}
    for row in sorted(rows, key=lambda row: row["id"]):
        event.record(
            event.Kind.TICKET_UPDATED,
            by=by,
            ticket_id=row["id"],
            contact_id=row["requester_id"],
            changed=[column],
            **told,
        )
