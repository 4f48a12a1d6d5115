"""Coming back: who held a contact's last conversation when it closed, and until when that counts.

It never ends by itself, but after a closing by a person with a reason: then for the reassignment
window of the team, else of the workspace, as they are at the return.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from models import event
from models.access import IS_HOLDER, Actor
from models.closure import Cause
from models.conversation import Conversation
from models.database import tx
from models.precedence import Sticky

# Of a closure `s`, its team `t`, its workspace `w` and its agent `a`.
COLUMNS = f"""s.agent_id AS sticky_id, s.closed_at, s.cause, s.reason_id, s.is_sticky,
    a.is_active AND {IS_HOLDER} AS sticky_is_active,
    coalesce(t.reassignment_window_hours, w.reassignment_window_hours) AS window_hours"""
JOINS = "LEFT JOIN agents a ON a.id = s.agent_id LEFT JOIN teams t ON t.id = s.team_id"


def sticky(row: Mapping[str, Any], *, is_present: bool, reopens: UUID | None) -> Sticky | None:
    """Whom a closing binds its contact to, if anybody; `row` has the columns above."""
    if row["sticky_id"] is None or not row["is_sticky"]:
        return None
    by_person_with_reason = row["cause"] == Cause.AGENT and row["reason_id"] is not None
    return Sticky(
        agent_id=row["sticky_id"],
        is_active=row["sticky_is_active"],
        is_present=is_present,
        closed_at=row["closed_at"],
        # 0 hours is a team's word for ever.
        window_hours=(row["window_hours"] or None) if by_person_with_reason else None,
        reopens=reopens,
    )


def ends_at(sticky: Sticky) -> datetime | None:
    """The last instant at which the contact still comes back to the same agent; none for ever."""
    if sticky.window_hours is None:
        return None
    return sticky.closed_at + timedelta(hours=sticky.window_hours)


async def let_go(conversation: Conversation, *, by: Actor) -> bool:
    """Bind the contact of a locked, closed conversation to nobody; whether it was bound."""
    async with tx() as transaction:
        freed = await transaction.fetchval(
            """
            WITH last AS (
                UPDATE closures SET is_sticky = false
                WHERE conversation_id = $1 AND closed_at = $2 AND is_sticky AND agent_id IS NOT NULL
                RETURNING conversation_id
            )
            UPDATE conversations c SET version = version + 1 FROM last
            WHERE c.id = last.conversation_id RETURNING c.id
            """,
            conversation.id,
            conversation.closed_at,
        )
        if freed is not None:
            conversation.record(event.Kind.CONVERSATION_UNASSIGNED, by=by)
    return freed is not None
