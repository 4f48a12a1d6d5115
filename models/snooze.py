"""Snoozing: putting a conversation off, until a time or until the customer writes.

It keeps its agent and leaves the agent's load; its end is activity and counts, whatever the load.
"""

from datetime import datetime
from uuid import UUID

from models import assignment, batch, event, placement
from models.access import Actor
from models.base import require_instant
from models.conversation import Conversation, Status
from models.database import Row, Transaction, fetchval, tx
from models.decision import Rule
from models.errors import ConversationNotAssigned, ConversationNotSnoozed, SnoozeOutOfRange

SNOOZE_DAYS_MAX = 365
_DUE = """
    SELECT c.id, c.workspace_id, c.contact_id, c.channel_id, c.team_id, c.assignee_id
    FROM conversations c WHERE c.status = 'SNOOZED' AND c.snoozed_until <= relevo_now()
"""
# When the first one ends, if it does within the interval $1.
NEXT = """
    SELECT min(snoozed_until) AS due_at FROM conversations
    WHERE snoozed_until <= (SELECT relevo_now() + $1::interval)
"""


async def begin(conversation: Conversation, *, by: Actor, until: datetime | None = None) -> None:
    """Put a locked conversation off until a time, or until the customer writes.

    Whoever holds it has room now. Raises ConversationNotAssigned, SnoozeOutOfRange, BadUserInput,
    Forbidden.
    """
    await conversation.require_held(by)
    if conversation.status is not Status.ASSIGNED:
        raise ConversationNotAssigned(status=conversation.status)
    await _require_ahead(until)
    async with tx() as transaction:
        await transaction.execute(
            """
            UPDATE conversations SET status = 'SNOOZED', snoozed_until = $2,
                   last_activity_at = relevo_now(), version = version + 1
            WHERE id = $1
            """,
            conversation.id,
            until,
        )
        await assignment.stop_counting(transaction, [conversation.id])
        conversation.record(event.Kind.CONVERSATION_SNOOZED, by=by, until=until)
        placement.freed(transaction, conversation)


async def wake(conversation: Conversation, *, by: Actor) -> None:
    """Give a locked conversation back to its agent's desk before its time.

    Raises ConversationNotSnoozed, Forbidden.
    """
    await conversation.require_workable(by)
    if conversation.status is not Status.SNOOZED:
        raise ConversationNotSnoozed(status=conversation.status)
    await end(conversation, by=by)


async def end(conversation: Conversation, *, by: Actor) -> None:
    """End the snooze of a locked conversation: its agent holds it again, and it counts."""
    async with tx() as transaction:
        await _wake(transaction, [conversation.id])
        conversation.record(event.Kind.CONVERSATION_WOKEN, by=by, rule=Rule.WOKEN)


async def wake_due(batch_size: int) -> int:
    """End the snoozes of one batch whose time has come; returns how many.

    A conversation that somebody works on is locked and skipped; the condition is asked again
    under the lock, so that whoever ended or moved it first wins. One that cannot be woken stops no
    other.
    """
    first = f"{_DUE} ORDER BY c.snoozed_until, c.id LIMIT $1 FOR NO KEY UPDATE OF c SKIP LOCKED"
    return await batch.run(batch.locking(first, batch_size), _wake_all)


async def _wake_all(transaction: Transaction, ids: list[UUID]) -> int:
    due = await transaction.fetch(
        f"{_DUE} AND c.id = ANY($1) ORDER BY c.snoozed_until, c.id",
        ids,
    )
    if due:
        await _wake(transaction, [row["id"] for row in due])
    for row in due:
        _record(row)
    return len(due)


async def _require_ahead(until: datetime | None) -> None:
    if until is None:
        return
    require_instant(until, path="input.until")
    ahead = await fetchval(
        "SELECT $1 > relevo_now() AND $1 <= relevo_now() + make_interval(days => $2)",
        until,
        SNOOZE_DAYS_MAX,
    )
    if not ahead:
        raise SnoozeOutOfRange(days_max=SNOOZE_DAYS_MAX)


async def _wake(transaction: Transaction, ids: list[UUID]) -> None:
    await transaction.execute(
        """
        UPDATE conversations SET status = 'ASSIGNED', snoozed_until = NULL,
               last_activity_at = relevo_now(), version = version + 1
        WHERE id = ANY($1)
        """,
        ids,
    )
    await assignment.count_again(transaction, ids)


def _record(row: Row) -> None:
    event.record(
        event.Kind.CONVERSATION_WOKEN,
        by=Actor.system(row["workspace_id"]),
        conversation_id=row["id"],
        contact_id=row["contact_id"],
        channel_id=row["channel_id"],
        from_agent_id=row["assignee_id"],
        to_agent_id=row["assignee_id"],
        from_team_id=row["team_id"],
        to_team_id=row["team_id"],
        rule=Rule.WOKEN,
    )
