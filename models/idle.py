"""Timed closing: conversations in which nothing happened for the period that applies."""

from models import event, placement, queue
from models.access import Actor
from models.closure import Cause
from models.database import Row, Transaction, tx

# The period of the agent, else of the team, else of the workspace; 0 days is never.
_PERIOD = """coalesce(a.idle_period_days, t.idle_period_days, w.idle_period_days)"""
_DUE = f"""
    SELECT c.id, c.workspace_id, c.contact_id, c.channel_id, c.status, c.team_id, c.assignee_id
    FROM conversations c
    JOIN workspaces w ON w.id = c.workspace_id
    LEFT JOIN teams t ON t.id = c.team_id
    LEFT JOIN agents a ON a.id = c.assignee_id
    WHERE c.status IN ('BOT', 'QUEUED', 'ASSIGNED')
      AND c.last_activity_at <= relevo_now() - interval '1 day'
      AND {_PERIOD} > 0
      AND c.last_activity_at + make_interval(days => {_PERIOD}) <= relevo_now()
"""  # noqa: S608 - constants


async def close_idle(batch_size: int) -> int:
    """Close one batch of idle conversations, longest idle first; returns how many.

    A conversation that somebody works on is locked and skipped; the condition is asked again
    under the lock, so that activity committed first wins. Set-based: one closing costs no
    statement of its own.
    """
    async with tx() as transaction:
        candidates = await transaction.fetch(
            f"{_DUE} ORDER BY c.last_activity_at, c.id LIMIT $1 FOR NO KEY UPDATE OF c SKIP LOCKED",
            batch_size,
        )
        due = await transaction.fetch(
            f"{_DUE} AND c.id = ANY($1) ORDER BY c.last_activity_at, c.id",
            [row["id"] for row in candidates],
        )
        if due:
            await _close(transaction, due)
    return len(due)


async def _close(transaction: Transaction, due: list[Row]) -> None:
    closed = await placement.end(transaction, [row["id"] for row in due])
    await transaction.execute(
        """
        INSERT INTO closures
            (id, workspace_id, conversation_id, agent_id, team_id, cause, closed_at, is_sticky)
        SELECT gen_random_uuid(), c.workspace_id, c.conversation_id, c.agent_id, c.team_id, $5,
               c.closed_at, NOT coalesce(t.unassign_on_close, false)
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $6::timestamptz[])
            AS c(workspace_id, conversation_id, agent_id, team_id, closed_at)
        LEFT JOIN teams t ON t.id = c.team_id
        """,
        [row["workspace_id"] for row in due],
        [row["id"] for row in due],
        [row["assignee_id"] for row in due],
        [row["team_id"] for row in due],
        Cause.INACTIVE.value,
        [closed[row["id"]].at for row in due],
    )
    for row in due:
        _record(row, closed[row["id"]])
    queue.follow(transaction, agents=[row["assignee_id"] for row in due if row["assignee_id"]])


def _record(row: Row, ended: placement.Ended) -> None:
    event.record(
        event.Kind.CONVERSATION_CLOSED,
        by=Actor.system(row["workspace_id"]),
        conversation_id=row["id"],
        contact_id=row["contact_id"],
        channel_id=row["channel_id"],
        from_queue_id=row["team_id"] if row["status"] == "QUEUED" else None,
        from_agent_id=row["assignee_id"],
        from_team_id=row["team_id"],
        to_team_id=row["team_id"],
        cause=Cause.INACTIVE,
        resolution_seconds=ended.seconds,
    )
